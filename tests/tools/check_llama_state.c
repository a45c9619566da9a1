/* SPDX-License-Identifier: MIT */
/**
 * \file    check_llama_state.c
 * \brief   The reader and the writer of llama.cpp's state files: what a right file says, and that no wrong one does harm.
 *
 * Files are parsed from blocks of exactly their size, so that a sanitizer sees every byte read outside.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llama_state.h"
#include "snapshot_look.h"
#include "support/state_build.h"
#include "support/suite.h"

static const struct state_build small = {
	.type = 1, .cells = 5, .layers = 3, .width_k = 6, .width_v = 4};

/* Opens bytes from a block of their size, which the caller frees behind the state; NULL if they are refused. */
static struct llama_state *open_bytes(const unsigned char *data, size_t n, unsigned char **copy,
                                      struct tool_error *error)
{
	struct llama_state *state = NULL;
	*copy = malloc(n > 0 ? n : 1);
	ck_assert_ptr_nonnull(*copy);
	memcpy(*copy, data, n);
	error->text[0] = '\0';
	if (llama_state_open_memory(*copy, n, &state, error))
		return state;
	ck_assert_msg(error->text[0] != '\0', "refused without a word");
	free(*copy);
	return NULL;
}

static void refuse_bytes(const unsigned char *data, size_t n, const char *word)
{
	struct tool_error error;
	unsigned char *copy;
	ck_assert_msg(open_bytes(data, n, &copy, &error) == NULL, "accepted: %s", word);
	ck_assert_msg(strstr(error.text, word) != NULL, "'%s' lacks '%s'", error.text, word);
}

static void refuse(const struct state_build *s, const char *word)
{
	struct gguf_build b = state_build(s);
	refuse_bytes(b.data, b.size, word);
	gguf_build_free(&b);
}

/* ---------------------------------------------------------------- right files ---- */

/* Every kind of file: bit 0 session, bit 1 V by channel, then three types. */
static struct state_build kind(int i)
{
	static const uint32_t types[] = {0, 1, 30};
	struct state_build s = small;
	s.session = i % 2 == 1;
	s.transposed = i / 2 % 2 == 1;
	s.type = types[i / 4];
	return s;
}

enum { KINDS = 12 };

static void expect_rows(const struct state_build *s, const struct llama_state *state,
                        const struct llama_sequence *sequence, uint32_t layer, uint32_t side)
{
	const uint32_t width = side == 0 ? s->width_k : s->width_v, bytes = s->type == 0 ? 4 : 2;
	unsigned char rows[3 * 8 * 4];
	llama_state_read(state, sequence, layer, (enum llama_side)side, 1, 3, rows);
	for (uint32_t i = 0; i < 3 * width; i++) {
		uint32_t bits = 0;
		memcpy(&bits, rows + i * bytes, bytes);
		ck_assert_uint_eq(bits, state_build_bits(s, layer, side, 1 + i / width, i % width));
	}
}

START_TEST(test_rows_come_in_the_order_of_positions)
{
	struct state_build s = kind(_i);
	struct tool_error error;
	struct llama_sequence sequence;
	unsigned char *copy;
	s.reversed = true;
	struct gguf_build b = state_build(&s);
	struct llama_state *state = open_bytes(b.data, b.size, &copy, &error);
	ck_assert_msg(state != NULL, "%s", error.text);
	ck_assert(state->session == s.session);
	ck_assert_uint_eq(state->n_tokens, 3);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(llama_state_token(state, i), state_build_token(i));
	ck_assert(!s.session || gguf_string_is(state->model, "llama"));
	ck_assert_msg(llama_state_find(state, SIZE_MAX, &sequence, &error), "%s", error.text);
	ck_assert_uint_eq(sequence.n, s.cells);
	ck_assert_uint_eq(sequence.stream->n_layers, s.layers);
	for (uint32_t i = 0; i < 2 * s.layers; i++)
		expect_rows(&s, state, &sequence, i / 2, i % 2);
	llama_sequence_close(&sequence);
	llama_state_close(state);
	free(copy);
	gguf_build_free(&b);
}
END_TEST

