/* SPDX-License-Identifier: MIT */
/** \file check_recall.c \brief Recall attends to exactly the tokens that a sort of all scores chooses, and to the rest. */
#include "support/expect.h"
#include "support/fixture.h"
#include "support/pairs.h"
#include "support/recalled.h"

#include <stdio.h>

#define AROUND " ; window=32,sinks=5"

static const char *const recipes[] = {
	"topk:recall=64,every=128" AROUND,
	"topk:recall=50,gqa=group,every=128 ; window=0,sinks=0,seal=chunk",
	/* pages that don't divide what is sealed; a last page that is cut */
	"pages:recall=70,page=16,every=128 ; window=33,sinks=7,skip=1",
	"pages:recall=45,page=8,gqa=group,every=256 ; window=16,sinks=1,block=32",
	"clusterkv:recall=60,per=8,every=128" AROUND,
	"clusterkv:recall=60,per=16,every=128,gqa=group,metric=l2" AROUND,
	"a2ats:recall=60,codes=32,every=128" AROUND,
	"a2ats:recall=60,codes=48,every=128,gqa=group" AROUND ",seal=chunk",
};
enum { RECIPES = sizeof recipes / sizeof recipes[0] };

static clkv_geometry geometry(void)
{
	return feed_usual(2);
}

/* ---------------------------------------------------------------- the choice ---- */

static void lead(const char *recipe, clkv_geometry g)
{
	static struct stream stream;
	const struct recalled_case c = recalled_case(recipe);
	struct feed feed = {.geometry = g};
	struct recalled r;
	recalled_start(&feed, &c, NULL, &stream, &r);
	recalled_grow(&feed, &stream, &r);
	feed_close(&feed);
}

START_TEST(test_the_choice_is_that_of_a_sort)
{
	lead(recipes[_i], geometry());
}
END_TEST

/* Kinds, choices, windows, when is sealed, blocks, shapes: a cover of them where everything is asked for, as each row
 * compiles kernels of its own. */
static struct pairs settings;
enum { SETTINGS_SEED = 1 };

START_TEST(test_pairs_of_settings)
{
	static const char *const kinds[] = {"topk", "pages:page=16", "clusterkv:per=8",
	                                    "a2ats:codes=32"};
	static const char *const around[] = {"window=32,sinks=5", "window=0,sinks=0"};
	static const int shapes[][3] = {{6, 2, 64}, {2, 2, 64}, {4, 1, 80}, {8, 2, 128}};
	const unsigned char *row = settings.row[_i];
	const int *x = shapes[row[5]];
	char recipe[160];
	snprintf(recipe, sizeof recipe, "%s%srecall=50,every=128,gqa=%s ; %s,seal=%s,block=%d",
	         kinds[row[0]], row[0] ? "," : ":", row[1] ? "group" : "union", around[row[2]],
	         row[3] ? "chunk" : "prompt", row[4] ? 32 : 64);
	lead(recipe, feed_geometry(2, x[0], x[1], x[2], x[2]));
}
END_TEST

/* A budget of all tokens but one, of all, and of more; of one. */
START_TEST(test_budgets_at_the_edge)
{
	static const char *const edges[] = {
		"topk:recall=1,every=128" AROUND, "topk:recall=127,every=128" AROUND,
		"topk:recall=128,every=128" AROUND, "topk:recall=129,every=128" AROUND};
	static struct stream stream;
	const struct recalled_case c = recalled_case(edges[_i]);
	struct feed feed = {.geometry = geometry()};
	struct recalled r;
	struct recalled_figures f = {0};
	recalled_start(&feed, &c, NULL, &stream, &r);
	recalled_one(&feed, &stream, &r, 128 + 32 + 5, CLKV_PROMPT_END, 1, &f);
	ck_assert_uint_eq(recalled_sealed(&r), 128);
	recalled_one(&feed, &stream, &r, 4, CLKV_DECODE, 2, &f);
	ck_assert_uint_eq(f.left, c.budget < 128 ? f.heads : 0);
	ck_assert_uint_eq(f.unsure, 0);
	feed_close(&feed);
}
END_TEST

/* Softcap, a logit of a sink per head, output in half, input in bfloat16: no choice changes. */
START_TEST(test_what_else_attention_does)
{
	static const float sinks[] = {0.5f, -1.0f, 2.0f, 0.0f, 1.0f, -3.0f};
	static struct stream stream;
	const struct recalled_case c = recalled_case(recipes[_i * 2]); /* topk, pages */
	struct feed feed = {.geometry = geometry(), .sinks = sinks};
	struct recalled r;
	struct recalled_figures f = {0};
	feed.geometry.softcap = 2.5f;
	feed.geometry.scale = 0.3f;
	feed.in =
		(struct tensor_layout){.dtype = CLKV_BF16, .offset = 3, .head_gap = 1, .token_gap = 5};
	feed.out =
		(struct tensor_layout){.dtype = CLKV_F16, .offset = 1, .head_gap = 2, .token_gap = 3};
	recalled_start(&feed, &c, NULL, &stream, &r);
	recalled_one(&feed, &stream, &r, 400, CLKV_PROMPT_END, 1, NULL);
	recalled_one(&feed, &stream, &r, 3, CLKV_DECODE, 2, &f);
	recalled_expect(&f, &c);
	feed_close(&feed);
}
END_TEST

