/* SPDX-License-Identifier: MIT */
/** \file calibrator_file.c \brief Files of what has been worked out, and the bits that codes take with it. */
#include "calibrator.h"

#include "base/entropy.h"
#include "output_file.h"

#include <stdio.h>
#include <string.h>

struct channel_bits calibrator_bits(const struct calibrator *t, size_t channel)
{
	const size_t at = channel * t->samples;
	return (struct channel_bits){clkv__entropy(t->k_sample + at, t->samples),
	                             clkv__entropy(t->v_sample + at, t->samples)};
}

struct calibration_bits calibrator_all_bits(const struct calibrator *t)
{
	const size_t heads = t->layers * t->heads, components = heads * t->dim;
	struct calibration_bits bits = {0};
	for (size_t i = 0; i < components; i++) {
		const struct channel_bits one = calibrator_bits(t, i);
		bits.k += one.k / (double)components;
		bits.v += one.v / (double)components;
	}
	bits.bytes = ((bits.k + bits.v) * (double)t->dim + 2) * (double)heads / 8;
	return bits;
}

static clkv_calibration list_arrays(const struct calibrator *t)
{
	const struct head_calibration first = calibrator_arrays(t, 0);
	clkv_calibration c = CLKV_INIT(clkv_calibration);
	c.k_step = first.k_step;
	c.k_mean = first.k_mean;
	c.k_ask = first.k_ask;
	c.k_square = first.k_square;
	c.k_error = first.k_error;
	c.threshold = first.threshold;
	c.v_step = first.v_step;
	c.v_mean = first.v_mean;
	memcpy(c.k_factor, first.k_factor, sizeof c.k_factor);
	memcpy(c.v_factor, first.v_factor, sizeof c.v_factor);
	c.k_sample = t->k_sample;
	c.v_sample = t->v_sample;
	c.samples = t->samples;
	c.turned_pairs = (int)(t->turned / 2);
	return c;
}

bool calibrator_write(const struct calibrator *t, struct given_file *file, struct tool_error *error)
{
	const struct model *model = t->session->model;
	const clkv_geometry geometry = engine_geometry(model);
	const clkv_calibration c = list_arrays(t);
	clkv_error cause = {0};
	struct output_file out = {"memory", open_memstream(&file->data, &file->size)};
	if (out.file == NULL)
		return tool_fail(error, "out of memory");
	clkv_status status = clkv_calibration_write(&geometry, model_fingerprint(model), &c,
	                                            output_file_write, &out, &cause);
	return output_file_close(&out, status, "writing the calibration", &cause, error);
}
