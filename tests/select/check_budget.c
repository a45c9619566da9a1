/* SPDX-License-Identifier: MIT */
/** \file check_budget.c \brief How many tokens layers and heads keep, against plain searches. */
#include "select/budget.h"
#include "select/select.h"
#include "support/inject.h"
#include "support/random.h"
#include "support/suite.h"

#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 6, LONGEST = 80, ROUNDS = 300 };

static const clkv_allocator usual; /* malloc and free */

struct table {
	size_t rows, n;
	float at[MOST * LONGEST];
};

/* Scores without ties, of rows that differ in how even they are; now and then zeros. */
static struct table draw(uint64_t *state, bool zeros)
{
	struct table t = {.rows = 1 + random_below(random_next(state), MOST),
	                  .n = 1 + random_below(random_next(state), LONGEST)};
	for (size_t r = 0; r < t.rows; r++) {
		double power = 1 + 6 * random_uniform(random_next(state));
		for (size_t i = 0; i < t.n; i++) {
			double u = pow(random_uniform(random_next(state)), power) + 1e-6;
			t.at[r * t.n + i] = zeros && random_below(random_next(state), 3) == 0 ? 0 : (float)u;
		}
	}
	return t;
}

static size_t sum_of(const size_t *kept, size_t n)
{
	size_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += kept[i];
	return sum;
}

static int falling(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x < y) - (x > y);
}

/* ---------------------------------------------------------------- PrefixKV ---- */

/* Share of the row's sum that its largest scores have. */
static double share_of(const struct table *t, size_t row, size_t largest)
{
	float sorted[LONGEST];
	double sum = 0, all = 0;
	memcpy(sorted, t->at + row * t->n, t->n * sizeof *sorted);
	qsort(sorted, t->n, sizeof *sorted, falling);
	for (size_t i = 0; i < t->n; i++) {
		all += (double)sorted[i];
		sum += i < largest ? (double)sorted[i] : 0;
	}
	return all > 0 ? sum / all : (double)largest / (double)t->n;
}

static void curve_of(const struct table *t, size_t total, size_t *kept)
{
	memset(kept, 0xee, MOST * sizeof *kept);
	ck_assert_int_eq(clkv__budget_curve(&usual, t->at, t->rows, t->n, total, kept, NULL), CLKV_OK);
	for (size_t r = 0; r < t->rows; r++)
		ck_assert_uint_le(kept[r], t->n);
}

START_TEST(test_a_curve_spends_exactly_the_budget)
{
	uint64_t state = 1;
	for (int i = 0; i < ROUNDS; i++) {
		struct table t = draw(&state, i % 2);
		size_t room = t.rows * t.n, total = random_below(random_next(&state), room + 20);
		size_t kept[MOST];
		curve_of(&t, total, kept);
		ck_assert_uint_eq(sum_of(kept, t.rows), total < room ? total : room);
	}
}
END_TEST

/* One slot after the other to the layer with the smallest share. */
START_TEST(test_a_curve_is_what_slot_by_slot_gives)
{
	uint64_t state = 2;
	for (int i = 0; i < ROUNDS; i++) {
		struct table t = draw(&state, false);
		size_t total = random_below(random_next(&state), t.rows * t.n + 1);
		size_t kept[MOST], want[MOST] = {0};
		for (size_t s = 0; s < total; s++) {
			size_t best = t.rows;
			for (size_t r = 0; r < t.rows; r++)
				if (want[r] < t.n &&
				    (best == t.rows || share_of(&t, r, want[r]) < share_of(&t, best, want[best])))
					best = r;
			want[best]++;
		}
		curve_of(&t, total, kept);
		for (size_t r = 0; r < t.rows; r++)
			ck_assert_uint_eq(kept[r], want[r]);
	}
}
END_TEST

