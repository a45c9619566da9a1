/* SPDX-License-Identifier: MIT */
/**
 * \file    train_calibration.h
 * \brief   Steps, means, classes of tokens and code tables for a model's K and V, from texts.
 */
#ifndef TRAIN_CALIBRATION_H
#define TRAIN_CALIBRATION_H

#include <stdint.h>

#include "session.h"
#include "text_rows.h"

/** Tokens that a text must have: half of them warm up, and the other half's queries must find some that are sealed. */
enum { CALIBRATION_LEAST_TOKENS = 512 };

/** What codes of the texts take, ideal lengths. */
struct calibration_bits {
	double k, v;  /**< bits of a value */
	double bytes; /**< of a token, all layers, its classes included */
};

/** What texts say of a model: from it calibrations follow, for caches with qtc. */
struct calibrator;

/** Runs the texts, at least one and each of at least CALIBRATION_LEAST_TOKENS, through the model, which takes most of the time.
 *  before: channels that RoPE turns by more than a quarter of a circle within the model's context are coded as they were in front
 *  of it. */
bool calibrator_open(struct session *session, const struct text_input *texts, size_t n_texts,
                     bool before, struct calibrator **out, struct tool_error *error);

/** Channels of a head that are coded as in front of RoPE, 0 also where `before` was given and none turn so fast. */
size_t calibrator_turned(const struct calibrator *calibrator);

/** Shares bits out among heads, for files made from now on, of deltas from `least` to `most`: steps of K and V of each head so that what
 *  their errors do to the model's output is the least, at the bits that the file's delta for all would take. Asks the model with each
 *  layer's rows changed, once for all deltas; takes some times as long as calibrator_open(). On failure all have one step again. */
bool calibrator_share(struct calibrator *calibrator, float least, float most,
                      struct tool_error *error);

/** Makes the bytes of a calibration file, the caller's to free; may be called again with another delta: the error of a layer's
 *  output, in lengths of the residual stream, that one step of K stands for. */
bool calibrator_make(struct calibrator *calibrator, float delta, struct given_file *file,
                     struct calibration_bits *bits, struct tool_error *error);

/** NULL is allowed. */
void calibrator_close(struct calibrator *calibrator);

#endif
