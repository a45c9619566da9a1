/* SPDX-License-Identifier: MIT */
/** \file check_select_forms.c \brief Selection before codecs, in other shapes and with whatever else attention does. */
#include "support/expect.h"
#include "support/fixture.h"
#include "support/selected.h"

#include <math.h>
#include <string.h>

#define ZERO                                                                                       \
	"zeromerge:budget=88,tail=0.25,residual=0.25,lambda=1,alpha=1,metric=cos,init=first,obs=0,"    \
	"peak=0,mean=count,mass=sum,"                                                                  \
	"evict=new,score_merge=max"
#define ZERO_FIELDS                                                                                \
	.score = REF_MASS, .budget = 88, .tail = 0.25, .residual = 0.25, .lambda = 1.0, .alpha = 1.0,  \
	.metric = REF_NEAR_COSINE
#define H2O "h2o:budget=88,recent=0.5"
#define H2O_FIELDS .score = REF_MASS, .budget = 88, .tail = 0.5, .lambda = 1.0, .any = true
#define SNAP "snapkv:budget=88,obs=16,pool=5,pooling=avg,gqa=mean"
#define SNAP_FIELDS                                                                                \
	.score = REF_SEEN, .budget = 88, .observe = 16, .pool = 5, .group = REF_GROUP_MEAN, .any = true
#define NORM "l2norm:budget=88"
#define NORM_FIELDS .score = REF_NORM, .budget = 88, .any = true
#define CORM "corm:obs=6"
#define CORM_FIELDS                                                                                \
	.score = REF_SEEN, .observe = 6, .rows = REF_ROWS_ABOVE, .above = true, .any = true
#define MORPH "morphkv:budget=88,obs=16,agg=sum"
#define MORPH_FIELDS                                                                               \
	.score = REF_SEEN, .budget = 88, .observe = 16, .group = REF_GROUP_MAX, .old = true, .any = true
#define STREAM "streaming:budget=88"
#define STREAM_FIELDS .score = REF_PLACE, .budget = 88, .tail = 1.0, .any = true

#define AROUND(block) " ; window=16,sinks=4,block=" #block ",seal=prompt,skip=0"
#define SIDES(n) .window = 16, .sinks = 4, .block = (n)

/* A prompt and two blocks of rows, more or less at once. */
static void run(struct feed *feed, const struct selected_case *c, struct selected_figures *f)
{
	static struct stream stream;
	struct selected s;
	size_t block = c->rule.block;
	selected_cache(feed, c, NULL);
	stream_open(feed, &stream);
	selected_open(&s, c, feed);
	selected_one(feed, &stream, &s, 70, CLKV_PROMPT, 1, f);
	selected_one(feed, &stream, &s, 113, CLKV_PROMPT_END, 2, f);
	selected_one(feed, &stream, &s, 1, CLKV_DECODE, 3, f);
	selected_one(feed, &stream, &s, block - 3, CLKV_DECODE, 4, f);
	for (size_t i = 0; i < 3; i++)
		selected_one(feed, &stream, &s, 2, CLKV_DECODE, 5 + i, f);
	selected_one(feed, &stream, &s, block, CLKV_DECODE, 8, f);
	selected_one(feed, &stream, &s, 2, CLKV_DECODE, 9, f);
	selected_close(&s);
	feed_close(feed);
}

/* ---------------------------------------------------------------- codecs ---- */

/* Codes of 4 bits: of values within +-2, whose groups span 4, a step is 4 / 15 and an error's deviation a root of 12
 * less, 0.08 of values around 0.9; with bounds of a tenth of the range every value may be 0.2 off, 0.22 of them. A row
 * that is encoded again and again moves no more than that with each commit. */
#define KIVI " | kivi:bits=4,group=32"
#define KIVI_LOOSE .codes = true, .loose = 0.15
#define KVCOMP " | kvcomp:rel_k=0.05,rel_v=0.1"
#define KVCOMP_LOOSE .codes = true, .loose = 0.25
/* A quarter of the channels is gone, of which values that fit stand for some. */
#define SPARK " | spark:keep=0.75,obs=16"
#define SPARK_LOOSE .loose = 0.6
#define EIGHT " | q:k=8,v=8"
#define EIGHT_LOOSE .codes = true, .loose = 0.02
#define TURNED " | q:k=8,v=8,rot=hadamard"
#define TURNED_LOOSE .codes = true, .loose = 0.02