/* There is a level that each layer's share reaches, and wouldn't with a slot less, ties at 0 aside. */
START_TEST(test_all_layers_reach_one_level)
{
	uint64_t state = 3;
	for (int i = 0; i < ROUNDS; i++) {
		struct table t = draw(&state, false);
		size_t total = t.rows + random_below(random_next(&state), t.rows * t.n), kept[MOST];
		double low = 0, high = 1;
		curve_of(&t, total, kept);
		for (size_t r = 0; r < t.rows; r++) {
			double less = share_of(&t, r, kept[r] - 1), now = share_of(&t, r, kept[r]);
			ck_assert_uint_gt(kept[r], 0);
			low = less > low ? less : low;
			high = kept[r] < t.n && now < high ? now : high;
		}
		ck_assert(low <= high);
	}
}
END_TEST

START_TEST(test_permuted_layers_have_permuted_sizes)
{
	uint64_t state = 4;
	for (int i = 0; i < ROUNDS; i++) {
		struct table t = draw(&state, false), turned = t;
		size_t total = random_below(random_next(&state), t.rows * t.n + 1), kept[MOST], other[MOST];
		for (size_t r = 0; r < t.rows; r++)
			memcpy(turned.at + (r + 1) % t.rows * t.n, t.at + r * t.n, t.n * sizeof(float));
		curve_of(&t, total, kept);
		curve_of(&turned, total, other);
		/* At no slots all layers are alike, and the first get them. */
		for (size_t r = 0; r < t.rows && total >= t.rows; r++)
			ck_assert_uint_eq(other[(r + 1) % t.rows], kept[r]);
	}
}
END_TEST

START_TEST(test_an_even_layer_gets_more_than_one_with_a_peak)
{
	struct table t = {.rows = 3, .n = 50};
	size_t kept[MOST];
	for (size_t i = 0; i < t.n; i++) {
		t.at[i] = i == 7;
		t.at[t.n + i] = 1;
		t.at[2 * t.n + i] = 0; /* nothing known: as if even */
	}
	curve_of(&t, 41, kept);
	ck_assert_uint_eq(kept[0], 1);
	ck_assert_uint_eq(kept[1], 20);
	ck_assert_uint_eq(kept[2], 20);
	curve_of(&t, 3 * t.n, kept);
	for (size_t r = 0; r < 3; r++)
		ck_assert_uint_eq(kept[r], t.n);
	/* Of the first only tokens without a score are left. */
	curve_of(&t, 2 * t.n + 11, kept);
	ck_assert_uint_eq(kept[0], 11);
}
END_TEST

/* Behind the scores that there are, layers get the rest in turn. */
START_TEST(test_tokens_without_scores_are_shared_evenly)
{
	struct table t = {.rows = 3, .n = 10, .at = {[3] = 1, [14] = 2, [25] = 3, [26] = 1}};
	size_t kept[MOST];
	curve_of(&t, 19, kept);
	ck_assert_uint_eq(kept[0], 7);
	ck_assert_uint_eq(kept[1], 6);
	ck_assert_uint_eq(kept[2], 6);
}
END_TEST

/* ---------------------------------------------------------------- DBudgetKV ---- */

/* Norm of the scores of a row that are kept, the others zeroed. */
static double norm_of(const struct table *t, size_t row, size_t first, size_t newest)
{
	double sum = 0;
	for (size_t i = 0; i < t->n; i++) {
		double s = (double)t->at[row * t->n + i];
		sum += i < first || i + newest >= t->n ? s * s : 0;
	}
	return sqrt(sum);
}

static double loss_of(const struct table *t, size_t first, size_t newest)
{
	double some = 0, all = 0;
	for (size_t r = 0; r < t->rows; r++) {
		some += norm_of(t, r, first, newest);
		all += norm_of(t, r, t->n, 0);
	}
	return 1 - some / all;
}

