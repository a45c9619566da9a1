/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_q.c
 * \brief   Plain integer codecs, K and V apart, each per token or per channel.
 *
 * rot=hadamard turns K and V by an orthonormal Walsh-Hadamard matrix before they are stored, q by the
 * same, and the output back: it spreads outlier channels over all, which helps scales per token and
 * undoes the point of scales per channel; so the pair of the last two is refused. rot=file takes orthogonal matrices that come
 * with the cache's options, one for K and one for V of each (layer, KV head): learned ones do better than a fixed one. clip_k
 * and clip_v (OSCAR, arXiv 2605.17757: .96 and .92) shorten ranges: the few values at their ends lose, all others gain.
 */
#include "base/error.h"
#include "codec/codec.h"
#include "plan/projection.h"
#include "stage/stage.h"

struct q_options {
	int k, v, group, axis_k, axis_v, sym, rot;
	float clip_k, clip_v;
};

#define Q_BITS "2|3|4|5|6|8|16"

static const struct clkv__key q_keys[] = {
	{"k", CLKV__KEY_SET, offsetof(struct q_options, k), 0, 0, Q_BITS, 8,
     "bits per value of K; 16 is half"},
	{"v", CLKV__KEY_SET, offsetof(struct q_options, v), 0, 0, Q_BITS, 4,
     "bits per value of V; 16 is half"},
	{"group", CLKV__KEY_SET, offsetof(struct q_options, group), 0, 0, "16|32|64|128", 32,
     "values that share a scale, along the axis"},
	{"axis_k", CLKV__KEY_NAME, offsetof(struct q_options, axis_k), 0, 0, "channel|token", 1,
     "what a scale of K belongs to"},
	{"axis_v", CLKV__KEY_NAME, offsetof(struct q_options, axis_v), 0, 0, "channel|token", 1,
     "what a scale of V belongs to"},
	{"sym", CLKV__KEY_INT, offsetof(struct q_options, sym), 0, 1, NULL, 0,
     "1: symmetric, no minimum is stored"},
	{"rot", CLKV__KEY_NAME, offsetof(struct q_options, rot), 0, 0, "none|hadamard|file", 0,
     "rotation of K and V before a codec per token"},
	{"clip_k", CLKV__KEY_REAL, offsetof(struct q_options, clip_k), 0.5, 1, NULL, 1,
     "part of a unit's range, about its middle, that codes of K span; to the nearest thousandth"},
	{"clip_v", CLKV__KEY_REAL, offsetof(struct q_options, clip_v), 0.5, 1, NULL, 1,
     "the same of V"},
};

static int cut_of(float clip)
{
	return (int)(1000.0f * (1.0f - clip) + 0.5f);
}

static struct clkv__affine_side side_of(const struct q_options *o, int bits, int axis, float clip)
{
	return (struct clkv__affine_side){
		.bits = bits,
		.axis = axis,
		.group = o->group,
		.symmetric = o->sym != 0,
		.cut = cut_of(clip),
	};
}

static clkv_status plan_q(const void *options, const struct clkv__shape *shape,
                          struct clkv__plan *plan, struct clkv__variant *variant, clkv_error *error)
{
	const struct q_options *o = options;
	(void)shape, (void)plan;
	bool k_channel = o->axis_k == ABI_AXIS_CHANNEL && o->k != 16;
	bool v_channel = o->axis_v == ABI_AXIS_CHANNEL && o->v != 16;
	if (o->rot && (k_channel || v_channel))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'q': rot=%s needs axis_k=token and axis_v=token: a rotation mixes "
		          "the channels that scales per channel keep apart",
		          clkv__projection_name(o->rot));
	variant->codec = &clkv__codec_affine;
	if (o->rot)
		CLKV_TRY(clkv__projection_set(variant, o->rot, "q", error));
	variant->spec.affine.k = side_of(o, o->k, o->axis_k, o->clip_k);
	variant->spec.affine.v = side_of(o, o->v, o->axis_v, o->clip_v);
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_q = {
	.name = "q",
	.brief = "plain integers, K and V apart, per token or per channel, optional rotation",
	.source = "-",
	.kind = CLKV__ENCODE,
	.keys = q_keys,
	.n_keys = sizeof q_keys / sizeof q_keys[0],
	.window = 64,
	.plan = plan_q,
};
