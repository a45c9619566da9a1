/* SPDX-License-Identifier: MIT */
/**
 * \file    race_smoke.c
 * \brief   Every kernel once in shapes as small as they get, for checkers that are slow.
 *
 * check-oclgrind.sh runs it under Oclgrind with several work-items per group: the only place where a
 * missing barrier, a race or an access beside a buffer is seen for certain and not by luck. It runs
 * anywhere, and what comes out must be right too.
 */
#include "ref/ref_affine.h"
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/every.h"
#include "support/expect.h"
#include "support/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 32
#define WINDOW 6

struct smoke {
	const char *recipe;
	struct ref_affine k, v; /* of what is sealed; bits 0: not compared (rotated, or in half) */
	int dk, dv;
	size_t prompt;
};

/* Both axes, bits of one plane and of two, symmetric, rotated; a prompt that seals a whole block and one
 * whose rest becomes a short one. Eight blocks of the first let a decode row split, and merge. Streams with
 * two symbols a look-up and one, packed codes, a side in half: each block is sealed, read and checked. */
static const struct smoke smokes[] = {
	{"f16 ; block=32", {0}, {0}, 32, 16, 8 * BLOCK + 3},
	{"kivi:bits=2,group=16 ; block=32,window=6",
     {2, REF_CHANNEL, 16, false, 0.0},
     {2, REF_TOKEN, 16, false, 0.0},
     32,
     32,
     BLOCK + 9},
	{"q:k=3,v=5,axis_k=channel,axis_v=channel,sym=1 ; block=32,window=6",
     {3, REF_CHANNEL, 32, true, 0.0},
     {5, REF_CHANNEL, 32, true, 0.0},
     48,
     32,
     BLOCK + WINDOW},
	{"q:k=6,v=3 ; block=32,window=6,sinks=2", {0}, {0}, 32, 48, BLOCK + WINDOW + 5},
	{"q:k=5,v=8,rot=hadamard ; block=32,window=6", {0}, {0}, 64, 32, BLOCK + WINDOW},
	{"kvcomp:entropy=huffman,verify=1 ; block=32,window=6", {0}, {0}, 32, 48, BLOCK + WINDOW + 5},
	{"kvcomp:entropy=none,unit_k=block,rel_k=0.02,rel_v=0.02,verify=1 ; block=32,window=6,sinks=2",
     {0},
     {0},
     32,
     16,
     BLOCK + WINDOW + 5},
	{"kvcomp:entropy=pack,abs_v=0.01,verify=1 ; block=32,window=6",
     {0},
     {0},
     32,
     32,
     BLOCK + WINDOW + 5},
};
#define SMOKES (sizeof smokes / sizeof smokes[0])

/* Tokens [0, BLOCK) of a side, a block by now, lie as close to what was given as its codes can. */
static void check_side(const struct feed *feed, const struct stream *stream, enum feed_side side,
                       const struct ref_affine *affine)
{
	size_t heads = feed_heads(feed, side), dim = feed_dim(feed, side), n = BLOCK * heads * dim;
	double *given = calloc(n, sizeof *given), *read = calloc(n, sizeof *read);
	double *one = calloc(BLOCK * dim, sizeof *one);
	struct ref_code *codes = calloc(BLOCK * dim, sizeof *codes);
	ck_assert(given && read && one && codes);
	feed_rows(feed, 0, side, stream->row, BLOCK, given);
	feed_read(feed, stream, 0, 0, BLOCK, side == FEED_K ? read : NULL,
	          side == FEED_V ? read : NULL);
	for (size_t h = 0; h < heads; h++) {
		for (size_t i = 0; i < BLOCK * dim; i++)
			one[i] = ref_stored(given[i / dim * heads * dim + h * dim + i % dim]);
		ref_affine_encode(affine, BLOCK, dim, one, codes);
		for (size_t i = 0; i < BLOCK * dim; i++) {
			double value = read[i / dim * heads * dim + h * dim + i % dim];
			ck_assert_msg(fabs(value - one[i]) <= codes[i].bound * (1.0 + BOUND_DECODE),
			              "side %d, head %zu, token %zu, channel %zu: %g became %g, allowed %g",
			              (int)side, h, i / dim, i % dim, one[i], value, codes[i].bound);
		}
	}
	free(given);
	free(read);
	free(one);
	free(codes);
}

