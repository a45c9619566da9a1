/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_records.c
 * \brief   Scores in a file: read, checked, found, appended.
 */
#include "eval_records.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/hash.h"
#include "text_file.h"

struct record {
	uint64_t window;
	char *recipe;
	struct eval_scores scores;
};

struct records {
	FILE *file;
	char *path;
	struct record *list;
	size_t n, room;
};

/* A text that is read from its begin; line: number of the next one, for messages. */
struct cursor {
	const char *at, *end;
	size_t line;
};

/* What reading a record came to. */
enum found { FOUND_RECORD, FOUND_CUT, FOUND_WRONG };

/* Takes a line, without its \n; false if the text ends before one. */
static bool take_line(struct cursor *c, const char **line, size_t *size)
{
	const char *newline = memchr(c->at, '\n', (size_t)(c->end - c->at));
	if (newline == NULL)
		return false;
	*line = c->at;
	*size = (size_t)(newline - c->at);
	c->at = newline + 1;
	c->line++;
	return true;
}

/* Takes a number behind one blank, or at a line's begin. */
static bool take_number(const char **at, const char *end, double *value)
{
	char *behind;
	if (*at == end || **at == ' ' || **at == '\n')
		return false;
	*value = strtod(*at, &behind);
	if (behind == *at || behind > end || (behind < end && *behind != ' '))
		return false;
	*at = behind < end ? behind + 1 : behind;
	return true;
}

/* A double as a whole number up to `most`. */
static bool whole_number(double value, double most, size_t *out)
{
	if (!(value >= 0.0 && value <= most) || floor(value) < value)
		return false;
	*out = (size_t)value;
	return true;
}

static bool take_hash(const char **at, const char *end, uint64_t *hash)
{
	static const char digits[] = "0123456789abcdef";
	*hash = 0;
	if (end - *at < 16)
		return false;
	for (int i = 0; i < 16; i++, (*at)++) {
		const char *digit = **at != '\0' ? strchr(digits, **at) : NULL;
		if (digit == NULL)
			return false;
		*hash = *hash << 4 | (uint64_t)(digit - digits);
	}
	if (*at < end && **at != ' ')
		return false;
	*at += *at < end;
	return true;
}

/* "record WINDOW N BYTES PREFILL GREEDY" with N as this run has it. */
static bool read_first_line(const char *line, size_t size, size_t n, struct record *record)
{
	static const char word[] = "record ";
	const char *at = line + sizeof word - 1, *end = line + size;
	double number, greedy;
	size_t n_here;
	struct eval_scores *s = &record->scores;
	return size > sizeof word && memcmp(line, word, sizeof word - 1) == 0 &&
	       take_hash(&at, end, &record->window) && take_number(&at, end, &number) &&
	       whole_number(number, 1e9, &n_here) && n_here == n &&
	       take_number(&at, end, &s->bytes_per_token) &&
	       take_number(&at, end, &s->prefill_tokens_per_s) && take_number(&at, end, &greedy) &&
	       at == end && whole_number(greedy, 1e9, &s->greedy);
}

static bool read_recipe(const char *line, size_t size, char **recipe)
{
	static const char word[] = "recipe ";
	const size_t skipped = sizeof word - 1;
	if (size < skipped || memcmp(line, word, skipped) != 0 || memchr(line, '\0', size) != NULL)
		return false;
	*recipe = strndup(line + skipped, size - skipped);
	return *recipe != NULL;
}

static bool read_score(const char *line, size_t size, struct eval_scores *s, size_t i)
{
	const char *at = line, *end = line + size;
	return take_number(&at, end, &s->loss[i]) && take_number(&at, end, &s->divergence[i]) &&
	       take_number(&at, end, &s->agreed[i]) && at == end &&
	       (s->agreed[i] == 0.0 || s->agreed[i] == 1.0);
}

static bool read_end(const char *line, size_t size, uint64_t hash)
{
	static const char word[] = "end ";
	const char *at = line + sizeof word - 1;
	uint64_t found;
	return size == sizeof word - 1 + 16 && memcmp(line, word, sizeof word - 1) == 0 &&
	       take_hash(&at, line + size, &found) && found == hash;
}

