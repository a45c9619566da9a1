/* SPDX-License-Identifier: MIT */
/** \file check_qaq.c \brief Bits per token: the rules of QAQ by the reference, outliers, bytes, attention, files, what is refused. */
#include "codec/codec.h"
#include "ref/ref_half.h"
#include "ref/ref_qaq.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/recipe_text.h"
#include "support/snap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AROUND " ; window=0"
enum { TOKENS = 150, HEADS = 2, WIDEST = 128, MOST = TOKENS * HEADS * WIDEST };

/* What a prompt of TOKENS became in layer 1: rows, and the widths of K and V as its pages say. */
struct coded {
	struct feed feed;
	size_t tokens, dim[2];
	double given[2][MOST], read[2][MOST], q[TOKENS * 6 * WIDEST];
	int bits[2][TOKENS][HEADS];
	size_t page_bytes[HEADS][3];
};

static struct ref_qaq rule_of(const char *recipe)
{
	static const char *const centres[] = {"min", "mean"};
	double eps = recipe_number(recipe, "eps", 1);
	struct ref_qaq a = {
		.eps_k = recipe_number(recipe, "eps_k", eps),
		.eps_v = recipe_number(recipe, "eps_v", eps),
		.qn = recipe_number(recipe, "qn", 300),
		.outliers = recipe_number(recipe, "outliers", 0.01),
		.bmin = (int)recipe_number(recipe, "bmin", 2),
		.bmax = (int)recipe_number(recipe, "bmax", 4),
		.centred = recipe_word(recipe, "centre", centres, 2, 0) == 1,
	};
	return a;
}

/* Widths lie in the first bytes of a page, a byte for each token: K's in its low half. */
static void read_pages(struct coded *c, const struct snap *snap)
{
	for (size_t part = 1; part < snap->parts; part++) {
		const unsigned char *record = snap->file.bytes + snap_record(snap, part);
		if (snap_word(record) != SNAP_SEALED || snap_word(record + 4) != 1)
			continue;
		size_t head = snap_word(record + 8), first = snap_word(record + 12),
			   n = snap_word(record + 16);
		const unsigned char *page = snap->file.bytes + snap_contents(snap, part);
		c->page_bytes[head][first / 64] = snap_word(record + 4 * SNAP_BYTES);
		for (size_t t = 0; t < n; t++) {
			c->bits[0][first + t][head] = page[t] & 15;
			c->bits[1][first + t][head] = page[t] >> 4;
		}
	}
}

/* Leaves the feed open, with the sequence behind. */
static void code(struct coded *c, const char *recipe, clkv_geometry g, feed_value value, size_t n,
                 bool attends, struct stream *stream)
{
	static struct snap snap;
	memset(&snap, 0, sizeof snap);
	c->feed = (struct feed){.geometry = g, .value = value, .lse = true, .append_only = !attends};
	c->tokens = n;
	feed_open(&c->feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&c->feed, stream);
	feed_one(&c->feed, stream, n, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(stream).sealed, n);
	c->dim[0] = feed_dim(&c->feed, FEED_K);
	c->dim[1] = feed_dim(&c->feed, FEED_V);
	feed_rows(&c->feed, 1, FEED_K, stream->row, n, c->given[0]);
	feed_rows(&c->feed, 1, FEED_V, stream->row, n, c->given[1]);
	feed_rows(&c->feed, 1, FEED_Q, stream->row, n, c->q);
	for (size_t i = 0; i < n * HEADS * WIDEST; i++) {
		c->given[0][i] = ref_stored(c->given[0][i]);
		c->given[1][i] = ref_stored(c->given[1][i]);
	}
	feed_read(&c->feed, stream, 1, 0, n, c->read[0], c->read[1]);
	memory_save(&c->feed, stream, NULL, &snap.file);
	snap_list(&snap);
	read_pages(c, &snap);
	memory_close(&snap.file);
}

