/* SPDX-License-Identifier: MIT */
/** \file check_reread.c \brief What is kept of a prompt that was read again: the tokens of the largest weights, by a sort. */
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/selected.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* window 16, sinks 4, blocks of 32: as other suites of selection have them */
#define AROUND " ; window=16,sinks=4,block=32,seal=prompt,skip=0"

enum { LAYERS = 2, HEADS = 2, GROUP = 3, DIM = 64, SINKS = 4, WINDOW = 16, PROMPT = 200 };
enum { READS = 3, KEPT = 96 - SINKS - WINDOW };

/* Rows of each step that reads, behind all PROMPT tokens. */
static const size_t rows_of[READS] = {45, 33, 12};

static const struct selected_case cases[] = {
	{.recipe = "kvzip:budget=96,alloc=uniform" AROUND},
	{.recipe = "kvzip:budget=96,alloc=uniform,gqa=mean" AROUND},
	{.recipe = "kvzip:budget=96,alloc=uniform,gqa=sum" AROUND}};
enum { CASES = sizeof cases / sizeof cases[0] };
static const struct selected_case global = {.recipe = "kvzip:budget=96" AROUND};

static void read_again(struct feed *feed, struct stream *stream, size_t n, uint64_t seed)
{
	struct feed_item item = {stream, n, CLKV_REREAD, n, seed};
	feed_step(feed, &item, 1, NULL);
}

static void end_prompt(const struct feed *feed, const struct stream *stream)
{
	clkv_error error;
	feed_ok(clkv_seq_end_prompt(stream->seq, feed->queue, &error), &error, "clkv_seq_end_prompt");
}

/* ---------------------------------------------------------------- the reference ---- */

/* Scores of a KV head's tokens by the formulas, and how far off rounding may bring a weight. */
struct scores {
	double max[PROMPT], sum[PROMPT]; /* over rows */
	double slack;
};

static double *rows_in_half(const struct feed *feed, int layer, enum feed_side side,
                            const uint64_t *row, size_t n)
{
	size_t values = n * feed_heads(feed, side) * DIM;
	double *x = calloc(values, sizeof *x);
	ck_assert_ptr_nonnull(x);
	feed_rows(feed, layer, side, row, n, x);
	for (size_t i = 0; side != FEED_Q && i < values; i++)
		x[i] = ref_stored(x[i]);
	return x;
}

/* weights [to] of one query over keys [to][HEADS][DIM] of a KV head. Returns what rounding grows with. */
static double weigh(const double *q, const double *k, size_t to, double *weights)
{
	double best = -INFINITY, sum = 0.0, size = 0.0;
	for (size_t t = 0; t < to; t++) {
		double logit = 0.0, abs = 0.0;
		for (size_t d = 0; d < DIM; d++) {
			logit += q[d] * k[t * HEADS * DIM + d] / 8.0;
			abs += fabs(q[d] * k[t * HEADS * DIM + d]) / 8.0;
		}
		weights[t] = logit;
		best = fmax(best, logit);
		size = fmax(size, abs);
	}
	for (size_t t = 0; t < to; t++)
		sum += exp(weights[t] - best);
	for (size_t t = 0; t < to; t++)
		weights[t] = exp(weights[t] - best) / sum;
	return size;
}

/* The group's weights of a row, reduced as gqa says: 0 max, 1 mean, 2 sum. */
static void reduce(int gqa, size_t g, const double *weights, size_t n, double *row)
{
	for (size_t t = 0; t < n; t++) {
		double x = gqa == 1 ? weights[t] / GROUP : weights[t];
		row[t] = g == 0 ? x : gqa == 0 ? fmax(row[t], x) : row[t] + x;
	}
}

