/* SPDX-License-Identifier: MIT */
/** \file launch_expect.h \brief The launches of a score by attention that is expected of positions to come. */
#ifndef CLKV__LAUNCH_EXPECT_H
#define CLKV__LAUNCH_EXPECT_H

#include "attend/launch_select.h"
#include "attend/span.h"

struct scoring;

/** The newest queries as they are expected to be, in `rows`, and each query head's logits by them, in `sums`. */
clkv_status clkv__launch_expect(clkv_cache *cache, struct clkv__chain *chain,
                                const struct scoring *s, clkv_error *error);

/** Scores of candidates by their shares of these, in `ranks`; what: struct clkv__leaving. */
clkv_status clkv__launch_shares(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                                const struct clkv__span *span, clkv_error *error);

#endif
