/* SPDX-License-Identifier: MIT */
/**
 * \file    codec_sparse.c
 * \brief   Host half of sealed blocks whose rows are sums of a few atoms: pairs of a number and a coefficient.
 *
 * cl/codec/sparse_block.clh draws the block. The dictionary is the cache's, in a file of factors (plan/dictionary.h).
 */
#include "base/halves.h"
#include "codec/codec.h"

#include <stdio.h>
#include <string.h>

static bool sparse_codes(const union clkv__codec_spec *spec, int side)
{
	(void)spec, (void)side;
	return true;
}

static uint32_t atom_bytes(const struct clkv__sparse_spec *s)
{
	return s->atoms > 256 ? 2 : 1;
}

static uint32_t coefficients_bytes(const struct clkv__sparse_spec *s,
                                   const struct clkv__sparse_side *side, int block)
{
	return (uint32_t)(side->pairs * block * s->bits / 8);
}

/* All of a side; a multiple of 32, as blocks are. */
static uint32_t side_bytes(const struct clkv__sparse_spec *s, const struct clkv__sparse_side *side,
                           int block)
{
	uint32_t atoms = (uint32_t)(side->pairs * block) * atom_bytes(s);
	uint32_t scales = s->bits == 8 ? (uint32_t)(side->chunks * block) * 2 : 0;
	return atoms + coefficients_bytes(s, side, block) + scales;
}

static clkv_status sparse_layout(const union clkv__codec_spec *spec,
                                 const struct clkv__shape *shape, struct clkv__kept kept, int block,
                                 struct clkv__codec_layout *layout, clkv_error *error)
{
	const struct clkv__sparse_spec *s = &spec->sparse;
	uint32_t k = side_bytes(s, &s->k, block), v = side_bytes(s, &s->v, block);
	(void)shape, (void)kept, (void)error;
	layout->k_codes = (uint32_t)(s->k.pairs * block) * atom_bytes(s);
	layout->v_params = k;
	layout->v_codes = k + (uint32_t)(s->v.pairs * block) * atom_bytes(s);
	layout->units = clkv__align_up(k + v, ABI_UNIT) / ABI_UNIT;
	/* products with all atoms, and their weights */
	layout->query_floats = s->atoms * (s->k.chunks + s->v.chunks);
	layout->split_tokens = 4 * (uint32_t)s->atoms; /* measured, for 8 pairs */
	layout->decoded_bytes = 2 * 16 * 4;            /* a vector of queries behind either */
	return CLKV_OK;
}

/* "n256,k8x1,v8x2,c16": atoms, pairs and chunks of each side, bits of a coefficient. */
static void sparse_label(const union clkv__codec_spec *spec, char *text, size_t n)
{
	const struct clkv__sparse_spec *s = &spec->sparse;
	snprintf(text, n, "n%d,k%dx%d,v%dx%d,c%d", s->atoms, s->k.pairs, s->k.chunks, s->v.pairs,
	         s->v.chunks, s->bits);
}

static void sparse_macros(const union clkv__codec_spec *spec,
                          const struct clkv__codec_layout *layout, clkv__macros *m)
{
	const struct clkv__sparse_spec *s = &spec->sparse;
	clkv__no_integers(m);
	clkv__macros_int(m, "K_CODEC", ABI_CODEC_SPARSE);
	clkv__macros_int(m, "V_CODEC", ABI_CODEC_SPARSE);
	clkv__macros_int(m, "K_CODES_OFF", (int)layout->k_codes);
	clkv__macros_int(m, "V_PARAMS_OFF", (int)layout->v_params);
	clkv__macros_int(m, "V_CODES_OFF", (int)layout->v_codes);
	clkv__macros_int(m, "ATOMS", s->atoms);
	clkv__macros_int(m, "K_SUMMED", s->k.pairs);
	clkv__macros_int(m, "V_SUMMED", s->v.pairs);
	clkv__macros_int(m, "K_CHUNKS", s->k.chunks);
	clkv__macros_int(m, "V_CHUNKS", s->v.chunks);
	clkv__macros_int(m, "COEFFICIENT_BITS", s->bits);
}

/* Behind V the rest of the last unit is never written. */
static void sparse_tidy(const struct clkv__codec_page *p, unsigned char *bytes)
{
	const struct clkv__sparse_spec *s = &p->spec->sparse;
	uint32_t end = p->layout->v_params + side_bytes(s, &s->v, p->block);
	if (end < p->bytes)
		memset(bytes + end, 0, p->bytes - end);
}

/* Kernels read atoms by these numbers. */
static bool atoms_exist(const unsigned char *numbers, uint32_t n, const struct clkv__sparse_spec *s)
{
	for (uint32_t i = 0; i < n; i++) {
		int atom = atom_bytes(s) == 1 ? numbers[i] : numbers[2 * i] | numbers[2 * i + 1] << 8;
		if (atom >= s->atoms)
			return false;
	}
	return true;
}

static const char *check_side(const struct clkv__codec_page *p,
                              const struct clkv__sparse_side *side, const unsigned char *bytes)
{
	const struct clkv__sparse_spec *s = &p->spec->sparse;
	uint32_t n = (uint32_t)(side->pairs * p->block), atoms = n * atom_bytes(s);
	uint32_t coefficients = coefficients_bytes(s, side, p->block);
	uint32_t all = side_bytes(s, side, p->block),
			 halves = s->bits == 8 ? atoms + coefficients : atoms;
	if (!atoms_exist(bytes, n, s))
		return "it names an atom that its dictionary doesn't have";
	return clkv__halves_finite(bytes + halves, (all - halves) / 2)
	           ? NULL
	           : "a coefficient or scale isn't finite";
}

static const char *sparse_check(const struct clkv__codec_page *p, const unsigned char *bytes,
                                float scale[2])
{
	const struct clkv__sparse_spec *s = &p->spec->sparse;
	const char *wrong = check_side(p, &s->k, bytes);
	(void)scale;
	return wrong ? wrong : check_side(p, &s->v, bytes + p->layout->v_params);
}

const struct clkv__codec clkv__codec_sparse = {
	.name = "sparse",
	.seal = {"seal_sparse.cl", "seal_sparse"},
	.codes = sparse_codes,
	.layout = sparse_layout,
	.label = sparse_label,
	.macros = sparse_macros,
	.tidy = sparse_tidy,
	.check = sparse_check,
};