/* A step's rows, numbered as feed names them, join the scores of a head. */
static void add_step(const struct feed *feed, const struct stream *stream, int layer, size_t head,
                     int gqa, size_t n, uint64_t seed, struct scores *s)
{
	uint64_t all[PROMPT + 64];
	double weights[PROMPT + 64], row[PROMPT], size = 0.0;
	memcpy(all, stream->row, PROMPT * sizeof *all);
	for (size_t r = 0; r < n; r++)
		all[PROMPT + r] = random_mix(seed, PROMPT + r);
	double *k = rows_in_half(feed, layer, FEED_K, all, PROMPT + n);
	double *q = rows_in_half(feed, layer, FEED_Q, all + PROMPT, n);
	for (size_t r = 0; r < n; r++) {
		for (size_t g = 0; g < GROUP; g++) {
			const double *query = q + (r * HEADS * GROUP + head * GROUP + g) * DIM;
			size = fmax(size, weigh(query, k + head * DIM, PROMPT + r + 1, weights));
			reduce(gqa, g, weights, PROMPT, row);
		}
		for (size_t t = 0; t < PROMPT; t++) {
			s->max[t] = fmax(s->max[t], row[t]);
			s->sum[t] += row[t];
		}
	}
	/* the logit and the log-sum-exp each take the error of an attention's weight */
	/* weights lie in half until they're compared */
	s->slack = fmax(s->slack, 2.0 * bound_attend(DIM, PROMPT + n, size, 0) + REF_HALF_EPS);
	free(k);
	free(q);
}

static struct scores scores_of(const struct feed *feed, const struct stream *stream, int layer,
                               size_t head, int gqa)
{
	struct scores s = {.slack = 0.0};
	for (size_t i = 0; i < READS; i++)
		add_step(feed, stream, layer, head, gqa, rows_of[i], 100 + i, &s);
	return s;
}

/* How many of the kept tokens a sort of other scores would keep, too. */
static size_t count_best(const double *score, const struct selected_kept *x)
{
	size_t same = 0;
	for (size_t i = 0; i < x->kept.n; i++) {
		size_t above = 0;
		for (size_t t = SINKS; t < PROMPT - WINDOW; t++)
			above += score[t] > score[x->kept.positions[i]];
		same += above < KEPT;
	}
	return same;
}

/* The smallest score that is kept, and the largest that isn't. */
struct limits {
	double least, most, slack;
};

/* The kept ones of a head are the best but for those that rounding may exchange, and their scores are those weights. */
static void check_head(const struct scores *s, const struct selected_kept *x, struct limits *limits)
{
	bool kept[PROMPT] = {false};
	double least = INFINITY, most = 0.0;
	ck_assert_uint_eq(x->kept.tail, PROMPT - WINDOW);
	for (size_t i = 0; i < x->kept.n; i++) {
		size_t t = x->kept.positions[i];
		EACH_MSG(t >= SINKS && t < PROMPT - WINDOW && !kept[t], "token %zu is kept", t);
		EACH_MSG(fabs((double)x->kept.scores[i] - s->max[t]) <= s->slack * s->max[t],
		         "token %zu: score %.9g instead of %.9g, allowed +-%g of it", t,
		         (double)x->kept.scores[i], s->max[t], s->slack);
		kept[t] = true;
		least = fmin(least, s->max[t]);
	}
	for (size_t t = SINKS; t < PROMPT - WINDOW; t++)
		most = kept[t] ? most : fmax(most, s->max[t]);
	EACH_MSG(most <= least * (1.0 + 2.0 * s->slack), "%.9g is dropped, %.9g kept", most, least);
	limits->least = fmin(limits->least, least);
	limits->most = fmax(limits->most, most);
	limits->slack = fmax(limits->slack, s->slack);
}

/* A prompt of two steps, read again by three. */
static void read_prompt(struct feed *feed, struct stream *stream)
{
	stream_open(feed, stream);
	feed_one(feed, stream, 130, CLKV_PROMPT, 1, NULL);
	feed_one(feed, stream, PROMPT - 130, CLKV_PROMPT, 2, NULL);
	for (size_t i = 0; i < READS; i++)
		read_again(feed, stream, rows_of[i], 100 + i);
	ck_assert_uint_eq(stream_info(stream).length, PROMPT);
	end_prompt(feed, stream);
}

