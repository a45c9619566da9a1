/* SPDX-License-Identifier: MIT */
/** \file tune.h \brief How kernels are shaped on a device: LANES work-items of VEC floats each. */
#ifndef CLKV__TUNE_H
#define CLKV__TUNE_H

#include <clkv.h>

struct clkv__tuning {
	unsigned lanes, vec;
	char source[64]; /**< where it comes from, for people */
};

/** Chooses by the device's family; text (CLKV_TUNE, "lanes=64,vec=1", may be NULL) overrides.
 *  Errors: INVALID_ARGUMENT, naming what text may hold. */
clkv_status clkv__tune_choose(const clkv_device_info *info, const char *text,
                              struct clkv__tuning *tuning, clkv_error *error);

#endif
