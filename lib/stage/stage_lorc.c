/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_lorc.c
 * \brief   LoRC: latents of all heads of a layer together, keys before RoPE.
 *
 * Source: arXiv 2410.03111. Its factors are a truncated singular value decomposition of the matrices that make keys and values, ranks
 * shrinking with depth by condition numbers; clkv-train --for lorc makes them of a model's weights alone and prints the recipe of
 * ranks. A latent of its inputs is one of their keys: with W = U S V^T it is x U sqrt(S) = (x W) V / sqrt(S). Each KV head holds an
 * even share of the layer's latents, so ranks are a head's, in sixteens.
 */
#include "base/error.h"
#include "plan/projection.h"
#include "stage/latent_ranks.h"
#include "stage/stage.h"

struct lorc_options {
	float rank, k, v;
};

static const struct clkv__key lorc_keys[] = {
	{"rank", CLKV__KEY_PART, offsetof(struct lorc_options, rank), 0.0625, 256, NULL, 0.5,
     "numbers of K and of V of a token that each KV head seals, or their part of the head size; in "
     "sixteens"},
	{"k", CLKV__KEY_PART, offsetof(struct lorc_options, k), 0.0625, 256, NULL, CLKV__UNSET,
     "those of K, if not `rank`"},
	{"v", CLKV__KEY_PART, offsetof(struct lorc_options, v), 0.0625, 256, NULL, CLKV__UNSET,
     "those of V, if not `rank`"},
};

static clkv_status plan_lorc(const void *options, const struct clkv__shape *shape,
                             struct clkv__plan *plan, struct clkv__variant *variant,
                             clkv_error *error)
{
	const struct lorc_options *o = options;
	(void)plan;
	float k = o->k == CLKV__UNSET ? o->rank : o->k, v = o->v == CLKV__UNSET ? o->rank : o->v;
	CLKV_TRY(clkv__latent_rank("lorc", 'k', k, shape->dk, &variant->latents.k, error));
	CLKV_TRY(clkv__latent_rank("lorc", 'v', v, shape->dv, &variant->latents.v, error));
	variant->groups = (struct clkv__groups){shape->streams, shape->streams, true, 1};
	CLKV_TRY(clkv__latent_groups_check("lorc", variant, error));
	return clkv__projection_set(variant, ABI_PROJECT_LATENTS, "lorc", error);
}

const struct clkv__stage clkv__stage_lorc = {
	.name = "lorc",
	.brief = "latents of all heads of a layer, keys before RoPE, by factors of its weights",
	.source = "LoRC, arXiv 2410.03111",
	.kind = CLKV__PROJECT,
	.keys = lorc_keys,
	.n_keys = sizeof lorc_keys / sizeof lorc_keys[0],
	.window = 64,
	.plan = plan_lorc,
};
