/* SPDX-License-Identifier: MIT */
/**
 * \file    codec.h
 * \brief   The host half of a codec: how large a block is, where its sections lie, which kernels.
 *
 * The device half is cl/codec_<name>.clh, chosen by the macros that the host half sets.
 */
#ifndef CLKV__CODEC_H
#define CLKV__CODEC_H

#include "../cl/abi.clh"
#include "program/macros.h"
#include "store/shape.h"

#include <clkv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One side (K or V) of the affine codec. */
struct clkv__affine_side {
	int bits;  /**< 2, 3, 4, 5, 6, 8, or 16: half, the other fields don't matter */
	int axis;  /**< ABI_AXIS_* */
	int group; /**< values that share a scale: 16 to 128 */
	bool symmetric;
};

struct clkv__affine_spec {
	struct clkv__affine_side k, v;
};

/** What a codec is told; each codec reads its own member. */
union clkv__codec_spec {
	struct clkv__affine_spec affine;
};

/** Sections of a sealed block, in bytes from its start; K parameters begin at 0. */
struct clkv__codec_layout {
	uint32_t k_codes, v_params, v_codes;
	uint32_t units; /**< whole block, in ABI_UNIT bytes */
};

struct clkv__codec {
	const char *name;
	const char *seal_file, *seal_kernel;
	/** Sizes a block of block tokens; refuses a spec that doesn't fit the shape. */
	clkv_status (*layout)(const union clkv__codec_spec *spec, const struct clkv__shape *shape,
	                      int block, struct clkv__codec_layout *layout, clkv_error *error);
	/** What the speed of its device half depends on, such as "k4c64,v4t64": at most 30 letters, digits
	 *  and commas. */
	void (*label)(const union clkv__codec_spec *spec, char *text, size_t n);
	/** The macros of its device half. */
	void (*macros)(const union clkv__codec_spec *spec, const struct clkv__codec_layout *layout,
	               clkv__macros *macros);
};

extern const struct clkv__codec clkv__codec_affine;

/** Bytes of a block in half: [DK][BT] and [BT][DV]. */
static inline uint32_t clkv__half_block_bytes(const struct clkv__shape *shape, int block)
{
	return (uint32_t)((shape->dk + shape->dv) * block * 2);
}

#endif
