/* SPDX-License-Identifier: MIT */
/** \file pool.h \brief The device memory of all blocks: a buffer for some layers, slots per layer. */
#ifndef CLKV__POOL_H
#define CLKV__POOL_H

#include "device/context.h"
#include "store/pages.h"
#include "store/sizes.h"
#include "store/slots.h"

/** Where one layer's blocks lie. Addresses count units from the start of its buffer. */
struct clkv__layer_pool {
	cl_mem mem;
	struct clkv__slots open, sealed;
	uint32_t staged; /**< where kept tokens wait to be sealed */
	/** In place of sealed, where blocks have their own size: the layer's own pages, or those of a layer that it shares them with. */
	struct clkv__pages own, *pages;
	/* of a layer whose sealed blocks leave the device */
	unsigned char *pages_at; /**< host memory, in which `sealed` counts; else NULL */
	uint32_t landing,
		rows; /**< where blocks land before they leave, and where slots of recalled rows begin */
};

struct clkv__pool {
	int n_layers, n_buffers;
	cl_mem *buffers;
	struct clkv__layer_pool *layers;
	uint32_t half_units, sealed_units;
	bool paged; /**< sealed blocks of a layer differ in size */
	bool
		shared; /**< layers of a buffer have pages together: what a text makes of one layer is only expected */
	bool host; /**< they lie in host memory */
};

/** Takes all buffers; blocks in half begin as zeros, so that a row that was never written can't put a
 *  NaN into a sum. Errors: NO_DEVICE_MEMORY (names what is needed and what the device has),
 *  NO_HOST_MEMORY, OPENCL. */
clkv_status clkv__pool_init(struct clkv__pool *pool, clkv_context *context,
                            const struct clkv__shape *shape, const struct clkv__plan *plan,
                            const struct clkv__sizes *sizes, clkv_error *error);
void clkv__pool_free(struct clkv__pool *pool, clkv_context *context);

/** Zeroes the blocks in half; enqueued once, before the first step. */
clkv_status clkv__pool_clear(struct clkv__pool *pool, cl_command_queue queue, clkv_error *error);

/** Sealed blocks of a layer: a new one of so many units (or of the only size), CLKV__NO_SLOT if there is
 *  no room; one more reference; one less, true if it was the last. */
uint32_t clkv__sealed_take(struct clkv__pool *pool, int layer, uint32_t units);
void clkv__sealed_ref(struct clkv__pool *pool, int layer, uint32_t address);
bool clkv__sealed_release(struct clkv__pool *pool, int layer, uint32_t address);
uint32_t clkv__sealed_refs(const struct clkv__pool *pool, int layer, uint32_t address);
uint32_t clkv__sealed_units(const struct clkv__pool *pool, int layer, uint32_t address);
/** Units that sealed blocks of a layer may still take, and whether another layer takes of the same. */
uint64_t clkv__sealed_available(const struct clkv__pool *pool, int layer);
bool clkv__sealed_shares(const struct clkv__pool *pool, int layer, int other);

/** Bytes in use now. */
uint64_t clkv__pool_used_open(const struct clkv__pool *pool);
uint64_t clkv__pool_used_sealed(const struct clkv__pool *pool);

#endif
