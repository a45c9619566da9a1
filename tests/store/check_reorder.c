/* SPDX-License-Identifier: MIT */
/** \file check_reorder.c \brief Sequences that take each other's contents. */
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/kinds.h"

#include <string.h>

enum { BEAMS = 4 };

static void reorder(struct stream *s, const size_t *from)
{
	static struct stream old[BEAMS];
	clkv_seq *seqs[BEAMS];
	clkv_error error;
	memcpy(old, s, sizeof old);
	for (size_t i = 0; i < BEAMS; i++)
		seqs[i] = s[i].seq;
	feed_ok(clkv_seq_reorder(seqs, from, BEAMS, &error), &error, "clkv_seq_reorder");
	for (size_t i = 0; i < BEAMS; i++) {
		s[i] = old[from[i]];
		s[i].seq = seqs[i];
	}
}

/* By forks into other sequences, which needs room for all of them. */
static void refork(struct feed *feed, struct stream *s, const size_t *from)
{
	static struct stream forks[BEAMS];
	for (size_t i = 0; i < BEAMS; i++)
		stream_fork(feed, &s[from[i]], &forks[i]);
	for (size_t i = 0; i < BEAMS; i++)
		stream_close(&s[i]);
	memcpy(s, forks, sizeof forks);
}

static void step(struct feed *feed, struct stream *s, uint64_t seed, size_t n,
                 struct feed_result *result)
{
	struct feed_item items[BEAMS];
	for (size_t i = 0; i < BEAMS; i++)
		items[i] = (struct feed_item){&s[i], n, CLKV_DECODE, 0, seed + i};
	feed_step(feed, items, BEAMS, result);
}

/* Orders with cycles, with contents that nobody wants, that all want, that go two ways; none changes anything. */
static const size_t orders[][BEAMS] = {{0, 1, 2, 3}, {1, 2, 3, 0}, {2, 2, 2, 2}, {1, 0, 0, 3},
                                       {3, 3, 1, 1}, {0, 0, 1, 2}, {1, 2, 1, 2}, {2, 3, 0, 1}};
enum { ORDERS = sizeof orders / sizeof orders[0] };

static void open_beams(struct feed *feed, const struct kind *kind, size_t sequences,
                       struct stream *s)
{
	clkv_cache_options o = feed_room(4000, sequences);
	*feed = (struct feed){.geometry = feed_usual(kind->layers), .lse = true};
	feed->geometry.rope.kind = CLKV_ROPE_HALVES; /* as kind_open has it */
	feed_open(feed, fixture.context, fixture.queue, kind->recipe, &o);
	for (size_t i = 0; i < BEAMS; i++) {
		stream_open(feed, &s[i]);
		feed_one(feed, &s[i], 150 + 40 * i, CLKV_PROMPT_END, 1 + i, NULL);
	}
}

/* The same outputs and contents as by forks, though there is no room for one sequence more. */
START_TEST(test_reordered_equals_forked)
{
	static struct stream beams[BEAMS], forked[BEAMS];
	const struct kind *kind = &kinds[_i];
	struct feed a, b;
	open_beams(&a, kind, BEAMS, beams);
	open_beams(&b, kind, 2 * BEAMS, forked);
	for (size_t i = 0; i < ORDERS; i++) {
		struct feed_result x, y;
		reorder(beams, orders[i]);
		refork(&b, forked, orders[i]);
		step(&a, beams, 100 * i, i == 3 ? 40 : 1, &x);
		step(&b, forked, 100 * i, i == 3 ? 40 : 1, &y);
		kind_same_outputs(&a, &x, &y, kind->recipe);
		feed_result_close(&x);
		feed_result_close(&y);
	}
	for (size_t i = 0; i < BEAMS; i++)
		kind_same_streams(kind, &a, &beams[i], &b, &forked[i], kind->recipe);
	ck_assert_uint_eq(feed_stats(&a).used_open, feed_stats(&b).used_open);
	ck_assert_uint_eq(feed_stats(&a).used_index, feed_stats(&b).used_index);
	for (size_t i = 0; i < BEAMS; i++)
		stream_close(&beams[i]);
	expect_nothing_used(&a);
	feed_close(&a);
	feed_close(&b);
}
END_TEST

static void expect_error(clkv_seq *const *seqs, const size_t *from, size_t n, clkv_status want,
                         const char *part)
{
	clkv_error error;
	ck_assert_int_eq(clkv_seq_reorder(seqs, from, n, &error), want);
	ck_assert_msg(strstr(error.text, part), "'%s' lacks '%s'", error.text, part);
}

START_TEST(test_wrong_orders_are_refused)
{
	static struct stream beams[BEAMS], other[BEAMS];
	struct feed a, b;
	clkv_error error;
	open_beams(&a, &kinds[1], BEAMS, beams);
	open_beams(&b, &kinds[0], BEAMS, other);
	clkv_seq *const good[] = {beams[0].seq, beams[1].seq}, *const twice[] = {good[0], good[0]},
					*const mixed[] = {good[0], other[0].seq}, *const none[] = {good[0], NULL};
	const size_t swap[] = {1, 0}, far[] = {0, 2};
	expect_error(twice, swap, 2, CLKV_ERROR_INVALID_ARGUMENT, "seqs[1] is seqs[0]");
	expect_error(mixed, swap, 2, CLKV_ERROR_INVALID_ARGUMENT, "another cache");
	expect_error(none, swap, 2, CLKV_ERROR_INVALID_ARGUMENT, "seqs[1] is NULL");
	expect_error(good, far, 2, CLKV_ERROR_INVALID_ARGUMENT, "from[1] is 2; allowed: 0 to 1");
	expect_error(good, swap, 0, CLKV_ERROR_INVALID_ARGUMENT, "n is 0");
	expect_error(NULL, swap, 2, CLKV_ERROR_INVALID_ARGUMENT, "NULL");
	struct feed_item item = {&beams[1], 2, CLKV_DECODE, 0, 2};
	clkv_step *open = feed_begin(&a, &item, 1, NULL);
	expect_error(good, swap, 2, CLKV_ERROR_BUSY, "seqs[1]");
	/* sequences that it doesn't hold may change meanwhile; an abort takes back its own changes alone */
	clkv_seq *const free_ones[] = {beams[0].seq, beams[2].seq};
	feed_ok(clkv_seq_reorder(free_ones, (const size_t[]){1, 1}, 2, &error), &error, "reorder");
	clkv_step_abort(open);
	ck_assert_uint_eq(stream_info(&beams[0]).length, beams[2].n);
	ck_assert_uint_eq(stream_info(&beams[1]).length, beams[1].n);
	memcpy(beams[0].row, beams[2].row, sizeof beams[0].row);
	beams[0].n = beams[2].n;
	kind_same_streams(&kinds[1], &a, &beams[0], &a, &beams[2], "inside a step");
	feed_close(&a);
	feed_close(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reorder");
	TCase *tcase = fixture_case(suite, "reorder", 20);
	tcase_add_loop_test(tcase, test_reordered_equals_forked, 0, n_kinds);
	tcase_add_test(tcase, test_wrong_orders_are_refused);
	return fixture_run_shared(suite);
}
