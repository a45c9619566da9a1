/* SPDX-License-Identifier: MIT */
/** \file life.c \brief The life that sequences are led. */
#include "life.h"

#include "expect.h"
#include "memory_file.h"

#include <check.h>
#include <string.h>

struct feed *life_feed(struct life *l, enum life_stream s)
{
	return s == LIFE_LOADED ? &l->other : &l->feed;
}

static void kept(struct life *l, enum life_stream s, size_t n, clkv_phase phase)
{
	if (l->block > 0) {
		ref_seal_commit(&l->seal[s], n, (enum ref_phase)phase);
		ck_assert_uint_eq(stream_info(&l->streams[s]).sealed, ref_seal_sealed(&l->seal[s]));
	}
	if (l->stepped)
		l->stepped(l, s, n, phase);
}

static void step(struct life *l, enum life_stream s, size_t n, clkv_phase phase, uint64_t seed)
{
	feed_one(life_feed(l, s), &l->streams[s], n, phase, seed, NULL);
	kept(l, s, n, phase);
}

/* A step that seals none of its own rows, so that all it attends to can be read behind it. */
static void look(struct life *l, enum life_stream s, size_t n, clkv_phase phase, uint64_t seed)
{
	if (l->limit == 0.0) {
		step(l, s, n, phase, seed);
		return;
	}
	expect_rows(life_feed(l, s), &l->streams[s], n, phase, seed, EXPECT_DECODED, l->limit);
	kept(l, s, n, phase);
}

static void check(struct life *l, enum life_stream s)
{
	if (l->check)
		l->check(l, s);
}

static void copied(struct life *l, enum life_stream from, enum life_stream to)
{
	l->seal[to] = l->seal[from];
	if (l->copied)
		l->copied(l, from, to);
}

static void prompt(struct life *l)
{
	stream_open(&l->feed, &l->streams[LIFE_A]);
	step(l, LIFE_A, 130, CLKV_PROMPT, 1);
	step(l, LIFE_A, 81, CLKV_PROMPT_END, 2);
	check(l, LIFE_A);
	look(l, LIFE_A, 1, CLKV_DECODE, 3);
	look(l, LIFE_A, 26, CLKV_PROMPT, 4);
	step(l, LIFE_A, 15, CLKV_DECODE, 5);
}

/* A block of 64 is full 22 rows behind the fork: of the newest 32 queries 7 are those that both have asked. A third
 * sequence asks other things meanwhile, and goes. */
static void fork_and_grow(struct life *l)
{
	static struct stream gone;
	struct stream *a = &l->streams[LIFE_A], *b = &l->streams[LIFE_B];
	stream_fork(&l->feed, a, b);
	copied(l, LIFE_A, LIFE_B);
	stream_fork(&l->feed, a, &gone);
	step(l, LIFE_A, 25, CLKV_DECODE, 6);
	step(l, LIFE_B, 25, CLKV_DECODE, 7);
	feed_one(&l->feed, &gone, 10, CLKV_DECODE, 8, NULL);
	stream_close(&gone);
	struct feed_item both[] = {{.stream = a, .n = 106, .phase = CLKV_DECODE, .seed = 9},
	                           {.stream = b, .n = 106, .phase = CLKV_DECODE, .seed = 10}};
	feed_step(&l->feed, both, 2, NULL);
	kept(l, LIFE_A, 106, CLKV_DECODE);
	kept(l, LIFE_B, 106, CLKV_DECODE);
	check(l, LIFE_A);
	check(l, LIFE_B);
	look(l, LIFE_B, 1, CLKV_DECODE, 11);
}

/* Queries behind the cut, and those that they overwrote, count no more. */
static void cut_and_grow(struct life *l)
{
	struct stream *a = &l->streams[LIFE_A];
	clkv_error error;
	feed_ok(clkv_seq_truncate(a->seq, 100, &error), &error, "clkv_seq_truncate");
	a->n = 100;
	ref_seal_cut(&l->seal[LIFE_A], 100);
	if (l->cut)
		l->cut(l, LIFE_A, 100);
	check(l, LIFE_A);
	look(l, LIFE_A, 3, CLKV_DECODE, 12);
	step(l, LIFE_A, 7, CLKV_DECODE, 13);
	step(l, LIFE_A, 130, CLKV_DECODE, 14);
	check(l, LIFE_A);
	check(l, LIFE_B);
	look(l, LIFE_A, 1, CLKV_DECODE, 15);
}

/* A file has the newest queries: the block of 64 that the next 20 rows fill is judged by theirs and by 12 from before. */
static void save_and_load(struct life *l)
{
	struct memory_file file = {0};
	memory_save(&l->feed, &l->streams[LIFE_B], NULL, &file);
	memory_load(&l->other, &file, &l->streams[LIFE_B], &l->streams[LIFE_LOADED]);
	memory_close(&file);
	expect_same_cache(&l->feed, &l->streams[LIFE_B], &l->streams[LIFE_LOADED]);
	copied(l, LIFE_B, LIFE_LOADED);
	check(l, LIFE_LOADED);
	step(l, LIFE_LOADED, 20, CLKV_DECODE, 16);
	step(l, LIFE_LOADED, 100, CLKV_DECODE, 17);
	check(l, LIFE_LOADED);
	look(l, LIFE_LOADED, 1, CLKV_DECODE, 18);
}

static void short_prompt(struct life *l)
{
	stream_open(&l->feed, &l->streams[LIFE_SMALL]);
	step(l, LIFE_SMALL, 25, CLKV_PROMPT_END, 19);
	check(l, LIFE_SMALL);
	look(l, LIFE_SMALL, 1, CLKV_DECODE, 20);
	look(l, LIFE_SMALL, 20, CLKV_PROMPT, 21);
}

void life_lead(struct life *l, clkv_context *context, cl_command_queue queue, const char *recipe)
{
	l->other = l->feed;
	feed_open(&l->feed, context, queue, recipe, NULL);
	feed_open(&l->other, context, queue, recipe, NULL);
	for (int s = 0; s < LIFE_STREAMS; s++)
		ref_seal_open(&l->seal[s], l->window, 0, l->block, true);
	prompt(l);
	fork_and_grow(l);
	cut_and_grow(l);
	save_and_load(l);
	short_prompt(l);
	ck_assert(feed_figure(&l->feed, "kvcomp.values_broken") == 0);
	ck_assert((feed_figure(&l->feed, "kvcomp.values_checked") > 0) ==
	          (strstr(recipe, "verify=1") != NULL));
}

void life_close(struct life *l)
{
	feed_close(&l->feed);
	feed_close(&l->other);
}
