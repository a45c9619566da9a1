/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_kvquant.c
 * \brief   KVQuant: K per channel, V per token, levels where values are dense, and the farthest values kept as they are.
 *
 * Source: arXiv 2401.18079. There K is coded before RoPE with scales of a calibration, levels are found by k-means over its
 * values, weighted by their sensitivity, and thresholds of outliers are quantiles of a channel or a token. Here K lies behind RoPE,
 * scales are those of a block's units, levels are those of a normal distribution, two numbers for a width, which need no
 * calibration, and a block has as many outliers as its list has room for: doc/kvquant.md has figures of the others. The paper keeps
 * the first token in half; four take as much room.
 */
#include "base/error.h"
#include "codec/codec.h"
#include "stage/stage.h"

struct kvquant_options {
	int bits, k, v, group, levels;
	float outliers;
};

#define KVQUANT_BITS "2|3|4"

enum { LEVELS_UNIFORM, LEVELS_NORMAL };

static const struct clkv__key kvquant_keys[] = {
	{"bits", CLKV__KEY_SET, offsetof(struct kvquant_options, bits), 0, 0, KVQUANT_BITS, 3,
     "bits per value of both sides"},
	{"k", CLKV__KEY_SET, offsetof(struct kvquant_options, k), 0, 0, KVQUANT_BITS, CLKV__UNSET,
     "bits of K, if not `bits`"},
	{"v", CLKV__KEY_SET, offsetof(struct kvquant_options, v), 0, 0, KVQUANT_BITS, CLKV__UNSET,
     "bits of V, if not `bits`"},
	{"group", CLKV__KEY_SET, offsetof(struct kvquant_options, group), 0, 0, "16|32|64|128", 64,
     "tokens (K) and channels (V) that share a scale"},
	{"levels", CLKV__KEY_NAME, offsetof(struct kvquant_options, levels), 0, 0, "uniform|normal",
     LEVELS_NORMAL,
     "what codes stand for: even parts of a unit's range, or levels that are closer together about "
     "its middle"},
	{"outliers", CLKV__KEY_REAL, offsetof(struct kvquant_options, outliers), 0, 0.05, NULL, 0.01,
     "share of a block's values that are kept as they are, those farthest from their unit's mean"},
};

/* Of levels=normal, thousandths, by side and bits: ends of the range that they leave out, and how uneven they are. What loses
 * least of attention's output on captured rows of two texts, in doc/kvquant.md's table. */
static const struct {
	int cut, bend;
} normal[2][5] = {{[2] = {250, 0}, [3] = {100, 200}, [4] = {30, 200}},
                  {[2] = {150, 100}, [3] = {30, 300}, [4] = {0, 300}}};

static struct clkv__affine_side side_of(const struct kvquant_options *o, int bits, int axis)
{
	const bool is_v = axis == ABI_AXIS_TOKEN;
	struct clkv__affine_side side = {
		.bits = bits == CLKV__UNSET ? o->bits : bits, .axis = axis, .group = o->group};
	if (o->levels == LEVELS_NORMAL) {
		side.cut = normal[is_v][side.bits].cut;
		side.bend = normal[is_v][side.bits].bend;
	}
	return side;
}

static clkv_status plan_kvquant(const void *options, const struct clkv__shape *shape,
                                struct clkv__plan *plan, struct clkv__variant *variant,
                                clkv_error *error)
{
	const struct kvquant_options *o = options;
	const struct clkv__affine_spec codes = {.k = side_of(o, o->k, ABI_AXIS_CHANNEL),
	                                        .v = side_of(o, o->v, ABI_AXIS_TOKEN)};
	(void)shape, (void)plan;
	if (clkv__prunes(&variant->prune) || variant->project != ABI_PROJECT_NONE)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'kvquant' stores rows with all their channels; allowed in front of it: "
		          "stages that select tokens, or none; kivi and kitty take the others");
	if (o->outliers == 0.0f) {
		variant->codec = &clkv__codec_affine;
		variant->spec.affine = codes;
	} else {
		variant->codec = &clkv__codec_outliers;
		variant->spec.outliers = (struct clkv__outliers_spec){codes, o->outliers};
	}
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_kvquant = {
	.name = "kvquant",
	.brief = "K per channel, V per token, uneven levels, and the farthest values as they are",
	.source = "KVQuant, arXiv 2401.18079, on keys behind RoPE",
	.kind = CLKV__ENCODE,
	.keys = kvquant_keys,
	.n_keys = sizeof kvquant_keys / sizeof kvquant_keys[0],
	.window = 64,
	.sinks = 4,
	.plan = plan_kvquant,
};
