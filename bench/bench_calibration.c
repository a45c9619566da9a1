/* SPDX-License-Identifier: MIT */
/** \file bench_calibration.c \brief Steps for random rows whose codes are as long as those of a model's. */
#include "bench_calibration.h"

#include <math.h>
#include <stdlib.h>

enum { TOKENS = 64 };

/* Values have a root mean square of about a half. Steps of a half and up to four times as much, or as little. */
static float step_of(size_t channel)
{
	return 0.6f * exp2f(4.0f * (float)(channel * 7 % 16) / 15.0f - 2.0f);
}

static signed char code_of(float value, float step)
{
	float code = rintf(value / step);
	return (signed char)(code > 127.0f ? 127.0f : code < -127.0f ? -127.0f : code);
}

/* Arrays of all heads. */
struct arrays {
	float *zeros, *errors, *steps, *v_steps, *thresholds;
	signed char *k, *v;
};

/* Values of a channel of K as codes have them: RoPE turns neighbours, by any angle. */
static float turned(const float *values, size_t n, size_t channel, size_t t)
{
	const float angle = (float)(t * (channel / 2 % 7 + 1));
	const float own = values[(channel * TOKENS + t) % n],
				other = values[((channel ^ 1) * TOKENS + t) % n];
	return own * cosf(angle) + (channel % 2 ? -other : other) * sinf(angle);
}

static void fill(const clkv_geometry *g, const float *values, size_t n, struct arrays *a)
{
	size_t dim = (size_t)g->head_dim_k, heads = (size_t)(g->layers * g->kv_heads);
	const bool turns = g->rope.kind != CLKV_ROPE_NONE;
	for (size_t i = 0; i < heads * dim; i++) {
		a->steps[i] =
			step_of(turns ? i % dim / 2 : i % dim); /* alike where RoPE turns neighbours */
		for (size_t t = 0; t < TOKENS; t++) {
			const float value = values[(i * TOKENS + t) % n];
			a->k[i * TOKENS + t] = code_of(turns ? turned(values, n, i, t) : value, a->steps[i]);
			a->v[i * TOKENS + t] = code_of(value, 0.35f);
		}
	}
	for (size_t i = 0; i < heads; i++)
		a->v_steps[i] = 0.35f;
}

bool bench_calibration(const clkv_geometry *geometry, const float *values, size_t n,
                       struct bench_file *file, struct tool_error *error)
{
	clkv_error cause;
	clkv_calibration c = CLKV_INIT(clkv_calibration);
	size_t heads = (size_t)(geometry->layers * geometry->kv_heads);
	size_t all = heads * (size_t)geometry->head_dim_k;
	struct arrays a = {
		calloc(all, sizeof(float)),   calloc(3 * all, sizeof(float)),   calloc(all, sizeof(float)),
		calloc(heads, sizeof(float)), calloc(2 * heads, sizeof(float)), malloc(all * TOKENS),
		malloc(all * TOKENS),
	};
	bool done = a.zeros && a.errors && a.steps && a.v_steps && a.thresholds && a.k && a.v;
	*file = (struct bench_file){0};
	if (done) {
		fill(geometry, values, n, &a);
		c.k_step = a.steps, c.k_mean = a.zeros, c.k_ask = a.zeros, c.k_square = a.zeros;
		c.k_error = a.errors, c.threshold = a.thresholds;
		c.v_step = a.v_steps, c.v_mean = a.zeros;
		c.k_sample = a.k, c.v_sample = a.v, c.samples = TOKENS;
		c.turned_pairs = geometry->rope.kind == CLKV_ROPE_NONE ? 0 : geometry->head_dim_k * 3 / 8;
		for (int i = 0; i < 3; i++)
			c.k_factor[i] = c.v_factor[i] = 1.0f;
		done =
			clkv_calibration_write(geometry, 0, &c, bench_file_append, file, &cause) == CLKV_OK ||
			tool_fail_clkv(error, "the calibration", &cause);
	} else {
		tool_set_error(error, "out of memory");
	}
	free(a.zeros), free(a.errors), free(a.steps), free(a.v_steps), free(a.thresholds);
	free(a.k), free(a.v);
	return done;
}
