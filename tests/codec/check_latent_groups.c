/* SPDX-License-Identifier: MIT */
/** \file check_latent_groups.c \brief Latents of several heads and of keys in front of RoPE: rows, attention, bytes, refusals,
 *  sequences. */
#include "ref/ref_half.h"
#include "ref/ref_rope.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/factors.h"
#include "support/fixture.h"
#include "support/latents.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AROUND " ; window=0,sinks=0"
enum { LAYERS = 2, HEADS = 4, DK = 32, DV = 48 };

/* Each layer's heads go in a circle of four, the second's the other way round: neither is its own inverse. */
static const int circles[LAYERS * HEADS] = {1, 2, 3, 0, 3, 0, 1, 2};
static const int inverse[LAYERS * HEADS] = {3, 0, 1, 2, 1, 2, 3, 0};

/* Of RoPE, where there is some: channels that turn, and what they are multiplied by. A test that changes them sets them back. */
static struct turning {
	int dims;
	float magnitude;
} turning = {DK, 1};

static clkv_geometry geometry(clkv_rope_kind rope)
{
	clkv_geometry g = feed_geometry(LAYERS, 2 * HEADS, HEADS, DK, DV);
	g.rope.kind = (int)rope;
	g.rope.dims = rope == CLKV_ROPE_NONE ? 0 : turning.dims;
	g.rope.attn_factor = rope == CLKV_ROPE_NONE ? 0 : turning.magnitude;
	return g;
}

static struct ref_rope reference_of(clkv_rope_kind kind)
{
	return (struct ref_rope){.pairs = kind == CLKV_ROPE_PAIRS,
	                         .dims = (size_t)turning.dims,
	                         .base = 10000,
	                         .attn_factor = (double)turning.magnitude};
}

static void open_feed(struct feed *feed, clkv_rope_kind rope, const char *recipe,
                      const struct factors *f)
{
	const clkv_geometry g = geometry(rope);
	latents_open(feed, &g, recipe, f);
}

static struct latents_rows rows;

static void make_factors(struct factors *f, clkv_rope_kind rope, enum factors_kind kind,
                         const struct factors_groups *groups, uint64_t seed)
{
	const clkv_geometry g = geometry(rope);
	factors_make_groups(f, &g, kind, groups, groups->heads_k * DK, groups->heads_v * DV, seed);
}

/* ---------------------------------------------------------------- what stands for a row ---- */