START_TEST(test_every_kernel_once)
{
	const struct smoke *s = &smokes[_i];
	struct feed feed = {.geometry = feed_geometry(1, 4, 2, s->dk, s->dv), .lse = true};
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	static struct stream stream;
	options.max_tokens = 512;
	options.max_sequences = 1;
	feed_open(&feed, fixture.context, fixture.queue, s->recipe, &options);
	stream_open(&feed, &stream);
	feed.append_only = true;
	feed_one(&feed, &stream, s->prompt, CLKV_PROMPT_END, 1, NULL);
	feed.append_only = false;
	if (s->k.bits) {
		check_side(&feed, &stream, FEED_K, &s->k);
		check_side(&feed, &stream, FEED_V, &s->v);
	}
	expect_rows(&feed, &stream, 3, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	if (strstr(s->recipe, "verify=1")) {
		ck_assert(feed_figure(&feed, "kvcomp.values_checked") > 0);
		ck_assert(feed_figure(&feed, "kvcomp.values_broken") == 0);
	}
	stream_close(&stream);
	feed_close(&feed);
}
END_TEST

/* Every row the same before RoPE: what a row's window gives depends on distances only, which are the same for all rows
 * that have a whole one. Keys are off by a rounding to half. */
static double same(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	(void)row;
	return feed_normal(1, layer, side, head, d);
}

START_TEST(test_rotated_rows)
{
	struct feed feed = {.geometry = feed_geometry(1, 4, 2, 32, 16), .value = same, .lse = true};
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	static struct stream stream;
	struct feed_result result;
	options.max_tokens = 512;
	feed.window[0] = 4;
	feed.geometry.window = feed.window;
	feed.geometry.rope = (clkv_rope){.kind = _i ? CLKV_ROPE_PAIRS : CLKV_ROPE_HALVES, .dims = 24};
	feed.geometry.rope.by_library = 1;
	feed_open(&feed, fixture.context, fixture.queue,
	          _i ? "q:k=5,v=8,rot=hadamard ; block=32,window=6" : "f16 ; block=32", &options);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, BLOCK + WINDOW, CLKV_PROMPT_END, 1, &result);
	for (size_t i = 4; i < BLOCK + WINDOW; i++)
		for (size_t h = 0; h < 4; h++)
			ck_assert_double_eq_tol(result.lse[i * 4 + h], result.lse[3 * 4 + h], 0.02);
	feed_result_close(&result);
	stream_close(&stream);
	feed_close(&feed);
}
END_TEST

/* What it does is checked elsewhere; here it only has to be done. */
START_TEST(test_every_case)
{
	struct every_record record = {0};
	every_short_life(&every_cases[_i], fixture.context, fixture.queue, &record);
	ck_assert_uint_gt(record.n, 0);
	free(record.data);
}
END_TEST

/* "P/N" in CLKV_SMOKE: the P-th of N parts, each with every N-th case. */
static bool part_of_all(int *part, int *parts)
{
	const char *text = getenv("CLKV_SMOKE");
	*part = *parts = 1;
	if (!text || !text[0])
		return true;
	return sscanf(text, "%d/%d", part, parts) == 2 && *parts >= 1 && *part >= 1 && *part <= *parts;
}

static void add_part(TCase *c, const TTest *test, int n, int part, int parts)
{
	for (int i = part - 1; i < n; i += parts)
		tcase_add_loop_test(c, test, i, i + 1);
}

int main(void)
{
	int part, parts;
	Suite *suite = suite_create("race smoke");
	TCase *smoke = fixture_case(suite, "smoke", 120), *every = fixture_case(suite, "every", 120);
	if (!part_of_all(&part, &parts)) {
		fprintf(stderr, "CLKV_SMOKE is '%s'; allowed: P/N, 1 <= P <= N\n", getenv("CLKV_SMOKE"));
		return EXIT_FAILURE;
	}
	add_part(smoke, test_every_kernel_once, SMOKES, part, parts);
	add_part(smoke, test_rotated_rows, 2, part, parts);
	add_part(every, test_every_case, every_count, part, parts);
	setenv("CK_FORK", "no", 1); /* one process knows what all tests have launched */
	int status = fixture_run(suite);
	if (status != EXIT_SUCCESS || getenv("CK_RUN_CASE") || !every_missing())
		return status;
	if (parts > 1) { /* all parts together launch what the whole does */
		printf("part %d of %d: does not launch all, %s for one\n", part, parts, every_missing());
		return status;
	}
	fprintf(stderr, "%s was not launched\n", every_missing());
	return EXIT_FAILURE;
}
