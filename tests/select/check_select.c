/* SPDX-License-Identifier: MIT */
/** \file check_select.c \brief Which tokens are kept: those that a sort of all scores chooses; what each score is for. */
#include "ref/ref_half.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/selected.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define AROUND " ; window=16,sinks=4,block=32,seal=prompt,skip=0"
#define FIELDS .window = 16, .sinks = 4, .block = 32, .lambda = 1.0

static const struct selected_case cases[] = {
	{.recipe = "streaming:budget=96" AROUND,
     .rule = {.score = REF_PLACE, .budget = 96, .tail = 1.0, .any = true, FIELDS}},
	{.recipe = "h2o:budget=96,recent=0.5" AROUND,
     .rule = {.score = REF_MASS, .budget = 96, .tail = 0.5, .any = true, FIELDS}},
	{.recipe = "h2o:budget=0.4,recent=24 ; window=16,sinks=4,block=32,seal=chunk",
     .rule = {.score = REF_MASS, .budget = 0.4, .tail = 24, .any = true, .chunk = true, FIELDS}},
	{.recipe = "l2norm:budget=80" AROUND,
     .rule = {.score = REF_NORM, .budget = 80, .any = true, FIELDS}},
	{.recipe = "l2norm:budget=0.3 ; window=16,sinks=4,block=32,seal=chunk,skip=0",
     .rule = {.score = REF_NORM, .budget = 0.3, .any = true, .chunk = true, FIELDS}},
	{.recipe = "snapkv:budget=80,obs=16,pool=1,pooling=avg,gqa=mean" AROUND,
     .rule = {.score = REF_SEEN,
              .budget = 80,
              .observe = 16,
              .group = REF_GROUP_MEAN,
              .any = true,
              FIELDS}},
	{.recipe = "snapkv:budget=80,obs=16,pool=5,pooling=avg,gqa=sum" AROUND,
     .rule = {.score = REF_SEEN, .budget = 80, .observe = 16, .pool = 5, .any = true, FIELDS}},
	{.recipe = "snapkv:budget=0.4,obs=8,pool=7,pooling=max,gqa=max" AROUND,
     .rule = {.score = REF_SEEN,
              .budget = 0.4,
              .observe = 8,
              .pool = 7,
              .pool_max = true,
              .group = REF_GROUP_MAX,
              .any = true,
              FIELDS}},
	{.recipe = "morphkv:budget=80,obs=16,agg=sum" AROUND,
     .rule = {.score = REF_SEEN,
              .budget = 80,
              .observe = 16,
              .group = REF_GROUP_MAX,
              .old = true,
              .any = true,
              FIELDS}},
	{.recipe = "morphkv:budget=80,obs=16,agg=max" AROUND,
     .rule = {.score = REF_SEEN,
              .budget = 80,
              .observe = 16,
              .group = REF_GROUP_MAX,
              .rows = REF_ROWS_MAX,
              .old = true,
              .any = true,
              FIELDS}},
	{.recipe = "corm:obs=6" AROUND,
     .rule = {.score = REF_SEEN,
              .observe = 6,
              .rows = REF_ROWS_ABOVE,
              .above = true,
              .any = true,
              FIELDS}},
	{.recipe = "zeromerge:budget=96,tail=32,residual=0,lambda=0.98,alpha=1,obs=0,peak=0,mean=count,"
               "mass=sum,evict=any" AROUND,
     .rule = {.score = REF_MASS,
              .budget = 96,
              .tail = 32,
              .window = 16,
              .sinks = 4,
              .block = 32,
              .lambda = 0.98,
              .alpha = 1.0,
              .any = true}},
	{.recipe = "zeromerge:budget=96,tail=0.25,residual=0,lambda=1,alpha=1,obs=0,peak=0,mean=count,"
               "mass=sum,evict=new" AROUND,
     .rule = {.score = REF_MASS, .budget = 96, .tail = 0.25, .alpha = 1.0, FIELDS}},
	{.recipe = "snapkv:budget=80,obs=16,agg=max,pool=5" AROUND,
     .rule = {.score = REF_SEEN,
              .budget = 80,
              .observe = 16,
              .rows = REF_ROWS_MAX,
              .pool = 5,
              .group = REF_GROUP_MEAN,
              .any = true,
              FIELDS}},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* A prompt in parts, one row, drafts of which some are dropped, rows by the dozen and one by one: several blocks leave
 * the window after the prompt. */
START_TEST(test_the_choice_is_that_of_a_sort)
{
	static struct stream stream;
	const struct selected_case *c = &cases[_i];
	struct feed feed = {.geometry = feed_usual(2)};
	struct selected s;
	struct selected_figures f = {0};
	selected_cache(&feed, c, NULL);
	stream_open(&feed, &stream);
	selected_open(&s, c, &feed);
	selected_one(&feed, &stream, &s, 70, CLKV_PROMPT, 1, &f);
	selected_one(&feed, &stream, &s, 131, CLKV_PROMPT_END, 2, &f);
	selected_one(&feed, &stream, &s, 1, CLKV_DECODE, 3, &f);
	struct feed_item drafts = {&stream, 6, CLKV_DECODE, 4, 4};
	struct selected *list[] = {&s};
	selected_step(&feed, &drafts, list, 1, &f);
	for (size_t i = 0; i < 4; i++)
		selected_one(&feed, &stream, &s, 12, CLKV_DECODE, 5 + i, &f);
	selected_each(&feed, &stream, &s, 40, 9, &f);
	selected_one(&feed, &stream, &s, 75, CLKV_DECODE, 10, &f);
	selected_expect(&f, false);
	ck_assert_uint_ge(f.choices, 4 * 3); /* the prompt's end and two blocks of each head at least */
	selected_close(&s);
	feed_close(&feed);
}
END_TEST

/* A second prompt moves the budget of those that are a share. */
START_TEST(test_two_prompts)
{
	static struct stream stream;
	const struct selected_case *c = &cases[_i];
	struct feed feed = {.geometry = feed_usual(1)};
	struct selected s;
	struct selected_figures f = {0};
	selected_cache(&feed, c, NULL);
	stream_open(&feed, &stream);
	selected_open(&s, c, &feed);
	selected_one(&feed, &stream, &s, 150, CLKV_PROMPT_END, 1, &f);
	selected_one(&feed, &stream, &s, 40, CLKV_DECODE, 2, &f);
	selected_one(&feed, &stream, &s, 90, CLKV_PROMPT, 3, &f);
	selected_one(&feed, &stream, &s, 47, CLKV_PROMPT_END, 4, &f);
	selected_one(&feed, &stream, &s, 35, CLKV_DECODE, 5, &f);
	selected_expect(&f, false);
	selected_close(&s);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- everything ---- */

/* A budget of all tokens: not one bit differs from a cache of halves. (Sinks would part the sums of one block in two.) */
START_TEST(test_a_budget_of_everything_changes_nothing)
{
	static const char *const all[] = {
		"zeromerge:budget=1,tail=0.25,residual=0.25,lambda=1,alpha=1,metric=cos,init=first",
		"h2o:budget=400,recent=0.5",
		"snapkv:budget=400,obs=16,pool=5",
		"l2norm:budget=1",
		"morphkv:budget=1,obs=16",
		"streaming:budget=400"};
	static struct stream a, b;
	struct feed feed = {.geometry = feed_usual(2), .lse = true}, half = feed;
	struct feed_result x, y;
	char recipe[200];
	snprintf(recipe, sizeof recipe, "%s ; window=16,sinks=0,block=32,seal=prompt,skip=0", all[_i]);
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	feed_open(&half, fixture.context, fixture.queue, "f16 ; window=1024,sinks=0,block=32", NULL);
	stream_open(&feed, &a);
	stream_open(&half, &b);
	/* shares are of the prompt: generation would leave them */
	for (size_t i = 0; i < (strstr(recipe, "=1,") || strstr(recipe, "=1 ") ? 2 : 4); i++) {
		static const size_t n[] = {100, 100, 1, 90};
		static const clkv_phase phase[] = {CLKV_PROMPT, CLKV_PROMPT_END, CLKV_DECODE, CLKV_DECODE};
		feed_one(&feed, &a, n[i], phase[i], i, &x);
		feed_one(&half, &b, n[i], phase[i], i, &y);
		ck_assert(memcmp(x.out, y.out, 2 * n[i] * x.out_row * sizeof *x.out) == 0);
		ck_assert(memcmp(x.lse, y.lse, 2 * n[i] * x.lse_row * sizeof *x.lse) == 0);
		feed_result_close(&x);
		feed_result_close(&y);
	}
	feed_close(&feed);
	feed_close(&half);
}
END_TEST

/* ---------------------------------------------------------------- codes ---- */

/* A prompt's choice looks at its rows as they came, and codes come behind it: so many tokens are the same ones at any number
 * of bits, and at 16 what attention then says is, bit for bit, what selection alone says. */
START_TEST(test_the_choice_knows_nothing_of_bits)
{
	static const char *const codecs[] = {"", " | f16", " | kivi:bits=4,group=32",
	                                     " | kivi:bits=2,group=32"};
	struct selected_kept alone[2][2];
	struct feed_result first, result;
	for (int i = 0; i < 4; i++) {
		static struct stream stream;
		struct feed feed = {.geometry = feed_usual(2), .lse = true};
		char recipe[200];
		snprintf(recipe, sizeof recipe, "snapkv:budget=80,obs=16,pool=5%s" AROUND, codecs[i]);
		feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
		stream_open(&feed, &stream);
		feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, &result);
		feed_result_close(&result);
		for (int layer = 0; layer < 2; layer++)
			for (size_t head = 0; head < 2; head++) {
				struct selected_kept *a = &alone[layer][head], b;
				selected_read(&feed, &stream, layer, head, i ? &b : a);
				if (i == 0)
					continue;
				ck_assert_uint_eq(a->kept.n, b.kept.n);
				ck_assert(memcmp(a->kept.positions, b.kept.positions,
				                 a->kept.n * sizeof *b.kept.positions) == 0);
				selected_free(&b);
			}
		feed_one(&feed, &stream, 1, CLKV_DECODE, 2, i ? &result : &first);
		bool same =
			i == 0 || memcmp(first.out, result.out, 2 * first.out_row * sizeof *first.out) == 0;
		ck_assert(same == (i < 2));
		if (i > 0)
			feed_result_close(&result);
		feed_close(&feed);
	}
	for (int layer = 0; layer < 2; layer++)
		for (size_t head = 0; head < 2; head++)
			selected_free(&alone[layer][head]);
	feed_result_close(&first);
}
END_TEST

/* ---------------------------------------------------------------- planted rows ---- */

/* The row of a token that is special, what its keys are multiplied by, and where queries look: channel 0 of theirs. */
static struct {
	uint64_t row;
	double factor, key, look;
	bool flat; /* all other values of keys and queries are 0 */
} plant;

static double planted(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double value = feed_normal(row, layer, side, head, d);
	if (side == FEED_V)
		return value;
	if (plant.flat)
		value = 0.0;
	if (side == FEED_Q)
		return d == 0 ? plant.look : value;
	if (d == 0)
		return row == plant.row ? plant.key : 0.0;
	return row == plant.row ? plant.factor * value : value;
}

static void open_planted(struct feed *feed, const char *recipe, uint64_t seed, size_t position,
                         struct stream *stream)
{
	plant.row = random_mix(seed, position);
	plant.factor = 1.0;
	plant.key = plant.look = 0.0;
	plant.flat = false;
	feed->value = planted;
	feed_open(feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(feed, stream);
}

static size_t tail_of(const struct feed *feed, const struct stream *stream)
{
	clkv_kept kept = CLKV_INIT(clkv_kept);
	clkv_error error;
	kept.room = FEED_TOKENS;
	feed_ok(clkv_seq_get_kept(stream->seq, 0, 0, &kept, feed->queue, &error), &error,
	        "clkv_seq_get_kept");
	return kept.tail;
}

START_TEST(test_long_keys_go_and_short_ones_stay)
{
	static const double factors[] = {10.0, 0.1};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2)};
	open_planted(&feed, "l2norm:budget=60 ; window=16,sinks=4,block=32,skip=0", 1, 77, &stream);
	plant.factor = factors[_i];
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 70, CLKV_DECODE, 2, NULL);
	for (size_t head = 0; head < 2; head++)
		ck_assert_int_eq(selected_has(&feed, &stream, 1, head, 77), _i == 1);
	feed_close(&feed);
}
END_TEST

