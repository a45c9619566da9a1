/* SPDX-License-Identifier: MIT */
/**
 * \file    weight_panel.h
 * \brief   How the device keeps a matrix: panels of 16 outputs, two by two, so that neighbouring values
 *          belong to neighbouring outputs. weights.clh has the layouts of their blocks.
 */
#ifndef WEIGHT_PANEL_H
#define WEIGHT_PANEL_H

#include <stddef.h>

#include "weight_format.h"

#define WEIGHT_PANEL_OUTPUTS 16

/** Blocks of 4 bits, whatever the file's format: scales in half, or in f32 where half would round. */
#define WEIGHT_Q4 1000
#define WEIGHT_Q4F 1001

/** The type as weights.clh knows it. */
int weight_panel_type(const struct weight_format *format);

/** One bit for each type: TYPES of dot.clh. */
unsigned weight_panel_bit(const struct weight_format *format);

/** An even number. */
size_t weight_panels(size_t n_out);

/** Bytes of a panel of rows of n_in weights, a multiple of 32. */
size_t weight_panel_bytes(const struct weight_format *format, size_t n_in);

/** Packs a matrix [n_out][n_in] whose rows are row_bytes apart into weight_panels() panels. */
void weight_panels_pack(const struct weight_format *format, const unsigned char *data,
                        size_t row_bytes, size_t n_out, size_t n_in, unsigned char *out);

#endif
