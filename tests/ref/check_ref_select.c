/* SPDX-License-Identifier: MIT */
/** \file check_ref_select.c \brief The reference of selection against known answers and the properties of its sources. */
#include "ref/ref_expect.h"
#include "ref/ref_half.h"
#include "ref/ref_select.h"
#include "support/each.h"
#include "support/random.h"
#include "support/suite.h"

#include <check.h>
#include <math.h>
#include <string.h>

#define DIM 16
#define HEADS 3
#define MOST 400

/* Rows of a stream: k, v and the queries of three heads. */
static double k[MOST][DIM], v[MOST][DIM], q[MOST][HEADS][DIM];

static void make_rows(void)
{
	for (uint64_t t = 0; t < MOST; t++)
		for (uint64_t d = 0; d < DIM; d++) {
			k[t][d] = ref_half(random_normal(random_mix(1, t * DIM + d)));
			v[t][d] = ref_half(random_normal(random_mix(2, t * DIM + d)));
			for (uint64_t h = 0; h < HEADS; h++)
				q[t][h][d] = ref_half(random_normal(random_mix(3 + h, t * DIM + d)));
		}
}

static const struct ref_select zeromerge = {
	.score = REF_MASS,
	.budget = 60,
	.tail = 16,
	.residual = 8,
	.lambda = 1.0,
	.alpha = 1.0,
	.metric = REF_NEAR_COSINE,
	.sinks = 2,
	.window = 8,
	.block = 16,
};

/* A step of rows from where the head is, the first `kept` of which stay; out of the last one. */
static void step(struct ref_head *h, size_t n, size_t kept, enum ref_phase phase, double *out)
{
	double rows[HEADS * DIM];
	struct ref_select_sums sums[HEADS];
	size_t at = h->length;
	ck_assert_uint_le(at + n, MOST);
	ref_select_append(h, n, k[at], DIM, v[at], DIM);
	for (size_t i = 0; i < n; i++)
		ref_select_row(h, i, q[at + i][0], out ? out : rows, sums);
	ref_select_commit(h, kept, phase);
}

static void open_head(struct ref_head *h, const struct ref_select *s)
{
	ref_head_open(h, s, DIM, DIM, HEADS);
}

/* A prompt and tokens one by one. */
static void run(struct ref_head *h, const struct ref_select *s, size_t prompt, size_t more)
{
	open_head(h, s);
	step(h, prompt, prompt, REF_PROMPT_END, NULL);
	for (size_t i = 0; i < more; i++)
		step(h, 1, 1, REF_DECODE, NULL);
}

static double weights_of(const struct ref_head *h)
{
	double sum = 0.0;
	for (size_t i = 0; i < h->n; i++)
		sum += h->slot[i].weight;
	return sum;
}

static bool has(const struct ref_head *h, size_t position)
{
	for (size_t i = h->n_merged; i < h->n; i++)
		if (h->slot[i].position == position)
			return true;
	return false;
}

static void expect_same_slots(const struct ref_head *a, const struct ref_head *b, double factor)
{
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_uint_eq(a->n_merged, b->n_merged);
	for (size_t i = 0; i < a->n; i++) {
		EACH_MSG(a->slot[i].position == b->slot[i].position &&
		             a->slot[i].weight == b->slot[i].weight,
		         "slot %zu: positions %zu and %zu", i, a->slot[i].position, b->slot[i].position);
		EACH_MSG(fabs(a->slot[i].score * factor - b->slot[i].score) <= 1e-9,
		         "slot %zu: scores %g and %g", i, a->slot[i].score, b->slot[i].score);
		EACH_MSG(memcmp(a->slot[i].k, b->slot[i].k, 2 * DIM * sizeof(double)) == 0,
		         "slot %zu differs", i);
	}
}

/* ---------------------------------------------------------------- quota ---- */

