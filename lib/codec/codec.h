/* SPDX-License-Identifier: MIT */
/**
 * \file    codec.h
 * \brief   The host half of a codec: how large a block is, where its sections lie, which kernels.
 *
 * The device half is cl/codec/codec_<name>.clh, chosen by the macros that the host half sets.
 */
#ifndef CLKV__CODEC_H
#define CLKV__CODEC_H

#include "../cl/base/abi.clh"
#include "base/macros.h"
#include "prune/prune.h"
#include "shape/shape.h"

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
	int cut; /**< thousandths of a unit's range that its codes leave out, half of them at either end */
	int bend; /**< thousandths: how uneven levels are (cl/codec/levels.clh), of bits up to 4, asymmetric */
};

struct clkv__affine_spec {
	struct clkv__affine_side k, v;
};

/** What the codec of two bits and four is told; it begins as the other integers do, whose functions read that much. */
struct clkv__kitty_spec {
	struct clkv__affine_spec codes; /**< K: 2 bits by channel, asymmetric */
	float boost;                    /**< share of K's channels that have 4 bits, 0 to 1 */
};

/** What the codec of integers with exact outliers is told; it begins as the other integers do, whose functions read that much. */
struct clkv__outliers_spec {
	struct clkv__affine_spec codes; /**< K by channel, V by token, asymmetric */
	float share;                    /**< of a block's values on either side, 0 to 0.05 */
};

/** One side of the error-bounded codec. */
struct clkv__bounded_side {
	float step;    /**< of a code: this part of its unit's range, or absolute */
	bool absolute; /**< step is absolute; a side with a range of more symbols is left in half */
	int symbols;   /**< 2 to 256 */
};

struct clkv__bounded_spec {
	struct clkv__bounded_side k, v;
	int unit_k;     /**< ABI_RANGE_* */
	int entropy;    /**< ABI_ENTROPY_* */
	int lmax;       /**< longest code, bits; 0: 6 for up to 32 symbols, else 11 */
	int lane_codes; /**< codes of a stream */
	int exact;      /**< first tokens of a sequence that are kept in half in their block */
	bool verify;    /**< each sealed value is decoded and compared */
};

/** What the codec in steps of a calibration is told. */
struct clkv__qtc_spec {
	float room;  /**< what the pool has room for, in parts of what the calibration's text takes */
	bool packed; /**< codes are planes of bits, not words of phrases */
	int rope, rope_dims; /**< of keys, if any are turned: clkv_rope_kind, channels */
	int turned; /**< pairs of these, the fastest, whose codes are of what they were in front of RoPE */
};

/** One side of the codec of atoms. */
struct clkv__sparse_side {
	int pairs;  /**< of a row: a multiple of its chunks */
	int chunks; /**< even parts of a row with pairs of their own: 1, 2, 4 */
};

struct clkv__sparse_spec {
	struct clkv__sparse_side k, v;
	int atoms; /**< of a chunk's dictionary: a multiple of 16 up to 4096 */
	int bits;  /**< of a coefficient: 8, or 16, half */
};

/** What the codec of rows with widths of their own is told. */
struct clkv__qaq_spec {
	float eps_k, eps_v; /**< error that rows of K, of V may make of attention's output */
	float query;        /**< how large queries are, in the bound of K */
	int rows;           /**< newest queries by which a token is judged */
	int least, most;    /**< bits of a row's codes, 0 to 8 */
	float outliers; /**< share of a row's values that stay in half, half of them at either end */
	bool centred;   /**< codes are clipped around a row's mean, else they begin at its minimum */
};

/** What a codec is told; each codec reads its own member. */
union clkv__codec_spec {
	struct clkv__affine_spec affine;
	struct clkv__bounded_spec bounded;
	struct clkv__kitty_spec kitty;
	struct clkv__outliers_spec outliers;
	struct clkv__qtc_spec qtc;
	struct clkv__sparse_spec sparse;
	struct clkv__qaq_spec qaq;
};

/** The symbols of one side and the longest code that a symbol may have, bits. */
struct clkv__alphabet {
	int symbols, lmax;
};