/* Two streams: an empty one, and cells of sequences 3 and 5 that share the first token. */
static struct gguf_build shared_cells(void)
{
	static const uint32_t words[] = {0x6767736e, 10, 0, 1,                /* one letter */
	                                 0x78000000, 0,  3,                   /* completed below */
	                                 0,          2,  3, 5, 1, 1, 5, 1, 1, /* cells */
	                                 3,          0,  1};
	struct gguf_build b = {NULL, 0, 0};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (i != 4) {
			gguf_build_u32(&b, words[i]);
			continue;
		}
		gguf_build_u8(&b, 'x');
		gguf_build_u32(&b, 2); /* streams */
	}
	for (uint32_t side = 0; side < 2; side++) {
		gguf_build_u32(&b, 0);
		gguf_build_u64(&b, 4);
		for (uint32_t cell = 0; cell < 3; cell++)
			gguf_build_u32(&b, 10 * side + cell);
	}
	return b;
}

START_TEST(test_sequences_share_cells)
{
	static const uint32_t expected[][2] = {{0, 2}, {0, 1}};
	struct gguf_build b = shared_cells();
	struct tool_error error;
	struct llama_sequence sequence;
	unsigned char *copy;
	uint32_t rows[2];
	struct llama_state *state = open_bytes(b.data, b.size, &copy, &error);
	ck_assert_msg(state != NULL, "%s", error.text);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_msg(llama_state_find(state, 3 + 2 * i, &sequence, &error), "%s", error.text);
		ck_assert_uint_eq(sequence.n, 2);
		llama_state_read(state, &sequence, 0, LLAMA_V, 0, 2, rows);
		ck_assert_uint_eq(rows[0], 10 + expected[i][0]);
		ck_assert_uint_eq(rows[1], 10 + expected[i][1]);
		llama_sequence_close(&sequence);
	}
	ck_assert(!llama_state_find(state, SIZE_MAX, &sequence, &error));
	ck_assert_msg(strstr(error.text, "2 sequences, the first is 3") != NULL, "%s", error.text);
	error.text[0] = '\0';
	ck_assert(!llama_state_find(state, 4, &sequence, &error));
	ck_assert_msg(strstr(error.text, "no sequence 4") != NULL, "%s", error.text);
	llama_state_close(state);
	free(copy);
	gguf_build_free(&b);
}
END_TEST

/* ---------------------------------------------------------------- wrong files ---- */

static const struct {
	enum state_field field;
	uint64_t value;
	const char *word;
	bool session, transposed;
} wrong[] = {
	{STATE_MAGIC, 0x12345678, "no state file", false, false},
	{STATE_VERSION, 2, "sequence file of version 2; 3 is known", false, false},
	{STATE_VERSION, 3, "session file of version 3; 10 is known", true, false},
	{STATE_TOKENS, 0xffffffff, "claims 4294967295 tokens", false, false},
	{STATE_TOKENS, 0x40000003, "claims 1073741827 tokens", false, false}, /* 4 n is 12 in 32 bits */
	{STATE_LETTERS, 0xfffffff0, "letters", true, false},
	{STATE_STREAMS, 0, "0 streams", false, false},
	{STATE_STREAMS, 257, "streams", true, false},
	{STATE_STREAMS, 0xffffffff, "streams", false, false},
	{STATE_STREAMS, 2, "inside cells", false, false},
	{STATE_CELLS, 0xffffffff, "claims 4294967295 cells", false, false},
	{STATE_CELLS, 0, "bytes are left", false, false},
	{STATE_CELLS, 6, "", false, false},
	{STATE_POSITION, 0xffffffff, "position -1", false, false},
	{STATE_IDS, 0, "0 sequences", false, false},
	{STATE_IDS, 2, "2 sequences, not 1 to 1", false, false},
	{STATE_IDS, 257, "257 sequences", true, false},
	{STATE_IDS, 0xffffffff, "sequences", true, false},
	{STATE_ID, 256, "sequence 256", true, false},
	{STATE_ID, 0xffffffff, "sequence -1", false, false},
	{STATE_TRANSPOSED, 2, "in way 2", false, false},
	{STATE_TRANSPOSED, 1, "V of layer 0", false, false},
	{STATE_LAYERS, 0, "0 layers", false, false},
	{STATE_LAYERS, 1025, "1025 layers", false, false},
	{STATE_LAYERS, 4, "", false, false},
	{STATE_TYPE_K, 8, "K of layer 0 is q8_0", false, false},
	{STATE_TYPE_V, 2, "V of layer 0 is q4_0", false, true},
	{STATE_TYPE_K, 99, "type 99", false, false},
	{STATE_TYPE_K, 0xffffffff, "type 4294967295", false, false},
	{STATE_TYPE_K, 30, "layer 1 has rows of 6 values of type 1, layer 0 of 6 of type 30", false,
     false},
	{STATE_ROW_K, 0, "0 bytes", false, false},
	{STATE_ROW_K, 13, "13 bytes", false, false},
	{STATE_ROW_K, UINT64_MAX - 1, "claim", false, false},
	{STATE_ROW_K, 0x100000000c, "claim", false, false}, /* 12 in 32 bits */
	{STATE_ROW_K, 200, "needs 5 rows of 200 bytes", false, false},
	{STATE_ROW_V, UINT64_MAX - 1, "claim", true, false},
	{STATE_ROW_V, 4, "values of 4 bytes", false, true},
	{STATE_WIDTH_V, 0, "0 bytes", false, true},
	{STATE_WIDTH_V, 0xffffffff, "claim", false, true},
	{STATE_WIDTH_V, 5, "", false, true},
};

