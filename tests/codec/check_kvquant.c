/* SPDX-License-Identifier: MIT */
/** \file check_kvquant.c \brief Uneven levels and exact outliers: every value against the definition, in every form. */
#include "ref/ref_half.h"
#include "ref/ref_outliers.h"
#include "support/bounds.h"
#include "support/decoded.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/memory_file.h"
#include "support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AROUND " ; window=0,sinks=0"
enum { FEW = 3, HEADS = 2 };

/* ---------------------------------------------------------------- ends ---- */

START_TEST(test_even_levels_without_outliers_are_kivi)
{
	static struct decoded a, b;
	size_t n = DECODED_TOKENS * HEADS * (size_t)decoded_shapes[_i].dk,
		   m = DECODED_TOKENS * HEADS * (size_t)decoded_shapes[_i].dv;
	decode_prompt(&a, "kvquant:bits=2,group=32,levels=uniform,outliers=0" AROUND,
	              decoded_geometry(_i), feed_normal, true);
	decode_prompt(&b, "kivi:bits=2" AROUND, decoded_geometry(_i), feed_normal, true);
	ck_assert_int_eq(memcmp(a.k, b.k, n * sizeof *a.k), 0);
	ck_assert_int_eq(memcmp(a.v, b.v, m * sizeof *a.v), 0);
	ck_assert_int_eq(
		memcmp(a.result.out, b.result.out, a.result.rows * a.result.out_row * sizeof(double)), 0);
	ck_assert_uint_eq(a.bytes, b.bytes);
	feed_result_close(&a.result);
	feed_result_close(&b.result);
}
END_TEST

/* ---------------------------------------------------------------- values ---- */

/* What the stage's levels=normal is, of V and K, by bits: ends that are left out, and how uneven. */
static const struct {
	double cut, bend;
} normal[2][5] = {{[2] = {0.15, 0.1}, [3] = {0.03, 0.3}, [4] = {0, 0.3}},
                  {[2] = {0.25, 0}, [3] = {0.1, 0.2}, [4] = {0.03, 0.2}}};

static struct ref_outliers side_of(int bits, bool is_k, int group, double share, bool uneven,
                                   size_t block)
{
	return (struct ref_outliers){.bits = bits,
	                             .axis = is_k ? REF_CHANNEL : REF_TOKEN,
	                             .group = group,
	                             .cut = uneven ? normal[is_k][bits].cut : 0,
	                             .bend = uneven ? normal[is_k][bits].bend : 0,
	                             .share = share,
	                             .block = block};
}

static const struct {
	const char *recipe;
	int k, v, group;
	double share;
	bool uneven;
	size_t block;
} coded[] = {
	{"kvquant" AROUND, 3, 3, 64, 0.01, true, 64},
	{"kvquant:k=4,v=2,group=16,outliers=0.05 ; window=0,sinks=0,block=32", 4, 2, 16, 0.05, true,
     32},
	{"kvquant:k=2,v=4,group=128 ; window=0,sinks=0,block=128", 2, 4, 128, 0.01, true, 128},
	{"kvquant:bits=3,group=32,levels=uniform,outliers=0.02" AROUND, 3, 3, 32, 0.02, false, 64},
	{"kvquant:bits=4,outliers=0" AROUND, 4, 4, 64, 0, true, 64},
	{"kvquant:bits=2,outliers=0.0001" AROUND, 2, 2, 64, 0.0001, true, 64},
};
enum { CODED = sizeof coded / sizeof coded[0] };

/* A block of one head, of one side. */
struct part {
	const struct ref_outliers *ref;
	size_t head, from, n, dim;
	const double *given, *read; /* [DECODED_TOKENS][HEADS][dim] */
	const char *name;
};

static size_t at(const struct part *p, size_t i)
{
	return ((p->from + i / p->dim) * HEADS + p->head) * p->dim + i % p->dim;
}

/* The nearest level to x, in its group's units, is that of the value; so near a middle between two the other may be. */
static bool is_nearest(const struct part *p, const struct ref_level *l, double x, double got)
{
	double best = INFINITY, of_got = INFINITY;
	for (int i = 0; i < 1 << p->ref->bits; i++) {
		double value = l->m + l->s * ref_outliers_level(p->ref, i);
		best = fmin(best, fabs(value - x));
		if (fabs(value - got) <= l->slack)
			of_got = fmin(of_got, fabs(value - x));
	}
	return of_got <= best + 2.0 * l->slack;
}

