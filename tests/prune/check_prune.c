/* SPDX-License-Identifier: MIT */
/**
 * \file    check_prune.c
 * \brief   Channel pruning: SparK P1 to P5 and P7, ThinK P1, P2, P5 and P6; forks, cuts, files, codecs behind.
 *
 * What clkv_seq_read returns of K is compared with the reference of pruned blocks, value by value; what
 * attention returns with attention over what was read.
 */
#include "ref/ref_half.h"
#include "ref/ref_prune.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/memory_file.h"
#include "support/pruned.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- values, attention ---- */

/* Each form of recovery, saliency and strength; groups of 1, 3 and 4; block and head sizes. */
static const struct pruned_case cases[] = {
	{"spark:keep=0.5,recover=zero,qagg=mean,saliency=abs ; window=0",
     {6, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_MEAN,
     .recover = REF_RECOVER_ZERO},
	{"spark:keep=0.3,recover=const,fill=0.05,saliency=sq,qagg=norm ; window=0,block=32",
     {2, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 19,
     .obs = 32,
     .block = 32,
     .qagg = REF_QAGG_NORM,
     .recover = REF_RECOVER_CONST,
     .squared = true,
     .fill = 0.05},
	{"spark:keep=0.5,recover=signmag,saliency=sq,qagg=abs ; window=0,block=128",
     {6, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 32,
     .obs = 32,
     .block = 128,
     .qagg = REF_QAGG_ABS,
     .recover = REF_RECOVER_SIGNMAG,
     .squared = true},
	{"spark:keep=0.5,recover=mean,saliency=abs,obs=7 ; window=0",
     {3, 1, 80, 112},
     PRUNED_SPARK,
     .kept = 40,
     .obs = 7,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_MEAN},
	{"spark:keep=0.2,recover=mean,saliency=sq ; window=0",
     {6, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 13,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_MEAN,
     .squared = true},
	{"spark ; window=0",
     {6, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_FIT,
     .squared = true,
     .refine = 2},
	{"spark:keep=0.2,saliency=abs,refine=4,qagg=abs,obs=256 ; window=0,block=32",
     {3, 1, 128, 128},
     PRUNED_SPARK,
     .kept = 26,
     .obs = 256,
     .block = 32,
     .qagg = REF_QAGG_ABS,
     .recover = REF_RECOVER_FIT,
     .refine = 4},
	{"spark:refine=0,qagg=norm ; window=0,block=128",
     {4, 1, 80, 80},
     PRUNED_SPARK,
     .kept = 40,
     .obs = 32,
     .block = 128,
     .qagg = REF_QAGG_NORM,
     .recover = REF_RECOVER_FIT,
     .squared = true},
	{"think:keep=0.5 ; window=0",
     {6, 2, 64, 64},
     PRUNED_THINK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .refresh = 1},
	{"think:keep=0.3,align=2,qagg=norm,obs=5,refresh=0 ; window=0,block=128",
     {3, 1, 128, 128},
     PRUNED_THINK,
     .kept = 38,
     .obs = 5,
     .block = 128,
     .qagg = REF_QAGG_NORM},
	{"think:keep=0.51,align=8,qagg=mean,refresh=3 ; window=0,block=32",
     {2, 2, 80, 80},
     PRUNED_THINK,
     .kept = 48,
     .obs = 32,
     .block = 32,
     .qagg = REF_QAGG_MEAN,
     .refresh = 3},
};
#define CASES (sizeof cases / sizeof cases[0])
enum { ZERO, CONSTANT, SIGNMAG, MEAN = 3, MEAN_SQ = 4, FIT = 5, THINKS = 8, THINKS_ONCE = 9 };

/* A prompt in two steps with a short last block; decoding and a chunk behind it; blocks that are sealed while decoding;
 * a prompt shorter than a block. None of the compared steps seals its own rows. */
static void run_case(const struct pruned_case *c, clkv_context *context, cl_command_queue queue)
{
	struct feed feed = pruned_feed(c);
	static struct stream stream, small;
	static struct watch w;
	feed_open(&feed, context, queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	watch_open(&w, c, &feed);
	watch_feed(&w, &feed, &stream, 130, CLKV_PROMPT, 1);
	watch_feed(&w, &feed, &stream, 81, CLKV_PROMPT_END, 2);
	watch_check(&w, &stream);
	watch_attend(&w, &feed, &stream, 1, CLKV_DECODE, 3);
	watch_attend(&w, &feed, &stream, 26, CLKV_PROMPT, 4);
	watch_feed(&w, &feed, &stream, 110, CLKV_DECODE, 5);
	watch_check(&w, &stream);
	watch_attend(&w, &feed, &stream, 1, CLKV_DECODE, 6);
	watch_close(&w);
	stream_open(&feed, &small);
	watch_open(&w, c, &feed);
	watch_feed(&w, &feed, &small, 25, CLKV_PROMPT_END, 7);
	watch_check(&w, &small);
	watch_attend(&w, &feed, &small, 1, CLKV_DECODE, 8);
	watch_attend(&w, &feed, &small, 20, CLKV_PROMPT, 9);
	ck_assert(feed_figure(&feed, "kvcomp.values_broken") == 0);
	ck_assert((feed_figure(&feed, "kvcomp.values_checked") > 0) ==
	          (strstr(c->recipe, "verify=1") != NULL));
	watch_close(&w);
	feed_close(&feed);
}

/* SparK P2, ThinK P2: what is kept, and that it's exact; P5: attention. */
START_TEST(test_values_and_attention)
{
	run_case(&cases[_i], fixture.context, fixture.queue);
}
END_TEST

START_TEST(test_other_forms_of_kernels)
{
	static const char *const forms[] = {"lanes=4,vec=4", "lanes=64,vec=1"};
	static const int some[] = {FIT, THINKS};
	clkv_context *context = fixture_open_tuned(forms[_i % 2]);
	cl_command_queue queue = fixture_queue_of(context);
	run_case(&cases[some[_i / 2]], context, queue);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

/* Nobody asks: channels are judged by K alone, of which many are equal to the bit. */
START_TEST(test_without_queries_magnitudes_decide)
{
	static const int some[] = {ZERO, FIT, THINKS};
	const struct pruned_case *c = &cases[some[_i]];
	struct feed feed = pruned_feed(c);
	static struct stream stream;
	static struct watch w;
	feed.append_only = true;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	watch_open(&w, c, &feed);
	watch_feed(&w, &feed, &stream, 200, CLKV_PROMPT_END, 1);
	watch_feed(&w, &feed, &stream, 70, CLKV_DECODE, 2);
	watch_check(&w, &stream);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

/* Channel 7 is never asked for, 12 hardly; some of K is zero, of either sign. */
static double unused(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d);
	if (side == FEED_Q)
		return d == 7 ? 0.0 : d == 12 ? 0.001 * x : x;
	return side == FEED_K && (row + d) % 9 == 0 ? (x < 0.0 ? -0.0 : 0.0) : x;
}

/* Strengths have a floor where a fill is divided by them, and nowhere else. Zero has the sign +. */
START_TEST(test_unused_channels_and_zeros)
{
	static const int some[] = {MEAN, MEAN_SQ, FIT, SIGNMAG};
	const struct pruned_case *c = &cases[some[_i]];
	struct feed feed = pruned_feed(c);
	static struct stream stream;
	static struct watch w;
	feed.value = unused;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	watch_open(&w, c, &feed);
	watch_feed(&w, &feed, &stream, 300, CLKV_PROMPT_END, 1);
	watch_check(&w, &stream);
	watch_attend(&w, &feed, &stream, 3, CLKV_DECODE, 2);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- mass, signs ---- */

/* SparK P3: the saliency of what is pruned is that of what stands for it. The amplitude and the factor are halves:
 * 2^-11 each; of squares twice that. */
START_TEST(test_p3_mass)
{
	const struct pruned_case *c = &cases[_i];
	struct feed feed = pruned_feed(c);
	static struct stream stream;
	static struct watch w;
	size_t heads = (size_t)c->shape.kv_heads, dk = (size_t)c->shape.dk;
	double *k = new_array(150 * heads * dk, sizeof *k);
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	watch_open(&w, c, &feed);
	watch_feed(&w, &feed, &stream, 150, CLKV_PROMPT_END, 1);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &stream, layer, 0, 150, k, NULL);
		for (size_t head = 0; head < heads; head++) {
			double strength[256], *given = watch_stored_k(&w, &stream, layer, head, 0, 150);
			watch_strengths(&w, layer, head, 150, strength);
			for (size_t t = 0; t < 150; t++) {
				double before = 0.0, after = 0.0;
				for (size_t i = 0; i < dk; i++) {
					double x = fabs(given[t * dk + i]), y = fabs(k[(t * heads + head) * dk + i]);
					EACH_MSG(strength[i] > 0.011, "channel %zu is at the floor", i);
					if (x == y)
						continue;
					before += strength[i] * (c->squared ? x * x : x);
					after += strength[i] * (c->squared ? y * y : y);
				}
				EACH_MSG(before > 0.0 && fabs(after - before) <=
				                             (c->squared ? 4.1 : 2.1) * REF_HALF_EPS * before,
				         "layer %d, head %zu, token %zu: %g instead of %g", layer, head, t, after,
				         before);
			}
			free(given);
		}
	}
	free(k);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

static size_t large; /* channels from 0 on that are large */

/* Queries of 1 and -1: all channels have strength 1. Each token's other channels have one magnitude. */
static double level(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d), sign = x < 0.0 ? -1.0 : 1.0;
	if (side == FEED_V)
		return x;
	if (side == FEED_Q)
		return sign;
	return sign * (d < large ? 3.0 + 0.01 * (double)d : 0.25 + 0.01 * (double)(row % 16));
}

/* SparK P4: equal saliencies come back with their signs, within the roundings of an amplitude and a factor. */
START_TEST(test_p4_equal_saliencies_come_back)
{
	static const int some[] = {SIGNMAG, MEAN, MEAN_SQ, FIT};
	const struct pruned_case *c = &cases[some[_i]];
	struct feed feed = pruned_feed(c);
	static struct stream stream;
	size_t n = 140 * (size_t)(c->shape.kv_heads * c->shape.dk);
	double *k = new_array(n, sizeof *k), *given = new_array(n, sizeof *given);
	feed.value = level;
	large = c->kept;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 140, CLKV_PROMPT_END, 1, NULL);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &stream, layer, 0, 140, k, NULL);
		feed_rows(&feed, layer, FEED_K, stream.row, 140, given);
		for (size_t i = 0; i < n; i++) {
			double x = ref_stored(given[i]);
			bool kept = i % (size_t)c->shape.dk < c->kept;
			EACH_MSG(fabs(k[i] - x) <= (kept ? 0.0 : 2.1 * REF_HALF_EPS * fabs(x)),
			         "layer %d, element %zu: %.9g instead of %.9g", layer, i, k[i], x);
		}
	}
	free(k);
	free(given);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- nothing pruned, the prompt's own rows ---- */

/* A prompt of 211 tokens in two steps, then 3 rows: what the three steps return. */
static void run_steps(const char *recipe, struct feed_result result[3])
{
	struct feed feed = {.geometry = feed_usual(2), .lse = true};
	static struct stream stream;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 130, CLKV_PROMPT, 1, &result[0]);
	feed_one(&feed, &stream, 81, CLKV_PROMPT_END, 1, &result[1]);
	feed_one(&feed, &stream, 3, CLKV_DECODE, 1, &result[2]);
	feed_close(&feed);
}

static bool same_result(const struct feed_result *a, const struct feed_result *b)
{
	ck_assert_uint_eq(a->rows, b->rows);
	return memcmp(a->out, b->out, 2 * a->rows * a->out_row * sizeof *a->out) == 0 &&
	       memcmp(a->lse, b->lse, 2 * a->rows * a->lse_row * sizeof *a->lse) == 0;
}

/* P1: nothing is pruned, nothing changes. SparK P7: the prompt sees itself in full, under seal=prompt. */
START_TEST(test_p1_p7_where_nothing_changes)
{
	static const struct {
		const char *recipe;
		bool same[3]; /* as f16, step by step */
	} rows[] = {
		{"spark:keep=1 ; window=0", {true, true, true}},
		{"think:keep=1 ; window=0", {true, true, true}},
		{"think:keep=0.98 ; window=0", {true, true, true}}, /* 63 channels are rounded up to all */
		{"spark ; window=0", {true, true, false}},
		{"think:keep=0.5 ; window=0", {true, true, false}},
		{"spark ; window=0,seal=chunk", {true, false, false}},
		{"spark ; window=211", {true, true, true}},
	};
	struct feed_result dense[3], got[3];
	run_steps("f16", dense);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		run_steps(rows[i].recipe, got);
		for (int j = 0; j < 3; j++) {
			ck_assert_msg(same_result(&got[j], &dense[j]) == rows[i].same[j], "'%s', step %d: %s",
			              rows[i].recipe, j, rows[i].same[j] ? "other bits" : "the same bits");
			feed_result_close(&got[j]);
		}
	}
	for (int j = 0; j < 3; j++)
		feed_result_close(&dense[j]);
}
END_TEST

/* ThinK P6 and SparK's window: the newest tokens keep all of K. */
START_TEST(test_p6_the_tail_is_whole)
{
	static const char *const recipes[] = {"think:keep=0.5", "spark",
	                                      "think:keep=0.5 ; window=32,skip=1",
	                                      "spark ; window=32,sinks=3"};
	size_t window = _i < 2 ? 128 : 32, sinks = _i == 3 ? 3 : 0;
	struct feed feed = {.geometry = feed_usual(2)};
	static struct stream stream;
	double *k = new_array(300 * 128, sizeof *k), *given = new_array(300 * 128, sizeof *given);
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, 300 - window - sinks);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &stream, layer, 0, 300, k, NULL);
		feed_rows(&feed, layer, FEED_K, stream.row, 300, given);
		for (size_t row = 0; row < 600; row++) {
			size_t token = row / 2, differ = 0;
			bool whole = token < sinks || token >= 300 - window || (_i == 2 && layer == 0);
			for (size_t i = 0; i < 64; i++)
				differ += k[row * 64 + i] != ref_stored(given[row * 64 + i]);
			EACH_MSG(whole ? differ == 0 : differ > 16, "token %zu: %zu channels differ", token,
			         differ);
		}
	}
	free(k);
	free(given);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- forks, cuts ---- */

