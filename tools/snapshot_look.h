/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_look.h
 * \brief   What a saved sequence says of itself, before there is a cache to load it into.
 *
 * Only what sizes that cache is checked here; clkv_seq_load checks all of it.
 */
#ifndef SNAPSHOT_LOOK_H
#define SNAPSHOT_LOOK_H

#include <stddef.h>
#include <stdint.h>

#include "tool_error.h"

/** Most letters of a recipe, and its end. */
#define SNAPSHOT_RECIPE_BYTES 4096

struct snapshot_look {
	uint32_t layers, kv_heads, dim_k, dim_v, length;
	char recipe[SNAPSHOT_RECIPE_BYTES];
};

/** Whether bytes begin as a snapshot does. */
bool snapshot_is(const void *data, size_t size);

/** Reads the header. Refuses a length that the file can't hold, so that a cache for it may be made. */
bool snapshot_look(const void *data, size_t size, struct snapshot_look *out,
                   struct tool_error *error);

#endif
