/* SPDX-License-Identifier: MIT */
/** \file limits.h \brief What kernels may rely on; launch code asks here, never for a vendor's name. */
#ifndef CLKV__LIMITS_H
#define CLKV__LIMITS_H

#include "device/context.h"

/** Local memory that a work-group of so many lanes may use. On GPUs at most 32 KiB, which all have, so that two groups
 *  share a unit; on a CPU it's ordinary memory, and 64 KiB stay in its second cache. */
size_t clkv__limits_local_bytes(const clkv_context *context, unsigned lanes);

#endif
