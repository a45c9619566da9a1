/* SPDX-License-Identifier: MIT */
/** \file sizes_recall.h \brief How much recall needs: lists of segments, indexes, codebooks, work space. */
#ifndef CLKV__SIZES_RECALL_H
#define CLKV__SIZES_RECALL_H

#include "store/sizes.h"

/** Fills in what recall needs, from the counts of tokens and sequences; nothing if the recipe doesn't recall.
 *  Errors: INVALID_RECIPE (more is recalled or waited for than a sequence may have), INVALID_ARGUMENT (too large). */
clkv_status clkv__sizes_recall(const struct clkv__shape *shape, const struct clkv__plan *plan,
                               struct clkv__sizes *sizes, clkv_error *error);

/** Bytes of scores, choices and lists of the rows that recall in one go, and of the work space of indexes. */
uint64_t clkv__sizes_recall_scratch(const struct clkv__shape *shape,
                                    const struct clkv__sizes *sizes);

#endif