static bool reads(const struct selected_kept *x, size_t position)
{
	for (size_t i = 0; i < x->kept.n; i++)
		if (x->kept.positions[i] == position)
			return true;
	return false;
}

/* RoPE turns keys and leaves their lengths: but for roundings to half of two keys about as long (2^-11 of each channel),
 * the choice is the same. */
START_TEST(test_rotation_changes_no_choice_by_length)
{
	static struct stream a, b;
	struct feed plain = {.geometry = feed_usual(1)}, turned = plain;
	static const char *const recipe = "l2norm:budget=60 ; window=16,sinks=4,block=32,skip=0";
	turned.geometry.rope.kind = CLKV_ROPE_HALVES;
	turned.geometry.rope.by_library = 1;
	feed_open(&plain, fixture.context, fixture.queue, recipe, NULL);
	feed_open(&turned, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&plain, &a);
	stream_open(&turned, &b);
	feed_one(&plain, &a, 230, CLKV_PROMPT_END, 1, NULL);
	feed_one(&turned, &b, 230, CLKV_PROMPT_END, 1, NULL);
	for (size_t head = 0; head < 2; head++) {
		struct selected_kept x, y;
		double cut = -INFINITY;
		size_t same = 0;
		selected_read(&plain, &a, 0, head, &x);
		selected_read(&turned, &b, 0, head, &y);
		ck_assert_uint_eq(x.kept.n, 40);
		ck_assert_uint_eq(y.kept.n, 40);
		for (size_t i = 0; i < x.kept.n; i++)
			cut = fmax(cut, -(double)x.kept.scores[i]);
		for (size_t i = 0; i < x.kept.n; i++) {
			double norm = -(double)x.kept.scores[i];
			same += reads(&y, x.kept.positions[i]);
			EACH_MSG(reads(&y, x.kept.positions[i]) || cut - norm <= 2.0 * REF_HALF_EPS * cut,
			         "token %u is kept before RoPE alone", x.kept.positions[i]);
		}
		ck_assert_uint_ge(same, 38);
		selected_free(&x);
		selected_free(&y);
	}
	feed_close(&plain);
	feed_close(&turned);
}
END_TEST

