/* SPDX-License-Identifier: MIT */
/** \file check_bytes.c \brief Every byte: the estimate is the allocation, and the format is the formula's. */
#include "ref/ref_affine.h"
#include "support/feed.h"
#include "support/fixture.h"
#include "support/inject.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CLKV_TEST_SOURCE_DIR
#define CLKV_TEST_SOURCE_DIR "tests"
#endif

/* ---------------------------------------------------------------- estimate ---- */

static const struct {
	const char *recipe;
	int layers, q_heads, kv_heads, dk, dv;
	size_t tokens, step, sequences;
} estimates[] = {
	{"f16", 2, 6, 2, 64, 64, 1000, 0, 0},
	{"kivi", 2, 6, 2, 64, 64, 1000, 0, 0},
	{"kivi:bits=8,group=64 ; skip=1,sinks=5,window=33,block=128", 3, 6, 2, 64, 64, 2049, 17, 5},
	{"q:k=5,v=6 ; block=32", 1, 6, 2, 64, 64, 63, 1, 2},
	{"q:k=16,v=2 ; seal=prompt", 4, 6, 2, 64, 64, 5000, 512, 16},
	{"kivi ; skip=2", 2, 6, 2, 64, 64, 1, 1, 1},
	{"topk:recall=100,every=128", 2, 6, 2, 64, 64, 1000, 0, 3},
	{"pages:recall=900,page=4,gqa=group,every=256 ; skip=1,block=32", 3, 6, 2, 64, 64, 2049, 17, 5},
	{"kivi | clusterkv:per=4,recall=300 ; sinks=5,window=33", 2, 6, 2, 64, 64, 1000, 700, 2},
	{"a2ats:codes=50,recall=1,every=128 ; seal=chunk", 4, 6, 2, 64, 64, 5000, 512, 16},
	{"clusterkv ; skip=2", 2, 6, 2, 64, 64, 1, 1, 1},
	{"kitty:boost=0.3 ; skip=1,window=33", 3, 6, 2, 64, 64, 2049, 17, 5},
	{"kvquant:outliers=0.003 ; skip=1,window=33", 3, 6, 2, 80, 112, 2049, 17, 5},
	{"expected:budget=100,obs=24", 2, 6, 2, 64, 64, 1000, 0, 3},
	{"expected:budget=0.3 | kivi:bits=4 ; skip=1,block=128", 3, 8, 2, 64, 32, 2049, 17, 5},
	{"q:k=4,v=4,rot=file ; skip=1", 3, 6, 2, 64, 96, 1000, 0, 2},
	{"cskv:k=32,v=48,bits=4 ; skip=1", 3, 6, 2, 64, 96, 1000, 0, 2},
	{"lorc:k=32,v=48 ; skip=1", 3, 6, 2, 64, 96, 1000, 0, 2},
	{"csr:atoms=32,pairs=4 ; skip=1", 3, 6, 2, 64, 96, 1000, 0, 2},
	{"qaq:n=9 ; skip=1,block=32", 3, 6, 2, 64, 96, 1000, 0, 2},
};

/* topk needs none, nor do layers that don't seal. */
static bool has_index(const char *recipe)
{
	return !strstr(recipe, "skip=2") &&
	       (strstr(recipe, "pages") || strstr(recipe, "clusterkv") || strstr(recipe, "a2ats"));
}

START_TEST(test_the_estimate_is_the_allocation)
{
	clkv_geometry g = feed_geometry(estimates[_i].layers, estimates[_i].q_heads,
	                                estimates[_i].kv_heads, estimates[_i].dk, estimates[_i].dv);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	if (strncmp(estimates[_i].recipe, "expected", 8) == 0)
		g.rope.kind = CLKV_ROPE_HALVES;
	struct feed feed = {.geometry = g};
	o.max_tokens = estimates[_i].tokens;
	o.max_step_tokens = estimates[_i].step;
	o.max_sequences = estimates[_i].sequences;
	clkv_bytes want = feed_required(fixture.context, &g, estimates[_i].recipe, &o);
	ck_assert_uint_eq(want.device, want.sealed + want.open + want.tables + want.scratch +
	                                   want.index + want.rotation);
	/* f32, of each layer and KV head a matrix of K and one of V, or two factors of each at their ranks, or
	   those of two heads together with these heads' numbers */
	const bool turns = strstr(estimates[_i].recipe, "rot=file"),
			   factors = strstr(estimates[_i].recipe, "cskv"),
			   groups = strstr(estimates[_i].recipe, "lorc"),
			   atoms = strstr(estimates[_i].recipe, "csr");
	ck_assert_uint_eq(want.rotation, turns     ? 3 * 2 * (64 * 64 + 96 * 96) * 4
	                                 : factors ? 3 * 2 * 2 * (64 * 32 + 96 * 48) * 4
	                                 : groups  ? 3 * 2 * (2 * 2 * (64 * 32 + 96 * 48) + 4) * 4
	                                 : atoms   ? 3 * 2 * 2 * (64 + 96) * 32 * 4
	                                           : 0);
	ck_assert(want.index > 0 || !has_index(estimates[_i].recipe));
	uint64_t before = inject_device_bytes();
	feed_open(&feed, fixture.context, fixture.queue, estimates[_i].recipe, &o);
	ck_assert_uint_eq(inject_device_bytes() - before, want.device);
	clkv_bytes got = feed_stats(&feed).allocated;
	ck_assert_int_eq(memcmp(&got, &want, sizeof got), 0);

	/* nothing is taken later */
	static struct stream stream;
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 1, CLKV_PROMPT_END, 1, NULL);
	feed_close(&feed);
	ck_assert_uint_eq(inject_device_bytes(), before);

	o.max_bytes = (size_t)want.device;
	feed_open(&feed, fixture.context, fixture.queue, estimates[_i].recipe, &o);
	feed_close(&feed);
	o.max_bytes--;
	clkv_error error;
	ck_assert_int_eq(
		clkv_cache_create(fixture.context, &g, estimates[_i].recipe, &o, &feed.cache, &error),
		CLKV_ERROR_NO_DEVICE_MEMORY);
}
END_TEST

