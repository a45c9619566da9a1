/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_lowrank.c
 * \brief   Latents: sealed blocks hold a few sums of a row's channels, from which the row is made again.
 *
 * Sources: LoRC, arXiv 2410.03111; CSKV, arXiv 2409.10593; ReCalKV, arXiv 2505.24357. Those factor the matrices that make K and V
 * of a layer's inputs, over all heads, and keys in front of RoPE, which then come back token by token. Here factors are of rows:
 * those of a head, keys behind RoPE as the cache has them, so that the query takes K's factor, and the sum takes V's; or of several
 * heads or layers side by side, and of keys that are turned back. stage_lorc.c, stage_recalkv.c and stage_clla.c are settings of it.
 * Factors come in a file with the cache's options, which clkv-train makes of a text. doc/lowrank.md
 */
#include "base/error.h"
#include "plan/projection.h"
#include "stage/latent_ranks.h"
#include "stage/stage.h"

struct lowrank_options {
	float rank, k, v;
	int heads_k, heads_v, rope, share;
};

enum { BEHIND, BEFORE };

static const struct clkv__key lowrank_keys[] = {
	{"rank", CLKV__KEY_PART, offsetof(struct lowrank_options, rank), 0.0625, 256, NULL, 0.5,
     "numbers of a row of K and of V that are sealed, or their part of the head size; in sixteens"},
	{"k", CLKV__KEY_PART, offsetof(struct lowrank_options, k), 0.0625, 256, NULL, CLKV__UNSET,
     "those of K, if not `rank`"},
	{"v", CLKV__KEY_PART, offsetof(struct lowrank_options, v), 0.0625, 256, NULL, CLKV__UNSET,
     "those of V, if not `rank`"},
	{"heads_k", CLKV__KEY_INT, offsetof(struct lowrank_options, heads_k), 0, 4096, NULL, 1,
     "KV heads whose keys have latents together; 0: all of a layer"},
	{"heads_v", CLKV__KEY_INT, offsetof(struct lowrank_options, heads_v), 0, 4096, NULL, 1,
     "the same of values"},
	{"rope", CLKV__KEY_NAME, offsetof(struct lowrank_options, rope), 0, 0, "behind|before", BEHIND,
     "whether latents are of keys behind RoPE, or as they were before it"},
	{"share", CLKV__KEY_INT, offsetof(struct lowrank_options, share), 1, 1024, NULL, 1,
     "layers that follow each other and have latents together"},
};

static clkv_status plan_lowrank(const void *options, const struct clkv__shape *shape,
                                struct clkv__plan *plan, struct clkv__variant *variant,
                                clkv_error *error)
{
	const struct lowrank_options *o = options;
	float k = o->k == CLKV__UNSET ? o->rank : o->k, v = o->v == CLKV__UNSET ? o->rank : o->v;
	CLKV_TRY(clkv__latent_rank("lowrank", 'k', k, shape->dk, &variant->latents.k, error));
	CLKV_TRY(clkv__latent_rank("lowrank", 'v', v, shape->dv, &variant->latents.v, error));
	CLKV_TRY(clkv__latent_heads("lowrank", 'k', o->heads_k, shape, &variant->groups.k, error));
	CLKV_TRY(clkv__latent_heads("lowrank", 'v', o->heads_v, shape, &variant->groups.v, error));
	variant->groups.before = o->rope == BEFORE;
	CLKV_TRY(clkv__latent_share("lowrank", o->share, shape, plan, &variant->groups.share, error));
	CLKV_TRY(clkv__latent_groups_check("lowrank", variant, error));
	return clkv__projection_set(variant, ABI_PROJECT_LATENTS, "lowrank", error);
}

const struct clkv__stage clkv__stage_lowrank = {
	.name = "lowrank",
	.brief = "latents of rows by factors of the model, which a codec may follow",
	.source = "LoRC, arXiv 2410.03111, on rows",
	.kind = CLKV__PROJECT,
	.keys = lowrank_keys,
	.n_keys = sizeof lowrank_keys / sizeof lowrank_keys[0],
	.window = 64,
	.plan = plan_lowrank,
};
