/* SPDX-License-Identifier: MIT */
/**
 * \file    codec_qtc.c
 * \brief   Host half of the codec in steps of a calibration: code = rint((y - mean) / factor), in words of phrases or planes.
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

/* Where lanes' lengths or bits end, and numbers of escapes lie. */
static uint32_t counts_at(const struct clkv__codec_layout *l, const struct clkv__shape *shape)
{
	return l->v_index + (uint32_t)(shape->dv / l->v_lane_cols);
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
	bool packed = any->qtc.packed;
	(void)kept, (void)error;
	memset(l, 0, sizeof *l);
	l->sized = true;
	l->flat = true;
	l->query_floats = ABI_TOKEN_CLASSES + (int)dv; /* sums of codes lie beside those of halves */
	l->k_lane_cols = lane_parts(block);
	l->v_lane_cols = lane_parts(block);
	l->decoded_bytes = (dk > dv ? dk : dv) * bt;
	if (!packed)
		l->decoded_bytes +=
			(dk > dv ? dk : dv) / (uint32_t)l->k_lane_cols * ABI_QTC_SPARE + ABI_QTC_BEHIND;
	/* turns of a run, whether the calibration asks for them or not */
	l->decoded_bytes +=
		(uint32_t)(shape->rope.dims * ABI_QTC_RUN + shape->rope.dims + 2 * shape->dk) * 4;
	l->k_index = bt / 4;
	l->v_index = l->k_index + dk / (uint32_t)l->k_lane_cols;
	l->payload = clkv__align_up(counts_at(l, shape) + (packed ? 4 : 0), 16);
	l->units = clkv__align_up(l->payload + 2 * bt * (dk + dv) + 15, ABI_UNIT) / ABI_UNIT;
	l->least_units = l->payload / ABI_UNIT;
	return CLKV_OK;
}

static void qtc_macros(const union clkv__codec_spec *spec, const struct clkv__codec_layout *l,
                       clkv__macros *m)
{
	clkv__no_integers(m);
	clkv__macros_int(m, "QTC_PACKED", spec->qtc.packed);
	clkv__macros_int(m, "QTC_ROPE", spec->qtc.rope);
	clkv__macros_int(m, "QTC_ROPE_DIMS", spec->qtc.rope_dims);
	clkv__macros_int(m, "QTC_TURNED", spec->qtc.turned);
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
	snprintf(text, n, spec->qtc.packed ? "planes" : "phrases");
}

/* Where the payloads of K and V begin and end, bytes from the block's begin. */
struct parts {
	uint32_t k, k_end, v, v_end;
};

static bool is_coded(const struct clkv__codec_page *p, uint32_t table)
{
	return table == ABI_TABLE_FLAT || (table == ABI_TABLE_ESCAPES && !p->spec->qtc.packed);
}

static uint32_t side_table(const struct clkv__codec_page *p, int side)
{
	return side ? ABI_FLAGS_V(p->flags) : ABI_FLAGS_K(p->flags);
}

static uint32_t escapes_of(const struct clkv__codec_page *p, const unsigned char *page, int side)
{
	const unsigned char *at = page + counts_at(p->layout, p->shape) + 2 * side;
	return (uint32_t)(at[0] | at[1] << 8);
}

/* Bytes of a lane by what the block says of it. */
static uint32_t lane_bytes(const struct clkv__codec_page *p, uint32_t said)
{
	const uint32_t codes = (uint32_t)(p->layout->k_lane_cols * p->block);
	return p->spec->qtc.packed ? said * codes / 8 : said;
}

/* Bytes of a side's lanes. */
static uint32_t lanes_bytes(const struct clkv__codec_page *p, const unsigned char *page, int side)
{
	const struct clkv__codec_layout *l = p->layout;
	uint32_t from = side ? l->v_index : l->k_index, bytes = 0;
	int n = side ? p->shape->dv / l->v_lane_cols : p->shape->dk / l->k_lane_cols;
	for (int i = 0; i < n; i++)
		bytes += lane_bytes(p, page[from + (uint32_t)i]);
	return bytes;
}

/* Bytes of a side's codes; false if no side is stored like that. */
static bool side_bytes(const struct clkv__codec_page *p, const unsigned char *page, int side,
                       uint32_t *bytes)
{
	uint32_t table = side_table(p, side), dim = (uint32_t)(side ? p->shape->dv : p->shape->dk);
	if (table == ABI_TABLE_HALF)
		*bytes = 2 * dim * (uint32_t)p->block;
	else
		*bytes = lanes_bytes(p, page, side) +
		         (p->spec->qtc.packed ? escapes_of(p, page, side) * ABI_QTC_ESCAPE : 0);
	return table == ABI_TABLE_HALF || is_coded(p, table);
}

static bool find(const struct clkv__codec_page *p, const unsigned char *page, struct parts *parts)
{
	uint32_t k, v, all = ABI_FLAGS_UNITS(p->flags) * ABI_UNIT;
	bool even = p->spec->qtc.packed || side_table(p, 1) == ABI_TABLE_HALF;
	parts->k = p->layout->payload;
	if (p->flags & ABI_FLAG_EXACT || parts->k > all || !side_bytes(p, page, 0, &k) ||
	    !side_bytes(p, page, 1, &v))
		return false;
	parts->k_end = parts->k + k;
	parts->v = even ? clkv__align_up(parts->k_end, 16) : parts->k_end;
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
	uint32_t counts = counts_at(l, p->shape);
	struct parts parts;
	if (!find(p, page, &parts))
		return; /* no block of this library's: as it is */
	for (int side = 0; side < 2; side++)
		if (side_table(p, side) == ABI_TABLE_HALF) {
			clear(page, side ? l->v_index : l->k_index, side ? counts : l->v_index);
			clear(page, counts + 2 * (uint32_t)side,
			      p->spec->qtc.packed ? counts + 2 * (uint32_t)side + 2 : 0);
		}
	clear(page, counts + (p->spec->qtc.packed ? 4 : 0), l->payload);
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

/* A lane of so many bits as no planes have, or an escape beyond its side's codes. */
static bool has_wrong_planes(const struct clkv__codec_page *p, const unsigned char *page, int side,
                             uint32_t end)
{
	const struct clkv__codec_layout *l = p->layout;
	const int dim = side ? p->shape->dv : p->shape->dk, n = dim / l->k_lane_cols;
	const unsigned char *lanes = page + (side ? l->v_index : l->k_index);
	const uint32_t escapes = escapes_of(p, page, side);
	const unsigned char *at = page + end - escapes * ABI_QTC_ESCAPE;
	for (int i = 0; i < n; i++)
		if (lanes[i] > 8 || lanes[i] == 1 || lanes[i] == 7)
			return true;
	for (uint32_t i = 0; i < escapes; i++, at += ABI_QTC_ESCAPE)
		if ((at[0] | at[1] << 8) >= dim * p->block)
			return true;
	return false;
}

static const char *check_side(const struct clkv__codec_page *p, const unsigned char *page, int side,
                              uint32_t from, uint32_t end)
{
	if (side_table(p, side) == ABI_TABLE_HALF)
		return clkv__halves_finite(page + from, (end - from) / 2) ? NULL : "a value isn't finite";
	if (p->spec->qtc.packed && has_wrong_planes(p, page, side, end))
		return "a lane's bits aren't 0, 2 to 6 or 8, or an escape lies beyond its codes";
	return NULL;
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
	const char *wrong = check_side(p, page, 0, parts.k, parts.k_end);
	return wrong ? wrong : check_side(p, page, 1, parts.v, parts.v_end);
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