#define UNDER(stage, behind)                                                                       \
	{                                                                                              \
		.recipe = stage behind AROUND(32), .rule = {stage##_FIELDS, SIDES(32), .codec = true},     \
		behind##_LOOSE                                                                             \
	}

static const struct selected_case codecs[] = {
	UNDER(H2O, KIVI),    UNDER(CORM, KIVI),   UNDER(STREAM, KIVI), UNDER(NORM, KVCOMP),
	UNDER(SNAP, KVCOMP), UNDER(SNAP, SPARK),  UNDER(H2O, SPARK),   UNDER(H2O, TURNED),
	UNDER(ZERO, KIVI),   UNDER(ZERO, KVCOMP), UNDER(ZERO, SPARK),  UNDER(ZERO, EIGHT),
};
enum { CODECS = sizeof codecs / sizeof codecs[0] };

START_TEST(test_codecs_behind)
{
	struct feed feed = {.geometry = feed_usual(2)};
	struct selected_figures f = {0};
	run(&feed, &codecs[_i], &f);
	selected_expect(&f, codecs[_i].rule.residual > 0.0);
}
END_TEST

/* ---------------------------------------------------------------- shapes ---- */

static const struct selected_case plain[] = {
	{.recipe = ZERO AROUND(32), .rule = {ZERO_FIELDS, SIDES(32)}},
	{.recipe = SNAP AROUND(32), .rule = {SNAP_FIELDS, SIDES(32)}},
	{.recipe = NORM AROUND(128), .rule = {NORM_FIELDS, SIDES(128)}},
	{.recipe = ZERO AROUND(128), .rule = {ZERO_FIELDS, SIDES(128)}},
	{.recipe = MORPH AROUND(64), .rule = {MORPH_FIELDS, SIDES(64)}},
};
enum { PLAIN = sizeof plain / sizeof plain[0] };

START_TEST(test_shapes)
{
	static const struct {
		int q_heads, kv_heads, dk, dv;
	} shapes[] = {{2, 2, 64, 64}, {4, 1, 128, 128}, {3, 1, 80, 48}, {6, 2, 32, 64}};
	const struct selected_case *c = &plain[(_i % 4 + _i / 4) % PLAIN];
	struct feed feed = {.geometry =
	                        feed_geometry(1, shapes[_i % 4].q_heads, shapes[_i % 4].kv_heads,
	                                      shapes[_i % 4].dk, shapes[_i % 4].dv)};
	struct selected_figures f = {0};
	run(&feed, c, &f);
	selected_expect(&f, c->rule.residual > 0.0);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

/* Softcap, a logit of a sink per head, output in half, input in bfloat16 with gaps. */
START_TEST(test_what_else_attention_does)
{
	static const float sinks[] = {0.5f, -1.0f, 2.0f, 0.0f, 1.0f, -3.0f};
	struct feed feed = {.geometry = feed_usual(2), .sinks = sinks};
	struct selected_figures f = {0};
	feed.geometry.softcap = 2.5f;
	feed.geometry.scale = 0.3f;
	feed.in =
		(struct tensor_layout){.dtype = CLKV_BF16, .offset = 3, .head_gap = 1, .token_gap = 5};
	feed.out =
		(struct tensor_layout){.dtype = CLKV_F16, .offset = 1, .head_gap = 2, .token_gap = 3};
	run(&feed, &plain[_i], &f);
	selected_expect(&f, plain[_i].rule.residual > 0.0);
}
END_TEST

/* A row sees what is kept of its window's tokens; the rest gets no mass from it. */
START_TEST(test_layers_with_a_window)
{
	static const int window[] = {0, 100, 24};
	struct feed feed = {.geometry = feed_usual(3)};
	struct selected_figures f = {0};
	feed.geometry.window = window;
	run(&feed, &plain[_i], &f);
	selected_expect(&f, plain[_i].rule.residual > 0.0);
}
END_TEST

START_TEST(test_layers_that_are_left_out)
{
	static const struct selected_case skipped = {.recipe = H2O
	                                             " ; window=16,sinks=4,block=32,seal=prompt,skip=1",
	                                             .rule = {H2O_FIELDS, SIDES(32)},
	                                             .skip = 1};
	struct feed feed = {.geometry = feed_usual(3)};
	struct selected_figures f = {0};
	run(&feed, &skipped, &f);
	selected_expect(&f, false);
}
END_TEST

/* Keys that the library rotates: in single precision, so some are the next half: 2^-11 of a value, of a logit of up to
 * 20 with 64 terms 2^-11 * 20 / 8 * 3 = 4e-3 in three deviations. */
START_TEST(test_rope_by_the_library)
{
	static const struct ref_rope rope = {.dims = 64, .base = 10000.0, .attn_factor = 1.0};
	struct selected_case c = plain[_i];
	struct feed feed = {.geometry = feed_usual(2)};
	struct selected_figures f = {0};
	feed.geometry.rope.kind = CLKV_ROPE_HALVES;
	feed.geometry.rope.by_library = 1;
	c.rope = &rope;
	c.approx = 4e-3;
	run(&feed, &c, &f);
	ck_assert_uint_gt(f.dropped, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("select forms");
	TCase *codec = fixture_case(suite, "codecs", 120), *rest = fixture_case(suite, "rest", 120);
	fixture_some(codec, test_codecs_behind, CODECS, 0, 3, 5, 8);
	fixture_some(rest, test_shapes, 8, 1, 6);
	fixture_some(rest, test_what_else_attention_does, PLAIN, 0);
	fixture_some(rest, test_layers_with_a_window, PLAIN, 0);
	tcase_add_test(rest, test_layers_that_are_left_out);
	fixture_some(rest, test_rope_by_the_library, PLAIN, 0);
	return fixture_run_shared(suite);
}
