/* SPDX-License-Identifier: MIT */
/**
 * \file    check_prune_draws.c
 * \brief   SparK P9: recovery by draws: the same in every form, after forks and files; their distribution.
 */
#include "ref/ref_half.h"
#include "ref/ref_prune.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/memory_file.h"
#include "support/pruned.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pruned_row draws[] = {
	{"spark:recover=exp,saliency=abs,seed=3 ; window=0", 32, PRUNED_USUAL},
	{"spark:recover=normal,saliency=sq,seed=3 ; window=0", 32, PRUNED_USUAL},
};
#define DRAWN 275

/* Decoded K of both layers: [layer][token][head][64]; a block of it was sealed while decoding. */
static double *drawn_k(const struct feed *feed, const struct stream *s)
{
	double *k = new_array(2 * DRAWN * 128, sizeof *k);
	for (int layer = 0; layer < 2; layer++)
		feed_read(feed, s, layer, 0, DRAWN, k + layer * DRAWN * 128, NULL);
	return k;
}

static double *draw_all(const char *recipe, const char *form)
{
	struct feed feed = {.geometry = feed_usual(2), .lse = true};
	static struct stream stream;
	clkv_context *context = fixture_open_tuned(form);
	cl_command_queue queue = fixture_queue_of(context);
	feed_open(&feed, context, queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 211, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 64, CLKV_DECODE, 1, NULL);
	double *k = drawn_k(&feed, &stream);
	stream_close(&stream);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 211, CLKV_PROMPT_END, 1, NULL);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_DECODED, PRUNED_ATTEND);
	expect_rows(&feed, &stream, 20, CLKV_PROMPT, 3, EXPECT_DECODED, PRUNED_ATTEND);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
	return k;
}

/* SparK P9. */
START_TEST(test_p9_draws_are_the_same_in_all_forms)
{
	static const char *const forms[] = {"lanes=4,vec=4", "lanes=64,vec=1"};
	double *k = draw_all(draws[_i % 2].recipe, "lanes=1,vec=8");
	double *other = draw_all(draws[_i % 2].recipe, forms[_i / 2]);
	for (size_t i = 0; i < (size_t)2 * DRAWN * 128; i++)
		EACH_MSG(k[i] == other[i], "layer %zu, token %zu, head %zu, channel %zu: %.9g and %.9g",
		         i / 128 / DRAWN, i / 128 % DRAWN, i / 64 % 2, i % 64, k[i], other[i]);
	free(k);
	free(other);
}
END_TEST

START_TEST(test_p9_draws_after_fork_and_load)
{
	struct feed feed = {.geometry = feed_usual(2), .lse = true}, other = feed;
	static struct stream a, b, loaded, c;
	struct memory_file file = {0};
	feed_open(&feed, fixture.context, fixture.queue, draws[_i].recipe, NULL);
	stream_open(&feed, &a);
	feed_one(&feed, &a, 211, CLKV_PROMPT_END, 1, NULL);
	stream_fork(&feed, &a, &b);
	expect_same_cache(&feed, &a, &b);
	feed_one(&feed, &a, 64, CLKV_DECODE, 1, NULL);
	feed_one(&feed, &b, 64, CLKV_DECODE, 1, NULL);
	expect_same_cache(&feed, &a, &b);
	const char *seed = _i == 0 ? "spark:recover=exp,saliency=abs,seed=4 ; window=0"
	                           : "spark:recover=normal,saliency=sq,seed=4 ; window=0";
	feed_open(&other, fixture.context, fixture.queue, seed, NULL);
	stream_open(&other, &c);
	feed_one(&other, &c, 211, CLKV_PROMPT_END, 1, NULL);
	feed_one(&other, &c, 64, CLKV_DECODE, 1, NULL);
	double *x = drawn_k(&feed, &a), *y = drawn_k(&other, &c);
	size_t differ = 0;
	for (size_t i = 0; i < (size_t)2 * DRAWN * 128; i++)
		differ += x[i] != y[i];
	ck_assert_uint_gt(differ, DRAWN * 128 / 4);
	free(x);
	free(y);
	feed_close(&other);
	memory_save(&feed, &a, NULL, &file);
	memory_load(&feed, &file, &a, &loaded);
	expect_same_cache(&feed, &a, &loaded);
	memory_close(&file);
	feed_close(&feed);
}
END_TEST

/* Where the draws of a token lie in their distribution: uniform, if they are what they should be. */
struct placed {
	double sum, n, replaced, chance, variance;
	double place[2][2][256][64]; /* by layer, head, token, channel; 0: not drawn, or replaced */
};

static double below(bool normal, double w, double mu, double sd)
{
	if (!normal)
		return 1.0 - exp(-w / mu);
	/* |N(mu, sd)| */
	return 0.5 * (erf((w - mu) / (sd * sqrt(2.0))) + erf((w + mu) / (sd * sqrt(2.0))));
}

