/* SPDX-License-Identifier: MIT */
/** \file beside.h \brief What a sequence becomes is made beside it, and takes its place at the end: all or nothing. */
#ifndef CLKV__BESIDE_H
#define CLKV__BESIDE_H

#include "store/cache.h"

/** A fork of a sequence, in all bands, to be changed in its place. Errors: POOL_FULL (says what max_sequences must be), BUSY,
 *  NO_HOST_MEMORY. */
clkv_status clkv__seq_fork_beside(clkv_seq *seq, clkv_seq **out, clkv_error *error);

/** The two hold what the other held, in all bands. The caller destroys what was made beside. */
void clkv__seq_swap_all(clkv_seq *seq, clkv_seq *made);

#endif
