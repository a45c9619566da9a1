/* SPDX-License-Identifier: MIT */
/** \file check_latent_layers.c \brief Latents that several layers share: rows, attention, bytes, refusals, sequences. */
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
enum { LAYERS = 4, HEADS = 2, DK = 32, DV = 48 };

/* Layers whose heads change places, and others whose don't. */
static const int crossed[LAYERS * HEADS] = {1, 0, 0, 1, 0, 1, 1, 0};

static clkv_geometry geometry(void)
{
	clkv_geometry g = feed_geometry(LAYERS, 2 * HEADS, HEADS, DK, DV);
	g.rope.kind = CLKV_ROPE_HALVES;
	g.rope.dims = DK;
	return g;
}

static void open_feed(struct feed *feed, const char *recipe, const struct factors *f)
{
	const clkv_geometry g = geometry();
	latents_open(feed, &g, recipe, f);
}

static struct latents_rows rows[LAYERS];

static void make_factors(struct factors *f, enum factors_kind kind,
                         const struct factors_groups *groups, uint64_t seed)
{
	const clkv_geometry g = geometry();
	factors_make_groups(f, &g, kind, groups, groups->share * groups->heads_k * DK,
	                    groups->share * groups->heads_v * DV, seed);
}

/* ---------------------------------------------------------------- what stands for a row ---- */

/* CLLA (b), (d) where each layer seals a share: rows of all layers of a group are made of its latents, which with `first` are of the
 * first layer's rows alone, whatever the others appended. */