START_TEST(test_quotas)
{
	static const struct {
		double budget, tail, residual;
		size_t sinks, window, tokens, want[3]; /* window, merged, kept */
	} all[] = {
		{100, 0.25, 0.3334, 4, 8, 1000, {25, 25, 46}}, /* 75 * 0.3334 = 25.005 */
		{0.2, 0.25, 0.3334, 4, 8, 1000, {50, 50, 96}},
		{0.1, 0.25, 0.3334, 4, 8, 1000, {32, 32, 60}}, /* a share: 128 at least */
		{0.1, 0.25, 0.3334, 4, 8, 100, {25, 25, 46}},  /* or all */
		{100, 0.05, 0, 4, 8, 1000, {8, 0, 88}},        /* the general window is more */
		{100, 1, 0, 4, 8, 1000, {96, 0, 0}},           /* streaming */
		{100, 40, 10, 0, 0, 1000, {40, 10, 50}},       /* counts */
		{100, 0.5, 0.001, 0, 0, 10, {50, 1, 49}},      /* at least one */
		{20, 90, 90, 4, 8, 1000, {16, 0, 0}},          /* never more than there are */
		{20, 10, 90, 4, 8, 1000, {10, 6, 0}},
		{2, 10, 90, 4, 8, 1000, {0, 0, 0}},
	};
	const struct ref_select s = {.budget = all[_i].budget,
	                             .tail = all[_i].tail,
	                             .residual = all[_i].residual,
	                             .sinks = all[_i].sinks,
	                             .window = all[_i].window};
	struct ref_quota quota = ref_select_quota(&s, all[_i].tokens);
	ck_assert_uint_eq(quota.window, all[_i].want[0]);
	ck_assert_uint_eq(quota.merged, all[_i].want[1]);
	ck_assert_uint_eq(quota.kept, all[_i].want[2]);
}
END_TEST

START_TEST(test_the_best_are_kept)
{
	static const double score[] = {5, 1, 3, 3, 3, 0};
	static const double none[6] = {0};
	static const double slack[] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1};
	static const bool want[][6] = {{1, 0, 0, 0, 1, 0},  /* ties: the later */
	                               {1, 0, 0, 0, 0, 1},  /* forced */
	                               {1, 0, 1, 1, 1, 0},  /* no tie */
	                               {0, 0, 0, 0, 0, 0}}; /* none at all */
	bool kept[6];
	ck_assert(ref_select_best(6, score, none, 2, false, kept));
	ck_assert(memcmp(kept, want[0], sizeof kept) == 0);
	ck_assert(!ref_select_best(6, score, slack, 2, false, kept));
	ck_assert(ref_select_best(6, score, slack, 2, true, kept));
	ck_assert(memcmp(kept, want[1], sizeof kept) == 0);
	ck_assert(ref_select_best(6, score, slack, 4, false, kept));
	ck_assert(memcmp(kept, want[2], sizeof kept) == 0);
	ck_assert(ref_select_best(6, score, slack, 0, true, kept));
	ck_assert(memcmp(kept, want[3], sizeof kept) == 0);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

START_TEST(test_nothing_is_dropped_below_the_budget)
{
	struct ref_select s = zeromerge;
	struct ref_head h;
	double out[HEADS * DIM], want[DIM];
	struct ref_attend a = {.dk = DIM, .dv = DIM, .scale = 0.25, .to = 100};
	a.k_stride = a.v_stride = DIM;
	s.budget = 101;
	make_rows();
	run(&h, &s, 70, 29);
	step(&h, 1, 1, REF_DECODE, out);
	ck_assert(!h.selected);
	ck_assert_uint_eq(h.n, 100);
	ref_attend(&a, q[99][1], k[0], v[0], want, NULL);
	for (size_t d = 0; d < DIM; d++)
		EACH_MSG(fabs(out[DIM + d] - want[d]) <= 1e-12, "channel %zu: %g, %g", d, out[DIM + d],
		         want[d]);
	ref_head_close(&h);
}
END_TEST

/* All merged tokens have one key (and one value, or not): with alpha 1 nothing changes, with alpha 0 it does. Values
 * are small whole numbers' means: rounding them to half leaves 2^-11 of them at each of some ten commits. */