START_TEST(test_wrong_fields_are_named)
{
	struct state_build s = small;
	s.session = wrong[_i].session;
	s.transposed = wrong[_i].transposed;
	s.wrong = wrong[_i].field;
	s.value = wrong[_i].value;
	refuse(&s, wrong[_i].word);
}
END_TEST

START_TEST(test_every_truncation_is_refused)
{
	struct state_build s = kind(_i);
	struct gguf_build b = state_build(&s);
	for (size_t n = 0; n < b.size; n++)
		refuse_bytes(b.data, n, "state");
	gguf_build_u8(&b, 0);
	refuse_bytes(b.data, b.size, "1 bytes are left behind");
	gguf_build_free(&b);
}
END_TEST

/* Positions that a file may have, and no sequence of clkv. */
START_TEST(test_positions_must_be_all_there)
{
	static const uint32_t first[] = {1, 5, INT32_MAX};
	struct state_build s = small;
	struct tool_error error;
	struct llama_sequence sequence;
	unsigned char *copy;
	s.wrong = STATE_POSITION;
	s.value = first[_i];
	struct gguf_build b = state_build(&s);
	struct llama_state *state = open_bytes(b.data, b.size, &copy, &error);
	ck_assert_msg(state != NULL, "%s", error.text);
	ck_assert(!llama_state_find(state, 0, &sequence, &error));
	ck_assert_msg(strstr(error.text, "each of 0 to 4") != NULL, "%s", error.text);
	llama_state_close(state);
	free(copy);
	gguf_build_free(&b);
}
END_TEST

/* ---------------------------------------------------------------- writing ---- */

static bool give_rows(void *opaque, size_t layer, enum llama_side side, void *rows,
                      struct tool_error *error)
{
	const struct state_build *s = opaque;
	const uint32_t width = side == LLAMA_K ? s->width_k : s->width_v, bytes = s->type == 0 ? 4 : 2;
	if (layer == s->layers)
		return tool_fail(error, "no such rows");
	for (uint32_t i = 0; i < s->cells * width; i++) {
		const uint32_t bits =
			state_build_bits(s, (uint32_t)layer, (uint32_t)side, i / width, i % width);
		memcpy((unsigned char *)rows + i * bytes, &bits, bytes);
	}
	return true;
}

static const int32_t three[] = {7, 49151, -1};

static struct llama_shape shape_of(const struct state_build *s)
{
	return (struct llama_shape){.session = s->session,
	                            .model = "llama",
	                            .tokens = three,
	                            .n_tokens = 3,
	                            .n_streams = s->streams,
	                            .stream = s->stream,
	                            .n_cells = s->cells,
	                            .transposed = s->transposed,
	                            .n_layers = s->layers,
	                            .type = (enum llama_type)s->type,
	                            .width = {s->width_k, s->width_v}};
}

START_TEST(test_what_is_written_is_the_layout)
{
	struct state_build s = kind(_i);
	struct tool_error error = {""};
	s.streams = 1 + (uint32_t)_i % 3;
	s.stream = s.streams - 1;
	struct gguf_build b = state_build(&s);
	struct llama_shape shape = shape_of(&s);
	char *written = NULL;
	size_t n = 0;
	FILE *file = open_memstream(&written, &n);
	ck_assert_ptr_nonnull(file);
	ck_assert_msg(llama_state_write(&shape, give_rows, &s, file, &error), "%s", error.text);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_uint_eq(n, b.size);
	ck_assert_mem_eq(written, b.data, n);
	free(written);
	gguf_build_free(&b);
}
END_TEST

