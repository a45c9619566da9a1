/* SPDX-License-Identifier: MIT */
/** \file settle.h \brief Whether a device can read sealed blocks from where a recipe wants them. */
#ifndef CLKV__SETTLE_H
#define CLKV__SETTLE_H

#include "device/context.h"
#include "plan/plan.h"

/** Chooses between map and copy where the recipe leaves it open, and refuses what can't be. Errors: UNSUPPORTED. */
clkv_status clkv__place_settle(const clkv_context *context, const struct clkv__shape *shape,
                               struct clkv__plan *plan, clkv_error *error);

#endif
