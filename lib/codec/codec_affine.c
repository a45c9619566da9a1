/* SPDX-License-Identifier: MIT */
/**
 * \file    codec_affine.c
 * \brief   Host half of the integer codec: value = minimum + scale * level of the code, per group.
 *
 * A side holds its scales (half), then its minimums (half, unless symmetric), then the codes in bit
 * planes: cl/codec/codec_affine.clh draws them. Sections begin at multiples of 16 bytes so that every vector
 * load of codes is aligned.
 */
#include "base/error.h"
#include "base/halves.h"
#include "codec/codec.h"

#include <stdio.h>
#include <string.h>

/* Units of a side with `dim` channels in a block. */
static uint32_t n_units(const struct clkv__affine_side *s, uint32_t dim, uint32_t block)
{
	uint32_t g = (uint32_t)s->group;
	return s->axis == ABI_AXIS_CHANNEL ? dim * (block / g) : (dim + g - 1) / g * block;
}

static uint32_t params_bytes(const struct clkv__affine_side *s, uint32_t dim, uint32_t block)
{
	if (s->bits == 16)
		return 0;
	return clkv__align_up(n_units(s, dim, block) * 2u * (s->symmetric ? 1u : 2u), 16);
}

static uint32_t codes_bytes(const struct clkv__affine_side *s, uint32_t dim, uint32_t block)
{
	return clkv__align_up(dim * block * (uint32_t)s->bits / 8u, 16);
}

static clkv_status check_side(const struct clkv__affine_side *s, const char *side, int block,
                              clkv_error *error)
{
	if (s->bits != 16 && s->axis == ABI_AXIS_CHANNEL && block % s->group != 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "group=%d along tokens (%s per channel) doesn't divide block=%d: take a smaller "
		          "group or block=128",
		          s->group, side, block);
	return CLKV_OK;
}

static bool affine_codes(const union clkv__codec_spec *spec, int side)
{
	return (side ? spec->affine.v.bits : spec->affine.k.bits) < 16;
}

static clkv_status affine_layout(const union clkv__codec_spec *spec,
                                 const struct clkv__shape *shape, struct clkv__kept kept, int block,
                                 struct clkv__codec_layout *layout, clkv_error *error)
{
	const struct clkv__affine_side *k = &spec->affine.k, *v = &spec->affine.v;
	uint32_t bt = (uint32_t)block, rows = (uint32_t)kept.k_rows, cols = (uint32_t)kept.v_cols;
	(void)shape;
	CLKV_TRY(check_side(k, "K", block, error));
	CLKV_TRY(check_side(v, "V", block, error));
	layout->k_codes = params_bytes(k, (uint32_t)kept.k_channels, bt);
	layout->v_params = layout->k_codes + codes_bytes(k, rows, bt);
	layout->v_codes = layout->v_params + params_bytes(v, cols, bt);
	layout->units = clkv__align_up(layout->v_codes + codes_bytes(v, cols, bt), ABI_UNIT) / ABI_UNIT;
	return CLKV_OK;
}

static int codec_of(const struct clkv__affine_side *s)
{
	return s->bits == 16 ? ABI_CODEC_HALF : ABI_CODEC_AFFINE;
}

static void side_macros(const struct clkv__affine_side *s, bool is_k, int codec, clkv__macros *m)
{
	clkv__macros_int(m, is_k ? "K_CODEC" : "V_CODEC", codec);
	clkv__macros_int(m, is_k ? "K_BITS" : "V_BITS", s->bits);
	clkv__macros_int(m, is_k ? "K_AXIS" : "V_AXIS", s->axis);
	clkv__macros_int(m, is_k ? "K_GROUP" : "V_GROUP", s->group);
	clkv__macros_int(m, is_k ? "K_SYM" : "V_SYM", s->symmetric);
	clkv__macros_int(m, is_k ? "K_CUT" : "V_CUT", s->cut);
	clkv__macros_int(m, is_k ? "K_BEND" : "V_BEND", s->bend);
}

