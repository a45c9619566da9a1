/* SPDX-License-Identifier: MIT */
/**
 * \file    reread.c
 * \brief   The words that ask for a repetition, and the chunks behind them.
 *
 * Source: KVzip, arXiv 2505.23416, section 3.2: a prompt for the first chunk, one that cites the end of the chunk before for each
 * later one.
 */
#include "reread.h"

#include <stdlib.h>
#include <string.h>

#include "progress.h"

/* Tokens of the chunk before that are cited. */
#define CITED 8

/* Words in front of a chunk. */
struct words {
	int32_t *first, *before, *behind; /* of the first chunk; around what is cited */
	size_t n_first, n_before, n_behind;
};

clkv_phase reread_last_phase(const struct engine_stream *stream)
{
	return clkv_cache_rereads(stream->cache) ? CLKV_PROMPT : CLKV_PROMPT_END;
}

static bool encode(const struct session *session, const char *text, int32_t **ids, size_t *n,
                   struct tool_error *error)
{
	return tokenizer_encode(session->tokenizer, text, strlen(text), false, ids, n, error);
}

static bool open_words(const struct session *session, struct words *w, struct tool_error *error)
{
	return encode(session, "\n\nRepeat the previous context exactly.\n\n", &w->first, &w->n_first,
	              error) &&
	       encode(session, "\n\nRepeat the part of the previous context exactly, starting with `",
	              &w->before, &w->n_before, error) &&
	       encode(session, "`.\n\n", &w->behind, &w->n_behind, error);
}

static void close_words(struct words *w)
{
	free(w->first);
	free(w->before);
	free(w->behind);
}

static int32_t *put(int32_t *to, const int32_t *ids, size_t n)
{
	memcpy(to, ids, n * sizeof *to);
	return to + n;
}

/* Tokens of a pass that repeats from `from` on, as many as there is room for; *n is how many, *to where the next one begins. */
static void fill_pass(const struct words *w, const int32_t *ids, size_t n_ids, size_t from,
                      size_t most, int32_t *tokens, size_t *n, size_t *to)
{
	const size_t cited = from < CITED ? from : CITED;
	int32_t *at =
		from == 0 ? put(tokens, w->first, w->n_first) : put(tokens, w->before, w->n_before);
	if (from > 0)
		at = put(put(at, ids + from - cited, cited), w->behind, w->n_behind);
	const size_t room = most - (size_t)(at - tokens), left = n_ids - from;
	*to = from + (left < room ? left : room);
	at = put(at, ids + from, *to - from);
	*n = (size_t)(at - tokens);
}

static bool read_chunks(struct session *session, struct engine_stream *stream, const int32_t *ids,
                        size_t n, const struct words *words, int32_t *tokens, const char *bar,
                        struct tool_error *error)
{
	for (size_t done = 0, next; done < n; done = next) {
		struct engine_pass pass = {
			.streams = &stream,
			.n_streams = 1,
			.tokens = tokens,
			.phase = CLKV_REREAD,
			.want = ENGINE_NO_LOGITS,
		};
		fill_pass(words, ids, n, done, engine_max_rows(session->engine), tokens, &pass.n_each,
		          &next);
		if (!engine_run(session->engine, &pass, error) || !engine_finish(session->engine, error))
			return false;
		if (bar != NULL)
			progress_show(bar, next, n);
	}
	return true;
}

static bool read_again(struct session *session, struct engine_stream *stream, const int32_t *ids,
                       size_t n, const char *bar, struct tool_error *error)
{
	struct words words = {0};
	const size_t most = engine_max_rows(session->engine);
	int32_t *tokens = calloc(most, sizeof *tokens);
	bool done = tokens != NULL || tool_fail(error, "out of memory");
	done = done && open_words(session, &words, error);
	if (done && words.n_first + words.n_before + words.n_behind + CITED >= most)
		done = tool_fail(
			error, "passes of %zu rows have no room for the words that ask to repeat a prompt",
			most);
	done = done && read_chunks(session, stream, ids, n, &words, tokens, bar, error);
	close_words(&words);
	free(tokens);
	return done;
}

bool reread_end(struct session *session, struct engine_stream *stream, const int32_t *ids, size_t n,
                const char *bar, struct tool_error *error)
{
	clkv_error cause = {0};
	if (!clkv_cache_rereads(stream->cache))
		return true;
	if (!read_again(session, stream, ids, n, bar, error))
		return false;
	return clkv_seq_end_prompt(stream->seq, engine_queue(session->engine), &cause) == CLKV_OK ||
	       tool_fail_clkv(error, "ending a prompt", &cause);
}
