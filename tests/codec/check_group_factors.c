/* SPDX-License-Identifier: MIT */
/** \file check_group_factors.c \brief Files of factors of several heads and layers: foreign and damaged ones, and what can't be
 *  written. */
#include "support/factors.h"
#include "support/fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DK = 32, DV = 48 };

/* Neither layer's order of four heads is its own inverse. */
static const int circles[2 * 4] = {1, 2, 3, 0, 3, 0, 1, 2};

static clkv_geometry geometry(int layers, int heads)
{
	clkv_geometry g = feed_geometry(layers, 2 * heads, heads, DK, DV);
	g.rope.kind = CLKV_ROPE_HALVES;
	g.rope.dims = DK;
	return g;
}

/* Behind the magic: words, of files of layers one more, the model, a layer's two orders, factors; a checksum at the end. */
static const char *const words[] = {"version",     "layers",    "kv_heads", "head_dim_k",
                                    "head_dim_v",  "rope.kind", "heads_k",  "heads_v",
                                    "before_rope", "rank_k",    "rank_v"};
enum {
	WORDS = sizeof words / sizeof words[0],
	WORDS_AT = 8,
	MODEL_AT = WORDS_AT + 4 * WORDS,
	ORDER_AT = MODEL_AT + 8,
	FACTORS_AT = ORDER_AT + 2 * 4 * 4,
	SHARE_AT = MODEL_AT,
	SHARED_ORDER_AT = SHARE_AT + 4 + 8
};

/* ---------------------------------------------------------------- of heads ---- */

