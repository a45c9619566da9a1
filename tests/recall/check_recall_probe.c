/* SPDX-License-Identifier: MIT */
/** \file check_recall_probe.c \brief One query by which a step's rows recall, and layers that share out what they recall. */
#include "ref/ref_attend.h"
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define AROUND " ; window=16,sinks=4,block=32,seal=prompt"

enum { HEADS = 2, DIM = 64, PROMPT = 400, SINKS = 4, TAIL = PROMPT - 16, ROWS = 8, RECALL = 40 };

/* ---------------------------------------------------------------- everything ---- */

/* Recalling all units is full attention, whoever chooses and however layers share. */
START_TEST(test_recalling_everything_is_full_attention)
{
	static const char *const stages[] = {"topk:", "pages:page=8,", "clusterkv:per=8,",
	                                     "a2ats:codes=32,"};
	static struct stream a, b;
	struct feed feed = {.geometry = feed_usual(2), .lse = true}, half = feed;
	struct feed_result x, y;
	char recipe[120];
	snprintf(recipe, sizeof recipe, "%srecall=2000,every=128,probe=chunk,alloc=entropy" AROUND,
	         stages[_i]);
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	feed_open(&half, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &a);
	stream_open(&half, &b);
	for (size_t i = 0; i < 3; i++) {
		static const size_t n[] = {PROMPT, ROWS, 1};
		feed_one(&feed, &a, n[i], i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, &x);
		feed_one(&half, &b, n[i], i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, &y);
		double apart = expect_difference(&feed, &x, &y);
		ck_assert_msg(apart <= BOUND_REORDER, "%zu rows: %g", n[i], apart);
		feed_result_close(&x);
		feed_result_close(&y);
	}
	feed_close(&feed);
	feed_close(&half);
}
END_TEST

/* ---------------------------------------------------------------- the probe ---- */

/* Queries of a chunk lie near one direction; one of them, if there is one, somewhere else, and is longer. */
static uint64_t outlier;

static double chunk(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double near = random_normal(random_mix(4711 + head, d));
	if (side != FEED_Q)
		return feed_normal(row, layer, side, head, d);
	return row == outlier ? 3.0 * feed_normal(row, layer, side, head, d)
	                      : near + 0.1 * feed_normal(row, layer, side, head, d);
}

/* ActQKV's probe of n rows, and their plain mean. */
static void find_probe(const double *q, size_t n, size_t stride, double *probe, double *mean)
{
	double var[DIM], bias[ROWS], more = 0.0, all = 0.0;
	for (size_t d = 0; d < DIM; d++) {
		mean[d] = var[d] = probe[d] = 0.0;
		for (size_t i = 0; i < n; i++)
			mean[d] += q[i * stride + d] / (double)n;
		for (size_t i = 0; i < n; i++)
			var[d] += pow(q[i * stride + d] - mean[d], 2.0) / (double)n;
		more += var[d] / (100.0 * DIM);
	}
	for (size_t i = 0; i < n; i++) {
		bias[i] = 0.0;
		for (size_t d = 0; d < DIM; d++)
			bias[i] += pow(q[i * stride + d] - mean[d], 2.0) / (var[d] + more);
		all += bias[i];
	}
	for (size_t i = 0; i < n; i++)
		for (size_t d = 0; d < DIM; d++)
			probe[d] += bias[i] / all * q[i * stride + d];
}

static double dot(const double *a, const double *b)
{
	double sum = 0.0;
	for (size_t d = 0; d < DIM; d++)
		sum += a[d] * b[d];
	return sum;
}

static double cosine(const double *a, const double *b)
{
	return dot(a, b) / sqrt(dot(a, a) * dot(b, b));
}

/* The sealed tokens of the largest products with a query. Returns how far the last one lies above the first that's left. */
static double choose(const double *query, const double *k, bool *chosen)
{
	double least = INFINITY, most = -INFINITY, size = sqrt(dot(query, query));
	for (size_t t = SINKS; t < TAIL; t++) {
		size_t above = 0;
		double score = dot(query, k + t * HEADS * DIM);
		for (size_t u = SINKS; u < TAIL; u++)
			above += dot(query, k + u * HEADS * DIM) > score;
		chosen[t] = above < RECALL;
		least = chosen[t] ? fmin(least, score) : least;
		most = chosen[t] ? most : fmax(most, score);
	}
	return (least - most) / size;
}

/* Attention of a row at `position` over sinks, chosen tokens and what lies in half. */
static void attend(const double *q, const double *k, const double *v, const bool *chosen,
                   size_t position, double *out)
{
	static double keys[PROMPT + ROWS][DIM], values[PROMPT + ROWS][DIM];
	struct ref_attend_sums sums;
	size_t n = 0;
	for (size_t t = 0; t <= position; t++) {
		if (t >= SINKS && t < TAIL && !chosen[t])
			continue;
		memcpy(keys[n], k + t * HEADS * DIM, sizeof keys[n]);
		memcpy(values[n++], v + t * HEADS * DIM, sizeof values[n]);
	}
	const struct ref_attend a = {
		.dk = DIM, .dv = DIM, .scale = 0.125, .to = n, .k_stride = DIM, .v_stride = DIM};
	ref_attend(&a, q, keys[0], values[0], out, &sums);
}

