/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_html.c
 * \brief   One page of HTML with table and plot: nothing in it comes from elsewhere, no script runs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eval_ranks.h"
#include "html_text.h"
#include "shell_word.h"
#include "text_file.h"

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" "
	"content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n<title>clkv-eval</title>\n<style>\n"
	"body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 1220px; padding: 0 1em; }\n"
	"table { border-collapse: collapse; margin: 1.5em 0; }\n"
	"th, td { padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd; }\n"
	"th.name, td.name { text-align: left; }\n"
	"td, code { font-family: monospace; }\n"
	"dt { font-weight: bold; float: left; width: 7em; }\n"
	"dd { margin-left: 7.5em; overflow-wrap: anywhere; }\n"
	"svg { max-width: 100%; height: auto; }\n"
	"</style>\n</head>\n<body>\n<h1>KV cache recipes compared</h1>\n";

/* A word as a shell takes it; nothing without memory. */
static void print_word(FILE *out, const char *word)
{
	char *text = NULL;
	size_t size;
	FILE *memory = open_memstream(&text, &size);
	if (memory == NULL)
		return;
	shell_word_print(memory, word);
	if (fclose(memory) == 0)
		html_text_print(out, text);
	free(text);
}

static void print_command(FILE *out, const char *const *argv)
{
	(void)fputs("<dt>command</dt><dd><code>", out);
	for (; *argv != NULL; argv++) {
		print_word(out, *argv);
		(void)fputs(argv[1] != NULL ? " " : "</code></dd>\n", out);
	}
}

static void print_fact(FILE *out, const char *name, const char *text)
{
	(void)fprintf(out, "<dt>%s</dt><dd>", name);
	html_text_print(out, text);
	(void)fputs("</dd>\n", out);
}

static void print_facts(FILE *out, const struct eval *eval, const struct eval_result *results)
{
	const clkv_device_info *device = &eval->session.device;
	char title[EVAL_TITLE_BYTES];
	eval_title(eval->options, results, title);
	(void)fputs("<dl>\n", out);
	print_fact(out, "measured", title);
	print_fact(out, "model", eval->options->model);
	for (size_t i = 0; i < eval->options->n_texts; i++)
		print_fact(out, "text", eval->options->texts[i]);
	print_fact(out, "device", device->name);
	print_fact(out, "platform", device->platform);
	print_fact(out, "driver", device->driver);
	print_fact(out, "OpenCL", device->cl_version);
	print_fact(out, "clkv", clkv_version());
	print_command(out, eval->options->argv);
	(void)fputs("</dl>\n", out);
}

static void print_cells(FILE *out, const struct eval_options *o, const struct eval_result *r)
{
	size_t n;
	char cell[EVAL_CELL_BYTES];
	const struct eval_column *columns = eval_columns(o, &n);
	const char tag = r == NULL ? 'h' : 'd';
	for (size_t i = 0; i < n; i++) {
		if (r != NULL)
			eval_cell(&columns[i], r, cell);
		(void)fprintf(out, "<t%c>", tag);
		html_text_print(out, r == NULL ? columns[i].title : cell);
		(void)fprintf(out, "</t%c>", tag);
	}
	(void)fputs("</tr>\n", out);
}

static void print_table(FILE *out, const struct eval_options *o, const struct eval_result *results)
{
	(void)fputs("<table>\n<tr><th></th><th class=\"name\">recipe</th>", out);
	print_cells(out, o, NULL);
	for (size_t i = 0; i < o->n_recipes; i++) {
		(void)fprintf(out, "<tr><td>%zu</td><td class=\"name\">", i + 1);
		html_text_print(out, results[i].recipe);
		(void)fputs("</td>", out);
		print_cells(out, o, &results[i]);
	}
	(void)fputs("</table>\n", out);
}

/* All texts, then each; or context by context. */
static void print_tables(FILE *out, const struct eval_options *o, const struct eval_result *results)
{
	char title[EVAL_TITLE_BYTES];
	for (size_t part = 0; part < eval_parts(o); part++) {
		const struct eval_result *r = results + part * o->n_recipes;
		eval_title(o, r, title);
		if (r->text != NULL || eval_retrieves(o)) {
			(void)fputs("<h2>", out);
			html_text_print(out, r->text != NULL ? r->text : title);
			(void)fputs("</h2>\n", out);
		}
		print_table(out, o, r);
	}
}

