/* SPDX-License-Identifier: MIT */
/**
 * \file    codec_kitty.c
 * \brief   Host half of the codec of two bits and four: the channels of K that are largest in a block have four.
 *
 * The block is that of the integer codec, whose functions size it; cl/codec/kitty_block.clh draws what K has more: a plane
 * and a list, in front of V's sections.
 */
#include "base/error.h"
#include "codec/codec.h"

#include <stdio.h>
#include <string.h>

/* Channels that have four bits, of n: the nearest multiple of 4, which share the bytes of a plane; 0 only for a share of 0. */
static int boosted_of(float share, int n)
{
	int fours = (int)((double)share * n / 4.0 + 0.5);
	if (share > 0.0f && fours == 0)
		fours = 1;
	return 4 * fours;
}

static bool kitty_codes(const union clkv__codec_spec *spec, int side)
{
	(void)spec, (void)side;
	return true;
}

static clkv_status kitty_layout(const union clkv__codec_spec *spec, const struct clkv__shape *shape,
                                struct clkv__kept kept, int block,
                                struct clkv__codec_layout *layout, clkv_error *error)
{
	CLKV_TRY(clkv__codec_affine.layout(spec, shape, kept, block, layout, error));
	uint32_t boosted = (uint32_t)boosted_of(spec->kitty.boost, kept.k_channels);
	uint32_t plane = boosted * (uint32_t)block / 4, list = clkv__align_up(boosted, 16);
	layout->boosted = (int)boosted;
	layout->boost_plane = layout->v_params;
	layout->boost_list = layout->boost_plane + plane;
	layout->v_params += plane + list;
	layout->v_codes += plane + list;
	uint32_t v_codes = (uint32_t)(kept.v_cols * block * spec->kitty.codes.v.bits) / 8;
	layout->units = clkv__align_up(layout->v_codes + v_codes, ABI_UNIT) / ABI_UNIT;
	layout->query_floats = boosted_of(spec->kitty.boost, shape->dk);
	return CLKV_OK;
}

static void kitty_macros(const union clkv__codec_spec *spec,
                         const struct clkv__codec_layout *layout, clkv__macros *m)
{
	clkv__affine_macros(&spec->kitty.codes, layout, ABI_CODEC_KITTY, m);
	clkv__macros_int(m, "BOOSTED", layout->boosted);
	clkv__macros_int(m, "BOOST_PLANE_OFF", (int)layout->boost_plane);
	clkv__macros_int(m, "BOOST_LIST_OFF", (int)layout->boost_list);
}

/* "k2c32,v2t32,b100": sides as those of the integer codec, and the share in thousandths. */
static void kitty_label(const union clkv__codec_spec *spec, char *text, size_t n)
{
	clkv__codec_affine.label(spec, text, n);
	size_t at = strlen(text);
	snprintf(text + at, n - at, ",b%d", (int)(1000.0f * spec->kitty.boost + 0.5f));
}

static void kitty_tidy(const struct clkv__codec_page *p, unsigned char *bytes)
{
	clkv__codec_affine.tidy(p, bytes);
}

/* Kernels read channels by this list: each must be there, and none twice. */
static bool is_ascending(const unsigned char *list, int n, int channels)
{
	for (int i = 0; i < n; i++)
		if (list[i] >= channels || (i > 0 && list[i] <= list[i - 1]))
			return false;
	return true;
}

static const char *kitty_check(const struct clkv__codec_page *p, const unsigned char *bytes,
                               float scale[2])
{
	const struct clkv__codec_layout *l = p->layout;
	const unsigned char *list = bytes + l->section + l->boost_list;
	if (!is_ascending(list, l->boosted, l->kept.k_channels))
		return "its boosted channels aren't ascending numbers of channels";
	return clkv__codec_affine.check(p, bytes, scale);
}

const struct clkv__codec clkv__codec_kitty = {
	.name = "kitty",
	.seal = {"seal_kitty.cl", "seal_kitty"},
	.codes = kitty_codes,
	.layout = kitty_layout,
	.label = kitty_label,
	.macros = kitty_macros,
	.tidy = kitty_tidy,
	.check = kitty_check,
};
