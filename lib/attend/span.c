/* SPDX-License-Identifier: MIT */
/** \file span.c \brief Which heads store the same and lie in one buffer. */
#include "attend/span.h"

#include "base/error.h"
#include "store/cache.h"

struct clkv__span clkv__span_of(const clkv_cache *cache, int layer, int first)
{
	const struct clkv__plan *plan = &cache->plan;
	int streams = cache->shape.streams, n = 1;
	if (layer < plan->general.skip)
		return (struct clkv__span){layer, 1, first, streams - first, 0};
	int which = clkv__plan_which(plan, streams, layer, first);
	while (first + n < streams && clkv__plan_which(plan, streams, layer, first + n) == which)
		n++;
	return (struct clkv__span){layer, 1, first, n, which};
}

/* The heads from (layer, stream) on that one launch serves: of all layers that share a buffer, or where heads differ in
 * what they keep, of this layer those that are alike. */
static struct clkv__span next_span(const clkv_cache *cache, int layer, int stream)
{
	int next = layer + 1;
	if (cache->plan.n_more > 0)
		return clkv__span_of(cache, layer, stream);
	while (next < cache->shape.layers &&
	       cache->pool.layers[next].mem == cache->pool.layers[layer].mem)
		next++;
	return (struct clkv__span){layer, next - layer, 0, cache->shape.streams, 0};
}

clkv_status clkv__for_spans(clkv_cache *cache, struct clkv__chain *chain, clkv__span_launch launch,
                            const void *what, clkv_error *error)
{
	for (int layer = cache->plan.general.skip, stream = 0; layer < cache->shape.layers;) {
		const struct clkv__span span = next_span(cache, layer, stream);
		CLKV_TRY(launch(cache, chain, what, &span, error));
		stream += span.n_streams;
		if (stream == cache->shape.streams) {
			layer += span.n_layers;
			stream = 0;
		}
	}
	return CLKV_OK;
}
