/* SPDX-License-Identifier: MIT */
/**
 * \file    codec_outliers.c
 * \brief   Host half of integers with outliers: a share of a block's values is kept as it is, beside the codes.
 *
 * The block is that of the integer codec, whose functions size it; behind it come a list of K's outliers and one of V's, which
 * cl/codec/outliers.clh draws.
 */
#include "base/error.h"
#include "base/halves.h"
#include "codec/codec.h"

#include <stdio.h>
#include <string.h>

enum { ENTRY_BYTES = 4, NO_OUTLIER = 0xffff };

static bool outliers_codes(const union clkv__codec_spec *spec, int side)
{
	(void)spec, (void)side;
	return true;
}

/* The nearest number to that share of n values. */
static int outliers_of(float share, int n)
{
	return (int)((double)share * n + 0.5);
}

static clkv_status outliers_layout(const union clkv__codec_spec *spec,
                                   const struct clkv__shape *shape, struct clkv__kept kept,
                                   int block, struct clkv__codec_layout *layout, clkv_error *error)
{
	const struct clkv__outliers_spec *s = &spec->outliers;
	CLKV_TRY(clkv__codec_affine.layout(spec, shape, kept, block, layout, error));
	layout->k_outliers = outliers_of(s->share, kept.k_rows * block);
	layout->v_outliers = outliers_of(s->share, kept.v_cols * block);
	layout->k_list = layout->v_codes + (uint32_t)(kept.v_cols * block * s->codes.v.bits) / 8;
	layout->v_list = layout->k_list + (uint32_t)(layout->k_outliers * ENTRY_BYTES);
	uint32_t end = layout->v_list + (uint32_t)(layout->v_outliers * ENTRY_BYTES);
	layout->units = clkv__align_up(end, ABI_UNIT) / ABI_UNIT;
	return CLKV_OK;
}

static void outliers_macros(const union clkv__codec_spec *spec,
                            const struct clkv__codec_layout *layout, clkv__macros *m)
{
	clkv__affine_macros(&spec->outliers.codes, layout, ABI_CODEC_AFFINE, m);
	clkv__macros_int(m, "K_LISTED", layout->k_outliers);
	clkv__macros_int(m, "K_LIST_OFF", (int)layout->k_list);
	clkv__macros_int(m, "V_LISTED", layout->v_outliers);
	clkv__macros_int(m, "V_LIST_OFF", (int)layout->v_list);
}

/* "k3c64n,v3t64n,o10": sides as those of the integer codec, and the share in thousandths. */
static void outliers_label(const union clkv__codec_spec *spec, char *text, size_t n)
{
	clkv__codec_affine.label(spec, text, n);
	size_t at = strlen(text);
	snprintf(text + at, n - at, ",o%d", (int)(1000.0f * spec->outliers.share + 0.5f));
}

static void outliers_tidy(const struct clkv__codec_page *p, unsigned char *bytes)
{
	uint32_t end = p->layout->v_list + (uint32_t)(p->layout->v_outliers * ENTRY_BYTES);
	if (end < p->bytes)
		memset(bytes + end, 0, p->bytes - end);
}

static int place_of(const unsigned char *list, int i)
{
	return list[2 * i] | list[2 * i + 1] << 8;
}

/* Kernels look for places by halving the list, and add to where they say: ascending places of the side, none twice; what a
 * partial block lacks comes at the end. */
static const char *check_list(const unsigned char *list, int n, int values)
{
	for (int i = 0; i < n; i++) {
		int place = place_of(list, i), before = i > 0 ? place_of(list, i - 1) : -1;
		bool none = place == NO_OUTLIER;
		if (!none && (place >= values || place <= before))
			return "its outliers' places aren't ascending numbers of values";
	}
	return clkv__halves_finite(list + 2 * n, (size_t)n) ? NULL : "an outlier isn't finite";
}

static const char *outliers_check(const struct clkv__codec_page *p, const unsigned char *bytes,
                                  float scale[2])
{
	const struct clkv__codec_layout *l = p->layout;
	const char *wrong = check_list(bytes + l->k_list, l->k_outliers, l->kept.k_rows * p->block);
	if (!wrong)
		wrong = check_list(bytes + l->v_list, l->v_outliers, l->kept.v_cols * p->block);
	return wrong ? wrong : clkv__codec_affine.check(p, bytes, scale);
}

const struct clkv__codec clkv__codec_outliers = {
	.name = "outliers",
	.seal = {"seal_outliers.cl", "seal_outliers"},
	.bands = true,
	.codes = outliers_codes,
	.layout = outliers_layout,
	.label = outliers_label,
	.macros = outliers_macros,
	.tidy = outliers_tidy,
	.check = outliers_check,
};
