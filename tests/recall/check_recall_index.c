/* SPDX-License-Identifier: MIT */
/** \file check_recall_index.c \brief Indexes as they lie on the device: clusters, codebooks, lists of members. */
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/recalled.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define U 0x1p-24

#define AROUND " ; window=32,sinks=5"
#define OPEN 37 /* sinks and window */

static void *new_array(size_t n, size_t size)
{
	void *values = calloc(n + 1, size);
	ck_assert_ptr_nonnull(values);
	return values;
}

/* Feeds a prompt that leaves n tokens sealed. */
static void open_sealed(struct feed *feed, const char *recipe, struct stream *stream, size_t n)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = o.max_step_tokens = FEED_TOKENS;
	o.max_sequences = 2;
	feed_open(feed, feed->context ? feed->context : fixture.context,
	          feed->queue ? feed->queue : fixture.queue, recipe, &o);
	stream_open(feed, stream);
	feed_one(feed, stream, n + OPEN, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(stream).sealed, n);
}

/* The keys of tokens [from, from + n) of a (layer, head), as the cache stores them: [n][dk]. */
static double *keys_of(const struct feed *feed, const struct stream *stream, int layer, size_t head,
                       size_t from, size_t n)
{
	size_t heads = feed_heads(feed, FEED_K), dk = feed_dim(feed, FEED_K);
	double *all = new_array(n * heads * dk, sizeof *all), *keys = new_array(n * dk, sizeof *keys);
	feed_rows(feed, layer, FEED_K, stream->row + from, n, all);
	for (size_t i = 0; i < n * dk; i++)
		keys[i] = ref_stored(all[(i / dk * heads + head) * dk + i % dk]);
	free(all);
	return keys;
}

static size_t begin_of(const struct recalled_index *x, size_t unit)
{
	return unit ? x->ends[unit - 1] : 0;
}

/* Every token is in one list, newest first. */
static void check_lists(const struct recalled_index *x)
{
	unsigned char *seen = new_array(x->tokens, 1);
	for (size_t u = 0; u < x->units; u++) {
		EACH_MSG(begin_of(x, u) <= x->ends[u], "unit %zu ends at %zu", u, x->ends[u]);
		for (size_t i = begin_of(x, u); i < x->ends[u]; i++) {
			EACH_MSG(x->members[i] < x->tokens && !seen[x->members[i]], "unit %zu: token %zu", u,
			         x->members[i]);
			EACH_MSG(i == begin_of(x, u) || x->members[i] < x->members[i - 1],
			         "unit %zu: token %zu behind %zu", u, x->members[i], x->members[i - 1]);
			seen[x->members[i]] = 1;
		}
	}
	ck_assert_uint_eq(x->ends[x->units - 1], x->tokens);
	free(seen);
}

/* No centroid is nearer to a token than its own, but for rounding. The device compares key . c' with c' = c / |c|, or
 * key . c - |c|^2 / 2: dk products and a few roundings each, of |key| |c'| and more at most (Cauchy and Schwarz); twice,
 * as two of them are compared. Of cosines that's relative to |key|, of -|key - c|^2 twice what is compared. */
static void check_nearest(const struct recalled_index *x, const double *keys, bool cosine)
{
	double longest = 0.0, gamma = (double)(x->dk + 16) * U;
	double *norms = new_array(x->units, sizeof *norms);
	for (size_t u = 0; u < x->units; u++) {
		for (size_t d = 0; d < x->dk; d++)
			norms[u] += x->centroids[u * x->dk + d] * x->centroids[u * x->dk + d];
		longest = fmax(longest, sqrt(norms[u]));
	}
	for (size_t u = 0; u < x->units; u++)
		for (size_t i = begin_of(x, u); i < x->ends[u]; i++) {
			const double *key = keys + x->members[i] * x->dk;
			double zero[256] = {0},
				   own = ref_recall_near(x->dk, key, x->centroids + u * x->dk, cosine);
			double size = sqrt(-ref_recall_near(x->dk, key, zero, false));
			double slack = cosine ? 2.0 * gamma : 4.0 * gamma * longest * (size + longest);
			for (size_t other = 0; other < x->units; other++)
				EACH_MSG(ref_recall_near(x->dk, key, x->centroids + other * x->dk, cosine) <=
				             own + slack,
				         "token %zu is in unit %zu (%g) and nearer to unit %zu (%g)", x->members[i],
				         u, own, other,
				         ref_recall_near(x->dk, key, x->centroids + other * x->dk, cosine));
		}
	free(norms);
}

