/* SPDX-License-Identifier: MIT */
/** \file seal_encode.h \brief Encoding of seal jobs: by what is known of their blocks' sizes and places. */
#ifndef CLKV__SEAL_ENCODE_H
#define CLKV__SEAL_ENCODE_H

#include "step/seal_jobs.h"

/** Finds places for the blocks of jobs, whose destinations are filled in, and encodes them. Errors: POOL_FULL names the
 *  layer. */
clkv_status clkv__seal_encode(const struct clkv__seal_jobs *jobs, clkv_error *error);

/* ---- what it chooses from ---- */

/** Encodes blocks that go on to host memory. */
clkv_status clkv__seal_place(const struct clkv__seal_jobs *jobs, clkv_error *error);

/** Sizes the jobs' blocks on the device, waits, finds pages for them and encodes. Errors: POOL_FULL names the layer. */
clkv_status clkv__seal_sized(const struct clkv__seal_jobs *jobs, clkv_error *error);

#endif
