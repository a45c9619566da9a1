/* SPDX-License-Identifier: MIT */
/** \file check_select_runs.c \brief Runs of neighbours whose keys are alike are one slot each, and stand for all of them. */
#include "ref/ref_half.h"
#include "ref/ref_runs.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/selected.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SINKS = 4, WINDOW = 16, BLOCK = 32, PROMPT = 230 };
#define AROUND " ; window=16,sinks=4,block=32,skip=0"

/* A topic lasts 1 to 12 tokens; the noise around it is small, a little or nothing. */
static double noise;
enum { SEED = 77 };

/* The number of the topic at a position. */
static size_t topic_at(size_t position)
{
	static size_t topics[FEED_TOKENS], n;
	for (size_t topic = 1; n < FEED_TOKENS; topic++)
		for (size_t i = 1 + random_below(random_mix(SEED, topic), 12); i > 0 && n < FEED_TOKENS;
		     i--)
			topics[n++] = topic;
	return topics[position];
}

/* All rows are of one seed: their positions can be found again. */
static size_t topic_of(uint64_t row)
{
	static uint64_t last;
	static size_t position;
	if (row != last)
		for (position = 0; random_mix(SEED, position) != row;)
			position++;
	last = row;
	return topic_at(position);
}

static double with_topics(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	if (side == FEED_Q)
		return feed_normal(row, layer, side, head, d);
	return random_normal(random_mix(topic_of(row), (uint64_t)(layer * 2 + (int)side) << 20 |
	                                                   (uint64_t)(head * 1024 + d))) +
	       noise * feed_normal(row, layer, side, head, d);
}

/* What a head was fed, and what is found of it. */
struct head {
	size_t n, dk, dv;
	double *k, *v, *cosine, *mass, *weights;
	bool *alone;
	struct ref_run *runs;
};

static void *room(size_t n, size_t size)
{
	void *p = calloc(n, size);
	ck_assert_ptr_nonnull(p);
	return p;
}

static void open_head(struct head *h, const struct feed *feed, const struct stream *stream,
                      int layer, size_t head)
{
	size_t n = stream->n, heads = feed_heads(feed, FEED_K), dk = feed_dim(feed, FEED_K);
	size_t dv = feed_dim(feed, FEED_V), group = feed_heads(feed, FEED_Q) / heads;
	double *k = room(n * heads * dk, sizeof *k), *v = room(n * heads * dv, sizeof *v);
	double *q = room(n * heads * group * dk, sizeof *q), *mine = room(n * group * dk, sizeof *mine);
	feed_rows(feed, layer, FEED_K, stream->row, n, k);
	feed_rows(feed, layer, FEED_V, stream->row, n, v);
	feed_rows(feed, layer, FEED_Q, stream->row, n, q);
	*h = (struct head){n,
	                   dk,
	                   dv,
	                   room(n * dk, sizeof(double)),
	                   room(n * dv, sizeof(double)),
	                   room(n, sizeof(double)),
	                   room(n, sizeof(double)),
	                   room(n, sizeof(double)),
	                   room(n, sizeof(bool)),
	                   room(n, sizeof(struct ref_run))};
	for (size_t i = 0; i < n; i++) {
		for (size_t d = 0; d < dk; d++)
			h->k[i * dk + d] = ref_stored(k[(i * heads + head) * dk + d]);
		for (size_t d = 0; d < dv; d++)
			h->v[i * dv + d] = ref_stored(v[(i * heads + head) * dv + d]);
		for (size_t d = 0; d < group * dk; d++)
			mine[i * group * dk + d] = q[(i * heads + head) * group * dk + d];
	}
	ref_runs_cosines(h->k, n, dk, h->cosine);
	ref_runs_mass(mine, h->k, n, group, dk, 1.0 / sqrt((double)dk), h->mass);
	free(k);
	free(v);
	free(q);
	free(mine);
}

static void close_head(struct head *h)
{
	free(h->k);
	free(h->v);
	free(h->cosine);
	free(h->mass);
	free(h->weights);
	free(h->alone);
	free(h->runs);
}

