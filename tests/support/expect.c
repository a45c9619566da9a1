/* SPDX-License-Identifier: MIT */
/** \file expect.c \brief Comparisons of the tests. */
#include "expect.h"

#include "../ref/ref_attend.h"
#include "../ref/ref_half.h"
#include "bounds.h"
#include "each.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double *new_doubles(size_t n)
{
	double *values = calloc(n + 1, sizeof *values);
	ck_assert_ptr_nonnull(values);
	return values;
}

static struct ref_attend reference_of(const struct feed *feed, int layer, size_t pos)
{
	const clkv_geometry *g = &feed->geometry;
	size_t window = g->window ? (size_t)g->window[layer] : 0;
	struct ref_attend a = {
		.dk = feed_dim(feed, FEED_K),
		.dv = feed_dim(feed, FEED_V),
		.softcap = (double)g->softcap,
		.to = pos + 1,
	};
	a.scale = g->scale != 0.0f ? (double)g->scale : 1.0 / sqrt((double)a.dk);
	a.from = window && pos + 1 > window ? pos + 1 - window : 0;
	a.k_stride = feed_heads(feed, FEED_K) * a.dk;
	a.v_stride = feed_heads(feed, FEED_V) * a.dv;
	return a;
}

double expect_reference(const struct feed *feed, int layer, uint64_t row, size_t pos,
                        const double *k, const double *v, bool codes, double *out, double *lse)
{
	struct ref_attend a = reference_of(feed, layer, pos);
	size_t heads = feed_heads(feed, FEED_Q), group = heads / feed_heads(feed, FEED_K);
	double *q = new_doubles(heads * a.dk), bound = 0.0;
	feed_rows(feed, layer, FEED_Q, &row, 1, q);
	for (size_t h = 0; h < heads; h++) {
		struct ref_attend_sums sums;
		double sink = feed->sinks ? (double)feed->sinks[h] : 0.0;
		a.sink = feed->sinks ? &sink : NULL;
		ref_attend(&a, q + h * a.dk, k + h / group * a.dk, v + h / group * a.dv, out + h * a.dv,
		           &sums);
		lse[h] = sums.lse;
		double r =
			bound_attend(a.dk, pos + 1, sums.logit_abs, codes) + bound_dtype(feed->out.dtype);
		bound = fmax(bound, r * sums.value_abs);
	}
	free(q);
	return bound;
}

/* Rows of all layers: what was there before the step comes from before it. */
static void read_rows(const struct feed *feed, const struct stream *stream, enum expect_over over,
                      size_t from, size_t n, double *const *k, double *const *v)
{
	size_t k_row = feed_heads(feed, FEED_K) * feed_dim(feed, FEED_K);
	size_t v_row = feed_heads(feed, FEED_V) * feed_dim(feed, FEED_V);
	for (int layer = 0; layer < feed->geometry.layers; layer++) {
		double *kl = k[layer] + from * k_row, *vl = v[layer] + from * v_row;
		if (over == EXPECT_DECODED) {
			feed_read(feed, stream, layer, from, n, kl, vl);
			continue;
		}
		feed_rows(feed, layer, FEED_K, stream->row + from, n, kl);
		feed_rows(feed, layer, FEED_V, stream->row + from, n, vl);
		for (size_t i = 0; i < n * k_row; i++)
			kl[i] = ref_stored(kl[i]);
		for (size_t i = 0; i < n * v_row; i++)
			vl[i] = ref_stored(vl[i]);
	}
}

static void check_row(const struct feed *feed, const struct stream *stream, int layer, size_t pos,
                      const double *k, const double *v, enum expect_over over, double limit,
                      const double *out, const double *lse)
{
	size_t heads = feed_heads(feed, FEED_Q), dv = feed_dim(feed, FEED_V);
	double *want = new_doubles(heads * dv), *want_lse = new_doubles(heads);
	double bound = expect_reference(feed, layer, stream->row[pos], pos, k, v,
	                                over == EXPECT_DECODED, want, want_lse);
	double error = ref_relative_error(out, want, heads * dv);
	EACH_MSG(error <= limit + bound_dtype(feed->out.dtype),
	         "layer %d, position %zu: relative error %g, allowed %g", layer, pos, error, limit);
	for (size_t i = 0; i < heads * dv; i++)
		EACH_MSG(fabs(out[i] - want[i]) <= bound,
		         "layer %d, position %zu, element %zu: %g instead of %g, allowed %g", layer, pos, i,
		         out[i], want[i], bound);
	for (size_t h = 0; feed->lse && h < heads; h++)
		EACH_MSG(fabs(lse[h] - want_lse[h]) <= limit * (1.0 + fabs(want_lse[h])),
		         "layer %d, position %zu, head %zu: lse %g instead of %g", layer, pos, h, lse[h],
		         want_lse[h]);
	free(want);
	free(want_lse);
}

void expect_rows(struct feed *feed, struct stream *stream, size_t n, clkv_phase phase,
                 uint64_t seed, enum expect_over over, double limit)
{
	size_t from = stream->n, all = from + n;
	double *k[FEED_LAYERS] = {NULL}, *v[FEED_LAYERS] = {NULL};
	struct feed_result result;
	for (int layer = 0; layer < feed->geometry.layers; layer++) {
		k[layer] = new_doubles(all * feed_heads(feed, FEED_K) * feed_dim(feed, FEED_K));
		v[layer] = new_doubles(all * feed_heads(feed, FEED_V) * feed_dim(feed, FEED_V));
	}
	read_rows(feed, stream, over, 0, from, k, v);
	feed_one(feed, stream, n, phase, seed, &result);
	read_rows(feed, stream, over, from, n, k, v);
	for (int layer = 0; layer < feed->geometry.layers; layer++) {
		for (size_t i = 0; i < n; i++) {
			size_t row = (size_t)layer * n + i;
			check_row(feed, stream, layer, from + i, k[layer], v[layer], over, limit,
			          result.out + row * result.out_row, result.lse + row * result.lse_row);
		}
		free(k[layer]);
		free(v[layer]);
	}
	feed_result_close(&result);
}

