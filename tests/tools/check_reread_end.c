/* SPDX-License-Identifier: MIT */
/**
 * \file    check_reread_end.c
 * \brief   How tools read a prompt again: in which words and chunks, and that the prompt ends as if an engine had done so itself.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "byte_level.h"
#include "reread.h"
#include "support/gguf_build.h"
#include "support/suite.h"
#include "support/tiny_session.h"

/* A pass of 128 rows holds the words around a chunk, about 70 tokens of a byte each, and some of the chunk. */
enum { ROWS = 128, PROMPT = 150, SLOTS = 160, VOCABULARY = 90 };
#define KVZIP "kvzip:budget=96 ; window=16,sinks=4,block=32"

/* Tokens are single characters: a new line, a blank, and those from ' on, up to ~. */
static struct gguf_build vocabulary(void)
{
	struct gguf_build b = {NULL, 0, 0};
	struct byte_level map;
	char text[4];
	byte_level_init(&map);
	gguf_build_header(&b, 3, 0, 4);
	gguf_build_text(&b, "tokenizer.ggml.model", "gpt2");
	gguf_build_text(&b, "tokenizer.ggml.pre", "default");
	gguf_build_array(&b, "tokenizer.ggml.tokens", 8, VOCABULARY);
	for (int i = 0; i < VOCABULARY; i++) {
		unsigned char byte = (unsigned char)(i == 0 ? '\n' : i == 1 ? ' ' : '\'' + i - 2);
		gguf_build_string(&b, text, byte_level_encode(&map, byte, text));
	}
	gguf_build_array(&b, "tokenizer.ggml.merges", 8, 0);
	return b;
}

struct opened {
	struct session session;
	struct gguf_build file;
	struct gguf *gguf;
	int32_t ids[PROMPT];
};

static bool open_all(struct opened *o, size_t rows)
{
	struct tool_error error = {""};
	if (!tiny_session_open(&o->session, rows))
		return false;
	ck_assert_int_eq(o->session.model->vocabulary, VOCABULARY);
	o->file = vocabulary();
	ck_assert_msg(gguf_open_memory(o->file.data, o->file.size, &o->gguf, &error), "%s", error.text);
	ck_assert_msg(tokenizer_create(o->gguf, &o->session.tokenizer, &error), "%s", error.text);
	tiny_session_text(&o->session, 0, o->ids, PROMPT);
	return true;
}

static void close_all(struct opened *o)
{
	session_close(&o->session);
	gguf_close(o->gguf);
	gguf_build_free(&o->file);
}

static void open_stream(const struct opened *o, const char *recipe, struct engine_stream *stream)
{
	struct tool_error error = {""};
	ck_assert_msg(session_stream_open(&o->session, recipe, PROMPT + ROWS, stream, &error), "%s",
	              error.text);
}

static void run(struct opened *o, struct engine_stream *stream, const int32_t *ids, size_t n,
                clkv_phase phase)
{
	struct tool_error error = {""};
	const struct engine_pass pass = {.streams = &stream,
	                                 .n_streams = 1,
	                                 .tokens = ids,
	                                 .n_each = n,
	                                 .phase = phase,
	                                 .want = ENGINE_NO_LOGITS};
	ck_assert_msg(engine_run(o->session.engine, &pass, &error), "%s", error.text);
	ck_assert(engine_finish(o->session.engine, &error));
}

/* Runs all of it as a prompt that doesn't end. */
static void run_prompt(struct opened *o, struct engine_stream *stream)
{
	for (size_t done = 0; done < PROMPT; done += ROWS)
		run(o, stream, o->ids + done, PROMPT - done < ROWS ? PROMPT - done : ROWS, CLKV_PROMPT);
}

static size_t put_words(const struct opened *o, const char *text, int32_t *to)
{
	struct tool_error error = {""};
	int32_t *ids = NULL;
	size_t n;
	ck_assert(tokenizer_encode(o->session.tokenizer, text, strlen(text), false, &ids, &n, &error));
	ck_assert_uint_eq(n, strlen(text));
	memcpy(to, ids, n * sizeof *to);
	free(ids);
	return n;
}

/* What is read again, written out: words, behind the first chunk with its predecessor's last 8 tokens in them, then as much of the
 * prompt as a pass has room for. Returns how many passes there were. */
static size_t reread_by_hand(struct opened *o, struct engine_stream *stream)
{
	int32_t tokens[ROWS];
	size_t passes = 0;
	for (size_t done = 0; done < PROMPT; passes++) {
		size_t n = 0;
		if (done == 0) {
			n = put_words(o, "\n\nRepeat the previous context exactly.\n\n", tokens);
		} else {
			n = put_words(o, "\n\nRepeat the part of the previous context exactly, starting with `",
			              tokens);
			memcpy(tokens + n, o->ids + done - 8, 8 * sizeof *tokens);
			n += 8;
			n += put_words(o, "`.\n\n", tokens + n);
		}
		size_t chunk = PROMPT - done < ROWS - n ? PROMPT - done : ROWS - n;
		memcpy(tokens + n, o->ids + done, chunk * sizeof *tokens);
		run(o, stream, tokens, n + chunk, CLKV_REREAD);
		done += chunk;
	}
	return passes;
}

