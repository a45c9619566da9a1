/* SPDX-License-Identifier: MIT */
/** \file options.h \brief The caller's options of a cache. */
#ifndef CLKV__OPTIONS_H
#define CLKV__OPTIONS_H

#include "plan/plan.h"

/** Reads the options, and tells the plan whether they give a codebook, whose bytes, as those of a
 *  rotation, are checked when a cache is made.
 *  Errors: INVALID_ARGUMENT. */
clkv_status clkv__options_read(struct clkv__plan *plan, const clkv_cache_options *options,
                               clkv_cache_options *o, clkv_error *error);

#endif