/* What queries of the prompt wanted counts for nothing, sums of weights neither. */
START_TEST(test_the_choice_is_that_of_the_largest_weights)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(LAYERS)};
	struct limits limits = {INFINITY, 0.0, 0.0};
	size_t differs = 0;
	selected_cache(&feed, &cases[_i], NULL);
	read_prompt(&feed, &stream);
	for (int layer = 0; layer < LAYERS; layer++)
		for (size_t head = 0; head < HEADS; head++) {
			struct selected_kept x;
			struct scores s = scores_of(&feed, &stream, layer, head, _i);
			selected_read(&feed, &stream, layer, head, &x);
			ck_assert_uint_eq(x.kept.n, KEPT);
			check_head(&s, &x, &limits);
			differs += count_best(s.sum, &x) < KEPT;
			selected_free(&x);
		}
	ck_assert_uint_gt(differs, 0);
	feed_close(&feed);
}
END_TEST

/* Slots of all layers' heads go to the best scores of all: to the slot as many as each would have, and the heads differ. */
START_TEST(test_slots_go_to_the_best_of_all_heads)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(LAYERS)};
	struct limits limits = {INFINITY, 0.0, 0.0};
	size_t all = 0, uneven = 0;
	selected_cache(&feed, &global, NULL);
	read_prompt(&feed, &stream);
	for (int layer = 0; layer < LAYERS; layer++)
		for (size_t head = 0; head < HEADS; head++) {
			struct selected_kept x;
			struct scores s = scores_of(&feed, &stream, layer, head, 0);
			selected_read(&feed, &stream, layer, head, &x);
			check_head(&s, &x, &limits);
			all += x.kept.n;
			uneven += x.kept.n != KEPT;
			selected_free(&x);
		}
	ck_assert_uint_eq(all, KEPT * LAYERS * HEADS);
	ck_assert_uint_gt(uneven, 0);
	ck_assert_msg(limits.most <= limits.least * (1.0 + 2.0 * limits.slack),
	              "%.9g is dropped, %.9g kept", limits.most, limits.least);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- the pass ---- */

/* What both have kept is the same, to the bit. */
static void same_kept(const struct feed *feed, const struct stream *a, const struct stream *b)
{
	for (int layer = 0; layer < feed->geometry.layers; layer++)
		for (size_t head = 0; head < HEADS; head++) {
			struct selected_kept x, y;
			selected_read(feed, a, layer, head, &x);
			selected_read(feed, b, layer, head, &y);
			ck_assert_uint_eq(x.kept.n, y.kept.n);
			ck_assert_uint_eq(x.kept.tail, y.kept.tail);
			ck_assert(memcmp(x.kept.positions, y.kept.positions,
			                 x.kept.n * sizeof *x.kept.positions) == 0);
			ck_assert(memcmp(x.kept.scores, y.kept.scores, x.kept.n * sizeof *x.kept.scores) == 0);
			selected_free(&x);
			selected_free(&y);
		}
}

/* Steps that read go in any order, again, beside each other, and between others that are aborted. */
START_TEST(test_the_order_of_reading_is_nothing)
{
	static struct stream a, b, c;
	struct feed feed = {.geometry = feed_usual(LAYERS)};
	selected_cache(&feed, &cases[0], NULL);
	stream_open(&feed, &a);
	stream_open(&feed, &b);
	stream_open(&feed, &c);
	feed_one(&feed, &a, PROMPT, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &b, 70, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &b, PROMPT - 70, CLKV_PROMPT, 1, NULL);
	for (size_t i = 0; i < READS; i++)
		read_again(&feed, &a, rows_of[i], 100 + i);
	for (size_t i = READS; i-- > 0;) {
		struct feed_item items[] = {{&c, 40, CLKV_PROMPT, 0, 9},
		                            {&b, rows_of[i], CLKV_REREAD, rows_of[i], 100 + i}};
		struct feed_item other = {&b, 50, CLKV_REREAD, 50, 200};
		clkv_step_abort(feed_begin(&feed, &other, 1, NULL));
		feed_step(&feed, items, 2, NULL);
	}
	read_again(&feed, &b, rows_of[1], 101);
	end_prompt(&feed, &a);
	end_prompt(&feed, &b);
	same_kept(&feed, &a, &b);
	feed_close(&feed);
}
END_TEST