/* All rows recall what the probe wants, which is nearer to a query unlike the others than their mean is, and wants other tokens. */
START_TEST(test_an_outlier_has_its_part_in_the_probe)
{
	static struct stream stream;
	static double k[(PROMPT + ROWS) * HEADS * DIM], v[(PROMPT + ROWS) * HEADS * DIM],
		q[ROWS * HEADS * DIM];
	struct feed feed = {.geometry = feed_geometry(1, HEADS, HEADS, DIM, DIM), .value = chunk};
	struct feed_result x;
	feed_open(&feed, fixture.context, fixture.queue, "topk:recall=40,every=128,probe=chunk" AROUND,
	          NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, PROMPT, CLKV_PROMPT_END, 1, NULL);
	outlier = random_mix(2, PROMPT + 3);
	feed_one(&feed, &stream, ROWS, CLKV_DECODE, 2, &x);
	feed_rows(&feed, 0, FEED_K, stream.row, PROMPT + ROWS, k);
	feed_rows(&feed, 0, FEED_V, stream.row, PROMPT + ROWS, v);
	feed_rows(&feed, 0, FEED_Q, stream.row + PROMPT, ROWS, q);
	for (size_t i = 0; i < sizeof k / sizeof *k; i++)
		k[i] = ref_stored(k[i]), v[i] = ref_stored(v[i]);
	for (size_t head = 0; head < HEADS; head++) {
		bool chosen[PROMPT] = {false}, by_mean[PROMPT] = {false};
		double probe[DIM], mean[DIM], out[DIM];
		const double *odd = q + (3 * HEADS + head) * DIM;
		find_probe(q + head * DIM, ROWS, HEADS * DIM, probe, mean);
		ck_assert(cosine(probe, odd) > cosine(mean, odd) + 0.1);
		/* sums of 8 and 64 terms in single precision are off by less */
		ck_assert(choose(probe, k + head * DIM, chosen) > 1e-5);
		(void)choose(mean, k + head * DIM, by_mean);
		ck_assert(memcmp(chosen, by_mean, sizeof chosen) != 0);
		for (size_t i = 0; i < ROWS; i++) {
			attend(q + (i * HEADS + head) * DIM, k + head * DIM, v + head * DIM, chosen, PROMPT + i,
			       out);
			double apart = ref_relative_error(x.out + i * x.out_row + head * DIM, out, DIM);
			ck_assert_msg(apart <= BOUND_ATTEND_HALF, "head %zu, row %zu: %g", head, i, apart);
		}
	}
	feed_result_close(&x);
	outlier = 0;
	feed_close(&feed);
}
END_TEST

/* Queries that are all alike are their own probe, and so is that of a row that comes alone: not one bit differs from rows that
 * choose for themselves. (A fourth of four equal numbers is exact.) RoPE turns them apart again, so there is none. */
static double alike(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return side == FEED_Q ? random_normal(random_mix(99 + head, d + 64 * (size_t)layer))
	                      : feed_normal(row, layer, side, head, d);
}

START_TEST(test_queries_that_are_alike_are_the_probe)
{
	static const char *const recipes[] = {"topk:recall=40,every=128,probe=%s" AROUND,
	                                      "pages:recall=40,page=8,every=128,probe=%s" AROUND,
	                                      "pages:recall=40,page=8,every=128,probe=%s" AROUND};
	static struct stream a, b;
	struct feed one = {.geometry = feed_usual(2), .lse = true}, each;
	struct feed_result x, y;
	char recipe[120];
	one.value = _i == 2 ? feed_normal : alike;
	each = one;
	if (_i == 2)
		one.geometry.rope = each.geometry.rope =
			(clkv_rope){.kind = CLKV_ROPE_HALVES, .by_library = 1};
	snprintf(recipe, sizeof recipe, recipes[_i], "chunk");
	feed_open(&one, fixture.context, fixture.queue, recipe, NULL);
	snprintf(recipe, sizeof recipe, recipes[_i], "row");
	feed_open(&each, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&one, &a);
	stream_open(&each, &b);
	for (size_t i = 0; i < 3; i++) {
		size_t n = i == 0 ? PROMPT : _i == 2 ? 1 : 4;
		feed_one(&one, &a, n, i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, &x);
		feed_one(&each, &b, n, i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, &y);
		ck_assert(memcmp(x.out, y.out, 2 * n * x.out_row * sizeof *x.out) == 0);
		feed_result_close(&x);
		feed_result_close(&y);
	}
	feed_close(&one);
	feed_close(&each);
}
END_TEST

/* ---------------------------------------------------------------- budgets ---- */

/* All logits are 0, but that one token of layers whose bit is set has one of PEAK. */
#define PEAK 9.0
static unsigned peaked;