static const double *row_of(const struct coded *c, double (*rows)[MOST], int side, size_t t,
                            size_t head)
{
	return rows[side] + (t * HEADS + head) * c->dim[side];
}

/* The largest weight that the newest n rows give a token, of any head of the group; -1 where not all have seen it. */
static void received(struct coded *c, size_t n, size_t head, double *most)
{
	size_t dk = c->dim[0], g = (size_t)c->feed.geometry.q_heads / HEADS;
	for (size_t t = 0; t < c->tokens; t++)
		most[t] = t + n <= c->tokens ? 0 : -1;
	for (size_t row = c->tokens - n; row < c->tokens; row++)
		for (size_t h = head * g; h < (head + 1) * g; h++) {
			double logit[TOKENS], sum = 0;
			const double *q = c->q + (row * g * HEADS + h) * dk;
			for (size_t t = 0; t <= row; t++) {
				const double *k = row_of(c, c->given, 0, t, head);
				logit[t] = 0;
				for (size_t d = 0; d < dk; d++)
					logit[t] += q[d] * k[d] / sqrt((double)dk);
				sum += exp(logit[t]);
			}
			for (size_t t = 0; t <= row; t++)
				most[t] = most[t] < 0 ? -1 : fmax(most[t], exp(logit[t]) / sum);
		}
}

/* ---------------------------------------------------------------- the reference ---- */

