/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_clla.c
 * \brief   CLLA: latents that several layers share, keys before RoPE.
 *
 * Source: arXiv 2410.15252, a trained architecture: the first layer of each group has latents of its input, from which the
 * others make their keys and values, too. Here latents are of the first layer's rows, all KV heads side by side, as files say
 * whose A has zeros for the others (clkv-train --for clla). Each KV head of each layer of the group seals an even share of the
 * group's latents: so the group's bytes are those of its latents once, whatever the number of its layers. Rows in half are each
 * layer's own. There is no second key that keeps RoPE's part: keys are turned when they are made whole.
 */
#include "base/error.h"
#include "plan/projection.h"
#include "stage/latent_ranks.h"
#include "stage/stage.h"

struct clla_options {
	int share;
	float k, v;
};

static const struct clkv__key clla_keys[] = {
	{"share", CLKV__KEY_INT, offsetof(struct clla_options, share), 1, 1024, NULL, 2,
     "layers that follow each other and have latents together, of the first one's rows"},
	{"k", CLKV__KEY_PART, offsetof(struct clla_options, k), 0.0625, 256, NULL, 0.25,
     "numbers of K of a token that each KV head of each layer seals, or their part of the head "
     "size; in sixteens"},
	{"v", CLKV__KEY_PART, offsetof(struct clla_options, v), 0.0625, 256, NULL, 0.25,
     "the same of V"},
};

/* The first layer's rows have no more latents than numbers. */
static clkv_status check_most(char side, int rank, int dim, int share, clkv_error *error)
{
	if (rank * share > dim)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'clla': %d latents of %c in each of %d layers; allowed: up to the head "
		          "size, %d, in all of them",
		          rank, side, share, dim);
	return CLKV_OK;
}

static clkv_status plan_clla(const void *options, const struct clkv__shape *shape,
                             struct clkv__plan *plan, struct clkv__variant *variant,
                             clkv_error *error)
{
	const struct clla_options *o = options;
	struct clkv__latents *ranks = &variant->latents;
	variant->groups = (struct clkv__groups){shape->streams, shape->streams, true, 1};
	CLKV_TRY(clkv__latent_rank("clla", 'k', o->k, shape->dk, &ranks->k, error));
	CLKV_TRY(clkv__latent_rank("clla", 'v', o->v, shape->dv, &ranks->v, error));
	CLKV_TRY(clkv__latent_share("clla", o->share, shape, plan, &variant->groups.share, error));
	CLKV_TRY(check_most('K', ranks->k, shape->dk, o->share, error));
	CLKV_TRY(check_most('V', ranks->v, shape->dv, o->share, error));
	CLKV_TRY(clkv__latent_groups_check("clla", variant, error));
	return clkv__projection_set(variant, ABI_PROJECT_LATENTS, "clla", error);
}

const struct clkv__stage clkv__stage_clla = {
	.name = "clla",
	.brief = "latents of one layer's rows for several layers, keys before RoPE",
	.source = "CLLA, arXiv 2410.15252, without its training",
	.kind = CLKV__PROJECT,
	.keys = clla_keys,
	.n_keys = sizeof clla_keys / sizeof clla_keys[0],
	.window = 64,
	.plan = plan_clla,
};