/* The many with most mass of tokens from .. to - 1 are alone; their mass and that of the others must be apart. */
static void protect(struct head *h, size_t from, size_t to, size_t many)
{
	for (size_t i = 0; i < many; i++) {
		size_t best = to;
		for (size_t j = from; j < to; j++)
			if (!h->alone[j] && (best == to || h->mass[j] > h->mass[best]))
				best = j;
		h->alone[best] = true;
	}
	double least = INFINITY, most = 0.0;
	for (size_t j = from; j < to; j++) {
		least = h->alone[j] ? fmin(least, h->mass[j]) : least;
		most = h->alone[j] ? most : fmax(most, h->mass[j]);
	}
	ck_assert_msg(many == 0 || least > most * (1.0 + 1e-4), "%g and %g can't be told apart", least,
	              most);
}

/* Whether rounding might make another token the pivot. */
static bool is_unsure(const struct head *h, const struct ref_run *run)
{
	for (size_t i = run->first; i < run->first + run->n; i++)
		if (i != run->pivot && h->mass[i] >= h->mass[run->pivot] * (1.0 - 1e-4))
			return true;
	return false;
}

/* One side of a slot: f32 sums of at most 12 terms, of weights that squared distances in f32 make; rounded to half. */
static void expect_mean(const struct ref_run *run, const double *rows, size_t dim, const float *got,
                        const char *side)
{
	for (size_t d = 0; d < dim; d++) {
		double mean = 0.0, size = 0.0, low = INFINITY, high = -INFINITY;
		for (size_t i = 0; i < run->n; i++) {
			double x = rows[(run->first + i) * dim + d];
			mean += run->weight[i] * x;
			size += run->weight[i] * fabs(x);
			low = fmin(low, x);
			high = fmax(high, x);
		}
		double limit = REF_HALF_EPS * fabs(mean) + 1e-4 * size + REF_HALF_TINY;
		EACH_MSG(fabs((double)got[d] - mean) <= limit,
		         "%s of the run from %zu of %zu, channel %zu: %g instead of %g, allowed +-%g", side,
		         run->first, run->n, d, (double)got[d], mean, limit);
		/* halves surround it, so rounding doesn't leave the hull */
		EACH_MSG((double)got[d] >= low && (double)got[d] <= high,
		         "%s, channel %zu: %g not in [%g, %g]", side, d, (double)got[d], low, high);
	}
}

/* Slots x .. of a device are these runs; returns how many had a sure pivot. */
static size_t expect_runs(const struct head *h, const struct ref_run *runs, size_t n,
                          const struct selected_kept *x, size_t at)
{
	size_t sure = 0;
	for (size_t i = 0; i < n; i++) {
		const struct ref_run *r = &runs[i];
		EACH_MSG(at + i < x->kept.n, "%zu slots", x->kept.n);
		EACH_MSG(x->kept.positions[at + i] == r->first + r->n - 1,
		         "slot %zu: newest token %u instead of %zu", at + i, x->kept.positions[at + i],
		         r->first + r->n - 1);
		EACH_MSG(fabs((double)x->kept.weights[at + i] - (double)r->n) <= 1e-5 * (double)r->n,
		         "slot %zu: %g tokens instead of %zu", at + i, (double)x->kept.weights[at + i],
		         r->n);
		if (is_unsure(h, r))
			continue;
		expect_mean(r, h->k, h->dk, x->kept.k + (at + i) * h->dk, "K");
		expect_mean(r, h->v, h->dv, x->kept.v + (at + i) * h->dv, "V");
		sure++;
	}
	return sure;
}

/* Slots stand for all tokens that have left the window, each for those behind the one before. */
static void expect_all(const struct selected_kept *x, size_t tail)
{
	size_t next = SINKS;
	for (size_t i = 0; i < x->kept.n; i++) {
		next += (size_t)lrintf(x->kept.weights[i]);
		EACH_MSG(x->kept.positions[i] == next - 1,
		         "slot %zu of %g tokens ends at %u instead of %zu", i, (double)x->kept.weights[i],
		         x->kept.positions[i], next - 1);
	}
	ck_assert_uint_eq(next, tail);
	ck_assert_uint_eq(x->kept.tail, tail);
}