/* ReCalKV (a), the order of heads: with the inverse one, latents would be of other heads' rows. */
START_TEST(test_rows_are_those_that_latents_of_groups_stand_for)
{
	static const struct {
		const char *recipe;
		clkv_rope_kind rope;
		struct factors_groups groups;
		size_t k, v;
		struct turning turning;
	} cases[] = {
		{"lorc:k=16,v=32" AROUND, CLKV_ROPE_HALVES, {4, 4, true, NULL, 0, false}, 16, 32, {0, 0}},
		{"recalkv:k=16,v=32,heads=2" AROUND,
	     CLKV_ROPE_PAIRS,
	     {2, 4, true, circles, 0, false},
	     16,
	     32,
	     {0, 0}},
		{"lowrank:k=16,v=48,heads_k=4,heads_v=2" AROUND ",block=32",
	     CLKV_ROPE_HALVES,
	     {4, 2, false, circles, 0, false},
	     16,
	     48,
	     {0, 0}},
		{"lowrank:k=16,v=16,heads_v=0" AROUND,
	     CLKV_ROPE_NONE,
	     {1, 4, false, NULL, 0, false},
	     16,
	     16,
	     {0, 0}},
		{"lowrank:k=16,v=32,rope=before" AROUND,
	     CLKV_ROPE_HALVES,
	     {1, 1, true, NULL, 0, false},
	     16,
	     32,
	     {0, 0}},
		{"lorc:k=16,v=16" AROUND,
	     CLKV_ROPE_HALVES,
	     {4, 4, true, NULL, 0, false},
	     16,
	     16,
	     {20, 1.25f}},
		{"lorc:k=16,v=16" AROUND,
	     CLKV_ROPE_PAIRS,
	     {4, 4, true, NULL, 0, false},
	     16,
	     16,
	     {24, 0.5f}},
	};
	static struct stream stream;
	const struct factors_groups *g = &cases[_i].groups;
	struct factors f;
	struct feed feed;
	if (cases[_i].turning.dims > 0)
		turning = cases[_i].turning;
	make_factors(&f, cases[_i].rope, FACTORS_SCALED, g, 3);
	open_feed(&feed, cases[_i].rope, cases[_i].recipe, &f);
	latents_seal(&feed, &stream);
	const struct ref_rope rope = reference_of(cases[_i].rope);
	const bool turns = g->before && cases[_i].rope != CLKV_ROPE_NONE;
	const struct latents_side k = {.heads = HEADS,
	                               .dim = DK,
	                               .each = g->heads_k,
	                               .share = 1,
	                               .rank = g->heads_k * cases[_i].k,
	                               .order = g->k_order,
	                               .down = f.k_down,
	                               .up = f.k_up,
	                               .rope = turns ? &rope : NULL};
	const struct latents_side v = {.v = 1,
	                               .heads = HEADS,
	                               .dim = DV,
	                               .each = g->heads_v,
	                               .share = 1,
	                               .rank = g->heads_v * cases[_i].v,
	                               .down = f.v_down,
	                               .up = f.v_up};
	for (int l = 0; l < LAYERS; l++) {
		latents_read(&feed, &stream, l, &rows);
		latents_expect_rows(&k, (size_t)l, &rows);
		latents_expect_rows(&v, (size_t)l, &rows);
	}
	turning = (struct turning){DK, 1};
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

/* ReCalKV (a) again, of files: the same factors with the inverse order stand for other rows. */
START_TEST(test_an_order_is_not_its_inverse)
{
	static struct stream a, b;
	static double forth[LATENTS_MOST];
	struct factors_groups groups = {2, 4, true, circles, 0, false};
	struct factors f, g;
	struct feed x, y;
	double differs = 0, norm = 0;
	make_factors(&f, CLKV_ROPE_HALVES, FACTORS_ORTHOGONAL, &groups, 3);
	groups.k_order = inverse;
	make_factors(&g, CLKV_ROPE_HALVES, FACTORS_ORTHOGONAL, &groups, 3);
	open_feed(&x, CLKV_ROPE_HALVES, "recalkv:k=16,v=32,heads=2" AROUND, &f);
	open_feed(&y, CLKV_ROPE_HALVES, "recalkv:k=16,v=32,heads=2" AROUND, &g);
	latents_seal(&x, &a);
	latents_seal(&y, &b);
	latents_read(&x, &a, 0, &rows);
	memcpy(forth, rows.read[0], sizeof forth);
	latents_read(&y, &b, 0, &rows);
	for (size_t i = 0; i < LATENTS_TOKENS * HEADS * DK; i++) {
		differs += pow(forth[i] - rows.read[0][i], 2);
		norm += pow(forth[i], 2);
	}
	ck_assert_double_gt(differs, 0.1 * norm);
	feed_close(&x);
	feed_close(&y);
	factors_free(&f);
	factors_free(&g);
}
END_TEST

/* LoRC (b): orthonormal factors lose of a layer's rows what the left-out latents would have held. */
START_TEST(test_what_is_lost_is_what_the_left_out_latents_hold)
{
	static struct stream stream;
	const struct factors_groups groups = {4, 4, true, NULL, 0, false};
	struct factors f;
	struct feed feed;
	const struct ref_rope rope = reference_of(CLKV_ROPE_HALVES);
	make_factors(&f, CLKV_ROPE_HALVES, FACTORS_ORTHOGONAL, &groups, 5);
	open_feed(&feed, CLKV_ROPE_HALVES, "lorc:k=16,v=16" AROUND, &f);
	latents_seal(&feed, &stream);
	latents_read(&feed, &stream, 1, &rows);
	for (size_t t = 0; t < LATENTS_TOKENS; t++) {
		enum { ALL = HEADS * DK, KEPT = HEADS * 16 };
		double x[ALL], lost = 0, dropped = 0, norm = 0;
		for (size_t c = 0; c < ALL; c++) {
			x[c] = rows.given[0][t * ALL + c];
			lost += pow(x[c] - rows.read[0][t * ALL + c], 2);
			norm += x[c] * x[c];
		}
		for (size_t h = 0; h < HEADS; h++)
			latents_turn(&rope, -(double)t, x + h * DK);
		for (size_t r = KEPT; r < ALL; r++) {
			double z = 0;
			for (size_t c = 0; c < ALL; c++)
				z += x[c] * (double)f.k_down[(ALL + c) * ALL + r];
			dropped += z * z;
		}
		EACH_MSG(fabs(sqrt(lost) - sqrt(dropped)) <= 3 * REF_HALF_EPS * sqrt(norm),
		         "token %zu: %g, not %g", t, sqrt(lost), sqrt(dropped));
	}
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

/* LoRC (a), ReCalKV (a): all latents give what rows in half give. */
START_TEST(test_full_rank_gives_what_half_gives)
{
	static const struct {
		const char *recipe;
		clkv_rope_kind rope;
		struct factors_groups groups;
	} cases[] = {
		{"lorc:rank=1 ; window=16,sinks=4", CLKV_ROPE_HALVES, {4, 4, true, NULL, 0, false}},
		{"recalkv:k=1,v=1,heads=2 ; window=16,sinks=4",
	     CLKV_ROPE_PAIRS,
	     {2, 4, true, circles, 0, false}},
	};
	static struct stream stream;
	struct factors f;
	struct feed feed;
	make_factors(&f, cases[_i].rope, FACTORS_ORTHOGONAL, &cases[_i].groups, 7);
	open_feed(&feed, cases[_i].rope, cases[_i].recipe, &f);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, LATENTS_TOKENS, CLKV_PROMPT_END, 1, NULL);
	expect_rows(&feed, &stream, 5, CLKV_DECODE, 2, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

static const char *const attended[] = {
	"lorc:k=16,v=32 ; window=40,sinks=3",
	"recalkv:k=16,v=16,heads=2 | kivi:bits=4 ; window=40,sinks=3",
	"lowrank:heads_k=2,k=16,v=48 | q:k=6,v=5,axis_k=token,axis_v=channel ; window=40,block=32",
	"lowrank:heads_v=0,k=16,v=32 | kivi:bits=3,group=16 ; window=40,skip=1",
	"lowrank:rope=before,rank=1 | kivi:bits=8,group=64 ; window=40,block=128",
	"lorc:rank=0.5 | q:k=5,v=2,sym=1 ; window=40",
	"layers=0: lorc:rank=1 ; 1-: lorc:k=16,v=32 | kivi:bits=2 ; window=40",
};

/* Attention is that of the rows as they are read, in generation and in prompts; with every other one, of channels of which RoPE turns
 * some and scales them. */
START_TEST(test_attention_is_that_of_expanded_rows)
{
	struct feed feed;
	turning = _i % 2 ? (struct turning){20, 1.25f} : (struct turning){DK, 1};
	open_feed(&feed, CLKV_ROPE_HALVES, attended[_i], NULL);
	expect_attends_as_read(&feed);
	turning = (struct turning){DK, 1};
	feed_close(&feed);
}
END_TEST

static void answer(struct feed *feed, struct stream *stream, struct feed_result *result)
{
	stream_open(feed, stream);
	feed_one(feed, stream, LATENTS_TOKENS, CLKV_PROMPT_END, 1, NULL);
	feed_one(feed, stream, 12, CLKV_DECODE, 2, result);
}

/* LoRC (d): without RoPE a query that takes K's factor and keys that are made whole give the same; with it, what would fold is
 * refused. */
START_TEST(test_folded_and_expanded_agree_without_rope)
{
	static const char *const recipes[] = {"lowrank:k=16,v=32 ; window=20",
	                                      "lowrank:k=16,v=32 | kivi:bits=4 ; window=20"};
	static struct stream a, b;
	const clkv_geometry g = geometry(CLKV_ROPE_NONE), turned = geometry(CLKV_ROPE_HALVES);
	const struct factors_groups groups = {1, 1, true, NULL, 0, false};
	char before[80] = "lowrank:rope=before";
	struct factors own, group;
	struct feed folds, expands;
	struct feed_result x, y;
	strcat(strcat(before, ","), recipes[_i] + strlen("lowrank:"));
	factors_make(&own, &g, FACTORS_SCALED, DK, DV, 3);
	make_factors(&group, CLKV_ROPE_NONE, FACTORS_SCALED, &groups, 3);
	open_feed(&folds, CLKV_ROPE_NONE, recipes[_i], &own);
	open_feed(&expands, CLKV_ROPE_NONE, before, &group);
	answer(&folds, &a, &x);
	answer(&expands, &b, &y);
	ck_assert_double_le(expect_difference(&folds, &x, &y), BOUND_ATTEND_CODES);
	factors_expect_no_cache(&g, recipes[_i], &group.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                        "in front of RoPE");
	factors_expect_no_cache(&turned, before, &group.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                        "rope.kind is 0");
	factors_expect_no_cache(&g, before, &own.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                        "isn't one of groups");
	feed_result_close(&x);
	feed_result_close(&y);
	feed_close(&folds);
	feed_close(&expands);
	factors_free(&own);
	factors_free(&group);
}
END_TEST

/* ---------------------------------------------------------------- bits and bytes ---- */

/* 16 (r_k + r_v) bits of a token and head, of codes as many as they have; factors of each head's share and of its rows, and the
 * numbers of the group's heads. */
START_TEST(test_bytes_are_those_of_the_formula)
{
	static const struct {
		const char *recipe;
		size_t block, factors;
	} formulas[] = {
		{"lorc:k=16,v=32" AROUND, 64 * 2 * (16 + 32), 2 * 4 * (32 * 16 + 48 * 32) + 8},
		{"recalkv:k=16,v=32,heads=2 | kivi:bits=4" AROUND, 64 * (16 + 32) / 2 + 16 * 2 * 4 + 64 * 4,
	     2 * (2 * 32 * 16 + 4 * 48 * 32) + 6},
		{"lowrank:heads_v=0,k=16,v=16" AROUND, 64 * 2 * (16 + 16), 2 * (32 * 16 + 4 * 48 * 16) + 4},
		{"lowrank:rope=before,k=32,v=16" AROUND, 64 * 2 * (32 + 16), 2 * (32 * 32 + 48 * 16)},
	};
	static struct stream stream;
	struct feed feed;
	open_feed(&feed, CLKV_ROPE_HALVES, formulas[_i].recipe, NULL);
	latents_seal(&feed, &stream);
	ck_assert_uint_eq(feed_stats(&feed).used_sealed, 3 * LAYERS * HEADS * formulas[_i].block);
	const clkv_geometry g = geometry(CLKV_ROPE_HALVES);
	const clkv_cache_options o = feed_room(600, 3);
	ck_assert_uint_eq(feed_required(fixture.context, &g, formulas[_i].recipe, &o).rotation,
	                  LAYERS * HEADS * 4 * formulas[_i].factors);
	feed_close(&feed);
}
END_TEST

START_TEST(test_the_same_text_makes_the_same_bits)
{
	struct feed feed;
	open_feed(&feed, CLKV_ROPE_HALVES, attended[1], NULL);
	memory_expect_same_pieces(&feed);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

static const struct {
	const char *recipe, *word;
} refused[] = {
	{"lowrank:heads_k=3", "numbers that divide the model's 4"},
	{"lowrank:heads_v=8", "of V of 8 KV heads"},
	{"recalkv:heads=3", "of K of 3 KV heads"},
	{"recalkv:heads=1,k=16", "multiples of 32"},
	{"lowrank:rope=between", "rope"},
	{"lorc:rank=0", "rank"},
	{"lorc:k=24", "multiples of 16"},
	{"lorc:k=48", "the rank of K is 48"},
	{"recalkv:v=64", "the rank of V is 64"},
	{"lorc | kvcomp", "'bounded'"},
	{"recalkv | q:rot=hadamard", "hadamard"},
	{"lorc | recalkv", "recalkv"},
	{"h2o:budget=64 | lorc", "'h2o'"},
	{"think:keep=0.5 | recalkv", "prunes"},
	{"lorc | topk:recall=64", "lorc"},
};

START_TEST(test_what_does_not_go_together_is_refused)
{
	const clkv_geometry g = geometry(CLKV_ROPE_HALVES);
	expect_refused(fixture.context, &g, refused[_i].recipe, &refused[_i].word, 1);
}
END_TEST

/* ---------------------------------------------------------------- sequences ---- */

START_TEST(test_snapshots_forks_and_cuts)
{
	static const char recipe[] = "recalkv:k=16,v=32,heads=2 | kivi:bits=4 ; window=20";
	const struct factors_groups groups = {2, 4, true, circles, 0, false},
								whole = {4, 4, true, NULL, 0, false};
	struct factors f, other;
	struct feed feed, same, smaller, foreign;
	make_factors(&f, CLKV_ROPE_HALVES, FACTORS_SCALED, &groups, 1);
	make_factors(&other, CLKV_ROPE_HALVES, FACTORS_SCALED, &whole, 2);
	open_feed(&feed, CLKV_ROPE_HALVES, recipe, &f);
	open_feed(&same, CLKV_ROPE_HALVES, recipe, &f);
	open_feed(&smaller, CLKV_ROPE_HALVES, "recalkv:k=16,v=32,heads=2 ; window=20,block=32", &f);
	open_feed(&foreign, CLKV_ROPE_HALVES, "lorc:k=16,v=32 | kivi:bits=4 ; window=20", &other);
	latents_expect_life(&feed, &same, &smaller, &foreign, "factors file");
	feed_close(&feed);
	feed_close(&same);
	feed_close(&smaller);
	feed_close(&foreign);
	factors_free(&f);
	factors_free(&other);
}
END_TEST

/* Latents of keys in front of RoPE know no position: what lies behind a gap moves, its keys turned by the gap. Orthonormal factors of
 * all latents lose roundings to half alone, twice. */
START_TEST(test_tokens_leave_from_the_middle)
{
	static struct stream stream;
	const struct factors_groups groups = {4, 4, true, NULL, 0, false};
	struct factors f;
	struct feed feed;
	clkv_error error;
	const struct ref_rope rope = reference_of(CLKV_ROPE_HALVES);
	enum { FROM = 10, GAP = 30, LEFT = LATENTS_TOKENS - GAP };
	make_factors(&f, CLKV_ROPE_HALVES, FACTORS_ORTHOGONAL, &groups, 5);
	open_feed(&feed, CLKV_ROPE_HALVES, "lorc:rank=1" AROUND, &f);
	latents_seal(&feed, &stream);
	feed_rows(&feed, 0, FEED_K, stream.row, LATENTS_TOKENS, rows.given[0]);
	feed_rows(&feed, 0, FEED_V, stream.row, LATENTS_TOKENS, rows.given[1]);
	ck_assert_msg(clkv_seq_remove(stream.seq, FROM, FROM + GAP, feed.queue, &error) == CLKV_OK,
	              "%s", error.text);
	feed_read(&feed, &stream, 0, 0, LEFT, rows.read[0], rows.read[1]);
	for (size_t i = 0; i < LEFT * HEADS; i++) {
		const size_t t = i / HEADS, from = (t < FROM ? t : t + GAP) * HEADS + i % HEADS;
		double *k = rows.given[0] + from * DK, *v = rows.given[1] + from * DV;
		if (t >= FROM)
			latents_turn(&rope, -GAP, k);
		EACH_MSG(fabs(rows.read[0][i * DK + i % DK] - k[i % DK]) < 0.02, "K of token %zu", t);
		EACH_MSG(fabs(rows.read[1][i * DV + i % DV] - v[i % DV]) < 0.02, "V of token %zu", t);
	}
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("latent groups");
	TCase *stored = fixture_case(suite, "stored", 60),
		  *attend = fixture_case(suite, "attention", 90);
	TCase *bytes = fixture_case(suite, "bytes", 30), *files = fixture_case(suite, "files", 60);
	fixture_some(stored, test_rows_are_those_that_latents_of_groups_stand_for, 7, 0, 1, 2, 3, 5);
	tcase_add_test(stored, test_an_order_is_not_its_inverse);
	tcase_add_test(stored, test_what_is_lost_is_what_the_left_out_latents_hold);
	tcase_add_loop_test(attend, test_full_rank_gives_what_half_gives, 0, 2);
	fixture_some(attend, test_attention_is_that_of_expanded_rows,
	             sizeof attended / sizeof attended[0], 1, 2, 3);
	tcase_add_loop_test(attend, test_folded_and_expanded_agree_without_rope, 0, 2);
	tcase_add_loop_test(bytes, test_bytes_are_those_of_the_formula, 0, 4);
	tcase_add_test(bytes, test_the_same_text_makes_the_same_bits);
	tcase_add_loop_test(files, test_what_does_not_go_together_is_refused, 0,
	                    (int)(sizeof refused / sizeof refused[0]));
	tcase_add_test(files, test_snapshots_forks_and_cuts);
	tcase_add_test(files, test_tokens_leave_from_the_middle);
	return fixture_run_shared(suite);
}
