/* SPDX-License-Identifier: MIT */
/** \file budget_bytes.h \brief What selected tokens take, and how many fit a budget in bytes. */
#ifndef CLKV__BUDGET_BYTES_H
#define CLKV__BUDGET_BYTES_H

#include "plan/plan.h"

/** Counts what a KV head with so many slots stores of K and V, bytes, with what is known of each slot: sinks, window and merged
 *  slots in half, kept ones in whole sealed blocks. Of variants that prune differently it takes the largest. The plan has its
 *  layouts; blocks aren't sized. */
uint64_t clkv__budget_bytes(const struct clkv__plan *plan, const struct clkv__shape *shape,
                            uint32_t slots);

/** Sets select.budget by the general key budget_bytes, where it was given: the most slots that fit. Source of the idea that
 *  tokens and bits share one budget: arXiv 2412.12706. Errors: INVALID_RECIPE if nothing selects, if the selection itself finds
 *  how many tokens a head keeps, or if the codec's blocks have a size of their own. */
clkv_status clkv__budget_bytes_apply(struct clkv__plan *plan, const struct clkv__shape *shape,
                                     clkv_error *error);

#endif
