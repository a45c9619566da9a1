/* SPDX-License-Identifier: MIT */
/** \file idle.h \brief Calls that need a cache without an open step. */
#ifndef CLKV__IDLE_H
#define CLKV__IDLE_H

#include "device/queue.h"

#include <stdbool.h>

/** Takes the mutex if no step is open, else fails (BUSY). */
clkv_status clkv__cache_lock_idle(clkv_cache *cache, clkv_error *error);

/** Ends a chain that was joined (or could not be) under that mutex: gives the mutex back and waits until
 *  no command uses the caller's memory any more. Returns status, or why that can't be waited for. */
clkv_status clkv__cache_finish(clkv_cache *cache, struct clkv__chain *chain, bool joined,
                               clkv_status status, clkv_error *error);

#endif