START_TEST(test_merging_equal_keys_is_exact)
{
	static const double alphas[] = {1.0, 0.0};
	for (size_t same_values = 0; same_values < 2; same_values++)
		for (size_t a = 0; a < 2; a++) {
			struct ref_select s = zeromerge, all = zeromerge;
			struct ref_head h, dense;
			double out[HEADS * DIM], want[HEADS * DIM];
			s.alpha = alphas[a];
			all.budget = MOST;
			make_rows();
			for (size_t t = 0; t < MOST; t++) {
				memcpy(k[t], k[0], sizeof k[t]);
				if (same_values)
					memcpy(v[t], v[0], sizeof v[t]);
			}
			/* the row's own token differs from all others */
			k[299][0] += 4.0;
			v[299][0] += 4.0;
			run(&h, &s, 150, 149);
			run(&dense, &all, 150, 149);
			step(&h, 1, 1, REF_DECODE, out);
			step(&dense, 1, 1, REF_DECODE, want);
			ck_assert_uint_lt(h.n, 90);
			double error = ref_relative_error(out, want, (size_t)HEADS * DIM);
			double allowed = same_values ? 1e-12 : 20.0 * REF_HALF_EPS;
			if (alphas[a] == 1.0)
				ck_assert_double_le(error, allowed);
			else
				ck_assert_double_gt(error, 0.02);
			ref_head_close(&h);
			ref_head_close(&dense);
		}
}
END_TEST

/* Jensen: exp of a mean is at most the mean of exp, so what isn't merged gets at least its share of dense attention if
 * alpha is at most 1. A slot's key is off by 2^-11 relatively, a logit by 16 * 0.25 * 3 * 2^-11 * 3 = 0.02 at most. */
START_TEST(test_unmerged_tokens_lose_no_attention)
{
	static const double alphas[] = {0.0, 0.6, 1.0, 2.5};
	struct ref_select s = zeromerge, all = zeromerge;
	struct ref_head h, dense;
	double row[HEADS * DIM];
	struct ref_select_sums sums[HEADS];
	size_t below = 0;
	s.alpha = alphas[_i];
	all.budget = MOST;
	make_rows();
	run(&h, &s, 100, 99);
	run(&dense, &all, 100, 99);
	ref_select_append(&h, 1, k[199], DIM, v[199], DIM);
	ref_select_append(&dense, 1, k[199], DIM, v[199], DIM);
	ref_select_row(&h, 0, q[199][0], row, sums);
	ref_select_row(&dense, 0, q[199][0], row, sums);
	for (size_t i = h.n_merged; i < h.n; i++)
		below += h.mass[0][i] < (1.0 - 0.02) * dense.mass[0][h.slot[i].position];
	if (alphas[_i] <= 1.0)
		ck_assert_uint_eq(below, 0);
	else
		ck_assert_uint_gt(below, 0);
	ref_head_close(&h);
	ref_head_close(&dense);
}
END_TEST

/* ---------------------------------------------------------------- merging ---- */

/* After each step the weights count all tokens, and slots hold their sum: each commit rounds a key of a slot of w
 * tokens by 2^-11 of it. */
START_TEST(test_merging_conserves_keys)
{
	static const enum ref_init inits[] = {REF_FIRST, REF_CONTIG};
	struct ref_select s = zeromerge;
	struct ref_head h;
	s.init = inits[_i];
	make_rows();
	run(&h, &s, 90, 0);
	for (size_t n = 91; n < 260; n++) {
		double sum = 0.0, want = 0.0;
		step(&h, 1, 1, REF_DECODE, NULL);
		ck_assert_double_eq(weights_of(&h), (double)n);
		for (size_t i = 0; i < h.n; i++)
			sum += h.slot[i].weight * h.slot[i].k[3];
		for (size_t t = 0; t < n; t++)
			want += k[t][3];
		ck_assert_double_eq_tol(sum, want, 12.0 * (double)n * REF_HALF_EPS);
		ck_assert_uint_eq(h.n_merged, 8);
		for (size_t t = n - 16; t < n; t++)
			EACH_MSG(has(&h, t), "token %zu left the window early", t);
	}
	ref_head_close(&h);
}
END_TEST

START_TEST(test_metrics_differ)
{
	/* longest along the token; nearest to it; best direction */
	static const double slots[3][2] = {{30, 20}, {1.2, 0.6}, {0.3, 0.02}}, token[2] = {1, 0};
	static const enum ref_near metrics[] = {REF_NEAR_DOT, REF_NEAR_L2, REF_NEAR_COSINE};
	double best = -INFINITY, error;
	int found = -1;
	for (int j = 0; j < 3; j++) {
		double near = ref_select_near(metrics[_i], 2, token, slots[j], &error);
		if (near > best)
			found = j;
		best = fmax(best, near);
	}
	ck_assert_int_eq(found, _i);
}
END_TEST

