/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_kvcomp.c
 * \brief   KVComp: integers with a promised error per value, entropy-coded; K per channel, V per token.
 *
 * Source: arXiv 2509.00579; entropy=pack: PackKV, arXiv 2512.24449. Unlike the original, a unit never
 * spans KV heads, codes begin at the unit's minimum, every symbol has a code, and tables are renewed
 * when the data drifts.
 */
#include "base/error.h"
#include "codec/codec.h"
#include "codec/huffman.h"
#include "stage/stage.h"

struct kvcomp_options {
	int unit_k;
	float rel_k, rel_v, abs_k, abs_v;
	int entropy, lmax, lane_codes, exact, verify;
};

#define AT(field) offsetof(struct kvcomp_options, field)
#define REL_LEAST 0.004 /* 256 symbols */
#define ABS_LEAST 1e-6
#define ABS_MOST 1e4

static const struct clkv__key kvcomp_keys[] = {
	{"unit_k", CLKV__KEY_NAME, AT(unit_k), 0, 0, "channel|block", 0,
     "values of K that share a range: a channel of the block, or all of it"},
	{"rel_k", CLKV__KEY_REAL, AT(rel_k), REL_LEAST, 1, NULL, CLKV__UNSET,
     "step of K as a part of its unit's range; the error is at most half of it"},
	{"rel_v", CLKV__KEY_REAL, AT(rel_v), REL_LEAST, 1, NULL, CLKV__UNSET,
     "step of V as a part of its token's range"},
	{"abs_k", CLKV__KEY_REAL, AT(abs_k), ABS_LEAST, ABS_MOST, NULL, CLKV__UNSET,
     "largest error of K, in place of rel_k"},
	{"abs_v", CLKV__KEY_REAL, AT(abs_v), ABS_LEAST, ABS_MOST, NULL, CLKV__UNSET,
     "largest error of V, in place of rel_v"},
	{"entropy", CLKV__KEY_NAME, AT(entropy), 0, 0, "huffman|pack|none", CLKV__UNSET,
     "codes as Huffman streams, packed at the block's least width, or streams of fixed width; the "
     "default is pack where the symbols nearly fill their bits, else huffman"},
	{"lmax", CLKV__KEY_INT, AT(lmax), 1, 12, NULL, CLKV__UNSET,
     "longest code, bits; the default is 6 for up to 32 symbols, else 11"},
	{"lane_codes", CLKV__KEY_SET, AT(lane_codes), 0, 0, "64|128|256", 128,
     "codes of a stream: longer ones need a smaller index, shorter ones feed more lanes"},
	{"exact", CLKV__KEY_INT, AT(exact), 0, 4, NULL, 1,
     "first tokens of a sequence that enter no range and are kept in half in their block"},
	{"verify", CLKV__KEY_INT, AT(verify), 0, 1, NULL, 0,
     "1: every sealed value is decoded and compared with its bound"},
};

/* Steps that were measured to lose less than 1 % (doc/kvcomp.md). A unit that spans outlier channels
 * needs a finer part of its range. */
#define REL_K (1.0f / 7.0f)
#define REL_K_BLOCK 0.05f
#define REL_V (1.0f / 7.0f)

/* N of the notes: codes 0 to N - 1, where the step was cut by up to 2^-7 of itself. */
static struct clkv__bounded_side side_of(float rel, float usual, float absolute)
{
	rel = rel > 0.0f ? rel : usual;
	if (absolute > 0.0f)
		return (struct clkv__bounded_side){2.0f * absolute, true, ABI_SYMBOLS};
	int symbols = (int)((1.0 + 1.0 / 128.0) / (double)rel + 0.5) + 1;
	return (struct clkv__bounded_side){rel, false, symbols > ABI_SYMBOLS ? ABI_SYMBOLS : symbols};
}

/* 7 symbols of 8, 14 of 16: then Huffman codes take 5 % fewer bytes and several times the time. */
static bool fills_its_bits(const struct clkv__bounded_side *side)
{
	int room = 1 << clkv__huffman_flat_bits(side->symbols);
	return !side->absolute && 8 * side->symbols >= 7 * room;
}

static int entropy_of(int given, const struct clkv__bounded_spec *spec)
{
	if (given != CLKV__UNSET)
		return given;
	return fills_its_bits(&spec->k) && fills_its_bits(&spec->v) ? ABI_ENTROPY_PACK
	                                                            : ABI_ENTROPY_HUFFMAN;
}

static float usual_rel_k(const struct kvcomp_options *o)
{
	return o->unit_k == ABI_RANGE_BLOCK ? REL_K_BLOCK : REL_K;
}

static struct clkv__bounded_spec spec_of(const struct kvcomp_options *o)
{
	struct clkv__bounded_spec spec = {
		.k = side_of(o->rel_k, usual_rel_k(o), o->abs_k),
		.v = side_of(o->rel_v, REL_V, o->abs_v),
		.unit_k = o->unit_k,
		.lmax = o->lmax == CLKV__UNSET ? 0 : o->lmax,
		.lane_codes = o->lane_codes,
		.exact = o->exact,
		.verify = o->verify != 0,
	};
	spec.entropy = entropy_of(o->entropy, &spec);
	return spec;
}

static void settle_kvcomp(void *options)
{
	struct kvcomp_options *o = options;
	o->entropy = spec_of(o).entropy;
	if (o->rel_k <= 0.0f && o->abs_k <= 0.0f)
		o->rel_k = usual_rel_k(o);
	if (o->rel_v <= 0.0f && o->abs_v <= 0.0f)
		o->rel_v = REL_V;
}

static clkv_status check_pair(float rel, float absolute, char side, clkv_error *error)
{
	if (absolute > 0.0f && rel > 0.0f)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'kvcomp': keys 'rel_%c' and 'abs_%c' are both given; allowed: one of them",
		          side, side);
	return CLKV_OK;
}

static clkv_status plan_kvcomp(const void *options, const struct clkv__shape *shape,
                               struct clkv__plan *plan, struct clkv__variant *variant,
                               clkv_error *error)
{
	const struct kvcomp_options *o = options;
	(void)shape, (void)plan;
	CLKV_TRY(check_pair(o->rel_k, o->abs_k, 'k', error));
	CLKV_TRY(check_pair(o->rel_v, o->abs_v, 'v', error));
	variant->codec = &clkv__codec_bounded;
	variant->spec.bounded = spec_of(o);
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_kvcomp = {
	.name = "kvcomp",
	.brief = "integers with a promised error per value, entropy-coded pages",
	.source = "KVComp, arXiv 2509.00579",
	.kind = CLKV__ENCODE,
	.keys = kvcomp_keys,
	.n_keys = sizeof kvcomp_keys / sizeof kvcomp_keys[0],
	.window = 64,
	.plan = plan_kvcomp,
	.settle = settle_kvcomp,
};
