/* SPDX-License-Identifier: MIT */
/** \file tiny_calibration.h \brief Calibration files of the small model, and what stands in them (doc/file-format.md). */
#ifndef TINY_CALIBRATION_H
#define TINY_CALIBRATION_H

#include "train_calibration.h"

enum { CALIBRATION_FACTORS_AT = 40, CALIBRATION_HEADS_AT = 68 };

/** The bytes of a file that is made with this delta, the caller's to free. */
char *tiny_calibration(struct calibrator *calibrator, float delta, struct calibration_bits *bits,
                       size_t *size);

float tiny_calibration_float(const char *file, size_t at);

/** Steps of K of a head, among all layers', over those in another file: all of its channels must have the same factor. */
float tiny_calibration_factor(const char *file, const char *uniform, size_t dim, size_t head);

/** Bytes of a head whose keys and values have the same size. */
static inline size_t calibration_head_bytes(size_t dim)
{
	return 34 * dim + 12;
}

#endif
