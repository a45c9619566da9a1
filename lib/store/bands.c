/* SPDX-License-Identifier: MIT */
/** \file bands.c \brief What holds of all bands of a cache together. */
#include "store/cache.h"

void clkv__cache_lock(clkv_cache *cache)
{
	for (; cache; cache = cache->next_band)
		pthread_mutex_lock(&cache->mutex);
}

void clkv__cache_unlock(clkv_cache *cache)
{
	for (; cache; cache = cache->next_band)
		pthread_mutex_unlock(&cache->mutex);
}

clkv_geometry clkv__cache_geometry(const clkv_cache *cache)
{
	clkv_geometry g = clkv__shape_geometry(&cache->shape);
	if (cache->whole) {
		g.layers = cache->whole->bands.layers;
		g.window = cache->whole->has_windows ? cache->whole->window : NULL;
	}
	return g;
}
