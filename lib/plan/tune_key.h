/* SPDX-License-Identifier: MIT */
/** \file tune_key.h \brief What a tuning depends on besides the device: codec, block, head sizes, group. */
#ifndef CLKV__TUNE_KEY_H
#define CLKV__TUNE_KEY_H

#include "plan/plan.h"
#include "shape/shape.h"
#include "tune/tune.h"

/** "affine:k4c64,v4t64/bt64/dk64/dv64/g3" for the layers that seal; for a cache that never seals the
 *  codec is "half". */
void clkv__tune_key(const struct clkv__shape *shape, const struct clkv__plan *plan,
                    char key[CLKV__TUNE_KEY]);

/** Letters, digits and ":,/._-" only, and not empty: what keys are made of. */
bool clkv__tune_key_is_valid(const char *key);

#endif
