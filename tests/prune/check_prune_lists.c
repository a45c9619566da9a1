/* SPDX-License-Identifier: MIT */
/**
 * \file    check_prune_lists.c
 * \brief   Lists of kept channels, one number for each layer or each KV head: values, bytes, a full pool, texts.
 *
 * A head of a list must hold, to the bit, what it holds in a cache of its number alone, which check_prune.c
 * compares with the reference.
 */
#include "ref/ref_half.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/life.h"
#include "support/memory_file.h"
#include "support/pruned.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS 2
#define HEADS 2
#define DIM 64
#define LISTS (LAYERS * HEADS)

/** A recipe around a list: %s is where the numbers go. */
struct listed {
	const char *recipe, *list;
	double keep[LISTS]; /* of each head */
	bool codes;
	int skip; /* layers that keep all */
};

static const struct listed cases[] = {
	{"spark:keep=%s ; window=0", "0.25/1", {0.25, 0.25, 1, 1}, false, 0},
	{"spark:keep=%s ; window=0", "0.5/0.25/1/0.25", {0.5, 0.25, 1, 0.25}, false, 0},
	{"think:keep=%s ; window=0", "0.5/0.75", {0.5, 0.5, 0.75, 0.75}, false, 0},
	{"think:keep=%s,refresh=0 ; window=0", "0.25/1/0.5/0.75", {0.25, 1, 0.5, 0.75}, false, 0},
	{"spark:keep=%s ; window=0,skip=1", "1/0.25", {1, 1, 0.25, 0.25}, false, 1},
	{"think:keep=%s | kivi:bits=4 ; window=0", "0.25/0.5/1/0.5", {0.25, 0.5, 1, 0.5}, true, 0},
	{"spark:keep=%s | kvcomp:entropy=huffman,verify=1 ; window=0",
     "0.25/0.5/0.5/1",
     {0.25, 0.5, 0.5, 1},
     true,
     0},
};
#define CASES (sizeof cases / sizeof cases[0])

static struct feed feed_of_lists(void)
{
	struct feed feed = {.geometry = feed_usual(LAYERS), .lse = true};
	return feed;
}

static void recipe_of(const struct listed *c, double keep, char recipe[256])
{
	char number[32];
	snprintf(number, sizeof number, "%g", keep);
	snprintf(recipe, 256, c->recipe, keep == 0.0 ? c->list : number);
}

/* ---------------------------------------------------------------- heads of a list, and heads alone ---- */

/* Lists seal, and what they attend to is checked; a cache that keeps all channels needn't seal. */
static void lead(struct life *l, const struct listed *c, double keep)
{
	char recipe[256];
	memset(l, 0, sizeof *l);
	l->feed = feed_of_lists();
	if (keep == 0.0) {
		l->block = 64;
		l->limit = c->codes ? PRUNED_ATTEND_CODES : PRUNED_ATTEND;
	}
	recipe_of(c, keep, recipe);
	life_lead(l, fixture.context, fixture.queue, recipe);
}

/* Heads of `keep` of both caches; K and V. */
static void compare(const struct listed *c, double keep, struct life *list, struct life *one,
                    enum life_stream which)
{
	const struct stream *s = &list->streams[which], *t = &one->streams[which];
	size_t n = s->n * HEADS * DIM;
	double *k[2] = {new_array(n, sizeof(double)), new_array(n, sizeof(double))},
		   *v[2] = {new_array(n, sizeof(double)), new_array(n, sizeof(double))};
	ck_assert_uint_eq(s->n, t->n);
	ck_assert_int_eq(memcmp(s->row, t->row, s->n * sizeof *s->row), 0);
	for (int layer = 0; layer < LAYERS; layer++) {
		feed_read(life_feed(list, which), s, layer, 0, s->n, k[0], v[0]);
		feed_read(life_feed(one, which), t, layer, 0, s->n, k[1], v[1]);
		for (size_t i = 0; i < n; i++) {
			size_t head = i / DIM % HEADS;
			if (c->keep[(size_t)layer * HEADS + head] != keep)
				continue;
			EACH_MSG(k[0][i] == k[1][i] && v[0][i] == v[1][i],
			         "%s, layer %d, head %zu, token %zu, channel %zu: %.9g and %.9g, alone %.9g "
			         "and %.9g",
			         c->list, layer, head, i / DIM / HEADS, i % DIM, k[0][i], v[0][i], k[1][i],
			         v[1][i]);
		}
	}
	for (int i = 0; i < 2; i++) {
		free(k[i]);
		free(v[i]);
	}
}