static void both(struct watch *wa, struct watch *wb, struct feed *feed, struct stream *a,
                 struct stream *b, size_t n)
{
	struct feed_item items[] = {{.stream = a, .n = n, .phase = CLKV_DECODE, .seed = 5},
	                            {.stream = b, .n = n, .phase = CLKV_DECODE, .seed = 6}};
	feed_step(feed, items, 2, NULL);
	watch_step(wa, a, n, CLKV_DECODE);
	watch_step(wb, b, n, CLKV_DECODE);
}

/* Forks have the queries seen so far in common, and each its own ones from then on. Masks are made anew, or
 * taken over from the prompt. */
START_TEST(test_forks_and_cuts)
{
	static const int some[] = {ZERO, FIT, THINKS, THINKS_ONCE};
	const struct pruned_case *c = &cases[some[_i]];
	struct feed feed = pruned_feed(c);
	static struct stream a, b, gone;
	static struct watch wa, wb;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &a);
	watch_open(&wa, c, &feed);
	watch_feed(&wa, &feed, &a, 150, CLKV_PROMPT_END, 1);
	watch_feed(&wa, &feed, &a, 45, CLKV_DECODE, 11);
	stream_fork(&feed, &a, &b);
	watch_fork(&wa, &wb);
	stream_fork(&feed, &a, &gone);
	/* a block is full before 32 rows have come: some of the queries are those that both have seen */
	watch_feed(&wa, &feed, &a, 20, CLKV_DECODE, 2);
	watch_feed(&wb, &feed, &b, 20, CLKV_DECODE, 3);
	feed_one(&feed, &gone, 10, CLKV_DECODE, 4, NULL);
	stream_close(&gone);
	both(&wa, &wb, &feed, &a, &b, 30);
	both(&wa, &wb, &feed, &a, &b, 90);
	watch_check(&wa, &a);
	watch_check(&wb, &b);
	watch_attend(&wa, &feed, &a, 1, CLKV_DECODE, 7);
	/* inside a sealed block; queries behind the cut, and those that they overwrote, count no more */
	watch_cut(&wa, &a, 100);
	watch_check(&wa, &a);
	watch_attend(&wa, &feed, &a, 3, CLKV_DECODE, 8);
	watch_feed(&wa, &feed, &a, 7, CLKV_DECODE, 9);
	watch_feed(&wa, &feed, &a, 130, CLKV_DECODE, 10);
	watch_check(&wa, &a);
	watch_check(&wb, &b);
	watch_close(&wa);
	watch_close(&wb);
	feed_close(&feed);
}
END_TEST

