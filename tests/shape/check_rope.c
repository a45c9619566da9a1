/* SPDX-License-Identifier: MIT */
/** \file check_rope.c \brief Rotation by the library: as the formulas say, and as if the caller had done it. */
#include "ref/ref_half.h"
#include "ref/ref_rope.h"
#include "shape/rope.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/memory_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KIVI "kivi:bits=4 ; window=40,sinks=3"
#define THINK "think:keep=0.5 | kivi:bits=8 ; window=40"
#define DIM 64

/* As Llama 3 has them: the slow pairs eight times slower, some between. */
static float factors[DIM / 2];

/* The same rope twice: what the library is told, and what its defaults mean. */
static const struct {
	clkv_rope rope;
	struct ref_rope ref;
} ropes[] = {
	{{.kind = CLKV_ROPE_HALVES}, {.dims = DIM, .base = 10000, .attn_factor = 1}},
	{{.kind = CLKV_ROPE_PAIRS, .base = 500000, .factors = factors},
     {.pairs = true, .dims = DIM, .base = 500000, .attn_factor = 1, .factors = factors}},
	{{.kind = CLKV_ROPE_HALVES,
      .dims = 32,
      .base = 1e6f,
      .scaling = CLKV_ROPE_LINEAR,
      .factor = 2.5f},
     {.dims = 32, .base = 1e6, .attn_factor = 1, .scaling = REF_LINEAR, .factor = 2.5}},
	{{.kind = CLKV_ROPE_PAIRS, .dims = 50, .scaling = CLKV_ROPE_YARN, .factor = 4, .original = 512},
     {.pairs = true,
      .dims = 50,
      .base = 10000,
      .attn_factor = 1,
      .scaling = REF_YARN,
      .factor = 4,
      .original = 512,
      .beta_fast = 32,
      .beta_slow = 1,
      .ext_factor = 1}},
	{{.kind = CLKV_ROPE_HALVES,
      .base = 5000,
      .attn_factor = 0.75f,
      .scaling = CLKV_ROPE_YARN,
      .factor = 16,
      .original = 128,
      .beta_fast = 16,
      .beta_slow = 2,
      .ext_factor = 0.5f},
     {.dims = DIM,
      .base = 5000,
      .attn_factor = 0.75,
      .scaling = REF_YARN,
      .factor = 16,
      .original = 128,
      .beta_fast = 16,
      .beta_slow = 2,
      .ext_factor = 0.5}},
};
#define ROPES (sizeof ropes / sizeof ropes[0])

static void fill_factors(void)
{
	for (size_t i = 0; i < DIM / 2; i++)
		factors[i] = i < 12 ? 1.0f : i < 18 ? 1.0f + (float)(i - 12) : 8.0f;
}

static double *new_doubles(size_t n)
{
	double *values = calloc(n + 1, sizeof *values);
	ck_assert_ptr_nonnull(values);
	return values;
}

/* ---------------------------------------------------------------- rows ---- */

/* Channels of a query differ in size, so that what a stage sees of them depends on their rotation. */
static double raw(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d);
	return side == FEED_Q && d % 5 == 0 ? 3.0 * x : x;
}

/* A row's number doesn't tell its position: it's looked up in the stream that the test is about. */
static struct {
	const struct ref_rope *rope;
	const struct stream *stream;
	size_t last;
} turning;

static size_t position_of(uint64_t row)
{
	if (turning.stream->row[turning.last] == row)
		return turning.last;
	for (size_t i = 0; i < FEED_TOKENS; i++)
		if (turning.stream->row[i] == row)
			return turning.last = i;
	ck_abort_msg("no such row");
	return 0;
}

/* What raw becomes when the caller rotates, of the floats that the library would be given. */
static double turned(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double own = tensor_round(CLKV_F32, raw(row, layer, side, head, d));
	if (side == FEED_V || d >= turning.rope->dims)
		return own;
	size_t other = ref_rope_partner(turning.rope, d);
	double partner = tensor_round(CLKV_F32, raw(row, layer, side, head, other));
	return ref_rope(turning.rope, (double)position_of(row), d, own, partner);
}

