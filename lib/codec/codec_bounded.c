/* SPDX-License-Identifier: MIT */
/**
 * \file    codec_bounded.c
 * \brief   Host half of the error-bounded codec: code = rint((x - minimum) / step), entropy-coded.
 *
 * Source: KVComp, arXiv 2509.00579; the packed form: PackKV. cl/codec/bounded_block.clh draws the block.
 */
#include "base/error.h"
#include "codec/bounded_page.h"
#include "codec/code_tables.h"
#include "codec/codec.h"
#include "codec/huffman.h"

#include <stdio.h>
#include <string.h>

/* Kernels walk lanes in eights. */
enum { LEAST_LANES = 8 };

static int lmax_of(const struct clkv__bounded_spec *spec, int symbols)
{
	return spec->lmax ? spec->lmax : symbols <= 32 ? 6 : 11;
}

/* As many columns as fill a lane; a power of two, so that it divides the columns. */
static int lane_cols(const struct clkv__bounded_spec *spec, int rows, int cols)
{
	int n = 1;
	while (cols % (2 * n * LEAST_LANES) == 0 && 2 * n * rows <= spec->lane_codes)
		n *= 2;
	return n;
}

static uint32_t index_bytes(int lane_cols, int rows, int cols, int lmax)
{
	return (uint32_t)(cols / lane_cols) * clkv__lane_length_bytes(lane_cols * rows, lmax);
}

/* Most bytes of a side's codes. */
static uint32_t most_bytes(const struct clkv__bounded_spec *spec,
                           const struct clkv__bounded_side *side, int rows, int cols, int in_lane)
{
	uint32_t values = (uint32_t)(rows * cols);
	int bits = clkv__huffman_flat_bits(side->symbols);
	if (side->absolute)
		return 2 * values + 15; /* in half, behind K's codes, at 16 bytes */
	if (spec->entropy == ABI_ENTROPY_PACK)
		return clkv__align_up(values * (uint32_t)(bits < 2 ? 2 : bits == 7 ? 8 : bits) / 8, 16);
	return (uint32_t)(cols / in_lane) * (uint32_t)((rows * in_lane * bits + 7) / 8);
}

/* Least bytes of a side's codes: one bit each. */
static uint32_t least_bytes(int rows, int cols)
{
	return (uint32_t)(rows * cols) / 8;
}

static clkv_status check_lmax(const struct clkv__bounded_spec *spec, int symbols, const char *side,
                              clkv_error *error)
{
	if (lmax_of(spec, symbols) < clkv__huffman_flat_bits(symbols))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'kvcomp': key 'lmax' is %d; allowed: %d to 12 for the %d symbols of %s",
		          spec->lmax, clkv__huffman_flat_bits(symbols), symbols, side);
	return CLKV_OK;
}

static bool bounded_codes(const union clkv__codec_spec *spec, int side)
{
	(void)spec, (void)side;
	return true;
}

static clkv_status bounded_layout(const union clkv__codec_spec *any,
                                  const struct clkv__shape *shape, struct clkv__kept kept,
                                  int block, struct clkv__codec_layout *l, clkv_error *error)
{
	const struct clkv__bounded_spec *spec = &any->bounded;
	int rows = kept.k_rows, dv = shape->dv;
	bool packed = spec->entropy == ABI_ENTROPY_PACK;
	uint32_t k_units = spec->unit_k == ABI_RANGE_BLOCK ? 1 : (uint32_t)kept.k_channels;
	CLKV_TRY(check_lmax(spec, spec->k.symbols, "K", error));
	CLKV_TRY(check_lmax(spec, spec->v.symbols, "V", error));
	memset(l, 0, sizeof *l);
	l->sized = true;
	l->verify = spec->verify;
	l->flat = spec->entropy != ABI_ENTROPY_HUFFMAN;
	if (!packed) {
		l->decoded_bytes = (uint32_t)((shape->dk > dv ? shape->dk : dv) * block);
		l->alphabet[0] = (struct clkv__alphabet){spec->k.symbols, lmax_of(spec, spec->k.symbols)};
		l->alphabet[1] = (struct clkv__alphabet){spec->v.symbols, lmax_of(spec, spec->v.symbols)};
	}
	l->k_lane_cols = lane_cols(spec, rows, block);
	l->v_lane_cols = lane_cols(spec, block, dv);
	l->v_params = clkv__align_up(4 * k_units, 16);
	l->k_index = l->v_params + 4 * (uint32_t)block;
	l->v_index =
		l->k_index + (packed ? 0 : index_bytes(l->k_lane_cols, rows, block, l->alphabet[0].lmax));
	l->payload = clkv__align_up(
		l->v_index + (packed ? 0 : index_bytes(l->v_lane_cols, block, dv, l->alphabet[1].lmax)),
		16);
	uint32_t most = most_bytes(spec, &spec->k, rows, block, l->k_lane_cols) +
	                most_bytes(spec, &spec->v, block, dv, l->v_lane_cols);
	uint32_t least = least_bytes(rows, block) + least_bytes(block, dv);
	l->exact_bytes = 2 * (uint32_t)(spec->exact * (shape->dk + dv));
	l->units = clkv__align_up(l->payload + l->exact_bytes + most, ABI_UNIT) / ABI_UNIT;
	l->least_units = (l->payload + least) / ABI_UNIT;
	return CLKV_OK;
}