/* Tokens that a step doesn't keep leave no queries behind. */
START_TEST(test_rejected_rows_leave_no_queries)
{
	const struct pruned_case *c = &cases[ZERO];
	struct feed feed = pruned_feed(c);
	static struct stream s;
	static struct watch w;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &s);
	watch_open(&w, c, &feed);
	watch_feed(&w, &feed, &s, 150, CLKV_PROMPT_END, 1);
	watch_feed(&w, &feed, &s, 54, CLKV_DECODE, 2);
	struct feed_item item = {.stream = &s, .n = 20, .dropped = 10, .seed = 3};
	feed_step(&feed, &item, 1, NULL);
	/* their places in the ring held older queries: these are gone, and 22 of 32 are left */
	for (size_t p = s.n; p < s.n + 10; p++)
		w.seen[p % c->obs].tag = 0;
	watch_step(&w, &s, 10, CLKV_DECODE);
	ck_assert_uint_eq(w.seal.tail, 214);
	watch_check(&w, &s);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- codecs behind ---- */

/* Kept channels are rounded up to eights. A unit's range is that of what is kept. */
static const struct pruned_case behind[] = {
	{"spark:keep=0.3,recover=signmag,saliency=abs | q:k=8,v=4 ; window=0",
     {6, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 24,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_SIGNMAG,
     .codec = PRUNED_TOKEN_CODES,
     .step = 1.0 / 255,
     .group = 32},
	{"think:keep=0.3 | q:k=4,v=4 ; window=0",
     {6, 2, 64, 64},
     PRUNED_THINK,
     .kept = 24,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .refresh = 1,
     .codec = PRUNED_TOKEN_CODES,
     .step = 1.0 / 15,
     .group = 32},
	{"spark:recover=mean | q:k=8,v=16,axis_k=channel ; window=0",
     {2, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_MEAN,
     .squared = true,
     .codec = PRUNED_CHANNEL_CODES,
     .step = 1.0 / 255,
     .group = 32},
	{"spark:keep=0.3 | q:k=16,v=4 ; window=0",
     {6, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 19,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_FIT,
     .squared = true,
     .refine = 2},
	{"spark:keep=0.5 | kivi:bits=4 ; window=0",
     {6, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_FIT,
     .squared = true,
     .refine = 2,
     .codec = PRUNED_CHANNEL_CODES,
     .step = 1.0 / 15,
     .group = 32},
	{"think:keep=0.5 | kivi:bits=2 ; window=0",
     {3, 1, 128, 64},
     PRUNED_THINK,
     .kept = 64,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .refresh = 1,
     .codec = PRUNED_CHANNEL_CODES,
     .step = 1.0 / 3,
     .group = 32},
	{"spark:keep=0.5 | kvcomp:entropy=pack,verify=1,rel_k=0.1,exact=0 ; window=0",
     {6, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_FIT,
     .squared = true,
     .refine = 2,
     .codec = PRUNED_CHANNEL_RANGE,
     .step = 0.1},
	{"spark:keep=0.3,recover=zero,saliency=abs | "
     "kvcomp:entropy=huffman,unit_k=block,rel_k=0.02,verify=1,exact=0 ; window=0",
     {6, 2, 64, 64},
     PRUNED_SPARK,
     .kept = 24,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_ZERO,
     .codec = PRUNED_BLOCK_RANGE,
     .step = 0.02},
	{"think:keep=0.5 | kvcomp:entropy=none,verify=1,rel_k=0.05 ; window=0",
     {6, 2, 64, 64},
     PRUNED_THINK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .refresh = 1,
     .codec = PRUNED_CHANNEL_RANGE,
     .step = 0.05,
     .exact = 1},
	{"spark:keep=0.4,recover=const,fill=0.1,saliency=abs | "
     "kvcomp:entropy=huffman,rel_k=0.1,verify=1,exact=2 ; window=0,block=32",
     {2, 2, 80, 80},
     PRUNED_SPARK,
     .kept = 32,
     .obs = 32,
     .block = 32,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_CONST,
     .fill = 0.1,
     .codec = PRUNED_CHANNEL_RANGE,
     .step = 0.1,
     .exact = 2},
};
#define BEHIND (sizeof behind / sizeof behind[0])

START_TEST(test_codecs_behind)
{
	run_case(&behind[_i], fixture.context, fixture.queue);
}
END_TEST

/* ---------------------------------------------------------------- files ---- */

static const struct pruned_case *const saved[] = {
	&cases[FIT], &cases[MEAN], &cases[THINKS],      &cases[THINKS_ONCE],
	&behind[1],  &behind[4],   &behind[BEHIND - 1], &behind[BEHIND - 3]};

/* What is sealed comes back to the bit. A file has no queries: the next blocks are judged by those that come then;
 * a mask that stays is that of the last sealed block. */
START_TEST(test_saved_and_loaded)
{
	const struct pruned_case *c = saved[_i];
	struct feed feed = pruned_feed(c), other = feed;
	static struct stream s, loaded;
	static struct watch w, again;
	struct memory_file file = {0};
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	feed_open(&other, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &s);
	watch_open(&w, c, &feed);
	watch_feed(&w, &feed, &s, 150, CLKV_PROMPT_END, 1);
	watch_feed(&w, &feed, &s, 190, CLKV_DECODE, 2);
	memory_save(&feed, &s, NULL, &file);
	memory_load(&other, &file, &s, &loaded);
	watch_fork(&w, &again);
	again.feed = &other;
	memset(again.seen, 0, sizeof again.seen);
	watch_check(&again, &loaded);
	/* the block that this fills is judged by 20 queries */
	watch_feed(&again, &other, &loaded, 20, CLKV_DECODE, 3);
	watch_feed(&again, &other, &loaded, 110, CLKV_DECODE, 4);
	watch_check(&again, &loaded);
	watch_attend(&again, &other, &loaded, 1, CLKV_DECODE, 5);
	memory_close(&file);
	watch_close(&w);
	watch_close(&again);
	feed_close(&feed);
	feed_close(&other);
}
END_TEST

/* ---------------------------------------------------------------- bytes ---- */

static double up(double n, double to)
{
	return ceil(n / to) * to;
}

/* Of a full block of one KV head: a mask (of all, or of each token), per token so many amplitudes, a factor per
 * channel, a sign for each value that is lacking; the kept values and V; an entry of the table. */
static double block_bytes(bool each, double d, double dv, double block, double kept,
                          double amplitudes, bool factors, bool signs)
{
	double section = each ? d * block / 8.0 + amplitudes * block * 2.0 + (factors ? 2.0 * d : 0.0) +
	                            (signs ? (d - kept) * block / 8.0 : 0.0)
	                      : d / 8.0;
	return up(up(section, 16.0) + 2.0 * block * (kept + dv), 64.0);
}

/* ThinK P5, and the same of SparK: the formula is the estimate, and what is taken. */
START_TEST(test_p5_bytes_are_those_of_the_formula)
{
	static const struct {
		const char *recipe;
		bool each;
		double kept, amplitudes;
		bool factors, signs;
	} rows[] = {
		{"think:keep=0.5 ; window=0", false, 32, 0, false, false},
		{"think:keep=0.6 ; window=0", false, 40, 0, false, false},
		{"think:keep=0.6,align=2 ; window=0", false, 38, 0, false, false},
		{"spark:keep=0.5,recover=zero,qagg=mean,saliency=abs ; window=0", true, 32, 0, false,
	     false},
		{"spark:keep=0.2,recover=const ; window=0", true, 13, 0, false, true},
		{"spark:keep=0.2,recover=signmag ; window=0", true, 13, 1, false, true},
		{"spark:keep=0.2,recover=mean,saliency=sq ; window=0", true, 13, 1, true, true},
		{"spark ; window=0", true, 32, 1, true, true},
		{"spark:recover=exp,saliency=abs,seed=3 ; window=0", true, 32, 3, true, true},
		{"spark:recover=normal,saliency=sq,seed=3 ; window=0", true, 32, 4, true, true},
	};
	clkv_geometry g = feed_usual(2);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 1024;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		clkv_bytes bytes = CLKV_INIT(clkv_bytes);
		clkv_error error;
		double want = block_bytes(rows[i].each, 64, 64, 64, rows[i].kept, rows[i].amplitudes,
		                          rows[i].factors, rows[i].signs);
		feed_ok(clkv_bytes_required(fixture.context, &g, rows[i].recipe, &o, &bytes, &error),
		        &error, rows[i].recipe);
		ck_assert_msg(bytes.per_token == 4 * (want + 16) / 64, "'%s': %g instead of %g",
		              rows[i].recipe, bytes.per_token, 4 * (want + 16) / 64);
		if (i != 0 && i != 7)
			continue; /* the others would be compiled for this alone */
		struct feed feed = {.geometry = g};
		static struct stream s;
		feed_open(&feed, fixture.context, fixture.queue, rows[i].recipe, &o);
		ck_assert_uint_eq(feed_stats(&feed).allocated.device, bytes.device);
		stream_open(&feed, &s);
		feed_one(&feed, &s, 256, CLKV_PROMPT_END, 1, NULL);
		ck_assert_double_eq((double)feed_stats(&feed).used_sealed, 16 * want);
		ck_assert_double_ge((double)stream_info(&s).bytes, 16 * (want + 16));
		ck_assert_double_le((double)stream_info(&s).bytes, 16 * (want + 16) + 1024);
		feed_close(&feed);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune");
	TCase *values = fixture_case(suite, "values", 120), *forms = fixture_case(suite, "forms", 120);
	TCase *mass = fixture_case(suite, "P3 P4", 120), *same = fixture_case(suite, "P1 P6 P7", 120);
	TCase *life = fixture_case(suite, "forks", 120), *codecs = fixture_case(suite, "codecs", 120);
	TCase *bytes = fixture_case(suite, "bytes", 60), *files = fixture_case(suite, "files", 120);
	fixture_some(values, test_values_and_attention, CASES, CONSTANT, SIGNMAG, MEAN, FIT, THINKS,
	             THINKS_ONCE);
	fixture_some(values, test_without_queries_magnitudes_decide, 3, 1, 2);
	fixture_some(values, test_unused_channels_and_zeros, 4, 0, 2);
	fixture_some(forms, test_other_forms_of_kernels, 4, 1, 2);
	tcase_add_loop_test(mass, test_p3_mass, MEAN, fixture_full() ? MEAN_SQ + 1 : MEAN + 1);
	fixture_some(mass, test_p4_equal_saliencies_come_back, 4, 0, 1);
	tcase_add_test(same, test_p1_p7_where_nothing_changes);
	fixture_some(same, test_p6_the_tail_is_whole, 4, 2, 3);
	fixture_some(life, test_forks_and_cuts, 4, 0, 2, 3);
	tcase_add_test(life, test_rejected_rows_leave_no_queries);
	fixture_some(codecs, test_codecs_behind, BEHIND, 0, 1, 4, 6);
	fixture_some(files, test_saved_and_loaded, sizeof saved / sizeof saved[0], 0, 3, 5);
	tcase_add_test(bytes, test_p5_bytes_are_those_of_the_formula);
	return fixture_run_shared(suite);
}
