/* SPDX-License-Identifier: MIT */
/** \file check_select_expected.c \brief Tokens chosen by attention that is expected of positions to come. */
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/selected.h"

#include <math.h>
#include <string.h>

#define AROUND " ; window=16,sinks=4,block=32,seal=prompt,skip=0"
#define RULE(rope_)                                                                                \
	.score = REF_EXPECTED, .budget = 88, .window = 16, .sinks = 4, .block = 32, .any = true,       \
	.rope = &(rope_)

static const struct ref_rope halves = {.dims = 64, .base = 10000.0, .attn_factor = 1.0};
static const struct ref_rope pairs = {
	.pairs = true, .dims = 64, .base = 500000.0, .attn_factor = 1.0};
/* Some channels don't turn, and those that do are also made longer. */
static const struct ref_rope yarn = {.dims = 48,
                                     .base = 10000.0,
                                     .attn_factor = 1.25,
                                     .scaling = REF_YARN,
                                     .factor = 4.0,
                                     .original = 2048.0,
                                     .beta_fast = 32.0,
                                     .beta_slow = 1.0,
                                     .ext_factor = 1.0};

static const clkv_rope ropes[] = {
	{.kind = CLKV_ROPE_HALVES},
	{.kind = CLKV_ROPE_PAIRS, .base = 500000.0f},
	{.kind = CLKV_ROPE_HALVES,
     .dims = 48,
     .attn_factor = 1.25f,
     .scaling = CLKV_ROPE_YARN,
     .factor = 4.0f,
     .original = 2048},
};