/** Sections of a sealed block, in bytes from the codec's start; K parameters begin at 0. */
struct clkv__codec_layout {
	uint32_t k_codes, v_params, v_codes;
	uint32_t section;      /**< bytes that pruned blocks begin with, before all that */
	uint32_t section_room; /**< while it is made, or what the codec notes of a block to come */
	uint32_t units;        /**< whole block, in ABI_UNIT bytes; if sized, the largest */
	bool sized;            /**< blocks have their own size, of which the device knows */
	uint32_t least_units;  /**< the smallest block */
	uint32_t k_index, v_index, payload; /**< of the error-bounded codec: lengths of lanes, codes */
	uint32_t exact_bytes;               /**< of a sequence's first block, on top */
	int k_lane_cols, v_lane_cols;       /**< columns of a lane */
	struct clkv__alphabet alphabet[2];  /**< of K's and V's code tables; 0 symbols: none */
	bool flat;                          /**< no other tables than the flat ones */
	bool verify;                        /**< each sealed value is decoded and compared */
	uint32_t decoded_bytes; /**< of a side in local memory, where attention decodes it first */
	uint32_t boost_plane, boost_list; /**< of the codec of two bits and four */
	int boosted;                      /**< channels that have four; kept.k_channels are all */
	uint32_t k_list, v_list;          /**< of outliers */
	int k_outliers,
		v_outliers; /**< values that stay in half: of a block's list, or of a row, of the codec of widths */
	uint32_t
		split_tokens; /**< tokens whose attention takes a CPU as long as what begins and ends a split; 0: nothing does */
	int query_floats;       /**< of a query in local memory, on top of what all codecs need */
	struct clkv__kept kept; /**< what the codec stores */
};

/** A sealed block in host memory, on its way to or from a file: what its codec asks of it. */
struct clkv__codec_page {
	const union clkv__codec_spec *spec;
	const struct clkv__codec_layout *layout;
	const struct clkv__prune *prune;
	const struct clkv__shape *shape;
	int block;           /**< tokens of a whole block */
	uint32_t pos, count; /**< first token, tokens */
	uint32_t flags;      /**< of its entry; tables by the file's numbers */
	uint32_t bytes;      /**< all, the section of a pruned block among them */
};

struct clkv__codec {
	const char *name;
	struct clkv__kernel_file seal; /**< writes blocks to where they belong */
	/** Judges a job's tokens by the newest queries, before all others; no file: they don't matter. */
	struct clkv__kernel_file judge;
	/** How many of them; NULL: none. */
	int (*observe)(const union clkv__codec_spec *spec);
	/** If blocks are sized: histograms for code tables, sizes, the check of every value. */
	struct clkv__kernel_file count, size, verify;
	bool by_token; /**< K lies token by token: a listed token is two consecutive reads */
	bool bands;    /**< K's planes may lie in bands of ABI_BAND tokens (cl/codec/planes.clh) */
	/** Whether a side, 0 for K and 1 for V, is codes, not halves. Eight rows of codes share bytes: of K their
	 *  number must be a multiple of 8. */
	bool (*codes)(const union clkv__codec_spec *spec, int side);
	/** Sizes a block of block tokens of which so much is kept; refuses a spec that doesn't fit. */
	clkv_status (*layout)(const union clkv__codec_spec *spec, const struct clkv__shape *shape,
	                      struct clkv__kept kept, int block, struct clkv__codec_layout *layout,
	                      clkv_error *error);
	/** What the speed of its device half depends on, such as "k4c64,v4t64": at most 30 letters, digits
	 *  and commas. */
	void (*label)(const union clkv__codec_spec *spec, char *text, size_t n);
	/** The macros of its device half. */
	void (*macros)(const union clkv__codec_spec *spec, const struct clkv__codec_layout *layout,
	               clkv__macros *macros);
	/** Zeroes what the device never wrote, so that the same tokens always make the same file. */
	void (*tidy)(const struct clkv__codec_page *page, unsigned char *bytes);
	/** What in a page from outside is wrong, or NULL: kernels must be able to read whatever it says, and its numbers must be
	 *  numbers. scale: the largest of K and V so far, raised by codecs that bound errors. */
	const char *(*check)(const struct clkv__codec_page *page, const unsigned char *bytes,
	                     float scale[2]);
};

extern const struct clkv__codec clkv__codec_affine;
extern const struct clkv__codec clkv__codec_bounded;
extern const struct clkv__codec clkv__codec_kitty;
extern const struct clkv__codec clkv__codec_outliers;
extern const struct clkv__codec clkv__codec_qaq;
extern const struct clkv__codec clkv__codec_qtc;
extern const struct clkv__codec clkv__codec_rows;
extern const struct clkv__codec clkv__codec_sparse;

/** The macros of a block of integers whose K is read as k_codec (ABI_CODEC_*). */
void clkv__affine_macros(const struct clkv__affine_spec *spec,
                         const struct clkv__codec_layout *layout, int k_codec, clkv__macros *m);

/** What affine_block.clh asks of codecs that have no integers of its kind, but for where V's sections lie. */
void clkv__no_integers(clkv__macros *m);

/** Bytes that say how long a lane of so many codes is, as cl/codec/bounded_block.clh reads them. */
static inline uint32_t clkv__lane_length_bytes(int codes, int lmax)
{
	return codes * lmax > 255 * 8 ? 2 : 1;
}

static inline uint32_t clkv__align_up(uint32_t bytes, uint32_t to)
{
	return (bytes + to - 1) / to * to;
}

/** Bytes of a block in half: [DK][BT] and [BT][DV]. */
static inline uint32_t clkv__half_block_bytes(const struct clkv__shape *shape, int block)
{
	return (uint32_t)((shape->dk + shape->dv) * block * 2);
}

#endif