START_TEST(test_failures_of_writing_are_told)
{
	struct state_build s = small;
	struct tool_error error = {""};
	s.streams = 1;
	struct llama_shape shape = shape_of(&s);
	FILE *full = fopen("/dev/full", "wb"), *null = fopen("/dev/null", "wb");
	ck_assert_ptr_nonnull(null);
	if (full != NULL) {
		setbuf(full, NULL);
		ck_assert(!llama_state_write(&shape, give_rows, &s, full, &error));
		ck_assert_msg(strstr(error.text, strerror(ENOSPC)) != NULL, "%s", error.text);
		(void)fclose(full);
	}
	shape.n_layers++;
	error.text[0] = '\0';
	ck_assert(!llama_state_write(&shape, give_rows, &s, null, &error));
	ck_assert_str_eq(error.text, "no such rows");
	(void)fclose(null);
}
END_TEST

/* ---------------------------------------------------------------- snapshots ---- */

enum { HEAD = 48, RECORDS = 4000 };

/* A header of 2 layers of 2 heads, then bytes for 25 records of each head: 25 * 128 tokens at most. */
static void make_head(unsigned char *data)
{
	static const uint32_t words[] = {1, 3, 2, 2, 64, 32, 3200, 0, 0, 0};
	memset(data, 0, RECORDS);
	memcpy(data,
	       "\x89"
	       "CLKV\r\n\x1a",
	       8);
	memcpy(data + 8, words, sizeof words);
	memcpy(data + HEAD, "f16", 3);
}

static const struct {
	size_t word;
	uint32_t value;
	const char *says;
} wrong_heads[] = {{0, 3, "version 3"},       {1, 0, "0 letters"},      {1, 4096, "4096 letters"},
                   {1, 3990, "3990 letters"}, {2, 0, "0 layers"},       {2, 1025, "1025 layers"},
                   {3, 0, "0 KV heads"},      {3, 0xffffffff, "heads"}, {2, 3, "more than its"},
                   {6, 3201, "3201 tokens"},  {6, 0xffffffff, "tokens"}};

START_TEST(test_snapshots_say_what_they_hold)
{
	unsigned char data[RECORDS];
	struct snapshot_look look;
	struct tool_error error = {""};
	make_head(data);
	ck_assert_msg(snapshot_look(data, RECORDS, &look, &error), "%s", error.text);
	ck_assert_uint_eq(look.layers, 2);
	ck_assert_uint_eq(look.kv_heads, 2);
	ck_assert_uint_eq(look.dim_k, 64);
	ck_assert_uint_eq(look.dim_v, 32);
	ck_assert_uint_eq(look.length, 3200);
	ck_assert_str_eq(look.recipe, "f16");
	ck_assert(!snapshot_look(data, HEAD - 1, &look, &error));
	for (size_t i = 0; i < sizeof wrong_heads / sizeof wrong_heads[0]; i++) {
		make_head(data);
		memcpy(data + 8 + 4 * wrong_heads[i].word, &wrong_heads[i].value, 4);
		error.text[0] = '\0';
		ck_assert(!snapshot_look(data, RECORDS, &look, &error));
		ck_assert_msg(strstr(error.text, wrong_heads[i].says) != NULL, "'%s' lacks '%s'",
		              error.text, wrong_heads[i].says);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("llama_state");
	TCase *c = tcase_create("files");
	tcase_add_loop_test(c, test_rows_come_in_the_order_of_positions, 0, KINDS);
	tcase_add_test(c, test_sequences_share_cells);
	tcase_add_loop_test(c, test_wrong_fields_are_named, 0, (int)(sizeof wrong / sizeof wrong[0]));
	tcase_add_loop_test(c, test_every_truncation_is_refused, 0, KINDS);
	tcase_add_loop_test(c, test_positions_must_be_all_there, 0, 3);
	tcase_add_loop_test(c, test_what_is_written_is_the_layout, 0, KINDS);
	tcase_add_test(c, test_failures_of_writing_are_told);
	tcase_add_test(c, test_snapshots_say_what_they_hold);
	suite_add_tcase(suite, c);
	return run_suite(suite);
}