static size_t newest_of(const struct table *t, size_t first, float tau)
{
	size_t newest = 12345;
	ck_assert_int_eq(clkv__budget_energy(&usual, t->at, t->rows, t->n, first, tau, &newest, NULL),
	                 CLKV_OK);
	return newest;
}

START_TEST(test_energy_is_the_least_that_is_enough)
{
	uint64_t state = 5;
	for (int i = 0; i < ROUNDS; i++) {
		struct table t = draw(&state, i % 2);
		size_t first = random_below(random_next(&state), 6);
		float tau = (float)(0.3 * random_uniform(random_next(&state)) + 1e-4);
		first = first < t.n ? first : t.n;
		t.at[0] = 1; /* not all of them 0 */
		size_t want = 0, newest = newest_of(&t, first, tau);
		while (want < t.n - first && loss_of(&t, first, want) >= (double)tau)
			want++;
		/* Sums in another order: a loss within rounding of tau may fall on either side. */
		if (newest != want)
			ck_assert_double_lt(
				fabs(loss_of(&t, first, newest < want ? newest : want) - (double)tau), 1e-12);
	}
}
END_TEST

START_TEST(test_a_smaller_loss_keeps_more)
{
	uint64_t state = 6;
	struct table t = {.rows = 2, .n = LONGEST};
	for (size_t i = 0; i < 2 * LONGEST; i++)
		t.at[i] = (float)random_uniform(random_next(&state)) + 0.1f;
	size_t before = newest_of(&t, 4, 1e-7f);
	ck_assert_uint_eq(before, LONGEST - 4);
	for (float tau = 1e-6f; tau < 1; tau *= 1.3f) {
		size_t newest = newest_of(&t, 4, tau);
		ck_assert_uint_le(newest, before);
		before = newest;
	}
	ck_assert_uint_eq(newest_of(&t, 4, 1), 0);
}
END_TEST

START_TEST(test_energy_of_first_tokens_alone)
{
	struct table t = {.rows = 1, .n = 40};
	for (size_t i = 0; i < 4; i++)
		t.at[i] = 0.25f;
	ck_assert_uint_eq(newest_of(&t, 4, 0.01f), 0);
	ck_assert_uint_eq(newest_of(&t, 3, 0.01f), 37); /* the fourth is the last that is reached */
	memset(t.at, 0, sizeof t.at);
	ck_assert_uint_eq(newest_of(&t, 4, 0.01f), 36); /* nothing is known */
	ck_assert_uint_eq(newest_of(&t, 50, 0.01f), 0);
}
END_TEST

/* Of two equal tokens one has 0.707 of the norm, half of its square. */
START_TEST(test_the_norm_is_not_squared)
{
	struct table t = {.rows = 1, .n = 2, .at = {1, 1}};
	ck_assert_uint_eq(newest_of(&t, 0, 0.3f), 1);
	ck_assert_uint_eq(newest_of(&t, 0, 0.29f), 2);
}
END_TEST

/* ---------------------------------------------------------------- heads ---- */

static void heads_of(const struct table *t, size_t even, float least, size_t *kept)
{
	memset(kept, 0xee, MOST * sizeof *kept);
	ck_assert_int_eq(clkv__budget_heads(&usual, t->at, t->rows, t->n, even, least, kept, NULL),
	                 CLKV_OK);
}

/* How many scores of all heads are larger: the number of a score in the order of all. */
static size_t rank_of(const float *scores, size_t n, size_t i)
{
	size_t rank = 0;
	for (size_t j = 0; j < n; j++)
		rank += scores[j] > scores[i];
	return rank;
}

