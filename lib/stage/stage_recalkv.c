/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_recalkv.c
 * \brief   ReCalKV: latents of keys of similar heads, before RoPE, and of the values of all heads of a layer.
 *
 * Source: arXiv 2505.24357. Groups come with the factors, which clkv-train --for recalkv makes: similar heads by the alignment of
 * their weights' kernels, whitened decompositions of each group's keys and of all values, calibrated. Ranks of groups are
 * multiples of 32, as theirs are. Each KV head holds an even share of its group's latents.
 */
#include "base/error.h"
#include "plan/projection.h"
#include "stage/latent_ranks.h"
#include "stage/stage.h"

struct recalkv_options {
	float k, v;
	int heads;
};

static const struct clkv__key recalkv_keys[] = {
	{"k", CLKV__KEY_PART, offsetof(struct recalkv_options, k), 0.0625, 256, NULL, 0.5,
     "numbers of a row of K that each KV head seals, or their part of the head size; a group's in "
     "32s"},
	{"v", CLKV__KEY_PART, offsetof(struct recalkv_options, v), 0.0625, 256, NULL, 0.5,
     "the same of V, whose group are all heads"},
	{"heads", CLKV__KEY_INT, offsetof(struct recalkv_options, heads), 1, 4096, NULL, 4,
     "KV heads whose keys have latents together, or all where there are fewer"},
};

enum { STEP = 32 };

/* Of parts, the nearest multiple of 16 whose group's rank is one of 32; numbers must be that. */
static clkv_status read_rank(char side, float value, int dim, int heads, int *rank,
                             clkv_error *error)
{
	CLKV_TRY(clkv__latent_rank("recalkv", side, value, dim, rank, error));
	if (*rank * heads % STEP == 0)
		return CLKV_OK;
	if (value <= 1) {
		*rank += *rank + 16 <= dim ? 16 : -16;
		if (*rank > 0)
			return CLKV_OK;
	}
	CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
	          "stage 'recalkv': the rank of %c of a group of %d heads is %d; allowed: multiples of "
	          "%d, so multiples of 32 for each head of it",
	          side - 'a' + 'A', heads, *rank * heads, STEP);
}

static clkv_status plan_recalkv(const void *options, const struct clkv__shape *shape,
                                struct clkv__plan *plan, struct clkv__variant *variant,
                                clkv_error *error)
{
	const struct recalkv_options *o = options;
	int all = shape->streams, heads = o->heads < all ? o->heads : all;
	(void)plan;
	CLKV_TRY(clkv__latent_heads("recalkv", 'k', heads, shape, &variant->groups.k, error));
	variant->groups.v = all;
	variant->groups.before = true;
	CLKV_TRY(read_rank('k', o->k, shape->dk, heads, &variant->latents.k, error));
	CLKV_TRY(read_rank('v', o->v, shape->dv, all, &variant->latents.v, error));
	CLKV_TRY(clkv__latent_groups_check("recalkv", variant, error));
	return clkv__projection_set(variant, ABI_PROJECT_LATENTS, "recalkv", error);
}

const struct clkv__stage clkv__stage_recalkv = {
	.name = "recalkv",
	.brief = "latents of similar heads' keys before RoPE, and of a layer's values",
	.source = "ReCalKV, arXiv 2505.24357",
	.kind = CLKV__PROJECT,
	.keys = recalkv_keys,
	.n_keys = sizeof recalkv_keys / sizeof recalkv_keys[0],
	.window = 64,
	.plan = plan_recalkv,
};
