/* SPDX-License-Identifier: MIT */
/** \file calibration.h \brief Calibrations of what feed.h makes, and files of them for recipes with qtc. */
#ifndef TEST_CALIBRATION_H
#define TEST_CALIBRATION_H

#include "memory_file.h"

/** What a calibration is made of. */
struct calibration_kind {
	double
		step; /**< of a channel whose deviation is 1; each channel's own step is up to twice it */
	double
		error; /**< mean square that codes of K are said to add, in steps of the token's class; 0: none */
	bool one_class;   /**< all tokens have factor 1 */
	int turned;       /**< pairs that are coded as they were in front of the geometry's RoPE */
	feed_value value; /**< what is measured; NULL: feed_normal */
};

/** Of all (layer, KV head): as clkv_calibration_write takes it, and the file. */
struct calibration {
	clkv_geometry geometry;
	size_t heads, dk, dv;
	int turned; /**< pairs */
	float *k_step, *k_mean, *k_ask, *k_square, *k_error, *threshold, *v_step, *v_mean;
	float k_factor[3], v_factor[3];
	struct memory_file file; /**< for model 0 */
};

void calibration_make(struct calibration *c, const clkv_geometry *geometry,
                      const struct calibration_kind *kind);
void calibration_free(struct calibration *c);

/** Opens a feed of the calibration's geometry, with room for FEED_TOKENS of four sequences. */
void calibration_feed(const struct calibration *c, const char *recipe, struct feed *feed);

/** Options of a cache with the file. */
clkv_cache_options calibration_room(const struct calibration *c, size_t tokens, size_t sequences);

/** Values so wide, a feed_value, that steps of .5 give most of them codes that a byte has no room for. */
double calibration_far_off(uint64_t row, int layer, enum feed_side side, size_t head, size_t d);

/** The file alone. */
struct memory_file calibration_file(const clkv_geometry *geometry,
                                    const struct calibration_kind *kind);

/** The step of a channel, the factor of its token's class apart. */
double calibration_step(const struct calibration *c, int layer, enum feed_side side, size_t head,
                        size_t d);

/** Whether a channel of K is coded as it was in front of RoPE. */
bool calibration_turns(const struct calibration *c, size_t d);

/** The class of a token with a key [dk], as it is stored: 0 to 2. *margin: how far it is from another one, relatively. */
int calibration_class(const struct calibration *c, int layer, size_t head, const double *key,
                      double *margin);

#endif