START_TEST(test_heads_share_their_slots_by_score)
{
	static const float parts[] = {0, 0.2f, 0.5f, 0.7f, 1};
	uint64_t state = 7;
	for (int i = 0; i < ROUNDS; i++) {
		struct table t = draw(&state, false);
		size_t even = random_below(random_next(&state), t.n + 5), kept[MOST];
		size_t total = t.rows * (even < t.n ? even : t.n), all = t.rows * t.n;
		float part = parts[i % 5];
		size_t least = (size_t)floor((double)part * (double)even + 1e-4);
		heads_of(&t, even, part, kept);
		ck_assert_uint_eq(sum_of(kept, t.rows), total);
		for (size_t r = 0; r < t.rows; r++) {
			ck_assert_uint_le(kept[r], t.n);
			ck_assert_uint_ge(kept[r], least < t.n ? least : t.n);
		}
		/* Without a least part: the scores of the first `total` ranks. */
		for (size_t r = 0; part == 0 && r < t.rows; r++) {
			size_t want = 0;
			for (size_t j = 0; j < t.n; j++)
				want += rank_of(t.at, all, r * t.n + j) < total;
			ck_assert_uint_eq(kept[r], want);
		}
		for (size_t r = 0; part == 1 && r < t.rows; r++)
			ck_assert_uint_eq(kept[r], even < t.n ? even : t.n);
	}
}
END_TEST

/* What a head has beyond its least part is nowhere worth less than what another one lacks. */
START_TEST(test_no_head_has_what_another_needs_more)
{
	uint64_t state = 8;
	for (int i = 0; i < ROUNDS; i++) {
		struct table t = draw(&state, false);
		size_t even = random_below(random_next(&state), t.n + 1), kept[MOST], least = even / 4;
		double worst = 2, best = -1;
		heads_of(&t, even, 0.25f, kept);
		for (size_t r = 0; r < t.rows; r++) {
			float *row = t.at + r * t.n;
			qsort(row, t.n, sizeof *row, falling);
			if (kept[r] > least && (double)row[kept[r] - 1] < worst)
				worst = (double)row[kept[r] - 1];
			if (kept[r] < t.n && (double)row[kept[r]] > best)
				best = (double)row[kept[r]];
		}
		ck_assert(worst >= best);
	}
}
END_TEST

START_TEST(test_equal_scores_are_shared_evenly)
{
	struct table t = {.rows = 4, .n = 30};
	size_t kept[MOST];
	for (size_t i = 0; i < t.rows * t.n; i++)
		t.at[i] = 0.5f;
	heads_of(&t, 9, 0.2f, kept);
	for (size_t r = 0; r < t.rows; r++)
		ck_assert_uint_eq(kept[r], 9);
}
END_TEST

/* ---------------------------------------------------------------- KVMerger ---- */

struct line {
	size_t n;
	float cosines[LONGEST];
	unsigned char alone[LONGEST];
};

/* Cosines of a grid, so that there are ties. */
static struct line draw_line(uint64_t *state)
{
	struct line l = {.n = 1 + random_below(random_next(state), LONGEST - 1)};
	for (size_t i = 0; i < l.n; i++) {
		l.cosines[i] = (float)random_below(random_next(state), 41) / 20 - 1;
		l.alone[i] = random_below(random_next(state), 8) == 0;
	}
	return l;
}

static size_t runs_of(const struct line *l, float similar)
{
	return clkv__budget_runs(l->cosines, l->alone, l->n, similar);
}

static float similar_of(const struct line *l, size_t most)
{
	float similar = -9;
	ck_assert_int_eq(clkv__budget_similar(&usual, l->cosines, l->alone, l->n, most, &similar, NULL),
	                 CLKV_OK);
	return similar;
}

/* From the last token to the first, as the paper has it: a set goes on while its neighbour is alike. */
START_TEST(test_runs_are_counted_as_sets_are_built)
{
	uint64_t state = 9;
	for (int i = 0; i < ROUNDS; i++) {
		struct line l = draw_line(&state);
		float similar = (float)random_uniform(random_next(&state)) * 2 - 1;
		size_t sets = 1, alone = 0;
		for (size_t j = l.n - 1; j-- > 0;)
			sets += !(l.cosines[j] >= similar) || l.alone[j] || l.alone[j + 1];
		for (size_t j = 0; j < l.n; j++)
			alone += l.alone[j];
		ck_assert_uint_eq(runs_of(&l, similar), sets);
		ck_assert_uint_eq(runs_of(&l, 1.5f), l.n);
		ck_assert_uint_ge(runs_of(&l, -2), alone);
	}
	ck_assert_uint_eq(clkv__budget_runs(NULL, NULL, 0, 0.5f), 0);
}
END_TEST

