/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_board.c
 * \brief   Which scores there are, which are missing, and a file that they are kept in.
 *
 * Scores of window w under slot s lie at scores[w * slots + s].
 */
#include "eval_board.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval_records.h"
#include "progress.h"

#include "base/hash.h"

size_t eval_slot(const struct eval_options *o, size_t recipe)
{
	return strcmp(o->recipes[recipe], "f16") == 0 ? 0 : recipe + 1;
}

struct eval_scores *eval_board_scores(const struct eval_board *b, size_t window, size_t slot)
{
	return &b->scores[window * b->slots + slot];
}

static bool open_scores(struct eval_board *b, struct tool_error *error)
{
	const size_t n = b->work.n_windows * b->slots;
	b->scores = calloc(n, sizeof *b->scores);
	if (b->scores == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < n; i++)
		if (!eval_scores_open(&b->scores[i], b->work.n_each))
			return tool_fail(error, "no memory for %zu scores", b->work.n_each);
	return true;
}

void eval_board_close(struct eval_board *b)
{
	for (size_t i = 0; b->scores != NULL && i < b->work.n_windows * b->slots; i++)
		eval_scores_close(&b->scores[i]);
	free(b->scores);
	records_close(b->records);
}

/* A file that recipes are given: which one it was decides what they do. */
static void print_given(FILE *head, const char *name, const struct given_file *file)
{
	uint64_t hash = clkv__hash(CLKV__HASH_START, file->data, file->data != NULL ? file->size : 0);
	(void)fprintf(head, "%s %016" PRIx64 "\n", name, file->data != NULL ? hash : 0);
}

/* What a window consists of beside its tokens. */
static void print_window(const struct eval_board *b, FILE *head)
{
	const struct eval_options *o = b->eval->options;
	if (eval_retrieves(o))
		(void)fprintf(head, "task %s\nscores %zu\n", task_name(o->task), b->work.n_each);
	else
		(void)fprintf(head, "context %zu\ngenerated %zu\ntokens %zu\nrows %zu\ngreedy %zu\n",
		              o->contexts[0], o->generated, o->tokens, o->rows, o->greedy);
}

/* All that scores hang on beside the window's tokens and the recipe. */
static void print_head(const struct eval_board *b, FILE *head)
{
	static const char *const prompts[] = {"exact", "chunked", "growing"};
	const struct eval_options *o = b->eval->options;
	const struct session *session = &b->eval->session;
	(void)fprintf(head, RECORDS_TITLE "\nlibrary %s\nmodel %016" PRIx64 "\ndevice %s, %s\n",
	              clkv_version(), model_fingerprint(session->model), session->device.name,
	              session->device.driver);
	print_window(b, head);
	(void)fprintf(head, "prompt %s\nproducts %d\n", prompts[o->prompt], (int)o->products);
	print_given(head, "codebook", &session->given.codebook);
	print_given(head, "rotation", &session->given.rotation);
	print_given(head, "calibration", &session->given.calibration);
	print_given(head, "factors", &session->given.factors);
}

static bool open_records(struct eval_board *b, struct tool_error *error)
{
	const struct eval_options *o = b->eval->options;
	char *head = NULL;
	size_t size;
	if (o->resume == NULL)
		return true;
	FILE *out = open_memstream(&head, &size);
	if (out == NULL)
		return tool_fail(error, "out of memory");
	print_head(b, out);
	bool done = fclose(out) == 0 || tool_fail(error, "out of memory");
	done = done && records_open(o->resume, head, b->work.n_each, &b->records, error);
	free(head);
	return done;
}

bool eval_board_open(struct eval_board *board, const struct eval *eval,
                     const struct eval_work *work, struct tool_error *error)
{
	*board =
		(struct eval_board){.eval = eval, .work = *work, .slots = eval->options->n_recipes + 1};
	return open_scores(board, error) && open_records(board, error);
}

/* By which name the file has a slot's scores. */
static const char *key_of(const struct eval_options *o, size_t slot)
{
	if (slot == 0)
		return "f16";
	return o->key[slot - 1] != NULL ? o->key[slot - 1] : o->recipes[slot - 1];
}

/* Takes a slot's scores from the file, if it has them. */
static bool recall_scores(struct eval_board *b, size_t window, uint64_t hash, size_t slot)
{
	const struct eval_scores *found =
		b->records != NULL ? records_find(b->records, hash, key_of(b->eval->options, slot)) : NULL;
	struct eval_scores *s = eval_board_scores(b, window, slot);
	if (found == NULL)
		return false;
	memcpy(s->loss, found->loss, 3 * s->n * sizeof *s->loss);
	s->bytes_per_token = found->bytes_per_token;
	s->prefill_tokens_per_s = found->prefill_tokens_per_s;
	s->greedy = found->greedy;
	return true;
}

static bool counts(const struct eval_board *b, size_t window)
{
	return b->work.counts == NULL || b->work.counts(eval_board_scores(b, window, 0));
}

/* A recipe that a window doesn't count for has no scores of it. */
static bool keep_scores(struct eval_board *b, size_t window, uint64_t hash, const bool *is_new,
                        struct tool_error *error)
{
	const size_t slots = counts(b, window) ? b->slots : 1;
	for (size_t slot = 0; b->records != NULL && slot < slots; slot++)
		if (is_new[slot] && !records_append(b->records, hash, key_of(b->eval->options, slot),
		                                    eval_board_scores(b, window, slot), error))
			return false;
	return true;
}

/* Looks which scores of a window are missing, f16's first; returns whether any is. */
static bool find_missing(struct eval_board *b, size_t window, uint64_t hash, bool *is_new)
{
	const struct eval_options *o = b->eval->options;
	bool any = is_new[0] = !recall_scores(b, window, hash, 0);
	const bool is_settled = !is_new[0] && !counts(b, window);
	for (size_t i = 0; i < o->n_recipes; i++) {
		is_new[i + 1] =
			!is_settled && eval_slot(o, i) != 0 && !recall_scores(b, window, hash, i + 1);
		any = any || is_new[i + 1];
	}
	return any;
}

/* How many windows are to be run: what a file has takes no time. */
static size_t count_missing(struct eval_board *b)
{
	bool is_new[EVAL_MOST_RECIPES + 1];
	size_t n = 0;
	for (size_t w = 0; w < b->work.n_windows; w++)
		n += find_missing(b, w, b->work.begin(b->work.opaque, w), is_new);
	return n;
}

bool eval_board_run(struct eval_board *b, struct tool_error *error)
{
	bool is_new[EVAL_MOST_RECIPES + 1];
	const size_t n = count_missing(b);
	for (size_t w = 0, done = 0; w < b->work.n_windows; w++) {
		uint64_t hash = b->work.begin(b->work.opaque, w);
		if (!find_missing(b, w, hash, is_new))
			continue;
		progress_part(done++, n);
		if (!b->work.run(b->work.opaque, w, is_new + 1, eval_board_scores(b, w, 0), error) ||
		    !keep_scores(b, w, hash, is_new, error))
			return false;
	}
	return true;
}