/* Each sealed token lacks the channels that its head's number leaves out, and no more; a fill that is a value by
 * chance is as rare as halves among floats. */
static void count_lacking(const struct listed *c, const struct feed *feed, const struct stream *s)
{
	size_t n = s->n * HEADS * DIM, sealed = stream_info(s).sealed;
	double *k = new_array(n, sizeof(double)), *v = new_array(n, sizeof(double)),
		   *given = new_array(n, sizeof(double)), *given_v = new_array(n, sizeof(double));
	for (int layer = 0; layer < LAYERS; layer++) {
		feed_read(feed, s, layer, 0, s->n, k, v);
		feed_rows(feed, layer, FEED_K, s->row, s->n, given);
		feed_rows(feed, layer, FEED_V, s->row, s->n, given_v);
		for (size_t row = 0; row < s->n * HEADS; row++) {
			size_t t = row / HEADS, differ = 0;
			double keep = c->keep[(size_t)layer * HEADS + row % HEADS];
			size_t want = t >= sealed || layer < c->skip ? 0 : DIM - (size_t)(keep * DIM + 0.5);
			for (size_t i = row * DIM; i < (row + 1) * DIM; i++) {
				differ += k[i] != ref_stored(given[i]);
				EACH_MSG(v[i] == ref_stored(given_v[i]), "layer %d, token %zu: V differs", layer,
				         t);
			}
			EACH_MSG(differ <= want && differ + 2 >= want,
			         "%s, layer %d, head %zu, token %zu: %zu channels differ instead of %zu",
			         c->list, layer, row % HEADS, t, differ, want);
		}
	}
	free(k);
	free(v);
	free(given);
	free(given_v);
}

START_TEST(test_heads_hold_what_they_hold_alone)
{
	static const double numbers[] = {0.25, 0.5, 0.75, 1};
	static struct life list, one;
	const struct listed *c = &cases[_i];
	size_t compared = 0;
	lead(&list, c, 0.0);
	for (int s = 0; s < LIFE_STREAMS && !c->codes; s++)
		count_lacking(c, life_feed(&list, (enum life_stream)s), &list.streams[s]);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		size_t n = 0;
		for (size_t j = 0; j < LISTS; j++)
			n += c->keep[j] == numbers[i];
		if (n == 0)
			continue;
		lead(&one, c, numbers[i]);
		for (int s = 0; s < LIFE_STREAMS; s++)
			compare(c, numbers[i], &list, &one, (enum life_stream)s);
		life_close(&one);
		compared += n;
	}
	ck_assert_uint_eq(compared, LISTS);
	life_close(&list);
}
END_TEST

/* A list of one number over and over is that number: the same bits come out. */
START_TEST(test_equal_numbers_are_one)
{
	static const char *const recipes[][3] = {
		{"spark:keep=0.5 ; window=0", "spark:keep=0.5/0.5 ; window=0",
	     "spark:keep=0.5/0.5/0.5/0.5 ; window=0"},
		{"think:keep=0.5 ; window=0", "think:keep=0.5/0.49 ; window=0",
	     "think:keep=0.5/0.5/0.48/0.5 ; window=0"}, /* rounded up to fours */
		{"spark:keep=1 ; window=0", "spark:keep=1/0.999 ; window=0",
	     "spark:keep=1/1/1/0.995 ; window=0"},
	};
	struct feed_result results[3];
	for (size_t i = 0; i < 3; i++) {
		struct feed feed = feed_of_lists();
		static struct stream s;
		feed_open(&feed, fixture.context, fixture.queue, recipes[_i][i], NULL);
		stream_open(&feed, &s);
		feed_one(&feed, &s, 211, CLKV_PROMPT_END, 1, NULL);
		feed_one(&feed, &s, 3, CLKV_DECODE, 2, &results[i]);
		if (_i == 2)
			expect_given(&feed, &s);
		feed_close(&feed);
	}
	for (size_t i = 1; i < 3; i++) {
		ck_assert_int_eq(
			memcmp(results[i].out, results[0].out,
		           LAYERS * results[0].rows * results[0].out_row * sizeof *results[0].out),
			0);
		ck_assert_int_eq(
			memcmp(results[i].lse, results[0].lse,
		           LAYERS * results[0].rows * results[0].lse_row * sizeof *results[0].lse),
			0);
	}
	for (size_t i = 0; i < 3; i++)
		feed_result_close(&results[i]);
}
END_TEST

