/* SPDX-License-Identifier: MIT */
/** \file plan_variants.h \brief What layers and heads store, once all stages have said what they want. */
#ifndef CLKV__PLAN_VARIANTS_H
#define CLKV__PLAN_VARIANTS_H

#include "plan/plan.h"

/** Completes the plan's variants that seal: codec, kept channels, layout of blocks; more of them where the list asks
 *  for different shares. Errors: INVALID_RECIPE names the key or the pair of stages that doesn't go together. */
clkv_status clkv__plan_variants(const struct clkv__list *keep, const struct clkv__shape *shape,
                                struct clkv__plan *plan, clkv_error *error);

#endif
