/* SPDX-License-Identifier: MIT */
/** \file calibration_write.c \brief clkv_calibration_write: arrays to a file, with dictionaries that are learnt from sample codes. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/struct_io.h"
#include "plan/calibration.h"
#include "plan/component_classes.h"
#include "shape/shape.h"

#include <string.h>

enum { LEAST_SAMPLES = 64, MOST_SAMPLES = 65536, CODE_MOST = 127 };

/* A file under way; what it holds is freed by close_work. */
struct work {
	const struct clkv__shape *shape;
	const clkv_calibration *calibration;
	clkv_allocator allocator;
	uint8_t *classes[2]; /* of a side's components */
	struct clkv__phrases *dictionaries;
	unsigned char *file;
};

static size_t n_heads(const struct clkv__shape *shape)
{
	return (size_t)shape->layers * (size_t)shape->streams;
}

/* The array that is lacking, or NULL. */
static const char *lacking(const clkv_calibration *c)
{
	const struct {
		const void *array;
		const char *name;
	} arrays[] = {
		{c->k_step, "k_step"},     {c->k_mean, "k_mean"},   {c->k_ask, "k_ask"},
		{c->k_square, "k_square"}, {c->k_error, "k_error"}, {c->threshold, "threshold"},
		{c->v_step, "v_step"},     {c->v_mean, "v_mean"},   {c->k_sample, "k_sample"},
		{c->v_sample, "v_sample"},
	};
	for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
		if (!arrays[i].array)
			return arrays[i].name;
	return NULL;
}

static clkv_status check_turned(const struct clkv__shape *shape, const clkv_calibration *c,
                                clkv_error *error)
{
	if (c->turned_pairs < 0 || c->turned_pairs > shape->rope.dims / 2)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "calibration: turned_pairs is %d; allowed: 0 to the geometry's rotary pairs, %d",
		          c->turned_pairs, shape->rope.dims / 2);
	return CLKV_OK;
}

static clkv_status check_fields(const clkv_calibration *c, clkv_error *error)
{
	const char *missing = lacking(c);
	if (missing)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "calibration: %s is NULL", missing);
	if (c->samples % 8 != 0 || c->samples < LEAST_SAMPLES || c->samples > MOST_SAMPLES)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "calibration: samples is %zu; allowed: a multiple of 8, %d to %d", c->samples,
		          LEAST_SAMPLES, MOST_SAMPLES);
	if (!clkv__calibration_factors_valid(c->k_factor) ||
	    !clkv__calibration_factors_valid(c->v_factor))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "calibration: a factor in %s; allowed: 0.01 to 100",
		          clkv__calibration_factors_valid(c->k_factor) ? "v_factor" : "k_factor");
	return CLKV_OK;
}

/* Whether a head's codes lie within what a dictionary takes; n: codes of the head. */
static bool codes_within(const signed char *codes, size_t head, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (codes[head * n + i] < -CODE_MOST)
			return false;
	return true;
}

static const char *wrong_samples(const struct work *w, size_t head)
{
	const clkv_calibration *c = w->calibration;
	if (!codes_within(c->k_sample, head, (size_t)w->shape->dk * c->samples))
		return "a code in k_sample is -128; allowed: -127 to 127";
	if (!codes_within(c->v_sample, head, (size_t)w->shape->dv * c->samples))
		return "a code in v_sample is -128; allowed: -127 to 127";
	return NULL;
}

static clkv_status check_heads(const struct work *w, clkv_error *error)
{
	const struct clkv__calibration_codes codes = {w->classes[0], w->classes[1], w->dictionaries};
	struct clkv__calibrated head;
	for (int l = 0; l < w->shape->layers; l++)
		for (int h = 0; h < w->shape->streams; h++) {
			clkv__calibration_gather(w->shape, w->calibration, &codes, l, h, &head);
			const char *wrong = clkv__calibrated_wrong(w->shape, &head);
			if (!wrong)
				wrong = clkv__calibrated_unpaired(w->shape, w->calibration->turned_pairs, &head);
			if (!wrong)
				wrong = wrong_samples(w, (size_t)l * (size_t)w->shape->streams + (size_t)h);
			if (wrong)
				CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
				          "calibration, layer %d, KV head %d: %s", l, h, wrong);
		}
	return CLKV_OK;
}

static clkv_status open_work(struct work *w, clkv_error *error)
{
	const struct clkv__shape *s = w->shape;
	const size_t size = (size_t)clkv__calibration_bytes(s);
	w->classes[0] = clkv__calloc(&w->allocator, n_heads(s), (size_t)s->dk);
	w->classes[1] = clkv__calloc(&w->allocator, n_heads(s), (size_t)s->dv);
	w->dictionaries =
		clkv__calloc(&w->allocator, 2 * ABI_COMPONENT_CLASSES, sizeof *w->dictionaries);
	w->file = clkv__calloc(&w->allocator, size, 1);
	if (!w->classes[0] || !w->classes[1] || !w->dictionaries || !w->file)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
		          "no host memory for a calibration file of %zu bytes", size);
	return CLKV_OK;
}

static void close_work(struct work *w)
{
	clkv__free(&w->allocator, w->classes[0]);
	clkv__free(&w->allocator, w->classes[1]);
	clkv__free(&w->allocator, w->dictionaries);
	clkv__free(&w->allocator, w->file);
}

static clkv_status learn_side(struct work *w, int side, clkv_error *error)
{
	const clkv_calibration *c = w->calibration;
	const size_t dim = (size_t)(side ? w->shape->dv : w->shape->dk);
	const struct clkv__samples samples = {
		.codes = side ? c->v_sample : c->k_sample,
		.components = n_heads(w->shape) * dim,
		.tokens = c->samples,
		.head = dim,
	};
	return clkv__component_classes(&samples, &w->allocator, w->classes[side],
	                               w->dictionaries + side * ABI_COMPONENT_CLASSES, error);
}

static clkv_status write_file(struct work *w, uint64_t model, clkv_write_fn write, void *opaque,
                              clkv_error *error)
{
	const struct clkv__calibration_codes codes = {w->classes[0], w->classes[1], w->dictionaries};
	const size_t size = (size_t)clkv__calibration_bytes(w->shape);
	CLKV_TRY(check_heads(w, error));
	CLKV_TRY(learn_side(w, 0, error));
	CLKV_TRY(learn_side(w, 1, error));
	clkv__calibration_pack(w->shape, w->calibration, &codes, model, w->file);
	if (write(opaque, w->file, size) != size)
		CLKV_FAIL(error, CLKV_ERROR_IO, "the calibration file could not be written");
	return CLKV_OK;
}

clkv_status clkv_calibration_write(const clkv_geometry *geometry, uint64_t model,
                                   const clkv_calibration *calibration, clkv_write_fn write,
                                   void *opaque, clkv_error *error)
{
	struct clkv__shape shape;
	clkv_calibration c;
	struct work w = {.shape = &shape, .calibration = &c};
	clkv__error_clear(error);
	if (!calibration || !write)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL",
		          !write ? "write" : "calibration");
	CLKV_TRY(clkv__struct_read(&c, sizeof c, calibration, "clkv_calibration", error));
	CLKV_TRY(clkv__shape_read(geometry, &shape, error));
	CLKV_TRY(check_fields(&c, error));
	CLKV_TRY(check_turned(&shape, &c, error));
	clkv_status status = open_work(&w, error);
	if (status == CLKV_OK)
		status = write_file(&w, model, write, opaque, error);
	close_work(&w);
	return status;
}