/* Once no label changes, centroids are the means of their members: sums in single precision, rounded to half. */
static void check_means(const struct recalled_index *x, const double *keys)
{
	for (size_t u = 0; u < x->units; u++) {
		size_t n = x->ends[u] - begin_of(x, u);
		for (size_t d = 0; d < x->dk && n > 0; d++) {
			double sum = 0.0, size = 0.0;
			for (size_t i = begin_of(x, u); i < x->ends[u]; i++) {
				sum += keys[x->members[i] * x->dk + d];
				size += fabs(keys[x->members[i] * x->dk + d]);
			}
			double mean = sum / (double)n, slack = (double)(n + 3) * U * size / (double)n;
			EACH_MSG(fabs(x->centroids[u * x->dk + d] - mean) <=
			             REF_HALF_EPS * (fabs(mean) + slack) + REF_HALF_TINY + slack,
			         "unit %zu of %zu, channel %zu: %g, and the mean is %g", u, n, d,
			         x->centroids[u * x->dk + d], mean);
		}
	}
}

/* ---------------------------------------------------------------- clusters ---- */

START_TEST(test_clusters_are_those_of_the_nearest_centroids)
{
	static const struct {
		const char *recipe;
		size_t n, units;
		bool cosine;
	} all[] = {
		{"clusterkv:per=16,niter=100,every=128,recall=64,metric=cosine" AROUND, 300, 18, true},
		{"clusterkv:per=5,niter=100,every=128,recall=64,metric=l2" AROUND, 323, 64, false},
		{"clusterkv:per=4,niter=1,every=128,recall=64,seed=7,metric=cosine" AROUND, 131, 32, true},
		{"clusterkv:per=256,every=128,recall=64,seed=7,metric=cosine" AROUND, 200, 1, true},
	};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2), .append_only = true};
	open_sealed(&feed, all[_i].recipe, &stream, all[_i].n);
	for (int layer = 0; layer < 2; layer++)
		for (size_t head = 0; head < 2; head++) {
			struct recalled_index x;
			double *keys = keys_of(&feed, &stream, layer, head, 5, all[_i].n);
			recalled_index_open(&feed, &stream, 0, layer, head, &x);
			ck_assert_uint_eq(x.units, all[_i].units);
			ck_assert_uint_eq(x.tokens, all[_i].n);
			check_lists(&x);
			check_nearest(&x, keys, all[_i].cosine);
			if (_i != 2) /* one round doesn't settle */
				check_means(&x, keys);
			recalled_index_close(&x);
			free(keys);
		}
	feed_close(&feed);
}
END_TEST

/* Ten directions and a little noise: of the tokens' numbers, which say where they lie. */
enum { DIRECTIONS = 10 };
static size_t direction_of(uint64_t row)
{
	return random_below(random_mix(row, 4711), DIRECTIONS);
}

static double planted(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	uint64_t place = random_mix(row, (uint64_t)layer * 4u + (uint64_t)side);
	double noise = random_normal(random_mix(place, head * 1024u + d));
	size_t kv_head = side == FEED_Q ? head / 3 : head;
	double way = random_normal(random_mix(direction_of(row) * 64 + kv_head, 1000 + d));
	return side == FEED_V ? noise : side == FEED_Q ? way : way + 0.05 * noise;
}

/* Clusters hold tokens of one direction each; a row along one recalls exactly its tokens. Directions of 64 normal
 * channels have cosines of 1/8 or so with each other and 0.997 with their tokens. rot=hadamard turns keys and queries
 * alike, which changes none of it. */
