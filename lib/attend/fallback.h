/* SPDX-License-Identifier: MIT */
/** \file fallback.h \brief A device that refuses a tuning's kernels gets those of another. */
#ifndef CLKV__FALLBACK_H
#define CLKV__FALLBACK_H

#include <clkv.h>

/** Builds a cache's kernels by its tuning, else by those that clkv__tune_next names. Leaves the tuning
 *  and cut in force in the cache, and what was refused as text. Memory that was counted for the first
 *  cut is enough for all. Errors: the last refusal's; of others than refusals, the first. */
clkv_status clkv__kernels_build_any(clkv_cache *cache, clkv_error *error);

#endif