static int bits_of(float x)
{
	int bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static void bounded_macros(const union clkv__codec_spec *any, const struct clkv__codec_layout *l,
                           clkv__macros *m)
{
	const struct clkv__bounded_spec *spec = &any->bounded;
	const struct clkv__code_words words = clkv__code_words(l->alphabet);
	clkv__macros_int(m, "K_CODEC", ABI_CODEC_BOUNDED);
	clkv__macros_int(m, "V_CODEC", ABI_CODEC_BOUNDED);
	clkv__macros_int(m, "ENTROPY", spec->entropy);
	clkv__macros_int(m, "K_UNIT", spec->unit_k);
	clkv__macros_int(m, "K_SYMBOLS", spec->k.symbols);
	clkv__macros_int(m, "V_SYMBOLS", spec->v.symbols);
	clkv__macros_int(m, "K_STEP", bits_of(spec->k.step));
	clkv__macros_int(m, "V_STEP", bits_of(spec->v.step));
	clkv__macros_int(m, "STEP_IS_ABSOLUTE_K", spec->k.absolute);
	clkv__macros_int(m, "STEP_IS_ABSOLUTE_V", spec->v.absolute);
	clkv__macros_int(m, "K_LMAX", lmax_of(spec, spec->k.symbols));
	clkv__macros_int(m, "V_LMAX", lmax_of(spec, spec->v.symbols));
	clkv__macros_int(m, "EXACT", spec->exact);
	clkv__macros_int(m, "K_LANE_COLS", l->k_lane_cols);
	clkv__macros_int(m, "V_LANE_COLS", l->v_lane_cols);
	clkv__macros_int(m, "V_PARAMS_OFF", (int)l->v_params);
	clkv__macros_int(m, "K_INDEX_OFF", (int)l->k_index);
	clkv__macros_int(m, "V_INDEX_OFF", (int)l->v_index);
	clkv__macros_int(m, "PAYLOAD_OFF", (int)l->payload);
	clkv__macros_int(m, "V_LOOKUP_WORD", (int)words.v_lookup);
	clkv__macros_int(m, "K_ENCODE_WORD", (int)words.k_encode);
	clkv__macros_int(m, "V_ENCODE_WORD", (int)words.v_encode);
}

/* "hk11v11l6": entropy, symbols, longest codes decide the speed. */
static void bounded_label(const union clkv__codec_spec *any, char *text, size_t n)
{
	static const char entropy[] = {'h', 'p', 'n'};
	const struct clkv__bounded_spec *spec = &any->bounded;
	snprintf(text, n, "%ck%dv%dl%d%s", entropy[spec->entropy], spec->k.symbols, spec->v.symbols,
	         spec->lmax, spec->unit_k == ABI_RANGE_BLOCK ? "b" : "");
}

const struct clkv__codec clkv__codec_bounded = {
	.name = "bounded",
	.seal = {"bounded_write.cl", "bounded_write"},
	.count = {"bounded_count.cl", "bounded_count"},
	.size = {"bounded_size.cl", "bounded_size"},
	.verify = {"bounded_verify.cl", "bounded_verify"},
	.bands = true,
	.codes = bounded_codes,
	.layout = bounded_layout,
	.label = bounded_label,
	.macros = bounded_macros,
	.tidy = clkv__bounded_tidy,
	.check = clkv__bounded_check,
};