/* Reads the lines of a record into *record, whose scores have room for n tokens. */
static enum found read_record(struct cursor *c, size_t n, struct record *record)
{
	const char *line, *begin = c->at;
	size_t size;
	if (!take_line(c, &line, &size))
		return FOUND_CUT;
	if (!read_first_line(line, size, n, record))
		return FOUND_WRONG;
	if (!take_line(c, &line, &size))
		return FOUND_CUT;
	if (!read_recipe(line, size, &record->recipe))
		return FOUND_WRONG;
	for (size_t i = 0; i < n; i++) {
		if (!take_line(c, &line, &size))
			return FOUND_CUT;
		if (!read_score(line, size, &record->scores, i))
			return FOUND_WRONG;
	}
	uint64_t hash = clkv__hash(CLKV__HASH_START, begin, (size_t)(c->at - begin));
	if (!take_line(c, &line, &size))
		return FOUND_CUT;
	return read_end(line, size, hash) ? FOUND_RECORD : FOUND_WRONG;
}

static void free_record(struct record *record)
{
	free(record->recipe);
	eval_scores_close(&record->scores);
}

/* Room for one record more, whose scores have room for n tokens. */
static struct record *next_record(struct records *r, size_t n)
{
	if (r->n == r->room) {
		size_t room = r->room > 0 ? 2 * r->room : 64;
		struct record *list = realloc(r->list, room * sizeof *list);
		if (list == NULL)
			return NULL;
		r->list = list;
		r->room = room;
	}
	r->list[r->n] = (struct record){.recipe = NULL};
	return eval_scores_open(&r->list[r->n].scores, n) ? &r->list[r->n] : NULL;
}

/* A head differs in one of its lines, or ends early. */
static bool check_head(const char *path, struct cursor *c, const char *head,
                       struct tool_error *error)
{
	const char *line;
	size_t size;
	for (const char *own = head; *own != '\0'; own += strcspn(own, "\n") + 1) {
		size_t own_size = strcspn(own, "\n");
		bool there = take_line(c, &line, &size);
		if (there && size == own_size && memcmp(line, own, size) == 0)
			continue;
		if (own == head)
			return tool_fail(error, "'%s' is no file of --resume: it doesn't begin with '%s'", path,
			                 RECORDS_TITLE);
		return tool_fail(error,
		                 "'%s' is of another run: it has '%.*s' where this one has '%.*s'; give "
		                 "this one a file of its own",
		                 path, there ? (int)(size < 100 ? size : 100) : 0, there ? line : "",
		                 (int)own_size, own);
	}
	return true;
}

static bool read_records(const char *path, struct cursor *c, size_t n, struct records *r,
                         const char **whole, struct tool_error *error)
{
	for (*whole = c->at; c->at < c->end; *whole = c->at) {
		struct record *record = next_record(r, n);
		if (record == NULL)
			return tool_fail(error, "no memory for what '%s' holds", path);
		enum found found = read_record(c, n, record);
		if (found == FOUND_RECORD) {
			r->n++;
			continue;
		}
		free_record(record);
		if (found == FOUND_CUT)
			return true;
		return tool_fail(error, "'%s' is damaged: line %zu is not what stands there in record %zu",
		                 path, c->line, r->n + 1);
	}
	return true;
}

bool records_parse(const char *path, const char *text, size_t size, const char *head, size_t n,
                   struct records **out, size_t *whole, struct tool_error *error)
{
	struct cursor c = {text, text + size, 0};
	const char *end = text;
	struct records *r = calloc(1, sizeof *r);
	*out = NULL;
	if (r == NULL)
		return tool_fail(error, "out of memory");
	if (!check_head(path, &c, head, error) || !read_records(path, &c, n, r, &end, error)) {
		records_close(r);
		return false;
	}
	*whole = (size_t)(end - text);
	*out = r;
	return true;
}

/* The text of the file with a NUL behind it. */
static bool read_text(const char *path, char **text, size_t *size, struct tool_error *error)
{
	if (!text_file_read(path, text, size, error))
		return false;
	char *larger = realloc(*text, *size + 1);
	if (larger == NULL) {
		free(*text);
		return tool_fail(error, "out of memory reading '%s'", path);
	}
	*text = larger;
	(*text)[*size] = '\0';
	return true;
}