static void place_token(struct placed *p, const struct pruned_case *c, const double *strength,
                        const double *given, const double *k, double *place)
{
	double all = 0.0, squares = 0.0, lacking = 0.0, least = INFINITY, w[64];
	bool normal = strstr(c->recipe, "normal") != NULL;
	for (size_t i = 0; i < 64; i++) {
		w[i] = strength[i] * (c->squared ? given[i] * given[i] : fabs(given[i]));
		all += w[i];
		squares += w[i] * w[i];
		if (k[i] == given[i])
			least = fmin(least, w[i]);
		else
			lacking += w[i];
	}
	double mu = all / 64.0, sd = sqrt(squares / 64.0 - mu * mu), mean = lacking / 32.0;
	double top = below(normal, least, mu, sd);
	for (size_t i = 0; i < 64; i++) {
		double fill = strength[i] * (c->squared ? k[i] * k[i] : fabs(k[i]));
		if (k[i] == given[i])
			continue;
		EACH_MSG((k[i] < 0.0) == (given[i] < 0.0), "a sign is lost");
		EACH_MSG(fill <= least * 1.01, "a fill of %g beyond what is kept, %g", fill, least);
		p->chance += 1.0 - top;
		p->variance += top * (1.0 - top);
		if (fabs(fill - mean) <= 4.1 * REF_HALF_EPS * mean) {
			p->replaced += 1.0;
			continue;
		}
		place[i] = below(normal, fill, mu, sd) / top;
		p->sum += place[i];
		p->n += 1.0;
	}
}

/* Two draws that have nothing to do with each other are a third apart in the mean, with a variance of 1 / 18. */
static void check_apart(const struct placed *p, size_t layers, size_t heads, size_t tokens,
                        size_t channels)
{
	double sum = 0.0, n = 0.0;
	for (size_t i = 0; i < (size_t)2 * 2 * 256 * 64; i++) {
		size_t layer = i / 64 / 256 / 2, head = i / 64 / 256 % 2, t = i / 64 % 256, c = i % 64;
		if (layer + layers > 1 || head + heads > 1 || t + tokens > 255 || c + channels > 63)
			continue;
		double x = p->place[layer][head][t][c];
		double y = p->place[layer + layers][head + heads][t + tokens][c + channels];
		sum += x > 0.0 && y > 0.0 ? fabs(x - y) : 0.0;
		n += x > 0.0 && y > 0.0;
	}
	ck_assert_double_gt(n, 300.0);
	ck_assert_msg(fabs(sum / n - 1.0 / 3.0) <= 5.0 / sqrt(18.0 * n) + 0x1p-9,
	              "draws %zu layers, %zu heads, %zu tokens, %zu channels away are %g apart", layers,
	              heads, tokens, channels, sum / n);
}

/* Draws beyond what is kept become the mean of what is lacking; the others have their distribution. The mean of n uniform
 * numbers is within 5 sqrt(1 / 12 n) of a half; 2^-9 is for the roundings of saliencies to half. A draw may be the
 * mean by chance: a few thousandths of them. */
START_TEST(test_draws_have_their_distribution)
{
	const struct pruned_case row = pruned_case(&draws[_i]), *c = &row;
	struct feed feed = pruned_feed(c);
	static struct stream s;
	static struct watch w;
	static struct placed p;
	double *k = new_array(256 * 128, sizeof *k), strength[64];
	memset(&p, 0, sizeof p);
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &s);
	watch_open(&w, c, &feed);
	watch_feed(&w, &feed, &s, 256, CLKV_PROMPT_END, 1);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &s, layer, 0, 256, k, NULL);
		for (size_t head = 0; head < 2; head++) {
			double *given = watch_stored_k(&w, &s, layer, head, 0, 256);
			watch_strengths(&w, layer, head, 256, strength);
			for (size_t t = 0; t < 256; t++)
				place_token(&p, c, strength, given + t * 64, k + (t * 2 + head) * 64,
				            p.place[layer][head][t]);
			free(given);
		}
	}
	ck_assert_double_gt(p.n, 5000.0);
	check_apart(&p, 1, 0, 0, 0);
	check_apart(&p, 0, 1, 0, 0);
	check_apart(&p, 0, 0, 1, 0);
	check_apart(&p, 0, 0, 64, 0);
	check_apart(&p, 0, 0, 0, 1);
	check_apart(&p, 0, 0, 0, 32);
	ck_assert_msg(fabs(p.sum / p.n - 0.5) <= 5.0 / sqrt(12.0 * p.n) + 0x1p-9, "mean place %g",
	              p.sum / p.n);
	ck_assert_msg(fabs(p.replaced - p.chance) <= 5.0 * sqrt(p.variance) + 0.008 * p.n,
	              "%g draws replaced instead of %g", p.replaced, p.chance);
	free(k);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune_draws");
	TCase *random = fixture_case(suite, "draws", 120);
	fixture_some(random, test_p9_draws_are_the_same_in_all_forms, 4, 2);
	tcase_add_loop_test(random, test_p9_draws_after_fork_and_load, 0, 2);
	tcase_add_loop_test(random, test_draws_have_their_distribution, 0, 2);
	return fixture_run_shared(suite);
}