static void check_part(const struct part *p)
{
	size_t n = p->n * p->dim, outliers = 0;
	double *x = calloc(n, sizeof *x);
	struct ref_level *levels = calloc(n, sizeof *levels);
	ck_assert(x && levels);
	for (size_t i = 0; i < n; i++)
		x[i] = ref_stored(p->given[at(p, i)]);
	ref_outliers_encode(p->ref, p->n, p->dim, x, levels);
	for (size_t i = 0; i < n; i++) {
		const double got = p->read[at(p, i)];
		const struct ref_level *l = &levels[i];
		outliers += l->outlier;
		if (l->outlier)
			EACH_MSG(got == x[i], "%s of token %zu + %zu, channel %zu: outlier %.9g for %.9g",
			         p->name, p->from, i / p->dim, i % p->dim, got, x[i]);
		else
			EACH_MSG(fabs(got - x[i]) <= l->bound && is_nearest(p, l, x[i], got),
			         "%s of token %zu + %zu, channel %zu: %.9g for %.9g, m %.9g, s %.9g, allowed "
			         "+-%.9g",
			         p->name, p->from, i / p->dim, i % p->dim, got, x[i], l->m, l->s, l->bound);
	}
	size_t asked = ref_outliers_count(p->ref, p->dim);
	ck_assert_uint_eq(outliers, asked < n ? asked : n);
	free(levels);
	free(x);
}

static void check_decoded(const struct decoded *d, int which, int i)
{
	const struct ref_outliers refs[2] = {
		side_of(coded[which].k, true, coded[which].group, coded[which].share, coded[which].uneven,
	            coded[which].block),
		side_of(coded[which].v, false, coded[which].group, coded[which].share, coded[which].uneven,
	            coded[which].block)};
	size_t block = coded[which].block;
	for (size_t head = 0; head < HEADS; head++)
		for (size_t from = 0; from < DECODED_TOKENS; from += block) {
			size_t n = DECODED_TOKENS - from < block ? DECODED_TOKENS - from : block;
			const struct part k = {&refs[0],   head, from, n, (size_t)decoded_shapes[i].dk,
			                       d->given_k, d->k, "K"},
							  v = {&refs[1],   head, from, n, (size_t)decoded_shapes[i].dv,
			                       d->given_v, d->v, "V"};
			check_part(&k);
			check_part(&v);
		}
}

START_TEST(test_values_have_the_nearest_level_and_outliers_are_exact)
{
	static struct decoded d;
	decode_prompt(&d, coded[_i % CODED].recipe, decoded_geometry(_i / CODED), feed_normal, false);
	check_decoded(&d, _i % CODED, _i / CODED);
}
END_TEST

START_TEST(test_a_channel_of_outliers)
{
	static struct decoded d;
	decode_prompt(&d, coded[_i].recipe, decoded_geometry(0), feed_outlier, false);
	check_decoded(&d, _i, 0);
}
END_TEST

/* Of a few sizes, so that many values are equally far from their means; in one head, constants. */
static double few_values(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	uint64_t draw = random_mix(row, 1000 * (uint64_t)layer + 100 * head + d + (side == FEED_V));
	return head == 1 ? 0.75 : (double)(draw % 3) - 1.0;
}

START_TEST(test_of_equally_far_values_the_first_are_taken)
{
	static struct decoded d;
	decode_prompt(&d, coded[_i].recipe, decoded_geometry(0), few_values, false);
	check_decoded(&d, _i, 0);
}
END_TEST

static void expect_stored(const struct feed *feed, const struct stream *stream)
{
	double given[FEW * 16], read[2][FEW * 16];
	feed_read(feed, stream, 0, 0, FEW, read[0], read[1]);
	for (int side = 0; side < 2; side++) {
		feed_rows(feed, 0, side ? FEED_V : FEED_K, stream->row, FEW, given);
		for (size_t i = 0; i < FEW * 16; i++)
			ck_assert_double_eq(read[side][i], ref_stored(given[i]));
	}
}

/* A block of so few tokens that its lists have room for all their values: nothing is lost, and the lists' ends say that nothing is
 * there, to attention and in files. */
START_TEST(test_a_block_smaller_than_its_lists_is_exact)
{
	struct feed feed = {.geometry = feed_geometry(1, 2, 1, 16, 16), .lse = true};
	static struct stream stream, loaded;
	struct memory_file file = {0};
	feed_open(&feed, fixture.context, fixture.queue, "kvquant:bits=2,outliers=0.05" AROUND, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, FEW, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, FEW);
	expect_stored(&feed, &stream);
	memory_save(&feed, &stream, NULL, &file);
	memory_load(&feed, &file, &stream, &loaded);
	expect_stored(&feed, &loaded);
	expect_rows(&feed, &loaded, 1, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	memory_close(&file);
	feed_close(&feed);
}
END_TEST

static double outliers_error(const char *recipe)
{
	static struct decoded d;
	double error = 0.0;
	decode_prompt(&d, recipe, decoded_geometry(0), feed_outlier, false);
	for (size_t i = 0; i < DECODED_TOKENS * HEADS * (size_t)decoded_shapes[0].dv; i++)
		error += pow(d.v[i] - d.given_v[i], 2.0);
	return error;
}

/* Values of a normal distribution: outliers and levels each come closer at the same number of bits. */
START_TEST(test_outliers_and_levels_each_come_closer)
{
	double plain = outliers_error("kvquant:bits=3,levels=uniform,outliers=0" AROUND);
	double levels = outliers_error("kvquant:bits=3,outliers=0" AROUND);
	double both = outliers_error("kvquant:bits=3" AROUND);
	ck_assert_double_lt(levels, plain);
	ck_assert_double_lt(both, levels);
}
END_TEST

/* ---------------------------------------------------------------- bytes ---- */

START_TEST(test_bytes_are_those_of_the_formula)
{
	static const size_t dims[][2] = {{64, 64}, {128, 128}, {80, 112}, {192, 128}, {16, 32}};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 1024;
	for (int c = 0; c < CODED; c++)
		for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
			const struct ref_outliers k = side_of(coded[c].k, true, coded[c].group, coded[c].share,
			                                      coded[c].uneven, coded[c].block),
									  v = side_of(coded[c].v, false, coded[c].group, coded[c].share,
			                                      coded[c].uneven, coded[c].block);
			clkv_geometry g = feed_geometry(3, 10, 5, (int)dims[d][0], (int)dims[d][1]);
			double got = feed_required(fixture.context, &g, coded[c].recipe, &o).per_token;
			size_t block = ref_outliers_bytes(&k, &v, dims[d][0], dims[d][1]);
			/* 16 bytes of a table's entry for each block */
			ck_assert_double_eq(got, 15.0 * (double)(block + 16) / (double)coded[c].block);
		}
}
END_TEST

