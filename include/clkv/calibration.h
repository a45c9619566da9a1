/* SPDX-License-Identifier: MIT */
/** \file clkv/calibration.h \brief What a model's K and V are like, measured once, for recipes that store them in its steps. */
#ifndef CLKV_CALIBRATION_H
#define CLKV_CALIBRATION_H

#include "file.h"
#include "geometry.h"

CLKV_BEGIN_DECLS

/** Arrays of a calibration, [heads] of [layers][kv_heads]. A channel x, keys behind RoPE, is stored as y = x / step; codes are
 *  rint((y - mean) / factor), with the factor of the token's class. */
typedef struct clkv_calibration {
	size_t struct_size;
	const float *k_step; /**< [heads][head_dim_k]: 1e-12 to 1e12 */
	const float *k_mean; /**< [heads][head_dim_k], of y: -1e6 to 1e6 */
	const float *
		k_ask; /**< [heads][head_dim_k], finite: what a token is judged by is y . ask + y^2 . square */
	const float *k_square; /**< [heads][head_dim_k], finite */
	const float *
		k_error; /**< [heads][3][head_dim_k]: mean square that the codes of a token's class add to y, 0 to 1e12 */
	const float *
		threshold; /**< [heads][2]: above the first a token is of class 0, above the second of 1, else of 2; the first
	                               isn't below the second; infinities are allowed */
	const float *v_step;            /**< [heads] */
	const float *v_mean;            /**< [heads][head_dim_v], of y */
	float k_factor[3], v_factor[3]; /**< of a token's class: 0.01 to 100 */
	const signed char *
		k_sample; /**< [heads][head_dim_k][samples]: codes of a text's tokens, from which tables are made */
	const signed char *v_sample; /**< [heads][head_dim_v][samples] */
	size_t samples;              /**< tokens of the sample: a multiple of 8, 64 to 65536 */
	int turned_pairs; /**< of the first so many pairs of channels that RoPE turns codes are of keys as they were in front of it, which
	                     takes fewer bits: k_mean, k_error and k_sample are of those, in the same steps, and k_step is the same
	                     for both channels. Caches turn them back and along by their geometry's rope. 0 to its pairs */
} clkv_calibration;

/** Writes a calibration file, for clkv_cache_options.calibration of caches with qtc. model: any number that tells the model's
 *  weights from others'. doc/file-format.md describes the bytes. Any thread; waits for write alone. Errors: INVALID_ARGUMENT
 *  (names the array and what is allowed), IO, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_calibration_write(const clkv_geometry *geometry, uint64_t model,
                                            const clkv_calibration *calibration,
                                            clkv_write_fn write, void *opaque, clkv_error *error);

CLKV_END_DECLS

#endif