/* ---------------------------------------------------------------- format ---- */

/* Bytes of a sealed token of one stream: codes, scales and minimums of both sides, blocks padded to 64
 * bytes and sections to 16, and a table entry of 16 bytes per block. */
static void check_formula(const struct ref_affine *k, const struct ref_affine *v, int dk, int dv,
                          size_t block, double per_token)
{
	double bits =
		ref_affine_bits(k, block, (size_t)dk) * dk + ref_affine_bits(v, block, (size_t)dv) * dv;
	double bytes = bits * (double)block / 8.0;
	ck_assert_double_ge(per_token * (double)block, bytes + 16.0);
	ck_assert_double_le(per_token * (double)block, bytes + 16.0 + 3 * 15 + 63);
}

START_TEST(test_formats_have_the_size_of_the_formula)
{
	static const struct {
		const char *recipe;
		struct ref_affine k, v;
		size_t block;
	} cases[] = {
		{"kivi", {4, REF_CHANNEL, 32, 0, 0}, {4, REF_TOKEN, 32, 0, 0}, 64},
		{"kivi:bits=2", {2, REF_CHANNEL, 32, 0, 0}, {2, REF_TOKEN, 32, 0, 0}, 64},
		{"kivi:k=3,v=5,group=16 ; block=128",
	     {3, REF_CHANNEL, 16, 0, 0},
	     {5, REF_TOKEN, 16, 0, 0},
	     128},
		{"q", {8, REF_TOKEN, 32, 0, 0}, {4, REF_TOKEN, 32, 0, 0}, 64},
		{"q:k=6,v=4,sym=1,group=128", {6, REF_TOKEN, 128, 1, 0}, {4, REF_TOKEN, 128, 1, 0}, 64},
		{"q:k=16,v=2,axis_v=channel ; block=32",
	     {16, REF_TOKEN, 32, 0, 0},
	     {2, REF_CHANNEL, 32, 0, 0},
	     32},
	};
	static const int dims[][2] = {{64, 64}, {80, 112}, {192, 128}, {256, 256}};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 1024;
	for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
		clkv_geometry g = feed_geometry(3, 10, 5, dims[d][0], dims[d][1]);
		clkv_bytes bytes = feed_required(fixture.context, &g, cases[_i].recipe, &o);
		check_formula(&cases[_i].k, &cases[_i].v, dims[d][0], dims[d][1], cases[_i].block,
		              bytes.per_token / 15);
		ck_assert_double_eq(bytes.per_token_f16, 15.0 * 2 * (dims[d][0] + dims[d][1]));
	}
}
END_TEST

