/* SPDX-License-Identifier: MIT */
/** \file create.h \brief Caches for a use of them. */
#ifndef CLKV__CREATE_H
#define CLKV__CREATE_H

#include "store/cache.h"

/** clkv_cache_create, for a use of it. like: whose rotation it shares, and which must live longer, or NULL: then the options
 *  have one if the recipe wants one. */
clkv_status clkv__cache_create(clkv_context *context, const clkv_geometry *geometry,
                               const char *recipe, const clkv_cache_options *options,
                               enum clkv__cache_use use, const clkv_cache *like, clkv_cache **out,
                               clkv_error *error);

#endif
