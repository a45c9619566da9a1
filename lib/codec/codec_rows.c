/* SPDX-License-Identifier: MIT */
/**
 * \file    codec_rows.c
 * \brief   Host half of sealed blocks in half whose K lies token by token: what recall of single tokens asks for.
 */
#include "codec/codec.h"

#include "base/halves.h"

#include <stdio.h>
#include <string.h>

static bool rows_codes(const union clkv__codec_spec *spec, int side)
{
	(void)spec, (void)side;
	return false;
}

static clkv_status rows_layout(const union clkv__codec_spec *spec, const struct clkv__shape *shape,
                               struct clkv__kept kept, int block, struct clkv__codec_layout *layout,
                               clkv_error *error)
{
	(void)spec, (void)kept, (void)error;
	layout->v_params = layout->v_codes = 2u * (uint32_t)(shape->dk * block);
	layout->units = clkv__half_block_bytes(shape, block) / ABI_UNIT;
	return CLKV_OK;
}

static void rows_label(const union clkv__codec_spec *spec, char *text, size_t n)
{
	(void)spec;
	snprintf(text, n, "half");
}

void clkv__no_integers(clkv__macros *m)
{
	static const char *const names[] = {
		"K_AXIS", "K_GROUP", "K_SYM",  "V_AXIS",       "V_GROUP",
		"V_SYM",  "K_BITS",  "V_BITS", "K_PARAMS_OFF",
	};
	static const int values[] = {ABI_AXIS_CHANNEL, 16, 0, ABI_AXIS_TOKEN, 16, 0, 16, 16, 0};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		clkv__macros_int(m, names[i], values[i]);
}

static void rows_macros(const union clkv__codec_spec *spec, const struct clkv__codec_layout *layout,
                        clkv__macros *m)
{
	(void)spec;
	clkv__no_integers(m);
	clkv__macros_int(m, "K_CODEC", ABI_CODEC_ROWS);
	clkv__macros_int(m, "V_CODEC", ABI_CODEC_HALF);
	clkv__macros_int(m, "K_CODES_OFF", 0);
	clkv__macros_int(m, "V_PARAMS_OFF", (int)layout->v_params);
	clkv__macros_int(m, "V_CODES_OFF", (int)layout->v_codes);
}

/* V's end: the rest of the last unit is never written. */
static void rows_tidy(const struct clkv__codec_page *page, unsigned char *bytes)
{
	uint32_t end = clkv__half_block_bytes(page->shape, page->block);
	if (end < page->bytes)
		memset(bytes + end, 0, page->bytes - end);
}

static const char *rows_check(const struct clkv__codec_page *page, const unsigned char *bytes,
                              float scale[2])
{
	(void)scale;
	return clkv__halves_finite(bytes, page->bytes / 2) ? NULL : "a value isn't finite";
}

const struct clkv__codec clkv__codec_rows = {
	.name = "rows",
	.seal = {"seal_rows.cl", "seal_rows"},
	.by_token = true,
	.codes = rows_codes,
	.layout = rows_layout,
	.label = rows_label,
	.macros = rows_macros,
	.tidy = rows_tidy,
	.check = rows_check,
};