static double layered(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	(void)head;
	if (side == FEED_V || d > 0)
		return 0.0;
	return side == FEED_Q ? 8.0 : row == random_mix(1, 100) && peaked >> layer & 1 ? PEAK : 0.0;
}

/* Tokens that a row has recalled in a layer, from the sum of exp(logit). */
static double count_recalled(const struct feed_result *x, int layer, size_t position)
{
	double all = exp(x->lse[(size_t)layer * x->rows * x->lse_row]);
	if (peaked >> layer & 1)
		all += 1.0 - exp(PEAK);
	return all - SINKS - (double)(position + 1 - TAIL);
}

/* Layers of one step add up to as many tokens as they would recall without; those whose scores are flat get more than those that
 * are peaked; and none more than there are. */
START_TEST(test_layers_share_by_entropy)
{
	static const struct {
		unsigned peaked;
		size_t recall;
	} all[] = {{0, 40}, {0x5, 40}, {0x2, 100}, {0xf, 60}, {0x1, 300}};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(4), .value = layered, .lse = true};
	struct feed_result x;
	char recipe[120];
	snprintf(recipe, sizeof recipe, "topk:recall=%zu,every=128,alloc=entropy" AROUND,
	         all[_i].recall);
	peaked = all[_i].peaked;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, PROMPT, CLKV_PROMPT_END, 1, NULL);
	for (size_t i = 0; i < 2; i++) {
		double sum = 0.0, most_peaked = 0.0, least_flat = INFINITY;
		feed_one(&feed, &stream, 1, CLKV_DECODE, 2 + i, &x);
		for (int layer = 0; layer < 4; layer++) {
			/* exp(9) in single precision: 8103 of 2^-11 */
			double n = count_recalled(&x, layer, PROMPT + i);
			EACH_MSG(fabs(n - rint(n)) < 0.1, "layer %d: %g tokens", layer, n);
			EACH_MSG(n <= 380.1 && n <= 2.0 * (double)all[_i].recall + 0.1, "layer %d: %g", layer,
			         n);
			EACH_MSG(n >= (double)(all[_i].recall / 4) - 0.1, "layer %d: %g", layer, n);
			sum += n;
			if (peaked >> layer & 1)
				most_peaked = fmax(most_peaked, n);
			else
				least_flat = fmin(least_flat, n);
		}
		EACH_MSG(sum <= 4.0 * (double)all[_i].recall + 0.5, "%g tokens", sum);
		if (_i < 4) /* nothing is clipped */
			EACH_MSG(sum >= 4.0 * (double)all[_i].recall - 0.5, "%g tokens", sum);
		/* the first layer knows of no other: it gets the average */
		EACH_MSG(_i == 4 || most_peaked < least_flat || peaked == 0 || peaked == 0xf, "%g, %g",
		         most_peaked, least_flat);
		feed_result_close(&x);
	}
	feed_close(&feed);
}
END_TEST

/* What is recalled depends on nothing but the sequence: others in the step, and steps before, change nothing. */
START_TEST(test_budgets_are_a_sequences_own)
{
	static struct stream a, b, c;
	struct feed feed = {.geometry = feed_usual(2), .lse = true};
	struct feed_result x, y;
	feed_open(&feed, fixture.context, fixture.queue,
	          "pages:recall=40,page=8,every=128,probe=chunk,alloc=entropy" AROUND, NULL);
	stream_open(&feed, &a);
	feed_one(&feed, &a, PROMPT, CLKV_PROMPT_END, 1, NULL);
	stream_open(&feed, &c);
	feed_one(&feed, &c, PROMPT, CLKV_PROMPT_END, 9, NULL);
	stream_fork(&feed, &a, &b);
	feed_one(&feed, &c, 3, CLKV_DECODE, 10, NULL);
	struct feed_item items[] = {{&c, 5, CLKV_DECODE, 0, 11}, {&a, 3, CLKV_DECODE, 0, 2}};
	feed_step(&feed, items, 2, &x);
	feed_one(&feed, &b, 3, CLKV_DECODE, 2, &y);
	/* a step of several sequences is cut into other parts, whose sums round otherwise */
	double apart = expect_rows_difference(&feed, &x, 5, &y, 0, 3);
	ck_assert_msg(apart <= BOUND_REORDER, "%g", apart);
	feed_result_close(&x);
	feed_result_close(&y);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recall probe");
	TCase *probe = fixture_case(suite, "probe", 60), *budget = fixture_case(suite, "budget", 60);
	tcase_add_loop_test(probe, test_recalling_everything_is_full_attention, 0, 4);
	tcase_add_test(probe, test_an_outlier_has_its_part_in_the_probe);
	tcase_add_loop_test(probe, test_queries_that_are_alike_are_the_probe, 0, 3);
	tcase_add_loop_test(budget, test_layers_share_by_entropy, 0, 5);
	tcase_add_test(budget, test_budgets_are_a_sequences_own);
	return fixture_run_shared(suite);
}