START_TEST(test_likeness_meets_the_number_of_runs)
{
	uint64_t state = 10;
	for (int i = 0; i < ROUNDS; i++) {
		struct line l = draw_line(&state);
		size_t most = random_below(random_next(&state), l.n + 4), want = 0;
		size_t fewest = runs_of(&l, -2);
		size_t runs = runs_of(&l, similar_of(&l, most));
		for (int step = -41; step <= 41; step++) {
			size_t there = runs_of(&l, (float)step / 20 + 0.01f);
			want = there <= most && there > want ? there : want;
		}
		ck_assert_uint_eq(runs, most < fewest ? fewest : want);
	}
}
END_TEST

START_TEST(test_room_for_all_merges_nothing)
{
	struct line l = {.n = 20};
	for (size_t i = 0; i < l.n; i++)
		l.cosines[i] = 1;
	ck_assert(similar_of(&l, 20) > 1);
	ck_assert_uint_eq(runs_of(&l, similar_of(&l, 20)), 20);
	ck_assert_uint_eq(runs_of(&l, similar_of(&l, 19)), 1);
	memset(l.alone, 1, sizeof l.alone);
	ck_assert_uint_eq(runs_of(&l, similar_of(&l, 3)), 20);
	l.n = 1;
	ck_assert_uint_eq(runs_of(&l, similar_of(&l, 1)), 1);
}
END_TEST

/* ---------------------------------------------------------------- memory ---- */

START_TEST(test_no_memory_is_an_error)
{
	const float scores[4] = {1, 2, 3, 4};
	const unsigned char alone[4] = {0};
	size_t kept[2];
	float similar;
	clkv_allocator allocator = inject_allocator();
	int failures = 0;
	for (int n = 0; n < 8; n++) {
		inject_alloc_arm(n / 4);
		clkv_status status =
			n % 4 == 0   ? clkv__budget_curve(&allocator, scores, 2, 2, 3, kept, NULL)
			: n % 4 == 1 ? clkv__budget_energy(&allocator, scores, 2, 2, 1, 0.1f, kept, NULL)
			: n % 4 == 2 ? clkv__budget_heads(&allocator, scores, 2, 2, 1, 0, kept, NULL)
						 : clkv__budget_similar(&allocator, scores, alone, 4, 2, &similar, NULL);
		bool happened = inject_alloc_disarm();
		ck_assert_int_eq(status, happened ? CLKV_ERROR_NO_HOST_MEMORY : CLKV_OK);
		failures += happened;
	}
	ck_assert_int_eq(failures, 5);
	ck_assert_uint_eq(inject_host_bytes(), 0);
}
END_TEST

/* ---------------------------------------------------------------- quotas ---- */

START_TEST(test_a_part_is_a_share_or_a_number)
{
	/* As decimal numbers these make whole ones; as floats most of them lie beside. */
	for (uint32_t percent = 1; percent <= 100; percent++)
		for (uint32_t of = 0; of <= 20000; of += 100)
			ck_assert_uint_eq(clkv__select_part((float)percent / 100, of), of * percent / 100);
	ck_assert_uint_eq(clkv__select_part(0.7f, 11), 7);
	ck_assert_uint_eq(clkv__select_part(0.3334f, 384), 128);
	ck_assert_uint_eq(clkv__select_part(0.3334f, 1u << 20), 349595);
	ck_assert_uint_eq(clkv__select_part(1, 77), 77);
	ck_assert_uint_eq(clkv__select_part(2, 77), 2);
	ck_assert_uint_eq(clkv__select_part(1 << 20, 77), 1u << 20);
	ck_assert_uint_eq(clkv__select_part(0, 77), 0);
}
END_TEST