static const struct {
	const char *recipe;
	int q_heads, dk, dv;
} shapes[] = {
	{"qaq" AROUND, 6, 64, 64},
	{"qaq:eps=3,n=1,bmin=0,bmax=8,outliers=0,qn=30" AROUND, 2, 80, 112},
	{"qaq:eps_k=0.3,eps_v=5,bmin=1,bmax=5,outliers=0.1,centre=mean" AROUND, 4, 48, 128},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static clkv_geometry shape(int i)
{
	return feed_geometry(2, shapes[i].q_heads, HEADS, shapes[i].dk, shapes[i].dv);
}

/* Means of channels spread as keys' do, and rows of very different ranges. */
static double uneven(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double size = 0.2 + 3 * random_uniform(random_mix(row, 7 + (uint64_t)side));
	return size * feed_normal(row, layer, side, head, d);
}

/* A row has the width that the reference gives it, or, where what it follows from lies as near a threshold as queries in half tell,
 * either of two; and decodes to the reference's values, but for those in the middle between two codes. */
static void check_row(struct coded *c, const struct ref_qaq *a, int side, size_t t, size_t head,
                      double got)
{
	const double *x = row_of(c, c->given, side, t, head), *y = row_of(c, c->read, side, t, head);
	bool outlier[WIDEST];
	double want[WIDEST], tie[WIDEST];
	int bits = c->bits[side][t][head];
	ref_qaq_mark(a, c->dim[side], x, outlier);
	double levels = ref_qaq_levels(a, side == 0, (double)c->tokens, fabs(got),
	                               ref_qaq_range(c->dim[side], x, outlier));
	double near = side == 0 ? 1e-5 : 1e-2;
	int low = got < 0 ? a->bmax : ref_qaq_bits(a, levels * (1 - near)),
		high = got < 0 ? a->bmax : ref_qaq_bits(a, levels * (1 + near));
	EACH_MSG(bits >= low && bits <= high, "%c, token %zu, head %zu: %d bits, not %d to %d",
	         side ? 'V' : 'K', t, head, bits, low, high);
	double step = ref_qaq_decode(a, bits, c->dim[side], x, outlier, want, tie);
	for (size_t d = 0; d < c->dim[side]; d++)
		EACH_MSG(outlier[d] ? y[d] == x[d]
		                    : fabs(y[d] - want[d]) <=
		                          BOUND_DECODE * (fabs(want[d]) + 256 * step) +
		                              (tie[d] < 1e-3 ? step : 0) +
		                              (bits == 0 ? REF_HALF_EPS * fabs(want[d]) * 2 : 0),
		         "%c, token %zu, head %zu, channel %zu of %d bits: %g became %g, not %g, step %g",
		         side ? 'V' : 'K', t, head, d, bits, x[d], y[d], want[d], step);
}

START_TEST(test_widths_and_values_are_the_references)
{
	static struct coded c;
	static struct stream stream;
	const char *recipe = shapes[_i].recipe;
	const struct ref_qaq a = rule_of(recipe);
	int seen[2][9] = {{0}};
	code(&c, recipe, shape(_i), uneven, TOKENS, true, &stream);
	for (size_t head = 0; head < HEADS; head++) {
		double got[TOKENS];
		received(&c, (size_t)recipe_number(recipe, "n", 5), head, got);
		for (size_t t = 0; t < TOKENS; t++)
			for (int side = 0; side < 2; side++) {
				check_row(&c, &a, side, t, head, got[t]);
				seen[side][c.bits[side][t][head]]++;
			}
	}
	for (int side = 0; side < 2; side++) {
		int widths = 0;
		for (int b = 0; b < 9; b++)
			widths += seen[side][b] > 0;
		ck_assert_msg(widths > 1, "all rows of %c have the same width", side ? 'V' : 'K');
	}
	feed_close(&c.feed);
}
END_TEST

/* ---------------------------------------------------------------- D2 (a) to (f) ---- */

/* Rows of V that are all alike, so that attention alone tells their bits. */
static double same_values(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return side == FEED_V ? feed_normal(1, 0, side, head, d)
	                      : feed_normal(row, layer, side, head, d);
}

/* (a) */
START_TEST(test_bits_grow_with_attention_and_shrink_with_eps)
{
	static const char *const recipes[] = {"qaq:eps=0.05,bmin=1,bmax=8" AROUND,
	                                      "qaq:eps=0.5,bmin=1,bmax=8" AROUND,
	                                      "qaq:eps=5,bmin=1,bmax=8" AROUND};
	static struct coded c[3];
	static struct stream stream;
	for (int i = 0; i < 3; i++) {
		code(&c[i], recipes[i], feed_usual(2), same_values, TOKENS, true, &stream);
		for (size_t j = 0; j < 2 * TOKENS * HEADS; j++) {
			size_t side = j % 2, t = j / 2 / HEADS, head = j / 2 % HEADS;
			int bits = c[i].bits[side][t][head], before = i ? c[i - 1].bits[side][t][head] : 8;
			EACH_MSG(bits >= 1 && bits <= before, "eps %d, row %zu: %d bits, %d before", i, j, bits,
			         before);
		}
		for (size_t head = 0; head < HEADS; head++) {
			double got[TOKENS];
			received(&c[i], 5, head, got);
			for (size_t s = 0; s < TOKENS - 5; s++)
				for (size_t t = 0; t < TOKENS - 5; t++)
					EACH_MSG(got[s] >= got[t] * 0.99 ||
					             c[i].bits[1][s][head] <= c[i].bits[1][t][head],
					         "tokens %zu and %zu", s, t);
		}
		feed_close(&c[i].feed);
	}
}
END_TEST

static double spiked(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	size_t up = row % 40, down = (row + 13) % 40;
	return d == up     ? 50 + 0.1 * (double)(row % 7)
	       : d == down ? -70
	                   : feed_normal(row, layer, side, head, d);
}

/* (b) The largest and the smallest value of each row are bit-exact, and widen no step: another value is off by half of one. */
START_TEST(test_outliers_come_back_exactly)
{
	static struct coded c;
	static struct stream stream;
	code(&c, "qaq:bmin=4" AROUND, feed_usual(2), spiked, TOKENS, true, &stream);
	for (size_t i = 0; i < TOKENS * HEADS * 64; i++)
		for (int side = 0; side < 2; side++) {
			double x = c.given[side][i], y = c.read[side][i];
			EACH_MSG(fabs(x) > 20 ? x == y : fabs(x - y) < 10.0 / 15, "%g became %g", x, y);
		}
	feed_close(&c.feed);
}
END_TEST

/* Even tokens get all attention: that of odd ones is below what single precision has. Every fifth key is one number but for
 * channel 0. */
static double halves_of_all(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	if (side != FEED_V && d == 0)
		return side == FEED_Q ? 40 : row % 2 ? -400 : 400;
	return side == FEED_K && row % 5 == 0 ? 0.7 : feed_normal(row, layer, side, head, d);
}

/* (c) But for outliers: of a value that nobody looks at, and of what has no range. */
START_TEST(test_without_bits_a_row_is_its_mean)
{
	static struct coded c;
	static struct stream stream;
	code(&c, "qaq:bmin=0" AROUND, feed_usual(2), halves_of_all, TOKENS, true, &stream);
	const struct ref_qaq a = rule_of("qaq");
	for (size_t i = 0; i < 2 * (TOKENS - 5) * HEADS; i++) {
		size_t side = i % 2, t = i / 2 / HEADS, head = i / 2 % HEADS;
		const double *x = row_of(&c, c.given, (int)side, t, head),
					 *y = row_of(&c, c.read, (int)side, t, head);
		bool outlier[64], none = side ? stream.row[t] % 2 == 1 : stream.row[t] % 5 == 0;
		double sum = 0;
		EACH_MSG((c.bits[side][t][head] == 0) == none, "row %zu has %d bits", i,
		         c.bits[side][t][head]);
		ref_qaq_mark(&a, 64, x, outlier);
		for (size_t d = 0; d < 64; d++)
			sum += outlier[d] ? 0 : x[d];
		for (size_t d = 0; d < 64 && none; d++)
			EACH_MSG(outlier[d]
			             ? y[d] == x[d]
			             : fabs(y[d] - sum / 62) <= REF_HALF_EPS * fabs(sum / 62) + 64 * 0x1p-24,
			         "row %zu, channel %zu: %g, not %g", i, d, y[d], sum / 62);
	}
	feed_close(&c.feed);
}
END_TEST

/* (d) T / (T - 1) has no value there: T counts as 2. Its weight is 1. */
START_TEST(test_a_text_of_one_token)
{
	static struct coded c;
	static struct stream stream;
	const char *recipe = "qaq:n=1,bmin=0,bmax=8" AROUND;
	const struct ref_qaq a = rule_of(recipe);
	code(&c, recipe, feed_usual(2), NULL, 1, true, &stream);
	for (size_t head = 0; head < HEADS; head++)
		for (int side = 0; side < 2; side++)
			check_row(&c, &a, side, 0, head, 1);
	feed_close(&c.feed);
}
END_TEST

/* (e) Of a token and head: a byte of widths, two of a scale and two of a minimum and three for each outlier of K and of V, and codes
 * of its widths; a page is rounded up to 64. */
START_TEST(test_widths_add_up_to_the_bytes)
{
	static struct coded c;
	static struct stream stream;
	const char *recipe = shapes[_i].recipe;
	const struct ref_qaq a = rule_of(recipe);
	size_t all = 0;
	code(&c, recipe, shape(_i), uneven, TOKENS, true, &stream);
	for (size_t head = 0; head < HEADS; head++)
		for (size_t page = 0; page < 3; page++) {
			size_t outliers = ref_qaq_outliers(&a, c.dim[0]) + ref_qaq_outliers(&a, c.dim[1]);
			size_t bytes = 64 * (1 + 2 * 4 + 3 * outliers);
			for (size_t t = page * 64; t < (page + 1) * 64 && t < TOKENS; t++)
				bytes += ((size_t)c.bits[0][t][head] * c.dim[0] +
				          (size_t)c.bits[1][t][head] * c.dim[1]) /
				         8;
			ck_assert_uint_eq(c.page_bytes[head][page], (bytes + 63) / 64 * 64);
			all += c.page_bytes[head][page];
		}
	/* layer 0 has other rows: no fewer bytes than with the least widths */
	ck_assert_uint_gt(feed_stats(&c.feed).used_sealed, all);
	feed_close(&c.feed);
}
END_TEST

/* (f) Attention of the newest row over values as they are read, against values as they were, keys being the same. Errors that
 * are even within +-E have the variance E^2 / 3, and with E = sqrt(12 / T) eps / A those of T tokens add up to (2 eps)^2: eps
 * is met in root mean square up to that factor, which the source leaves out; less by what bits are rounded up. */
START_TEST(test_the_error_of_attention_stays_below_eps)
{
	static const struct {
		const char *recipe;
		double eps;
	} rows[] = {{"qaq:eps=0.02,n=5,bmin=0,bmax=8" AROUND, 0.02},
	            {"qaq:eps=0.3,n=5,bmin=0,bmax=8" AROUND, 0.3}};
	static struct coded c;
	static struct stream stream;
	double sum = 0;
	code(&c, rows[_i].recipe, feed_usual(2), NULL, TOKENS, true, &stream);
	for (size_t h = 0; h < 6; h++) {
		double weight[TOKENS], all = 0;
		const double *q = c.q + ((TOKENS - 1) * 6 + h) * 64;
		for (size_t t = 0; t < TOKENS; t++) {
			double logit = 0;
			for (size_t d = 0; d < 64; d++)
				logit += q[d] * row_of(&c, c.given, 0, t, h / 3)[d] / 8;
			all += weight[t] = exp(logit);
		}
		for (size_t d = 0; d < 64; d++) {
			double error = 0;
			for (size_t t = 0; t < TOKENS; t++)
				error += weight[t] / all *
				         (row_of(&c, c.read, 1, t, h / 3)[d] - row_of(&c, c.given, 1, t, h / 3)[d]);
			sum += error * error / (6 * 64);
		}
	}
	ck_assert_msg(sqrt(sum) < 2 * rows[_i].eps && sum > 0, "%g of %g", sqrt(sum), rows[_i].eps);
	feed_close(&c.feed);
}
END_TEST

/* Rows that came without queries have bmax, and so have those that fewer than n have seen. */
START_TEST(test_tokens_without_a_history_get_all_bits)
{
	static struct coded c;
	static struct stream stream;
	code(&c, "qaq:eps=1000,bmax=6" AROUND, feed_usual(2), NULL, TOKENS, _i == 1, &stream);
	for (size_t t = 0; t < TOKENS; t++)
		for (size_t i = 0; i < 2 * HEADS; i++)
			EACH_MSG(i / HEADS == 0 && _i == 1
			             ? c.bits[0][t][i] >= 2
			             : c.bits[i / HEADS][t][i % HEADS] == (_i == 0 || t + 5 > TOKENS ? 6 : 2),
			         "token %zu: %d", t, c.bits[i / HEADS][t][i % HEADS]);
	feed_close(&c.feed);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

static const struct {
	const char *recipe;
	int q_heads, dk, dv;
} attended[] = {
	{"qaq ; window=40,sinks=3", 6, 64, 64},
	{"qaq:eps=3,n=1,bmin=0,bmax=8,outliers=0 ; window=40,skip=1", 2, 80, 112},
	{"qaq:outliers=0.1,centre=mean,bmin=1,bmax=5 ; window=40,block=32", 4, 48, 128},
};

/* Codes and outliers give what rows made whole give, in generation and in prompts. */
START_TEST(test_codes_attend_as_rows_do)
{
	struct feed feed = {.lse = true, .value = uneven};
	feed.geometry = feed_geometry(2, attended[_i].q_heads, HEADS, attended[_i].dk, attended[_i].dv);
	feed_open(&feed, fixture.context, fixture.queue, attended[_i].recipe, NULL);
	expect_attends_as_read(&feed);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- files ---- */

static const struct {
	const char *recipe, *word;
} refused[] = {
	{"think:keep=0.5 | qaq", "prunes channels"},
	{"spark | qaq", "prunes channels"},
	{"lowrank:rank=16 | qaq", "latents"},
	{"snapkv:budget=64,obs=8 | qaq:n=9", "n up to 8"},
	{"clusterkv:metric=query,obs=16 | qaq", "clusterkv"},
	{"qaq | clusterkv:metric=query,obs=16 ; window=20", ""},
	{"snapkv | qaq ; budget_bytes=65536", "size of their own"},
	{"qaq:bmin=5", "bmin is 5 and bmax is 4"},
	{"qaq:bmax=9", "bmax"},
	{"qaq:bmax=0,bmin=0", "bmax"},
	{"qaq:n=0", "n"},
	{"qaq:eps=0", "eps"},
	{"qaq:outliers=0.5", "outliers"},
	{"qaq:centre=zero", "centre"},
};

START_TEST(test_what_does_not_go_together_is_refused)
{
	const clkv_geometry g = feed_usual(2);
	if (*refused[_i].word)
		expect_refused(fixture.context, &g, refused[_i].recipe, &refused[_i].word, 1);
	else
		ck_assert_int_eq(clkv_recipe_check(fixture.context, &g, refused[_i].recipe, NULL), CLKV_OK);
}
END_TEST

/* Kernels find rows by their widths, and read channels of outliers. */
START_TEST(test_pages_from_outside_are_checked)
{
	enum { BLOCK = 32, DK = 48, DV = 64, K = BLOCK, V = K + BLOCK * 10, CODES = V + BLOCK * 10 };
	static unsigned char page[1 << 14];
	union clkv__codec_spec spec = {
		.qaq = {.rows = 5, .least = 1, .most = 5, .outliers = 0.01f, .eps_k = 1, .eps_v = 1}};
	const struct clkv__shape shape = {.dk = DK, .dv = DV};
	struct clkv__codec_layout layout = {0};
	clkv_error error;
	ck_assert_int_eq(clkv__codec_qaq.layout(&spec, &shape, (struct clkv__kept){DK, DK, DV}, BLOCK,
	                                        &layout, &error),
	                 CLKV_OK);
	ck_assert_uint_eq(layout.payload, CODES);
	memset(page, 0, sizeof page);
	/* 21 tokens, of 3 bits of K and 2 of V */
	for (int t = 0; t < BLOCK; t++) {
		page[t] = t < 21 ? 3 | 2 << 4 : 0;
		for (int side = 0; side < 2; side++)
			page[(side ? V : K) + BLOCK * 8 + 2 * t + 1] = 40;
	}
	uint32_t units = (CODES + 21 * (3 * DK + 2 * DV) / 8 + 63) / 64;
	struct clkv__codec_page p = {.spec = &spec,
	                             .layout = &layout,
	                             .shape = &shape,
	                             .block = BLOCK,
	                             .count = 21,
	                             .flags = ABI_FLAGS(0, 0, units),
	                             .bytes = units * 64};
	static const struct {
		int at, value;
		const char *text;
	} wrong[] = {
		{0, 3 | 2 << 4, NULL},
		{0, 5 | 5 << 4, "codes don't fit"},   /* more than the last unit has room for */
		{19, 6 | 2 << 4, "number of bits"},   /* above bmax */
		{19, 3, "number of bits"},            /* below bmin */
		{21, 3, "number of bits"},            /* of a token behind the last, in part */
		{K + 1, 0x7f, NULL},                  /* 2^127 and more */
		{K + 1, 0xbf, "scale"},               /* below zero */
		{V + 2 * BLOCK + 1, 0x7c, "minimum"}, /* infinite */
		{V + 4 * BLOCK + 1, 0x7e, "outlier"}, /* no number */
		{K + 8 * BLOCK + 1, DK, "channels"},  /* beyond the head */
		{K + 8 * BLOCK, 40, "channels"},      /* twice the same */
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		unsigned char before = page[wrong[i].at];
		float scale[2] = {0};
		page[wrong[i].at] = (unsigned char)wrong[i].value;
		const char *found = clkv__codec_qaq.check(&p, page, scale);
		ck_assert_msg(wrong[i].text ? found && strstr(found, wrong[i].text) : !found, "%zu: %s", i,
		              found);
		page[wrong[i].at] = before;
	}
	for (int side = 0; side < 2; side++) {
		p.flags = side ? ABI_FLAGS(0, ABI_TABLE_HALF, units) : ABI_FLAGS(ABI_TABLE_HALF, 0, units);
		ck_assert_ptr_nonnull(clkv__codec_qaq.check(&p, page, NULL));
	}
	p.flags = ABI_FLAGS(0, 0, 1);
	ck_assert_ptr_nonnull(clkv__codec_qaq.check(&p, page, NULL));
}
END_TEST

/* Pages go as they are to a cache of the same recipe, rows to another; forks share blocks, cuts leave them; what lies in the middle
 * stays, as queries belong to positions. */
START_TEST(test_files_forks_and_cuts)
{
	static struct stream stream, loaded, fork;
	const char *recipe = "qaq ; window=40,sinks=3";
	struct memory_file file = {0}, halves = {0};
	struct feed feed = {.lse = true, .value = uneven, .geometry = feed_usual(2)}, same = feed,
				plain = feed;
	clkv_error error;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	feed_open(&same, fixture.context, fixture.queue, recipe, NULL);
	feed_open(&plain, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	memory_save(&feed, &stream, NULL, &file);
	memory_load(&same, &file, &stream, &loaded);
	expect_same_cache(&feed, &stream, &loaded);
	expect_rows(&same, &loaded, 3, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	stream_close(&loaded);
	memory_save(&feed, &stream, "f16", &halves);
	memory_load(&plain, &halves, &stream, &loaded);
	stream_close(&loaded);
	memory_load(&same, &halves, &stream, &loaded);
	expect_rows(&same, &loaded, 3, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	stream_fork(&feed, &stream, &fork);
	ck_assert_int_eq(clkv_seq_truncate(stream.seq, 100, &error), CLKV_OK);
	stream.n = 100;
	expect_rows(&feed, &stream, 30, CLKV_PROMPT, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &fork, 2, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
	ck_assert_int_eq(clkv_seq_remove(fork.seq, 10, 40, feed.queue, &error), CLKV_ERROR_UNSUPPORTED);
	ck_assert_msg(strstr(error.text, "stage 'qaq' looks at queries") != NULL, "%s", error.text);
	stream_close(&stream);
	stream_close(&fork);
	expect_nothing_used(&feed);
	memory_close(&file);
	memory_close(&halves);
	feed_close(&feed);
	feed_close(&same);
	feed_close(&plain);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qaq");
	TCase *rules = fixture_case(suite, "rules", 60), *attend = fixture_case(suite, "attention", 60),
		  *files = fixture_case(suite, "files", 60);
	tcase_add_loop_test(rules, test_widths_and_values_are_the_references, 0, SHAPES);
	tcase_add_test(rules, test_bits_grow_with_attention_and_shrink_with_eps);
	tcase_add_test(rules, test_outliers_come_back_exactly);
	tcase_add_test(rules, test_without_bits_a_row_is_its_mean);
	tcase_add_test(rules, test_a_text_of_one_token);
	tcase_add_loop_test(rules, test_widths_add_up_to_the_bytes, 0, SHAPES);
	tcase_add_loop_test(rules, test_the_error_of_attention_stays_below_eps, 0, 2);
	tcase_add_loop_test(rules, test_tokens_without_a_history_get_all_bits, 0, 2);
	tcase_add_loop_test(attend, test_codes_attend_as_rows_do, 0,
	                    (int)(sizeof attended / sizeof attended[0]));
	tcase_add_loop_test(files, test_what_does_not_go_together_is_refused, 0,
	                    (int)(sizeof refused / sizeof refused[0]));
	tcase_add_test(files, test_pages_from_outside_are_checked);
	tcase_add_test(files, test_files_forks_and_cuts);
	return fixture_run_shared(suite);
}