/* ---------------------------------------------------------------- by a cosine ---- */

/* A prompt, then blocks that leave the window: runs of each commit are those of a scan, weighed as the paper says. */
START_TEST(test_runs_are_those_of_a_scan)
{
	static const char *const recipes[] = {"kvmerger:similar=0.8,heavy=0,alpha=1" AROUND,
	                                      "kvmerger:similar=0.8,heavy=0.1,alpha=1" AROUND,
	                                      "kvmerger:similar=0.99,heavy=0.3,alpha=0.5" AROUND};
	static const size_t share[] = {0, 1, 3};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2), .value = with_topics};
	size_t tail = PROMPT - WINDOW, n = tail - SINKS, merged = 0;
	noise = _i == 2 ? 0.1 : 0.25;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, PROMPT, CLKV_PROMPT_END, SEED, NULL);
	for (int layer = 0; layer < 2; layer++)
		for (size_t head = 0; head < 2; head++) {
			struct head h;
			struct selected_kept x;
			open_head(&h, &feed, &stream, layer, head);
			protect(&h, SINKS, tail, n * share[_i] / 10);
			selected_read(&feed, &stream, layer, head, &x);
			size_t runs = ref_runs(h.cosine, h.mass, h.alone, _i == 2 ? 0.99 : 0.8, h.k, h.dk,
			                       SINKS, tail, h.runs, h.weights);
			ck_assert_uint_eq(x.kept.n, runs);
			ck_assert_uint_ge(expect_runs(&h, h.runs, runs, &x, 0), runs - runs / 4);
			expect_all(&x, tail);
			for (size_t i = 0; i < runs; i++) {
				const struct ref_run *r = &h.runs[i];
				merged += r->n > 1;
				EACH_MSG(!h.alone[r->first] || r->n == 1, "token %zu isn't alone", r->first);
				for (size_t j = 0; j < r->n; j++)
					EACH_MSG(r->weight[j] >= 0.0 && r->weight[j] <= r->weight[r->pivot - r->first],
					         "token %zu weighs more than the pivot", r->first + j);
			}
			close_head(&h);
			selected_free(&x);
		}
	ck_assert_uint_gt(merged, 20);
	feed_close(&feed);
}
END_TEST

/* Later blocks: what was kept stays as it is, and new runs follow. */
START_TEST(test_later_runs_follow)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1), .value = with_topics};
	noise = 0.25;
	feed_open(&feed, fixture.context, fixture.queue, "kvmerger:similar=0.8,heavy=0,alpha=1" AROUND,
	          NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, PROMPT, CLKV_PROMPT_END, SEED, NULL);
	for (size_t tail = PROMPT - WINDOW; stream.n < 500;) {
		struct selected_kept before, after;
		struct head h;
		selected_read(&feed, &stream, 0, 1, &before);
		feed_one(&feed, &stream, 23, CLKV_DECODE, SEED, NULL);
		selected_read(&feed, &stream, 0, 1, &after);
		size_t old = before.kept.n, to = tail + (stream.n - WINDOW - tail) / BLOCK * BLOCK;
		open_head(&h, &feed, &stream, 0, 1);
		size_t runs = ref_runs(h.cosine, h.mass, NULL, 0.8, h.k, h.dk, tail, to, h.runs, h.weights);
		ck_assert_uint_eq(after.kept.n, old + (to > tail ? runs : 0));
		ck_assert(memcmp(before.kept.k, after.kept.k, old * h.dk * sizeof(float)) == 0);
		ck_assert(memcmp(before.kept.v, after.kept.v, old * h.dv * sizeof(float)) == 0);
		ck_assert(memcmp(before.kept.weights, after.kept.weights, old * sizeof(float)) == 0);
		for (size_t i = 0; i < runs && to > tail; i++) {
			const struct ref_run *r = &h.runs[i];
			EACH_MSG(after.kept.positions[old + i] == r->first + r->n - 1, "slot %zu", old + i);
		}
		expect_all(&after, to);
		tail = to;
		close_head(&h);
		selected_free(&before);
		selected_free(&after);
	}
	feed_close(&feed);
}
END_TEST

