/* SPDX-License-Identifier: MIT */
/**
 * \file    check_prune_values.c
 * \brief   Pruned channels of V (spark:values=...): what is kept, what stands for the rest, attention, files.
 */
#include "ref/ref_half.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/life.h"
#include "support/memory_file.h"
#include "support/pruned.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A mean of up to 64 magnitudes, summed in single precision, is off by less than 64 roundings of 2^-24. */
#define MEAN_ERROR (64 * 0x1p-24)

/* Layers of two whose K keeps all channels. */
enum whole { NEITHER, FIRST, BOTH };

struct pruned_values {
	const char *recipe;
	size_t lacking; /* channels of V */
	struct pruned_shape shape;
	enum whole k_whole;
};

static const struct pruned_values cases[] = {
	{"spark:values=0.5 ; window=0", 32, PRUNED_USUAL, NEITHER},
	{"spark:keep=1,values=0.5,recover=zero ; window=0,block=32", 40, {2, 2, 80, 80}, BOTH},
	{"spark:keep=1,values=0.3,recover=const,fill=0.05 ; window=0", 56, {3, 1, 64, 80}, BOTH},
	{"spark:values=0.5,recover=signmag | q:k=8,v=16 ; window=0", 32, PRUNED_USUAL, NEITHER},
	/* 29 of 64 are kept: 35 would lack, it becomes 32 */
	{"spark:keep=1/0.5,values=0.45 ; window=0", 32, PRUNED_USUAL, FIRST},
	{"spark:values=0.8,recover=exp,saliency=abs ; window=0", 16, {3, 1, 80, 80}, NEITHER},
	{"think:keep=0.5,values=0.5 ; window=0", 32, PRUNED_USUAL, NEITHER},
};
#define CASES (sizeof cases / sizeof cases[0])

/* Rows with ties, with equal magnitudes alone, with zeros of either sign, and ordinary ones. */
static double mixed(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d), sign = x < 0.0 ? -1.0 : 1.0;
	if (side != FEED_V)
		return x;
	switch (row % 8) {
	case 0:
		return floor(2.0 * x) / 2.0;
	case 1:
		return sign * 0.75;
	case 2:
		return (row / 8 + d) % 3 ? sign * 0.0 : x;
	case 3:
		return sign * 0.0;
	case 4:
		return x * 0x1p-22; /* subnormal halves */
	default:
		return x;
	}
}

/* ---------------------------------------------------------------- values ---- */

/* The channels that come before d: larger ones, and equal ones of a lower number. */
static size_t place_of(const double *v, size_t dv, size_t d)
{
	size_t n = 0;
	for (size_t i = 0; i < dv; i++)
		n += fabs(v[i]) > fabs(v[d]) || (fabs(v[i]) == fabs(v[d]) && i < d);
	return n;
}

/* What a sealed row reads as: kept values are what they were, others lie between low and high times their sign. */
static void check_row(const struct pruned_values *c, const double *given, const double *v,
                      const char *where)
{
	size_t dv = (size_t)c->shape.dv, kept = dv - c->lacking;
	double sum = 0.0, low = 0.0, high = 0.0;
	for (size_t d = 0; d < dv; d++)
		sum += place_of(given, dv, d) >= kept ? fabs(given[d]) : 0.0;
	if (strstr(c->recipe, "recover=const")) {
		low = high = 0.05f;
	} else if (!strstr(c->recipe, "recover=zero")) {
		low = ref_half(sum / (double)c->lacking * (1.0 - MEAN_ERROR));
		high = ref_half(sum / (double)c->lacking * (1.0 + MEAN_ERROR));
	}
	for (size_t d = 0; d < dv; d++) {
		if (place_of(given, dv, d) < kept) {
			EACH_MSG(v[d] == given[d], "%s, kept channel %zu: %.9g instead of %.9g", where, d, v[d],
			         given[d]);
			continue;
		}
		double x = given[d] < 0.0 ? -v[d] : v[d];
		EACH_MSG(x >= low && x <= high, "%s, channel %zu of %.9g: %.9g instead of %.9g to %.9g",
		         where, d, given[d], v[d], low, high);
	}
}