static const struct {
	struct selected_case c;
	int rope; /* of `ropes` */
} cases[] = {
	{{.recipe = "expected:budget=88,obs=24,ahead=512,spread=1,lengths=1,gqa=mean" AROUND,
      .rule = {RULE(halves), .observe = 24, .ahead = 512, .spread = true, .lengths = true,
               .group = REF_GROUP_MEAN}},
     0},
	{{.recipe = "expected:budget=88,obs=40,ahead=1,spread=1,lengths=0,gqa=max" AROUND,
      .rule = {RULE(pairs), .observe = 40, .ahead = 1, .spread = true, .group = REF_GROUP_MAX}},
     1},
	{{.recipe = "expected:budget=88,obs=17,ahead=37,spread=0,lengths=1,gqa=sum" AROUND,
      .rule = {RULE(yarn), .observe = 17, .ahead = 37, .lengths = true}},
     2},
	{{.recipe = "expected:budget=88,obs=1,ahead=512,gqa=mean" AROUND,
      .rule = {RULE(pairs), .observe = 1, .ahead = 512, .spread = true, .lengths = true,
               .group = REF_GROUP_MEAN}},
     1},
	/* 4 bits: check_select_forms.c says how far a row moves */
	{{.recipe = "expected:budget=88,obs=24 | kivi:bits=4,group=32" AROUND,
      .rule = {RULE(halves), .observe = 24, .ahead = 512, .spread = true, .lengths = true,
               .group = REF_GROUP_MEAN, .codec = true},
      .codes = true,
      .loose = 0.15},
     0},
	{{.recipe = "expected:budget=88,obs=24 | q:k=8,v=8,rot=hadamard" AROUND,
      .rule = {RULE(halves), .observe = 24, .ahead = 512, .spread = true, .lengths = true,
               .group = REF_GROUP_MEAN, .codec = true},
      .codes = true,
      .loose = 0.02},
     0},
	/* turned keys are rounded to half, by up to 2^-11 of their length */
	{{.recipe = "expected:budget=88,obs=24 | q:k=8,v=8,rot=file" AROUND,
      .rule = {RULE(halves), .observe = 24, .ahead = 512, .spread = true, .lengths = true,
               .group = REF_GROUP_MEAN, .codec = true},
      .codes = true,
      .loose = 0.02,
      .approx = 4e-3},
     0},
	{{.recipe = "expected:budget=88,obs=24,gqa=max | spark:keep=0.75,obs=24" AROUND,
      .rule = {RULE(pairs), .observe = 24, .ahead = 512, .spread = true, .lengths = true,
               .group = REF_GROUP_MAX, .codec = true},
      .loose = 0.6},
     1},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* A prompt in two parts, drafts of which some are dropped, and rows until two blocks have left the window. */
static void run(struct feed *feed, const struct selected_case *c, struct selected_figures *f)
{
	static struct stream stream;
	struct selected s;
	struct selected *list[] = {&s};
	selected_cache(feed, c, NULL);
	stream_open(feed, &stream);
	selected_open(&s, c, feed);
	selected_one(feed, &stream, &s, 70, CLKV_PROMPT, 1, f);
	selected_one(feed, &stream, &s, 113, CLKV_PROMPT_END, 2, f);
	struct feed_item drafts = {&stream, 6, CLKV_DECODE, 4, 3};
	selected_step(feed, &drafts, list, 1, f);
	selected_one(feed, &stream, &s, 29, CLKV_DECODE, 4, f);
	selected_each(feed, &stream, &s, 4, 5, f);
	selected_one(feed, &stream, &s, 34, CLKV_DECODE, 6, f);
	selected_close(&s);
	feed_close(feed);
}

START_TEST(test_the_choice_is_that_of_the_formulas)
{
	struct feed feed = {.geometry = feed_usual(2)};
	struct selected_figures f = {0};
	feed.geometry.rope = ropes[cases[_i].rope];
	run(&feed, &cases[_i].c, &f);
	selected_expect(&f, false);
}
END_TEST

/* Of the positions to come those count that see a token; and a softcap isn't looked at. */
START_TEST(test_layers_with_a_window)
{
	static const int window[] = {0, 100, 24};
	struct feed feed = {.geometry = feed_usual(3)};
	struct selected_figures f = {0};
	feed.geometry.rope = ropes[0];
	feed.geometry.window = window;
	feed.geometry.softcap = 2.5f;
	feed.geometry.scale = 0.3f;
	run(&feed, &cases[0].c, &f);
	selected_expect(&f, false);
}
END_TEST

/* Keys and queries that the library rotates: in single precision, so some are the next half (check_select_forms.c). */
START_TEST(test_rope_by_the_library)
{
	struct selected_case c = cases[0].c;
	struct feed feed = {.geometry = feed_usual(2)};
	struct selected_figures f = {0};
	feed.geometry.rope = ropes[0];
	feed.geometry.rope.by_library = 1;
	c.rope = &halves;
	c.approx = 4e-3;
	run(&feed, &c, &f);
	ck_assert_uint_gt(f.dropped, 0);
}
END_TEST

/* ---------------------------------------------------------------- planted rows ---- */

/* Two rows whose keys and values are the same, and a channel in which theirs are large and queries look. */
static struct {
	uint64_t row[2];
	size_t channel;
	double key, look;
} plant;

static double planted(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	bool special = row == plant.row[0] || row == plant.row[1];
	double value = selected_quarters(special ? plant.row[0] : row, layer, side, head, d);
	if (side == FEED_Q)
		return d == plant.channel ? plant.look : value / 4.0;
	if (side == FEED_K && d == plant.channel)
		return special ? plant.key : 0.0;
	return value;
}

static void open_planted(struct feed *feed, const char *recipe, struct stream *stream)
{
	feed->value = planted;
	feed->geometry.rope = ropes[0];
	feed_open(feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(feed, stream);
}

/* Queries behind RoPE look at one channel. One that hardly turns within the prompt and the 512 positions to come (2^-13 of a
 * radian per position) is looked at then, too: its key stays. In one that turns by a radian per position, what queries
 * have in common before RoPE and where it points to later is nothing: its key counts no more than others, whatever the
 * newest rows give it. */
START_TEST(test_what_will_be_looked_at_stays)
{
	static const struct {
		const char *recipe;
		size_t channel;
		bool stays;
	} looks[] = {
		{"expected:budget=60,obs=32,spread=0,lengths=0" AROUND, 31, true},
		{"expected:budget=60,obs=32" AROUND, 31, true},
		{"snapkv:budget=60,obs=32,pool=1" AROUND, 0, true},
		{"expected:budget=60,obs=32,spread=0,lengths=0" AROUND, 0, false},
	};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1)};
	plant.row[0] = random_mix(1, 30);
	plant.row[1] = random_mix(1, 77);
	plant.channel = looks[_i].channel;
	plant.key = 9.0;
	plant.look = 8.0;
	open_planted(&feed, looks[_i].recipe, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	for (size_t head = 0; head < 2; head++) {
		bool both =
			selected_has(&feed, &stream, 0, head, 30) && selected_has(&feed, &stream, 0, head, 77);
		bool either =
			selected_has(&feed, &stream, 0, head, 30) || selected_has(&feed, &stream, 0, head, 77);
		ck_assert_msg(looks[_i].stays ? both : !either, "%s: head %zu", looks[_i].recipe, head);
	}
	feed_close(&feed);
}
END_TEST

static float score_of(const struct selected_kept *x, size_t position)
{
	for (size_t i = 0; i < x->kept.n; i++)
		if (x->kept.positions[i] == position)
			return x->kept.scores[i];
	ck_abort_msg("token %zu isn't kept", position);
	return 0.0f;
}

/* Where a token lies is in its key alone: equal keys and values have one score, bit for bit; scores of all candidates are
 * shares, here all kept, so of one head and without lengths they add up to 1. */
START_TEST(test_equal_keys_have_equal_scores)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_geometry(1, 2, 2, 64, 64)};
	plant.row[0] = random_mix(1, 30);
	plant.row[1] = random_mix(1, 77);
	plant.channel = 31;
	plant.key = 1.0;
	plant.look = 2.0;
	open_planted(&feed,
	             _i ? "expected:budget=0.9,obs=32,lengths=0 | f16" AROUND
	                : "expected:budget=0.9,obs=32" AROUND,
	             &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	for (size_t head = 0; head < 2; head++) {
		struct selected_kept x;
		double sum = 0.0;
		selected_read(&feed, &stream, 0, head, &x);
		ck_assert_uint_eq(x.kept.n, 160);
		for (size_t i = 0; i < x.kept.n; i++)
			sum += (double)x.kept.scores[i];
		float a = score_of(&x, 30), b = score_of(&x, 77);
		ck_assert_msg(a == b && a > 0.0f, "scores %.9g and %.9g", (double)a, (double)b);
		/* 20 of 180 candidates, those of least weight, are gone */
		if (_i == 1)
			ck_assert_msg(sum < 1.0 && sum > 160.0 / 180.0, "scores add up to %g", sum);
		selected_free(&x);
	}
	feed_close(&feed);
}
END_TEST