/* No cosine is above 1: every token is kept, and attention is that of a cache of halves. */
START_TEST(test_above_one_nothing_is_merged)
{
	static struct stream a, b;
	struct feed feed = {.geometry = feed_usual(2), .value = with_topics, .lse = true}, half = feed;
	struct feed_result x, y;
	noise = 0.0; /* neighbours are the same */
	feed_open(&feed, fixture.context, fixture.queue, "kvmerger:similar=1.5,heavy=0" AROUND, NULL);
	feed_open(&half, fixture.context, fixture.queue, "f16 ; window=16,sinks=4,block=32", NULL);
	stream_open(&feed, &a);
	stream_open(&half, &b);
	feed_one(&feed, &a, PROMPT, CLKV_PROMPT_END, SEED, NULL);
	feed_one(&half, &b, PROMPT, CLKV_PROMPT_END, SEED, NULL);
	for (size_t i = 0; i < 3; i++) {
		feed_one(&feed, &a, 40, CLKV_DECODE, SEED, &x);
		feed_one(&half, &b, 40, CLKV_DECODE, SEED, &y);
		/* the same halves in blocks that begin elsewhere: sums of 350 terms in f32 */
		ck_assert(expect_difference(&feed, &x, &y) < 1e-5);
		feed_result_close(&x);
		feed_result_close(&y);
	}
	for (size_t head = 0; head < 2; head++) {
		struct selected_kept kept;
		struct head h;
		selected_read(&feed, &a, 1, head, &kept);
		open_head(&h, &feed, &a, 1, head);
		ck_assert_uint_eq(kept.kept.n, kept.kept.tail - SINKS);
		for (size_t i = 0; i < kept.kept.n * h.dk; i++)
			EACH_MSG((double)kept.kept.k[i] == h.k[SINKS * h.dk + i], "key %zu", i / h.dk);
		expect_all(&kept, kept.kept.tail);
		close_head(&h);
		selected_free(&kept);
	}
	feed_close(&feed);
	feed_close(&half);
}
END_TEST

/* Topics without noise: each is one slot, and this is bit for bit what its tokens were. */
START_TEST(test_duplicates_merge_to_themselves)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2), .value = with_topics};
	noise = 0.0;
	feed_open(&feed, fixture.context, fixture.queue, "kvmerger:similar=1,heavy=0" AROUND, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, PROMPT, CLKV_PROMPT_END, SEED, NULL);
	size_t topics = topic_at(PROMPT - WINDOW - 1) - topic_at(SINKS) + 1;
	for (size_t head = 0; head < 2; head++) {
		struct selected_kept x;
		struct head h;
		selected_read(&feed, &stream, 1, head, &x);
		open_head(&h, &feed, &stream, 1, head);
		ck_assert_uint_eq(x.kept.n, topics);
		for (size_t i = 0; i < x.kept.n; i++) {
			for (size_t d = 0; d < h.dk; d++)
				EACH_MSG((double)x.kept.k[i * h.dk + d] == h.k[x.kept.positions[i] * h.dk + d],
				         "slot %zu, key channel %zu", i, d);
			for (size_t d = 0; d < h.dv; d++)
				EACH_MSG((double)x.kept.v[i * h.dv + d] == h.v[x.kept.positions[i] * h.dv + d],
				         "slot %zu, value channel %zu", i, d);
		}
		close_head(&h);
		selected_free(&x);
	}
	feed_close(&feed);
}
END_TEST

