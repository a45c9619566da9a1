/* SPDX-License-Identifier: MIT */
/** \file span.h \brief Heads that one launch serves, and a launch for each span of them. */
#ifndef CLKV__SPAN_H
#define CLKV__SPAN_H

#include "device/queue.h"

#include <clkv.h>

/** Heads that one launch serves: neighbouring layers and KV heads that store the same. */
struct clkv__span {
	int first_layer, n_layers, first_stream, n_streams;
	int which; /**< clkv__plan_which */
};

/** KV heads of a layer, from `first` on, that store the same. */
struct clkv__span clkv__span_of(const clkv_cache *cache, int layer, int first);

/** Enqueues one launch for the heads of a span; what: whatever the launches of all spans share. */
typedef clkv_status (*clkv__span_launch)(clkv_cache *cache, struct clkv__chain *chain,
                                         const void *what, const struct clkv__span *span,
                                         clkv_error *error);

/** Launches it for all heads in layers that seal: once for layers with one buffer, or where heads differ in what they
 *  keep, for those of a layer that are alike. */
clkv_status clkv__for_spans(clkv_cache *cache, struct clkv__chain *chain, clkv__span_launch launch,
                            const void *what, clkv_error *error);

#endif
