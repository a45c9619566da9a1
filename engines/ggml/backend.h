/* SPDX-License-Identifier: MIT */
/** \file
 *  What ggml sees: one device with one type of buffer. */
#ifndef CLKV_GGML_BACKEND_H
#define CLKV_GGML_BACKEND_H

#include "store.h"

extern struct ggml_backend_buffer_type clkv_buffer_type;

/** Tells what lies behind a tensor of ours, or NULL: it's somebody else's. */
struct store *store_of(const struct ggml_tensor *tensor);

/** Finds the KV cache that a node reads or writes, itself or through a view. Returns NULL: none. */
struct store *cache_of(const struct ggml_tensor *node);

/** Tells whether a node reads or writes a KV cache that lies here, or would, were it allocated. */
int touches_cache(const struct ggml_tensor *node);

/** Computes a node of a graph. */
enum ggml_status compute_graph(ggml_backend_t backend, struct ggml_cgraph *graph);

#endif
