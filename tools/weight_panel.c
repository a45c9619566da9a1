/* SPDX-License-Identifier: MIT */
/**
 * \file    weight_panel.c
 * \brief   From rows of the file's blocks to panels. No value is rounded.
 */
#include "weight_panel.h"

#include <string.h>

#define OUTPUTS ((size_t)WEIGHT_PANEL_OUTPUTS)

/* Bytes of a panel's block of 32 columns, and where the scales behind its codes lie. */
#define Q4_SCALES ((size_t)256)
#define Q4_BYTES ((size_t)320)
#define Q4F_BYTES ((size_t)384)
#define BYTE_SCALES ((size_t)512)
#define Q8_BYTES ((size_t)544)
#define Q6_BYTES ((size_t)576)

int weight_panel_type(const struct weight_format *format)
{
	switch (format->type) {
	case WEIGHT_Q4_0:
	case WEIGHT_Q4_1:
		return WEIGHT_Q4;
	case WEIGHT_Q4_K:
		return WEIGHT_Q4F;
	default:
		return (int)format->type;
	}
}

unsigned weight_panel_bit(const struct weight_format *format)
{
	static const int types[] = {WEIGHT_F32,  WEIGHT_F16, WEIGHT_Q8_0,
	                            WEIGHT_Q6_K, WEIGHT_Q4,  WEIGHT_Q4F};
	unsigned bit = 0;
	while (types[bit] != weight_panel_type(format))
		bit++;
	return 1U << bit;
}

static size_t block_bytes(int type)
{
	switch (type) {
	case WEIGHT_F32:
		return 2048;
	case WEIGHT_F16:
		return 1024;
	case WEIGHT_Q4:
		return Q4_BYTES;
	case WEIGHT_Q4F:
		return Q4F_BYTES;
	case WEIGHT_Q8_0:
		return Q8_BYTES;
	default:
		return Q6_BYTES;
	}
}

size_t weight_panels(size_t n_out)
{
	return (n_out + 2 * OUTPUTS - 1) / (2 * OUTPUTS) * 2;
}

size_t weight_panel_bytes(const struct weight_format *format, size_t n_in)
{
	return n_in / 32 * block_bytes(weight_panel_type(format));
}

/* The bits of a number that is a half: those of Q4_0 and Q4_1 scales are, and so is -8 times one, unless it
 * is beyond all halves: infinity. */
static uint16_t half_bits(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof bits);
	uint32_t sign = bits >> 16 & 0x8000U;
	int exponent = (int)(bits >> 23 & 255U) - 112;
	uint32_t fraction = bits & 0x7fffffU;
	if (exponent >= 31)
		return (uint16_t)(sign | 0x7c00U | (exponent == 143 && fraction != 0 ? 512U : 0U));
	if (exponent > 0)
		return (uint16_t)(sign | (uint32_t)exponent << 10 | fraction >> 13);
	if (exponent < -10)
		return (uint16_t)sign;
	return (uint16_t)(sign | (fraction | 0x800000U) >> (14 - exponent));
}

/* 8 columns as a word, the first lowest: one nibble of each of 8 bytes */
static uint32_t nibbles(const unsigned char *codes, unsigned shift)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)codes[i] << 8 * i;
	v = v >> shift & 0x0f0f0f0f0f0f0f0fU;
	v = (v | v >> 4) & 0x00ff00ff00ff00ffU;
	v = (v | v >> 8) & 0x0000ffff0000ffffU;
	return (uint32_t)(v | v >> 16);
}

/* pack_*, put_*: one row as output `n` of a panel, whose blocks are two blocks' bytes apart */

