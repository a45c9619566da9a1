/* SPDX-License-Identifier: MIT */
/** \file check_qtc.c \brief Codes in steps of a calibration: bounds and attention. */
#include "ref/ref_half.h"
#include "ref/ref_rope.h"
#include "support/bounds.h"
#include "support/calibration.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AROUND " ; window=0,sinks=0"
#define PACK "qtc:entropy=pack"
enum { TOKENS = 150, MOST = TOKENS * 2 * 256 };

/* Steps from those at which most codes are 0, and runs of eight share codewords, to those at which each code has its own. */
static const struct {
	int q_heads, kv_heads, dk, dv;
	double step;
	const char *recipe;
	clkv_rope rope;
	int turned; /* pairs of it whose codes are of keys in front of it */
} shapes[] = {
	{6, 2, 64, 64, 0.5, "qtc" AROUND, {0}, 0},
	{4, 2, 80, 256, 2, "qtc:room=8" AROUND ",block=32", {0}, 0},
	{2, 2, 128, 16, 0.06, "qtc" AROUND ",block=128", {0}, 0},
	{2, 1, 16, 48, 1, "qtc" AROUND ",block=32", {0}, 0},
	{6, 2, 64, 64, 0.5, PACK AROUND, {0}, 0},
	{4, 2, 80, 256, 2, PACK ",room=8" AROUND ",block=32", {0}, 0},
	{2, 2, 128, 16, 0.06, PACK AROUND ",block=128", {0}, 0},
	{6, 2, 64, 64, 0.5, "qtc" AROUND, {.kind = CLKV_ROPE_PAIRS}, 32},
	{4, 2, 128, 64, 0.5, "qtc" AROUND, {.kind = CLKV_ROPE_PAIRS, .dims = 96}, 20},
	{2, 1, 80, 48, 1, PACK AROUND ",block=32", {.kind = CLKV_ROPE_HALVES, .dims = 24}, 5},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static clkv_geometry shape(int i)
{
	clkv_geometry g =
		feed_geometry(2, shapes[i].q_heads, shapes[i].kv_heads, shapes[i].dk, shapes[i].dv);
	g.rope = shapes[i].rope;
	return g;
}

static struct calibration_kind kind_of(int i)
{
	return (struct calibration_kind){.step = shapes[i].step, .turned = shapes[i].turned};
}

/* ---------------------------------------------------------------- P2: the bound ---- */

/* What a prompt's values were and became. */
static struct decoded {
	double k[MOST], v[MOST], given_k[MOST], given_v[MOST];
} decoded;

static void decode(struct feed *feed, struct stream *stream, int layer)
{
	struct decoded *d = &decoded;
	feed_rows(feed, layer, FEED_K, stream->row, TOKENS, d->given_k);
	feed_rows(feed, layer, FEED_V, stream->row, TOKENS, d->given_v);
	feed_read(feed, stream, layer, 0, TOKENS, d->k, d->v);
}

/* Half a step, with factors in single precision; a row in steps was rounded to half before. */
static double bound_of(double step, double factor, double value)
{
	return step * factor / 2 * (1 + 1e-5) + fabs(value) * REF_HALF_EPS * 2;
}

/* The key of a token as it is stored. */
static void stored_key(const struct calibration *c, int layer, size_t head, const double *given,
                       double *key)
{
	for (size_t d = 0; d < c->dk; d++) {
		double step = calibration_step(c, layer, FEED_K, head, d);
		key[d] = ref_stored(given[d] / step) * step;
	}
}

static struct ref_rope rope_of(const struct calibration *c)
{
	const clkv_rope *rope = &c->geometry.rope;
	return (struct ref_rope){.pairs = rope->kind == CLKV_ROPE_PAIRS,
	                         .dims = rope->dims ? (size_t)rope->dims : c->dk,
	                         .base = 10000,
	                         .attn_factor = 1};
}

/* A key [dk] of position t as codes have it. */
static void turn_back(const struct calibration *c, size_t t, const double *key, double *plain)
{
	const struct ref_rope r = rope_of(c);
	memcpy(plain, key, c->dk * sizeof *plain);
	for (size_t d = 0; d < c->dk; d++)
		if (calibration_turns(c, d))
			plain[d] = ref_rope(&r, -(double)t, d, key[d], key[ref_rope_partner(&r, d)]);
}

/* What a value of a key was rounded with: itself, and what it was turned with. */
static double rounded_with(const struct calibration *c, const double *key, size_t d)
{
	const struct ref_rope r = rope_of(c);
	return fabs(key[d]) + (calibration_turns(c, d) ? fabs(key[ref_rope_partner(&r, d)]) : 0);
}

/* How a side's error compares with half its step: the largest quotient of each class, where a class is certain. */
static void check_head(const struct calibration *c, int layer, size_t t, size_t head,
                       double most[2][3])
{
	double key[256], given_key[256], decoded_key[256], margin;
	size_t kv = (size_t)c->geometry.kv_heads, k_at = (t * kv + head) * c->dk,
		   v_at = (t * kv + head) * c->dv;
	stored_key(c, layer, head, decoded.given_k + k_at, key);
	int class = calibration_class(c, layer, head, key, &margin);
	turn_back(c, t, decoded.given_k + k_at, given_key);
	turn_back(c, t, decoded.k + k_at, decoded_key);
	for (int side = 0; side < 2 && margin > 1e-4; side++) {
		size_t dim = side ? c->dv : c->dk, at = side ? v_at : k_at;
		double factor = (double)(side ? c->v_factor : c->k_factor)[class];
		for (size_t d = 0; d < dim; d++) {
			double x = side ? decoded.given_v[at + d] : given_key[d];
			double y = side ? decoded.v[at + d] : decoded_key[d];
			double step = calibration_step(c, layer, side ? FEED_V : FEED_K, head, d);
			double size = side ? fabs(x) : rounded_with(c, given_key, d);
			EACH_MSG(fabs(x - y) <= bound_of(step, factor, size),
			         "layer %d, token %zu, head %zu, %c %zu, class %d: %g became %g, step %g",
			         layer, t, head, side ? 'V' : 'K', d, class, x, y, step * factor);
			most[side][class] = fmax(most[side][class], fabs(x - y) / (step * factor));
		}
	}
}

static void check_bound(struct feed *feed, struct stream *stream, const struct calibration *c,
                        double most[2][3])
{
	for (int layer = 0; layer < c->geometry.layers; layer++) {
		decode(feed, stream, layer);
		for (size_t t = 0; t < TOKENS; t++)
			for (size_t head = 0; head < (size_t)c->geometry.kv_heads; head++)
				check_head(c, layer, t, head, most);
	}
}

/* Of hundreds of values of each class some lie next to the middle between two codes: coarser factors are taken, not the finest
 * for all. */
START_TEST(test_every_value_lies_within_half_a_step)
{
	static struct stream stream;
	struct calibration c;
	double most[2][3] = {{0}};
	const clkv_geometry g = shape(_i);
	const struct calibration_kind kind = kind_of(_i);
	calibration_make(&c, &g, &kind);
	struct feed feed = {.append_only = true};
	calibration_feed(&c, shapes[_i].recipe, &feed);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, TOKENS);
	check_bound(&feed, &stream, &c, most);
	for (int i = 0; i < 6; i++)
		ck_assert_msg(most[i / 3][i % 3] > 0.45, "side %d, class %d: %g", i / 3, i % 3,
		              most[i / 3][i % 3]);
	feed_close(&feed);
	calibration_free(&c);
}
END_TEST

