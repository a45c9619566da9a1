/* SPDX-License-Identifier: MIT */
/** \file calibration_image.h \brief A calibration as kernels read it: tables of runs, what each head has, steps. */
#ifndef CLKV__CALIBRATION_IMAGE_H
#define CLKV__CALIBRATION_IMAGE_H

#include "codec/codec.h"
#include "shape/shape.h"

#include <clkv.h>
#include <stdint.h>

/** Words of a cache's code tables (ABI_QTC_HEADS): of tables, and all with those of the shape's heads. */
uint64_t clkv__calibration_words(const struct clkv__shape *shape);

/** Fills them in for the layers of the shape, from a checked file of all of the model's. Errors: NO_HOST_MEMORY. */
clkv_status clkv__calibration_image(const struct clkv__shape *shape, const void *data,
                                    const clkv_allocator *allocator, uint32_t *words,
                                    clkv_error *error);

/** Says in each head where the words begin: behind the tables come heads in the shape's order, which may come from elsewhere. */
void clkv__calibration_place(const struct clkv__shape *shape, uint32_t *words);

/** Units of a block of all KV heads of each of the shape's layers, by what its dictionaries are made for, times the spec's room; at
 *  most those of blocks in half. From a checked file. */
void clkv__calibration_units(const struct clkv__shape *shape, const void *data, int block,
                             const struct clkv__codec_layout *layout,
                             const struct clkv__qtc_spec *spec, uint32_t *units);

/** Steps [layers][streams][dk + dv] of the shape's layers: those of V's channels are alike. */
void clkv__calibration_steps(const struct clkv__shape *shape, const void *data, float *steps);

#endif