/* Divergence by position, all texts. */
static void print_positions(FILE *out, const struct eval_options *o,
                            const struct eval_result *results)
{
	(void)fputs("<h2>KL by position</h2>\n<table>\n<tr><th class=\"name\">from token</th>", out);
	for (size_t p = 0; p < EVAL_POSITIONS; p++)
		(void)fprintf(out, "<th>%zu</th>",
		              o->contexts[0] + o->generated + p * o->tokens / EVAL_POSITIONS);
	(void)fputs("</tr>\n", out);
	for (size_t i = 0; i < o->n_recipes; i++) {
		(void)fputs("<tr><td class=\"name\">", out);
		html_text_print(out, results[i].recipe);
		(void)fputs("</td>", out);
		for (size_t p = 0; p < EVAL_POSITIONS; p++)
			(void)fprintf(out, "<td>%.5f</td>", results[i].kl_at[p]);
		(void)fputs("</tr>\n", out);
	}
	(void)fputs("</table>\n", out);
}

/* Each recipe beside the next better one, all texts. */
static void print_ranks(FILE *out, const struct eval_options *o, const struct eval_result *results)
{
	size_t order[EVAL_MOST_RECIPES];
	char cell[EVAL_CELL_BYTES];
	eval_rank(results, o->n_recipes, order);
	(void)fputs("<h2>" EVAL_RANKS_TITLE "</h2>\n<table>\n<tr><th class=\"name\">recipe</th>", out);
	for (size_t c = 0; c < EVAL_RANK_COLUMNS; c++)
		(void)fprintf(out, "<th>%s</th>", eval_rank_columns[c].title);
	(void)fputs("</tr>\n", out);
	for (size_t n = 0; n < o->n_recipes; n++) {
		(void)fputs("<tr><td class=\"name\">", out);
		html_text_print(out, results[order[n]].recipe);
		(void)fputs("</td>", out);
		for (size_t c = 0; c < EVAL_RANK_COLUMNS; c++) {
			eval_rank_cell(results, order, n, c, cell);
			(void)fprintf(out, "<td>%s</td>", cell);
		}
		(void)fputs("</tr>\n", out);
	}
	(void)fputs("</table>\n", out);
}

/* A picture as text, without the lines before its <svg>, which only files of their own have. */
static bool print_picture(FILE *out, const char *path, struct tool_error *error)
{
	char *text;
	size_t size;
	if (!text_file_read(path, &text, &size, error))
		return false;
	const char *svg = strstr(text, "<svg");
	if (svg != NULL)
		(void)fwrite(svg, 1, size - (size_t)(svg - text), out);
	free(text);
	return svg != NULL || tool_fail(error, "gnuplot drew no SVG picture");
}

static bool print_plot(FILE *out, const struct eval_options *o, const struct eval_result *results,
                       struct tool_error *error)
{
	const char *folder = getenv("TMPDIR");
	char path[512];
	int length = snprintf(path, sizeof path, "%s/clkv-eval-XXXXXX.svg",
	                      folder != NULL && *folder != '\0' ? folder : "/tmp");
	if (length < 0 || (size_t)length >= sizeof path)
		return tool_fail(error, "TMPDIR is too long a path");
	int file = mkstemps(path, 4);
	if (file < 0)
		return tool_fail(error, "can't create '%s': %s", path, strerror(errno));
	(void)close(file);
	bool done = eval_plot(o, results, path, error) && print_picture(out, path, error);
	(void)unlink(path);
	return done;
}

bool eval_html(const struct eval *eval, const struct eval_result *results, const char *path,
               struct tool_error *error)
{
	FILE *out = fopen(path, "w");
	if (out == NULL)
		return tool_fail(error, "can't write '%s': %s", path, strerror(errno));
	(void)fputs(head, out);
	print_facts(out, eval, results);
	bool done = print_plot(out, eval->options, results, error);
	print_tables(out, eval->options, results);
	if (eval_judges(eval->options))
		print_positions(out, eval->options, results);
	if (eval_ranks(eval->options))
		print_ranks(out, eval->options, results);
	(void)fputs("</body>\n</html>\n", out);
	bool failed = ferror(out) != 0;
	failed = fclose(out) != 0 || failed;
	return !failed ? done : tool_fail(error, "can't write '%s': %s", path, strerror(errno));
}
