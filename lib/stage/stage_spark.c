/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_spark.c
 * \brief   SparK: each token keeps the channels of K that matter most, and something small stands for the rest.
 *
 * Source: arXiv 2508.15212. Unlike the released code the bytes go: a token has a mask, its kept values, the
 * signs of the others and a number that says how large they were.
 */
#include "base/error.h"
#include "stage/prune_keys.h"
#include "stage/stage.h"

struct spark_options {
	float keep;
	int mode, obs, qagg, saliency, recover;
	float fill;
	int refine, seed;
	float values;
};

#define AT(field) offsetof(struct spark_options, field)

static const struct clkv__key spark_keys[] = {
	KEEP_KEY(AT(keep), 0.5),
	{"mode", CLKV__KEY_NAME, AT(mode), 0, 0, "ratio|group", 0,
     "how many channels a token keeps: as `keep` says, or as many tenths as it takes for 0.99 of "
     "its "
     "saliency: 1, 3, 5, 7 or 9"},
	OBS_KEY(AT(obs)),
	QAGG_KEY(AT(qagg)),
	{"saliency", CLKV__KEY_NAME, AT(saliency), 0, 0, "abs|sq", 1,
     "what a channel matters to a token: strength times magnitude, or times its square"},
	{"recover", CLKV__KEY_NAME, AT(recover), 0, 0, "zero|const|signmag|mean|fit|exp|normal",
     ABI_RECOVER_FIT,
     "what stands for a pruned channel: nothing, or its sign times a constant, the token's mean "
     "magnitude, its mean saliency over the channel's strength, the best product of a number per "
     "token "
     "and one per channel, or as mean with draws"},
	{"fill", CLKV__KEY_REAL, AT(fill), 0, 100, NULL, 0.01, "the constant of recover=const"},
	{"refine", CLKV__KEY_INT, AT(refine), 0, 4, NULL, 2,
     "with recover=fit: rounds in which a token keeps what recovery would lose most"},
	{"seed", CLKV__KEY_INT, AT(seed), 0, 1 << 30, NULL, 0, "of draws"},
	VALUES_KEY(AT(values)),
};

static clkv_status plan_spark(const void *options, const struct clkv__shape *shape,
                              struct clkv__plan *plan, struct clkv__variant *variant,
                              clkv_error *error)
{
	const struct spark_options *o = options;
	int kept, kept_v;
	(void)plan;
	CLKV_TRY(clkv__kept_channels("spark", "keep", o->keep, shape->dk, &kept, error));
	CLKV_TRY(clkv__kept_channels("spark", "values", o->values, shape->dv, &kept_v, error));
	variant->prune = (struct clkv__prune){
		.kind = ABI_PRUNE_TOKENS,
		.kept = o->mode ? shape->dk * 9 / 10 : kept,
		.align = 1,
		.grouped = o->mode == 1,
		.lacking_v = (shape->dv - kept_v) / 8 * 8,
		.observe = o->obs,
		.qagg = o->qagg,
		.recover = o->recover,
		.refine = o->recover == ABI_RECOVER_FIT ? o->refine : 0,
		.seed = o->seed,
		.filled = o->fill,
		.squared = o->saliency == 1,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_spark = {
	.name = "spark",
	.brief = "for each token the channels of K that matter most, the others recovered from signs",
	.source = "SparK, arXiv 2508.15212",
	.kind = CLKV__PRUNE,
	.keys = spark_keys,
	.n_keys = sizeof spark_keys / sizeof spark_keys[0],
	.window = 128,
	.prompt = true,
	.plan = plan_spark,
};