START_TEST(test_rows_are_those_that_latents_of_layers_stand_for)
{
	static const struct {
		const char *recipe;
		struct factors_groups groups;
		size_t k, v;
	} cases[] = {
		{"clla:share=2,k=16,v=16" AROUND, {2, 2, true, NULL, 2, true}, 16, 16},
		{"lowrank:share=4,rank=16,heads_k=2,rope=before" AROUND ",block=32",
	     {2, 1, true, NULL, 4, true},
	     16,
	     16},
		{"lowrank:share=2,heads_k=2,k=16,v=32,rope=before" AROUND,
	     {2, 1, true, crossed, 2, false},
	     16,
	     32},
		{"lowrank:share=4,k=16,v=16" AROUND, {1, 1, false, crossed, 4, false}, 16, 16},
	};
	static struct stream stream;
	const struct factors_groups *g = &cases[_i].groups;
	const size_t n = g->share;
	struct factors f;
	struct feed feed;
	make_factors(&f, FACTORS_SCALED, g, 3);
	open_feed(&feed, cases[_i].recipe, &f);
	latents_seal(&feed, &stream);
	for (int l = 0; l < LAYERS; l++)
		latents_read(&feed, &stream, l, &rows[l]);
	const struct ref_rope rope = {.dims = DK, .base = 10000, .attn_factor = 1};
	const struct latents_side k = {.heads = HEADS,
	                               .dim = DK,
	                               .each = g->heads_k,
	                               .share = n,
	                               .rank = n * g->heads_k * cases[_i].k,
	                               .order = g->k_order,
	                               .down = f.k_down,
	                               .up = f.k_up,
	                               .rope = g->before ? &rope : NULL};
	const struct latents_side v = {.v = 1,
	                               .heads = HEADS,
	                               .dim = DV,
	                               .each = g->heads_v,
	                               .share = n,
	                               .rank = n * g->heads_v * cases[_i].v,
	                               .down = f.v_down,
	                               .up = f.v_up};
	for (size_t first = 0; first < LAYERS; first += n) {
		latents_expect_rows(&k, first, rows + first);
		latents_expect_rows(&v, first, rows + first);
	}
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

static void answer(struct feed *feed, struct stream *stream, struct feed_result *result)
{
	stream_open(feed, stream);
	feed_one(feed, stream, LATENTS_TOKENS, CLKV_PROMPT_END, 1, NULL);
	feed_one(feed, stream, 12, CLKV_DECODE, 2, result);
}

/* CLLA (a): one layer's latents are those of all its heads. */
START_TEST(test_share_of_one_is_latents_of_all_heads)
{
	static struct stream a, b;
	const struct factors_groups groups = {2, 2, true, NULL, 1, false};
	struct factors f;
	struct feed one, all;
	struct feed_result x, y;
	make_factors(&f, FACTORS_SCALED, &groups, 3);
	open_feed(&one, "clla:share=1,k=16,v=32 ; window=20", &f);
	open_feed(&all, "lorc:k=16,v=32 ; window=20", &f);
	answer(&one, &a, &x);
	answer(&all, &b, &y);
	ck_assert_double_eq(expect_difference(&one, &x, &y), 0);
	feed_result_close(&x);
	feed_result_close(&y);
	feed_close(&one);
	feed_close(&all);
	factors_free(&f);
}
END_TEST

/* CLLA (a): all latents of a group, whose factors can be inverted, give what rows in half give. */
START_TEST(test_full_width_gives_what_half_gives)
{
	static struct stream stream;
	const struct factors_groups groups = {2, 2, true, crossed, 2, false};
	struct factors f;
	struct feed feed;
	make_factors(&f, FACTORS_ORTHOGONAL, &groups, 7);
	open_feed(&feed, "lowrank:share=2,heads_k=2,heads_v=2,rank=1,rope=before ; window=16,sinks=4",
	          &f);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, LATENTS_TOKENS, CLKV_PROMPT_END, 1, NULL);
	expect_rows(&feed, &stream, 5, CLKV_DECODE, 2, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

static const char *const attended[] = {
	"clla:share=2,k=16,v=16 | kivi:bits=4 ; window=40,sinks=3",
	"clla:share=2,k=16,v=16 ; window=40,skip=2",
	"lowrank:share=4,k=16,v=48 | q:k=6,v=5,axis_k=token,axis_v=channel ; window=40,block=32",
	"layers=0-1: kivi:bits=4 ; 2-: clla:k=16,v=16 | kivi:bits=2,group=16 ; window=40",
};

/* Attention is that of the rows as they are read, in generation and in prompts. */
START_TEST(test_attention_is_that_of_expanded_rows)
{
	struct feed feed;
	open_feed(&feed, attended[_i], NULL);
	expect_attends_as_read(&feed);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- bits and bytes ---- */

/* CLLA (e): a token of a group of n layers has R latents of K and as many of V, n HEADS 16 each, whatever n is; and each head the
 * factors of its share and rows, with the numbers of the group's heads. */
START_TEST(test_bytes_are_those_of_the_formula)
{
	static const struct {
		const char *recipe;
		size_t share, heads_v, latents; /* of a group and token, both sides */
	} formulas[] = {
		{"clla:share=2,k=16,v=16" AROUND, 2, 2, 2 * 2 * HEADS * 16},
		{"lowrank:share=4,rank=16,heads_k=2,rope=before" AROUND, 4, 1, 2 * 4 * HEADS * 16},
	};
	static struct stream stream;
	const size_t n = formulas[_i].share, v = n * formulas[_i].heads_v, k = n * HEADS, blocks = 3;
	struct feed feed;
	open_feed(&feed, formulas[_i].recipe, NULL);
	latents_seal(&feed, &stream);
	ck_assert_uint_eq(feed_stats(&feed).used_sealed,
	                  LAYERS / n * formulas[_i].latents * 2 * 64 * blocks);
	const clkv_geometry g = geometry();
	const clkv_cache_options o = feed_room(600, 3);
	ck_assert_uint_eq(feed_required(fixture.context, &g, formulas[_i].recipe, &o).rotation,
	                  LAYERS * HEADS * 4 * (2 * 16 * (k * DK + v * DV) + k + v));
	feed_close(&feed);
}
END_TEST

START_TEST(test_the_same_text_makes_the_same_bits)
{
	struct feed feed;
	open_feed(&feed, attended[0], NULL);
	memory_expect_same_pieces(&feed);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

static const struct {
	const char *recipe, *word;
} refused[] = {
	{"clla:share=3", "divide the model's 4 layers"},
	{"clla:share=0", "share"},
	{"lowrank:share=8", "latents of 8 layers"},
	{"clla:share=2,k=32", "32 latents of K in each of 2 layers"},
	{"clla:share=2,v=32", "32 latents of V"},
	{"clla:k=24", "multiples of 16"},
	{"clla ; skip=1", "another recipe or are skipped"},
	{"layers=0: f16 ; 1-: clla", "another recipe"},
	{"layers=0,2: f16 ; 1,3: clla", "another recipe"},
	{"layers=0-1: clla ; 2: kivi ; 3: lowrank:share=2", "another recipe"},
	{"clla | kvcomp", "'bounded'"},
	{"clla | q:rot=hadamard", "hadamard"},
	{"clla | lorc", "lorc"},
	{"h2o:budget=64 | clla", "'h2o'"},
	{"clla | topk:recall=64", "clla"},
	{"clla | place:where=host", "several layers share"},
};

START_TEST(test_what_does_not_go_together_is_refused)
{
	const clkv_geometry g = geometry();
	expect_refused(fixture.context, &g, refused[_i].recipe, &refused[_i].word, 1);
}
END_TEST

/* ---------------------------------------------------------------- sequences ---- */

START_TEST(test_snapshots_forks_and_cuts)
{
	static const char recipe[] = "clla:k=16,v=16 | kivi:bits=4 ; window=20";
	const struct factors_groups two = {2, 2, true, NULL, 2, true},
								four = {2, 1, true, NULL, 4, true};
	struct factors f, other;
	struct feed feed, same, smaller, foreign;
	make_factors(&f, FACTORS_SCALED, &two, 1);
	make_factors(&other, FACTORS_SCALED, &four, 2);
	open_feed(&feed, recipe, &f);
	open_feed(&same, recipe, &f);
	open_feed(&smaller, "clla:k=16,v=16 ; window=20,block=32", &f);
	open_feed(&foreign, "lowrank:share=4,heads_k=2,rope=before | kivi:bits=4 ; window=20", &other);
	latents_expect_life(&feed, &same, &smaller, &foreign, "factors file");
	feed_close(&feed);
	feed_close(&same);
	feed_close(&smaller);
	feed_close(&foreign);
	factors_free(&f);
	factors_free(&other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("latent layers");
	TCase *stored = fixture_case(suite, "stored", 60),
		  *attend = fixture_case(suite, "attention", 90);
	TCase *bytes = fixture_case(suite, "bytes", 30), *files = fixture_case(suite, "files", 60);
	tcase_add_loop_test(stored, test_rows_are_those_that_latents_of_layers_stand_for, 0, 4);
	tcase_add_test(attend, test_share_of_one_is_latents_of_all_heads);
	tcase_add_test(attend, test_full_width_gives_what_half_gives);
	fixture_some(attend, test_attention_is_that_of_expanded_rows,
	             sizeof attended / sizeof attended[0], 0, 3);
	tcase_add_loop_test(bytes, test_bytes_are_those_of_the_formula, 0, 2);
	tcase_add_test(bytes, test_the_same_text_makes_the_same_bits);
	tcase_add_loop_test(files, test_what_does_not_go_together_is_refused, 0,
	                    (int)(sizeof refused / sizeof refused[0]));
	tcase_add_test(files, test_snapshots_forks_and_cuts);
	return fixture_run_shared(suite);
}