/* 8 slots of the 62 tokens left over: six runs of 8 and two of 7. */
START_TEST(test_runs_are_even)
{
	struct ref_select s = zeromerge;
	struct ref_head h;
	s.init = REF_CONTIG;
	s.score = REF_PLACE; /* keeps the newest 34, merges the oldest */
	make_rows();
	run(&h, &s, 114, 0);
	ck_assert_uint_eq(h.n_merged, 8);
	for (size_t j = 0, at = 2; j < 8; j++) {
		size_t many = j < 6 ? 8 : 7;
		double mean = 0.0;
		ck_assert_double_eq(h.slot[j].weight, (double)many);
		for (size_t t = at; t < at + many; t++)
			mean += k[t][5] / (double)many;
		at += many;
		ck_assert_double_eq_tol(h.slot[j].k[5], mean, REF_HALF_EPS * fabs(mean) + 1e-12);
		ck_assert_uint_eq(h.slot[j].position, at - 1);
		ck_assert_double_eq(h.slot[j].score, (double)(at - 1));
	}
	ref_head_close(&h);
}
END_TEST

/* ---------------------------------------------------------------- scores ---- */

/* s of a token is the sum of its weights, the newest row's counted whole; however the prompt was cut. */
START_TEST(test_chunks_give_the_same_slots)
{
	static const size_t cuts[][4] = {{150}, {1, 149}, {64, 64, 22}, {33, 50, 7, 60}};
	struct ref_select s = zeromerge;
	struct ref_head whole, parts;
	s.lambda = 0.98;
	make_rows();
	run(&whole, &s, 150, 40);
	open_head(&parts, &s);
	for (size_t i = 0; i < 4 && cuts[_i][i] > 0; i++)
		step(&parts, cuts[_i][i], cuts[_i][i],
		     parts.length + cuts[_i][i] == 150 ? REF_PROMPT_END : REF_PROMPT, NULL);
	for (size_t i = 0; i < 40; i++)
		step(&parts, 1, 1, REF_DECODE, NULL);
	ck_assert(whole.selected);
	expect_same_slots(&whole, &parts, 1.0);
	ref_head_close(&whole);
	ref_head_close(&parts);
}
END_TEST

START_TEST(test_mass_shrinks_with_rows)
{
	struct ref_select s = zeromerge;
	struct ref_head h;
	double sum = 0.0;
	s.lambda = 0.5;
	s.budget = MOST;
	make_rows();
	run(&h, &s, 3, 0);
	for (size_t i = 0; i < h.n; i++)
		sum += h.slot[i].score;
	ck_assert_double_eq_tol(sum, HEADS * (1.0 + 0.5 + 0.25), 1e-12);
	ref_head_close(&h);
}
END_TEST

/* One head whose queries are those of each of three: a third of the mass. */
START_TEST(test_equal_heads_are_one)
{
	struct ref_head three, one;
	make_rows();
	for (size_t t = 0; t < MOST; t++)
		for (size_t h = 1; h < HEADS; h++)
			memcpy(q[t][h], q[t][0], sizeof q[t][0]);
	run(&three, &zeromerge, 150, 60);
	ref_head_open(&one, &zeromerge, DIM, DIM, 1);
	step(&one, 150, 150, REF_PROMPT_END, NULL);
	for (size_t i = 0; i < 60; i++)
		step(&one, 1, 1, REF_DECODE, NULL);
	expect_same_slots(&one, &three, HEADS);
	ref_head_close(&one);
	ref_head_close(&three);
}
END_TEST

START_TEST(test_rejected_rows_leave_nothing)
{
	struct ref_head drafts, plain;
	make_rows();
	run(&plain, &zeromerge, 150, 40);
	run(&drafts, &zeromerge, 150, 0);
	for (size_t i = 0; i < 40; i++)
		step(&drafts, 1 + i % 4, 1, REF_DECODE, NULL);
	expect_same_slots(&plain, &drafts, 1.0);
	ref_head_close(&plain);
	ref_head_close(&drafts);
}
END_TEST