/* Opens for appending, alone. */
static FILE *open_file(const char *path, struct tool_error *error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0) {
		tool_set_error(error, "can't open '%s': %s", path, strerror(errno));
		return NULL;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		tool_set_error(error, "'%s' can't be had alone (is another run at it?): %s", path,
		               strerror(errno));
	else {
		FILE *file = fdopen(fd, "a");
		if (file != NULL)
			return file;
		tool_set_error(error, "can't open '%s': %s", path, strerror(errno));
	}
	(void)close(fd);
	return NULL;
}

/* Reads what the file holds, and cuts off what no whole record is; an empty file gets its head. */
static bool read_file(FILE *file, const char *path, const char *head, size_t n,
                      struct records **out, struct tool_error *error)
{
	char *text;
	size_t size, whole;
	if (!read_text(path, &text, &size, error))
		return false;
	const bool is_new = size == 0;
	bool done = records_parse(path, is_new ? head : text, is_new ? strlen(head) : size, head, n,
	                          out, &whole, error);
	free(text);
	if (!done)
		return false;
	if (is_new)
		return (fputs(head, file) >= 0 && fflush(file) == 0) ||
		       tool_fail(error, "can't write '%s': %s", path, strerror(errno));
	return whole == size || ftruncate(fileno(file), (off_t)whole) == 0 ||
	       tool_fail(error, "can't cut '%s': %s", path, strerror(errno));
}

bool records_open(const char *path, const char *head, size_t n, struct records **out,
                  struct tool_error *error)
{
	*out = NULL;
	FILE *file = open_file(path, error);
	if (file == NULL)
		return false;
	bool done = read_file(file, path, head, n, out, error);
	if (done) {
		(*out)->path = strdup(path);
		done = (*out)->path != NULL || tool_fail(error, "out of memory");
	}
	if (done) {
		(*out)->file = file;
		return true;
	}
	(void)fclose(file);
	records_close(*out);
	*out = NULL;
	return false;
}

void records_close(struct records *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		free_record(&r->list[i]);
	free(r->list);
	free(r->path);
	if (r->file != NULL)
		(void)fclose(r->file);
	free(r);
}

size_t records_count(const struct records *r)
{
	return r->n;
}

const struct eval_scores *records_find(const struct records *r, uint64_t window, const char *recipe)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->list[i].window == window && strcmp(r->list[i].recipe, recipe) == 0)
			return &r->list[i].scores;
	return NULL;
}

/* Writes a record into memory; the caller frees *text. */
static bool print_record(uint64_t window, const char *recipe, const struct eval_scores *s,
                         char **text, size_t *size)
{
	FILE *out = open_memstream(text, size);
	if (out == NULL)
		return false;
	(void)fprintf(out, "record %016" PRIx64 " %zu %.17g %.17g %zu\nrecipe %s\n", window, s->n,
	              s->bytes_per_token, s->prefill_tokens_per_s, s->greedy, recipe);
	for (size_t i = 0; i < s->n; i++)
		(void)fprintf(out, "%.17g %.17g %.0f\n", s->loss[i], s->divergence[i], s->agreed[i]);
	if (fflush(out) == 0)
		(void)fprintf(out, "end %016" PRIx64 "\n", clkv__hash(CLKV__HASH_START, *text, *size));
	bool failed = ferror(out) != 0;
	return fclose(out) == 0 && !failed;
}

bool records_append(struct records *r, uint64_t window, const char *recipe,
                    const struct eval_scores *scores, struct tool_error *error)
{
	char *text = NULL;
	size_t size = 0;
	if (strchr(recipe, '\n') != NULL)
		return tool_fail(error, "--resume takes recipes of one line, not '%s'", recipe);
	bool done = print_record(window, recipe, scores, &text, &size);
	if (!done)
		tool_set_error(error, "out of memory");
	done = done && ((fwrite(text, 1, size, r->file) == size && fflush(r->file) == 0) ||
	                tool_fail(error, "can't write '%s': %s", r->path, strerror(errno)));
	free(text);
	return done;
}

uint64_t records_window(const int32_t *ids, size_t n)
{
	return clkv__hash(CLKV__HASH_START, ids, n * sizeof *ids);
}