/* ---------------------------------------------------------------- attention as a judge ---- */

/* Equal weights are exactly 1 / (position + 1), which is enough. */
START_TEST(test_uniform_attention_drops_nothing)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1)};
	open_planted(&feed, "corm:obs=8" AROUND, 1, 0, &stream);
	plant.flat = true;
	feed_one(&feed, &stream, 231, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 77, CLKV_DECODE, 2, NULL);
	size_t tail = tail_of(&feed, &stream);
	ck_assert_uint_gt(tail, 231);
	for (size_t head = 0; head < 2; head++) {
		struct selected_kept x;
		selected_read(&feed, &stream, 0, head, &x);
		ck_assert_uint_eq(x.kept.n, tail - 4);
		selected_free(&x);
	}
	feed_close(&feed);
}
END_TEST

/* Rows look at a key as at all others, then away from it: it stays as long as one of the former is among those that
 * judge, seen whenever a block leaves the window. */
START_TEST(test_what_passed_once_stays_a_while)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1)};
	size_t away = 0, judged = 0, stays = 0, goes = 0;
	open_planted(&feed, "corm:obs=48 ; window=8,sinks=0,block=32", 1, 20, &stream);
	plant.flat = true;
	plant.key = -9.0;
	feed_one(&feed, &stream, 100, CLKV_PROMPT_END, 1, NULL);
	ck_assert(selected_has(&feed, &stream, 0, 0, 20));
	plant.look = 8.0; /* exp(-9) of the others' weight */
	for (size_t tail = tail_of(&feed, &stream); away < 130; tail = tail_of(&feed, &stream)) {
		feed_one(&feed, &stream, 1, CLKV_DECODE, 2, NULL);
		away++;
		if (tail_of(&feed, &stream) > tail)
			judged = away;
		bool has = selected_has(&feed, &stream, 0, 1, 20);
		ck_assert_msg(has == (judged < 48), "%zu rows looked away, %zu when it was judged", away,
		              judged);
		stays += has;
		goes += !has;
	}
	ck_assert(stays > 32 && goes > 32);
	feed_close(&feed);
}
END_TEST