/* Not one bit differs from a cache of halves, read again or not, as long as each token has a slot. */
START_TEST(test_a_budget_of_everything_changes_nothing)
{
	static struct stream a, b;
	struct feed feed = {.geometry = feed_usual(LAYERS), .lse = true}, half = feed;
	struct feed_result x, y;
	feed_open(&feed, fixture.context, fixture.queue,
	          "kvzip:budget=400 ; window=16,sinks=0,block=32", NULL);
	feed_open(&half, fixture.context, fixture.queue, "f16 ; window=1024,sinks=0,block=32", NULL);
	stream_open(&feed, &a);
	stream_open(&half, &b);
	for (size_t i = 0; i < 3; i++) {
		static const size_t n[] = {200, 1, 90};
		feed_one(&feed, &a, n[i], i == 0 ? CLKV_PROMPT : CLKV_DECODE, i, &x);
		feed_one(&half, &b, n[i], i == 0 ? CLKV_PROMPT : CLKV_DECODE, i, &y);
		ck_assert(memcmp(x.out, y.out, LAYERS * n[i] * x.out_row * sizeof *x.out) == 0);
		ck_assert(memcmp(x.lse, y.lse, LAYERS * n[i] * x.lse_row * sizeof *x.lse) == 0);
		feed_result_close(&x);
		feed_result_close(&y);
		if (i == 0) {
			read_again(&feed, &a, 40, 7);
			end_prompt(&feed, &a);
		}
	}
	feed_close(&feed);
	feed_close(&half);
}
END_TEST

/* Rows that read are as a prompt's next rows: the same outputs, and then they are gone. Of recipes that judge otherwise nothing
 * else happens: what they hold and keep goes on bit for bit. */
START_TEST(test_other_recipes_are_left_as_they_were)
{
	static const char *const recipes[] = {"f16", "kivi:bits=4 ; window=40,sinks=3",
	                                      "snapkv:budget=80,obs=16,pool=5" AROUND,
	                                      "h2o:budget=96,recent=0.5" AROUND};
	static struct stream a, b, c;
	struct feed feed = {.geometry = feed_usual(LAYERS), .lse = true};
	struct feed_result x, y;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	ck_assert_int_eq(clkv_cache_rereads(feed.cache), 0);
	stream_open(&feed, &a);
	stream_open(&feed, &b);
	feed_one(&feed, &a, 150, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &b, 150, CLKV_PROMPT, 1, NULL);
	stream_fork(&feed, &a, &c);
	struct feed_item item = {&a, 37, CLKV_REREAD, 37, 5};
	feed_step(&feed, &item, 1, &x);
	feed_one(&feed, &c, 37, CLKV_PROMPT, 5, &y);
	ck_assert(memcmp(x.out, y.out, LAYERS * 37 * x.out_row * sizeof *x.out) == 0);
	feed_result_close(&x);
	feed_result_close(&y);
	for (size_t i = 0; i < 4; i++) {
		clkv_phase phase = i == 0 ? CLKV_PROMPT_END : CLKV_DECODE;
		feed_one(&feed, &a, 33, phase, 10 + i, &x);
		feed_one(&feed, &b, 33, phase, 10 + i, &y);
		ck_assert(memcmp(x.out, y.out, LAYERS * 33 * x.out_row * sizeof *x.out) == 0);
		feed_result_close(&x);
		feed_result_close(&y);
		clkv_seq_info p = stream_info(&a), q = stream_info(&b);
		ck_assert(p.length == q.length && p.bytes == q.bytes && p.sealed == q.sealed);
	}
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- turns ---- */

/* Slots of all heads; tail: the first token in half. */
static size_t count_all(const struct feed *feed, const struct stream *stream, size_t *tail)
{
	size_t all = 0;
	for (int layer = 0; layer < LAYERS; layer++)
		for (int head = 0; head < HEADS; head++) {
			clkv_kept kept = CLKV_INIT(clkv_kept);
			clkv_error error;
			feed_ok(clkv_seq_get_kept(stream->seq, layer, head, &kept, feed->queue, &error), &error,
			        "clkv_seq_get_kept");
			*tail = kept.tail;
			all += kept.n;
		}
	return all;
}

/* The budget to the slot when a prompt that was read ends; what comes later stays beside it, also over prompts that aren't
 * read, until a reading sees it all. */
START_TEST(test_what_nobody_has_read_stays)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(LAYERS)};
	struct selected_kept before, after;
	size_t tail;
	selected_cache(&feed, _i == 0 ? &cases[0] : &global, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, PROMPT, CLKV_PROMPT, 1, NULL);
	read_again(&feed, &stream, 40, 7);
	end_prompt(&feed, &stream);
	selected_read(&feed, &stream, 1, 1, &before);
	ck_assert_uint_eq(count_all(&feed, &stream, &tail), KEPT * LAYERS * HEADS);
	for (size_t i = 0; i < 6; i++)
		feed_one(&feed, &stream, i == 5 ? 25 : 20, i == 5 ? CLKV_PROMPT_END : CLKV_DECODE, 20 + i,
		         NULL);
	size_t all = count_all(&feed, &stream, &tail);
	ck_assert_uint_eq(all, (KEPT + tail - (PROMPT - WINDOW)) * LAYERS * HEADS);
	ck_assert_uint_eq(tail, PROMPT + 125 - WINDOW);
	selected_read(&feed, &stream, 1, 1, &after);
	ck_assert(memcmp(before.kept.positions, after.kept.positions,
	                 before.kept.n * sizeof *before.kept.positions) == 0);
	ck_assert(memcmp(before.kept.scores, after.kept.scores,
	                 before.kept.n * sizeof *before.kept.scores) == 0);
	selected_free(&before);
	selected_free(&after);
	feed_one(&feed, &stream, 30, CLKV_PROMPT, 40, NULL);
	read_again(&feed, &stream, 40, 41);
	end_prompt(&feed, &stream);
	ck_assert_uint_eq(count_all(&feed, &stream, &tail), KEPT * LAYERS * HEADS);
	ck_assert_uint_eq(tail, PROMPT + 155 - WINDOW);
	feed_close(&feed);
}
END_TEST

