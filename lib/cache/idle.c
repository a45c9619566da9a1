/* SPDX-License-Identifier: MIT */
/** \file idle.c \brief Calls that need a cache without an open step. */
#include "cache/idle.h"

#include "base/error.h"
#include "step/step.h"
#include "store/cache.h"

clkv_status clkv__cache_lock_idle(clkv_cache *cache, clkv_error *error)
{
	pthread_mutex_lock(&cache->mutex);
	if (!cache->step->open)
		return CLKV_OK;
	pthread_mutex_unlock(&cache->mutex);
	CLKV_FAIL(error, CLKV_ERROR_BUSY, "the cache has an open step: commit or abort it first");
}

clkv_status clkv__cache_finish(clkv_cache *cache, struct clkv__chain *chain, bool joined,
                               clkv_status status, clkv_error *error)
{
	cl_command_queue queue = chain->queue;
	if (joined)
		clkv__cache_leave(cache, chain);
	else
		clkv__chain_free(chain);
	pthread_mutex_unlock(&cache->mutex);
	if (!joined)
		return status;
	clkv_status finished = clkv__cl_check(error, clFinish(queue), "clFinish");
	if (finished != CLKV_OK)
		(void)clFinish(queue);
	return status != CLKV_OK ? status : finished;
}
