/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_csr.c
 * \brief   CSR: sealed rows are sums of a few atoms of a dictionary, found by matching pursuit.
 *
 * Source: arXiv 2412.11741. There a neural dictionary is trained with gradients for groups of layers, on keys in front of RoPE, and
 * atoms of the prompt come on top. Here a dictionary is of a layer's KV head, on keys behind RoPE, from a file with the cache's
 * options that clkv-train makes of texts without gradients; it serves all sequences, so none has atoms of its own. doc/csr.md
 */
#include "base/error.h"
#include "codec/codec.h"
#include "plan/projection.h"
#include "stage/stage.h"

struct csr_options {
	int pairs, k, v, atoms, chunks_k, chunks_v, bits;
};

static const struct clkv__key csr_keys[] = {
	{"pairs", CLKV__KEY_INT, offsetof(struct csr_options, pairs), 1, 64, NULL, 8,
     "atoms of a row of K and of V, each with its coefficient"},
	{"k", CLKV__KEY_INT, offsetof(struct csr_options, k), 1, 64, NULL, CLKV__UNSET,
     "those of K, if not `pairs`"},
	{"v", CLKV__KEY_INT, offsetof(struct csr_options, v), 1, 64, NULL, CLKV__UNSET,
     "those of V, if not `pairs`"},
	{"atoms", CLKV__KEY_INT, offsetof(struct csr_options, atoms), 16, 4096, NULL, 256,
     "of a dictionary, the file's first ones; in sixteens"},
	{"chunks_k", CLKV__KEY_SET, offsetof(struct csr_options, chunks_k), 0, 0, "1|2|4", 1,
     "even parts of a row of K that are sums of their own, which share `pairs`"},
	{"chunks_v", CLKV__KEY_SET, offsetof(struct csr_options, chunks_v), 0, 0, "1|2|4", 2,
     "the same of V"},
	{"bits", CLKV__KEY_SET, offsetof(struct csr_options, bits), 0, 0, "8|16", 16,
     "of a coefficient; 16 is half, 8 have a scale for each row or part of it"},
};

static clkv_status check_side(char side, int dim, int pairs, int chunks, clkv_error *error)
{
	if (pairs % chunks != 0)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"stage 'csr': %d pairs of %c aren't shared by %d chunks; allowed: multiples of %d",
			pairs, side, chunks, chunks);
	if (dim % (16 * chunks) != 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'csr': %d chunks of %c have %d of %d channels; allowed: chunks of a "
		          "multiple of 16 channels",
		          chunks, side, dim / chunks, dim);
	return CLKV_OK;
}

static clkv_status plan_csr(const void *options, const struct clkv__shape *shape,
                            struct clkv__plan *plan, struct clkv__variant *variant,
                            clkv_error *error)
{
	const struct csr_options *o = options;
	struct clkv__sparse_spec *s = &variant->spec.sparse;
	(void)plan;
	if (o->atoms % 16 != 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'csr': atoms is %d; allowed: multiples of 16 up to 4096", o->atoms);
	*s = (struct clkv__sparse_spec){
		.k = {o->k == CLKV__UNSET ? o->pairs : o->k, o->chunks_k},
		.v = {o->v == CLKV__UNSET ? o->pairs : o->v, o->chunks_v},
		.atoms = o->atoms,
		.bits = o->bits,
	};
	CLKV_TRY(check_side('K', shape->dk, s->k.pairs, s->k.chunks, error));
	CLKV_TRY(check_side('V', shape->dv, s->v.pairs, s->v.chunks, error));
	variant->codec = &clkv__codec_sparse;
	variant->latents = (struct clkv__latents){o->atoms, o->atoms};
	return clkv__projection_set(variant, ABI_PROJECT_ATOMS, "csr", error);
}

const struct clkv__stage clkv__stage_csr = {
	.name = "csr",
	.brief = "rows as sums of a few atoms of a dictionary",
	.source = "CSR, arXiv 2412.11741, on rows behind RoPE",
	.kind = CLKV__ENCODE,
	.keys = csr_keys,
	.n_keys = sizeof csr_keys / sizeof csr_keys[0],
	.window = 64,
	.plan = plan_csr,
};