static void put_q4(const struct weight_packed4 *from, size_t blocks, size_t n, size_t bytes,
                   unsigned char *out)
{
	for (size_t b = 0; b < blocks; b++, from++, out += 2 * bytes) {
		for (size_t word = 0; word < 4; word++) {
			uint32_t codes = nibbles(from->codes + 8 * (word % 2), word < 2 ? 0 : 4);
			memcpy(out + 4 * (word * OUTPUTS + n), &codes, sizeof codes);
		}
		unsigned char *scales = out + Q4_SCALES;
		if (bytes == Q4F_BYTES) {
			memcpy(scales + 4 * n, &from->scale, 4);
			memcpy(scales + 4 * (OUTPUTS + n), &from->least, 4);
		} else {
			uint16_t halves[2] = {half_bits(from->scale), half_bits(from->least)};
			memcpy(scales + 2 * n, &halves[0], 2);
			memcpy(scales + 2 * (OUTPUTS + n), &halves[1], 2);
		}
	}
}

static void pack_q4(const struct weight_format *format, const unsigned char *row, size_t n_in,
                    size_t n, unsigned char *out)
{
	struct weight_packed4 packed[8];
	size_t per_block = format->block_weights / 32;
	size_t bytes = block_bytes(weight_panel_type(format));
	for (size_t i = 0; i < n_in / format->block_weights; i++) {
		format->pack(row + i * format->block_bytes, packed);
		put_q4(packed, per_block, n, bytes, out + 2 * i * per_block * bytes);
	}
}

static void pack_q8(const unsigned char *row, size_t n_in, size_t n, unsigned char *out)
{
	for (size_t b = 0; b < n_in / 32; b++, row += 34, out += 2 * Q8_BYTES) {
		for (size_t k = 0; k < 32; k++)
			out[k * OUTPUTS + n] = row[2 + k];
		memcpy(out + BYTE_SCALES + 2 * n, row, 2);
	}
}

/* The six bits of weight k (0 .. 255) of a Q6_K block: see dequantize_q6_k() in weight_format.c */
static unsigned char q6_code(const unsigned char *block, size_t k)
{
	size_t h = k / 128;
	size_t q = k / 32 % 4;
	size_t l = k % 32;
	unsigned low = (unsigned)block[64 * h + 32 * (q % 2) + l] >> 4 * (q / 2) & 15U;
	unsigned high = (unsigned)block[128 + 32 * h + l] >> 2 * q & 3U;
	return (unsigned char)((low | high << 4) - 32U);
}

static void pack_q6(const unsigned char *row, size_t n_in, size_t n, unsigned char *out)
{
	for (size_t b = 0; b < n_in / 32; b++, out += 2 * Q6_BYTES) {
		const unsigned char *block = row + 210 * (b / 8);
		for (size_t k = 0; k < 32; k++)
			out[k * OUTPUTS + n] = q6_code(block, 32 * (b % 8) + k);
		unsigned char *scales = out + BYTE_SCALES;
		memcpy(scales + 2 * n, block + 208, 2);
		scales[32 + n] = block[192 + 2 * (b % 8)];
		scales[32 + OUTPUTS + n] = block[193 + 2 * (b % 8)];
	}
}

static void pack_plain(const unsigned char *row, size_t n_in, size_t size, size_t n,
                       unsigned char *out)
{
	for (size_t k = 0; k < n_in; k++)
		memcpy(out + size * ((k + k / 32 * 32) * OUTPUTS + n), row + size * k, size);
}

void weight_panels_pack(const struct weight_format *format, const unsigned char *data,
                        size_t row_bytes, size_t n_out, size_t n_in, unsigned char *out)
{
	size_t bytes = weight_panel_bytes(format, n_in);
	memset(out, 0, weight_panels(n_out) * bytes);
	for (size_t i = 0; i < n_out; i++) {
		const unsigned char *row = data + i * row_bytes;
		size_t n = i % OUTPUTS;
		unsigned char *panel = out + i / (2 * OUTPUTS) * 2 * bytes +
		                       i / OUTPUTS % 2 * block_bytes(weight_panel_type(format));
		if (format->pack != NULL)
			pack_q4(format, row, n_in, n, panel);
		else if (format->type == WEIGHT_Q8_0)
			pack_q8(row, n_in, n, panel);
		else if (format->type == WEIGHT_Q6_K)
			pack_q6(row, n_in, n, panel);
		else
			pack_plain(row, n_in, format->block_bytes, n, panel);
	}
}
