/* SPDX-License-Identifier: MIT */
/** \file check_remove.c \brief Tokens taken out of the middle: rows that move, and how much they lose. */
#include "ref/ref_affine.h"
#include "ref/ref_half.h"
#include "ref/ref_rope.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/kinds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 2, DIM = 64, ROW = HEADS * DIM, LAYERS = 2, TOKENS = 301 };

static void remove_tokens(const struct feed *feed, struct stream *s, size_t from, size_t to)
{
	clkv_error error;
	feed_ok(clkv_seq_remove(s->seq, from, to, feed->queue, &error), &error, "clkv_seq_remove");
	memmove(s->row + from, s->row + to, (s->n - to) * sizeof s->row[0]);
	s->n -= to - from;
	ck_assert_uint_eq(stream_info(s).length, s->n);
}

/* ---------------------------------------------------------------- rows ---- */

/* Recipes by how their blocks are encoded: bits of 0 are half. */
static const struct moved_case {
	const char *recipe;
	int bits_k, bits_v, skip;
} cases[] = {
	{"f16", 0, 0, LAYERS},
	{"kivi:bits=4,group=64 ; window=40,sinks=3", 4, 4, 0},
	{"q:k=8,v=4,axis_k=channel,group=64 ; window=0,skip=1", 8, 4, 1},
	{"clusterkv:recall=64,per=8,every=128,most=1024 ; window=32,sinks=5", 0, 0, 0},
	{"clusterkv:recall=64,per=8,every=128 | place:host,via=copy ; window=32,sinks=5", 0, 0, 0},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* How keys are rotated: by nobody, and each way by either side. */
static const clkv_rope ropes[] = {
	{.kind = CLKV_ROPE_NONE},
	{.kind = CLKV_ROPE_HALVES, .base = 10000},
	{.kind = CLKV_ROPE_PAIRS, .by_library = 1, .dims = 48, .base = 500000},
	{.kind = CLKV_ROPE_HALVES,
     .by_library = 1,
     .base = 10000,
     .scaling = CLKV_ROPE_YARN,
     .factor = 4,
     .original = 128},
};
enum { ROPES = sizeof ropes / sizeof ropes[0] };

/* Within sinks, whole blocks, across blocks, within the window, all but two. */
static const size_t ranges[][2] = {{0, 2}, {67, 131}, {100, 155}, {1, TOKENS - 1}, {283, 290}};
enum { RANGES = sizeof ranges / sizeof ranges[0] };

/* Rows of a layer, [TOKENS][HEADS][DIM]. */
struct rows {
	double k[TOKENS * ROW], v[TOKENS * ROW];
};

static void open_case(struct feed *feed, int i, int rope, struct stream *s)
{
	clkv_cache_options o = feed_room(2000, 4);
	*feed = (struct feed){.geometry = feed_usual(LAYERS), .lse = true};
	feed->geometry.rope = ropes[rope];
	feed_open(feed, fixture.context, fixture.queue, cases[i].recipe, &o);
	stream_open(feed, s);
	feed_one(feed, s, 260, CLKV_PROMPT_END, 1, NULL);
	feed_one(feed, s, TOKENS - 260, CLKV_DECODE, 2, NULL);
}

/* A head's keys where they would be had they been `back` positions earlier. */
static void turn_back(const clkv_rope *rope, double back, const double *from, double *to)
{
	size_t dims = rope->dims ? (size_t)rope->dims : DIM;
	struct ref_rope r = {.pairs = rope->kind == CLKV_ROPE_PAIRS,
	                     .dims = dims,
	                     .base = (double)rope->base,
	                     .attn_factor = 1,
	                     .scaling = (enum ref_rope_scaling)rope->scaling,
	                     .factor = (double)rope->factor,
	                     .original = (double)rope->original,
	                     .beta_fast = 32,
	                     .beta_slow = 1,
	                     .ext_factor = 1};
	double magnitude = ref_rope_magnitude(&r);
	for (size_t d = 0; d < DIM; d++)
		to[d] = rope->kind == CLKV_ROPE_NONE || d >= dims
		            ? from[d]
		            : ref_rope(&r, -back, d, from[d], from[ref_rope_partner(&r, d)]) / magnitude;
}

static double largest(const double *x, size_t n)
{
	double most = 0;
	for (size_t i = 0; i < n; i++)
		most = fmax(most, fabs(x[i]));
	return most;
}

/* One head's tokens of one block: want is what was encoded, up to the rounding of a half and of the turn (some units of
 * single precision, far less), which moves a value and by it the range of its group. */
static void expect_block(const double *want, const double *got, size_t n, int bits, bool is_k,
                         const char *what)
{
	struct ref_code codes[64 * DIM];
	const struct ref_affine a = {.bits = bits, .axis = is_k ? REF_CHANNEL : REF_TOKEN, .group = 64};
	double slack = 3 * REF_HALF_EPS * largest(want, n * DIM);
	if (bits > 0)
		ref_affine_encode(&a, n, DIM, want, codes);
	for (size_t i = 0; i < n * DIM; i++) {
		double bound = (bits > 0 ? codes[i].bound : 0) + slack;
		EACH_MSG(fabs(got[i] - want[i]) <= bound, "%s: token %zu, channel %zu: %g, not %g +- %g",
		         what, i / DIM, i % DIM, got[i], want[i], bound);
	}
}

static void head_of(const double *rows, size_t from, size_t n, size_t head, double *to)
{
	for (size_t t = 0; t < n; t++)
		memcpy(to + t * DIM, rows + (from + t) * ROW + head * DIM, DIM * sizeof *to);
}

/* Tokens from .. to - 1 of both sides, which were sealed together, or never. */
static void expect_tokens(const struct moved_case *c, const struct rows *want,
                          const struct rows *got, size_t from, size_t to, bool sealed,
                          const char *what)
{
	double x[64 * DIM], y[64 * DIM];
	for (size_t head = 0; head < HEADS; head++)
		for (size_t at = from, n; at < to; at += n) {
			n = to - at < 64 ? to - at : 64;
			head_of(want->k, at, n, head, x);
			head_of(got->k, at, n, head, y);
			expect_block(x, y, n, sealed ? c->bits_k : 0, true, what);
			head_of(want->v, at, n, head, x);
			head_of(got->v, at, n, head, y);
			expect_block(x, y, n, sealed ? c->bits_v : 0, false, what);
		}
}

/* A key of the recipe in full. */
static size_t general_key(const char *recipe, const char *key)
{
	char text[1024];
	clkv_error error;
	feed_ok(clkv_recipe_print(recipe, text, sizeof text, &error), &error, recipe);
	const char *at = strstr(text, key);
	ck_assert_ptr_nonnull(at);
	return strtoul(at + strlen(key), NULL, 10);
}

/* A layer against what it held: tokens in front of the gap are the same bits; those behind it lie where the turn says, within
 * one rounding of the codec where they are sealed now, of a half elsewhere. */
static void expect_layer(const struct feed *feed, const struct stream *s, int i, int rope,
                         const size_t *range, const struct rows *before, int layer)
{
	static struct rows want, got;
	size_t from = range[0], gone = range[1] - from;
	const struct moved_case *c = &cases[i];
	clkv_seq_info info = stream_info(s);
	size_t sinks = general_key(c->recipe, "sinks=");
	sinks = layer < c->skip ? 0 : sinks < s->n ? sinks : s->n;
	size_t tail = layer < c->skip ? 0 : sinks + info.sealed;
	feed_read(feed, s, layer, 0, s->n, got.k, got.v);
	for (size_t t = from; t < s->n; t++)
		for (size_t h = 0; h < HEADS; h++) {
			size_t to = t * ROW + h * DIM, at = to + gone * ROW;
			turn_back(&ropes[rope], (double)gone, before->k + at, want.k + to);
			memcpy(want.v + to, before->v + at, DIM * sizeof(double));
		}
	ck_assert_mem_eq(got.k, before->k, from * ROW * sizeof(double));
	ck_assert_mem_eq(got.v, before->v, from * ROW * sizeof(double));
	/* where sealing goes on: at the gap, or behind the sinks, or in front of a gap in the window, where all is in half */
	size_t first = from > sinks ? from : sinks;
	if (layer >= c->skip && first < tail) {
		expect_tokens(c, &want, &got, from, first, false, "sinks");
		expect_tokens(c, &want, &got, first, tail, true, c->recipe);
		first = tail;
	} else
		first = from;
	expect_tokens(c, &want, &got, first, s->n, false, "in half");
}

START_TEST(test_rows_behind_the_gap_turn_and_lose_one_rounding)
{
	static struct stream s, fork, first;
	static struct rows before[LAYERS];
	int i = _i / ROPES, rope = _i % ROPES;
	struct feed feed;
	open_case(&feed, i, rope, &first);
	for (size_t r = 0; r < RANGES; r++) {
		/* in front of a range in the window there are tokens in half: a block may begin with them */
		stream_fork(&feed, &first, &s);
		stream_fork(&feed, &first, &fork);
		for (int layer = 0; layer < LAYERS; layer++)
			feed_read(&feed, &s, layer, 0, s.n, before[layer].k, before[layer].v);
		remove_tokens(&feed, &s, ranges[r][0], ranges[r][1]);
		for (int layer = 0; layer < LAYERS; layer++)
			expect_layer(&feed, &s, i, rope, ranges[r], &before[layer], layer);
		expect_same_cache(&feed, &fork, &first);
		feed_one(&feed, &s, 1, CLKV_DECODE, 3, NULL);
		stream_close(&s);
		stream_close(&fork);
	}
	stream_close(&first);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

/* Attention goes on as over a sequence that never had the tokens: half rounds keys twice, by 2^-11 of a value each. Logits of
 * keys of some units are then off by some 2^-8, outputs of units by less than a fiftieth; keys that didn't turn by
 * (tokens gone) positions give others altogether. */
START_TEST(test_attention_is_that_of_a_sequence_without_them)
{
	static struct stream s, plain;
	struct feed feed = {.geometry = feed_usual(LAYERS), .lse = true};
	struct feed_result a, b;
	feed.geometry.rope = ropes[2 + _i];
	feed_open(&feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &s);
	stream_open(&feed, &plain);
	feed_one(&feed, &s, 100, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &s, 50, CLKV_PROMPT, 2, NULL);
	feed_one(&feed, &s, 150, CLKV_PROMPT, 3, NULL);
	uint64_t kept[150];
	memcpy(kept, s.row + 150, sizeof kept);
	feed_one(&feed, &plain, 100, CLKV_PROMPT, 1, NULL);
	/* the same rows, though they have other numbers in this stream */
	feed_named(&feed, &plain, kept, 150, CLKV_PROMPT);
	remove_tokens(&feed, &s, 100, 150);
	feed_one(&feed, &s, 4, CLKV_DECODE, 5, &a);
	feed_one(&feed, &plain, 4, CLKV_DECODE, 5, &b);
	ck_assert_double_le(expect_difference(&feed, &a, &b), 0.02);
	feed_result_close(&a);
	feed_result_close(&b);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

static void expect_error(const struct feed *feed, const struct stream *s, size_t from, size_t to,
                         clkv_status want, const char *part)
{
	clkv_error error;
	clkv_seq_info before = stream_info(s);
	ck_assert_int_eq(clkv_seq_remove(s->seq, from, to, feed->queue, &error), want);
	ck_assert_msg(strstr(error.text, part), "'%s' lacks '%s'", error.text, part);
	clkv_seq_info after = stream_info(s);
	ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
}

/* Of each kind: moved, or refused by name; the newest tokens go wherever a cut may go. */
START_TEST(test_each_kind_moves_or_says_why_not)
{
	static struct stream s;
	const struct kind *kind = &kinds[_i];
	struct feed feed;
	char stage[32] = "";
	kind_open(&feed, kind, fixture.context, fixture.queue);
	stream_open(&feed, &s);
	feed_one(&feed, &s, 400, CLKV_PROMPT_END, 1, NULL);
	size_t least = stream_info(&s).min_length;
	bool looks = clkv_cache_observes(feed.cache) > 0;
	bool layered = strncmp(kind->recipe, "layers=", 7) == 0;
	const char *first = layered ? strchr(kind->recipe, ':') + 2 : kind->recipe;
	memcpy(stage, first, strcspn(first, ": "));
	if (looks)
		expect_error(&feed, &s, 390, 395, CLKV_ERROR_UNSUPPORTED, stage);
	else if (kind->selects)
		expect_error(&feed, &s, least - 1, least, CLKV_ERROR_INVALID_ARGUMENT, "only some");
	else
		remove_tokens(&feed, &s, 50, 120);
	if (!looks)
		remove_tokens(&feed, &s, s.n - 10, s.n - 5);
	remove_tokens(&feed, &s, s.n - 3, s.n);
	remove_tokens(&feed, &s, 7, 7);
	feed_one(&feed, &s, 2, CLKV_DECODE, 2, NULL);
	feed_close(&feed);
}
END_TEST

START_TEST(test_wrong_ranges_and_moments_are_refused)
{
	static struct stream s, other;
	struct feed feed;
	clkv_error error;
	open_case(&feed, 1, 1, &s);
	expect_error(&feed, &s, 0, TOKENS + 1, CLKV_ERROR_INVALID_ARGUMENT, "from <= to <= 301");
	expect_error(&feed, &s, 5, 4, CLKV_ERROR_INVALID_ARGUMENT, "from <= to");
	ck_assert_int_eq(clkv_seq_remove(NULL, 0, 1, feed.queue, &error), CLKV_ERROR_INVALID_ARGUMENT);
	stream_open(&feed, &other);
	struct feed_item item = {&other, 2, CLKV_DECODE, 0, 2};
	clkv_step *step = feed_begin(&feed, &item, 1, NULL);
	expect_error(&feed, &s, 10, 20, CLKV_ERROR_BUSY, "open step");
	clkv_step_abort(step);
	static struct stream more[2];
	stream_open(&feed, &more[0]);
	stream_open(&feed, &more[1]);
	expect_error(&feed, &s, 10, 20, CLKV_ERROR_POOL_FULL, "4 sequences exist");
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- failures ---- */

/* Whatever call or allocation fails, the sequence is as it was, bit for bit, and nothing is left behind. */
START_TEST(test_failures_change_nothing)
{
	static struct stream s, fork;
	struct feed feed;
	clkv_error error;
	bool failed = true;
	open_case(&feed, _i / 2 ? 3 : 1, 1, &s);
	feed_ok(clkv_cache_warm(feed.cache, NULL, NULL, &error), &error, "clkv_cache_warm");
	stream_fork(&feed, &s, &fork);
	uint64_t device = inject_device_bytes();
	for (int n = 0; failed; n += 1 + n / 12) {
		clkv_stats before = feed_stats(&feed), after;
		if (_i % 2)
			inject_alloc_arm(n);
		else
			inject_cl_arm(n);
		clkv_status status = clkv_seq_remove(s.seq, 90, 170, feed.queue, &error);
		failed = _i % 2 ? inject_alloc_disarm() : inject_cl_disarm();
		ck_assert_msg(status == CLKV_OK || failed, "call %d: %s", n, error.text);
		ck_assert_uint_eq(inject_device_bytes(), device);
		after = feed_stats(&feed);
		ck_assert_uint_eq(after.sequences, before.sequences);
		if (status == CLKV_OK) { /* also without a figure that couldn't be read */
			ck_assert_uint_eq(stream_info(&s).length, TOKENS - 80);
			clkv_seq_destroy(s.seq);
			stream_fork(&feed, &fork, &s);
			continue;
		}
		ck_assert_uint_eq(after.used_open, before.used_open);
		ck_assert_uint_eq(after.used_sealed, before.used_sealed);
		expect_same_cache(&feed, &s, &fork);
	}
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("remove");
	TCase *tcase = fixture_case(suite, "remove", 20);
	tcase_add_loop_test(tcase, test_rows_behind_the_gap_turn_and_lose_one_rounding, 0,
	                    CASES * ROPES);
	tcase_add_loop_test(tcase, test_attention_is_that_of_a_sequence_without_them, 0, 2);
	tcase_add_loop_test(tcase, test_each_kind_moves_or_says_why_not, 0, n_kinds);
	tcase_add_test(tcase, test_wrong_ranges_and_moments_are_refused);
	tcase_add_loop_test(tcase, test_failures_change_nothing, 0, 4);
	return fixture_run(suite);
}