/* ---------------------------------------------------------------- bytes ---- */

/* A sequence holds what the formula says for each of its heads: SparK's masks, an amplitude for each token, a factor for
 * each channel, signs; ThinK's mask. */
START_TEST(test_bytes_are_the_sum_of_the_heads)
{
	clkv_geometry g = feed_usual(LAYERS);
	for (size_t i = 0; i < CASES; i++) {
		const struct listed *c = &cases[i];
		bool spark = strncmp(c->recipe, "spark", 5) == 0;
		struct pruned_bytes want = {.block = 64, .dense_heads = c->skip * HEADS};
		char recipe[256];
		if (c->codes)
			continue;
		for (size_t j = 0; j < LISTS; j++) {
			double kept = floor(c->keep[j] * DIM + 0.5);
			double section = spark ? pruned_section(DIM, 64, kept, 1, true, true) : DIM / 8;
			if (j / HEADS < (size_t)c->skip)
				want.dense += 2.0 * 64 * 2 * DIM;
			else
				want.pages += pruned_page(kept == DIM ? 0.0 : section, 64, kept + DIM);
		}
		want.heads = LISTS - want.dense_heads;
		recipe_of(c, 0.0, recipe);
		pruned_expect_bytes(&g, recipe, &want, true);
	}
}
END_TEST

/* ---------------------------------------------------------------- a full pool ---- */

static void cut(struct stream *s, size_t n)
{
	clkv_error error;
	feed_ok(clkv_seq_truncate(s->seq, n, &error), &error, "clkv_seq_truncate");
	s->n = n;
}

static clkv_status try_begin(struct feed *feed, struct stream *s, size_t n, clkv_step **step,
                             clkv_error *error)
{
	clkv_step_item item = {s->seq, n, CLKV_PROMPT_END};
	return clkv_step_begin(feed->cache, &item, 1, feed->queue, step, error);
}

/* Two blocks more than max_tokens have: begin names the layer, and nothing has happened. */
START_TEST(test_a_full_pool_names_its_layer)
{
	static struct stream s[4];
	struct feed feed = feed_of_lists();
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_step *step = NULL;
	clkv_error error;
	size_t n = 0;
	o.max_tokens = 256;
	o.max_sequences = 4;
	o.max_step_tokens = 128;
	feed.append_only = true;
	feed_open(&feed, fixture.context, fixture.queue, "spark:keep=0.5/0.25/1/0.25 ; window=0", &o);
	for (size_t i = 0; i < 4; i++) {
		stream_open(&feed, &s[i]);
		feed_one(&feed, &s[i], 64, CLKV_PROMPT_END, i, NULL);
	}
	clkv_stats before, after;
	clkv_status status = CLKV_OK;
	while (n < 12 && status == CLKV_OK) {
		before = feed_stats(&feed);
		status = try_begin(&feed, &s[n % 4], 64, &step, &error);
		if (status == CLKV_OK) {
			clkv_step_abort(step);
			feed_one(&feed, &s[n % 4], 64, CLKV_DECODE, 10 + n, NULL);
			n++;
		}
	}
	ck_assert_int_eq(status, CLKV_ERROR_POOL_FULL);
	ck_assert_uint_eq(n,
	                  4); /* eight blocks in all: four of max_tokens, and one for each sequence */
	ck_assert_msg(strstr(error.text, "layer 0") != NULL, "%s", error.text);
	after = feed_stats(&feed);
	ck_assert_uint_eq(after.used_sealed, before.used_sealed);
	ck_assert_uint_eq(after.used_open, before.used_open);
	ck_assert_uint_eq(after.tokens, before.tokens);
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(stream_info(&s[i]).sealed, s[i].n);
	for (size_t i = 0; i < 3; i++)
		count_lacking(&cases[1], &feed, &s[i]);
	stream_close(&s[3]);
	feed_one(&feed, &s[0], 64, CLKV_DECODE, 30, NULL);
	count_lacking(&cases[1], &feed, &s[0]);
	count_lacking(&cases[1], &feed, &s[1]);
	feed_close(&feed);
}
END_TEST

/* Blocks of several sizes come and go while the cache is as full as max_tokens allows: there is always room for as
 * many tokens as were asked for, wherever the holes are. */