static void check(const struct pruned_values *c, const struct feed *feed, const struct stream *s)
{
	size_t heads = (size_t)c->shape.kv_heads, dk = (size_t)c->shape.dk, dv = (size_t)c->shape.dv;
	size_t nk = s->n * heads * dk, nv = s->n * heads * dv, sealed = stream_info(s).sealed;
	double *k = new_array(nk, sizeof(double)), *v = new_array(nv, sizeof(double)),
		   *given_k = new_array(nk, sizeof(double)), *given = new_array(nv, sizeof(double));
	for (int layer = 0; layer < feed->geometry.layers; layer++) {
		feed_read(feed, s, layer, 0, s->n, k, v);
		feed_rows(feed, layer, FEED_K, s->row, s->n, given_k);
		feed_rows(feed, layer, FEED_V, s->row, s->n, given);
		for (size_t i = 0; i < nv; i++)
			given[i] = ref_stored(given[i]);
		for (size_t i = 0; i < nk; i++) {
			bool whole = layer < (int)c->k_whole || i / dk / heads >= sealed;
			EACH_MSG(!whole || k[i] == ref_stored(given_k[i]),
			         "layer %d, element %zu of K: %.9g instead of %.9g", layer, i, k[i],
			         ref_stored(given_k[i]));
		}
		for (size_t row = 0; row < s->n * heads; row++) {
			char where[96];
			snprintf(where, sizeof where, "layer %d, head %zu, token %zu", layer, row % heads,
			         row / heads);
			if (row / heads < sealed)
				check_row(c, given + row * dv, v + row * dv, where);
			else
				EACH_MSG(memcmp(v + row * dv, given + row * dv, dv * sizeof *v) == 0,
				         "%s is open and differs", where);
		}
	}
	free(k);
	free(v);
	free(given_k);
	free(given);
}

static struct feed feed_of(const struct pruned_values *c)
{
	struct feed feed = {.lse = true, .value = mixed};
	feed.geometry = feed_geometry(2, c->shape.q_heads, c->shape.kv_heads, c->shape.dk, c->shape.dv);
	return feed;
}

/* Of the case that runs. */
static const struct pruned_values *led;

static void check_stream(struct life *l, enum life_stream s)
{
	check(led, life_feed(l, s), &l->streams[s]);
}

static void lead(const struct pruned_values *c, clkv_context *context, cl_command_queue queue)
{
	static struct life l;
	l = (struct life){.feed = feed_of(c),
	                  .block = strstr(c->recipe, "block=32") ? 32 : 64,
	                  .limit = strchr(c->recipe, '|') ? PRUNED_ATTEND_CODES : PRUNED_ATTEND,
	                  .check = check_stream};
	led = c;
	life_lead(&l, context, queue, c->recipe);
	life_close(&l);
}

START_TEST(test_values_and_attention)
{
	lead(&cases[_i], fixture.context, fixture.queue);
}
END_TEST

