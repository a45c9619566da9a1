/* SPDX-License-Identifier: MIT */
/**
 * \file    check_paths.c
 * \brief   A sequence is what it was fed, whatever way it took there: the same bits, now and as it goes on.
 *
 * Each path brings a sequence to the rows and steps of one that was fed directly. doc/guide.md says which recipes promise
 * it for which path; the table below is the same.
 */
#include "support/fixture.h"
#include "support/kinds.h"
#include "support/memory_file.h"

#include <stdio.h>
#include <string.h>

enum { SEED = 3, OTHER = 1000, STEPS = 4, DRAFT = 3 };

/* Rows of the steps behind a prompt. */
static size_t step_rows(const struct kind *kind, size_t i)
{
	const size_t rows[STEPS] = {1, kind->rows, 2, 1};
	return rows[i];
}

static size_t prompt_rows(const struct kind *kind)
{
	return kind->rows + 61;
}

static void feed_prompt(struct feed *feed, const struct kind *kind, struct stream *s)
{
	feed_one(feed, s, prompt_rows(kind), CLKV_PROMPT_END, SEED, NULL);
}

static void feed_steps(struct feed *feed, const struct kind *kind, struct stream *s, size_t from)
{
	for (size_t i = from; i < STEPS; i++)
		feed_one(feed, s, step_rows(kind, i), CLKV_DECODE, SEED, NULL);
}

static void feed_all(struct feed *feed, const struct kind *kind, struct stream *s)
{
	feed_prompt(feed, kind, s);
	feed_steps(feed, kind, s, 0);
}

static void truncate_to(struct stream *s, size_t n)
{
	clkv_error error;
	feed_ok(clkv_seq_truncate(s->seq, n, &error), &error, "clkv_seq_truncate");
	s->n = n;
}

/* ---------------------------------------------------------------- paths ---- */

/* Fed with something else, as long, and emptied. */
static void by_emptying(struct feed *feed, const struct kind *kind, struct stream *s)
{
	feed_one(feed, s, 2 * kind->rows + 91, CLKV_PROMPT_END, OTHER, NULL);
	feed_one(feed, s, kind->rows, CLKV_DECODE, OTHER, NULL);
	truncate_to(s, 0);
	feed_all(feed, kind, s);
}

/* Emptied inside its first prompt, of which a part was sealed or not. */
static void by_emptying_early(struct feed *feed, const struct kind *kind, struct stream *s)
{
	feed_one(feed, s, 30, CLKV_PROMPT_END, OTHER, NULL);
	truncate_to(s, 0);
	feed_one(feed, s, 110, CLKV_PROMPT, OTHER, NULL);
	truncate_to(s, 0);
	feed_all(feed, kind, s);
}

/* More rows than there should be, of which nothing was sealed; then cut. */
static void by_cutting(struct feed *feed, const struct kind *kind, struct stream *s)
{
	feed_prompt(feed, kind, s);
	for (size_t i = 0; i < STEPS; i++) {
		size_t n = s->n;
		feed_one(feed, s, DRAFT, CLKV_DECODE, OTHER, NULL);
		truncate_to(s, n);
		feed_one(feed, s, step_rows(kind, i), CLKV_DECODE, SEED, NULL);
	}
}

/* Each step with rows that are rejected; once all of them are. */
static void by_drafts(struct feed *feed, const struct kind *kind, struct stream *s)
{
	feed_prompt(feed, kind, s);
	for (size_t i = 0; i < STEPS; i++) {
		struct feed_item none = {s, DRAFT, CLKV_DECODE, DRAFT, OTHER};
		struct feed_item item = {s, step_rows(kind, i) + DRAFT, CLKV_DECODE, DRAFT, SEED};
		feed_step(feed, &none, 1, NULL);
		feed_step(feed, &item, 1, NULL);
	}
}

