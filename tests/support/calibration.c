/* SPDX-License-Identifier: MIT */
/** \file calibration.c \brief Means and deviations of rows that feed.h makes, with steps to suit. */
#include "calibration.h"

#include "fixture.h"
#include "random.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { SAMPLES = 256 };

static float *array(size_t n)
{
	float *x = calloc(n, sizeof *x);
	ck_assert_ptr_nonnull(x);
	return x;
}

static size_t dim_of(const struct calibration *c, enum feed_side side)
{
	return side == FEED_K ? c->dk : c->dv;
}

/* Of a channel in rows of numbers that no stream has. */
static double sample(const struct calibration *c, feed_value value, enum feed_side side, size_t at,
                     size_t d, size_t i)
{
	size_t kv = (size_t)c->geometry.kv_heads;
	return value(0xca11b0000000ull + i, (int)(at / kv), side, at % kv, d);
}

static double mean_of(const struct calibration *c, feed_value value, enum feed_side side, size_t at,
                      size_t d)
{
	double sum = 0;
	for (size_t i = 0; i < SAMPLES; i++)
		sum += sample(c, value, side, at, d, i);
	return sum / SAMPLES;
}

/* Channels differ in their steps, one by one. */
static double uneven(size_t d)
{
	return 1.0 + 0.25 * (double)(d % 5);
}

static size_t rope_dims(const struct calibration *c)
{
	const int dims = c->geometry.rope.dims;
	return dims ? (size_t)dims : c->dk;
}

/* The pair that RoPE turns a channel with, or a number of its own. */
static size_t pair_of(const struct calibration *c, size_t d)
{
	if (d >= rope_dims(c))
		return d;
	return c->geometry.rope.kind == CLKV_ROPE_PAIRS ? d / 2 : d % (rope_dims(c) / 2);
}

static void make_head(struct calibration *c, const struct calibration_kind *kind, size_t at)
{
	feed_value value = kind->value ? kind->value : feed_normal;
	for (size_t d = 0; d < c->dk; d++) {
		size_t i = at * c->dk + d;
		c->k_step[i] = (float)(kind->step * uneven(kind->turned > 0 ? pair_of(c, d) : d));
		c->k_mean[i] = (float)(mean_of(c, value, FEED_K, at, d) / (double)c->k_step[i]);
		double w = 0.05 * random_normal(random_mix(at, d)) * (double)c->k_step[i];
		c->k_ask[i] = (float)w;
		c->k_square[i] = (float)(w * w);
		for (size_t j = 0; j < 3; j++) {
			double f = (double)c->k_factor[j];
			c->k_error[(3 * at + j) * c->dk + d] = (float)(kind->error * f * f);
		}
	}
	c->v_step[at] = (float)kind->step * (1.0f + (float)(at % 3));
	for (size_t d = 0; d < c->dv; d++)
		c->v_mean[at * c->dv + d] =
			(float)(mean_of(c, value, FEED_V, at, d) / (double)c->v_step[at]);
	c->threshold[2 * at] = kind->one_class ? INFINITY : 0.3f;
	c->threshold[2 * at + 1] = kind->one_class ? -INFINITY : -0.1f;
}

/* Codes of the sample, with the middle class's factor. */
static signed char *codes_of(const struct calibration *c, feed_value value, enum feed_side side)
{
	size_t dim = dim_of(c, side);
	const float *means = side == FEED_K ? c->k_mean : c->v_mean;
	double factor = (double)(side == FEED_K ? c->k_factor : c->v_factor)[1];
	signed char *codes = calloc(c->heads * dim * SAMPLES, 1);
	ck_assert_ptr_nonnull(codes);
	for (size_t at = 0; at < c->heads; at++)
		for (size_t d = 0; d < dim; d++)
			for (size_t i = 0; i < SAMPLES; i++) {
				size_t kv = (size_t)c->geometry.kv_heads;
				double step = calibration_step(c, (int)(at / kv), side, at % kv, d);
				double y = sample(c, value, side, at, d, i) / step;
				double code = rint((y - (double)means[at * dim + d]) / factor);
				codes[(at * dim + d) * SAMPLES + i] = (signed char)fmax(-127, fmin(127, code));
			}
	return codes;
}