static uint32_t bits_of(float x)
{
	uint32_t bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

START_TEST(test_foreign_and_damaged_files_of_heads_are_named)
{
	static const char recipe[] = "recalkv:k=16,v=32,heads=2";
	const clkv_geometry g = geometry(2, 4);
	const struct factors_groups groups = {2, 4, true, circles, 0, false};
	struct factors f;
	factors_make_groups(&f, &g, FACTORS_SCALED, &groups, 48, 140, 1);
	for (size_t i = 0; i < WORDS; i++) {
		char text[40];
		snprintf(text, sizeof text, "%s is 0", words[i]);
		factors_expect_foreign(&g, recipe, &f.file, WORDS_AT + 4 * i, 0,
		                       CLKV_ERROR_INVALID_ARGUMENT, text);
		snprintf(text, sizeof text, "%s is 300", words[i]);
		factors_expect_foreign(&g, recipe, &f.file, WORDS_AT + 4 * i, 300,
		                       CLKV_ERROR_INVALID_ARGUMENT, text);
	}
	factors_expect_foreign(&g, recipe, &f.file, MODEL_AT, 7, CLKV_ERROR_INVALID_ARGUMENT, "model");
	factors_expect_foreign(&g, recipe, &f.file, ORDER_AT, 0, CLKV_ERROR_CORRUPT,
	                       "KV head 0 2 times");
	factors_expect_foreign(&g, recipe, &f.file, ORDER_AT, 4, CLKV_ERROR_CORRUPT,
	                       "KV head 1 0 times");
	factors_expect_foreign(&g, recipe, &f.file, ORDER_AT + 28, 0, CLKV_ERROR_CORRUPT,
	                       "order of V in layer 0");
	factors_expect_foreign(&g, recipe, &f.file, FACTORS_AT, bits_of(NAN), CLKV_ERROR_CORRUPT,
	                       "K, layer 0, group 0");
	factors_expect_foreign(&g, recipe, &f.file, f.file.n - 12, bits_of(1.0001e6f),
	                       CLKV_ERROR_CORRUPT, "V, layer 1, group 0");
	f.file.bytes[FACTORS_AT + 4001] ^= 1;
	factors_expect_no_cache(&g, recipe, &f.file, 0, CLKV_ERROR_CORRUPT, "checksum");
	f.file.bytes[FACTORS_AT + 4001] ^= 1;
	f.file.n -= 8;
	factors_expect_no_cache(&g, recipe, &f.file, 0, CLKV_ERROR_CORRUPT, "bytes");
	f.file.n += 8;
	/* ranks, groups and recipes that it doesn't serve */
	factors_expect_no_cache(&g, "recalkv:k=32,v=32,heads=2", &f.file, 0,
	                        CLKV_ERROR_INVALID_ARGUMENT, "rank_k is 48, and the recipe's is 32");
	factors_expect_no_cache(&g, "recalkv:k=16,v=48,heads=2", &f.file, 0,
	                        CLKV_ERROR_INVALID_ARGUMENT, "rank_v is 140");
	factors_expect_no_cache(&g, "lorc:k=16,v=32", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                        "heads_k is 2; allowed: the cache's 4");
	factors_expect_no_cache(&g, "lowrank:k=16,v=32,heads_k=2,heads_v=4", &f.file, 0,
	                        CLKV_ERROR_INVALID_ARGUMENT, "before_rope is 1");
	factors_expect_no_cache(&g, "layers=0: lorc ; 1-: recalkv:heads=2", &f.file, 0,
	                        CLKV_ERROR_INVALID_ARGUMENT, "different groups");
	factors_expect_no_cache(&g, "layers=0: lorc ; 1-: csr:chunks_v=1", &f.file, 0,
	                        CLKV_ERROR_INVALID_ARGUMENT, "different groups");
	factors_expect_no_cache(&g, "csr:chunks_v=1", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                        "own rows");
	factors_expect_no_cache(&g, "lorc", NULL, 0, CLKV_ERROR_INVALID_ARGUMENT, "factors is NULL");
	factors_free(&f);
}
END_TEST

START_TEST(test_groups_of_heads_that_cannot_be_written_are_named)
{
	static const int twice[2 * 4] = {0, 1, 2, 3, 0, 1, 1, 3};
	static float zeros[2 * 4 * 4 * DV * DV];
	static const struct {
		int heads_k, heads_v, before, rank_k, rank_v;
		const int *order;
		clkv_status want;
		const char *text;
	} wrong[] = {
		{3, 0, 0, 16, 16, NULL, CLKV_ERROR_INVALID_ARGUMENT, "heads_k is 3"},
		{0, -1, 0, 16, 16, NULL, CLKV_ERROR_INVALID_ARGUMENT, "heads_v is -1"},
		{2, 2, 2, 16, 16, NULL, CLKV_ERROR_INVALID_ARGUMENT, "before_rope is 2"},
		{2, 2, 1, 65, 16, NULL, CLKV_ERROR_INVALID_ARGUMENT, "rank_k is 65"},
		{2, 2, 1, 64, 97, NULL, CLKV_ERROR_INVALID_ARGUMENT, "rank_v is 97"},
		{2, 2, 1, 16, 16, twice, CLKV_ERROR_CORRUPT, "KV head 1 2 times"},
	};
	const clkv_geometry g = geometry(2, 4);
	struct memory_file file = {0};
	clkv_error error;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		clkv_factors f = CLKV_INIT(clkv_factors);
		f.rank_k = wrong[i].rank_k, f.rank_v = wrong[i].rank_v;
		f.k_down = f.k_up = f.v_down = f.v_up = zeros;
		f.heads_k = wrong[i].heads_k, f.heads_v = wrong[i].heads_v;
		f.before_rope = wrong[i].before;
		f.order_k = wrong[i].order;
		ck_assert_int_eq(clkv_factors_write(&g, 0, &f, memory_write, &file, &error), wrong[i].want);
		ck_assert_msg(strstr(error.text, wrong[i].text) != NULL, "%s", error.text);
	}
	ck_assert_uint_eq(file.n, 0);
}
END_TEST

/* ---------------------------------------------------------------- of layers ---- */