START_TEST(test_max_tokens_fit_whatever_came_before)
{
	enum { SEQUENCES = 8, MOST = 2048 };
	static const char *const recipes[] = {"spark:keep=0.5/0.25/1/0.25 ; window=0",
	                                      "think:keep=0.25/1/0.5/0.75,refresh=0 ; window=0"};
	static struct stream s[SEQUENCES], loaded;
	struct feed feed = feed_of_lists();
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	struct memory_file file = {0};
	uint64_t state = 5;
	size_t tokens = 0;
	o.max_tokens = MOST;
	o.max_sequences = SEQUENCES;
	o.max_step_tokens = 512;
	feed.append_only = true;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], &o);
	for (size_t round = 0; round < 400; round++) {
		size_t i = random_below(random_next(&state), SEQUENCES);
		size_t n = 1 + random_below(random_next(&state), 300);
		n = n < MOST - tokens ? n : MOST - tokens;
		if (s[i].seq && (n == 0 || s[i].n + n > 1500)) {
			tokens -= s[i].n;
			stream_close(&s[i]);
			continue;
		}
		if (s[i].seq && random_below(random_next(&state), 4) == 0) {
			size_t left = s[i].n / 64 / 2 * 64;
			tokens -= s[i].n - left;
			cut(&s[i], left);
			continue;
		}
		if (s[i].seq && random_below(random_next(&state), 4) == 0) {
			/* a file's pages come head by head, a step's block by block */
			memory_save(&feed, &s[i], NULL, &file);
			stream_close(&s[i]);
			memory_load(&feed, &file, &s[i], &loaded);
			s[i] = loaded;
			continue;
		}
		if (n == 0)
			continue;
		if (!s[i].seq)
			stream_open(&feed, &s[i]);
		feed_one(&feed, &s[i], n, CLKV_PROMPT_END, round, NULL);
		tokens += n;
	}
	for (size_t i = 0; i < SEQUENCES; i++)
		if (s[i].seq)
			stream_close(&s[i]);
	memory_close(&file);
	ck_assert_uint_eq(feed_stats(&feed).used_sealed, 0);
	feed_close(&feed);
}
END_TEST

/* Beyond max_tokens a step may find no room, in all or in one piece, but then it says that it's the pool, and others
 * go on. */
