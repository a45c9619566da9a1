/* SPDX-License-Identifier: MIT */
/** \file clkv/tuning.h \brief How kernels are shaped for a device: asked, and kept. */
#ifndef CLKV_TUNING_H
#define CLKV_TUNING_H

#include "base.h"
#include "geometry.h"

CLKV_BEGIN_DECLS

/** Writes how a cache's kernels are shaped and its attention is cut:
 *  "lanes=1,vec=16,queries=32,groups=6,min_blocks=4 (tuning file)": work-items per group, vector width
 *  of each, most queries of a tile, work-groups per compute unit, least blocks of a split, source.
 *  Behind it, if the device has refused others: "; refused: lanes=64,vec=1,queries=32 (build)".
 *  Recipes by layer (layers=) give one after the other, with " | " between. text has size n; 512 is enough for one.
 *  Errors: INVALID_ARGUMENT when n is too small. Since 0.1. */
CLKV_API clkv_status clkv_cache_tuning(const clkv_cache *cache, char *text, size_t n,
                                       clkv_error *error);

/** Writes the same of a cache to come, without building anything: CLKV_TUNE's, else the one kept for this
 *  device, codec and shape, else that of the device's family. Errors: UNSUPPORTED of recipes by layer (layers=): ask for
 *  each by itself. Since 0.1. */
CLKV_API clkv_status clkv_tuning_get(const clkv_context *context, const clkv_geometry *geometry,
                                     const char *recipe, char *text, size_t n, clkv_error *error);

/** Keeps a measured tuning ("lanes=..,vec=..,queries=..,groups=..,min_blocks=..", all five) in the folder
 *  of programs, for contexts opened later on this device and driver. It counts for every recipe and
 *  geometry with this codec, block size, head sizes and number of query heads per KV head.
 *  path (size n, may be NULL) gets the file's name.
 *  Errors: INVALID_ARGUMENT, INVALID_RECIPE, UNSUPPORTED, IO, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_tuning_store(const clkv_context *context, const clkv_geometry *geometry,
                                       const char *recipe, const char *tuning, char *path, size_t n,
                                       clkv_error *error);

CLKV_END_DECLS

#endif
