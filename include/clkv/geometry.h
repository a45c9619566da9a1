/* SPDX-License-Identifier: MIT */
/** \file clkv/geometry.h \brief The shape of a model's attention, with its rotary position embedding. */
#ifndef CLKV_GEOMETRY_H
#define CLKV_GEOMETRY_H

#include "base.h"

CLKV_BEGIN_DECLS

/** Which two channels of a head RoPE turns together, of dims channels. */
typedef enum clkv_rope_kind {
	CLKV_ROPE_NONE = 0,   /**< the library knows nothing of rotation */
	CLKV_ROPE_HALVES = 1, /**< i and i + dims / 2: NeoX, Llama in the layout of Hugging Face */
	CLKV_ROPE_PAIRS = 2   /**< 2 i and 2 i + 1: Llama in GGUF files */
} clkv_rope_kind;

/** How frequencies are stretched for more tokens than a model was first trained for. */
typedef enum clkv_rope_scaling {
	CLKV_ROPE_UNSCALED = 0,
	CLKV_ROPE_LINEAR = 1, /**< all divided by factor */
	CLKV_ROPE_YARN = 2    /**< the slow ones divided, the fast ones kept (arXiv 2309.00071) */
} clkv_rope_scaling;

/** Rotary position embedding: at position p, pair i of a head's first dims channels turns by
 *      p * base^(-2 i / dims) / factors[i],
 *  scaled as below. Channels behind them stay as they are. kind 0: everything else must be 0 too.
 *  by_library 0: q and k come rotated. 1: both come as they were before RoPE, and the library rotates
 *  them: k when it is appended, q in attention, by the row's position in its sequence. Keys are kept
 *  rotated, so clkv_seq_read gives rotated ones, and so do files; a key must be within half when rotated.
 *  Errors name the field: INVALID_ARGUMENT. */
typedef struct clkv_rope {
	int kind;             /**< clkv_rope_kind */
	int by_library;       /**< who rotates: 0 the caller, 1 the library */
	int dims;             /**< rotary channels: even, up to head_dim_k; 0: head_dim_k */
	float base;           /**< above 1; 0: 10000 */
	const float *factors; /**< [dims / 2] that divide the frequencies (rope_freqs of GGUF), above 0.
	                           Copied by clkv_cache_create. NULL: none */
	float attn_factor;    /**< what is rotated is multiplied by it, q and k alike: above 0; 0: 1 */
	int scaling;          /**< clkv_rope_scaling */
	float factor;         /**< LINEAR: above 0; YARN: 1 and up. Must be set with these, 0 without */
	/* of YARN, else 0 */
	float original;   /**< tokens of the first training, 1 and up; must be set */
	float beta_fast;  /**< pairs that turn oftener than this within them are kept; 0: 32 */
	float beta_slow;  /**< those that turn less often are divided; below beta_fast; 0: 1 */
	float ext_factor; /**< share of the frequency before scaling in those kept, up to 1; 0: 1.
	                       YARN multiplies attn_factor by 1 + ln(factor) / 10 */
} clkv_rope;

/** The shape of the model's attention. Ranges: layers 1 to 1024, q_heads a multiple of kv_heads,
 *  q_heads / kv_heads at most 64, head sizes multiples of 16 from 16 to 256. */
typedef struct clkv_geometry {
	size_t struct_size;
	int layers, q_heads, kv_heads;
	int head_dim_k;    /**< of q and k */
	int head_dim_v;    /**< of v and out; 0: head_dim_k */
	float scale;       /**< of the logits; 0: 1 / sqrt(head_dim_k) */
	float softcap;     /**< logits become cap * tanh(logit / cap); 0: off */
	const int *window; /**< [layers] tokens that a row sees, itself included; 0: all. NULL: all */
	clkv_rope rope;
} clkv_geometry;

CLKV_END_DECLS

#endif