struct kept {
	uint32_t positions[SLOTS];
	float scores[SLOTS];
	size_t n;
};

static struct kept kept_of(const struct opened *o, const struct engine_stream *stream, int layer,
                           int head)
{
	struct kept k = {.n = 0};
	clkv_kept want = CLKV_INIT(clkv_kept);
	clkv_error error = {0};
	want.room = SLOTS, want.positions = k.positions, want.scores = k.scores;
	clkv_status status =
		clkv_seq_get_kept(stream->seq, layer, head, &want, engine_queue(o->session.engine), &error);
	ck_assert_msg(status == CLKV_OK, "%s", error.text);
	k.n = want.n;
	return k;
}

/* The same slots with the same scores, to the bit, as of passes that a caller makes itself; and not those of a prompt whose words
 * were others. */
START_TEST(test_a_prompt_is_read_in_these_words)
{
	static struct opened o;
	struct engine_stream by_tool = {0}, by_hand = {0}, once = {0};
	struct tool_error error = {""};
	clkv_error cause = {0};
	if (!open_all(&o, ROWS))
		return;
	open_stream(&o, KVZIP, &by_tool);
	open_stream(&o, KVZIP, &by_hand);
	open_stream(&o, KVZIP, &once);
	run_prompt(&o, &by_tool);
	run_prompt(&o, &by_hand);
	run_prompt(&o, &once);
	ck_assert_int_eq(reread_last_phase(&by_tool), CLKV_PROMPT);
	ck_assert_msg(reread_end(&o.session, &by_tool, o.ids, PROMPT, NULL, &error), "%s", error.text);
	ck_assert_uint_eq(reread_by_hand(&o, &by_hand), 3);
	ck_assert_int_eq(clkv_seq_end_prompt(by_hand.seq, engine_queue(o.session.engine), &cause),
	                 CLKV_OK);
	run(&o, &once, o.ids, ROWS, CLKV_REREAD);
	ck_assert_int_eq(clkv_seq_end_prompt(once.seq, engine_queue(o.session.engine), &cause),
	                 CLKV_OK);
	bool differs = false;
	for (int layer = 0; layer < o.session.model->n_layers; layer++)
		for (int head = 0; head < o.session.model->kv_heads; head++) {
			const struct kept a = kept_of(&o, &by_tool, layer, head),
							  b = kept_of(&o, &by_hand, layer, head),
							  c = kept_of(&o, &once, layer, head);
			ck_assert_uint_eq(a.n, b.n);
			ck_assert_int_eq(memcmp(a.positions, b.positions, a.n * sizeof *a.positions), 0);
			ck_assert_int_eq(memcmp(a.scores, b.scores, a.n * sizeof *a.scores), 0);
			differs = differs || memcmp(a.scores, c.scores, a.n * sizeof *a.scores) != 0;
		}
	ck_assert(differs);
	ck_assert_uint_eq(by_tool.length, PROMPT);
	session_stream_close(&by_tool);
	session_stream_close(&by_hand);
	session_stream_close(&once);
	close_all(&o);
}
END_TEST

/* Other recipes end their prompts with the last rows, and nothing is read. */
START_TEST(test_other_recipes_read_once)
{
	static struct opened o;
	struct engine_stream stream = {0};
	struct tool_error error = {""};
	if (!open_all(&o, ROWS))
		return;
	open_stream(&o, "f16", &stream);
	ck_assert_int_eq(reread_last_phase(&stream), CLKV_PROMPT_END);
	run(&o, &stream, o.ids, ROWS, CLKV_PROMPT_END);
	ck_assert_msg(reread_end(&o.session, &stream, o.ids, ROWS, NULL, &error), "%s", error.text);
	session_stream_close(&stream);
	close_all(&o);
}
END_TEST

START_TEST(test_passes_without_room_for_the_words_are_refused)
{
	static struct opened o;
	struct engine_stream stream = {0};
	struct tool_error error = {""};
	if (!open_all(&o, 64))
		return;
	open_stream(&o, KVZIP, &stream);
	run(&o, &stream, o.ids, 64, CLKV_PROMPT);
	ck_assert(!reread_end(&o.session, &stream, o.ids, 64, NULL, &error));
	ck_assert_msg(strstr(error.text, "passes of 64 rows") != NULL, "%s", error.text);
	ck_assert_uint_eq(stream.length, 64);
	session_stream_close(&stream);
	close_all(&o);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reread end");
	TCase *tcase = tcase_create("prompt");
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_a_prompt_is_read_in_these_words);
	tcase_add_test(tcase, test_other_recipes_read_once);
	tcase_add_test(tcase, test_passes_without_room_for_the_words_are_refused);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
