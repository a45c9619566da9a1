/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_cskv.c
 * \brief   CSKV: latents of all but the newest tokens, in half or as codes of KIVI's kind.
 *
 * Source: arXiv 2409.10593. Its factors are of the matrices that make K and V, scaled by activations and tuned layer by layer;
 * here they are of rows (stage_lowrank.c), weighed by queries and not tuned. Its window is emptied when it is full; here at least
 * `window` tokens stay, as with all stages. Its zero point can't be below zero, this one's minimum can be any number.
 */
#include "base/error.h"
#include "codec/codec.h"
#include "plan/projection.h"
#include "stage/latent_ranks.h"
#include "stage/stage.h"

struct cskv_options {
	float k, v;
	int bits, group;
};

static const struct clkv__key cskv_keys[] = {
	{"k", CLKV__KEY_PART, offsetof(struct cskv_options, k), 0.0625, 256, NULL, 0.5,
     "numbers of a row of K that are sealed, or their part of the head size; in sixteens"},
	{"v", CLKV__KEY_PART, offsetof(struct cskv_options, v), 0.0625, 256, NULL, 0.5,
     "the same of V"},
	{"bits", CLKV__KEY_SET, offsetof(struct cskv_options, bits), 0, 0, "2|3|4|5|6|8|16", 16,
     "bits of each; 16 is half"},
	{"group", CLKV__KEY_SET, offsetof(struct cskv_options, group), 0, 0, "16|32|64|128", 32,
     "tokens (K) and numbers of a token (V) that share a scale"},
};

static clkv_status plan_cskv(const void *options, const struct clkv__shape *shape,
                             struct clkv__plan *plan, struct clkv__variant *variant,
                             clkv_error *error)
{
	const struct cskv_options *o = options;
	(void)plan;
	CLKV_TRY(clkv__latent_rank("cskv", 'k', o->k, shape->dk, &variant->latents.k, error));
	CLKV_TRY(clkv__latent_rank("cskv", 'v', o->v, shape->dv, &variant->latents.v, error));
	variant->groups = (struct clkv__groups){1, 1, false, 1};
	variant->codec = &clkv__codec_affine;
	variant->spec.affine.k =
		(struct clkv__affine_side){.bits = o->bits, .axis = ABI_AXIS_CHANNEL, .group = o->group};
	variant->spec.affine.v =
		(struct clkv__affine_side){.bits = o->bits, .axis = ABI_AXIS_TOKEN, .group = o->group};
	return clkv__projection_set(variant, ABI_PROJECT_LATENTS, "cskv", error);
}

const struct clkv__stage clkv__stage_cskv = {
	.name = "cskv",
	.brief = "latents behind a window, in half or as integers: K per latent, V per token",
	.source = "CSKV, arXiv 2409.10593, on rows",
	.kind = CLKV__ENCODE,
	.keys = cskv_keys,
	.n_keys = sizeof cskv_keys / sizeof cskv_keys[0],
	.window = 32,
	.plan = plan_cskv,
};
