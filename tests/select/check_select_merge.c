/* SPDX-License-Identifier: MIT */
/** \file check_select_merge.c \brief ZeroMerge: slots of merged tokens, and attention that knows how many each stands for. */
#include "ref/ref_half.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/selected.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define AROUND " ; window=16,sinks=4,block=32,seal=prompt"
#define FIELDS .score = REF_MASS, .window = 16, .sinks = 4, .block = 32

static const struct selected_case cases[] = {
	{.recipe = "zeromerge:budget=96,tail=0.25,residual=0.3334,lambda=1,alpha=1,metric=cos,"
               "init=first,obs=0,peak=0,mean=count,mass=sum,evict=new,score_merge=max" AROUND,
     .rule = {.budget = 96,
              .tail = 0.25,
              .residual = 0.3334,
              .lambda = 1.0,
              .alpha = 1.0,
              .metric = REF_NEAR_COSINE,
              FIELDS}},
	{.recipe = "zeromerge:budget=0.5,tail=24,residual=10,lambda=0.98,alpha=0.6,metric=dot,"
               "init=contig,obs=0,peak=0,mean=count,mass=sum,evict=any,score_merge=sum" AROUND,
     .rule = {.budget = 0.5,
              .tail = 24,
              .residual = 10,
              .lambda = 0.98,
              .alpha = 0.6,
              .metric = REF_NEAR_DOT,
              .init = REF_CONTIG,
              .any = true,
              .score_sum = true,
              FIELDS}},
	{.recipe = "zeromerge:budget=90,tail=0.5,residual=12,lambda=1,alpha=1,metric=l2,init=contig,"
               "obs=0,peak=0,mean=count,mass=sum,evict=new,score_merge=max" AROUND,
     .rule = {.budget = 90,
              .tail = 0.5,
              .residual = 12,
              .lambda = 1.0,
              .alpha = 1.0,
              .metric = REF_NEAR_L2,
              .init = REF_CONTIG,
              FIELDS}},
	/* one slot for all that is left over, and almost nothing but slots */
	{.recipe =
         "zeromerge:budget=64,tail=0.25,residual=0.01,lambda=1,alpha=0,metric=cos,init=contig,"
         "obs=0,peak=0,mean=count,mass=sum,evict=any,score_merge=max" AROUND,
     .rule = {.budget = 64,
              .tail = 0.25,
              .residual = 0.01,
              .lambda = 1.0,
              .metric = REF_NEAR_COSINE,
              .init = REF_CONTIG,
              .any = true,
              FIELDS}},
	{.recipe = "zeromerge:budget=64,tail=32,residual=27,lambda=1,alpha=1,metric=l2,init=first,"
               "obs=0,peak=0,mean=count,mass=sum,evict=new,score_merge=sum ; "
               "window=16,sinks=4,block=32,seal=chunk",
     .rule = {.budget = 64,
              .tail = 32,
              .residual = 27,
              .lambda = 1.0,
              .alpha = 1.0,
              .metric = REF_NEAR_L2,
              .score_sum = true,
              .chunk = true,
              FIELDS}},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* Weights, means, scores and attention, from a prompt of any length through several blocks. */
START_TEST(test_tokens_join_the_nearest_slot)
{
	static struct stream stream;
	const struct selected_case *c = &cases[_i % CASES];
	struct feed feed = {.geometry = feed_usual(1)};
	struct selected s;
	struct selected_figures f = {0};
	selected_cache(&feed, c, NULL);
	stream_open(&feed, &stream);
	selected_open(&s, c, &feed);
	selected_one(&feed, &stream, &s, _i < CASES ? 201 : 105, CLKV_PROMPT_END, 1, &f);
	for (size_t i = 0; i < 9; i++)
		selected_one(&feed, &stream, &s, 17, CLKV_DECODE, 2 + i, &f);
	selected_each(&feed, &stream, &s, 20, 11, &f);
	selected_one(&feed, &stream, &s, 130, CLKV_DECODE, 12, &f);
	selected_one(&feed, &stream, &s, 2, CLKV_DECODE, 13, &f);
	selected_expect(&f, true);
	selected_close(&s);
	feed_close(&feed);
}
END_TEST

static double weights_of(const struct feed *feed, const struct stream *stream, int layer,
                         size_t head, size_t *open)
{
	struct selected_kept x;
	double weights = 0.0;
	selected_read(feed, stream, layer, head, &x);
	for (size_t i = 0; i < x.kept.n; i++)
		weights += (double)x.kept.weights[i];
	*open = stream->n - x.kept.tail + 4; /* and the sinks */
	selected_free(&x);
	return weights;
}

/* What isn't kept joins a slot, with the first choice and with each later one, however few tokens leave: slots, sinks and
 * tail stand for every token. Weights are whole numbers. */
START_TEST(test_no_token_is_lost)
{
	static const char *const recipes[] = {
		"zeromerge:budget=96" AROUND,
		"zeromerge:budget=96,residual=20,mean=count,init=contig" AROUND,
	};
	static const size_t leave[] = {64, 3, 32, 1, 70, 12};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2)};
	size_t open;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 150, CLKV_PROMPT_END, 1, NULL);
	for (size_t i = 0; i < sizeof leave / sizeof *leave; i++) {
		feed_one(&feed, &stream, leave[i], CLKV_PROMPT_END, 2 + i, NULL);
		for (size_t h = 0; h < 4; h++) {
			double weights = weights_of(&feed, &stream, (int)h / 2, h % 2, &open);
			ck_assert_msg(weights + (double)open == (double)stream.n,
			              "after %zu more: slots of head %zu stand for %g tokens instead of %zu",
			              leave[i], h, weights, stream.n - open);
		}
	}
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- heavy ones ---- */

