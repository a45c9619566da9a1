/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_kitty.c
 * \brief   Kitty: KIVI's two bits, and four for the channels of K that are largest in each block.
 *
 * Source: arXiv 2511.18643, sections 3 and 4. Unlike the original, which boosts channels by pages of 128 tokens with one
 * group each, a block is a page and has groups of `group` tokens, as kivi's; V keeps `window` tokens in half as K does;
 * the first tokens are kept in half only if the recipe says so (sinks=32 is the original's).
 */
#include "codec/codec.h"
#include "stage/stage.h"

struct kitty_options {
	float boost;
	int group;
};

static const struct clkv__key kitty_keys[] = {
	{"boost", CLKV__KEY_REAL, offsetof(struct kitty_options, boost), 0, 1, NULL, 0.1,
     "share of K's channels that have 4 bits, those of the largest mean magnitude of each block; a "
     "multiple of 4 channels"},
	{"group", CLKV__KEY_SET, offsetof(struct kitty_options, group), 0, 0, "16|32|64|128", 32,
     "tokens (K) and channels (V) that share a scale"},
};

static clkv_status plan_kitty(const void *options, const struct clkv__shape *shape,
                              struct clkv__plan *plan, struct clkv__variant *variant,
                              clkv_error *error)
{
	const struct kitty_options *o = options;
	(void)shape, (void)plan, (void)error;
	variant->codec = &clkv__codec_kitty;
	variant->spec.kitty = (struct clkv__kitty_spec){
		.codes = {.k = {.bits = 2, .axis = ABI_AXIS_CHANNEL, .group = o->group},
	              .v = {.bits = 2, .axis = ABI_AXIS_TOKEN, .group = o->group}},
		.boost = o->boost,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_kitty = {
	.name = "kitty",
	.brief = "K in 2 bits per channel, 4 in the largest channels of a block, V in 2 per token",
	.source = "Kitty, arXiv 2511.18643",
	.kind = CLKV__ENCODE,
	.keys = kitty_keys,
	.n_keys = sizeof kitty_keys / sizeof kitty_keys[0],
	.window = 128,
	.plan = plan_kitty,
};
