/* SPDX-License-Identifier: MIT */
/**
 * \file    check_prune_group.c
 * \brief   SparK's classes: each token keeps 1, 3, 5, 7 or 9 tenths of its channels, as many as it needs.
 */
#include "ref/ref_half.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/life.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of K: as many channels of ordinary size as the row's number says, the others a thousandth of it. */
static double concentrated(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	static const size_t many[] = {4, 16, 30, 44, 64};
	double x = feed_normal(row, layer, side, head, d);
	x += x < 0.0 ? -0.01 : 0.01; /* none is zero in half */
	return side == FEED_K && (d * 7 + row) % 64 >= many[row % 5] ? x * 0.001 : x;
}

static int descending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return x < y ? 1 : x > y ? -1 : 0;
}

/* The class of a row by its magnitudes, and whether a sum is so near 0.99 that rounding (64 times 2^-24) may decide. */
static size_t class_of(const double *k, size_t dk, bool *near)
{
	double w[256], all = 0.0, sum = 0.0;
	size_t class = dk * 9 / 10;
	for (size_t d = 0; d < dk; d++) {
		w[d] = fabs(k[d]);
		all += w[d];
	}
	qsort(w, dk, sizeof *w, descending);
	*near = false;
	for (size_t i = 0, fifth = 1; i < dk && fifth < 5; i++) {
		sum += w[i];
		if (i != dk * fifth / 5)
			continue;
		*near = *near || fabs(sum / all - 0.99) < 1e-5;
		if (sum > 0.99 * all)
			return dk * (2 * fifth - 1) / 10;
		fifth++;
	}
	return class;
}

/* How many channels of the row come before d: larger ones, and equal ones of a lower number. */
static size_t place_of(const double *k, size_t dk, size_t d)
{
	size_t n = 0;
	for (size_t i = 0; i < dk; i++)
		n += fabs(k[i]) > fabs(k[d]) || (fabs(k[i]) == fabs(k[d]) && i < d);
	return n;
}

/* Channels that a sealed row keeps, with recover=zero: those that don't read as 0; they are its largest, unchanged. */
static size_t check_row(const double *given, const double *k, size_t dk, size_t seen[5])
{
	size_t kept = 0;
	bool near;
	for (size_t d = 0; d < dk; d++)
		kept += k[d] != 0.0;
	size_t want = class_of(given, dk, &near);
	EACH_MSG(near || kept == want, "%zu channels are kept instead of %zu", kept, want);
	for (size_t d = 0; d < dk; d++) {
		double wanted = place_of(given, dk, d) < kept ? given[d] : 0.0;
		EACH_MSG(k[d] == wanted, "channel %zu is %.9g instead of %.9g", d, k[d], wanted);
	}
	for (size_t i = 0; i < 5; i++)
		seen[i] += kept == dk * (2 * i + 1) / 10;
	return kept;
}

/* Nothing is attended: all strengths are 1, and magnitudes alone decide. Pages have the bytes of what they hold. */
START_TEST(test_each_token_keeps_as_many_as_it_needs)
{
	static struct stream s;
	struct feed feed = {.append_only = true, .value = concentrated};
	feed.geometry = feed_geometry(2, 6, 2, _i ? 80 : 64, 64);
	size_t dk = (size_t)feed.geometry.head_dim_k, n = 150, heads = 2, seen[5] = {0};
	double *k = calloc(n * heads * dk, sizeof *k), *given = calloc(n * heads * dk, sizeof *given);
	double units = 0.0;
	ck_assert(k && given);
	feed_open(&feed, fixture.context, fixture.queue,
	          "spark:mode=group,recover=zero,saliency=abs ; window=0", NULL);
	stream_open(&feed, &s);
	feed_one(&feed, &s, n, CLKV_PROMPT_END, 1, NULL);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &s, layer, 0, n, k, NULL);
		feed_rows(&feed, layer, FEED_K, s.row, n, given);
		for (size_t head = 0; head < heads; head++)
			for (size_t block = 0; block < 3; block++) {
				size_t values = 0;
				for (size_t t = block * 64; t < block * 64 + 64; t++) {
					size_t at = (t * heads + head) * dk;
					for (size_t d = 0; t < n && d < dk; d++)
						given[at + d] = ref_half(given[at + d]);
					/* a token that isn't there keeps the least */
					values += t < n ? check_row(given + at, k + at, dk, seen) : dk / 10;
				}
				units += ceil(((double)dk * 8 + 64 * 64 * 2 + 2.0 * (double)values) / 64);
			}
	}
	for (size_t i = 0; i < 5; i++)
		ck_assert_msg(seen[i] > 20, "class %zu has %zu tokens: the rows don't show it", i, seen[i]);
	ck_assert_double_eq((double)feed_stats(&feed).used_sealed, units * 64);
	stream_close(&s);
	feed_close(&feed);
	free(k);
	free(given);
}
END_TEST

/* Attention over what was sealed is that over what is read, within 1e-5 as for other halves; where V is in codes, sums of
 * 64 codes times weights in single precision. */
START_TEST(test_classes_are_attended_cut_and_saved)
{
	static const struct {
		const char *recipe;
		size_t window;
		double limit;
	} rows[] = {{"spark:mode=group ; window=0", 0, 1e-5},
	            {"spark:mode=group | q:k=16,v=8 ; window=30", 30, 1e-4}};
	static struct life l;
	l = (struct life){.feed = {.geometry = feed_usual(2), .lse = true, .value = concentrated},
	                  .window = rows[_i].window,
	                  .block = 64,
	                  .limit = rows[_i].limit};
	life_lead(&l, fixture.context, fixture.queue, rows[_i].recipe);
	life_close(&l);
}
END_TEST

START_TEST(test_what_classes_cant_do_is_named)
{
	static const struct {
		const char *recipe, *words[2];
	} refused[] = {
		{"spark:mode=group | kivi", {"mode=group", "q:k=16"}},
		{"spark:mode=group | kvcomp", {"mode=group", "mode=ratio"}},
		{"spark:mode=group | q:k=8,v=8", {"mode=group", "q:k=16"}},
		{"spark:mode=group,keep=0.5/0.4", {"'keep' is a list", "mode=ratio"}},
		{"spark:mode=top", {"mode", "ratio|group"}},
	};
	clkv_geometry g = feed_usual(2);
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		expect_refused(fixture.context, &g, refused[i].recipe, refused[i].words, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune_group");
	TCase *tcase = fixture_case(suite, "classes", 60);
	tcase_add_loop_test(tcase, test_each_token_keeps_as_many_as_it_needs, 0, 2);
	tcase_add_loop_test(tcase, test_classes_are_attended_cut_and_saved, 0, 2);
	tcase_add_test(tcase, test_what_classes_cant_do_is_named);
	return fixture_run_shared(suite);
}