/* Each step first with other rows, and aborted. */
static void by_aborts(struct feed *feed, const struct kind *kind, struct stream *s)
{
	for (size_t i = 0; i <= STEPS; i++) {
		size_t n = i == 0 ? prompt_rows(kind) : step_rows(kind, i - 1);
		struct feed_item item = {s, n, i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, 0, OTHER};
		clkv_step_abort(feed_begin(feed, &item, 1, NULL));
		item.seed = SEED;
		feed_step(feed, &item, 1, NULL);
	}
}

/* A fork of one that goes on otherwise, and is gone before the end. */
static void by_forking(struct feed *feed, const struct kind *kind, struct stream *s)
{
	static struct stream first;
	stream_open(feed, &first);
	feed_prompt(feed, kind, &first);
	feed_one(feed, &first, 1, CLKV_DECODE, SEED, NULL);
	stream_close(s);
	stream_fork(feed, &first, s);
	feed_one(feed, &first, kind->rows, CLKV_DECODE, OTHER, NULL);
	feed_one(feed, s, step_rows(kind, 1), CLKV_DECODE, SEED, NULL);
	truncate_to(&first, 0);
	feed_one(feed, &first, 100, CLKV_PROMPT_END, OTHER, NULL);
	stream_close(&first);
	feed_steps(feed, kind, s, 2);
}

/* The one that a fork was taken of, which went on otherwise. */
static void by_being_forked(struct feed *feed, const struct kind *kind, struct stream *s)
{
	static struct stream fork;
	feed_prompt(feed, kind, s);
	feed_one(feed, s, 1, CLKV_DECODE, SEED, NULL);
	stream_fork(feed, s, &fork);
	feed_one(feed, &fork, kind->rows, CLKV_DECODE, OTHER, NULL);
	feed_one(feed, s, step_rows(kind, 1), CLKV_DECODE, SEED, NULL);
	stream_close(&fork);
	feed_steps(feed, kind, s, 2);
}

static void by_file(struct feed *feed, const struct kind *kind, struct stream *s)
{
	struct memory_file file = {0};
	static struct stream loaded;
	feed_prompt(feed, kind, s);
	feed_steps(feed, kind, s, 0);
	memory_save(feed, s, NULL, &file);
	memory_load(feed, &file, s, &loaded);
	stream_close(s);
	*s = loaded;
	memory_close(&file);
}

static const struct path {
	const char *name;
	void (*run)(struct feed *feed, const struct kind *kind, struct stream *s);
	/* kinds whose bits it may change */
	bool weighs, looks, moves;
} paths[] = {
	{.name = "emptied", .run = by_emptying},
	{.name = "emptied early", .run = by_emptying_early},
	{.name = "cut", .run = by_cutting, .weighs = true, .looks = true},
	{.name = "drafts", .run = by_drafts, .weighs = true, .looks = true},
	{.name = "aborted", .run = by_aborts},
	{.name = "a fork", .run = by_forking},
	{.name = "forked", .run = by_being_forked},
	{.name = "a file", .run = by_file},
};
enum { PATHS = sizeof paths / sizeof paths[0] };

static bool promised(const struct path *p, const struct kind *k)
{
	return !(p->weighs && k->weighs) && !(p->looks && k->looks) && !(p->moves && k->moves);
}

/* ---------------------------------------------------------------- what comes of it ---- */

/* Both go on: seal, end another prompt where that may be, and look at all of it. */
static void expect_same_future(struct feed *feed, const struct kind *kind, struct stream *a,
                               const struct stream *b, const char *when)
{
	static struct stream twin;
	const struct {
		size_t n;
		clkv_phase phase;
	} steps[] = {{1, CLKV_DECODE},
	             {kind->rows, CLKV_DECODE},
	             {kind->rows + 20, kind->moves ? CLKV_DECODE : CLKV_PROMPT_END},
	             {2, CLKV_DECODE}};
	stream_fork(feed, b, &twin);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct feed_result x, y;
		feed_one(feed, a, steps[i].n, steps[i].phase, SEED + 1 + i, &x);
		feed_one(feed, &twin, steps[i].n, steps[i].phase, SEED + 1 + i, &y);
		kind_same_outputs(feed, &x, &y, when);
		feed_result_close(&x);
		feed_result_close(&y);
	}
	kind_same_streams(kind, feed, a, feed, &twin, when);
	stream_close(&twin);
}

