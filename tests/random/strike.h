/* SPDX-License-Identifier: MIT */
/** \file strike.h \brief Failures at random in single calls of the library. */
#ifndef RANDOM_STRIKE_H
#define RANDOM_STRIKE_H

#include "world.h"

/** Before a call: now and then one of the OpenCL calls or allocations to come will fail. */
void strike_arm(struct world *w);

/** After it. A failure that struck must have been answered with an error that names it, or the library can do without the
 *  call. True: the library's call failed by it. */
bool strike_happened(struct world *w, clkv_status status, const clkv_error *error,
                     const char *call);

/** What is left of a failure: the call must be OK, unless one struck. True: it is OK. */
bool strike_ok(struct world *w, clkv_status status, const clkv_error *error, const char *call);

#endif
