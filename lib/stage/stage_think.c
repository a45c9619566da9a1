/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_think.c
 * \brief   ThinK: drops the channels of K that the newest queries use least, the same for all tokens.
 *
 * Source: arXiv 2407.21018. One mask per KV head, as its users asked for; blocks that are sealed later take
 * the prompt's mask over, or a new one every `refresh` blocks. V, if asked for, is pruned token by token: the same
 * channels for all tokens lose several times as much (doc/channels.md).
 */
#include "base/error.h"
#include "stage/prune_keys.h"
#include "stage/stage.h"

struct think_options {
	float keep;
	int obs, qagg, align, refresh;
	float values;
};

#define AT(field) offsetof(struct think_options, field)

static const struct clkv__key think_keys[] = {
	KEEP_KEY(AT(keep), 0.6),
	OBS_KEY(AT(obs)),
	QAGG_KEY(AT(qagg)),
	{"align", CLKV__KEY_SET, AT(align), 0, 0, "2|4|8|16", 4,
     "kept channels are rounded up to a multiple of this"},
	{"refresh", CLKV__KEY_INT, AT(refresh), 0, 1 << 20, NULL, 1,
     "sealed blocks after which the channels are chosen anew; 0: they stay the prompt's"},
	VALUES_KEY(AT(values)),
};

static clkv_status plan_think(const void *options, const struct clkv__shape *shape,
                              struct clkv__plan *plan, struct clkv__variant *variant,
                              clkv_error *error)
{
	const struct think_options *o = options;
	int kept, kept_v;
	(void)plan;
	CLKV_TRY(clkv__kept_channels("think", "keep", o->keep, shape->dk, &kept, error));
	CLKV_TRY(clkv__kept_channels("think", "values", o->values, shape->dv, &kept_v, error));
	variant->prune = (struct clkv__prune){
		.kind = ABI_PRUNE_CHANNELS,
		.kept = kept,
		.align = o->align,
		.lacking_v = (shape->dv - kept_v) / 8 * 8,
		.recover = ABI_RECOVER_SIGNMAG, /* of V */
		.observe = o->obs,
		.qagg = o->qagg,
		.refresh = o->refresh,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_think = {
	.name = "think",
	.brief = "the same channels of K for all tokens, those that the newest queries use most",
	.source = "ThinK, arXiv 2407.21018",
	.kind = CLKV__PRUNE,
	.keys = think_keys,
	.n_keys = sizeof think_keys / sizeof think_keys[0],
	.window = 128,
	.prompt = true,
	.plan = plan_think,
};