static const struct {
	struct clkv__select select;
	uint32_t sinks, window, tokens;
	struct clkv__quota quota;
} quotas[] = {
	/* numbers; the newest are the larger of tail and window */
	{{.budget = 512, .tail = 0.25f, .residual = 0.3334f}, 0, 0, 9999, {0, 128, 256, 128}},
	{{.budget = 512, .tail = 0.25f, .residual = 0.3334f}, 4, 200, 9999, {4, 200, 204, 104}},
	{{.budget = 512, .tail = 100, .residual = 7}, 4, 32, 9999, {4, 100, 401, 7}},
	{{.budget = 512, .tail = 0, .residual = 0.0001f}, 4, 32, 9999, {4, 32, 475, 1}},
	{{.budget = 512, .tail = 0}, 4, 32, 9999, {4, 32, 476, 0}},
	{{.budget = 512, .tail = 0}, 4, 32, 10, {4, 32, 476, 0}},
	/* shares of the tokens */
	{{.budget = 0.2f, .tail = 0.5f}, 0, 0, 1000, {0, 100, 100, 0}},
	{{.budget = 0.7f, .tail = 0}, 0, 0, 190, {0, 0, 133, 0}},
	{{.budget = 1, .tail = 0}, 4, 64, 1000, {4, 64, 932, 0}},
	/* streaming: the sinks and what is left */
	{{.budget = 512, .tail = 1}, 4, 0, 9999, {4, 508, 0, 0}},
	{{.budget = 512, .tail = 1}, 4, 600, 9999, {4, 508, 0, 0}},
	/* a share is no less than 128 slots, nor than 64 behind sinks and window, nor than all of fewer tokens */
	{{.budget = 0.2f, .tail = 0.5f}, 0, 0, 1, {0, 0, 1, 0}},
	{{.budget = 0.2f, .tail = 0.5f}, 0, 0, 20, {0, 10, 10, 0}},
	{{.budget = 0.2f, .tail = 0.5f}, 0, 0, 200, {0, 64, 64, 0}},
	{{.budget = 0.2f, .tail = 0.5f}, 0, 0, 645, {0, 64, 65, 0}},
	{{.budget = 0.0001f, .tail = 0}, 4, 32, 9999, {4, 32, 92, 0}},
	{{.budget = 0.05f, .tail = 0.5f, .residual = 0.5f}, 4, 64, 200, {4, 66, 29, 33}},
	{{.budget = 0.05f, .tail = 0.5f, .residual = 0.5f}, 16, 64, 200, {16, 72, 20, 36}},
	{{.budget = 0.05f, .tail = 1}, 4, 64, 0, {4, 0, 0, 0}},
	/* too little: nothing is kept, and nothing wraps around */
	{{.budget = 20, .tail = 4, .residual = 99}, 4, 0, 200, {4, 4, 0, 12}},
	/* rings: the window is the first */
	{{.kind = ABI_SELECT_CASCADE, .cascades = 4, .budget = 2048}, 64, 0, 9999, {64, 496, 1488, 0}},
	{{.kind = ABI_SELECT_CASCADE, .cascades = 1, .budget = 512}, 4, 0, 9999, {4, 508, 0, 0}},
	{{.kind = ABI_SELECT_CASCADE, .cascades = 4, .budget = 0.5f}, 0, 200, 1000, {0, 200, 300, 0}},
	{{.kind = ABI_SELECT_CASCADE, .cascades = 4, .budget = 0.5f}, 64, 0, 100, {64, 9, 27, 0}},
};

