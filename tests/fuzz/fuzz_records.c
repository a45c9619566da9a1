/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_records.c
 * \brief   Any bytes as a file of clkv-eval --resume: refused with a sentence, or whole records, and a rest that is cut off.
 *
 * An even first byte: the rest is the file. An odd one: the rest are the lines of one record, which get a head before them and
 * their checksum behind them.
 */
#include "fuzz.h"

#include "base/hash.h"
#include "eval_records.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define HEAD RECORDS_TITLE "\nmodel 0\n"
enum { N = 2 };

/* The file of the input with a NUL behind it, in memory of its size, so that a sanitizer sees what is read behind it. */
static char *make_file(const uint8_t *data, size_t size, size_t *n)
{
	const bool is_record = data[0] & 1;
	char end[32] = "";
	size_t head = is_record ? strlen(HEAD) : 0;
	if (is_record)
		(void)snprintf(end, sizeof end, "end %016" PRIx64 "\n",
		               clkv__hash(CLKV__HASH_START, data + 1, size - 1));
	*n = head + size - 1 + strlen(end);
	char *text = malloc(*n + 1);
	fuzz_require(text != NULL, "no memory");
	memcpy(text, HEAD, head);
	memcpy(text + head, data + 1, size - 1);
	memcpy(text + head + size - 1, end, strlen(end) + 1);
	return text;
}

static struct records *parse(const char *text, size_t n, size_t *whole)
{
	struct tool_error error = {""};
	struct records *r;
	bool done = records_parse("file", text, n, HEAD, N, &r, whole, &error);
	fuzz_require(done == (r != NULL), "a result with an error");
	fuzz_require(done == (error.text[0] == '\0'), "refused without a sentence");
	return r;
}

/* What was read is a number for each place; agreement is one of two. */
static void check_scores(const struct eval_scores *s)
{
	fuzz_require(s->n == N, "a record of another length");
	for (size_t i = 0; i < N; i++)
		fuzz_require(s->agreed[i] == 0.0 || s->agreed[i] == 1.0, "agreement is a share");
}

/* What is whole is read again, alone, as the same records; names are looked for as the recipes that a run has. */
static void check_records(const char *text, const struct records *r, size_t n, size_t whole)
{
	size_t again;
	fuzz_require(whole <= n && whole >= strlen(HEAD), "more is whole than there is");
	char *part = malloc(whole + 1);
	fuzz_require(part != NULL, "no memory");
	memcpy(part, text, whole);
	part[whole] = '\0';
	struct records *same = parse(part, whole, &again);
	fuzz_require(same != NULL && again == whole, "what is whole is refused");
	fuzz_require(records_count(same) == records_count(r), "another number of records");
	const struct eval_scores *found = records_find(r, 1, "f16");
	if (found != NULL)
		check_scores(found);
	fuzz_require((records_find(same, 1, "f16") != NULL) == (found != NULL), "a record is lost");
	records_close(same);
	free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n, whole;
	if (size == 0)
		return 0;
	char *text = make_file(data, size, &n);
	struct records *r = parse(text, n, &whole);
	if (r != NULL)
		check_records(text, r, n, whole);
	records_close(r);
	free(text);
	return 0;
}
