/* SPDX-License-Identifier: MIT */
/**
 * \file    weight_format.h
 * \brief   How GGUF stores the weights of a row: block sizes, names, and plain dequantizers.
 *
 * The values are those of the file format. The device keeps them in panels (weight_panel.h); the
 * dequantizers serve small tensors and are what the device side is tested against.
 */
#ifndef WEIGHT_FORMAT_H
#define WEIGHT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

enum weight_type {
	WEIGHT_F32 = 0,
	WEIGHT_F16 = 1,
	WEIGHT_Q4_0 = 2,
	WEIGHT_Q4_1 = 3,
	WEIGHT_Q8_0 = 8,
	WEIGHT_Q4_K = 12,
	WEIGHT_Q6_K = 14
};

/** 32 weights of any 4-bit format: w = scale * code + least, the codes of weights 0 .. 15 in the low
 *  nibbles. */
struct weight_packed4 {
	float scale, least;
	unsigned char codes[16];
};

struct weight_format {
	uint32_t type;
	const char *name;
	unsigned block_weights; /**< weights of a block; a row is a whole number of blocks */
	unsigned block_bytes;
	void (*dequantize)(const unsigned char *block, float *out); /**< out[block_weights] */
	/** Formats of 4 bits: the block as block_weights / 32 packed ones; else NULL. */
	void (*pack)(const unsigned char *block, struct weight_packed4 *out);
};

/** NULL when the type is not supported. */
const struct weight_format *weight_format(uint32_t type);

/** The name of any type of the format, supported or not ("Q5_K"), or "unknown". */
const char *weight_type_name(uint32_t type);

/** n weights, a whole number of blocks. */
void weights_dequantize(const struct weight_format *format, const unsigned char *data, size_t n,
                        float *out);

#endif