enum { HEAVY_FROM = 150, HEAVY = 3 };
static const uint32_t heavies[HEAVY] = {180, 183, 185};

static bool is_heavy(uint64_t row)
{
	for (size_t i = 0; i < HEAVY; i++)
		if (row == random_mix(2, heavies[i]))
			return true;
	return false;
}

/* Three tokens that all queries look for, among others that none does, whose values are far larger. */
static double heavy(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d);
	if (side == FEED_Q)
		return x + (d == 3 ? 8.0 : 0.0);
	if (side == FEED_V)
		return is_heavy(row) ? x / 16.0 : 1024.0 * x;
	return is_heavy(row) ? x + (d == 3 ? 9.0 : 0.0) : x;
}

/* A token that is alone in a slot is stored as it was given, whatever lay there before. */
static void expect_alone(const struct selected_kept *x, size_t slot, uint32_t position, int layer,
                         size_t head)
{
	for (size_t d = 0; d < x->dk; d++)
		ck_assert_double_eq((double)x->kept.k[slot * x->dk + d],
		                    ref_stored(heavy(random_mix(2, position), layer, FEED_K, head, d)));
	for (size_t d = 0; d < x->dv; d++)
		ck_assert_double_eq((double)x->kept.v[slot * x->dv + d],
		                    ref_stored(heavy(random_mix(2, position), layer, FEED_V, head, d)));
}

/* There are slots already, and room for two unmerged tokens: one of three heavy ones is merged, and weighs more than the
 * lightest slot. So it gets a slot of its own; that none of the few tokens behind it joins it, the seeds see to. */
START_TEST(test_a_heavy_token_begins_a_slot)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2), .value = heavy};
	feed_open(&feed, fixture.context, fixture.queue,
	          "zeromerge:budget=64,tail=24,residual=34,evict=any" AROUND, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, HEAVY_FROM, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 60, CLKV_PROMPT_END, 2, NULL);
	for (int h = 0; h < 4; h++) {
		struct selected_kept x;
		size_t alone = 0;
		selected_read(&feed, &stream, h / 2, (size_t)h % 2, &x);
		for (size_t i = 0; i < x.kept.n; i++)
			for (size_t n = 0; n < HEAVY; n++) {
				if (x.kept.positions[i] != heavies[n] || x.kept.weights[i] != 1.0f)
					continue;
				expect_alone(&x, i, heavies[n], h / 2, (size_t)h % 2);
				alone++;
			}
		EACH_MSG(alone == HEAVY, "head %d: %zu of %d heavy tokens have a slot of their own", h,
		         alone, HEAVY);
		selected_free(&x);
	}
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- equal keys ---- */

static bool same_values;
static uint64_t other_row; /* its token differs from all others */