START_TEST(test_quotas)
{
	struct clkv__quota want = quotas[_i].quota;
	struct clkv__quota q = clkv__select_quota(&quotas[_i].select, quotas[_i].sinks,
	                                          quotas[_i].window, quotas[_i].tokens);
	ck_assert_uint_eq(q.sinks, want.sinks);
	ck_assert_uint_eq(q.window, want.window);
	ck_assert_uint_eq(q.kept, want.kept);
	ck_assert_uint_eq(q.merged, want.merged);
}
END_TEST

/* Shares count a prompt's tokens; of a short one the text that follows, too, up to 3,072. */
START_TEST(test_shares_grow_with_short_texts)
{
	static const uint32_t cases[][3] = {
		/* counted, tokens, then counted */
		{0, 1, 1},          {0, 9000, 9000},  {1, 2, 2},
		{20, 3072, 3072},   {20, 9000, 3072}, {3072, 9000, 3072},
		{4000, 9000, 4000}, {400, 399, 400},  {3000, 3073, 3072},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ck_assert_uint_eq(clkv__select_counts(cases[i][0], cases[i][1]), cases[i][2]);
}
END_TEST

/* Sizes are those of the longest text: no shorter one may have more slots. */
START_TEST(test_slots_grow_with_tokens)
{
	static const struct clkv__select select = {.budget = 0.05f, .tail = 0.375f, .residual = 0.2f};
	uint32_t before = 0;
	for (uint32_t tokens = 0; tokens <= 8192; tokens++) {
		struct clkv__quota q = clkv__select_quota(&select, 4, 32, tokens);
		uint32_t all = q.sinks + q.window + q.kept + q.merged;
		ck_assert_uint_ge(all, before);
		ck_assert_uint_ge(all, tokens < 128 ? tokens : 128);
		before = all;
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("budget");
	TCase *curve = tcase_create("curve"), *energy = tcase_create("energy");
	TCase *heads = tcase_create("heads"), *runs = tcase_create("runs");
	TCase *quota = tcase_create("quota");
	tcase_add_test(curve, test_a_curve_spends_exactly_the_budget);
	tcase_add_test(curve, test_a_curve_is_what_slot_by_slot_gives);
	tcase_add_test(curve, test_all_layers_reach_one_level);
	tcase_add_test(curve, test_permuted_layers_have_permuted_sizes);
	tcase_add_test(curve, test_an_even_layer_gets_more_than_one_with_a_peak);
	tcase_add_test(curve, test_tokens_without_scores_are_shared_evenly);
	tcase_set_timeout(curve, 60);
	tcase_add_test(energy, test_energy_is_the_least_that_is_enough);
	tcase_add_test(energy, test_a_smaller_loss_keeps_more);
	tcase_add_test(energy, test_energy_of_first_tokens_alone);
	tcase_add_test(energy, test_the_norm_is_not_squared);
	tcase_add_test(heads, test_heads_share_their_slots_by_score);
	tcase_add_test(heads, test_no_head_has_what_another_needs_more);
	tcase_add_test(heads, test_equal_scores_are_shared_evenly);
	tcase_set_timeout(heads, 60);
	tcase_add_test(runs, test_runs_are_counted_as_sets_are_built);
	tcase_add_test(runs, test_likeness_meets_the_number_of_runs);
	tcase_add_test(runs, test_room_for_all_merges_nothing);
	tcase_add_test(runs, test_no_memory_is_an_error);
	tcase_add_test(quota, test_a_part_is_a_share_or_a_number);
	tcase_add_test(quota, test_shares_grow_with_short_texts);
	tcase_add_test(quota, test_slots_grow_with_tokens);
	tcase_add_loop_test(quota, test_quotas, 0, (int)(sizeof quotas / sizeof quotas[0]));
	suite_add_tcase(suite, curve);
	suite_add_tcase(suite, energy);
	suite_add_tcase(suite, heads);
	suite_add_tcase(suite, runs);
	suite_add_tcase(suite, quota);
	return run_suite(suite);
}