/* A key that queries look for stays, until they look for it no more; what counts all attention keeps it longer. */
START_TEST(test_newest_rows_judge)
{
	static const char *const recipes[] = {
		"morphkv:budget=60,obs=16,agg=sum ; window=16,sinks=4,block=32",
		"snapkv:budget=60,obs=16,pool=1 ; window=16,sinks=4,block=32",
		"h2o:budget=60,recent=16 ; window=16,sinks=4,block=32"};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1)};
	open_planted(&feed, recipes[_i], 1, 30, &stream);
	plant.key = 9.0;
	plant.look = 8.0;
	feed_one(&feed, &stream, 150, CLKV_PROMPT_END, 1, NULL);
	ck_assert(selected_has(&feed, &stream, 0, 0, 30));
	feed_one(&feed, &stream, 60, CLKV_DECODE, 2, NULL);
	ck_assert(selected_has(&feed, &stream, 0, 0, 30));
	plant.look = -8.0;
	feed_one(&feed, &stream, 70, CLKV_DECODE, 3, NULL);
	ck_assert_int_eq(selected_has(&feed, &stream, 0, 0, 30), _i == 2);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- heads ---- */

static size_t group_of; /* query heads that have the same queries */

static double repeated(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return selected_quarters(row, layer, side, side == FEED_Q ? head / group_of : head, d);
}

