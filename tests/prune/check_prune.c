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
#include "support/life.h"
#include "support/pairs.h"
#include "support/pruned.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- values, attention ---- */

/* Each form of recovery, saliency and strength; groups of 1, 3 and 4; block and head sizes. Behind them all kinds of
 * codecs, for which kept channels are rounded up to eights: a unit's range is that of what is kept. */
static const struct pruned_row rows[] = {
	{"spark:keep=0.5,recover=zero,qagg=mean,saliency=abs ; window=0", 32, PRUNED_USUAL},
	{"spark:keep=0.3,recover=const,fill=0.05,saliency=sq,qagg=norm ; window=0,block=32",
     19,
     {2, 2, 64, 64}},
	{"spark:keep=0.5,recover=signmag,saliency=sq,qagg=abs ; window=0,block=128", 32, PRUNED_USUAL},
	{"spark:keep=0.5,recover=mean,saliency=abs,obs=7 ; window=0", 40, {3, 1, 80, 112}},
	{"spark:keep=0.2,recover=mean,saliency=sq ; window=0", 13, PRUNED_USUAL},
	{"spark ; window=0", 32, PRUNED_USUAL},
	{"spark:keep=0.2,saliency=abs,refine=4,qagg=abs,obs=256 ; window=0,block=32",
     26,
     {3, 1, 128, 128}},
	{"spark:refine=0,qagg=norm ; window=0,block=128", 40, {4, 1, 80, 80}},
	{"think:keep=0.5 ; window=0", 32, PRUNED_USUAL},
	{"think:keep=0.3,align=2,qagg=norm,obs=5,refresh=0 ; window=0,block=128", 38, {3, 1, 128, 128}},
	{"think:keep=0.51,align=8,qagg=mean,refresh=3 ; window=0,block=32", 48, {2, 2, 80, 80}},
	{"spark:keep=0.3,recover=signmag,saliency=abs | q:k=8,v=4 ; window=0", 24, PRUNED_USUAL},
	{"think:keep=0.3 | q:k=4,v=4 ; window=0", 24, PRUNED_USUAL},
	{"spark:recover=mean | q:k=8,v=16,axis_k=channel ; window=0", 32, {2, 2, 64, 64}},
	{"spark:keep=0.3 | q:k=16,v=4 ; window=0", 19, PRUNED_USUAL},
	{"spark:keep=0.5 | kivi:bits=4 ; window=0", 32, PRUNED_USUAL},
	{"think:keep=0.5 | kivi:bits=2 ; window=0", 64, {3, 1, 128, 64}},
	{"spark:keep=0.5 | kvcomp:entropy=pack,verify=1,rel_k=0.1,exact=0 ; window=0", 32,
     PRUNED_USUAL},
	{"spark:keep=0.3,recover=zero,saliency=abs | "
     "kvcomp:entropy=huffman,unit_k=block,rel_k=0.02,verify=1,exact=0 ; window=0",
     24, PRUNED_USUAL},
	{"think:keep=0.5 | kvcomp:entropy=none,verify=1,rel_k=0.05 ; window=0", 32, PRUNED_USUAL},
	{"spark:keep=0.4,recover=const,fill=0.1,saliency=abs | "
     "kvcomp:entropy=huffman,rel_k=0.1,verify=1,exact=2 ; window=0,block=32",
     32,
     {2, 2, 80, 80}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };
enum { ZERO, CONSTANT, SIGNMAG, MEAN, MEAN_SQ, FIT, THINKS = 8, THINKS_ONCE, SPARK_Q = 11 };
enum { THINK_Q = 12, SPARK_PACK = 17 };

static struct watch watches[LIFE_STREAMS];

static void follow_step(struct life *l, enum life_stream s, size_t n, clkv_phase phase)
{
	watch_step(&watches[s], &l->streams[s], n, phase);
}

static void follow_copy(struct life *l, enum life_stream from, enum life_stream to)
{
	watch_fork(&watches[from], &watches[to]);
	watches[to].feed = life_feed(l, to);
}

static void follow_cut(struct life *l, enum life_stream s, size_t n)
{
	(void)l;
	watch_cut(&watches[s], n);
}

static void check(struct life *l, enum life_stream s)
{
	watch_check(&watches[s], &l->streams[s]);
}

/* SparK P2, ThinK P2: what is kept, and that it's exact; P5: attention. Forks have the queries seen so far in common, and
 * each its own ones from then on; masks are made anew, or taken over from the prompt; what is sealed comes back from a
 * file to the bit, queries with it, and a mask that stays is that of the last sealed block. */
static void lead(const struct pruned_row *row, clkv_context *context, cl_command_queue queue)
{
	const struct pruned_case c = pruned_case(row);
	static struct life l;
	l = (struct life){.feed = pruned_feed(&c),
	                  .block = c.block,
	                  .limit = c.codec == PRUNED_NONE ? PRUNED_ATTEND : PRUNED_ATTEND_CODES,
	                  .stepped = follow_step,
	                  .copied = follow_copy,
	                  .cut = follow_cut,
	                  .check = check};
	watch_open(&watches[LIFE_A], &c, &l.feed);
	watch_open(&watches[LIFE_SMALL], &c, &l.feed);
	life_lead(&l, context, queue, c.recipe);
	for (int s = 0; s < LIFE_STREAMS; s++)
		watch_close(&watches[s]);
	life_close(&l);
}

START_TEST(test_values_and_attention)
{
	lead(&rows[_i], fixture.context, fixture.queue);
}
END_TEST

START_TEST(test_other_forms_of_kernels)
{
	static const char *const forms[] = {"lanes=4,vec=4", "lanes=64,vec=1"};
	static const int some[] = {FIT, THINKS};
	clkv_context *context = fixture_open_tuned(forms[_i % 2]);
	cl_command_queue queue = fixture_queue_of(context);
	lead(&rows[some[_i / 2]], context, queue);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

/* What SparK can be set to beside its codec. */
static const char *const recoveries[] = {"zero", "const", "signmag", "mean", "fit"};
static const char *const saliencies[] = {"abs", "sq"};
static const char *const strengths[] = {"mean", "rms", "abs", "norm"};
static const struct {
	const char *keep;
	size_t kept; /* of 64 */
} shares[] = {{"0.2", 13}, {"0.3", 19}, {"0.5", 32}};
static const int blocks[] = {32, 64, 128};
static struct pairs settings;
enum { SETTINGS_SEED = 1 };

START_TEST(test_pairs_of_settings)
{
	const unsigned char *row = settings.row[_i];
	char recipe[128];
	snprintf(recipe, sizeof recipe,
	         "spark:keep=%s,recover=%s,saliency=%s,qagg=%s ; window=0,block=%d",
	         shares[row[3]].keep, recoveries[row[0]], saliencies[row[1]], strengths[row[2]],
	         blocks[row[4]]);
	const struct pruned_row c = {recipe, shares[row[3]].kept, PRUNED_USUAL};
	lead(&c, fixture.context, fixture.queue);
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

/* Nobody asks: channels are judged by K alone, of which many are equal to the bit. Or some are asked for hardly: strengths
 * have a floor where a fill is divided by them, and nowhere else; zero has the sign +. */
START_TEST(test_channels_nobody_asks_for)
{
	static const struct {
		int row;
		feed_value value; /* NULL: rows are appended, no more */
	} some[] = {{ZERO, NULL},  {FIT, NULL},       {THINKS, NULL},   {MEAN, unused},
	            {FIT, unused}, {MEAN_SQ, unused}, {SIGNMAG, unused}};
	const struct pruned_case c = pruned_case(&rows[some[_i].row]);
	struct feed feed = pruned_feed(&c);
	static struct stream stream;
	static struct watch w;
	feed.value = some[_i].value;
	feed.append_only = feed.value == NULL;
	feed_open(&feed, fixture.context, fixture.queue, c.recipe, NULL);
	stream_open(&feed, &stream);
	watch_open(&w, &c, &feed);
	watch_feed(&w, &feed, &stream, 230, CLKV_PROMPT_END, 1);
	watch_feed(&w, &feed, &stream, 70, CLKV_DECODE, 2);
	watch_check(&w, &stream);
	if (!feed.append_only)
		watch_attend(&w, &feed, &stream, 3, CLKV_DECODE, 3);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- mass, signs ---- */

/* SparK P3: the saliency of what is pruned is that of what stands for it. The amplitude and the factor are halves:
 * 2^-11 each; of squares twice that. */
START_TEST(test_p3_mass)
{
	const struct pruned_case row = pruned_case(&rows[_i]), *c = &row;
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
	const struct pruned_case row = pruned_case(&rows[some[_i]]), *c = &row;
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
	} recipes[] = {
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
	for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++) {
		run_steps(recipes[i].recipe, got);
		for (int j = 0; j < 3; j++) {
			ck_assert_msg(same_result(&got[j], &dense[j]) == recipes[i].same[j],
			              "'%s', step %d: %s", recipes[i].recipe, j,
			              recipes[i].same[j] ? "other bits" : "the same bits");
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

/* ---------------------------------------------------------------- rows that aren't kept ---- */

/* Tokens that a step doesn't keep leave no queries behind. */
START_TEST(test_rejected_rows_leave_no_queries)
{
	const struct pruned_case c = pruned_case(&rows[ZERO]);
	struct feed feed = pruned_feed(&c);
	static struct stream s;
	static struct watch w;
	feed_open(&feed, fixture.context, fixture.queue, c.recipe, NULL);
	stream_open(&feed, &s);
	watch_open(&w, &c, &feed);
	watch_feed(&w, &feed, &s, 150, CLKV_PROMPT_END, 1);
	watch_feed(&w, &feed, &s, 54, CLKV_DECODE, 2);
	struct feed_item item = {.stream = &s, .n = 20, .dropped = 10, .seed = 3};
	feed_step(&feed, &item, 1, NULL);
	/* their places in the ring held older queries: these are gone, and 22 of 32 are left */
	for (size_t p = s.n; p < s.n + 10; p++)
		w.seen[p % c.obs].tag = 0;
	watch_step(&w, &s, 10, CLKV_DECODE);
	ck_assert_uint_eq(w.seal.tail, 214);
	watch_check(&w, &s);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- bytes ---- */

/* ThinK P5, and the same of SparK: the formula is the estimate, and what is taken. */
START_TEST(test_p5_bytes_are_those_of_the_formula)
{
	static const struct {
		const char *recipe;
		bool each;
		double kept, amplitudes;
		bool factors, signs;
	} sizes[] = {
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
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		double section = sizes[i].each ? pruned_section(64, 64, sizes[i].kept, sizes[i].amplitudes,
		                                                sizes[i].factors, sizes[i].signs)
		                               : 64 / 8;
		struct pruned_bytes want = {64, 4 * pruned_page(section, 64, sizes[i].kept + 64), 4, 0, 0};
		/* the others would be compiled for this alone */
		pruned_expect_bytes(&g, sizes[i].recipe, &want, i == 0 || i == 7);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune");
	TCase *values = fixture_case(suite, "values", 120), *forms = fixture_case(suite, "forms", 120);
	TCase *pair = fixture_case(suite, "pairs", 120), *bytes = fixture_case(suite, "bytes", 60);
	TCase *mass = fixture_case(suite, "P3 P4", 120), *same = fixture_case(suite, "P1 P6 P7", 120);
	fixture_some(values, test_values_and_attention, ROWS, ZERO, CONSTANT, SIGNMAG, MEAN, FIT,
	             THINKS, THINKS_ONCE, SPARK_Q, THINK_Q, SPARK_PACK);
	fixture_some(values, test_channels_nobody_asks_for, 7, 1, 3);
	tcase_add_test(values, test_rejected_rows_leave_no_queries);
	fixture_some(forms, test_other_forms_of_kernels, 4, 1);
	/* each row compiles kernels of its own: a cover is enough even where everything is asked for */
	pairs_draw(&settings, 5, (const size_t[]){5, 2, 4, 3, 3}, false, SETTINGS_SEED);
	tcase_add_loop_test(pair, test_pairs_of_settings, 0, fixture_full() ? (int)settings.rows : 0);
	tcase_add_loop_test(mass, test_p3_mass, MEAN, fixture_full() ? MEAN_SQ + 1 : MEAN + 1);
	fixture_some(mass, test_p4_equal_saliencies_come_back, 4, 1);
	tcase_add_test(same, test_p1_p7_where_nothing_changes);
	fixture_some(same, test_p6_the_tail_is_whole, 4, 3);
	tcase_add_test(bytes, test_p5_bytes_are_those_of_the_formula);
	return fixture_run_shared(suite);
}
