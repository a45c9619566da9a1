/* SPDX-License-Identifier: MIT */
/**
 * \file    calibration.h
 * \brief   What a model's K and V are like, measured once, in a file: steps, means, which tokens matter, dictionaries of codes.
 *
 * A component is a channel of K or of V in one (layer, KV head). It is stored as y = x / step, and a sealed block has
 * rint((y - mean) / factor) of it, with the factor of the token's class: 0 for those that much attention is expected on, 2 for
 * most. Components of like entropy are a class and share a dictionary of phrases.h.
 *
 * A file (given_file.h) with CLKV__CALIBRATION_MAGIC and words of enum clkv__calibration_word holds f32 factors of K [3] and
 * of V [3]; u32 how many pairs of K have codes of keys in front of RoPE, the first of those that it turns: so are their means,
 * errors and classes; for each layer and KV head f32 steps of K [dk], means of K [dk], ask [dk], square [dk], errors of K
 * [3][dk], thresholds [2], the step of V, means of V [dv], then bytes: classes of K [dk] and of V [dv]; behind all heads the
 * dictionaries [side][class], u32 bits, n, rate, phrase [ABI_PHRASES], zeros behind the last phrase.
 */
#ifndef CLKV__CALIBRATION_H
#define CLKV__CALIBRATION_H

#include "../cl/base/abi.clh"
#include "codec/phrases.h"
#include "shape/shape.h"

#include <clkv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLKV__CALIBRATION_MAGIC                                                                    \
	"\x89"                                                                                         \
	"CLKC\r\n\x1a"
#define CLKV__CALIBRATION_VERSION 3

/** Steps, means and factors are such that (x / step - mean) / factor of any half x is finite in f32. */
#define CLKV__STEP_LEAST 1e-12f
#define CLKV__STEP_MOST 1e12f
#define CLKV__MEAN_MOST 1e6f
#define CLKV__FACTOR_LEAST 0.01f
#define CLKV__FACTOR_MOST 100.0f

enum clkv__calibration_word {
	CLKV__CALIBRATION_WORD_VERSION,
	CLKV__CALIBRATION_LAYERS,
	CLKV__CALIBRATION_KV_HEADS,
	CLKV__CALIBRATION_DIM_K,
	CLKV__CALIBRATION_DIM_V,
	CLKV__CALIBRATION_ROPE, /**< clkv_rope_kind of the keys; 0: nobody said */
	CLKV__CALIBRATION_WORDS
};

/** What a head has; of the arrays the first dk or dv. y is a key as it is stored. */
struct clkv__calibrated {
	float k_step[256];
	float k_mean[256]; /**< of y */
	float k_ask[256],
		k_square[256]; /**< a token is expected to get attention of exp(y . ask + y^2 . square) */
	float k_error[ABI_TOKEN_CLASSES][256]; /**< mean square that a code of the class adds to y */
	float threshold
		[ABI_TOKEN_CLASSES -
	     1]; /**< of what stands in exp: above the first it's class 0, above the second 1 */
	float v_step, v_mean[256];          /**< mean: of V as it is stored */
	uint8_t k_class[256], v_class[256]; /**< of components */
};

/** Bytes of a file for this shape. */
uint64_t clkv__calibration_bytes(const struct clkv__shape *shape);

/** Whether data is a calibration for this shape and this model, undamaged, all of whose numbers a codec can use.
 *  Errors: CORRUPT (what is damaged), INVALID_ARGUMENT (there is none; what it is for, and what is asked for). */
clkv_status clkv__calibration_check(const struct clkv__shape *shape, const void *data, size_t size,
                                    uint64_t model, clkv_error *error);

/** How many pairs, the first of those that RoPE turns, have codes of keys as they were in front of it; of a checked file. */
int clkv__calibration_turned(const void *data);

/** The token classes' factors of a side [ABI_TOKEN_CLASSES], from a checked file. side: 0 is K, 1 is V. */
void clkv__calibration_factors(const void *data, int side, float *factors);

/** From a checked file of all of the model's layers; layer: of the model (clkv__shape_layer). */
void clkv__calibration_head(const struct clkv__shape *shape, const void *data, int layer, int head,
                            struct clkv__calibrated *out);

/** The dictionary of a class of components, from a checked file. */
void clkv__calibration_phrases(const struct clkv__shape *shape, const void *data, int side,
                               int number, struct clkv__phrases *phrases);

/** What a file is written of, beside what clkv_calibration has: classes [layers][streams][dk], [dv], and dictionaries
 *  [2][classes]. */
struct clkv__calibration_codes {
	const uint8_t *k_class, *v_class;
	const struct clkv__phrases *dictionaries;
};

/** What of a head no codec can use, with what is allowed, or NULL: "a step of K; allowed: 1e-12 to 1e12". */
const char *clkv__calibrated_wrong(const struct clkv__shape *shape,
                                   const struct clkv__calibrated *head);

/** The same of a calibration with so many turned pairs. */
const char *clkv__calibrated_unpaired(const struct clkv__shape *shape, int turned,
                                      const struct clkv__calibrated *head);

/** Whether factors of a side [ABI_TOKEN_CLASSES] lie within CLKV__FACTOR_LEAST and CLKV__FACTOR_MOST. */
bool clkv__calibration_factors_valid(const float *factors);

/** A head of the arrays that a file is written of. */
void clkv__calibration_gather(const struct clkv__shape *shape, const clkv_calibration *calibration,
                              const struct clkv__calibration_codes *codes, int layer, int head,
                              struct clkv__calibrated *out);

/** A file of it, clkv__calibration_bytes. */
void clkv__calibration_pack(const struct clkv__shape *shape, const clkv_calibration *calibration,
                            const struct clkv__calibration_codes *codes, uint64_t model,
                            void *data);

#endif