START_TEST(test_foreign_and_damaged_files_of_layers_are_named)
{
	static const char recipe[] = "clla:k=16,v=16";
	const struct factors_groups one = {2, 2, true, NULL, 1, false},
								two = {2, 2, true, NULL, 2, true};
	const clkv_geometry g = geometry(4, 2);
	struct factors f, lorc;
	factors_make_groups(&f, &g, FACTORS_SCALED, &two, 2 * 2 * DK, 2 * 2 * DV, 1);
	factors_make_groups(&lorc, &g, FACTORS_SCALED, &one, 2 * DK, 2 * DV, 1);
	for (size_t i = 1; i < WORDS; i++) {
		char text[40];
		snprintf(text, sizeof text, "%s is 0", words[i]);
		factors_expect_foreign(&g, recipe, &f.file, WORDS_AT + 4 * i, 0,
		                       CLKV_ERROR_INVALID_ARGUMENT, text);
	}
	factors_expect_foreign(&g, recipe, &f.file, WORDS_AT, 3, CLKV_ERROR_INVALID_ARGUMENT,
	                       "of 1 layers together");
	factors_expect_foreign(&g, recipe, &f.file, SHARE_AT, 4, CLKV_ERROR_INVALID_ARGUMENT,
	                       "of 4 layers together");
	factors_expect_foreign(&g, recipe, &f.file, SHARE_AT, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                       "of 0 layers together");
	/* the second layer's order of K stands behind the first's of V */
	factors_expect_foreign(&g, recipe, &f.file, SHARED_ORDER_AT + 4 * 2 * 2, 1, CLKV_ERROR_CORRUPT,
	                       "order of K in layer 1");
	factors_expect_no_cache(&g, recipe, &lorc.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                        "of 1 layers together; allowed: the recipe's 2");
	factors_expect_no_cache(&g, "lorc:k=16,v=16", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                        "of 2 layers together; allowed: the recipe's 1");
	factors_expect_no_cache(&g, "lowrank:share=4,heads_k=2,rope=before", &f.file, 0,
	                        CLKV_ERROR_INVALID_ARGUMENT, "of 2 layers together");
	factors_expect_no_cache(&g, "layers=0-1: clla ; 2-: lorc", &f.file, 0,
	                        CLKV_ERROR_INVALID_ARGUMENT, "different groups");
	f.file.n -= 8;
	factors_expect_no_cache(&g, recipe, &f.file, 0, CLKV_ERROR_CORRUPT, "bytes");
	f.file.n = SHARE_AT;
	factors_expect_no_cache(&g, recipe, &f.file, 0, CLKV_ERROR_CORRUPT, "");
	factors_expect_no_cache(&g, "clla", NULL, 0, CLKV_ERROR_INVALID_ARGUMENT, "factors is NULL");
	factors_free(&f);
	factors_free(&lorc);
}
END_TEST

START_TEST(test_shares_that_cannot_be_written_are_named)
{
	static float zeros[4 * 2 * 16 * DV];
	static const struct {
		int share, rank_k;
		const char *text;
	} wrong[] = {{3, 16, "share is 3"}, {-1, 16, "share is -1"}, {2, 129, "rank_k is 129"}};
	const clkv_geometry g = geometry(4, 2);
	struct memory_file file = {0};
	clkv_error error;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		clkv_factors f = CLKV_INIT(clkv_factors);
		f.rank_k = wrong[i].rank_k, f.rank_v = 16;
		f.k_down = f.k_up = f.v_down = f.v_up = zeros;
		f.heads_k = f.heads_v = 2;
		f.before_rope = 1;
		f.share = wrong[i].share;
		ck_assert_int_eq(clkv_factors_write(&g, 0, &f, memory_write, &file, &error),
		                 CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_msg(strstr(error.text, wrong[i].text) != NULL, "%s", error.text);
	}
	ck_assert_uint_eq(file.n, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("group factors");
	TCase *heads = fixture_case(suite, "heads", 60), *layers = fixture_case(suite, "layers", 60);
	tcase_add_test(heads, test_foreign_and_damaged_files_of_heads_are_named);
	tcase_add_test(heads, test_groups_of_heads_that_cannot_be_written_are_named);
	tcase_add_test(layers, test_foreign_and_damaged_files_of_layers_are_named);
	tcase_add_test(layers, test_shares_that_cannot_be_written_are_named);
	return fixture_run_shared(suite);
}
