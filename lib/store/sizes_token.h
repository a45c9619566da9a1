/* SPDX-License-Identifier: MIT */
/** \file sizes_token.h \brief What a token costs. */
#ifndef CLKV__SIZES_TOKEN_H
#define CLKV__SIZES_TOKEN_H

#include "store/sizes.h"

/** Sets per_token, per_token_f16 and per_slot. */
void clkv__sizes_token(const struct clkv__shape *shape, const struct clkv__plan *plan,
                       const struct clkv__sizes *sizes, clkv_bytes *bytes);

#endif