static void turn_as(const struct ref_rope *rope, const struct stream *stream)
{
	turning.rope = rope;
	turning.stream = stream;
	turning.last = 0;
}

static void open_feed(struct feed *feed, size_t which, bool by_library, const char *recipe)
{
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	fill_factors();
	room.max_tokens = 1024;
	room.max_sequences = 4;
	feed->geometry = feed_usual(2);
	feed->geometry.rope = ropes[which].rope;
	feed->geometry.rope.by_library = by_library;
	feed->value = by_library ? raw : turned;
	feed->lse = true;
	feed_open(feed, fixture.context, fixture.queue, recipe, &room);
}

/* How many of the keys that a stream of half rows holds are not the formula's: a rounding to half, and what a turn
 * in single precision is off by (the head of cl/base/rope.clh, and the products). */
static size_t wrong_keys(const struct feed *feed, const struct stream *stream,
                         const struct ref_rope *rope)
{
	size_t heads = feed_heads(feed, FEED_K), wrong = 0;
	double *k = new_doubles(stream->n * heads * DIM), *at = k;
	turn_as(rope, stream);
	feed_read(feed, stream, 1, 0, stream->n, k, NULL);
	for (size_t t = 0; t < stream->n; t++)
		for (size_t h = 0; h < heads; h++)
			for (size_t d = 0; d < DIM; d++, at++) {
				double want = turned(stream->row[t], 1, FEED_K, h, d);
				double size = fabs(raw(stream->row[t], 1, FEED_K, h, d));
				if (d < rope->dims)
					size += fabs(raw(stream->row[t], 1, FEED_K, h, ref_rope_partner(rope, d)));
				wrong +=
					fabs(*at - want) > fabs(want) * REF_HALF_EPS + REF_HALF_TINY + 0x1p-20 * size;
			}
	free(k);
	return wrong;
}

/* ---------------------------------------------------------------- turns ---- */

/* The table's angle at a position, as a fraction of a turn, against the formula's. 2^-50 of a turn for each position
 * is what doubles on the way may lose. */
START_TEST(test_turns_are_frequencies)
{
	static const double positions[] = {1, 2, 1000, 131071, 1 << 28};
	cl_ulong turns[CLKV__ROPE_MOST];
	clkv_rope rope = ropes[_i].rope;
	const struct ref_rope *ref = &ropes[_i].ref;
	fill_factors();
	ck_assert_int_eq(clkv__rope_read(&rope, DIM, NULL), CLKV_OK);
	ck_assert_uint_eq(clkv__rope_bytes(&rope), ref->dims * 4);
	clkv__rope_turns(&rope, turns);
	for (size_t i = 0; i < ref->dims / 2; i++)
		for (size_t p = 0; p < sizeof positions / sizeof positions[0]; p++) {
			double want = positions[p] * ref_rope_frequency(ref, i) / (2 * 3.14159265358979323846);
			double got = ldexp((double)((cl_ulong)positions[p] * turns[i]), -64);
			double off = got - (want - floor(want));
			EACH_MSG(fabs(off - rint(off)) <= positions[p] * 0x1p-50, "pair %zu at %g: %g, not %g",
			         i, positions[p], got, want - floor(want));
		}
	ck_assert_double_eq_tol((double)clkv__rope_magnitude(&rope), ref_rope_magnitude(ref), 0x1p-23);
}
END_TEST

/* Qwen 2.5's YaRN: pairs that turn oftener than 32 times in 32768 tokens are kept, those that don't turn once are
 * four times slower. */
