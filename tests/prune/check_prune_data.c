/* SPDX-License-Identifier: MIT */
/**
 * \file    check_prune_data.c
 * \brief   Pruned channels on keys, values and queries of a real model: errors, bytes, what beats what.
 *
 * A prompt's end sees the newest 32 of the 64 queries; all but 32 tokens are sealed.
 */
#include "support/each.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/real.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define OBSERVED 32
#define WINDOW 32
#define SEALED (REAL_TOKENS - WINDOW)

struct run {
	struct feed feed;
	struct stream stream;
};

/* asked: the last rows attend, so that their queries are seen. */
static void run_open(struct run *r, const char *recipe, bool asked)
{
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	room.max_tokens = room.max_step_tokens = REAL_TOKENS;
	r->feed = (struct feed){.geometry = real_geometry(), .value = real_value};
	feed_open(&r->feed, fixture.context, fixture.queue, recipe, &room);
	stream_open(&r->feed, &r->stream);
	r->feed.append_only = true;
	feed_one(&r->feed, &r->stream, REAL_TOKENS - REAL_QUERIES, CLKV_PROMPT, 0, NULL);
	r->feed.append_only = !asked;
	feed_one(&r->feed, &r->stream, REAL_QUERIES, CLKV_PROMPT_END, 0, NULL);
	ck_assert_uint_eq(stream_info(&r->stream).sealed, SEALED);
}

static void run_close(struct run *r)
{
	stream_close(&r->stream);
	feed_close(&r->feed);
}

/* ---------------------------------------------------------------- the table ---- */

/* Of an independent implementation of the same definitions. more: bytes that each of our blocks has and that it counts
 * once, or not at all: the mask of channels; what a channel's fill is divided by. */
static const struct {
	const char *recipe;
	double bytes, error[2], more;
} rows[] = {
	{"think:keep=0.5,qagg=norm,align=2", 1746.1, {0.12386, 0.11280}, REAL_DIM / 8},
	{"think:keep=0.75,qagg=norm,align=2", 2025.1, {0.06320, 0.05171}, REAL_DIM / 8},
	{"spark:keep=0.5,recover=zero,saliency=abs,qagg=abs", 1815.8, {0.05273, 0.04866}, 0},
	{"spark:keep=0.5,recover=signmag,saliency=abs,qagg=abs", 1868.1, {0.02741, 0.02551}, 0},
	{"spark:keep=0.5,recover=mean,saliency=abs,qagg=abs", 1868.1, {0.02373, 0.02072}, 2 * REAL_DIM},
	{"spark:keep=0.2,recover=zero,saliency=abs,qagg=abs", 1484.4, {0.15481, 0.14771}, 0},
	{"spark:keep=0.2,recover=mean,saliency=abs,qagg=abs", 1557.5, {0.08080, 0.07695}, 2 * REAL_DIM},
};
#define ROWS (sizeof rows / sizeof rows[0])

/* Errors within 1 %. Of bytes a block has two paddings more, to 16 and to 64; the last one, half empty, counts for its
 * half. The table has one decimal, and a mask. */
START_TEST(test_errors_and_bytes_are_those_of_the_table)
{
	static struct run r;
	char recipe[128];
	snprintf(recipe, sizeof recipe, "%s ; window=32", rows[_i].recipe);
	for (int text = 0; text < REAL_TEXTS; text++) {
		real_open(text);
		run_open(&r, recipe, true);
		double blocks = (SEALED + 63) / 64, lists = REAL_LAYERS * REAL_STREAMS, n = SEALED / 64.0;
		double block = (double)feed_stats(&r.feed).used_sealed / (blocks * lists);
		double bytes = lists * (n * block + WINDOW * 4.0 * REAL_DIM) / REAL_TOKENS;
		double want = rows[_i].bytes + lists * n * rows[_i].more / REAL_TOKENS;
		double most = 0.06 + lists * n * (15 + 63) / REAL_TOKENS;
		ck_assert_msg(bytes >= want - 0.2 && bytes <= want + most,
		              "%s: %.1f bytes per token instead of %.1f", recipe, bytes, want);
		real_expect(recipe, text, real_error(&r.feed, &r.stream, REAL_PROMPT), rows[_i].error[text],
		            0.01);
		run_close(&r);
		real_close();
	}
}
END_TEST

/* ---------------------------------------------------------------- logits ---- */