START_TEST(test_other_forms_of_kernels)
{
	static const char *const forms[] = {"lanes=1,vec=8", "lanes=4,vec=4", "lanes=64,vec=1"};
	static const int some[] = {0, 1};
	clkv_context *context = fixture_open_tuned(forms[_i % 3]);
	cl_command_queue queue = fixture_queue_of(context);
	lead(&cases[some[_i / 3]], context, queue);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

/* K is pruned as without `values`. */
START_TEST(test_k_does_not_depend_on_values)
{
	static const char *const recipes[] = {"spark:values=0.5 ; window=0", "spark ; window=0"};
	static struct stream s;
	size_t n = 275 * 128;
	double *k[4];
	for (int i = 0; i < 4; i++)
		k[i] = new_array(n, sizeof(double));
	for (int i = 0; i < 2; i++) {
		struct feed feed = feed_of(&cases[0]);
		feed_open(&feed, fixture.context, fixture.queue, recipes[i], NULL);
		stream_open(&feed, &s);
		feed_one(&feed, &s, 211, CLKV_PROMPT_END, 1, NULL);
		feed_one(&feed, &s, 64, CLKV_DECODE, 2, NULL);
		for (int layer = 0; layer < 2; layer++)
			feed_read(&feed, &s, layer, 0, 275, k[2 * i + layer], NULL);
		feed_close(&feed);
	}
	for (int layer = 0; layer < 2; layer++)
		for (size_t i = 0; i < n; i++)
			EACH_MSG(k[layer][i] == k[2 + layer][i], "layer %d, element %zu: %.9g and %.9g", layer,
			         i, k[layer][i], k[2 + layer][i]);
	for (int i = 0; i < 4; i++)
		free(k[i]);
}
END_TEST

/* ---------------------------------------------------------------- bytes ---- */

/* Of a block: what K has before it; masks of V, a mean for each token, a sign for each value that is lacking. Each part is
 * a multiple of 16. */
START_TEST(test_bytes_are_those_of_the_formula)
{
	static const struct {
		size_t number;
		double k_section, k_kept, means, signs, block;
	} rows[] = {
		{0, 64 * 8 + 128 + 128 + 32 * 8, 32, 128, 64 * 4, 64},
		{1, 0, 80, 0, 0, 32},
		{2, 0, 64, 0, 64 * 7, 64},
		{5, 80 * 8 + 3 * 128 + 160 + 40 * 8, 40, 128, 64 * 2, 64},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct pruned_values *c = &cases[rows[i].number];
		double dv = c->shape.dv, heads = 2 * c->shape.kv_heads;
		double v_section = rows[i].block * dv / 8 + rows[i].means + rows[i].signs;
		struct pruned_bytes want = {.block = rows[i].block, .heads = heads};
		want.pages = heads * pruned_page(rows[i].k_section + v_section, rows[i].block,
		                                 rows[i].k_kept + dv - (double)c->lacking);
		struct feed feed = feed_of(c);
		pruned_expect_bytes(&feed.geometry, c->recipe, &want, true);
	}
}
END_TEST

/* ---------------------------------------------------------------- files ---- */

/* Numbers of doc/file-format.md. */
enum { HEAD_BYTES = 8 + 4 * 10, RECORD_BYTES = 32, SUM_BYTES = 8, MAX_PARTS = 64 };

static uint32_t word(const unsigned char *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Where the checksums are: behind the header and each record. */
static size_t list_ends(const struct memory_file *file, size_t ends[MAX_PARTS])
{
	size_t n = 0, at = HEAD_BYTES + word(file->bytes + 12);
	for (ends[n++] = at; at + SUM_BYTES < file->n; ends[n++] = at) {
		ck_assert_uint_lt(n, MAX_PARTS);
		at += SUM_BYTES + RECORD_BYTES + word(file->bytes + at + SUM_BYTES + 24);
	}
	return n;
}

static void seal(struct memory_file *file, const size_t *ends, size_t n)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0, at = 0; i < n; at = ends[i++] + SUM_BYTES) {
		for (size_t j = at; j < ends[i]; j++)
			hash = (hash ^ file->bytes[j]) * UINT64_C(0x100000001b3);
		for (int j = 0; j < 8; j++)
			file->bytes[ends[i] + (size_t)j] = (unsigned char)(hash >> 8 * j);
	}
}

/** Bits of one page that are turned; where a section's parts lie follows from doc/file-format.md. */
struct damage {
	int number; /* of the case */
	size_t byte;
	unsigned char bits;
	const char *says;
};