START_TEST(test_yarn_keeps_the_fast_and_slows_the_slow)
{
	cl_ulong plain[CLKV__ROPE_MOST], yarn[CLKV__ROPE_MOST];
	clkv_rope rope = {.kind = CLKV_ROPE_HALVES, .base = 1e6f}, scaled = rope;
	scaled.scaling = CLKV_ROPE_YARN;
	scaled.factor = 4;
	scaled.original = 32768;
	ck_assert_int_eq(clkv__rope_read(&rope, 128, NULL), CLKV_OK);
	ck_assert_int_eq(clkv__rope_read(&scaled, 128, NULL), CLKV_OK);
	clkv__rope_turns(&rope, plain);
	clkv__rope_turns(&scaled, yarn);
	for (int i = 0; i < 64; i++) {
		double turns = 32768 * ldexp((double)plain[i], -64);
		double ratio = (double)yarn[i] / (double)plain[i];
		EACH_MSG(ratio <= 1.0 + 1e-12 && ratio >= 0.25 - 1e-12, "pair %d: %g", i, ratio);
		/* limits are rounded to whole pairs, which are 1.24 times as slow as the one before */
		EACH_MSG(turns < 32 * 1.25 || fabs(ratio - 1.0) < 1e-12, "pair %d: %g", i, ratio);
		EACH_MSG(turns > 1 / 1.25 || fabs(ratio - 0.25) < 1e-12, "pair %d: %g", i, ratio);
	}
	ck_assert_double_eq_tol((double)clkv__rope_magnitude(&scaled), 1.0 + 0.1 * log(4.0), 1e-6);
}
END_TEST

/* ---------------------------------------------------------------- keys ---- */

/* Chunks, generation, drafts, a truncated end and a fork: the position is always the row's own. */
START_TEST(test_keys_are_rotated_by_their_position)
{
	static struct stream a, b;
	struct feed feed = {0};
	open_feed(&feed, (size_t)_i, true, "f16");
	const struct ref_rope *ref = &ropes[_i].ref;
	stream_open(&feed, &a);
	feed_one(&feed, &a, 5, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &a, 200, CLKV_PROMPT_END, 1, NULL);
	struct feed_item draft = {&a, 4, CLKV_DECODE, 3, 2};
	feed_step(&feed, &draft, 1, NULL);
	feed_one(&feed, &a, 1, CLKV_DECODE, 3, NULL);
	ck_assert_uint_eq(wrong_keys(&feed, &a, ref), 0);
	stream_fork(&feed, &a, &b);
	feed_ok(clkv_seq_truncate(b.seq, 101, NULL), NULL, "clkv_seq_truncate");
	b.n = 101;
	struct feed_item both[] = {{&a, 3, CLKV_DECODE, 0, 4}, {&b, 40, CLKV_PROMPT_END, 0, 5}};
	feed_step(&feed, both, 2, NULL);
	ck_assert_uint_eq(wrong_keys(&feed, &a, ref), 0);
	ck_assert_uint_eq(wrong_keys(&feed, &b, ref), 0);
	feed_close(&feed);
}
END_TEST

/* The bound above is no bound for another rope. */
START_TEST(test_another_rope_would_be_seen)
{
	static struct stream a;
	struct feed feed = {0};
	open_feed(&feed, 4, true, "f16");
	stream_open(&feed, &a);
	feed_one(&feed, &a, 200, CLKV_PROMPT_END, 1, NULL);
	struct ref_rope others[6];
	for (size_t i = 0; i < 6; i++)
		others[i] = ropes[4].ref;
	others[0].pairs = true;
	others[1].base *= 1.001;
	others[2].attn_factor = 1.0;
	others[3].factor *= 1.001;
	others[4].dims -= 2;
	others[5].original *= 1.5;
	for (size_t i = 0; i < 6; i++)
		ck_assert_uint_gt(wrong_keys(&feed, &a, &others[i]), 1000);
	ck_assert_uint_eq(wrong_keys(&feed, &a, &ropes[4].ref), 0);
	feed_close(&feed);
}
END_TEST

/* A key that fits half only before it is rotated is replaced and counted. */
static double large(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return side == FEED_K ? 60000.0 : raw(row, layer, side, head, d);
}