/* Token 30 has a key that queries with `look` in channel 0 find. */
static double look;

static double planted(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	if (side == FEED_V || d > 0)
		return selected_quarters(row, layer, side, head, d);
	return side == FEED_Q ? look : row == random_mix(1, 30) ? 9.0 : 0.0;
}

/* One row of the reading wants a token, the newest rows of the prompt look away from it: who judges by these loses it. */
START_TEST(test_one_row_that_wants_a_token_is_enough)
{
	static const char *const recipes[] = {
		"kvzip:budget=60 ; window=16,sinks=4,block=32",
		"snapkv:budget=60,obs=16,pool=1 ; window=16,sinks=4,block=32"};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1), .value = planted};
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &stream);
	look = -8.0;
	feed_one(&feed, &stream, 180, CLKV_PROMPT, 1, NULL);
	read_again(&feed, &stream, 30, 2);
	look = 8.0;
	read_again(&feed, &stream, 1, 3);
	look = -8.0;
	read_again(&feed, &stream, 30, 4);
	end_prompt(&feed, &stream);
	feed_one(&feed, &stream, 70, CLKV_DECODE, 5, NULL);
	for (size_t head = 0; head < HEADS; head++)
		ck_assert_int_eq(selected_has(&feed, &stream, 0, head, 30), _i == 0);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reread");
	TCase *choice = fixture_case(suite, "choice", 60), *pass = fixture_case(suite, "pass", 60);
	TCase *turns = fixture_case(suite, "turns", 60);
	tcase_add_loop_test(choice, test_the_choice_is_that_of_the_largest_weights, 0, CASES);
	tcase_add_test(choice, test_slots_go_to_the_best_of_all_heads);
	tcase_add_test(pass, test_the_order_of_reading_is_nothing);
	tcase_add_test(pass, test_a_budget_of_everything_changes_nothing);
	tcase_add_loop_test(pass, test_other_recipes_are_left_as_they_were, 0, 4);
	tcase_add_loop_test(turns, test_what_nobody_has_read_stays, 0, 2);
	tcase_add_loop_test(turns, test_one_row_that_wants_a_token_is_enough, 0, 2);
	return fixture_run_shared(suite);
}
