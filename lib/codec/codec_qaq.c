/* SPDX-License-Identifier: MIT */
/**
 * \file    codec_qaq.c
 * \brief   Host half of the codec of rows whose codes have widths of their own, with outliers in half.
 *
 * Source: QAQ, arXiv 2403.04643. cl/codec/qaq_block.clh draws the block.
 */
#include "base/halves.h"
#include "codec/codec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Outliers of a row: as many at either end, as the source counts them. */
static int outliers_of(float share, int dim)
{
	return 2 * (int)ceil((double)share / 2 * dim - 1e-6);
}

static uint32_t side_bytes(int outliers, int block)
{
	return (uint32_t)(block * (4 + 3 * outliers));
}

static bool qaq_codes(const union clkv__codec_spec *spec, int side)
{
	(void)spec, (void)side;
	return true;
}

static int qaq_observe(const union clkv__codec_spec *spec)
{
	return spec->qaq.rows;
}

static clkv_status qaq_layout(const union clkv__codec_spec *spec, const struct clkv__shape *shape,
                              struct clkv__kept kept, int block, struct clkv__codec_layout *l,
                              clkv_error *error)
{
	const struct clkv__qaq_spec *s = &spec->qaq;
	uint32_t bits = (uint32_t)((shape->dk + shape->dv) * block / 8);
	(void)kept, (void)error;
	memset(l, 0, sizeof *l);
	l->sized = true;
	l->flat = true;
	l->k_outliers = outliers_of(s->outliers, shape->dk);
	l->v_outliers = outliers_of(s->outliers, shape->dv);
	l->v_params = (uint32_t)block + side_bytes(l->k_outliers, block);
	l->payload = l->v_params + side_bytes(l->v_outliers, block);
	l->section_room = (uint32_t)block;
	l->units = clkv__align_up(l->payload + bits * (uint32_t)s->most, ABI_UNIT) / ABI_UNIT;
	l->least_units = l->payload / ABI_UNIT;
	return CLKV_OK;
}

/* "n5,b2t4,o10": queries, bits, outliers in thousandths. */
static void qaq_label(const union clkv__codec_spec *spec, char *text, size_t n)
{
	const struct clkv__qaq_spec *s = &spec->qaq;
	snprintf(text, n, "n%d,b%dt%d,o%d", s->rows, s->least, s->most,
	         (int)(s->outliers * 1000 + 0.5f));
}