START_TEST(test_planted_directions_are_found)
{
	static const char *const formats[] = {
		"clusterkv:per=8,niter=20,every=128,recall=%zu" AROUND,
		"q:k=16,v=16,rot=hadamard | clusterkv:per=8,niter=20,every=128,recall=%zu" AROUND,
		"q:k=16,v=16,rot=hadamard | a2ats:codes=64,niter=20,every=128,recall=%zu" AROUND,
	};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1), .value = planted, .lse = true};
	size_t n = 320, many = 0;
	char recipe[128];
	uint64_t asked = random_mix(9, n + OPEN); /* the number of the row to come */
	for (size_t t = 5; t < 5 + n; t++)
		many += direction_of(random_mix(1, t)) == direction_of(asked);
	ck_assert_uint_gt(many, 10);
	snprintf(recipe, sizeof recipe, formats[_i], many);
	open_sealed(&feed, recipe, &stream, n);
	for (size_t head = 0; head < 2 && _i == 0; head++) {
		struct recalled_index x;
		recalled_index_open(&feed, &stream, 0, 0, head, &x);
		check_lists(&x);
		for (size_t u = 0; u < x.units; u++)
			for (size_t i = begin_of(&x, u); i < x.ends[u]; i++)
				ck_assert_uint_eq(direction_of(stream.row[5 + x.members[i]]),
				                  direction_of(stream.row[5 + x.members[begin_of(&x, u)]]));
		recalled_index_close(&x);
	}
	/* Logits of the own direction are some 8, of others 1: were one of its tokens missing, its neighbours' place in the
	 * sum would go to strangers. Against attention to all, the strangers' part exp(-7) of each is missing. */
	struct feed_result got;
	size_t token[FEED_TOKENS], listed = 0;
	double *k = new_array(FEED_TOKENS * 128, sizeof *k),
		   *v = new_array(FEED_TOKENS * 128, sizeof *v);
	double q[6 * 64], want[64];
	feed_one(&feed, &stream, 1, CLKV_DECODE, 9, &got);
	ck_assert_uint_eq(stream.row[stream.n - 1], asked);
	feed_rows(&feed, 0, FEED_Q, &asked, 1, q);
	feed_rows(&feed, 0, FEED_K, stream.row, stream.n, k);
	feed_rows(&feed, 0, FEED_V, stream.row, stream.n, v);
	for (size_t t = 0; t < stream.n; t++)
		if (t < 5 || t >= 5 + n || direction_of(stream.row[t]) == direction_of(asked))
			token[listed++] = t;
	for (size_t h = 0; h < 6; h++) {
		struct ref_attend a = {
			.dk = 64, .dv = 64, .scale = 0.125, .k_stride = 128, .v_stride = 128};
		ref_recall_attend(&a, q + h * 64, k + h / 3 * 64, v + h / 3 * 64, token, listed, want,
		                  NULL);
		double error = ref_relative_error(got.out + h * 64, want, 64);
		/* rows are rounded to half, twice if they are turned: 2^-11 in each of some 30 values */
		ck_assert_msg(error < 3e-3, "head %zu: %g", h, error);
	}
	feed_result_close(&got);
	free(k);
	free(v);
	feed_close(&feed);
}
END_TEST

static void same_index(const struct recalled_index *a, const struct recalled_index *b, bool *same)
{
	ck_assert_uint_eq(a->units, b->units);
	ck_assert_uint_eq(a->tokens, b->tokens);
	*same = memcmp(a->centroids, b->centroids, a->units * a->dk * sizeof *a->centroids) == 0 &&
	        memcmp(a->ends, b->ends, a->units * sizeof *a->ends) == 0 &&
	        memcmp(a->members, b->members, a->tokens * sizeof *a->members) == 0;
}

#define TRAINED "clusterkv:per=8,every=128,recall=64"
#define CODED "a2ats:codes=32,every=128,recall=64"

static void open_index(const char *form, const char *recipe, struct recalled_index *x)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2), .append_only = true};
	if (form) {
		feed.context = fixture_open_tuned(form);
		feed.queue = fixture_queue_of(feed.context);
	}
	open_sealed(&feed, recipe, &stream, 300);
	recalled_index_open(&feed, &stream, 0, 1, 1, x);
	feed_close(&feed);
	if (form) {
		clReleaseCommandQueue(feed.queue);
		clkv_context_destroy(feed.context);
	}
}

START_TEST(test_a_seed_makes_one_index)
{
	struct recalled_index a, b, other;
	bool same;
	open_index(NULL, _i ? CODED AROUND : TRAINED AROUND, &a);
	open_index(NULL, _i ? CODED AROUND : TRAINED AROUND, &b);
	open_index(NULL, _i ? CODED ",seed=1" AROUND : TRAINED ",seed=1" AROUND, &other);
	same_index(&a, &b, &same);
	ck_assert(same);
	same_index(&a, &other, &same);
	ck_assert(!same);
	recalled_index_close(&a);
	recalled_index_close(&b);
	recalled_index_close(&other);
}
END_TEST

/* Sums are in the order of tokens, whoever adds them. */
START_TEST(test_all_forms_make_the_same_index)
{
	static const char *const forms[] = {"lanes=1,vec=1", "lanes=1,vec=16", "lanes=4,vec=4",
	                                    "lanes=64,vec=1"};
	struct recalled_index a, b;
	bool same;
	open_index(NULL, TRAINED AROUND, &a);
	open_index(forms[_i], TRAINED AROUND, &b);
	same_index(&a, &b, &same);
	ck_assert(same);
	recalled_index_close(&a);
	recalled_index_close(&b);
}
END_TEST

/* ---------------------------------------------------------------- codes ---- */

