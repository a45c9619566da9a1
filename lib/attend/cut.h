/* SPDX-License-Identifier: MIT */
/** \file cut.h \brief How attention is cut into work-groups on a device. */
#ifndef CLKV__CUT_H
#define CLKV__CUT_H

#include "device/context.h"
#include "store/sizes.h"

/** Halves vectors until they divide the rows of K that sealed blocks keep. */
void clkv__cut_narrow(const struct clkv__plan *plan, struct clkv__tuning *tuning);

/** Chooses tiles and splits for the device; refuses shapes whose tile outgrows its local memory. */
clkv_status clkv__cut_choose(const clkv_context *context, const struct clkv__shape *shape,
                             const struct clkv__plan *plan, const struct clkv__tuning *tuning,
                             struct clkv__cut *cut, clkv_error *error);

#endif