/* A row that sees only the newest tokens sees all of them; the other layers recall. */
START_TEST(test_layers_with_a_window_attend_to_it)
{
	static const int window[] = {0, 50, 0, 300};
	static struct stream stream;
	const struct recalled_case c = recalled_case(recipes[0]);
	struct feed feed = {.geometry = feed_usual(4)};
	struct recalled r;
	struct recalled_figures f = {0};
	feed.geometry.window = window;
	recalled_start(&feed, &c, NULL, &stream, &r);
	recalled_one(&feed, &stream, &r, 400, CLKV_PROMPT_END, 1, &f);
	recalled_one(&feed, &stream, &r, 5, CLKV_DECODE, 2, &f);
	ck_assert_uint_eq(f.rows, 5 * 2);
	recalled_expect(&f, &c);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- batches ---- */

/* Prompts, rows of sequences that have nothing to recall yet, and rows that recall, all in one step; of these more than
 * fit in one go. */
START_TEST(test_batches_of_all_kinds)
{
	static struct stream streams[4];
	static const size_t before[] = {300, 20, 520, 170};
	const struct recalled_case c = recalled_case(recipes[_i]);
	struct feed feed = {.geometry = geometry()};
	struct recalled r[4];
	struct recalled *list[4];
	struct recalled_figures f = {0};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = FEED_TOKENS;
	o.max_sequences = 4;
	feed.value = recalled_quarters;
	feed.lse = true;
	feed_open(&feed, fixture.context, fixture.queue, c.recipe, &o);
	for (size_t i = 0; i < 4; i++) {
		stream_open(&feed, &streams[i]);
		recalled_open(&r[i], &c);
		list[i] = &r[i];
		if (i == 2)
			recalled_one(&feed, &streams[i], &r[i], 300, CLKV_PROMPT, 10, NULL);
		recalled_one(&feed, &streams[i], &r[i], i == 2 ? before[i] - 300 : before[i],
		             CLKV_PROMPT_END, 10 + i, NULL);
	}
	struct feed_item items[] = {{&streams[0], 3, CLKV_DECODE, 1, 20},
	                            {&streams[1], 2, CLKV_DECODE, 0, 21},
	                            {&streams[2], 6, CLKV_DECODE, 5, 22},
	                            {&streams[3], 37, CLKV_PROMPT, 0, 23}};
	recalled_step(&feed, items, list, 4, &f);
	struct feed_item other[] = {{&streams[2], 1, CLKV_DECODE, 0, 24},
	                            {&streams[1], 150, CLKV_PROMPT_END, 0, 25},
	                            {&streams[0], 1, CLKV_DECODE, 0, 26}};
	struct recalled *others[] = {&r[2], &r[1], &r[0]};
	recalled_step(&feed, other, others, 3, &f);
	recalled_expect(&f, &c);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- all tokens ---- */

/* A budget above what is sealed: attention to everything, whatever the units are. */
START_TEST(test_recall_of_everything_is_dense)
{
	static const struct {
		const char *recipe;
		int q_heads, kv_heads, dk, dv;
	} all[] = {
		{"topk:recall=2048,every=128 ; window=40,sinks=3", 6, 2, 64, 64},
		{"pages:recall=2048,page=32,every=128 ; window=40,sinks=3", 6, 2, 64, 64},
		{"clusterkv:recall=2048,every=128 ; window=40,sinks=3", 6, 2, 64, 64},
		{"a2ats:recall=2048,codes=32,every=128 ; window=40,sinks=3", 6, 2, 64, 64},
		{"clusterkv:recall=2048,every=128,gqa=group ; window=40,sinks=3", 8, 2, 128, 128},
		{"topk:recall=2048,every=128,gqa=group ; window=40,sinks=3", 2, 2, 80, 96},
		{"pages:recall=2048,page=4,every=128 ; window=40,sinks=3", 2, 2, 80, 96},
	};
	static struct stream stream;
	struct feed feed = {
		.geometry = feed_geometry(2, all[_i].q_heads, all[_i].kv_heads, all[_i].dk, all[_i].dv),
		.lse = true};
	feed_open(&feed, fixture.context, fixture.queue, all[_i].recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 309, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, 309 - 43);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_GIVEN, 1e-5);
	expect_rows(&feed, &stream, 140, CLKV_DECODE, 3, EXPECT_GIVEN, 1e-5);
	ck_assert_uint_eq(stream_info(&stream).sealed, 309 - 43 + 128);
	expect_rows(&feed, &stream, 2, CLKV_DECODE, 4, EXPECT_GIVEN, 1e-5);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recall");
	TCase *choice = fixture_case(suite, "choice", 120), *batch = fixture_case(suite, "batch", 120);
	TCase *all = fixture_case(suite, "all", 120);
	fixture_some(choice, test_the_choice_is_that_of_a_sort, RECIPES, 0, 3, 5, 7);
	pairs_draw(&settings, 6, (const size_t[]){4, 2, 2, 2, 2, 4}, false, SETTINGS_SEED);
	tcase_add_loop_test(choice, test_pairs_of_settings, 0, fixture_full() ? (int)settings.rows : 0);
	fixture_some(choice, test_budgets_at_the_edge, 4, 1, 2);
	fixture_some(choice, test_what_else_attention_does, 2, 0);
	tcase_add_test(choice, test_layers_with_a_window_attend_to_it);
	fixture_some(batch, test_batches_of_all_kinds, RECIPES, 0, 3, 5, 7);
	fixture_some(all, test_recall_of_everything_is_dense, 7, 3, 4, 6);
	return fixture_run_shared(suite);
}