/* Case 0: K's masks, amplitudes at 512, factors at 640, signs at 768; V's masks at 1024, means at 1536, signs at 1664;
 * K's values at 1920, V's at 6016. Case 1 (blocks of 32): V's masks at 0, K's values at 320, V's at 5440. */
static const struct damage damages[] = {
	{0, 0, 0x01, "mask"},      {0, 511, 0x80, "mask"},    {0, 513, 0x7c, "finite"},
	{0, 641, 0x7c, "finite"},  {0, 1024, 0x01, "mask"},   {0, 1031, 0x80, "mask"},
	{0, 1535, 0x10, "mask"},   {0, 1537, 0x7c, "finite"}, {0, 1663, 0x7c, "finite"},
	{0, 1921, 0x7c, "finite"}, {0, 6017, 0x7c, "finite"}, {1, 0, 0x01, "mask"},
	{1, 319, 0x80, "mask"},    {1, 321, 0x7c, "finite"},  {1, 5441, 0x7c, "finite"},
};
#define DAMAGES (sizeof damages / sizeof damages[0])

static void check_damages(int number, const char *into)
{
	const struct pruned_values *c = &cases[number];
	struct feed feed = feed_of(c), other = feed;
	static struct stream s, before, again;
	struct memory_file file = {0};
	size_t ends[MAX_PARTS], tried = 0;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	feed_open(&other, fixture.context, fixture.queue, into, NULL);
	stream_open(&feed, &s);
	feed_one(&feed, &s, 100, CLKV_PROMPT_END, 1, NULL);
	memory_save(&feed, &s, NULL, &file);
	memory_load(&other, &file, &s, &before);
	size_t n = list_ends(&file, ends), pages = number == 0 ? 2 : 4;
	ck_assert_uint_eq(ends[n - 1] + SUM_BYTES, file.n);
	for (size_t i = 0; i < DAMAGES; i++)
		for (size_t part = 1; part < 1 + 4 * pages; part += pages - 1) {
			clkv_error error;
			if (damages[i].number != number)
				continue;
			unsigned char *at = file.bytes + ends[part - 1] + SUM_BYTES;
			ck_assert_uint_eq(word(at), 2); /* a sealed page */
			at += RECORD_BYTES + damages[i].byte;
			unsigned char kept = *at;
			*at = damages[i].bits == 0x7c ? 0x7c : kept ^ damages[i].bits;
			seal(&file, ends, n);
			ck_assert_int_eq(memory_refused(&other, &file, &error), CLKV_ERROR_CORRUPT);
			ck_assert_msg(strstr(error.text, damages[i].says) != NULL, "byte %zu: %s",
			              damages[i].byte, error.text);
			*at = kept;
			tried++;
		}
	ck_assert_uint_gt(tried, 10);
	seal(&file, ends, n);
	memory_load(&other, &file, &s, &again);
	expect_same_cache(&other, &before, &again);
	feed_one(&other, &before, 70, CLKV_DECODE, 2, NULL);
	memory_close(&file);
	feed_close(&feed);
	feed_close(&other);
}

/* With right checksums all around them; into a cache of the recipe, and of another one. */
START_TEST(test_damaged_pages_are_refused)
{
	check_damages(_i / 2, _i % 2 ? "f16" : cases[_i / 2].recipe);
}
END_TEST