/* The norm alone: ten times as long and it goes first, a tenth and it stays. */
START_TEST(test_short_keys_are_kept)
{
	static const double factors[] = {10.0, 0.1};
	const struct ref_select s = {.score = REF_NORM, .budget = 40, .block = 16, .any = true};
	struct ref_head h;
	make_rows();
	for (size_t d = 0; d < DIM; d++)
		k[33][d] *= factors[_i];
	run(&h, &s, 150, 0);
	ck_assert_uint_eq(h.n, 40);
	ck_assert_int_eq(has(&h, 33), _i == 1);
	ref_head_close(&h);
}
END_TEST

/* Uniform attention is 1 / (position + 1) to all: all stay. Then one key that rows look for no more. */
START_TEST(test_what_passed_once_stays_a_while)
{
	const struct ref_select s = {.score = REF_SEEN,
	                             .observe = 12,
	                             .rows = REF_ROWS_ABOVE,
	                             .window = 1,
	                             .block = 1,
	                             .above = true,
	                             .any = true};
	struct ref_head h;
	memset(q, 0, sizeof q);
	memset(k, 0, sizeof k);
	open_head(&h, &s);
	h.slack = 1e-9;
	for (size_t t = 0; t < 60; t++)
		step(&h, 1, 1, REF_DECODE, NULL);
	ck_assert_uint_eq(h.n, 60);
	ck_assert(!h.choice.sure); /* exactly on the edge */
	/* from now on rows look away from key 7 */
	k[7][0] = -1.0;
	for (size_t i = 0; i < h.n; i++)
		h.slot[i].k[0] = h.slot[i].position == 7 ? -9.0 : 0.0;
	for (size_t t = 60; t < 75; t++) {
		q[t][0][0] = q[t][1][0] = q[t][2][0] = 4.0;
		step(&h, 1, 1, REF_DECODE, NULL);
		ck_assert_int_eq(has(&h, 7), t + 1 < 60 + 12);
	}
	ref_head_close(&h);
}
END_TEST

