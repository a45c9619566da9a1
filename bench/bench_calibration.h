/* SPDX-License-Identifier: MIT */
/** \file bench_calibration.h \brief A calibration of what the bench stores, for recipes with qtc. */
#ifndef BENCH_CALIBRATION_H
#define BENCH_CALIBRATION_H

#include "bench_file.h"
#include "rig.h"

/** Steps such that components hold from nearly nothing to 3 bits, 1.8 on average, as those of a model do. values [n]: some
 *  that will come, as many as make no two components alike, or runs would repeat as they never do. The caller frees
 *  file->bytes. */
bool bench_calibration(const clkv_geometry *geometry, const float *values, size_t n,
                       struct bench_file *file, struct tool_error *error);

#endif