/* A slot that knows how many it stands for attends as all of them did; with alpha = 0 it doesn't. */
START_TEST(test_multiplicity_makes_duplicates_exact)
{
	char recipe[120];
	static struct stream a, b;
	struct feed feed = {.geometry = feed_usual(2), .value = with_topics, .lse = true}, half = feed;
	struct feed_result x, y;
	noise = 0.0;
	snprintf(recipe, sizeof recipe, "kvmerger:similar=1,heavy=0,alpha=%d" AROUND, _i);
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	feed_open(&half, fixture.context, fixture.queue, "f16 ; window=16,sinks=4,block=32", NULL);
	stream_open(&feed, &a);
	stream_open(&half, &b);
	feed_one(&feed, &a, PROMPT, CLKV_PROMPT_END, SEED, NULL);
	feed_one(&half, &b, PROMPT, CLKV_PROMPT_END, SEED, NULL);
	feed_one(&feed, &a, 60, CLKV_DECODE, SEED, &x);
	feed_one(&half, &b, 60, CLKV_DECODE, SEED, &y);
	double difference = expect_difference(&feed, &x, &y);
	if (_i == 1) /* sums of 290 terms in f32, and log2 of a count */
		ck_assert_msg(difference < 1e-5, "%g", difference);
	else
		ck_assert_msg(difference > 0.05, "%g", difference);
	feed_result_close(&x);
	feed_result_close(&y);
	feed_close(&feed);
	feed_close(&half);
}
END_TEST

/* ---------------------------------------------------------------- by a budget ---- */

/* Slots of a share of 0.7: above what a short text has at least. */
#define SHARE(n) ((n)*7 / 10)

/* As many runs as there are slots: those of the least cosine that makes no more. Behind them tokens become runs by the
 * same one. */
START_TEST(test_runs_fill_the_budget)
{
	static struct stream stream, other;
	struct feed feed = {.geometry = feed_usual(2), .value = with_topics};
	size_t tail = PROMPT - WINDOW, slots = SHARE(PROMPT) - SINKS - WINDOW;
	noise = 0.4;
	feed_open(&feed, fixture.context, fixture.queue, "kvmerger:budget=0.7,heavy=0.2" AROUND, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, PROMPT, CLKV_PROMPT_END, SEED, NULL);
	stream_fork(&feed, &stream, &other);
	for (int layer = 0; layer < 2; layer++)
		for (size_t head = 0; head < 2; head++) {
			struct head h;
			struct selected_kept x;
			double top = 2.0;
			open_head(&h, &feed, &stream, layer, head);
			protect(&h, SINKS, tail, slots / 5);
			selected_read(&feed, &stream, layer, head, &x);
			ck_assert_uint_eq(x.kept.n, slots);
			/* the least cosine within a run of the device */
			for (size_t i = 0; i < x.kept.n; i++)
				for (size_t j = 1; j < (size_t)lrintf(x.kept.weights[i]); j++)
					top = fmin(top, h.cosine[x.kept.positions[i] - j]);
			size_t runs =
				ref_runs(h.cosine, h.mass, h.alone, top, h.k, h.dk, SINKS, tail, h.runs, h.weights);
			ck_assert_uint_eq(runs, slots);
			expect_runs(&h, h.runs, runs, &x, 0);
			expect_all(&x, tail);
			close_head(&h);
			selected_free(&x);
		}
	for (size_t i = 0; i < 5; i++) {
		struct selected_kept x;
		feed_one(&feed, &stream, 30, CLKV_DECODE, SEED, NULL);
		feed_one(&feed, &other, 30, CLKV_DECODE, SEED, NULL);
		selected_read(&feed, &stream, 1, 0, &x);
		expect_all(&x, tail + (stream.n - WINDOW - tail) / BLOCK * BLOCK);
		ck_assert_uint_ge(x.kept.n, slots);
		selected_free(&x);
		selected_same(&feed, &stream, &other, 0, 0.0);
	}
	feed_close(&feed);
}
END_TEST