static double three_times(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return 3 * feed_normal(row, layer, side, head, d);
}

/* P9. Dictionaries know the phrases of a sample with a deviation of 1.4 steps. Three times as wide values, log2(3) bits more,
 * have phrases that few dictionaries have; planes get 1 or 2 more. 70 times as wide ones have codes beyond 127, whose sides
 * stay in half. */
START_TEST(test_values_unlike_the_calibration_cost_bytes_not_the_bound)
{
	static const char *const recipes[] = {"qtc:room=16" AROUND, PACK ",room=16" AROUND};
	static const feed_value values[] = {feed_normal, three_times, calibration_far_off};
	static struct stream stream;
	struct calibration c;
	size_t bytes[3];
	const clkv_geometry g = feed_usual(1);
	calibration_make(&c, &g, &(struct calibration_kind){.step = 0.5, .one_class = true});
	for (int i = 0; i < 3; i++) {
		double most[2][3] = {{0}};
		struct feed feed = {.append_only = true, .value = values[i]};
		calibration_feed(&c, recipes[_i], &feed);
		stream_open(&feed, &stream);
		feed_one(&feed, &stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
		check_bound(&feed, &stream, &c, most);
		bytes[i] = feed_stats(&feed).used_sealed;
		feed_close(&feed);
	}
	ck_assert_uint_gt(bytes[1], bytes[0] * 4 / 3);
	/* in half: six blocks of 64 tokens, one of which has all places though not all tokens, with a page more for the rest */
	ck_assert_uint_eq(bytes[2], 6 * (64 * 256 + 64));
	calibration_free(&c);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

/* P1: steps so fine that no code has room for values leave sides in half. */
START_TEST(test_fine_steps_give_what_half_gives)
{
	static struct stream stream;
	struct calibration c;
	const clkv_geometry g = feed_usual(2);
	calibration_make(&c, &g, &(struct calibration_kind){.step = 1e-3, .one_class = true});
	struct feed feed = {.append_only = false};
	calibration_feed(
		&c, _i ? PACK ",room=16 ; window=16,sinks=4" : "qtc:room=16 ; window=16,sinks=4", &feed);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
	expect_rows(&feed, &stream, 5, CLKV_DECODE, 2, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_close(&feed);
	calibration_free(&c);
}
END_TEST

/* P3, in prompts and in generation: all that attention adds up is what reading a row gives. */
START_TEST(test_attention_is_that_of_the_rows_as_read)
{
	static struct stream stream;
	struct calibration c;
	char recipe[96];
	const clkv_geometry g = shape(_i);
	const struct calibration_kind kind = kind_of(_i);
	calibration_make(&c, &g, &kind);
	struct feed feed = {.append_only = false};
	snprintf(recipe, sizeof recipe, "%.*swindow=40,sinks=4%s",
	         (int)(strstr(shapes[_i].recipe, "window") - shapes[_i].recipe), shapes[_i].recipe,
	         strstr(shapes[_i].recipe, ",block") ? strstr(shapes[_i].recipe, ",block") : "");
	calibration_feed(&c, recipe, &feed);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_gt(stream_info(&stream).sealed, 64);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &stream, 39, CLKV_PROMPT, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_close(&feed);
	calibration_free(&c);
}
END_TEST

/* Rows of layer 0 of one KV head with one query head, and what attention to them gives. */
struct tiny {
	struct calibration c;
	struct feed feed;
	struct stream stream;
	struct feed_result result;
};

enum { DIM = 16 };

static void tiny_open(struct tiny *t, const struct calibration_kind *kind, const char *recipe)
{
	const clkv_geometry g = feed_geometry(1, 1, 1, DIM, DIM);
	calibration_make(&t->c, &g, kind);
	t->feed = (struct feed){.value = kind->value};
	calibration_feed(&t->c, recipe, &t->feed);
	stream_open(&t->feed, &t->stream);
	feed_one(&t->feed, &t->stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
	feed_one(&t->feed, &t->stream, 1, CLKV_DECODE, 2, &t->result);
}

static void tiny_close(struct tiny *t)
{
	feed_result_close(&t->result);
	feed_close(&t->feed);
	calibration_free(&t->c);
}

/* Sums of exp over tokens [from, to) as read, for the last row's query; bias: of K's codes. */
static double mass(struct tiny *t, size_t from, size_t to, bool bias)
{
	static double k[TOKENS * DIM], v[TOKENS * DIM];
	double q[DIM], sum = 0;
	feed_rows(&t->feed, 0, FEED_Q, t->stream.row + TOKENS, 1, q);
	feed_read(&t->feed, &t->stream, 0, 0, TOKENS, k, v);
	for (size_t i = from; i < to; i++) {
		double logit = 0, noise = 0, key[DIM], given[DIM], margin;
		feed_rows(&t->feed, 0, FEED_K, t->stream.row + i, 1, given);
		stored_key(&t->c, 0, 0, given, key);
		size_t class = (size_t)calibration_class(&t->c, 0, 0, key, &margin);
		for (size_t d = 0; d < DIM; d++) {
			double x = q[d] * calibration_step(&t->c, 0, FEED_K, 0, d);
			logit += q[d] * k[i * DIM + d];
			noise += x * x * (double)t->c.k_error[class * DIM + d];
		}
		sum += exp(logit / sqrt(DIM) - (bias ? noise / DIM / 2 : 0));
	}
	return sum;
}

/* The error of K's codes adds a variance to a logit, half of which is taken off: of sealed tokens, by their class, not of
 * those in half. The error is made so large that it's seen: 4 steps squared. */
START_TEST(test_half_the_variance_that_codes_add_is_taken_off)
{
	static struct tiny t;
	tiny_open(&t, &(struct calibration_kind){.step = 0.5, .error = 4}, "qtc ; window=22,sinks=0");
	ck_assert_uint_eq(stream_info(&t.stream).sealed, TOKENS - 22);
	double last[DIM], q[DIM], logit = 0;
	feed_rows(&t.feed, 0, FEED_K, t.stream.row + TOKENS, 1, last);
	feed_rows(&t.feed, 0, FEED_Q, t.stream.row + TOKENS, 1, q);
	for (size_t d = 0; d < DIM; d++)
		logit += q[d] * last[d];
	double open = mass(&t, TOKENS - 22, TOKENS, false) + exp(logit / sqrt(DIM));
	double want = log(open + mass(&t, 0, TOKENS - 22, true));
	double without = log(open + mass(&t, 0, TOKENS - 22, false));
	ck_assert_double_gt(without - want, 0.05);
	/* logits are rounded as half rounds keys: a thousandth of theirs */
	ck_assert_double_eq_tol(t.result.lse[0], want, 2e-3);
	tiny_close(&t);
}
END_TEST

static double constant_v(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return side == FEED_V ? 3.25 + (double)d : feed_normal(row, layer, side, head, d);
}

/* P5: whatever lies in half, and whatever is coded: a part of a step of 5 is never lost. */
START_TEST(test_constant_values_come_back)
{
	static const char *const recipes[] = {"qtc ; window=0,sinks=0", "qtc ; window=16,sinks=4",
	                                      "qtc ; window=100,sinks=30", PACK " ; window=16,sinks=4"};
	static struct tiny t;
	tiny_open(&t, &(struct calibration_kind){.step = 5, .value = constant_v}, recipes[_i]);
	for (size_t d = 0; d < DIM; d++) {
		double want = 3.25 + (double)d;
		ck_assert_double_eq_tol(t.result.out[d], want, want * 2 * REF_HALF_EPS);
	}
	tiny_close(&t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qtc");
	TCase *bound = fixture_case(suite, "bound", 20), *attend = fixture_case(suite, "attention", 30);
	tcase_add_loop_test(bound, test_every_value_lies_within_half_a_step, 0, SHAPES);
	tcase_add_loop_test(bound, test_values_unlike_the_calibration_cost_bytes_not_the_bound, 0, 2);
	tcase_add_loop_test(attend, test_fine_steps_give_what_half_gives, 0, 2);
	tcase_add_loop_test(attend, test_attention_is_that_of_the_rows_as_read, 0, SHAPES);
	tcase_add_test(attend, test_half_the_variance_that_codes_add_is_taken_off);
	tcase_add_loop_test(attend, test_constant_values_come_back, 0, 4);
	return fixture_run_shared(suite);
}
