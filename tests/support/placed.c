/* SPDX-License-Identifier: MIT */
/** \file placed.c \brief Two caches, one with its blocks in host memory, take the same steps. */
#include "placed.h"

#include "bounds.h"
#include "expect.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct placed_case placed_cases[PLACED_CASES] = {
	{PLACED_CLUSTERS, "place:host,via=copy", PLACED_GENERAL, false},
	{PLACED_CLUSTERS, "place:host,via=copy,cached=192", PLACED_GENERAL ",skip=1", false},
	{"a2ats:recall=64,codes=32,every=128", "place:host,via=copy", PLACED_GENERAL ",block=32",
     false},
	{"pages:recall=64,every=128,gqa=group", "place:host,via=copy,cached=100", PLACED_GENERAL,
     false},
	{PLACED_CLUSTERS, "place:host,via=attend", PLACED_GENERAL, true},
	{"pages:recall=64,every=128", "place:host,via=attend", PLACED_GENERAL ",block=128,skip=1",
     true},
	{PLACED_CLUSTERS, "place:host,via=map", PLACED_GENERAL, false},
	{"topk:recall=64,every=128", "place:host,via=map", PLACED_GENERAL, false},
	{"kivi:bits=4", "place:host", PLACED_GENERAL, false},
	{"kvcomp", "place:host", PLACED_GENERAL, false},
	{"q:k=8,v=8 | " PLACED_CLUSTERS, "place", PLACED_GENERAL, false},
	{PLACED_CLUSTERS, "place:device", PLACED_GENERAL, false},
};

void placed_open(struct placed *p, clkv_context *context, cl_command_queue queue, int layers,
                 int which, const clkv_cache_options *options)
{
	char recipe[BOTH][256];
	snprintf(recipe[HERE], sizeof recipe[HERE], "%s%s", placed_cases[which].recall,
	         placed_cases[which].general);
	snprintf(recipe[THERE], sizeof recipe[THERE], "%s | %s%s", placed_cases[which].recall,
	         placed_cases[which].place, placed_cases[which].general);
	for (int i = 0; i < BOTH; i++) {
		clkv_geometry g = feed_usual(layers);
		g.softcap = p->feed[i].geometry.softcap;
		g.rope = p->feed[i].geometry.rope;
		p->feed[i].geometry = g;
		p->feed[i].lse = true;
		feed_open(&p->feed[i], context, queue, recipe[i], options);
	}
	p->limit = placed_cases[which].sums ? BOUND_REORDER : 0.0;
}

void placed_close(struct placed *p)
{
	for (int i = 0; i < BOTH; i++)
		feed_close(&p->feed[i]);
}

void placed_stream(struct placed *p, int s)
{
	for (int i = 0; i < BOTH; i++)
		stream_open(&p->feed[i], &p->stream[s][i]);
}

void placed_fork(struct placed *p, int from, int to)
{
	for (int i = 0; i < BOTH; i++)
		stream_fork(&p->feed[i], &p->stream[from][i], &p->stream[to][i]);
}

void placed_truncate(struct placed *p, int s, size_t n)
{
	clkv_error error;
	for (int i = 0; i < BOTH; i++) {
		feed_ok(clkv_seq_truncate(p->stream[s][i].seq, n, &error), &error, "truncate");
		p->stream[s][i].n = n;
	}
}

static void compare(const struct placed *p, struct feed_result result[BOTH])
{
	double d = expect_difference(&p->feed[HERE], &result[HERE], &result[THERE]);
	ck_assert_msg(d <= p->limit, "results differ by %g, allowed %g", d, p->limit);
}

void placed_step(struct placed *p, struct feed_item *items, size_t n)
{
	struct feed_result result[BOTH];
	for (int i = 0; i < BOTH; i++) {
		struct feed_item mine[FEED_ITEMS];
		for (size_t j = 0; j < n; j++) {
			mine[j] = items[j];
			mine[j].stream += i;
		}
		feed_step(&p->feed[i], mine, n, &result[i]);
	}
	compare(p, result);
	feed_result_close(&result[HERE]);
	feed_result_close(&result[THERE]);
}

void placed_one(struct placed *p, int s, size_t n, clkv_phase phase, uint64_t seed)
{
	struct feed_item item = {p->stream[s], n, phase, 0, seed};
	placed_step(p, &item, 1);
}

void placed_prompt(struct placed *p, int s, size_t n, uint64_t seed)
{
	for (; n > 300; n -= 300)
		placed_one(p, s, 300, CLKV_PROMPT, seed);
	placed_one(p, s, n, CLKV_PROMPT_END, seed);
}

void placed_decode(struct placed *p, int s, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		placed_one(p, s, 1, CLKV_DECODE, seed);
}

void placed_same_rows(const struct placed *p, int s)
{
	const struct stream *a = &p->stream[s][HERE], *b = &p->stream[s][THERE];
	size_t n = a->n * PLACED_STREAMS * 64;
	double *rows = calloc(4 * n + 1, sizeof *rows);
	ck_assert_ptr_nonnull(rows);
	ck_assert_uint_eq(stream_info(a).sealed, stream_info(b).sealed);
	for (int l = 0; l < p->feed[HERE].geometry.layers; l++) {
		feed_read(&p->feed[HERE], a, l, 0, a->n, rows, rows + n);
		feed_read(&p->feed[THERE], b, l, 0, a->n, rows + 2 * n, rows + 3 * n);
		ck_assert_int_eq(memcmp(rows, rows + 2 * n, 2 * n * sizeof *rows), 0);
	}
	/* not only from the beginning */
	size_t from = a->n / 3, some = a->n / 2;
	feed_read(&p->feed[THERE], b, p->feed[HERE].geometry.layers - 1, from, some, rows, NULL);
	ck_assert_int_eq(memcmp(rows, rows + 2 * n + from * PLACED_STREAMS * 64,
	                        some * PLACED_STREAMS * 64 * sizeof *rows),
	                 0);
	free(rows);
}