/* Weights among candidates, pools and groups on four tokens that can be counted. */
START_TEST(test_pools_and_groups)
{
	/* exp(logit) of tokens 0 to 3 is 1, 2, 4, 1 for head 0, and 3, 1, 1, 3 for heads 1 and 2 */
	static const double terms[2][4] = {{1, 2, 4, 1}, {3, 1, 1, 3}};
	static const struct {
		enum ref_group group;
		size_t pool;
		bool pool_max, old;
		double want[3]; /* of the candidates 0 to 2, times 8 */
	} all[] = {
		{REF_GROUP_SUM, 1, false, false, {7, 4, 6}},
		{REF_GROUP_MEAN, 1, false, false, {7.0 / 3, 4.0 / 3, 2}},
		{REF_GROUP_MAX, 1, false, false, {3, 2, 4}},
		{REF_GROUP_SUM, 3, false, false, {11.0 / 3, 17.0 / 3, 10.0 / 3}},
		{REF_GROUP_SUM, 3, true, false, {7, 7, 6}},
		{REF_GROUP_SUM,
	     1,
	     false,
	     true,
	     {8.0 / 7 + 2 * 24.0 / 5, 16.0 / 7 + 2 * 8.0 / 5, 32.0 / 7 + 2 * 8.0 / 5}},
	};
	const struct ref_select s = {.score = REF_SEEN,
	                             .budget = 3,
	                             .observe = 1,
	                             .group = all[_i].group,
	                             .pool = all[_i].pool,
	                             .pool_max = all[_i].pool_max,
	                             .old = all[_i].old,
	                             .tail = 1.1,
	                             .block = 1,
	                             .any = true};
	struct ref_head h;
	memset(k, 0, sizeof k);
	memset(q, 0, sizeof q);
	for (size_t t = 0; t < 4; t++) {
		k[t][0] = 4.0 * log(terms[0][t]);
		k[t][1] = 4.0 * log(terms[1][t]);
	}
	q[3][0][0] = q[3][1][1] = q[3][2][1] = 1.0;
	run(&h, &s, 4, 0);
	ck_assert_uint_eq(h.choice.n, 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_double_eq_tol(h.choice.score[i], all[_i].want[i] / 8.0, 1e-12);
	ref_head_close(&h);
}
END_TEST

/* ---------------------------------------------------------------- life ---- */

START_TEST(test_truncation_and_copies)
{
	struct ref_head a, b, c;
	make_rows();
	run(&a, &zeromerge, 150, 70);
	ck_assert(!ref_select_truncate(&a, a.tail - 1));
	ref_head_copy(&a, &b);
	run(&c, &zeromerge, 150, 70);
	for (size_t i = 0; i < 30; i++) {
		step(&a, 1, 1, REF_DECODE, NULL);
		step(&c, 1, 1, REF_DECODE, NULL);
	}
	expect_same_slots(&a, &c, 1.0);
	ck_assert(ref_select_truncate(&b, b.length - 3));
	ck_assert_uint_eq(b.length, 217);
	ck_assert(!has(&b, 217) && has(&b, 216));
	ck_assert(ref_select_truncate(&b, 0));
	ck_assert_uint_eq(b.n, 0);
	step(&b, 20, 20, REF_DECODE, NULL);
	ck_assert(!b.selected);
	ref_head_close(&a);
	ref_head_close(&b);
	ref_head_close(&c);
}
END_TEST

/* A token that leaves the window is kept that once, or takes its chance. */
START_TEST(test_the_newest_candidate)
{
	struct ref_select s = zeromerge;
	struct ref_head h;
	s.score = REF_NORM;
	s.any = _i == 1;
	s.block = 1;
	make_rows();
	for (size_t t = 150; t < 155; t++)
		for (size_t d = 0; d < DIM; d++)
			k[t][d] = 20.0;
	run(&h, &s, 150, 17);
	ck_assert_uint_eq(h.tail, 151);
	ck_assert_int_eq(has(&h, 150), !s.any);
	step(&h, 1, 1, REF_DECODE, NULL);
	ck_assert(!has(&h, 150));
	ref_head_close(&h);
}
END_TEST

/* ---------------------------------------------------------------- what is expected ---- */

enum { QUERIES = 40, KEYS = 20, AT = 300 };

static const struct ref_rope expected_ropes[] = {
	{.dims = DIM, .base = 10000.0, .attn_factor = 1.0},
	{.pairs = true, .dims = DIM / 2, .base = 100.0, .attn_factor = 1.5},
};

/* A head's row rotated at a position; as the model would. */
static void turned(const struct ref_rope *rope, size_t position, const double *from, double *to)
{
	for (size_t d = 0; d < DIM; d++)
		to[d] = d < rope->dims
		            ? ref_rope(rope, (double)position, d, from[d], from[ref_rope_partner(rope, d)])
		            : from[d];
}

/* Rows of queries before RoPE, rotated at positions from `at` on, and what is expected of them behind the last. */
static void expect_rows(struct ref_expected *x, const struct ref_expect *e, size_t at, bool alike)
{
	static double rows[QUERIES][DIM];
	const double *list[QUERIES];
	size_t position[QUERIES];
	for (size_t i = 0; i < QUERIES; i++) {
		position[i] = at + i;
		turned(e->rope, position[i], q[alike ? 0 : i][0], rows[i]);
		list[i] = rows[i];
	}
	ref_expect_open(x, e, QUERIES, list, position, at + QUERIES);
}

static double dot_of(const double *a, const double *b)
{
	double sum = 0.0;
	for (size_t d = 0; d < DIM; d++)
		sum += a[d] * b[d];
	return sum;
}

/* Queries that are all the same before RoPE have no covariance: what is expected is the mean of their logits at the
 * positions to come. */
START_TEST(test_equal_queries_are_expected_as_they_turn)
{
	const struct ref_expect e = {&expected_ropes[_i], 512, true, DIM, 0.25};
	struct ref_expected x;
	make_rows();
	expect_rows(&x, &e, AT, true);
	for (size_t t = 0; t < KEYS; t++) {
		double key[DIM], row[DIM], sum = 0.0, deviation;
		turned(e.rope, t, k[t], key);
		for (size_t p = 0; p < e.ahead; p++) {
			turned(e.rope, AT + QUERIES + p, q[0][0], row);
			sum += e.scale * dot_of(row, key) / (double)e.ahead;
		}
		ck_assert_double_eq_tol(ref_expect_log(&x, key, &deviation), sum, 1e-10);
		ck_assert_double_eq_tol(deviation, 0.0, 1e-6);
	}
	ref_expect_close(&x);
}
END_TEST

/* Only how far tokens lie from the queries counts. */
START_TEST(test_what_is_expected_moves_along)
{
	const struct ref_expect e = {&expected_ropes[_i], 100, true, DIM, 0.25};
	struct ref_expected x, y;
	make_rows();
	expect_rows(&x, &e, AT, false);
	expect_rows(&y, &e, AT + 1000, false);
	for (size_t t = 0; t < KEYS; t++) {
		double near[DIM], far[DIM], deviation;
		turned(e.rope, t, k[t], near);
		turned(e.rope, t + 1000, k[t], far);
		double want = ref_expect_log(&x, near, &deviation);
		ck_assert_double_eq_tol(ref_expect_log(&y, far, NULL), want, 1e-9 * (1.0 + fabs(want)));
		ck_assert_double_gt(deviation, 0.1);
	}
	ref_expect_close(&x);
	ref_expect_close(&y);
}
END_TEST

/* Of one position to come, a mean of exp(logit) over the queries themselves: of normal values, 40 of them with a deviation
 * of half, the logarithm of their mean is off by 0.5 / sqrt(40) = 0.08 in one deviation; without the variance's half,
 * 0.125, the mean over keys would be. */
START_TEST(test_the_variance_counts_half)
{
	const struct ref_expect e = {&expected_ropes[0], 1, true, DIM, 0.125},
							flat = {e.rope, 1, false, DIM, 0.125};
	struct ref_expected x, y;
	double apart = 0.0, without = 0.0;
	make_rows();
	expect_rows(&x, &e, AT, false);
	expect_rows(&y, &flat, AT, false);
	for (size_t t = 0; t < KEYS; t++) {
		double key[DIM], row[DIM], sum = 0.0;
		turned(e.rope, t, k[t], key);
		for (size_t i = 0; i < QUERIES; i++) {
			turned(e.rope, AT + QUERIES, q[i][0], row);
			sum += exp(e.scale * dot_of(row, key)) / QUERIES;
		}
		apart += (ref_expect_log(&x, key, NULL) - log(sum)) / KEYS;
		without += (ref_expect_log(&y, key, NULL) - log(sum)) / KEYS;
	}
	ck_assert_msg(fabs(apart) < 0.03, "off by %g on average", apart);
	ck_assert_msg(without < -0.08, "without the variance off by %g", without);
	ref_expect_close(&x);
	ref_expect_close(&y);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ref_select");
	TCase *c = tcase_create("select");
	tcase_set_timeout(c, 60);
	suite_add_tcase(suite, c);
	tcase_add_loop_test(c, test_quotas, 0, 11);
	tcase_add_test(c, test_the_best_are_kept);
	tcase_add_test(c, test_nothing_is_dropped_below_the_budget);
	tcase_add_test(c, test_merging_equal_keys_is_exact);
	tcase_add_loop_test(c, test_unmerged_tokens_lose_no_attention, 0, 4);
	tcase_add_loop_test(c, test_merging_conserves_keys, 0, 2);
	tcase_add_loop_test(c, test_metrics_differ, 0, 3);
	tcase_add_test(c, test_runs_are_even);
	tcase_add_loop_test(c, test_chunks_give_the_same_slots, 0, 4);
	tcase_add_test(c, test_mass_shrinks_with_rows);
	tcase_add_test(c, test_equal_heads_are_one);
	tcase_add_test(c, test_rejected_rows_leave_nothing);
	tcase_add_loop_test(c, test_short_keys_are_kept, 0, 2);
	tcase_add_test(c, test_what_passed_once_stays_a_while);
	tcase_add_loop_test(c, test_pools_and_groups, 0, 6);
	tcase_add_test(c, test_truncation_and_copies);
	tcase_add_loop_test(c, test_the_newest_candidate, 0, 2);
	tcase_add_loop_test(c, test_equal_queries_are_expected_as_they_turn, 0, 2);
	tcase_add_loop_test(c, test_what_is_expected_moves_along, 0, 2);
	tcase_add_test(c, test_the_variance_counts_half);
	return run_suite(suite);
}