/* Each token is with the nearest entry, in later segments with the same codebook; a fork shares it. */
START_TEST(test_a_codebook_serves_all_segments)
{
	static struct stream stream, fork;
	struct feed feed = {.geometry = feed_usual(2), .append_only = true};
	struct recalled_index first, later;
	open_sealed(&feed, _i ? "a2ats:codes=48,every=128,most=1024,recall=64" AROUND : CODED AROUND,
	            &stream, _i ? 1100 : 300);
	ck_assert_uint_eq(recalled_books(&feed), 1);
	feed_one(&feed, &stream, 130, CLKV_DECODE, 2, NULL);
	stream_fork(&feed, &stream, &fork);
	feed_one(&feed, &fork, 130, CLKV_DECODE, 3, NULL);
	ck_assert_uint_eq(recalled_books(&feed), 1);
	ck_assert_uint_eq(stream_info(&fork).sealed, (_i ? 1100 : 300) + 2 * 128);
	for (int layer = 0; layer < 2; layer++)
		for (size_t head = 0; head < 2; head++) {
			/* a prompt of more than `most` tokens is in even parts of whole blocks: 9 and 9 of 18 */
			size_t lengths[] = {_i ? 576 : 300, _i ? 524 : 128, 128, _i ? 128 : 0}, from = 5;
			recalled_index_open(&feed, &fork, 0, layer, head, &first);
			for (size_t s = 0; s < 4 && lengths[s] > 0; from += lengths[s++]) {
				double *keys = keys_of(&feed, &fork, layer, head, from, lengths[s]);
				recalled_index_open(&feed, &fork, s, layer, head, &later);
				ck_assert_uint_eq(later.tokens, lengths[s]);
				ck_assert_uint_eq(later.units, _i ? 48 : 32);
				ck_assert_int_eq(memcmp(first.centroids, later.centroids,
				                        later.units * 64 * sizeof *later.centroids),
				                 0);
				check_lists(&later);
				check_nearest(&later, keys, false);
				recalled_index_close(&later);
				free(keys);
			}
			recalled_index_close(&first);
		}
	feed_close(&feed);
}
END_TEST

/* Few keys, each often, and the value goes with the key. */
static double repeated(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return feed_normal(side == FEED_Q ? row : row % 20, layer, side, head, d);
}

/* A codebook that has all keys: the scores are exact, and so is the choice. Which of equal tokens are chosen differs, and
 * makes no difference. */
START_TEST(test_codes_of_all_keys_choose_as_topk_does)
{
	static struct stream a, b;
	struct feed exact = {.geometry = feed_usual(2), .value = repeated, .lse = true};
	struct feed coded = exact;
	struct feed_result want, got;
	open_sealed(&coded, "a2ats:codes=32,niter=100,every=128,recall=50" AROUND, &a, 310);
	open_sealed(&exact, "topk:every=128,recall=50" AROUND, &b, 310);
	for (size_t i = 0; i < 3; i++) {
		feed_one(&coded, &a, 4, CLKV_DECODE, 5 + i, &got);
		feed_one(&exact, &b, 4, CLKV_DECODE, 5 + i, &want);
		ck_assert_double_le(expect_difference(&exact, &got, &want), BOUND_REORDER);
		feed_result_close(&got);
		feed_result_close(&want);
	}
	feed_close(&coded);
	feed_close(&exact);
}
END_TEST

/* Fewer than four keys for each entry make no codebook: all is attended to, in half. */
START_TEST(test_short_sequences_have_no_codebook)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2), .lse = true};
	feed_open(&feed, fixture.context, fixture.queue, "a2ats:codes=64,every=128,recall=50" AROUND,
	          NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 255 + OPEN, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, 0);
	ck_assert_uint_eq(recalled_books(&feed), 0);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_GIVEN, 1e-5);
	ck_assert_uint_eq(stream_info(&stream).sealed, 256);
	ck_assert_uint_eq(recalled_books(&feed), 1);
	feed_one(&feed, &stream, 128, CLKV_DECODE, 3, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, 256 + 128);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recall_index");
	TCase *clusters = fixture_case(suite, "clusters", 60),
		  *codes = fixture_case(suite, "codes", 60);
	TCase *form = fixture_case(suite, "form", 60);
	fixture_some(clusters, test_clusters_are_those_of_the_nearest_centroids, 4, 0, 1);
	fixture_some(clusters, test_planted_directions_are_found, 3, 0, 2);
	tcase_add_loop_test(form, test_a_seed_makes_one_index, 0, 2);
	fixture_some(form, test_all_forms_make_the_same_index, 4, 1, 3);
	tcase_add_loop_test(codes, test_a_codebook_serves_all_segments, 0, 2);
	tcase_add_test(codes, test_codes_of_all_keys_choose_as_topk_does);
	tcase_add_test(codes, test_short_sequences_have_no_codebook);
	return fixture_run_shared(suite);
}
