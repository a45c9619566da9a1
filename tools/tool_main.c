/* SPDX-License-Identifier: MIT */
/**
 * \file    tool_main.c
 * \brief   Command line, help and exit status of all tools, from a tool's table.
 */
#include "tool_main.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

enum { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

/* What reading the command line ended in. */
enum reading { READING_DONE, READING_WRONG, READING_HELP, READING_VERSION };

/* Values that getopt_long returns: row i is FIRST_ROW + i. */
enum { VALUE_HELP = 256, VALUE_VERSION, FIRST_ROW };

static const struct tool_option common[] = {
	{.name = "help", .help = "this text"},
	{.name = "version", .help = "the version of the library"},
};

static const char *dashes(const struct tool_option *option)
{
	return option->name[1] == '\0' ? "-" : "--";
}

/* Columns that "--name VALUE" takes. */
static size_t width_of(const struct tool_option *option)
{
	return strlen(dashes(option)) + strlen(option->name) +
	       (option->value != NULL ? strlen(option->value) + 1 : 0);
}

static size_t widest(const struct tool *tool)
{
	size_t width = width_of(&common[1]);
	for (size_t i = 0; i < tool->n_options; i++) {
		size_t one = width_of(&tool->options[i]);
		width = one > width ? one : width;
	}
	return width;
}

static void print_option(const struct tool_option *option, size_t width)
{
	const char *line = option->help;
	(void)printf("  %s%s%s%s%*s", dashes(option), option->name, option->value != NULL ? " " : "",
	             option->value != NULL ? option->value : "", (int)(width - width_of(option)), "");
	while (*line != '\0') {
		size_t n = strcspn(line, "\n");
		(void)printf("  %.*s\n%*s", (int)n, line, line[n] == '\n' ? (int)width + 2 : 0, "");
		line += n + (line[n] == '\n');
	}
}

static void print_help(const struct tool *tool)
{
	size_t width = widest(tool);
	(void)fputs(tool->usage, stdout);
	for (size_t i = 0; i < tool->n_options; i++)
		print_option(&tool->options[i], width);
	for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
		print_option(&common[i], width);
	if (tool->after != NULL)
		(void)fputs(tool->after, stdout);
}

/* The tables of getopt_long; `letters` has room for three characters an option. */
static void list_options(const struct tool *tool, struct option *longs, char *letters)
{
	*longs++ = (struct option){"help", no_argument, NULL, VALUE_HELP};
	*longs++ = (struct option){"version", no_argument, NULL, VALUE_VERSION};
	for (size_t i = 0; i < tool->n_options; i++) {
		const struct tool_option *option = &tool->options[i];
		bool takes = option->value != NULL;
		if (option->name[1] != '\0') {
			*longs++ = (struct option){option->name, takes ? required_argument : no_argument, NULL,
			                           FIRST_ROW + (int)i};
			continue;
		}
		*letters++ = option->name[0];
		if (takes)
			*letters++ = ':';
	}
	*longs = (struct option){NULL, 0, NULL, 0};
	*letters = '\0';
}

static const struct tool_option *option_of(const struct tool *tool, int value)
{
	if (value >= FIRST_ROW)
		return &tool->options[value - FIRST_ROW];
	for (size_t i = 0; i < tool->n_options; i++)
		if (tool->options[i].name[1] == '\0' && tool->options[i].name[0] == value)
			return &tool->options[i];
	return NULL; /* '?': getopt_long has said what it doesn't know */
}

static bool set_option(const struct tool_option *option, const char *text, struct tool_error *error)
{
	char name[32];
	(void)snprintf(name, sizeof name, "%s%s", dashes(option), option->name);
	if (option->text != NULL)
		*option->text = text;
	if (option->flag != NULL)
		*option->flag = true;
	if (option->size.at != NULL)
		return option_size(name, text, option->size.least, option->size.most, option->size.at,
		                   error);
	if (option->number.at != NULL)
		return option_float(name, text, option->number.least, option->number.most,
		                    option->number.at, error);
	if (option->products != NULL)
		return option_products(text, option->products, error);
	return option->set == NULL || option->set(text, error);
}

/* The word behind the options, where one may stand. */
static bool set_operand(const struct tool *tool, int argc, char **argv, struct tool_error *error)
{
	int next = optind;
	if (tool->operand != NULL && next < argc)
		*tool->operand = argv[next++];
	return next == argc ||
	       tool_fail(error, "'%s' belongs to no option; try %s --help", argv[next], tool->name);
}

static enum reading read_line(const struct tool *tool, int argc, char **argv,
                              struct tool_error *error)
{
	struct option longs[TOOL_MOST_OPTIONS + 3];
	char letters[2 * TOOL_MOST_OPTIONS + 1];
	int value;
	list_options(tool, longs, letters);
	while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (value == VALUE_HELP)
			return READING_HELP;
		if (value == VALUE_VERSION)
			return READING_VERSION;
		const struct tool_option *option = option_of(tool, value);
		if (option == NULL) {
			tool_set_error(error, "try %s --help", tool->name);
			return READING_WRONG;
		}
		if (!set_option(option, optarg, error))
			return READING_WRONG;
	}
	return set_operand(tool, argc, argv, error) && (tool->check == NULL || tool->check(error))
	           ? READING_DONE
	           : READING_WRONG;
}

/* What couldn't be written (a full disk) is a failure, not a success. */
static int close_output(const struct tool *tool, int status)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return status;
	(void)fprintf(stderr, "%s: can't write to standard output: %s\n", tool->name, strerror(errno));
	return STATUS_FAILED;
}

int tool_main(const struct tool *tool, int argc, char **argv)
{
	struct tool_error error = {""};
	int status = STATUS_DONE;
	switch (read_line(tool, argc, argv, &error)) {
	case READING_HELP:
		print_help(tool);
		break;
	case READING_VERSION:
		(void)printf("%s %s\n", tool->name, clkv_version());
		break;
	case READING_WRONG:
		status = STATUS_USAGE;
		break;
	case READING_DONE:
		status = tool->run(&error) ? STATUS_DONE : STATUS_FAILED;
		break;
	}
	if (status != STATUS_DONE)
		(void)fprintf(stderr, "%s: %s\n", tool->name, error.text);
	return close_output(tool, status);
}