/* ---------------------------------------------------------------- refused ---- */

START_TEST(test_rows_that_lack_channels_are_refused_by_name)
{
	static const char *const recipes[] = {"think:keep=0.5 | kvquant", "spark | kvquant:outliers=0",
	                                      "lowrank:rank=32 | kvquant"};
	clkv_geometry g = decoded_geometry(0);
	clkv_error error;
	ck_assert_int_eq(clkv_recipe_check(fixture.context, &g, recipes[_i], &error),
	                 CLKV_ERROR_INVALID_RECIPE);
	ck_assert_msg(strstr(error.text, "'kvquant'") && strstr(error.text, "allowed"), "%s",
	              error.text);
}
END_TEST

/* ---------------------------------------------------------------- forms ---- */

static const char *const forms[] = {"lanes=1,vec=1",  "lanes=1,vec=4", "lanes=1,vec=8",
                                    "lanes=1,vec=16", "lanes=8,vec=2", "lanes=32,vec=1",
                                    "lanes=64,vec=1", "lanes=64,vec=4"};
enum { FORMS = sizeof forms / sizeof forms[0], USUAL = 2, LENGTH = 145 };

static void live(const char *form, double *k, double *v)
{
	clkv_context *context = fixture_open_tuned(form);
	cl_command_queue queue = fixture_queue_of(context);
	struct feed feed = {.lse = true};
	static struct stream stream;
	feed.geometry = feed_geometry(2, 4, 1, 80, 112);
	feed_open(&feed, context, queue, "kvquant:k=3,v=2,group=16,outliers=0.03 ; window=40,sinks=3",
	          NULL);
	stream_open(&feed, &stream);
	expect_rows(&feed, &stream, 40, CLKV_PROMPT, 1, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_one(&feed, &stream, LENGTH - 40, CLKV_PROMPT_END, 2, NULL);
	feed_read(&feed, &stream, 1, 0, LENGTH, k, v);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &stream, 19, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}

/* Unless everything is asked for: with one lane the widest, and two numbers of lanes. */
static const unsigned few_forms = 1u << 3 | 1u << 5 | 1u << 7;

/* Attention is that over what was decoded; which values are outliers, and so what is decoded, is the same in all forms. */
START_TEST(test_forms_choose_alike_and_agree_with_the_reference)
{
	static double k[2][DECODED_MOST], v[2][DECODED_MOST];
	live(forms[USUAL], k[0], v[0]);
	for (int f = 0; f < FORMS; f++)
		if (f != USUAL && (fixture_full() || few_forms & 1u << f)) {
			live(forms[f], k[1], v[1]);
			ck_assert_msg(memcmp(k[0], k[1], LENGTH * 80 * sizeof **k) == 0, "K, %s", forms[f]);
			ck_assert_msg(memcmp(v[0], v[1], LENGTH * 112 * sizeof **v) == 0, "V, %s", forms[f]);
		}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kvquant");
	TCase *ends = fixture_case(suite, "ends", 120), *values = fixture_case(suite, "values", 120);
	TCase *bytes = fixture_case(suite, "bytes", 60), *each = fixture_case(suite, "forms", 300);
	fixture_some(ends, test_even_levels_without_outliers_are_kivi, DECODED_SHAPES, 0);
	fixture_some(values, test_values_have_the_nearest_level_and_outliers_are_exact,
	             DECODED_SHAPES * CODED, 0, 1, 2, 5, 12);
	fixture_some(values, test_a_channel_of_outliers, CODED, 0, 1);
	fixture_some(values, test_of_equally_far_values_the_first_are_taken, CODED, 0, 2);
	tcase_add_test(values, test_a_block_smaller_than_its_lists_is_exact);
	tcase_add_test(values, test_outliers_and_levels_each_come_closer);
	tcase_add_test(bytes, test_bytes_are_those_of_the_formula);
	tcase_add_loop_test(bytes, test_rows_that_lack_channels_are_refused_by_name, 0, 3);
	tcase_add_test(each, test_forms_choose_alike_and_agree_with_the_reference);
	return fixture_run_shared(suite);
}
