/* SPDX-License-Identifier: MIT */
/**
 * \file    check_prune_data.c
 * \brief   Pruned channels on keys, values and queries of a real model: errors, bytes, what beats what.
 *
 * 1,024 tokens of two texts, 3 layers, 9 query heads on 3 key heads of 64 channels. The last 64 rows have
 * queries, of which a prompt's end sees the newest 32; all but 32 tokens are sealed. Then the sequence is
 * cut back by 8 tokens, which come again as rows of a step whose queries attend causally.
 */
#include "ref/ref_attend.h"
#include "support/data.h"
#include "support/each.h"
#include "support/feed.h"
#include "support/fixture.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS 3
#define HEADS 9
#define STREAMS 3
#define DIM 64
#define TOKENS 1024
#define ASKED 8 /* queries with an expected output */
#define QUERIES 64
#define OBSERVED 32
#define WINDOW 32
#define SEALED (TOKENS - WINDOW)

static const char *const texts[] = {"essay", "gpl3"};

static struct {
	struct npy k, v, q, out;
	struct {
		uint64_t row;
		size_t token;
	} rows[TOKENS]; /* sorted by row */
} real;

static int by_row(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void real_open(const char *text)
{
	data_read(text, "k", &real.k);
	data_read(text, "v", &real.v);
	data_read(text, "q", &real.q);
	data_read(text, "out", &real.out);
	ck_assert_uint_eq(real.k.n, (size_t)LAYERS * STREAMS * TOKENS * DIM);
	ck_assert_uint_eq(real.q.n, (size_t)LAYERS * HEADS * QUERIES * DIM);
	ck_assert_uint_eq(real.out.n, (size_t)LAYERS * HEADS * ASKED * DIM);
	for (size_t i = 0; i < TOKENS; i++) {
		real.rows[i].row = random_mix(0, i);
		real.rows[i].token = i;
	}
	qsort(real.rows, TOKENS, sizeof *real.rows, by_row);
}

static void real_close(void)
{
	free(real.k.values);
	free(real.v.values);
	free(real.q.values);
	free(real.out.values);
}

static double value_of(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	static size_t last; /* rows are asked for value by value */
	if (real.rows[last].row != row) {
		const void *found = bsearch(&row, real.rows, TOKENS, sizeof *real.rows, by_row);
		ck_assert_ptr_nonnull(found);
		last = ((size_t)((const char *)found - (const char *)real.rows)) / sizeof *real.rows;
	}
	size_t l = (size_t)layer, token = real.rows[last].token;
	if (side == FEED_Q)
		return real.q.values[((l * HEADS + head) * QUERIES + token - (TOKENS - QUERIES)) * DIM + d];
	const struct npy *file = side == FEED_K ? &real.k : &real.v;
	return file->values[((l * STREAMS + head) * TOKENS + token) * DIM + d];
}

struct run {
	struct feed feed;
	struct stream stream;
};

/* asked: the last rows attend, so that their queries are seen. */
static void run_open(struct run *r, const char *recipe, bool asked)
{
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	room.max_tokens = room.max_step_tokens = TOKENS;
	r->feed = (struct feed){.geometry = feed_geometry(LAYERS, HEADS, STREAMS, DIM, DIM)};
	r->feed.value = value_of;
	feed_open(&r->feed, fixture.context, fixture.queue, recipe, &room);
	stream_open(&r->feed, &r->stream);
	r->feed.append_only = true;
	feed_one(&r->feed, &r->stream, TOKENS - QUERIES, CLKV_PROMPT, 0, NULL);
	r->feed.append_only = !asked;
	feed_one(&r->feed, &r->stream, QUERIES, CLKV_PROMPT_END, 0, NULL);
	ck_assert_uint_eq(stream_info(&r->stream).sealed, SEALED);
}

static void run_close(struct run *r)
{
	stream_close(&r->stream);
	feed_close(&r->feed);
}

/* ---------------------------------------------------------------- the table ---- */

/* Mean over layers, heads and queries of ||o - exact|| / ||exact||. */
static double error_of(struct run *r)
{
	struct feed_result result;
	clkv_error error;
	double sum = 0.0;
	feed_ok(clkv_seq_truncate(r->stream.seq, TOKENS - ASKED, &error), &error, "truncate");
	r->stream.n = TOKENS - ASKED;
	feed_one(&r->feed, &r->stream, ASKED, CLKV_DECODE, 0, &result);
	for (size_t layer = 0; layer < LAYERS; layer++)
		for (size_t i = 0; i < ASKED; i++)
			for (size_t h = 0; h < HEADS; h++)
				sum += ref_relative_error(result.out + ((layer * ASKED + i) * HEADS + h) * DIM,
				                          real.out.values + ((layer * HEADS + h) * ASKED + i) * DIM,
				                          DIM);
	feed_result_close(&result);
	return sum / (LAYERS * ASKED * HEADS);
}

/* Of an independent implementation of the same definitions. more: bytes that each of our blocks has and that it counts
 * once, or not at all: the mask of channels; what a channel's fill is divided by. */
static const struct {
	const char *recipe;
	double bytes, error[2], more;
} rows[] = {
	{"think:keep=0.5,qagg=norm,align=2", 1746.1, {0.12386, 0.11280}, DIM / 8},
	{"think:keep=0.75,qagg=norm,align=2", 2025.1, {0.06320, 0.05171}, DIM / 8},
	{"spark:keep=0.5,recover=zero,saliency=abs,qagg=abs", 1815.8, {0.05273, 0.04866}, 0},
	{"spark:keep=0.5,recover=signmag,saliency=abs,qagg=abs", 1868.1, {0.02741, 0.02551}, 0},
	{"spark:keep=0.5,recover=mean,saliency=abs,qagg=abs", 1868.1, {0.02373, 0.02072}, 2 * DIM},
	{"spark:keep=0.2,recover=zero,saliency=abs,qagg=abs", 1484.4, {0.15481, 0.14771}, 0},
	{"spark:keep=0.2,recover=mean,saliency=abs,qagg=abs", 1557.5, {0.08080, 0.07695}, 2 * DIM},
};
#define ROWS (sizeof rows / sizeof rows[0])

/* Errors within 1 %. Of bytes a block has two paddings more, to 16 and to 64; the last one, half empty, counts for its
 * half. The table has one decimal, and a mask. */
START_TEST(test_errors_and_bytes_are_those_of_the_table)
{
	static struct run r;
	char recipe[128];
	snprintf(recipe, sizeof recipe, "%s ; window=32", rows[_i].recipe);
	for (size_t text = 0; text < 2; text++) {
		real_open(texts[text]);
		run_open(&r, recipe, true);
		double blocks = (SEALED + 63) / 64, lists = LAYERS * STREAMS, n = SEALED / 64.0;
		double block = (double)feed_stats(&r.feed).used_sealed / (blocks * lists);
		double bytes = lists * (n * block + WINDOW * 4.0 * DIM) / TOKENS;
		double want = rows[_i].bytes + lists * n * rows[_i].more / TOKENS;
		double most = 0.06 + lists * n * (15 + 63) / TOKENS;
		ck_assert_msg(bytes >= want - 0.2 && bytes <= want + most,
		              "%s: %.1f bytes per token instead of %.1f", recipe, bytes, want);
		double error = error_of(&r), expected = rows[_i].error[text];
		ck_assert_msg(fabs(error - expected) <= 0.01 * expected,
		              "%s on %s: error %.5f instead of %.5f", recipe, texts[text], error, expected);
		run_close(&r);
		real_close();
	}
}
END_TEST

/* ---------------------------------------------------------------- logits ---- */

/* Mean square of what the logits of the newest queries over sealed tokens lose to (K - k), k [layer][token][head][DIM]. */
static double loss_of(const double *k)
{
	double sum = 0.0;
	for (size_t layer = 0; layer < LAYERS; layer++)
		for (size_t head = 0; head < HEADS; head++) {
			size_t stream = head / (HEADS / STREAMS);
			const double *given = real.k.values + (layer * STREAMS + stream) * TOKENS * DIM;
			const double *q =
				real.q.values + ((layer * HEADS + head) * QUERIES + QUERIES - OBSERVED) * DIM;
			for (size_t t = 0; t < SEALED; t++) {
				const double *got = k + ((layer * SEALED + t) * STREAMS + stream) * DIM;
				double lost[DIM];
				for (size_t d = 0; d < DIM; d++)
					lost[d] = given[t * DIM + d] - got[d];
				for (size_t i = 0; i < OBSERVED; i++) {
					double logit = 0.0;
					for (size_t d = 0; d < DIM; d++)
						logit += q[i * DIM + d] * lost[d];
					sum += logit * logit / DIM;
				}
			}
		}
	return sum / (LAYERS * HEADS * SEALED * OBSERVED);
}

static double *new_k(void)
{
	double *k = calloc((size_t)LAYERS * SEALED * STREAMS * DIM, sizeof *k);
	ck_assert_ptr_nonnull(k);
	return k;
}

static double logit_loss(const char *recipe, bool asked)
{
	static struct run r;
	double *k = new_k(), loss;
	run_open(&r, recipe, asked);
	for (int layer = 0; layer < LAYERS; layer++)
		feed_read(&r.feed, &r.stream, layer, 0, SEALED, k + (size_t)layer * SEALED * STREAMS * DIM,
		          NULL);
	run_close(&r);
	loss = loss_of(k);
	free(k);
	return loss;
}

/* SparK P6: a fill that knows more is nearer; a token's own channels are better than the same for all, which may
 * even be one more here; the default is better than the rows of the table. */
START_TEST(test_p6_what_beats_what)
{
	static const char *const recipes[2][5] = {
		{"spark:keep=0.5 ; window=32",
	     "spark:keep=0.5,recover=mean,saliency=abs,qagg=abs ; window=32",
	     "spark:keep=0.5,recover=const,saliency=abs,qagg=abs ; window=32",
	     "spark:keep=0.5,recover=zero,saliency=abs,qagg=abs ; window=32",
	     "think:keep=0.5,qagg=norm,align=2 ; window=32"},
		{"spark:keep=0.2 ; window=32",
	     "spark:keep=0.2,recover=mean,saliency=abs,qagg=abs ; window=32",
	     "spark:keep=0.2,recover=const,saliency=abs,qagg=abs ; window=32",
	     "spark:keep=0.2,recover=zero,saliency=abs,qagg=abs ; window=32",
	     "think:keep=0.2,qagg=norm,align=2 ; window=32"},
	};
	for (size_t text = 0; text < 2; text++) {
		double last = 0.0;
		real_open(texts[text]);
		for (size_t i = 0; i < 5; i++) {
			double loss = logit_loss(recipes[_i][i], true);
			ck_assert_msg(loss > last, "%s on %s: %g, and the one before it %g", recipes[_i][i],
			              texts[text], loss, last);
			last = loss;
		}
		real_close();
	}
}
END_TEST

/* The default's attention is nearer, too: less error than the best row of the table at the same number of channels. */
START_TEST(test_the_default_beats_the_table)
{
	static const struct {
		const char *recipe;
		size_t row;
	} cases[] = {{"spark:keep=0.5 ; window=32", 4}, {"spark:keep=0.2 ; window=32", 6}};
	static struct run r;
	for (size_t text = 0; text < 2; text++) {
		real_open(texts[text]);
		run_open(&r, cases[_i].recipe, true);
		double error = error_of(&r), table = rows[cases[_i].row].error[text];
		ck_assert_msg(error < table, "%s on %s: %.5f, the table %.5f", cases[_i].recipe,
		              texts[text], error, table);
		run_close(&r);
		real_close();
	}
}
END_TEST

/* The loss of n channels chosen by chance, the same for all tokens of a stream. */
static double random_loss(size_t n, uint64_t seed)
{
	double *k = new_k(), loss;
	for (size_t list = 0; list < (size_t)LAYERS * STREAMS; list++) {
		bool kept[DIM] = {false};
		uint64_t state = random_mix(seed, list);
		for (size_t chosen = 0; chosen < n;) {
			size_t d = random_below(random_next(&state), DIM);
			chosen += !kept[d];
			kept[d] = true;
		}
		size_t layer = list / STREAMS, stream = list % STREAMS;
		for (size_t t = 0; t < SEALED; t++)
			for (size_t d = 0; d < DIM; d++)
				k[((layer * SEALED + t) * STREAMS + stream) * DIM + d] =
					kept[d] ? real.k.values[(list * TOKENS + t) * DIM + d] : 0.0;
	}
	loss = loss_of(k);
	free(k);
	return loss;
}

/* ThinK P7: masks of queries and keys lose less than those of keys alone, and these and all random ones more. */
START_TEST(test_think_p7_beats_norms_and_chance)
{
	for (size_t text = 0; text < 2; text++) {
		real_open(texts[text]);
		double own = logit_loss("think:keep=0.5 ; window=32", true);
		double norms = logit_loss("think:keep=0.5 ; window=32", false);
		ck_assert_msg(own < norms, "on %s: %g, by norms %g", texts[text], own, norms);
		for (uint64_t seed = 0; seed < 8; seed++) {
			double chance = random_loss(32, seed);
			ck_assert_msg(own < chance, "on %s: %g, by chance %g", texts[text], own, chance);
		}
		real_close();
	}
}
END_TEST

int main(void)
{
	if (!data_directory()) {
		fprintf(stderr, "SKIPPED: no real data; CLKV_TEST_DATA names its directory\n");
		return 77;
	}
	Suite *suite = suite_create("prune data");
	TCase *table = fixture_case(suite, "table", 120), *logits = fixture_case(suite, "logits", 120);
	tcase_add_loop_test(table, test_errors_and_bytes_are_those_of_the_table, 0, ROWS);
	tcase_add_loop_test(table, test_the_default_beats_the_table, 0, 2);
	tcase_add_loop_test(logits, test_p6_what_beats_what, 0, 2);
	tcase_add_test(logits, test_think_p7_beats_norms_and_chance);
	return fixture_run_shared(suite);
}