/* A value twice as long counts twice: of two tokens with equal keys the longer one has twice the score, and keeps it when
 * its value has become codes. */
static double lengthened(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double value = planted(row, layer, side, head, d);
	return side == FEED_V && row == plant.row[1] ? 2.0 * value : value;
}

START_TEST(test_long_values_count_more)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1)};
	plant.row[0] = random_mix(1, 30);
	plant.row[1] = random_mix(1, 77);
	plant.channel = 31;
	plant.key = 9.0;
	plant.look = 8.0;
	feed.geometry.rope = ropes[0];
	feed.value = lengthened;
	feed_open(&feed, fixture.context, fixture.queue,
	          _i ? "expected:budget=60,obs=32 | kivi:bits=2" AROUND
	             : "expected:budget=60,obs=32" AROUND,
	          NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	for (size_t again = 0; again < 2; again++) {
		struct selected_kept x;
		selected_read(&feed, &stream, 0, 1, &x);
		double a = (double)score_of(&x, 30), b = (double)score_of(&x, 77);
		/* two keys of one block may get other codes than the same keys of another: after that scores differ */
		ck_assert_msg(b == 2.0 * a || (_i == 1 && again == 1 && b > 1.2 * a),
		              "scores %.9g and %.9g", a, b);
		selected_free(&x);
		feed_one(&feed, &stream, 40, CLKV_DECODE, 2, NULL);
	}
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- refused ---- */

START_TEST(test_without_a_rope_it_is_refused)
{
	clkv_geometry g = feed_usual(1);
	clkv_cache_options o = feed_room(1024, 1);
	clkv_bytes bytes = CLKV_INIT(clkv_bytes);
	clkv_error error;
	static const char *const recipe = "expected:budget=88";
	ck_assert_int_eq(clkv_bytes_required(fixture.context, &g, recipe, &o, &bytes, &error),
	                 CLKV_ERROR_INVALID_RECIPE);
	ck_assert_ptr_nonnull(strstr(error.text, "'expected'"));
	ck_assert_ptr_nonnull(strstr(error.text, "rope.kind"));
	g.rope.kind = CLKV_ROPE_PAIRS;
	ck_assert_int_eq(clkv_bytes_required(fixture.context, &g, recipe, &o, &bytes, &error), CLKV_OK);
}
END_TEST

/* Each query more takes 4 DK bytes in work space and, per sequence, 2 DK in half, a log-sum-exp and, per layer, a tag; a place of
 * a slot takes 4 bytes of each query head beside what it takes of other stages: that is all that scratch says of both. */
START_TEST(test_scratch_is_that_of_the_formula)
{
	enum { LAYERS = 3, HEADS = 6, DK = 64, MORE = 64, SEQUENCES = 2 };
	clkv_geometry g = feed_geometry(LAYERS, HEADS, 2, DK, 64);
	clkv_cache_options o = feed_room(1024, SEQUENCES);
	g.rope.kind = CLKV_ROPE_HALVES;
	clkv_bytes few = feed_required(fixture.context, &g, "expected:budget=88,obs=64" AROUND, &o);
	clkv_bytes many = feed_required(fixture.context, &g, "expected:budget=88,obs=128" AROUND, &o);
	clkv_bytes snap = feed_required(fixture.context, &g, "snapkv:budget=88,obs=64" AROUND, &o);
	uint64_t kept = (uint64_t)SEQUENCES * MORE * (LAYERS * 4 + LAYERS * HEADS * (2 * DK + 4));
	ck_assert_uint_eq(many.scratch - few.scratch, kept + (uint64_t)MORE * LAYERS * HEADS * DK * 4);
	uint64_t places = few.scratch - snap.scratch - (uint64_t)64 * LAYERS * HEADS * DK * 4;
	ck_assert_uint_eq(places % (LAYERS * HEADS * 4 * 32), 0);
	ck_assert_uint_ge(places, (uint64_t)LAYERS * HEADS * 4 * 1024);
	ck_assert_uint_eq(few.sealed, snap.sealed);
	ck_assert_uint_eq(few.open, snap.open);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("select expected");
	TCase *choice = fixture_case(suite, "choice", 120), *rest = fixture_case(suite, "rest", 60);
	fixture_some(choice, test_the_choice_is_that_of_the_formulas, CASES, 0, 2, 5, 6);
	tcase_add_test(choice, test_layers_with_a_window);
	tcase_add_test(choice, test_rope_by_the_library);
	tcase_add_loop_test(rest, test_what_will_be_looked_at_stays, 0, 4);
	tcase_add_loop_test(rest, test_equal_keys_have_equal_scores, 0, 2);
	tcase_add_loop_test(rest, test_long_values_count_more, 0, 2);
	tcase_add_test(rest, test_without_a_rope_it_is_refused);
	tcase_add_test(rest, test_scratch_is_that_of_the_formula);
	return fixture_run_shared(suite);
}
