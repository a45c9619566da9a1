/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_qtc.c
 * \brief   Codes in the metric of the layer's output: one step for all values, in units of what an error does to it.
 *
 * doc/qtc.md derives it. Steps, means and tables come from a calibration file of the model, which clkv-train writes.
 */
#include "base/error.h"
#include "codec/codec.h"
#include "plan/projection.h"
#include "stage/stage.h"

enum { ENTROPY_PHRASES, ENTROPY_PACK }; /* as the key names them */

struct qtc_options {
	float room;
	int entropy;
};

static const struct clkv__key qtc_keys[] = {
	{"room", CLKV__KEY_REAL, offsetof(struct qtc_options, room), 1, 16, NULL, 1.25,
     "what the pool has room for, in parts of what the calibration's text takes"},
	{"entropy", CLKV__KEY_NAME, offsetof(struct qtc_options, entropy), 0, 0, "phrases|pack",
     ENTROPY_PHRASES,
     "codes in words of phrases, or in planes of the bits that four channels need: a third more "
     "bytes, half the time"},
};

static clkv_status plan_qtc(const void *options, const struct clkv__shape *shape,
                            struct clkv__plan *plan, struct clkv__variant *variant,
                            clkv_error *error)
{
	const struct qtc_options *o = options;
	(void)shape;
	if (clkv__selects(&plan->select))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'qtc' can't follow '%s': what selects tokens weighs rows as the model has "
		          "them, and qtc stores them in its steps; allowed: qtc alone, or kvcomp here",
		          plan->select.stage);
	if (clkv__prunes(&variant->prune))
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"stage 'qtc' can't follow a stage that prunes channels: its steps leave little of "
			"those that don't matter; allowed: qtc alone, or kvcomp here");
	variant->codec = &clkv__codec_qtc;
	CLKV_TRY(clkv__projection_set(variant, ABI_PROJECT_STEPS, "qtc", error));
	variant->spec.qtc = (struct clkv__qtc_spec){
		.room = o->room,
		.packed = o->entropy == ENTROPY_PACK,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_qtc = {
	.name = "qtc",
	.brief = "integers in steps of the layer's output, calibrated, in streams of runs",
	.source = "rate-distortion theory; OSCAR, arXiv 2605.17757",
	.kind = CLKV__ENCODE,
	.keys = qtc_keys,
	.n_keys = sizeof qtc_keys / sizeof qtc_keys[0],
	.window = 64,
	.sinks = 4,
	.plan = plan_qtc,
};
