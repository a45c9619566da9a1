/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_kivi.c
 * \brief   KIVI: K per channel, V per token, asymmetric, a window in half.
 *
 * Source: arXiv 2402.02750. Unlike the original, both sides seal whole blocks and both keep at least
 * `window` tokens in half; a constant group decodes to its constant.
 */
#include "codec/codec.h"
#include "stage/stage.h"

struct kivi_options {
	int bits, k, v, group;
};

#define KIVI_BITS "2|3|4|5|6|8"

static const struct clkv__key kivi_keys[] = {
	{"bits", CLKV__KEY_SET, offsetof(struct kivi_options, bits), 0, 0, KIVI_BITS, 4,
     "bits per value of both sides"},
	{"k", CLKV__KEY_SET, offsetof(struct kivi_options, k), 0, 0, KIVI_BITS, CLKV__UNSET,
     "bits of K, if not `bits`"},
	{"v", CLKV__KEY_SET, offsetof(struct kivi_options, v), 0, 0, KIVI_BITS, CLKV__UNSET,
     "bits of V, if not `bits`"},
	{"group", CLKV__KEY_SET, offsetof(struct kivi_options, group), 0, 0, "16|32|64|128", 32,
     "tokens (K) and channels (V) that share a scale"},
};

static clkv_status plan_kivi(const void *options, const struct clkv__shape *shape,
                             struct clkv__plan *plan, struct clkv__variant *variant,
                             clkv_error *error)
{
	const struct kivi_options *o = options;
	(void)shape, (void)plan, (void)error;
	variant->codec = &clkv__codec_affine;
	variant->spec.affine.k = (struct clkv__affine_side){
		.bits = o->k == CLKV__UNSET ? o->bits : o->k,
		.axis = ABI_AXIS_CHANNEL,
		.group = o->group,
	};
	variant->spec.affine.v = (struct clkv__affine_side){
		.bits = o->v == CLKV__UNSET ? o->bits : o->v,
		.axis = ABI_AXIS_TOKEN,
		.group = o->group,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_kivi = {
	.name = "kivi",
	.brief = "K per channel, V per token, asymmetric integers",
	.source = "KIVI, arXiv 2402.02750",
	.kind = CLKV__ENCODE,
	.keys = kivi_keys,
	.n_keys = sizeof kivi_keys / sizeof kivi_keys[0],
	.window = 128,
	.plan = plan_kivi,
};
