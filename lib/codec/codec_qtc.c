/* SPDX-License-Identifier: MIT */
/**
 * \file    codec_qtc.c
 * \brief   Host half of the codec in steps of a calibration: code = rint((y - mean) / factor), in words of phrases.
 *
 * Source: rate-distortion theory; doc/qtc.md. cl/codec/qtc_block.clh draws the block.
 */
#include "base/halves.h"
#include "codec/codec.h"

#include <stdio.h>
#include <string.h>

/* Components of a lane: they have one class, as components come in fours that do. Head sizes are multiples of 16. */
static int lane_parts(int block)
{
	int n = ABI_QTC_LANE / block;
	return n < ABI_QTC_ALIKE ? n : ABI_QTC_ALIKE;
}

static bool qtc_codes(const union clkv__codec_spec *spec, int side)
{
	(void)spec, (void)side;
	return true;
}

static clkv_status qtc_layout(const union clkv__codec_spec *any, const struct clkv__shape *shape,
                              struct clkv__kept kept, int block, struct clkv__codec_layout *l,
                              clkv_error *error)
{
	uint32_t dk = (uint32_t)shape->dk, dv = (uint32_t)shape->dv, bt = (uint32_t)block;
	(void)any, (void)kept, (void)error;
	memset(l, 0, sizeof *l);
	l->sized = true;
	l->flat = true;
	l->query_floats = ABI_TOKEN_CLASSES;
	l->k_lane_cols = lane_parts(block);
	l->v_lane_cols = lane_parts(block);
	l->decoded_bytes = (dk > dv ? dk : dv) / (uint32_t)l->k_lane_cols *
	                       (bt * (uint32_t)l->k_lane_cols + ABI_QTC_SPARE) +
	                   ABI_QTC_BEHIND;
	l->k_index = bt / 4;
	l->v_index = l->k_index + dk / (uint32_t)l->k_lane_cols;
	l->payload = clkv__align_up(l->v_index + dv / (uint32_t)l->v_lane_cols, 16);
	l->units = clkv__align_up(l->payload + 2 * bt * (dk + dv) + 15, ABI_UNIT) / ABI_UNIT;
	l->least_units = l->payload / ABI_UNIT;
	return CLKV_OK;
}

static void qtc_macros(const union clkv__codec_spec *spec, const struct clkv__codec_layout *l,
                       clkv__macros *m)
{
	(void)spec;
	clkv__no_integers(m);
	clkv__macros_int(m, "K_CODEC", ABI_CODEC_QTC);
	clkv__macros_int(m, "V_CODEC", ABI_CODEC_QTC);
	clkv__macros_int(m, "K_CODES_OFF", 0);
	clkv__macros_int(m, "V_PARAMS_OFF", 0);
	clkv__macros_int(m, "V_CODES_OFF", 0);
	clkv__macros_int(m, "K_LANE_PARTS", l->k_lane_cols);
	clkv__macros_int(m, "V_LANE_PARTS", l->v_lane_cols);
}

static void qtc_label(const union clkv__codec_spec *spec, char *text, size_t n)
{
	(void)spec;
	snprintf(text, n, "phrases");
}

/* Where the payloads of K and V begin and end, bytes from the block's begin. */
struct parts {
	uint32_t k, k_end, v, v_end;
};

static bool is_coded(uint32_t table)
{
	return table == ABI_TABLE_FLAT || table == ABI_TABLE_ESCAPES;
}

/* Bytes of a side's codes; false if no side is stored like that. */
static bool side_bytes(const struct clkv__codec_page *p, const unsigned char *page, int side,
                       uint32_t *bytes)
{
	const struct clkv__codec_layout *l = p->layout;
	uint32_t table = side ? ABI_FLAGS_V(p->flags) : ABI_FLAGS_K(p->flags);
	uint32_t dim = (uint32_t)(side ? p->shape->dv : p->shape->dk);
	uint32_t from = side ? l->v_index : l->k_index;
	uint32_t n = dim / (uint32_t)(side ? l->v_lane_cols : l->k_lane_cols);
	*bytes = 0;
	if (table == ABI_TABLE_HALF)
		*bytes = 2 * dim * (uint32_t)p->block;
	for (uint32_t i = 0; is_coded(table) && i < n; i++)
		*bytes += page[from + i];
	return table == ABI_TABLE_HALF || is_coded(table);
}

static bool find(const struct clkv__codec_page *p, const unsigned char *page, struct parts *parts)
{
	uint32_t k, v, all = ABI_FLAGS_UNITS(p->flags) * ABI_UNIT;
	parts->k = p->layout->payload;
	if (p->flags & ABI_FLAG_EXACT || parts->k > all || !side_bytes(p, page, 0, &k) ||
	    !side_bytes(p, page, 1, &v))
		return false;
	parts->k_end = parts->k + k;
	parts->v =
		ABI_FLAGS_V(p->flags) == ABI_TABLE_HALF ? clkv__align_up(parts->k_end, 16) : parts->k_end;
	parts->v_end = parts->v + v;
	return clkv__align_up(parts->v_end, ABI_UNIT) == all;
}

static void clear(unsigned char *page, uint32_t from, uint32_t to)
{
	if (to > from)
		memset(page + from, 0, to - from);
}

static void qtc_tidy(const struct clkv__codec_page *p, unsigned char *page)
{
	const struct clkv__codec_layout *l = p->layout;
	uint32_t lanes_end = l->v_index + (uint32_t)(p->shape->dv / l->v_lane_cols);
	struct parts parts;
	if (!find(p, page, &parts))
		return; /* no block of this library's: as it is */
	if (ABI_FLAGS_K(p->flags) == ABI_TABLE_HALF)
		clear(page, l->k_index, l->v_index);
	if (ABI_FLAGS_V(p->flags) == ABI_TABLE_HALF)
		clear(page, l->v_index, lanes_end);
	clear(page, lanes_end, l->payload);
	clear(page, parts.k_end, parts.v);
	clear(page, parts.v_end, ABI_FLAGS_UNITS(p->flags) * ABI_UNIT);
}

/* A class of tokens that there isn't. */
static bool has_wrong_class(const struct clkv__codec_page *p, const unsigned char *page)
{
	for (int i = 0; i < p->block; i++)
		if ((page[i / 4] >> i % 4 * 2 & 3) >= ABI_TOKEN_CLASSES)
			return true;
	return false;
}

static const char *qtc_check(const struct clkv__codec_page *p, const unsigned char *page,
                             float scale[2])
{
	struct parts parts;
	(void)scale;
	if (!find(p, page, &parts))
		return "its codes don't fit its size";
	if (has_wrong_class(p, page))
		return "a token's class is 3; allowed: 0 to 2";
	if ((ABI_FLAGS_K(p->flags) == ABI_TABLE_HALF &&
	     !clkv__halves_finite(page + parts.k, (parts.k_end - parts.k) / 2)) ||
	    (ABI_FLAGS_V(p->flags) == ABI_TABLE_HALF &&
	     !clkv__halves_finite(page + parts.v, (parts.v_end - parts.v) / 2)))
		return "a value isn't finite";
	return NULL;
}

const struct clkv__codec clkv__codec_qtc = {
	.name = "qtc",
	.seal = {"qtc_write.cl", "qtc_write"},
	.size = {"qtc_size.cl", "qtc_size"},
	.codes = qtc_codes,
	.layout = qtc_layout,
	.label = qtc_label,
	.macros = qtc_macros,
	.tidy = qtc_tidy,
	.check = qtc_check,
};
