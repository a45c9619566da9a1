/* SPDX-License-Identifier: MIT */
/** \file check_select_cascade.c \brief Rings of tokens hold what a plain walk puts into them. */
#include "ref/ref_cascade.h"
#include "support/each.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/selected.h"

#include <stdio.h>
#include <string.h>

/* Attention's weights are those of the token, the same for all queries; beta forgets all rows but the last ones, so
 * scores of tokens behind the window are in the order of their levels, and of equal levels the same. */
#define FORGETS "beta=0.001"

static unsigned levels; /* 1: all scores are the same */

static double level_of(uint64_t row, int layer, size_t head)
{
	return (double)random_below(random_mix(row, (uint64_t)layer * 8u + head), levels);
}

/* Products are exact: channel 0 of 64 alone, of queries 8. */
static double leveled(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	if (side == FEED_V)
		return feed_normal(row, layer, side, head, d);
	if (d > 0)
		return 0.0;
	return side == FEED_Q ? 8.0 : level_of(row, layer, head) / 4.0;
}

struct cascade_case {
	const char *recipe;
	size_t sinks, window;
	size_t rings, room[8]; /* behind the window */
};

static const struct cascade_case cases[] = {
	{"cascade:budget=68,rings=4," FORGETS " ; sinks=4,block=32,seal=prompt",
     4,
     16,
     3,
     {16, 16, 16}},
	{"cascade:budget=68,rings=4," FORGETS " ; sinks=4,block=32,seal=chunk", 4, 16, 3, {16, 16, 16}},
	{"cascade:budget=102,rings=3," FORGETS " ; sinks=2,block=32,seal=prompt", 2, 33, 2, {33, 34}},
	{"cascade:budget=100,rings=4," FORGETS " ; window=40,sinks=4,block=32", 4, 40, 3, {18, 18, 20}},
	{"cascade:budget=70,rings=2," FORGETS " ; sinks=6,block=32", 6, 32, 1, {32}},
	{"cascade:budget=90,rings=8," FORGETS " ; sinks=0,block=32",
     0,
     11,
     7,
     {11, 11, 11, 11, 11, 11, 13}},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* Walks of all heads of a stream. */
struct walks {
	const struct cascade_case *c;
	size_t tail; /* first token that is in the window */
	struct ref_cascade head[4];
};

static void open_walks(struct walks *w, const struct cascade_case *c)
{
	*w = (struct walks){.c = c, .tail = c->sinks};
	for (size_t i = 0; i < 4; i++) {
		w->head[i].rings = c->rings;
		memcpy(w->head[i].room, c->room, sizeof c->room);
	}
}

static void expect_rings(const struct selected_kept *x, const struct ref_cascade *r)
{
	size_t want[FEED_TOKENS], n = ref_cascade_list(r, want);
	ck_assert_uint_eq(x->kept.n, n);
	for (size_t i = 0; i < n; i++) {
		EACH_MSG(x->kept.positions[i] == want[i], "slot %zu of %zu: token %u instead of %zu", i, n,
		         x->kept.positions[i], want[i]);
		EACH_MSG(i == 0 || x->kept.positions[i - 1] < x->kept.positions[i], "slot %zu is older", i);
		EACH_MSG(x->kept.weights[i] == 1.0f, "slot %zu stands for %g tokens", i,
		         (double)x->kept.weights[i]);
	}
}

/* What has left the window goes through the rings of each head; the window holds what follows, contiguously. */
static void walk(struct walks *w, const struct feed *feed, const struct stream *stream)
{
	double score[FEED_TOKENS];
	size_t tail = w->tail;
	for (int layer = 0; layer < feed->geometry.layers; layer++)
		for (size_t head = 0; head < 2; head++) {
			struct ref_cascade *r = &w->head[(size_t)layer * 2 + head];
			struct selected_kept x;
			selected_read(feed, stream, layer, head, &x);
			tail = x.kept.n > 0 ? x.kept.tail : w->tail;
			for (size_t i = 0; i < stream->n; i++)
				score[i] = level_of(stream->row[i], layer, head);
			for (size_t i = w->tail; i < tail; i++)
				ref_cascade_push(r, i, score);
			expect_rings(&x, r);
			ck_assert(tail == w->c->sinks ||
			          (tail + w->c->window <= stream->n && tail + w->c->window + 32 > stream->n));
			selected_free(&x);
		}
	w->tail = tail;
}

static void feed_walk(struct walks *w, struct feed *feed, struct stream *stream, size_t n,
                      clkv_phase phase, uint64_t seed)
{
	feed_one(feed, stream, n, phase, seed, NULL);
	walk(w, feed, stream);
}

START_TEST(test_rings_are_those_of_a_walk)
{
	static struct stream stream, other;
	static struct walks w, forked;
	struct feed feed = {.geometry = feed_usual(2), .value = leveled};
	levels = 6;
	feed_open(&feed, fixture.context, fixture.queue, cases[_i].recipe, NULL);
	stream_open(&feed, &stream);
	open_walks(&w, &cases[_i]);
	feed_walk(&w, &feed, &stream, 50, CLKV_PROMPT, 1);
	feed_walk(&w, &feed, &stream, 181, CLKV_PROMPT_END, 2);
	for (uint64_t i = 0; i < 6; i++)
		feed_walk(&w, &feed, &stream, 13, CLKV_DECODE, 3 + i);
	stream_fork(&feed, &stream, &other);
	forked = w;
	feed_walk(&w, &feed, &stream, 90, CLKV_DECODE, 10);
	feed_walk(&forked, &feed, &other, 77, CLKV_DECODE, 11);
	feed_walk(&w, &feed, &stream, 300, CLKV_PROMPT_END, 12);
	feed_walk(&forked, &feed, &other, 1, CLKV_DECODE, 13);
	for (uint64_t i = 0; i < 40; i++)
		feed_walk(&w, &feed, &stream, 1, CLKV_DECODE, 14);
	feed_close(&feed);
}
END_TEST

static void fill_row_by_row(const struct cascade_case *c, clkv_context *context,
                            cl_command_queue queue)
{
	static struct stream stream;
	static struct walks w;
	struct feed feed = {.geometry = feed_usual(1), .value = leveled};
	levels = 3;
	feed_open(&feed, context, queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	open_walks(&w, c);
	for (uint64_t i = 0; i < 40; i++)
		feed_walk(&w, &feed, &stream, 9, CLKV_DECODE, i);
	ck_assert_uint_gt(w.tail, 300 - w.c->window - 32);
	feed_close(&feed);
}

/* Without a prompt: rings fill one after the other. */
START_TEST(test_rings_fill_row_by_row)
{
	fill_row_by_row(&cases[_i], fixture.context, fixture.queue);
}
END_TEST

/* In groups of more lanes than a block has tokens: those without one mark no slot. */
START_TEST(test_more_lanes_than_tokens)
{
	clkv_context *context = fixture_open_tuned("lanes=64,vec=1");
	cl_command_queue queue = fixture_queue_of(context);
	fill_row_by_row(&cases[_i], context, queue);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

/* Of equal scores the newer wins: ring i keeps the last of each 2^i tokens, and together they reach far back. */
START_TEST(test_equal_scores_are_spaced)
{
	static struct stream stream;
	static struct walks w;
	struct feed feed = {.geometry = feed_usual(1), .value = leveled};
	struct selected_kept x;
	levels = 1;
	feed_open(&feed, fixture.context, fixture.queue, cases[0].recipe, NULL);
	stream_open(&feed, &stream);
	open_walks(&w, &cases[0]);
	feed_walk(&w, &feed, &stream, 500, CLKV_PROMPT_END, 1);
	for (uint64_t i = 0; i < 4; i++)
		feed_walk(&w, &feed, &stream, 71, CLKV_DECODE, 2);
	selected_read(&feed, &stream, 0, 1, &x);
	ck_assert_uint_eq(x.kept.n, 48);
	for (size_t ring = 0; ring < 3; ring++) {
		const uint32_t *p = x.kept.positions + (2 - ring) * 16;
		for (size_t i = 1; i < 15; i++) /* the newest slot may still be replaced */
			EACH_MSG(p[i] - p[i - 1] == 2u << ring, "ring %zu: tokens %u and %u", ring, p[i - 1],
			         p[i]);
	}
	/* 16 tokens in each ring of every 2nd, 4th, 8th one; ends of a ring within one of its steps */
	size_t span = 16 * (2 + 4 + 8), reach = x.kept.tail - x.kept.positions[0];
	ck_assert_uint_le(reach, span + 14);
	ck_assert_uint_ge(reach + 14, span);
	selected_free(&x);
	feed_close(&feed);
}
END_TEST

/* One ring is the window: what streaming keeps, and not one bit of the output differs. */
START_TEST(test_one_ring_is_streaming)
{
	static struct stream a, b;
	struct feed ring = {.geometry = feed_usual(2), .lse = true}, streaming = ring;
	struct feed_result x, y;
	feed_open(&ring, fixture.context, fixture.queue, "cascade:budget=68,rings=1 ; sinks=4,block=32",
	          NULL);
	feed_open(&streaming, fixture.context, fixture.queue, "streaming:budget=68 ; sinks=4,block=32",
	          NULL);
	stream_open(&ring, &a);
	stream_open(&streaming, &b);
	for (uint64_t i = 0; i < 6; i++) {
		size_t n = i == 0 ? 170 : 29;
		feed_one(&ring, &a, n, i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, &x);
		feed_one(&streaming, &b, n, i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, &y);
		ck_assert(memcmp(x.out, y.out, 2 * n * x.out_row * sizeof *x.out) == 0);
		ck_assert(memcmp(x.lse, y.lse, 2 * n * x.lse_row * sizeof *x.lse) == 0);
		feed_result_close(&x);
		feed_result_close(&y);
		selected_same(&ring, &a, &b, 0, 0.0);
	}
	feed_close(&ring);
	feed_close(&streaming);
}
END_TEST

/* Slots are overwritten, and encoded anew: which tokens they hold doesn't depend on the codec while scores don't. */
START_TEST(test_rings_of_codes)
{
	static struct stream stream;
	static struct walks w;
	struct feed feed = {.geometry = feed_usual(1), .value = leveled};
	char recipe[160];
	levels = 1;
	snprintf(recipe, sizeof recipe,
	         "cascade:budget=68,rings=4,%s | kivi:bits=4 ; window=16,sinks=4,block=32", FORGETS);
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	open_walks(&w, &cases[0]);
	feed_walk(&w, &feed, &stream, 200, CLKV_PROMPT_END, 1);
	for (uint64_t i = 0; i < 10; i++)
		feed_walk(&w, &feed, &stream, 17, CLKV_DECODE, 2);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("select_cascade");
	TCase *rings = fixture_case(suite, "rings", 60);
	fixture_some(rings, test_rings_are_those_of_a_walk, CASES, 1, 2, 4);
	fixture_some(rings, test_rings_fill_row_by_row, CASES, 1, 2, 4);
	fixture_some(rings, test_more_lanes_than_tokens, CASES, 1, 2, 4);
	tcase_add_test(rings, test_equal_scores_are_spaced);
	tcase_add_test(rings, test_one_ring_is_streaming);
	tcase_add_test(rings, test_rings_of_codes);
	return fixture_run_shared(suite);
}