START_TEST(test_no_room_is_never_another_error)
{
	enum { SEQUENCES = 8 };
	static struct stream s[SEQUENCES];
	struct feed feed = feed_of_lists();
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	struct memory_file file = {0};
	uint64_t state = 9;
	size_t full = 0;
	o.max_tokens = 1024;
	o.max_sequences = SEQUENCES;
	o.max_step_tokens = 256;
	feed.append_only = true;
	feed_open(&feed, fixture.context, fixture.queue,
	          _i == 1 ? "think:keep=0.25/1/0.5/0.75,refresh=0 ; window=0"
	                  : "spark:keep=0.5/0.25/1/0.25 ; window=0",
	          &o);
	for (size_t round = 0; round < 500; round++) {
		size_t i = random_below(random_next(&state), SEQUENCES);
		size_t n = 64 * (1 + random_below(random_next(&state), 4));
		clkv_step *step = NULL;
		clkv_error error;
		if (s[i].seq && (s[i].n + n > o.max_tokens || random_below(random_next(&state), 4) == 0)) {
			size_t left = random_below(random_next(&state), 2) ? 0 : s[i].n / 64 / 2 * 64;
			if (left == 0)
				stream_close(&s[i]);
			else
				cut(&s[i], left);
			continue;
		}
		if (s[i].seq && round % 3 == 0) {
			/* a file's pages come head by head, a step's block by block */
			memory_save(&feed, &s[i], NULL, &file);
			stream_close(&s[i]);
			file.at = 0;
			clkv_status status =
				clkv_seq_load(feed.cache, feed.queue, memory_read, &file, &s[i].seq, &error);
			ck_assert_msg(status == CLKV_OK || status == CLKV_ERROR_POOL_FULL, "round %zu: %s: %s",
			              round, clkv_status_string(status), error.text);
			s[i].n = s[i].seq ? s[i].n : 0;
			continue;
		}
		if (!s[i].seq)
			stream_open(&feed, &s[i]);
		clkv_status status = try_begin(&feed, &s[i], n, &step, &error);
		if (status != CLKV_OK) {
			ck_assert_msg(status == CLKV_ERROR_POOL_FULL, "%s", error.text);
			full++;
			continue;
		}
		clkv_step_abort(step);
		struct feed_item item = {.stream = &s[i], .n = n, .phase = CLKV_DECODE, .seed = round};
		step = feed_begin(&feed, &item, 1, NULL);
		status = clkv_step_commit(step, NULL, &error);
		ck_assert_msg(status == CLKV_OK || status == CLKV_ERROR_POOL_FULL, "round %zu: %s: %s",
		              round, clkv_status_string(status), error.text);
		if (status == CLKV_OK) {
			feed_kept(&item, 1);
		} else {
			full++;
			clkv_step_abort(step);
			stream_close(&s[i]);
		}
	}
	memory_close(&file);
	ck_assert_uint_gt(full, 0);
	for (size_t i = 0; i < SEQUENCES; i++)
		if (s[i].seq)
			stream_close(&s[i]);
	ck_assert_uint_eq(feed_stats(&feed).used_sealed, 0);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- texts ---- */

/* Lists that a geometry of 3 layers, 2 KV heads and 64 channels can't have. */
START_TEST(test_wrong_lists_are_refused)
{
	static const struct {
		const char *recipe, *says[3];
	} rows[] = {
		{"spark:keep=0.5/0.4", {"keep", "list of 2", "3 (one for each layer) or 6"}},
		{"think:keep=0.5/0.4/0.3/0.2", {"keep", "list of 4", "3 (one for each layer) or 6"}},
		{"spark:keep=0.5/0.4/0.3/0.2/0.1/0.2/0.3 | kivi", {"keep", "list of 7", "one number"}},
		{"spark:keep=0.5/0.004/0.5", {"keep", "number 2", "0.0078125 to 1"}},
		{"think:keep=0.5/0.5/0.5/0.5/0.5/0.007", {"keep", "number 6", "none of 64"}},
		{"spark:keep=0.5/1.5/0.5", {"keep", "0.5/1.5/0.5", "0.001 to 1"}},
		{"spark:keep=0.5/0/0.5", {"keep", "0.5/0/0.5", "0.001 to 1"}},
		{"spark:keep=0.5//0.4", {"keep", "0.5//0.4", "0.001 to 1, or a list"}},
		{"think:keep=/0.5/0.4", {"keep", "/0.5/0.4", "a list"}},
		{"think:keep=0.5/0.4/", {"keep", "0.5/0.4/", "a list"}},
		{"think:keep=/", {"keep", "'/'", "a list"}},
		{"spark:keep=0.5/nan/0.4", {"keep", "nan", "0.001 to 1"}},
		{"spark:keep=0.5 0.4 0.3", {"keep", "0.5 0.4 0.3", "a list"}},
		{"spark:values=0.5/0.5/0.5", {"values", "0.5/0.5/0.5", "0.001 to 1"}},
	};
	clkv_geometry g = feed_usual(3);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		expect_refused(fixture.context, &g, rows[i].recipe, rows[i].says, 3);
}
END_TEST

/* Eight numbers of channels are allowed, nine are not; those that are rounded to the same count once. */
START_TEST(test_eight_numbers_are_the_most)
{
	static const struct {
		const char *recipe;
		bool allowed;
	} rows[] = {
		{"spark:keep=0.1/0.2/0.3/0.4/0.5/0.6/0.7/0.8/0.1", true},
		{"spark:keep=0.1/0.2/0.3/0.4/0.5/0.6/0.7/1/0.995", true},
		{"spark:keep=0.1/0.2/0.3/0.4/0.5/0.6/0.7/0.8/0.9", false},
		{"spark:keep=0.9/0.8/0.7/0.6/0.5/0.4/0.3/0.2/0.1", false},
		{"spark:keep=0.1/0.2/0.3/0.4/0.5/0.6/0.7/0.8/1", false},
		{"think:keep=0.05/0.06/0.1/0.12/0.2/0.3/0.4/0.5/0.6", true}, /* fours */
		{"think:keep=0.1/0.2/0.3/0.4/0.5/0.6/0.7/0.8/0.9", false},
		/* eights: 8, 16, 24, 32, 40, 48, 56, all and all */
		{"spark:keep=0.1/0.2/0.3/0.4/0.52/0.7/0.8/0.9/1 | kivi", true},
	};
	clkv_geometry g = feed_geometry(9, 2, 1, DIM, DIM);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 256;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		clkv_bytes bytes = CLKV_INIT(clkv_bytes);
		clkv_error error;
		clkv_status status =
			clkv_bytes_required(fixture.context, &g, rows[i].recipe, &o, &bytes, &error);
		ck_assert_msg(status == (rows[i].allowed ? CLKV_OK : CLKV_ERROR_INVALID_RECIPE), "'%s': %s",
		              rows[i].recipe, status == CLKV_OK ? "allowed" : error.text);
		if (!rows[i].allowed)
			ck_assert_msg(strstr(error.text, "keep") && strstr(error.text, "8 different"), "%s",
			              error.text);
	}
}
END_TEST