static void write_file(struct calibration *c, feed_value value)
{
	clkv_error error;
	clkv_calibration of = CLKV_INIT(clkv_calibration);
	signed char *k = codes_of(c, value, FEED_K), *v = codes_of(c, value, FEED_V);
	of.k_step = c->k_step, of.k_mean = c->k_mean, of.k_ask = c->k_ask, of.k_square = c->k_square;
	of.k_error = c->k_error, of.threshold = c->threshold;
	of.v_step = c->v_step, of.v_mean = c->v_mean;
	of.turned_pairs = c->turned;
	of.k_sample = k, of.v_sample = v, of.samples = SAMPLES;
	for (size_t i = 0; i < 3; i++) {
		of.k_factor[i] = c->k_factor[i];
		of.v_factor[i] = c->v_factor[i];
	}
	feed_ok(clkv_calibration_write(&c->geometry, 0, &of, memory_write, &c->file, &error), &error,
	        "clkv_calibration_write");
	free(k);
	free(v);
}

void calibration_make(struct calibration *c, const clkv_geometry *geometry,
                      const struct calibration_kind *kind)
{
	static const float k_factors[3] = {0.5f, 0.8f, 1.3f}, v_factors[3] = {0.4f, 0.8f, 1.4f};
	*c = (struct calibration){.geometry = *geometry, .turned = kind->turned};
	c->heads = (size_t)(geometry->layers * geometry->kv_heads);
	c->dk = (size_t)geometry->head_dim_k;
	c->dv = geometry->head_dim_v ? (size_t)geometry->head_dim_v : c->dk;
	for (size_t i = 0; i < 3; i++) {
		c->k_factor[i] = kind->one_class ? 1 : k_factors[i];
		c->v_factor[i] = kind->one_class ? 1 : v_factors[i];
	}
	c->k_step = array(c->heads * c->dk);
	c->k_mean = array(c->heads * c->dk);
	c->k_ask = array(c->heads * c->dk);
	c->k_square = array(c->heads * c->dk);
	c->k_error = array(3 * c->heads * c->dk);
	c->threshold = array(2 * c->heads);
	c->v_step = array(c->heads);
	c->v_mean = array(c->heads * c->dv);
	for (size_t at = 0; at < c->heads; at++)
		make_head(c, kind, at);
	write_file(c, kind->value ? kind->value : feed_normal);
}

void calibration_feed(const struct calibration *c, const char *recipe, struct feed *feed)
{
	const clkv_cache_options o = calibration_room(c, FEED_TOKENS, 4);
	feed->geometry = c->geometry;
	feed->lse = true;
	feed_open(feed, fixture.context, fixture.queue, recipe, &o);
}

clkv_cache_options calibration_room(const struct calibration *c, size_t tokens, size_t sequences)
{
	clkv_cache_options o = feed_room(tokens, sequences);
	o.calibration = c->file.bytes;
	o.calibration_size = c->file.n;
	return o;
}

double calibration_far_off(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return 70 * feed_normal(row, layer, side, head, d);
}

void calibration_free(struct calibration *c)
{
	float *const all[] = {c->k_step,  c->k_mean,    c->k_ask,  c->k_square,
	                      c->k_error, c->threshold, c->v_step, c->v_mean};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		free(all[i]);
	memory_close(&c->file);
}

struct memory_file calibration_file(const clkv_geometry *geometry,
                                    const struct calibration_kind *kind)
{
	struct calibration c;
	calibration_make(&c, geometry, kind);
	struct memory_file file = c.file;
	c.file = (struct memory_file){0};
	calibration_free(&c);
	return file;
}

bool calibration_turns(const struct calibration *c, size_t d)
{
	return d < rope_dims(c) && pair_of(c, d) < (size_t)c->turned;
}

double calibration_step(const struct calibration *c, int layer, enum feed_side side, size_t head,
                        size_t d)
{
	size_t at = (size_t)layer * (size_t)c->geometry.kv_heads + head;
	return (double)(side == FEED_K ? c->k_step[at * c->dk + d] : c->v_step[at]);
}

int calibration_class(const struct calibration *c, int layer, size_t head, const double *key,
                      double *margin)
{
	size_t at = (size_t)layer * (size_t)c->geometry.kv_heads + head;
	double sum = 0, size = 0;
	const float *t = c->threshold + 2 * at;
	for (size_t d = 0; d < c->dk; d++) {
		size_t i = at * c->dk + d;
		double y = key[d] / (double)c->k_step[i];
		double x = y * (double)c->k_ask[i] + y * y * (double)c->k_square[i];
		sum += x;
		size += fabs(x);
	}
	*margin = fmin(fabs(sum - (double)t[0]), fabs(sum - (double)t[1])) / size;
	return sum > (double)t[0] ? 0 : sum > (double)t[1] ? 1 : 2;
}