double expect_rows_difference(const struct feed *feed, const struct feed_result *a, size_t a_from,
                              const struct feed_result *b, size_t b_from, size_t n)
{
	double worst = 0.0;
	for (size_t layer = 0; layer < (size_t)feed->geometry.layers; layer++)
		for (size_t i = 0; i < n; i++) {
			size_t ra = layer * a->rows + a_from + i, rb = layer * b->rows + b_from + i;
			worst = fmax(worst, ref_relative_error(a->out + ra * a->out_row,
			                                       b->out + rb * b->out_row, a->out_row));
			if (feed->lse)
				worst = fmax(worst, ref_relative_error(a->lse + ra * a->lse_row,
				                                       b->lse + rb * b->lse_row, a->lse_row));
		}
	return worst;
}

double expect_difference(const struct feed *feed, const struct feed_result *a,
                         const struct feed_result *b)
{
	ck_assert_uint_eq(a->rows, b->rows);
	return expect_rows_difference(feed, a, 0, b, 0, a->rows);
}

static void expect_given_side(const struct feed *feed, const struct stream *stream, int layer,
                              enum feed_side side)
{
	size_t row = feed_heads(feed, side) * feed_dim(feed, side), n = stream->n * row;
	double *read = new_doubles(n), *given = new_doubles(n);
	feed_rows(feed, layer, side, stream->row, stream->n, given);
	feed_read(feed, stream, layer, 0, stream->n, side == FEED_K ? read : NULL,
	          side == FEED_V ? read : NULL);
	for (size_t i = 0; i < n; i++)
		EACH_MSG(read[i] == ref_stored(given[i]),
		         "layer %d, token %zu, element %zu: read %g, given %g", layer, i / row, i % row,
		         read[i], given[i]);
	free(read);
	free(given);
}

void expect_given(const struct feed *feed, const struct stream *stream)
{
	for (int layer = 0; layer < feed->geometry.layers; layer++) {
		expect_given_side(feed, stream, layer, FEED_K);
		expect_given_side(feed, stream, layer, FEED_V);
	}
}

static void expect_same_side(const struct feed *feed, const struct stream *a,
                             const struct stream *b, int layer, enum feed_side side)
{
	size_t n = a->n * feed_heads(feed, side) * feed_dim(feed, side);
	double *x = new_doubles(n), *y = new_doubles(n);
	feed_read(feed, a, layer, 0, a->n, side == FEED_K ? x : NULL, side == FEED_V ? x : NULL);
	feed_read(feed, b, layer, 0, a->n, side == FEED_K ? y : NULL, side == FEED_V ? y : NULL);
	ck_assert_msg(memcmp(x, y, n * sizeof *x) == 0, "layer %d: %s differs", layer,
	              side == FEED_K ? "K" : "V");
	free(x);
	free(y);
}

void expect_same_cache(const struct feed *feed, const struct stream *a, const struct stream *b)
{
	ck_assert_uint_eq(a->n, b->n);
	expect_same_prefix(feed, a, b);
}

void expect_same_prefix(const struct feed *feed, const struct stream *a, const struct stream *b)
{
	ck_assert_uint_le(a->n, b->n);
	for (int layer = 0; layer < feed->geometry.layers; layer++) {
		expect_same_side(feed, a, b, layer, FEED_K);
		expect_same_side(feed, a, b, layer, FEED_V);
	}
}

void expect_refused(clkv_context *context, const clkv_geometry *geometry, const char *recipe,
                    const char *const *words, size_t n)
{
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	clkv_bytes bytes = CLKV_INIT(clkv_bytes);
	clkv_error error;
	options.max_tokens = 256;
	clkv_status status = clkv_bytes_required(context, geometry, recipe, &options, &bytes, &error);
	ck_assert_msg(status == CLKV_ERROR_INVALID_RECIPE, "'%s': %s", recipe,
	              clkv_status_string(status));
	ck_assert_msg(error.position >= 0 && error.position < (int)strlen(recipe), "'%s': position %d",
	              recipe, error.position);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(strstr(error.text, words[i]) != NULL, "'%s': no '%s' in: %s", recipe,
		              words[i], error.text);
}

void expect_nothing_used(const struct feed *feed)
{
	clkv_stats stats = feed_stats(feed);
	ck_assert_uint_eq(stats.used_sealed, 0);
	ck_assert_uint_eq(stats.used_open, 0);
	ck_assert_uint_eq(stats.used_tables, 0);
	ck_assert_uint_eq(stats.sequences, 0);
	ck_assert_uint_eq(stats.tokens, 0);
}

void expect_attends_as_read(struct feed *feed)
{
	static struct stream stream;
	stream_open(feed, &stream);
	feed_one(feed, &stream, 150, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_gt(stream_info(&stream).sealed, 100);
	expect_rows(feed, &stream, 1, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(feed, &stream, 39, CLKV_PROMPT, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
}
