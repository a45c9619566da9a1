/* SPDX-License-Identifier: MIT */
/**
 * \file    weight_format.c
 * \brief   Dequantizers, written from the formats' definitions.
 */
#include "weight_format.h"

#include <math.h>
#include <string.h>

static uint16_t read_u16(const unsigned char *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static float read_half(const unsigned char *p)
{
	uint32_t h = read_u16(p);
	uint32_t bits = (h & 0x7fffU) << 13;
	float magnitude;
	memcpy(&magnitude, &bits, sizeof magnitude);
	magnitude *= 0x1p112F; /* rebiases the exponent; subnormals come out right as well */
	if ((h & 0x7c00U) == 0x7c00U)
		magnitude = (h & 1023U) != 0 ? NAN : INFINITY;
	return (h & 0x8000U) != 0 ? -magnitude : magnitude;
}

static void dequantize_f32(const unsigned char *block, float *out)
{
	memcpy(out, block, sizeof *out);
}

static void dequantize_f16(const unsigned char *block, float *out)
{
	*out = read_half(block);
}

/* half d | 16 bytes: low nibbles are weights 0..15, high nibbles 16..31; w = d * (code - 8) */
static void dequantize_q4_0(const unsigned char *block, float *out)
{
	float d = read_half(block);
	for (int i = 0; i < 16; i++) {
		out[i] = d * (float)((block[2 + i] & 15) - 8);
		out[i + 16] = d * (float)((block[2 + i] >> 4) - 8);
	}
}

/* half d, half m | nibbles as in Q4_0; w = d * code + m */
static void dequantize_q4_1(const unsigned char *block, float *out)
{
	float d = read_half(block);
	float m = read_half(block + 2);
	for (int i = 0; i < 16; i++) {
		out[i] = d * (float)(block[4 + i] & 15) + m;
		out[i + 16] = d * (float)(block[4 + i] >> 4) + m;
	}
}

static void pack_q4_0(const unsigned char *block, struct weight_packed4 *out)
{
	out->scale = read_half(block);
	out->least = -8.0F * out->scale;
	memcpy(out->codes, block + 2, sizeof out->codes);
}

static void pack_q4_1(const unsigned char *block, struct weight_packed4 *out)
{
	out->scale = read_half(block);
	out->least = read_half(block + 2);
	memcpy(out->codes, block + 4, sizeof out->codes);
}

/* half d | 32 signed bytes; w = d * code */
static void dequantize_q8_0(const unsigned char *block, float *out)
{
	float d = read_half(block);
	for (int i = 0; i < 32; i++)
		out[i] = d * (float)(int8_t)block[2 + i];
}

/* The 6-bit scale and minimum of sub-block j (0..7) out of the 12 bytes that Q4_K packs them in. */
static void q4_k_scale_min(int j, const unsigned char *packed, int *scale, int *min)
{
	if (j < 4) {
		*scale = packed[j] & 63;
		*min = packed[j + 4] & 63;
	} else {
		*scale = (packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4);
		*min = (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4);
	}
}

/* half d, half dmin | 12 bytes of scales | 128 bytes: 4 groups of 64 weights, low nibbles the first
 * 32 of a group; w = d * scale * code - dmin * min, scale and min per 32 weights */
static void dequantize_q4_k(const unsigned char *block, float *out)
{
	float d = read_half(block);
	float d_min = read_half(block + 2);
	for (int j = 0; j < 8; j++) {
		int scale;
		int min;
		q4_k_scale_min(j, block + 4, &scale, &min);
		const unsigned char *codes = block + 16 + 32 * (j / 2);
		for (int i = 0; i < 32; i++) {
			int code = j % 2 == 0 ? codes[i] & 15 : codes[i] >> 4;
			out[32 * j + i] = d * (float)scale * (float)code - d_min * (float)min;
		}
	}
}

static void pack_q4_k(const unsigned char *block, struct weight_packed4 *out)
{
	float d = read_half(block);
	float d_min = read_half(block + 2);
	for (int j = 0; j < 8; j++) {
		int scale;
		int min;
		q4_k_scale_min(j, block + 4, &scale, &min);
		const unsigned char *codes = block + 16 + 32 * (j / 2);
		int shift = 4 * (j % 2);
		out[j].scale = d * (float)scale;
		out[j].least = -d_min * (float)min;
		for (int i = 0; i < 16; i++)
			out[j].codes[i] =
				(unsigned char)((codes[i] >> shift & 15) | (codes[i + 16] >> shift & 15) << 4);
	}
}

/* 128 bytes of low nibbles | 64 bytes of high bit pairs | 16 signed scales | half d;
 * w = d * scale * (code - 32), a scale per 16 weights. Half h (128 weights) keeps weight l + 32 q
 * in nibble q / 2 of byte 64 h + l + 32 (q % 2) and in bits 2 q of byte 32 h + l. */
static void dequantize_q6_k(const unsigned char *block, float *out)
{
	const unsigned char *low = block;
	const unsigned char *high = block + 128;
	const unsigned char *scales = block + 192;
	float d = read_half(block + 208);
	for (int h = 0; h < 2; h++) {
		for (int q = 0; q < 4; q++) {
			for (int l = 0; l < 32; l++) {
				int nibble = (low[64 * h + 32 * (q % 2) + l] >> (4 * (q / 2))) & 15;
				int pair = (high[32 * h + l] >> (2 * q)) & 3;
				int scale = (int8_t)scales[8 * h + 2 * q + l / 16];
				out[128 * h + 32 * q + l] = d * (float)scale * (float)((nibble | pair << 4) - 32);
			}
		}
	}
}

static const struct weight_format formats[] = {
	{WEIGHT_F32, "F32", 1, 4, dequantize_f32, NULL},
	{WEIGHT_F16, "F16", 1, 2, dequantize_f16, NULL},
	{WEIGHT_Q4_0, "Q4_0", 32, 18, dequantize_q4_0, pack_q4_0},
	{WEIGHT_Q4_1, "Q4_1", 32, 20, dequantize_q4_1, pack_q4_1},
	{WEIGHT_Q8_0, "Q8_0", 32, 34, dequantize_q8_0, NULL},
	{WEIGHT_Q4_K, "Q4_K", 256, 144, dequantize_q4_k, pack_q4_k},
	{WEIGHT_Q6_K, "Q6_K", 256, 210, dequantize_q6_k, NULL},
};

const struct weight_format *weight_format(uint32_t type)
{
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		if (formats[i].type == type)
			return &formats[i];
	}
	return NULL;
}

const char *weight_type_name(uint32_t type)
{
	static const char *const names[] = {
		"F32",     "F16",    "Q4_0",    "Q4_1",  "Q4_2",   "Q4_3",  "Q5_0",  "Q5_1",
		"Q8_0",    "Q8_1",   "Q2_K",    "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K",  "Q8_K",
		"IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS",
		"I8",      "I16",    "I32",     "I64",   "F64",    "IQ1_M", "BF16",
	};
	return type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

void weights_dequantize(const struct weight_format *format, const unsigned char *data, size_t n,
                        float *out)
{
	for (size_t i = 0; i < n / format->block_weights; i++)
		format->dequantize(data + i * format->block_bytes, out + i * format->block_weights);
}