/* A list is printed in full, and what is printed is the same recipe; of a large model too. */
START_TEST(test_lists_are_printed_in_full)
{
	static const char *const recipes[] = {
		"spark:keep=0.5/0.25/1", "think : keep = 0.125 / 0.5/0.6,align=8 | kivi:bits=4 ; window=32",
		"spark:values=0.5,keep=0.001/1/0.333333343/0.7/0.1/0.9 ; block=32"};
	static const char *const lists[] = {"keep=0.5/0.25/1,", "keep=0.125/0.5/0.6,",
	                                    "keep=0.001/1/0.33333334/0.7/0.1/0.9,"};
	char text[1024], again[1024];
	clkv_error error;
	for (size_t i = 0; i < 3; i++) {
		feed_ok(clkv_recipe_print(recipes[i], text, sizeof text, &error), &error, recipes[i]);
		ck_assert_msg(strstr(text, lists[i]) != NULL, "'%s' became '%s'", recipes[i], text);
		feed_ok(clkv_recipe_print(text, again, sizeof again, &error), &error, text);
		ck_assert_str_eq(text, again);
	}
	/* a buffer that is too small: the text says how large it must be */
	size_t n = strlen(text) + 1;
	char needs[48];
	ck_assert_int_eq(clkv_recipe_print(recipes[2], again, n - 1, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	snprintf(needs, sizeof needs, "%zu characters", n);
	ck_assert_msg(strstr(error.text, needs) != NULL, "%s", error.text);
	feed_ok(clkv_recipe_print(recipes[2], again, n, &error), &error, recipes[2]);
}
END_TEST

/* The lists of models that exist: 32 layers of 8 KV heads, 28 of 4. */
START_TEST(test_lists_of_large_models)
{
	static const int heads[][2] = {{28, 4}, {32, 8}};
	clkv_geometry g = feed_geometry(heads[_i][0], 4 * heads[_i][1], heads[_i][1], 128, 128);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_bytes bytes = CLKV_INIT(clkv_bytes);
	clkv_error error;
	char recipe[2048] = "spark:keep=";
	size_t at = strlen(recipe);
	for (int i = 0; i < heads[_i][0] * heads[_i][1]; i++)
		at += (size_t)snprintf(recipe + at, sizeof recipe - at, "%s0.%d", i ? "/" : "", 3 + i % 5);
	o.max_tokens = 256;
	char text[2048];
	feed_ok(clkv_recipe_print(recipe, text, sizeof text, &error), &error, "clkv_recipe_print");
	ck_assert_int_eq(strncmp(text, recipe, at), 0);
	feed_ok(clkv_bytes_required(fixture.context, &g, recipe, &o, &bytes, &error), &error, recipe);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune lists");
	TCase *heads = fixture_case(suite, "heads", 120), *bytes = fixture_case(suite, "bytes", 60);
	TCase *full = fixture_case(suite, "full", 120), *texts = fixture_case(suite, "texts", 60);
	fixture_some(heads, test_heads_hold_what_they_hold_alone, CASES, 1, 3, 6);
	fixture_some(heads, test_equal_numbers_are_one, 3, 0, 1);
	tcase_add_test(bytes, test_bytes_are_the_sum_of_the_heads);
	tcase_add_test(full, test_a_full_pool_names_its_layer);
	tcase_add_loop_test(full, test_max_tokens_fit_whatever_came_before, 0, 2);
	tcase_add_loop_test(full, test_no_room_is_never_another_error, 0, 2);
	tcase_add_test(texts, test_wrong_lists_are_refused);
	tcase_add_test(texts, test_eight_numbers_are_the_most);
	tcase_add_test(texts, test_lists_are_printed_in_full);
	tcase_add_loop_test(texts, test_lists_of_large_models, 0, 2);
	return fixture_run_shared(suite);
}
