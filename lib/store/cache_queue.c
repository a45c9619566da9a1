/* SPDX-License-Identifier: MIT */
/** \file cache_queue.c \brief Order between steps that use different queues. */
#include "base/error.h"
#include "store/cache.h"

clkv_status clkv__cache_join(clkv_cache *cache, struct clkv__chain *chain, cl_command_queue queue,
                             clkv_error *error)
{
	CLKV_TRY(clkv__chain_init(chain, cache->context, queue, &cache->meter, error));
	if (!cache->last_event || (cache->last_queue == queue && chain->in_order))
		return CLKV_OK;
	return clkv__chain_wait(chain, cache->last_event, error);
}

void clkv__cache_leave(clkv_cache *cache, struct clkv__chain *chain)
{
	cl_event end = NULL;
	if (clkv__chain_end(chain, &end, NULL) != CLKV_OK)
		clFinish(chain->queue); /* no event to wait for: wait now */
	if (cache->last_event)
		clReleaseEvent(cache->last_event);
	cache->last_event = end;
	cache->last_queue = chain->queue;
	clkv__chain_free(chain);
}