void clkv__affine_macros(const struct clkv__affine_spec *spec,
                         const struct clkv__codec_layout *layout, int k_codec, clkv__macros *m)
{
	side_macros(&spec->k, true, k_codec, m);
	side_macros(&spec->v, false, codec_of(&spec->v), m);
	clkv__macros_int(m, "K_PARAMS_OFF", 0);
	clkv__macros_int(m, "K_CODES_OFF", (int)layout->k_codes);
	clkv__macros_int(m, "V_PARAMS_OFF", (int)layout->v_params);
	clkv__macros_int(m, "V_CODES_OFF", (int)layout->v_codes);
}

static void affine_macros(const union clkv__codec_spec *spec,
                          const struct clkv__codec_layout *layout, clkv__macros *m)
{
	clkv__affine_macros(&spec->affine, layout, codec_of(&spec->affine.k), m);
}

/* "4c64s": bits, axis, group, s if symmetric, n if levels are uneven. */
static void side_label(const struct clkv__affine_side *s, char *text, size_t n)
{
	if (s->bits == 16)
		snprintf(text, n, "16");
	else
		snprintf(text, n, "%d%c%d%s%s", s->bits, s->axis == ABI_AXIS_CHANNEL ? 'c' : 't', s->group,
		         s->symmetric ? "s" : "", s->bend > 0 ? "n" : "");
}

static void affine_label(const union clkv__codec_spec *spec, char *text, size_t n)
{
	char k[12], v[12];
	side_label(&spec->affine.k, k, sizeof k);
	side_label(&spec->affine.v, v, sizeof v);
	snprintf(text, n, "k%s,v%s", k, v);
}

/* Where what was written of a page ends: everything before it is, for absent tokens too. */
static uint32_t written(const struct clkv__codec_page *p, const unsigned char *bytes,
                        uint32_t *k_values)
{
	const struct clkv__codec_layout *l = p->layout;
	uint32_t bits = (uint32_t)p->spec->affine.v.bits, cols = (uint32_t)l->kept.v_cols;
	*k_values = l->v_params;
	if (!l->sized)
		return l->section + l->v_codes + cols * (uint32_t)p->block * bits / 8;
	return l->section + l->k_codes +
	       clkv__prune_grouped_bytes(p->prune, p->shape, p->block, bytes, k_values);
}

static void affine_tidy(const struct clkv__codec_page *p, unsigned char *bytes)
{
	uint32_t values, end = written(p, bytes, &values);
	if (end < p->bytes)
		memset(bytes + end, 0, p->bytes - end);
}

/* Any code is a number; scales, minimums and values in half must be numbers too. */
static const char *affine_check(const struct clkv__codec_page *p, const unsigned char *bytes,
                                float scale[2])
{
	const struct clkv__codec_layout *l = p->layout;
	bool k_half = p->spec->affine.k.bits == 16, v_half = p->spec->affine.v.bits == 16;
	uint32_t values, end = written(p, bytes, &values), all = p->bytes;
	(void)scale;
	if (end > all || (l->sized && all - end >= ABI_UNIT))
		return "its masks don't fit its size";
	bytes += l->section;
	uint32_t k = k_half ? l->v_params : l->k_codes;
	uint32_t v_end = l->sized ? l->k_codes : all - l->section, v = v_half ? v_end : l->v_codes;
	bool finite = clkv__halves_finite(bytes, k / 2) &&
	              clkv__halves_finite(bytes + l->v_params, (v - l->v_params) / 2) &&
	              (!l->sized || clkv__halves_finite(bytes + l->k_codes, values / 2));
	return finite ? NULL : "a scale, minimum or value isn't finite";
}

const struct clkv__codec clkv__codec_affine = {
	.name = "affine",
	.seal = {"seal_affine.cl", "seal_affine"},
	.bands = true,
	.codes = affine_codes,
	.layout = affine_layout,
	.label = affine_label,
	.macros = affine_macros,
	.tidy = affine_tidy,
	.check = affine_check,
};