static double equal(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	if (side == FEED_Q)
		return feed_normal(row, layer, side, head, d);
	if (row == other_row)
		return feed_normal(1, layer, side, head, d) + (d == 3 ? 4.0 : 0.0);
	return feed_normal(side == FEED_K || same_values ? 1 : row, layer, side, head, d);
}

/* Tokens with one key, and with one value or not, may be merged without any loss, as long as a slot's logit grows with
 * how many it stands for. Means of equal halves are these halves, up to single precision of 200 sums; other means are
 * rounded to half with each of some ten commits. */
START_TEST(test_merging_equal_keys_is_exact)
{
	static const char *const inits[] = {"first", "contig"};
	static struct stream a, b;
	struct feed feed = {.geometry = feed_usual(2), .value = equal, .lse = true}, dense = feed;
	struct feed_result x, y;
	char recipe[200];
	bool weighs = _i % 2 == 0;
	same_values = _i % 4 < 2;
	snprintf(recipe, sizeof recipe,
	         "zeromerge:budget=80,tail=0.25,residual=12,lambda=1,alpha=%d,metric=cos,init=%s,"
	         "obs=0,peak=0,mean=count,mass=sum,evict=new" AROUND,
	         weighs, inits[_i / 4]);
	other_row = random_mix(9, 350);
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	feed_open(&dense, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &a);
	stream_open(&dense, &b);
	for (size_t i = 0; i < 11; i++) {
		feed_one(&feed, &a, i == 0 ? 150 : 20, i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, NULL);
		feed_one(&dense, &b, i == 0 ? 150 : 20, i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, NULL);
	}
	ck_assert_uint_eq(a.n, 350);
	feed_one(&feed, &a, 1, CLKV_DECODE, 9, &x);
	feed_one(&dense, &b, 1, CLKV_DECODE, 9, &y);
	double error = expect_difference(&feed, &x, &y);
	if (weighs)
		ck_assert_double_le(error, same_values ? 2.0 * REF_HALF_EPS : 20.0 * REF_HALF_EPS);
	else
		ck_assert_double_gt(error, 0.02);
	feed_result_close(&x);
	feed_result_close(&y);
	feed_close(&feed);
	feed_close(&dense);
}
END_TEST

/* ---------------------------------------------------------------- what it is for ---- */

/* The error of attention over slots, with what is left over dropped, merged but not counted, and merged. */
static double attention_error(const char *recipe, const struct feed_result *want)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2)};
	struct feed_result x;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 20, CLKV_DECODE, 2, &x);
	double error = ref_relative_error(x.out, want->out, 2 * x.rows * x.out_row);
	feed_result_close(&x);
	feed_close(&feed);
	return error;
}

START_TEST(test_merging_is_nearer_to_dense_attention)
{
	static struct stream stream;
	struct feed dense = {.geometry = feed_usual(2)};
	struct feed_result want;
	feed_open(&dense, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&dense, &stream);
	feed_one(&dense, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	feed_one(&dense, &stream, 20, CLKV_DECODE, 2, &want);
	double dropped = attention_error("zeromerge:budget=80,tail=0.25,residual=0,lambda=1,alpha=1,"
	                                 "obs=0,peak=0,mean=count,mass=sum" AROUND,
	                                 &want);
	double merged = attention_error("zeromerge:budget=80,tail=0.25,residual=16,lambda=1,alpha=1,"
	                                "metric=cos,init=first,obs=0,peak=0,mean=count,mass=sum" AROUND,
	                                &want);
	ck_assert_double_gt(merged, 1e-4);
	ck_assert_msg(merged < dropped, "error %g with merging, %g without", merged, dropped);
	feed_result_close(&want);
	feed_close(&dense);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("select merge");
	TCase *c = fixture_case(suite, "merge", 120);
	fixture_some(c, test_tokens_join_the_nearest_slot, 2 * CASES, 0, 1, 2, 4, CASES + 1, CASES + 4);
	fixture_some(c, test_merging_equal_keys_is_exact, 8, 0, 3, 5, 6);
	tcase_add_loop_test(c, test_no_token_is_lost, 0, 2);
	tcase_add_test(c, test_a_heavy_token_begins_a_slot);
	tcase_add_test(c, test_merging_is_nearer_to_dense_attention);
	return fixture_run_shared(suite);
}