/* More tokens are alone than there are slots: as few runs as they allow. */
START_TEST(test_protected_ones_are_not_merged_to_fit)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1), .value = with_topics};
	size_t tail = PROMPT - WINDOW, slots = 60 - SINKS - WINDOW;
	noise = 0.4;
	feed_open(&feed, fixture.context, fixture.queue, "kvmerger:budget=60,heavy=1" AROUND, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, PROMPT, CLKV_PROMPT_END, SEED, NULL);
	for (size_t head = 0; head < 2; head++) {
		struct head h;
		struct selected_kept x;
		open_head(&h, &feed, &stream, 0, head);
		protect(&h, SINKS, tail, slots);
		selected_read(&feed, &stream, 0, head, &x);
		size_t runs =
			ref_runs(h.cosine, h.mass, h.alone, -2.0, h.k, h.dk, SINKS, tail, h.runs, h.weights);
		ck_assert_uint_gt(runs, slots);
		ck_assert_uint_eq(x.kept.n, runs);
		expect_runs(&h, h.runs, runs, &x, 0);
		expect_all(&x, tail);
		close_head(&h);
		selected_free(&x);
	}
	feed_close(&feed);
}
END_TEST

/* Behind another stage: that one's slots, of each layer, are filled with runs. */
START_TEST(test_another_stage_gives_the_slots)
{
	static const char *const recipes[] = {
		"prefixkv:budget=0.7 | kvmerger:heavy=0.1" AROUND,
		"snapkv:budget=0.7,obs=16 | kvmerger:heavy=0.1" AROUND,
		"prefixkv:budget=0.7 | kvmerger:heavy=0.1 | kivi:bits=4" AROUND,
		"kvmerger:budget=0.7 | kivi:bits=4" AROUND};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(3), .value = with_topics};
	size_t sum = 0, tail = PROMPT - WINDOW, slots = SHARE(PROMPT) - SINKS - WINDOW;
	noise = 0.4;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 100, CLKV_PROMPT, SEED, NULL);
	feed_one(&feed, &stream, PROMPT - 100, CLKV_PROMPT_END, SEED, NULL);
	for (int layer = 0; layer < 3; layer++)
		for (size_t head = 0; head < 2; head++) {
			struct selected_kept x;
			selected_read(&feed, &stream, layer, head, &x);
			expect_all(&x, tail);
			sum += x.kept.n;
			selected_free(&x);
		}
	ck_assert_uint_eq(sum, 6 * slots);
	feed_one(&feed, &stream, 70, CLKV_DECODE, SEED, NULL);
	for (size_t head = 0; head < 2; head++) {
		struct selected_kept x;
		selected_read(&feed, &stream, 2, head, &x);
		expect_all(&x, tail + 64);
		selected_free(&x);
	}
	feed_close(&feed);
}
END_TEST

/* Without a prompt's end each commit has its part of the budget. Before half of the text was 128 slots, it had these: up to
 * 64 more. */
START_TEST(test_generation_alone_is_merged)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1), .value = with_topics};
	struct selected_kept x;
	noise = 0.4;
	feed_open(&feed, fixture.context, fixture.queue, "kvmerger:budget=0.5" AROUND, NULL);
	stream_open(&feed, &stream);
	for (size_t i = 0; i < 12; i++)
		feed_one(&feed, &stream, 31, CLKV_DECODE, SEED, NULL);
	selected_read(&feed, &stream, 0, 0, &x);
	expect_all(&x, SINKS + (stream.n - WINDOW - SINKS) / BLOCK * BLOCK);
	ck_assert_uint_le(x.kept.n, stream.n / 2 + 64 - SINKS - WINDOW + BLOCK);
	selected_free(&x);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("select_runs");
	TCase *cosine = fixture_case(suite, "cosine", 60), *budget = fixture_case(suite, "budget", 60);
	fixture_some(cosine, test_runs_are_those_of_a_scan, 3, 0, 2);
	tcase_add_test(cosine, test_later_runs_follow);
	tcase_add_test(cosine, test_above_one_nothing_is_merged);
	tcase_add_test(cosine, test_duplicates_merge_to_themselves);
	tcase_add_loop_test(cosine, test_multiplicity_makes_duplicates_exact, 0, 2);
	tcase_add_test(budget, test_runs_fill_the_budget);
	tcase_add_test(budget, test_protected_ones_are_not_merged_to_fit);
	fixture_some(budget, test_another_stage_gives_the_slots, 4, 0, 2);
	tcase_add_test(budget, test_generation_alone_is_merged);
	return fixture_run_shared(suite);
}