/* A mask of the right number of channels, but others: as good as any. */
START_TEST(test_another_mask_is_taken)
{
	struct feed feed = feed_of(&cases[0]);
	static struct stream s, loaded;
	struct memory_file file = {0};
	size_t ends[MAX_PARTS], on = 0, off = 0;
	double v[2][128];
	feed_open(&feed, fixture.context, fixture.queue, cases[0].recipe, NULL);
	stream_open(&feed, &s);
	feed_one(&feed, &s, 100, CLKV_PROMPT_END, 1, NULL);
	memory_save(&feed, &s, NULL, &file);
	size_t n = list_ends(&file, ends);
	unsigned char *mask = file.bytes + ends[0] + SUM_BYTES + RECORD_BYTES + 1024 + 8 * 5;
	while (!(mask[on / 8] >> on % 8 & 1))
		on++;
	while (mask[off / 8] >> off % 8 & 1)
		off++;
	mask[on / 8] = (unsigned char)(mask[on / 8] ^ 1u << on % 8);
	mask[off / 8] = (unsigned char)(mask[off / 8] ^ 1u << off % 8);
	seal(&file, ends, n);
	memory_load(&feed, &file, &s, &loaded);
	feed_read(&feed, &s, 0, 5, 1, NULL, v[0]);
	feed_read(&feed, &loaded, 0, 5, 1, NULL, v[1]);
	ck_assert_int_ne(memcmp(v[0], v[1], 64 * sizeof **v), 0);
	ck_assert_int_eq(memcmp(v[0] + 64, v[1] + 64, 64 * sizeof **v), 0);
	expect_rows(&feed, &loaded, 1, CLKV_DECODE, 2, EXPECT_DECODED, PRUNED_ATTEND);
	memory_close(&file);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- texts ---- */

START_TEST(test_what_is_refused)
{
	static const struct {
		const char *recipe, *says[2]; /* NULL: allowed */
	} rows[] = {
		{"spark:values=0.5 | kivi", {"values=1", "q:v=16"}},
		{"spark:values=0.5 | kvcomp", {"values=1", "q:v=16"}},
		{"spark:values=0.5 | q:k=8,v=8", {"values=1", "q:v=16"}},
		{"spark:values=0.5 | q:k=16,v=4", {"values=1", "q:v=16"}},
		{"spark:keep=1,values=0.5 | kivi:bits=2", {"values=1", "q:v=16"}},
		{"spark:keep=0.5/1,values=0.5 | kivi", {"values=1", "q:v=16"}},
		{"spark:values=0.004", {"'values' is 0.004", "0.0078125 to 1"}},
		{"spark:values=0", {"values", "0.001 to 1"}},
		{"spark:values=1.01", {"values", "0.001 to 1"}},
		{"think:values=0.5", {NULL, NULL}},
		{"think:values=0.5 | kivi", {"values=1", "q:v=16"}},
		{"spark:values=0.5 | q:k=8,v=16", {NULL, NULL}},
		{"spark:keep=1,values=0.5 | q:k=4,v=16", {NULL, NULL}},
		{"spark:values=1 | kivi", {NULL, NULL}},
		{"spark:values=0.9 | kvcomp", {NULL, NULL}}, /* 58 of 64: fewer than 8 would lack */
	};
	clkv_geometry g = feed_usual(2);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 256;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		clkv_bytes bytes = CLKV_INIT(clkv_bytes);
		clkv_error error;
		if (rows[i].says[0] == NULL)
			feed_ok(clkv_bytes_required(fixture.context, &g, rows[i].recipe, &o, &bytes, &error),
			        &error, rows[i].recipe);
		else
			expect_refused(fixture.context, &g, rows[i].recipe, rows[i].says, 2);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune values");
	TCase *values = fixture_case(suite, "values", 120), *forms = fixture_case(suite, "forms", 120);
	TCase *bytes = fixture_case(suite, "bytes", 60), *files = fixture_case(suite, "files", 60);
	TCase *texts = fixture_case(suite, "texts", 60);
	fixture_some(values, test_values_and_attention, CASES, 0, 2, 3);
	tcase_add_test(values, test_k_does_not_depend_on_values);
	fixture_some(forms, test_other_forms_of_kernels, 6, 5);
	tcase_add_test(bytes, test_bytes_are_those_of_the_formula);
	tcase_add_loop_test(files, test_damaged_pages_are_refused, 0, 4);
	tcase_add_test(files, test_another_mask_is_taken);
	tcase_add_test(texts, test_what_is_refused);
	return fixture_run_shared(suite);
}