/* The table beside the tests: bytes of a sealed token, exact. A change of a line must be explained. */
START_TEST(test_bytes_per_token_are_those_of_the_table)
{
	FILE *file = fopen(CLKV_TEST_SOURCE_DIR "/regression/bytes.csv", "r");
	char line[256];
	int lines = 0;
	ck_assert_msg(file != NULL, "%s", CLKV_TEST_SOURCE_DIR "/regression/bytes.csv can't be opened");
	while (fgets(line, sizeof line, file)) {
		int layers, q_heads, kv_heads, dk, dv, at = 0;
		char want[32], got[32];
		if (sscanf(line, "%d,%d,%d,%d,%d,%31[0-9.],%n", &layers, &q_heads, &kv_heads, &dk, &dv,
		           want, &at) != 6 ||
		    at == 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		clkv_geometry g = feed_geometry(layers, q_heads, kv_heads, dk, dv);
		clkv_cache_options o = CLKV_INIT(clkv_cache_options);
		o.max_tokens = 4096;
		snprintf(got, sizeof got, "%.3f",
		         feed_required(fixture.context, &g, line + at, &o).per_token);
		ck_assert_msg(strcmp(got, want) == 0, "%s%s", line, got);
		lines++;
	}
	fclose(file);
	ck_assert_int_ge(lines, 20);
}
END_TEST

/* ---------------------------------------------------------------- stored ---- */

/* A model of 30 layers, 9 query heads on 3 of 64 channels; 3,072 tokens as one prompt. */
static double stored(const char *recipe, size_t tokens)
{
	struct feed feed = {.geometry = feed_geometry(30, 9, 3, 64, 64)};
	struct tensor_layout f16 = {.dtype = CLKV_F16};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	struct stream stream = {0};
	struct tensor rows;
	clkv_step *step;
	clkv_error error;
	double *values = calloc(tokens * 3 * 64, sizeof *values);
	o.max_tokens = o.max_step_tokens = tokens;
	ck_assert_ptr_nonnull(values);
	feed_open(&feed, fixture.context, fixture.queue, recipe, &o);
	stream_open(&feed, &stream);
	tensor_open(&rows, fixture.queue, f16, tokens, 3, 64, values);
	clkv_step_item item = {stream.seq, tokens, CLKV_PROMPT_END};
	feed_ok(clkv_step_begin(feed.cache, &item, 1, fixture.queue, &step, &error), &error, "begin");
	for (int layer = 0; layer < 30; layer++)
		feed_ok(clkv_step_append(step, layer, &rows.t, &rows.t, 0, NULL, NULL, &error), &error,
		        "append");
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
	double bytes = (double)stream_info(&stream).bytes / (double)tokens;
	clkv_stats stats = feed_stats(&feed);
	/* the one sequence holds all blocks in use, and of its tables the entries that are set */
	ck_assert_uint_gt(stream_info(&stream).bytes, stats.used_sealed + stats.used_open);
	ck_assert_uint_le(stream_info(&stream).bytes,
	                  stats.used_sealed + stats.used_open + stats.used_tables);
	free(values);
	tensor_close(&rows);
	feed_close(&feed);
	return bytes;
}

START_TEST(test_stored_bytes_of_a_small_model)
{
	static const struct {
		const char *recipe;
		double bytes;
	} rows[] = {{"f16", 23040.0},
	            {"kivi:bits=4", 7860.0},
	            {"kivi:bits=2", 5100.0},
	            {"kivi:k=4,v=2", 6480.0}};
	double bytes = stored(rows[_i].recipe, 3072);
	ck_assert_msg(bytes >= rows[_i].bytes && bytes <= rows[_i].bytes + 250.0,
	              "%s: %.1f bytes per token instead of %.0f and tables", rows[_i].recipe, bytes,
	              rows[_i].bytes);
}
END_TEST

/* ---------------------------------------------------------------- in half ---- */

/* A sequence that has a cache for itself takes all its half blocks, and no more, in the largest step behind the most
 * tokens that it may keep in half, when these begin with the last row of a block. */
START_TEST(test_half_blocks_of_one_sequence)
{
	static const struct {
		const char *recipe;
		size_t sinks, window, block, step;
	} rows[] = {{"kivi ; window=64", 0, 64, 64, 512},
	            {"kivi ; sinks=5,window=33", 5, 33, 64, 100},
	            {"kivi ; sinks=70,window=0", 70, 0, 64, 1},
	            {"kivi ; window=1,block=128", 0, 1, 128, 128}};
	static struct stream stream;
	const size_t bt = rows[_i].block, tail = (rows[_i].sinks + bt - 1) / bt * bt + bt - 1;
	const size_t steps[] = {tail + rows[_i].window, bt - 1};
	const clkv_phase phases[] = {CLKV_PROMPT_END, CLKV_DECODE};
	struct feed feed = {.geometry = feed_usual(2), .append_only = true};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 2048;
	o.max_step_tokens = rows[_i].step;
	feed_open(&feed, fixture.context, fixture.queue, rows[_i].recipe, &o);
	const uint64_t allocated = feed_stats(&feed).allocated.open;
	stream_open(&feed, &stream);
	for (int i = 0; i < 2; i++)
		for (size_t n = 0, part; n < steps[i]; n += part) {
			part = steps[i] - n < rows[_i].step ? steps[i] - n : rows[_i].step;
			const bool ends = n + part == steps[i];
			feed_one(&feed, &stream, part, ends ? phases[i] : CLKV_PROMPT, 1, NULL);
		}
	struct feed_item item = {.stream = &stream, .n = rows[_i].step, .phase = CLKV_PROMPT};
	clkv_step *step = feed_begin(&feed, &item, 1, NULL);
	ck_assert_uint_eq(feed_stats(&feed).used_open, allocated);
	clkv_step_abort(step);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bytes");
	TCase *estimate = fixture_case(suite, "estimate", 60);
	TCase *format = fixture_case(suite, "format", 60), *held = fixture_case(suite, "stored", 120);
	fixture_some(estimate, test_the_estimate_is_the_allocation,
	             sizeof estimates / sizeof estimates[0], 0, 2, 7, 8, 9, 12, 15);
	tcase_add_loop_test(format, test_formats_have_the_size_of_the_formula, 0, 6);
	tcase_add_test(format, test_bytes_per_token_are_those_of_the_table);
	tcase_add_loop_test(held, test_stored_bytes_of_a_small_model, 0, 4);
	tcase_add_loop_test(held, test_half_blocks_of_one_sequence, 0, 4);
	return fixture_run_shared(suite);
}
