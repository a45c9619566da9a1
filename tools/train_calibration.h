/* SPDX-License-Identifier: MIT */
/**
 * \file    train_calibration.h
 * \brief   Steps, means, classes of tokens and code tables for a model's K and V, from texts.
 */
#ifndef TRAIN_CALIBRATION_H
#define TRAIN_CALIBRATION_H

#include "text_rows.h"

/** Tokens that a text must have: half of them warm up, and the other half's queries must find some that are sealed. */
enum { CALIBRATION_LEAST_TOKENS = 512 };

/** What codes of the texts take, ideal lengths. */
struct calibration_bits {
	double k, v;  /**< bits of a value */
	double bytes; /**< of a token, all layers, its classes included */
};

/** Runs the texts, each of at least CALIBRATION_LEAST_TOKENS, through the model and writes a calibration file, for caches with qtc. delta: the error of a layer's output,
 *  in lengths of the residual stream, that one step of K stands for. */
bool train_calibration(struct session *session, const struct text_input *texts, size_t n_texts,
                       float delta, const char *path, struct calibration_bits *bits,
                       struct tool_error *error);

#endif