/* Mean square of what the logits of the newest queries over sealed tokens lose to (K - k), k [layer][token][head][REAL_DIM]. */
static double loss_of(const double *k)
{
	double sum = 0.0;
	for (size_t layer = 0; layer < REAL_LAYERS; layer++)
		for (size_t head = 0; head < REAL_HEADS; head++) {
			size_t stream = head / (REAL_HEADS / REAL_STREAMS);
			const double *given =
				real.k.values + (layer * REAL_STREAMS + stream) * REAL_TOKENS * REAL_DIM;
			const double *q =
				real.q.values +
				((layer * REAL_HEADS + head) * REAL_QUERIES + REAL_QUERIES - OBSERVED) * REAL_DIM;
			for (size_t t = 0; t < SEALED; t++) {
				const double *got = k + ((layer * SEALED + t) * REAL_STREAMS + stream) * REAL_DIM;
				double lost[REAL_DIM];
				for (size_t d = 0; d < REAL_DIM; d++)
					lost[d] = given[t * REAL_DIM + d] - got[d];
				for (size_t i = 0; i < OBSERVED; i++) {
					double logit = 0.0;
					for (size_t d = 0; d < REAL_DIM; d++)
						logit += q[i * REAL_DIM + d] * lost[d];
					sum += logit * logit / REAL_DIM;
				}
			}
		}
	return sum / (REAL_LAYERS * REAL_HEADS * SEALED * OBSERVED);
}

static double *new_k(void)
{
	double *k = calloc((size_t)REAL_LAYERS * SEALED * REAL_STREAMS * REAL_DIM, sizeof *k);
	ck_assert_ptr_nonnull(k);
	return k;
}

static double logit_loss(const char *recipe, bool asked)
{
	static struct run r;
	double *k = new_k(), loss;
	run_open(&r, recipe, asked);
	for (int layer = 0; layer < REAL_LAYERS; layer++)
		feed_read(&r.feed, &r.stream, layer, 0, SEALED,
		          k + (size_t)layer * SEALED * REAL_STREAMS * REAL_DIM, NULL);
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
	for (int text = 0; text < REAL_TEXTS; text++) {
		double last = 0.0;
		real_open(text);
		for (size_t i = 0; i < 5; i++) {
			double loss = logit_loss(recipes[_i][i], true);
			ck_assert_msg(loss > last, "%s on %s: %g, and the one before it %g", recipes[_i][i],
			              real_texts[text], loss, last);
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
	for (int text = 0; text < REAL_TEXTS; text++) {
		real_open(text);
		run_open(&r, cases[_i].recipe, true);
		double error = real_error(&r.feed, &r.stream, REAL_PROMPT),
			   table = rows[cases[_i].row].error[text];
		ck_assert_msg(error < table, "%s on %s: %.5f, the table %.5f", cases[_i].recipe,
		              real_texts[text], error, table);
		run_close(&r);
		real_close();
	}
}
END_TEST

/* The loss of n channels chosen by chance, the same for all tokens of a stream. */
static double random_loss(size_t n, uint64_t seed)
{
	double *k = new_k(), loss;
	for (size_t list = 0; list < (size_t)REAL_LAYERS * REAL_STREAMS; list++) {
		bool kept[REAL_DIM] = {false};
		uint64_t state = random_mix(seed, list);
		for (size_t chosen = 0; chosen < n;) {
			size_t d = random_below(random_next(&state), REAL_DIM);
			chosen += !kept[d];
			kept[d] = true;
		}
		size_t layer = list / REAL_STREAMS, stream = list % REAL_STREAMS;
		for (size_t t = 0; t < SEALED; t++)
			for (size_t d = 0; d < REAL_DIM; d++)
				k[((layer * SEALED + t) * REAL_STREAMS + stream) * REAL_DIM + d] =
					kept[d] ? real.k.values[(list * REAL_TOKENS + t) * REAL_DIM + d] : 0.0;
	}
	loss = loss_of(k);
	free(k);
	return loss;
}

/* ThinK P7: masks of queries and keys lose less than those of keys alone, and these and all random ones more. */
START_TEST(test_think_p7_beats_norms_and_chance)
{
	for (int text = 0; text < REAL_TEXTS; text++) {
		real_open(text);
		double own = logit_loss("think:keep=0.5 ; window=32", true);
		double norms = logit_loss("think:keep=0.5 ; window=32", false);
		ck_assert_msg(own < norms, "on %s: %g, by norms %g", real_texts[text], own, norms);
		for (uint64_t seed = 0; seed < 8; seed++) {
			double chance = random_loss(32, seed);
			ck_assert_msg(own < chance, "on %s: %g, by chance %g", real_texts[text], own, chance);
		}
		real_close();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune data");
	TCase *table = fixture_case(suite, "table", 120), *logits = fixture_case(suite, "logits", 120);
	fixture_some(table, test_errors_and_bytes_are_those_of_the_table, ROWS, 0, 3, 6);
	tcase_add_loop_test(table, test_the_default_beats_the_table, 0, 2);
	tcase_add_loop_test(logits, test_p6_what_beats_what, 0, 2);
	tcase_add_test(logits, test_think_p7_beats_norms_and_chance);
	return real_run(suite);
}