static int bits_of(float x)
{
	int bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static void qaq_macros(const union clkv__codec_spec *spec, const struct clkv__codec_layout *l,
                       clkv__macros *m)
{
	const struct clkv__qaq_spec *s = &spec->qaq;
	clkv__no_integers(m);
	clkv__macros_int(m, "K_CODEC", ABI_CODEC_QAQ);
	clkv__macros_int(m, "V_CODEC", ABI_CODEC_QAQ);
	clkv__macros_int(m, "K_CODES_OFF", 0);
	clkv__macros_int(m, "V_PARAMS_OFF", (int)l->v_params);
	clkv__macros_int(m, "V_CODES_OFF", 0);
	clkv__macros_int(m, "K_OUTLIERS", l->k_outliers);
	clkv__macros_int(m, "V_OUTLIERS", l->v_outliers);
	clkv__macros_int(m, "RECEIVED", s->rows);
	clkv__macros_int(m, "QAQ_LEAST", s->least);
	clkv__macros_int(m, "QAQ_MOST", s->most);
	clkv__macros_int(m, "QAQ_CENTRED", s->centred);
	clkv__macros_int(m, "QAQ_EPS_K", bits_of(s->eps_k));
	clkv__macros_int(m, "QAQ_EPS_V", bits_of(s->eps_v));
	clkv__macros_int(m, "QAQ_QUERY", bits_of(s->query));
}

/* Bytes from the block's begin to the end of its codes. */
static uint32_t codes_end(const struct clkv__codec_page *p, const unsigned char *page)
{
	uint32_t k = 0, v = 0;
	for (int t = 0; t < p->block; t++) {
		k += page[t] & 15;
		v += page[t] >> 4;
	}
	return p->layout->payload + k * (uint32_t)p->shape->dk / 8 + v * (uint32_t)p->shape->dv / 8;
}

/* Behind the codes the rest of the last unit is never written. */
static void qaq_tidy(const struct clkv__codec_page *p, unsigned char *page)
{
	uint32_t end = codes_end(p, page);
	if (end < p->bytes)
		memset(page + end, 0, p->bytes - end);
}

static bool is_width(const struct clkv__qaq_spec *s, int bits)
{
	return bits >= s->least && bits <= s->most;
}

/* Whether all rows have bits that the recipe gives. Tokens behind the entry's may be there still, if the sequence was cut, or
 * not. */
static bool widths_are_right(const struct clkv__codec_page *p, const unsigned char *page)
{
	const struct clkv__qaq_spec *s = &p->spec->qaq;
	bool right = true;
	for (int t = 0; t < p->block; t++)
		right &= (is_width(s, page[t] & 15) && is_width(s, page[t] >> 4)) ||
		         ((uint32_t)t >= p->count && page[t] == 0);
	return right;
}

/* Exponents of n bfloat16 that are numbers, and none below zero. */
static bool scales_are_numbers(const unsigned char *scales, int n)
{
	bool right = true;
	for (int i = 0; i < n; i++) {
		unsigned x = scales[2 * i] | (unsigned)scales[2 * i + 1] << 8;
		right &= x < 0x7f80;
	}
	return right;
}

/* Attention adds outliers up, and single values look for theirs: each channel once, in order. */
static bool channels_ascend(const unsigned char *channels, int outliers, int block, int dim)
{
	bool right = true;
	for (int t = 0; t < block; t++, channels += outliers)
		for (int i = 0; i < outliers; i++)
			right &= channels[i] < dim && (i == 0 || channels[i] > channels[i - 1]);
	return right;
}

static const char *check_side(const unsigned char *side, int outliers, int block, int dim)
{
	if (!scales_are_numbers(side, block))
		return "a scale is no number from 0 on";
	if (!clkv__halves_finite(side + 2 * block, (size_t)(block * (1 + outliers))))
		return "a minimum or an outlier isn't finite";
	return channels_ascend(side + block * (4 + 2 * outliers), outliers, block, dim)
	           ? NULL
	           : "channels of outliers don't ascend within its head";
}

static const char *qaq_check(const struct clkv__codec_page *p, const unsigned char *page,
                             float scale[2])
{
	const struct clkv__codec_layout *l = p->layout;
	uint32_t all = ABI_FLAGS_UNITS(p->flags) * ABI_UNIT;
	(void)scale;
	if (ABI_FLAGS_K(p->flags) != ABI_TABLE_FLAT || ABI_FLAGS_V(p->flags) != ABI_TABLE_FLAT ||
	    p->flags & ABI_FLAG_EXACT || l->payload > all)
		return "its codes don't fit its size";
	if (!widths_are_right(p, page))
		return "a row has another number of bits than the recipe allows";
	if (clkv__align_up(codes_end(p, page), ABI_UNIT) != all)
		return "its codes don't fit its size";
	const char *wrong = check_side(page + p->block, l->k_outliers, p->block, p->shape->dk);
	return wrong ? wrong : check_side(page + l->v_params, l->v_outliers, p->block, p->shape->dv);
}

const struct clkv__codec clkv__codec_qaq = {
	.name = "qaq",
	.seal = {"qaq_write.cl", "qaq_write"},
	.judge = {"qaq_widths.cl", "qaq_widths"},
	.observe = qaq_observe,
	.size = {"qaq_size.cl", "qaq_size"},
	.codes = qaq_codes,
	.layout = qaq_layout,
	.label = qaq_label,
	.macros = qaq_macros,
	.tidy = qaq_tidy,
	.check = qaq_check,
};