START_TEST(test_any_path_leads_to_the_same_bits)
{
	static struct stream direct, stream;
	const struct kind *kind = &kinds[_i];
	struct feed feed;
	kind_open(&feed, kind, fixture.context, fixture.queue);
	stream_open(&feed, &stream); /* code tables are made of what a cache seals first */
	feed_all(&feed, kind, &stream);
	stream_close(&stream);
	stream_open(&feed, &direct);
	feed_all(&feed, kind, &direct);
	for (size_t i = 0; i < PATHS; i++) {
		if (!promised(&paths[i], kind))
			continue;
		stream_open(&feed, &stream);
		paths[i].run(&feed, kind, &stream);
		kind_same_streams(kind, &feed, &stream, &feed, &direct, paths[i].name);
		expect_same_future(&feed, kind, &stream, &direct, paths[i].name);
		stream_close(&stream);
	}
	stream_close(&direct);
	clkv_stats stats = feed_stats(&feed);
	ck_assert_uint_eq(stats.used_sealed + stats.used_open + stats.used_host, 0);
	feed_close(&feed);
}
END_TEST

/* A block that a prompt's end left half empty is cut off: the next prompt's end leaves one again, as if there had been
 * none. What one has left beside a cut goes on counting. */
START_TEST(test_a_partial_block_that_is_cut_off)
{
	static const char *const recipes[] = {"kivi:bits=4 ; window=0", "q:k=4,v=4 ; window=0"};
	static const struct {
		size_t prompt, cut, sealed; /* tokens of 300 */
	} rows[] = {
		{150, 64, 300},  /* blocks of 64: 22 tokens lay in the last one */
		{150, 128, 300}, /* all of it goes */
		{150, 140, 268}, /* some of it stays: 140 and two more blocks */
		{128, 100,
	     292}, /* the cut leaves one, as a prompt of 100 tokens does: 100 and three more */
		{128, 64, 300},
	};
	static struct stream cut, plain;
	struct feed feed = {.geometry = feed_usual(1), .append_only = true};
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		stream_open(&feed, &cut);
		feed_one(&feed, &cut, rows[i].prompt, CLKV_PROMPT_END, SEED, NULL);
		truncate_to(&cut, rows[i].cut);
		feed_one(&feed, &cut, 300 - rows[i].cut, CLKV_PROMPT_END, SEED, NULL);
		ck_assert_uint_eq(stream_info(&cut).sealed, rows[i].sealed);
		stream_open(&feed, &plain);
		feed_one(&feed, &plain, rows[i].cut, CLKV_PROMPT_END, SEED, NULL);
		feed_one(&feed, &plain, 300 - rows[i].cut, CLKV_PROMPT_END, SEED, NULL);
		ck_assert_uint_eq(stream_info(&plain).sealed, rows[i].sealed);
		if (rows[i].cut % 64 ==
		    0) /* else codes differ: units of the cut block were of more tokens */
			kind_same_streams(&kinds[1], &feed, &cut, &feed, &plain, "cut");
		stream_close(&cut);
		stream_close(&plain);
	}
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("paths");
	TCase *all = fixture_case(suite, "kinds", 60), *cut = fixture_case(suite, "cut", 20);
	tcase_add_loop_test(all, test_any_path_leads_to_the_same_bits, 0, n_kinds);
	tcase_add_loop_test(cut, test_a_partial_block_that_is_cut_off, 0, 2);
	return fixture_run(suite);
}