START_TEST(test_keys_beyond_half_are_counted)
{
	static struct stream a;
	struct feed feed = {.value = large};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	double k[4 * 2 * DIM];
	size_t limited[2] = {0}; /* of the first three rows, of all */
	room.max_tokens = 256;
	feed.geometry = feed_usual(1);
	feed.geometry.rope = (clkv_rope){.kind = CLKV_ROPE_HALVES, .by_library = 1};
	feed_open(&feed, fixture.context, fixture.queue, "f16", &room);
	stream_open(&feed, &a);
	feed_one(&feed, &a, 3, CLKV_DECODE, 1, NULL);
	feed_one(&feed, &a, 1, CLKV_DECODE, 1, NULL);
	feed_read(&feed, &a, 0, 0, 4, k, NULL);
	for (size_t i = 0; i < 4 * 2 * DIM; i++) {
		limited[0] += i < 3 * 2 * DIM && fabs(k[i]) >= 65504.0;
		limited[1] += fabs(k[i]) >= 65504.0;
	}
	ck_assert_uint_gt(limited[0], 0);
	ck_assert_uint_ge(feed_stats(&feed).not_finite, limited[0]);
	ck_assert_uint_le(feed_stats(&feed).not_finite, limited[1]);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

/* Feeds n rows before RoPE, and checks their attention against rotated queries over the decoded keys. */
static void expect_attention(struct feed *feed, struct stream *s, const struct ref_rope *rope,
                             size_t n, clkv_phase phase)
{
	size_t from = s->n, kv = 2 * DIM;
	double *k = new_doubles((from + n) * kv * 2), *v = new_doubles((from + n) * kv * 2);
	double out[6 * DIM], lse[6], limit = BOUND_ATTEND_CODES;
	struct feed_result result;
	for (int l = 0; l < 2; l++)
		feed_read(feed, s, l, 0, from, k + (size_t)l * (from + n) * kv,
		          v + (size_t)l * (from + n) * kv);
	feed_one(feed, s, n, phase, 10 + from, &result);
	struct feed reference = *feed;
	reference.value = turned;
	turn_as(rope, s);
	for (size_t l = 0; l < 2; l++) {
		double *kl = k + l * (from + n) * kv, *vl = v + l * (from + n) * kv;
		feed_read(feed, s, (int)l, from, n, kl + from * kv, vl + from * kv);
		for (size_t i = 0; i < n; i++) {
			const double *got = result.out + (l * n + i) * result.out_row;
			double bound = expect_reference(&reference, (int)l, s->row[from + i], from + i, kl, vl,
			                                true, out, lse);
			/* a query is turned in single precision: its logits are off by 2^-20 of their size */
			for (size_t d = 0; d < 6 * DIM; d++)
				EACH_MSG(fabs(got[d] - out[d]) <= 2 * bound + limit,
				         "position %zu, %zu: %g, not %g", from + i, d, got[d], out[d]);
			for (size_t h = 0; h < 6; h++)
				EACH_MSG(fabs(result.lse[(l * n + i) * 6 + h] - lse[h]) <=
				             limit * (1 + fabs(lse[h])),
				         "position %zu, head %zu: lse %g, not %g", from + i, h,
				         result.lse[(l * n + i) * 6 + h], lse[h]);
		}
	}
	feed_result_close(&result);
	free(k);
	free(v);
}

static const struct {
	size_t rope;
	const char *recipe;
} attended[] = {{0, "f16"},
                {1, "f16"},
                {2, "f16"},
                {3, "f16"},
                {4, KIVI},
                {1, THINK},
                {0, "q:k=8,v=8,rot=hadamard ; window=40"},
                {1, "q:k=8,v=8,rot=file ; window=40"}};
#define ATTENDED (sizeof attended / sizeof attended[0])

START_TEST(test_queries_are_rotated_by_their_position)
{
	static struct stream a;
	struct feed feed = {0};
	const struct ref_rope *ref = &ropes[attended[_i].rope].ref;
	open_feed(&feed, attended[_i].rope, true, attended[_i].recipe);
	stream_open(&feed, &a);
	expect_attention(&feed, &a, ref, 1, CLKV_DECODE);
	expect_attention(&feed, &a, ref, 39, CLKV_PROMPT);
	feed_one(&feed, &a, 150, CLKV_PROMPT_END, 1, NULL);
	expect_attention(&feed, &a, ref, 1, CLKV_DECODE);
	expect_attention(&feed, &a, ref, 33, CLKV_PROMPT);
	feed_ok(clkv_seq_truncate(a.seq, 77, NULL), NULL, "clkv_seq_truncate");
	a.n = 77;
	expect_attention(&feed, &a, ref, 2, CLKV_DECODE);
	feed_close(&feed);
}
END_TEST

/* Every row has the same key and the same query before RoPE: what a row sees in its window depends on distances only.
 * Keys are off by a rounding to half, so logits by 2^-11 of the sum of their terms. */
static double same(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	(void)row;
	return raw(1, layer, side, head, d);
}

START_TEST(test_logits_depend_on_distances)
{
	static struct stream a;
	struct feed feed = {.value = same, .lse = true};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	struct feed_result result;
	const size_t n = 1500;
	room.max_tokens = 2048;
	room.max_step_tokens = n;
	fill_factors();
	feed.window[0] = 8;
	feed.geometry = feed_usual(1);
	feed.geometry.window = feed.window;
	feed.geometry.rope = ropes[_i].rope;
	feed.geometry.rope.by_library = 1;
	feed_open(&feed, fixture.context, fixture.queue, "f16", &room);
	stream_open(&feed, &a);
	feed_one(&feed, &a, n, CLKV_PROMPT_END, 1, &result);
	double magnitude = ref_rope_magnitude(&ropes[_i].ref);
	for (size_t h = 0; h < 6; h++) {
		double terms = 0.0;
		for (size_t d = 0; d < DIM; d++)
			terms += hypot(same(1, 0, FEED_Q, h, d), same(1, 0, FEED_Q, h, d ^ 1)) *
			         hypot(same(1, 0, FEED_K, h / 3, d), same(1, 0, FEED_K, h / 3, d ^ 1));
		double least = INFINITY, most = -INFINITY;
		for (size_t i = 7; i < n; i++) {
			least = fmin(least, result.lse[i * 6 + h]);
			most = fmax(most, result.lse[i * 6 + h]);
		}
		double allowed = 2 * 0x1p-11 * fmax(1.0, magnitude * magnitude) * terms * 2 / 8;
		ck_assert_msg(most - least <= allowed, "head %zu: %g to %g, allowed %g", h, least, most,
		              allowed);
		ck_assert_msg(fabs(result.lse[h] - least) > allowed, "head %zu doesn't depend on anything",
		              h);
	}
	feed_result_close(&result);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- the caller's rotation ---- */

/* Decoded keys of two caches: the share of values further apart than neighbouring halves below 4 are, and the largest
 * difference. Single precision tips a rounding to half for one value in 2^9 or so, and of those few tip a code. */
static double share_differing(const double *a, const double *b, size_t n, double *most)
{
	size_t differ = 0;
	*most = 0.0;
	for (size_t i = 0; i < n; i++) {
		double off = fabs(a[i] - b[i]);
		ck_assert_int_eq(a[i] == 0.0, b[i] == 0.0); /* the same channels are kept */
		differ += off > 0x1p-8;
		*most = fmax(*most, off);
	}
	return (double)differ / (double)n;
}

START_TEST(test_it_is_as_if_the_caller_rotated)
{
	static struct stream library, caller;
	struct feed lib = {0}, own = {0};
	struct feed_result a, b;
	size_t which = attended[_i].rope;
	const char *recipe = attended[_i].recipe;
	open_feed(&lib, which, true, recipe);
	open_feed(&own, which, false, recipe);
	stream_open(&lib, &library);
	stream_open(&own, &caller);
	turn_as(&ropes[which].ref, &caller);
	static const struct {
		size_t n;
		clkv_phase phase;
	} steps[] = {{90, CLKV_PROMPT}, {110, CLKV_PROMPT_END}, {1, CLKV_DECODE}, {70, CLKV_DECODE}};
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		feed_one(&lib, &library, steps[i].n, steps[i].phase, i, &a);
		feed_one(&own, &caller, steps[i].n, steps[i].phase, i, &b);
		/* few keys are neighbouring halves, each moves a logit by 2^-10 of one of its 64 terms */
		ck_assert_double_le(expect_difference(&lib, &a, &b), BOUND_ATTEND_HALF);
		feed_result_close(&a);
		feed_result_close(&b);
	}
	ck_assert_uint_eq(stream_info(&library).sealed, stream_info(&caller).sealed);
	size_t n = library.n * 2 * DIM;
	double *x = new_doubles(n), *y = new_doubles(n), most;
	feed_read(&lib, &library, 1, 0, library.n, x, NULL);
	feed_read(&own, &caller, 1, 0, caller.n, y, NULL);
	ck_assert_double_le(share_differing(x, y, n, &most), 0.01);
	ck_assert_double_le(most, 1.0); /* a step of 4 bits: a fifteenth of a range of less than 15 */
	free(x);
	free(y);
	feed_close(&lib);
	feed_close(&own);
}
END_TEST

/* Told of the rope, but not to rotate: rows are kept bit by bit. */
START_TEST(test_the_callers_keys_are_left_alone)
{
	static struct stream a;
	struct feed feed = {0};
	open_feed(&feed, 1, false, "f16");
	feed.value = raw;
	stream_open(&feed, &a);
	feed_one(&feed, &a, 100, CLKV_PROMPT_END, 1, NULL);
	expect_given(&feed, &a);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- files ---- */

static void expect_near(const struct feed *fa, const struct stream *a, const struct feed *fb,
                        const struct stream *b, double allowed)
{
	size_t n = a->n * 2 * DIM;
	double *x = new_doubles(n), *y = new_doubles(n);
	ck_assert_uint_eq(a->n, b->n);
	feed_read(fa, a, 1, 0, a->n, x, NULL);
	feed_read(fb, b, 1, 0, b->n, y, NULL);
	for (size_t i = 0; i < n; i++)
		EACH_MSG(fabs(x[i] - y[i]) <= allowed * (1.0 + fabs(x[i])),
		         "token %zu, element %zu: %g, not %g", i / (2 * DIM), i % (2 * DIM), y[i], x[i]);
	free(x);
	free(y);
}

/* from: of the cache that saves; file: in the file; to: of the cache that loads. allowed: what their codecs lose of
 * values about 1 in size; twice rotated ones are off by as much as they are large. */
static const struct {
	const char *from, *file, *to;
	bool by_library;
	double allowed;
} files[] = {
	{"f16", NULL, "f16", true, 0.0},
	{KIVI, NULL, KIVI, true, 0.0},
	{"f16", NULL, "f16", false, 0.0},
	{KIVI, NULL, "f16", true, 0x1p-10},
	{"f16", NULL, "q:k=8,v=8 ; window=3", true, 0.05},
	{"f16", "q:k=8,v=8 ; window=0", "f16", true, 0.05},
	{"f16", NULL, "q:k=8,v=8,rot=hadamard ; window=3", true, 0.05},
};
#define FILES (sizeof files / sizeof files[0])

START_TEST(test_files_hold_rotated_keys)
{
	static struct stream a, b;
	struct feed from = {0}, to = {0};
	struct memory_file file = {0};
	open_feed(&from, 1, true, files[_i].from);
	open_feed(&to, 1, files[_i].by_library, files[_i].to);
	stream_open(&from, &a);
	feed_one(&from, &a, 233, CLKV_PROMPT_END, 1, NULL);
	factors[3] = NAN; /* the library has its own */
	memory_save(&from, &a, files[_i].file, &file);
	memory_load(&to, &file, &a, &b);
	fill_factors();
	expect_near(&from, &a, &to, &b, files[_i].allowed);
	if (files[_i].by_library) { /* rows to come are rotated */
		expect_attention(&to, &b, &ropes[1].ref, 2, CLKV_DECODE);
		if (files[_i].allowed == 0.0 && _i == 0)
			ck_assert_uint_eq(wrong_keys(&to, &b, &ropes[1].ref), 0);
	}
	memory_close(&file);
	feed_close(&from);
	feed_close(&to);
}
END_TEST

/* ---------------------------------------------------------------- forms and bytes ---- */

START_TEST(test_the_form_of_gpus)
{
	static const char *const tunings[] = {"lanes=32,vec=1", "lanes=1,vec=4"};
	static struct stream a;
	struct feed feed = {0};
	clkv_context *context = fixture_open_tuned(tunings[_i]);
	cl_command_queue queue = fixture_queue_of(context);
	fill_factors();
	feed.geometry = feed_usual(2);
	feed.geometry.rope = ropes[3].rope;
	feed.geometry.rope.by_library = 1;
	feed.value = raw;
	feed.lse = true;
	feed_open(&feed, context, queue, "q:k=8,v=8,rot=hadamard ; window=40", NULL);
	stream_open(&feed, &a);
	feed_one(&feed, &a, 39, CLKV_PROMPT, 1, NULL);
	expect_attention(&feed, &a, &ropes[3].ref, 33, CLKV_PROMPT_END);
	expect_attention(&feed, &a, &ropes[3].ref, 1, CLKV_DECODE);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

START_TEST(test_the_estimate_holds)
{
	struct feed feed = {0};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_bytes with = CLKV_INIT(clkv_bytes), without = CLKV_INIT(clkv_bytes);
	clkv_geometry g = feed_usual(2);
	clkv_error error;
	o.max_tokens = 1024;
	o.max_sequences = 4;
	feed_ok(clkv_bytes_required(fixture.context, &g, KIVI, &o, &without, &error), &error, KIVI);
	g.rope = ropes[3].rope;
	feed_ok(clkv_bytes_required(fixture.context, &g, KIVI, &o, &with, &error), &error, KIVI);
	ck_assert_uint_eq(with.scratch - without.scratch, 25 * 8);
	uint64_t before = inject_device_bytes();
	open_feed(&feed, 3, true, KIVI);
	ck_assert_uint_eq(inject_device_bytes() - before, with.device);
	feed_close(&feed);
	ck_assert_uint_eq(inject_device_bytes(), before);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

static const float bad_factors[2][DIM / 2] = {{1.0f, 0.0f}, {1.0f, NAN}};

#define YARN .kind = 1, .scaling = CLKV_ROPE_YARN, .factor = 4.0f, .original = 512
static const struct {
	const char *word;
	clkv_rope rope;
} refused[] = {
	{"rope.kind", {.kind = -1}},
	{"rope.kind", {.kind = 3}},
	{"rope.by_library", {.kind = 1, .by_library = 2}},
	{"rope.by_library", {.by_library = 1}},
	{"rope.dims", {.kind = 1, .dims = -2}},
	{"rope.dims", {.kind = 1, .dims = 33}},
	{"rope.dims", {.kind = 1, .dims = 66}},
	{"rope.dims", {.dims = 64}},
	{"rope.base", {.kind = 1, .base = 1.0f}},
	{"rope.base", {.kind = 1, .base = -1.0f}},
	{"rope.base", {.kind = 1, .base = NAN}},
	{"rope.base", {.kind = 1, .base = INFINITY}},
	{"rope.base", {.base = 10000.0f}},
	{"rope.factors[1]", {.kind = 1, .factors = bad_factors[0]}},
	{"rope.factors[1]", {.kind = 2, .factors = bad_factors[1]}},
	{"rope.factors", {.factors = factors}},
	{"rope.attn_factor", {.kind = 1, .attn_factor = -1.0f}},
	{"rope.attn_factor", {.kind = 1, .attn_factor = NAN}},
	{"rope.attn_factor", {.attn_factor = 1.0f}},
	{"rope.scaling", {.kind = 1, .scaling = 3}},
	{"rope.scaling", {.kind = 1, .scaling = -1}},
	{"rope.scaling", {.scaling = 1}},
	{"rope.factor", {.kind = 1, .factor = 2.0f}},
	{"rope.factor", {.factor = 2.0f}},
	{"rope.factor", {.kind = 1, .scaling = CLKV_ROPE_LINEAR}},
	{"rope.factor", {.kind = 1, .scaling = CLKV_ROPE_LINEAR, .factor = NAN}},
	{"rope.factor", {.kind = 1, .scaling = CLKV_ROPE_YARN, .factor = 0.5f, .original = 512}},
	{"rope.original", {.kind = 1, .scaling = CLKV_ROPE_YARN, .factor = 4.0f}},
	{"rope.original", {.kind = 1, .scaling = CLKV_ROPE_LINEAR, .factor = 4.0f, .original = 512}},
	{"rope.original", {.kind = 1, .original = 512}},
	{"rope.beta_slow", {YARN, .beta_slow = -1.0f}},
	{"rope.beta_slow", {.kind = 1, .beta_slow = 1.0f}},
	{"rope.beta_fast", {YARN, .beta_fast = 1.0f}},
	{"rope.beta_fast", {YARN, .beta_fast = NAN}},
	{"rope.beta_fast", {.kind = 1, .beta_fast = 32.0f}},
	{"rope.ext_factor", {YARN, .ext_factor = 1.5f}},
	{"rope.ext_factor", {YARN, .ext_factor = -1.0f}},
	{"rope.ext_factor", {.kind = 1, .ext_factor = 1.0f}},
};

START_TEST(test_each_wrong_field_is_named)
{
	clkv_geometry g = feed_usual(2);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_cache *cache = NULL;
	clkv_error error;
	fill_factors();
	o.max_tokens = 256;
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		g.rope = refused[i].rope;
		clkv_status status = clkv_cache_create(fixture.context, &g, "f16", &o, &cache, &error);
		ck_assert_msg(status == CLKV_ERROR_INVALID_ARGUMENT, "case %zu: %s", i,
		              clkv_status_string(status));
		ck_assert_ptr_null(cache);
		const char *at = strstr(error.text, refused[i].word);
		ck_assert_msg(at != NULL && at[strlen(refused[i].word)] == ' ', "case %zu: no '%s' in: %s",
		              i, refused[i].word, error.text);
		ck_assert_ptr_nonnull(strstr(error.text, "allowed: "));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rope");
	TCase *turns = fixture_case(suite, "turns", 60), *keys = fixture_case(suite, "keys", 60);
	TCase *attention = fixture_case(suite, "attention", 60),
		  *file = fixture_case(suite, "files", 60);
	TCase *refuse = fixture_case(suite, "refuse", 60);
	tcase_add_loop_test(turns, test_turns_are_frequencies, 0, ROPES);
	tcase_add_test(turns, test_yarn_keeps_the_fast_and_slows_the_slow);
	tcase_add_test(turns, test_the_estimate_holds);
	tcase_add_loop_test(keys, test_keys_are_rotated_by_their_position, 0, ROPES);
	tcase_add_test(keys, test_another_rope_would_be_seen);
	tcase_add_test(keys, test_keys_beyond_half_are_counted);
	tcase_add_test(keys, test_the_callers_keys_are_left_alone);
	fixture_some(attention, test_queries_are_rotated_by_their_position, ATTENDED, 0, 1, 3, 4, 5, 6);
	fixture_some(attention, test_it_is_as_if_the_caller_rotated, ATTENDED, 1, 4);
	fixture_some(attention, test_logits_depend_on_distances, ROPES, 0, 3);
	fixture_some(attention, test_the_form_of_gpus, 2, 0);
	tcase_add_loop_test(file, test_files_hold_rotated_keys, 0, FILES);
	tcase_add_test(refuse, test_each_wrong_field_is_named);
	return fixture_run_shared(suite);
}