/* Three query heads with the same queries choose as one does; their mass is three times as much. */
START_TEST(test_equal_heads_are_one)
{
	static const char *const recipes[] = {
		"h2o:budget=80,recent=0.5" AROUND,
		"zeromerge:budget=80,tail=0.5,residual=8,lambda=0.98,alpha=1,metric=dot,init=contig,"
		"obs=0,peak=0,mean=count,mass=sum" AROUND};
	static struct stream one, three;
	struct feed few = {.geometry = feed_geometry(1, 2, 2, 64, 64), .value = repeated};
	struct feed many = {.geometry = feed_usual(1), .value = repeated};
	feed_open(&few, fixture.context, fixture.queue, recipes[_i], NULL);
	feed_open(&many, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&few, &one);
	stream_open(&many, &three);
	for (size_t i = 0; i < 3; i++) {
		static const size_t n[] = {170, 33, 50};
		group_of = 1;
		feed_one(&few, &one, n[i], i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, NULL);
		group_of = 3;
		feed_one(&many, &three, n[i], i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, NULL);
	}
	for (size_t head = 0; head < 2; head++) {
		struct selected_kept x, y;
		selected_read(&few, &one, 0, head, &x);
		selected_read(&many, &three, 0, head, &y);
		ck_assert_uint_gt(x.kept.n, 0);
		ck_assert_uint_eq(x.kept.n, y.kept.n);
		for (size_t i = 0; i < x.kept.n; i++) {
			EACH_MSG(x.kept.positions[i] == y.kept.positions[i], "slot %zu: tokens %u and %u", i,
			         x.kept.positions[i], y.kept.positions[i]);
			EACH_MSG(fabs(3.0 * (double)x.kept.scores[i] - (double)y.kept.scores[i]) <=
			             1e-4 * (double)y.kept.scores[i], /* sums of 253 rows, each off by ulps */
			         "slot %zu: scores %g and %g", i, (double)x.kept.scores[i],
			         (double)y.kept.scores[i]);
		}
		selected_free(&x);
		selected_free(&y);
	}
	feed_close(&few);
	feed_close(&many);
}
END_TEST

/* Exactly sinks and the newest tokens, up to a block more before the next leaves. */
START_TEST(test_streaming_keeps_sinks_and_the_newest)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1), .append_only = true};
	feed_open(&feed, fixture.context, fixture.queue, "streaming:budget=68 ; sinks=4,block=32",
	          NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 150, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(tail_of(&feed, &stream), 150 - 64);
	for (size_t n = 151; n < 300; n++) {
		clkv_kept kept = CLKV_INIT(clkv_kept);
		feed_one(&feed, &stream, 1, CLKV_DECODE, 2, NULL);
		ck_assert_int_eq(clkv_seq_get_kept(stream.seq, 0, 1, &kept, feed.queue, NULL), CLKV_OK);
		ck_assert_uint_eq(kept.n, 0);
		ck_assert_uint_eq(kept.tail, 86 + (n - 150) / 32 * 32);
	}
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("select");
	TCase *choice = fixture_case(suite, "choice", 120), *kinds = fixture_case(suite, "kinds", 60);
	fixture_some(choice, test_the_choice_is_that_of_a_sort, CASES, 0, 2, 4, 6, 7, 9, 10, 11, 13);
	fixture_some(choice, test_two_prompts, CASES, 2, 4, 7);
	fixture_some(kinds, test_a_budget_of_everything_changes_nothing, 6, 0, 4);
	tcase_add_test(kinds, test_the_choice_knows_nothing_of_bits);
	tcase_add_loop_test(kinds, test_long_keys_go_and_short_ones_stay, 0, 2);
	tcase_add_test(kinds, test_rotation_changes_no_choice_by_length);
	tcase_add_test(kinds, test_uniform_attention_drops_nothing);
	tcase_add_test(kinds, test_what_passed_once_stays_a_while);
	tcase_add_loop_test(kinds, test_newest_rows_judge, 0, 3);
	tcase_add_loop_test(kinds, test_equal_heads_are_one, 0, 2);
	tcase_add_test(kinds, test_streaming_keeps_sinks_and_the_newest);
	return fixture_run_shared(suite);
}
