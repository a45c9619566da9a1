/* SPDX-License-Identifier: MIT */
/**
 * \file    check_convert.c
 * \brief   States of llama.cpp into snapshots and back: what must come back, and what is refused.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert.h"
#include "support/fixture.h"
#include "support/state_build.h"
#include "support/tiny_model.h"
#include "text_file.h"

/* Two steps of a prompt, the second not full; as many heads and layers as the tiny model has. */
static const struct state_build usual = {
	.type = 1, .cells = 700, .layers = 2, .width_k = 128, .width_v = 128};

enum { HEADS = 2 };

static const char *const files[] = {"state", "snapshot", "again", "tokens", "model", "want"};

enum { FILES = sizeof files / sizeof files[0] };

static char folder[64];

/* The path of one of the files that tests make. */
static const char *in_folder(const char *name)
{
	static char paths[FILES][128];
	size_t i = 0;
	while (strcmp(files[i], name) != 0)
		i++;
	ck_assert_int_lt(snprintf(paths[i], sizeof paths[i], "%s/%s", folder, name), 128);
	return paths[i];
}

static void write_file(const char *name, const void *data, size_t n)
{
	FILE *file = fopen(in_folder(name), "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert(n == 0 || fwrite(data, n, 1, file) == 1);
	ck_assert_int_eq(fclose(file), 0);
}

static char *read_file(const char *name, size_t *n)
{
	char *data;
	struct tool_error error = {""};
	ck_assert_msg(text_file_read(in_folder(name), &data, n, &error), "%s", error.text);
	return data;
}

static void write_state(const char *name, const struct state_build *s)
{
	struct gguf_build b = state_build(s);
	write_file(name, b.data, b.size);
	gguf_build_free(&b);
}

static void expect_same(const char *a, const char *b)
{
	size_t na, nb;
	char *x = read_file(a, &na), *y = read_file(b, &nb);
	ck_assert_uint_eq(na, nb);
	ck_assert_mem_eq(x, y, na);
	free(x);
	free(y);
}

static void setup(void)
{
	strcpy(folder, "/tmp/clkv-check-convert-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
	for (size_t i = 0; i < FILES; i++)
		(void)unlink(in_folder(files[i]));
	ck_assert_msg(rmdir(folder) == 0, "files are left in %s", folder);
}

/* From "state" to "snapshot". */
static struct convert there(const char *recipe)
{
	return (struct convert){.in = in_folder("state"),
	                        .out = in_folder("snapshot"),
	                        .device = getenv("CLKV_TEST_DEVICE"),
	                        .recipe = recipe,
	                        .sequence = SIZE_MAX,
	                        .kv_heads = HEADS};
}

/* From "snapshot" to "again", as a file of s is. */
static struct convert back(const struct state_build *s)
{
	return (struct convert){.in = in_folder("snapshot"),
	                        .out = in_folder("again"),
	                        .device = getenv("CLKV_TEST_DEVICE"),
	                        .sequence = SIZE_MAX,
	                        .session = s->session,
	                        .arch = s->session ? "llama" : NULL,
	                        .transposed = s->transposed,
	                        .type = (enum llama_type)s->type,
	                        .type_given = true,
	                        .streams = s->streams};
}

static void done(struct convert c, const char *tokens)
{
	struct tool_error error = {""};
	c.tokens = in_folder(tokens);
	ck_assert_msg(convert_run(&c, &error), "%s", error.text);
}

/* Refused with these words, and nothing is written. */
static void refused(const struct convert *c, const char *words)
{
	struct tool_error error = {""};
	ck_assert_msg(!convert_run(c, &error), "not refused: %s", words);
	ck_assert_msg(strstr(error.text, words) != NULL, "'%s' lacks '%s'", error.text, words);
	ck_assert_msg(c->out == NULL || access(c->out, F_OK) != 0, "%s was written", c->out);
}

/* ---------------------------------------------------------------- round trips ---- */

/* Bit 0: session, bit 1: V by channel; f16, f32, bf16. All values are numbers of half, so all come back. */
START_TEST(test_halves_come_back_bit_by_bit)
{
	static const uint32_t types[] = {1, 0, 30};
	struct state_build s = usual;
	s.session = _i % 2 == 1;
	s.transposed = _i / 2 % 2 == 1;
	s.type = types[_i / 4];
	s.reversed = true;
	write_state("state", &s);
	done(there(NULL), "tokens");
	done(back(&s), "tokens");
	s.reversed = false; /* the order of positions is written */
	write_state("want", &s);
	expect_same("again", "want");
}
END_TEST

START_TEST(test_rows_change_their_type_and_place)
{
	struct state_build s = usual;
	s.session = true;
	write_state("state", &s);
	done(there("f16"), "tokens");
	s = usual;
	s.type = 0;
	s.transposed = true;
	s.streams = 3;
	done(back(&s), "tokens");
	write_state("want", &s);
	expect_same("again", "want");
}
END_TEST

/* One layer's range of a channel of K over all tokens, or of a token of V over a head's channels. */
static double range_of(uint32_t layer, uint32_t side, uint32_t token, uint32_t d)
{
	const uint32_t dim = usual.width_k / HEADS;
	double least = HUGE_VAL, most = -HUGE_VAL;
	for (uint32_t i = 0; i < (side == 0 ? usual.cells : dim); i++) {
		const double x = side == 0 ? state_build_number(layer, side, i, d)
		                           : state_build_number(layer, side, token, d / dim * dim + i);
		least = fmin(least, x);
		most = fmax(most, x);
	}
	return most - least;
}

/* Decoded rows in f32 lie within half a step of the codec. Its groups are parts of these ranges, so their steps are no larger;
 * scale and minimum in half add 2^-11 of the largest value, 16, each. */
static void expect_near(const struct llama_state *state, uint32_t layer, uint32_t side,
                        double levels)
{
	struct tool_error error = {""};
	struct llama_sequence sequence;
	float row[128];
	double worst = 0;
	ck_assert_msg(llama_state_find(state, 0, &sequence, &error), "%s", error.text);
	for (uint32_t i = 0; i < usual.cells; i += 13) {
		llama_state_read(state, &sequence, layer, (enum llama_side)side, i, 1, row);
		for (uint32_t d = 0; d < 128; d++) {
			const double off = fabs((double)row[d] - state_build_number(layer, side, i, d));
			const double bound = range_of(layer, side, i, d) / levels / 2 + 3 * 16.0 / 2048;
			ck_assert_msg(off <= bound, "layer %u side %u token %u channel %u: %g, bound %g", layer,
			              side, i, d, off, bound);
			worst = fmax(worst, off);
		}
	}
	ck_assert_msg(worst > 0, "nothing was coded");
	llama_sequence_close(&sequence);
}

START_TEST(test_codes_come_back_within_their_bound)
{
	struct state_build s = usual;
	struct tool_error error = {""};
	struct llama_state *state;
	size_t n, bytes;
	write_state("state", &usual);
	done(there("kivi:bits=4 ; window=0"), "tokens");
	s.type = 0;
	done(back(&s), "tokens");
	char *snapshot = read_file("snapshot", &bytes), *data = read_file("again", &n);
	/* 4 bits and two halves for 32 values are 5 of 16 bits; a twentieth for records */
	ck_assert_uint_lt(bytes, n / 2 * 5 / 16 + n / 2 / 20);
	ck_assert_msg(llama_state_open_memory(data, n, &state, &error), "%s", error.text);
	for (uint32_t i = 0; i < 2 * usual.layers; i++)
		expect_near(state, i / 2, i % 2, 15);
	llama_state_close(state);
	free(data);
	free(snapshot);
}
END_TEST

START_TEST(test_a_model_tells_the_heads)
{
	struct gguf_build model = tiny_model_build(1);
	struct state_build other = usual;
	write_file("model", model.data, model.size);
	gguf_build_free(&model);
	write_state("state", &usual);
	struct convert c = there("a2ats:codes=32,wrope=64");
	refused(&c, "rope"); /* it turns keys back */
	c.kv_heads = 0;
	c.model = in_folder("model");
	done(c, "tokens");
	(void)unlink(c.out);
	other.layers = 3;
	write_state("state", &other);
	refused(&c, "3 layers with rows of 128 and 128 values, the model 2 with 128");
	other = usual;
	other.width_v = 64;
	write_state("state", &other);
	refused(&c, "rows of 128 and 64 values");
}
END_TEST

START_TEST(test_tokens_are_text)
{
	static const char *const wrong[] = {"7 x", "7.5", "2147483648", "-2147483649", "0x7", "7,8"};
	struct state_build s = usual;
	struct convert c;
	size_t n;
	s.cells = 3;
	write_state("state", &s);
	done(there(NULL), "tokens");
	char *text = read_file("tokens", &n);
	ck_assert_uint_eq(n, strlen("7\n49151\n-1\n"));
	ck_assert_mem_eq(text, "7\n49151\n-1\n", n);
	free(text);
	c = back(&s);
	c.tokens = in_folder("tokens");
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		write_file("tokens", wrong[i], strlen(wrong[i]));
		refused(&c, "for a token");
	}
	write_file("tokens", "7\0 8", 4);
	refused(&c, "no text");
	write_file("tokens", " 7 49151\t\n\r\n-1", 14);
	done(c, "tokens");
	expect_same("again", "state");
	(void)unlink(c.out);
	write_file("tokens", "", 0);
	done(c, "tokens");
	text = read_file("again", &n);
	ck_assert_mem_eq(text + 8, "\0\0\0\0", 4);
	free(text);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

/* Options that a state's way into a snapshot has, or hasn't. */
START_TEST(test_what_a_state_is_refused_for)
{
	write_state("state", &usual);
	struct convert c = there(NULL);
	c.kv_heads = 0;
	refused(&c, "128 values; --kv-heads or --model");
	c.kv_heads = 3;
	refused(&c, "can't be 3 KV heads");
	c.kv_heads = 16; /* heads of 8 */
	refused(&c, "can't be 16 KV heads");
	c = there(NULL);
	c.sequence = 1;
	refused(&c, "no sequence 1");
	c = there(NULL);
	c.streams = 1;
	refused(&c, "--streams is not for a state");
	c = there(NULL);
	c.given.rotation = in_folder("model");
	refused(&c, "need --model");
	c = there(NULL);
	c.in = in_folder("again");
	refused(&c, "can't open");
	write_file("again", "text", 4);
	refused(&c, "neither a state");
}
END_TEST

static const struct {
	const char *recipe, *words;
} recipes[] = {{"kivi:bits=9", "at '9'"},
               {"spark", "by queries"},
               {"think | kivi", "by queries"},
               {"clusterkv:metric=query", "by queries"},
               {"snapkv:budget=64", "keeps some tokens only"},
               {"streaming:budget=64", "keeps some tokens only"},
               {"layers=0: f16 ; 1: h2o", "keeps some tokens only"}};

START_TEST(test_recipes_that_need_more_than_rows)
{
	write_state("state", &usual);
	struct convert c = there(recipes[_i].recipe);
	refused(&c, recipes[_i].words);
}
END_TEST

/* Values that half doesn't have, at a place that a second step reads: K first of the file, V behind it. */
START_TEST(test_values_must_be_within_half)
{
	static const struct {
		uint32_t type, bits;
	} values[] = {{1, 0x7c00},     {1, 0xfe00},     {30, 0x7f80},   {30, 0x4780},
	              {0, 0x7fc00000}, {0, 0xff800000}, {0, 0xc7800000}};
	struct state_build s = usual;
	s.type = values[_i].type;
	struct gguf_build b = state_build(&s);
	const size_t bytes = s.type == 0 ? 4 : 2, rows = 700 * 128 * bytes;
	memcpy(b.data + b.size - rows + (650 * 128 + 5) * bytes, &values[_i].bits, bytes);
	write_file("state", b.data, b.size);
	gguf_build_free(&b);
	struct convert c = there(NULL);
	refused(&c, "V of layer 1 has a value at position 650");
}
END_TEST

START_TEST(test_what_a_snapshot_is_refused_for)
{
	struct state_build s = usual;
	struct convert c;
	write_state("state", &s);
	done(there(NULL), "tokens");
	c = back(&s);
	refused(&c, "--tokens");
	c.tokens = in_folder("want");
	refused(&c, "can't open");
	c = back(&s);
	c.tokens = in_folder("tokens");
	c.recipe = "f16";
	refused(&c, "--recipe is not for a snapshot");
	c.recipe = NULL;
	c.session = true;
	refused(&c, "--arch or --model");
	c.session = false;
	c.arch = "llama";
	refused(&c, "--arch is for --session");
	c.arch = NULL;
	c.streams = 2;
	c.sequence = 2;
	refused(&c, "--seq 2 has no stream");
}
END_TEST

/* Every 997th byte, and lengths that are no file's. */
START_TEST(test_damaged_snapshots)
{
	struct state_build s = usual;
	size_t n;
	s.cells = 70;
	write_state("state", &s);
	done(there("kivi ; window=0"), "tokens");
	char *data = read_file("snapshot", &n);
	struct convert c = back(&s);
	c.tokens = in_folder("tokens");
	for (size_t i = 0; i < n; i += 997) {
		data[i] = (char)~data[i];
		write_file("snapshot", data, n);
		refused(&c, "");
		data[i] = (char)~data[i];
	}
	write_file("snapshot", data, n - 1);
	refused(&c, "");
	data[32 + 3] = 0x7f; /* of the length */
	write_file("snapshot", data, n);
	refused(&c, "more than its");
	data[32 + 3] = 0;
	data = realloc(data, n + 1);
	ck_assert_ptr_nonnull(data);
	data[n] = 0;
	write_file("snapshot", data, n + 1);
	refused(&c, "1 bytes are left behind the snapshot");
	free(data);
}
END_TEST

START_TEST(test_files_are_shown)
{
	struct tool_error error = {""};
	struct state_build s = usual;
	s.session = true;
	write_state("state", &s);
	struct convert c = there(NULL);
	c.out = NULL;
	ck_assert_msg(convert_run(&c, &error), "%s", error.text);
	done(there(NULL), "tokens");
	c = back(&s);
	c.out = NULL;
	c.session = false;
	c.arch = NULL;
	ck_assert_msg(convert_run(&c, &error), "%s", error.text);
}
END_TEST

static void add_refusals(Suite *suite)
{
	TCase *c = fixture_case(suite, "refusals", 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, test_what_a_state_is_refused_for);
	tcase_add_loop_test(c, test_recipes_that_need_more_than_rows, 0,
	                    (int)(sizeof recipes / sizeof recipes[0]));
	tcase_add_loop_test(c, test_values_must_be_within_half, 0, 7);
	tcase_add_test(c, test_what_a_snapshot_is_refused_for);
	tcase_add_test(c, test_damaged_snapshots);
}

int main(void)
{
	Suite *suite = suite_create("convert");
	TCase *c = fixture_case(suite, "round trips", 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, test_halves_come_back_bit_by_bit, 0, 12);
	tcase_add_test(c, test_rows_change_their_type_and_place);
	tcase_add_test(c, test_codes_come_back_within_their_bound);
	tcase_add_test(c, test_a_model_tells_the_heads);
	tcase_add_test(c, test_tokens_are_text);
	tcase_add_test(c, test_files_are_shown);
	add_refusals(suite);
	return fixture_run(suite);
}
