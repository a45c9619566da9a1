/* SPDX-License-Identifier: MIT */
/**
 * \file    place.h
 * \brief   Sealed blocks in host memory: the ways there and back.
 *
 * A layer's pages are one allocation; addresses in tables count ABI_UNIT bytes from its start, and mean nothing to the
 * device. Kernels seal into the landing zone of a layer's pool, a few jobs at a time; from there blocks are read to
 * their pages on a queue of the cache's own. Who reads pages waits for the last of these reads, and who writes to the
 * landing zone has the device do so.
 */
#ifndef CLKV__PLACE_H
#define CLKV__PLACE_H

#include "device/queue.h"
#include "shape/rope.h"

/** Figures: bytes of blocks that left, of rows or sums that came back; rows asked for, and those found in slots. */
struct clkv__moved {
	uint64_t to_host, to_device, asked, found;
};

struct clkv__place {
	cl_command_queue queue;          /**< in order; NULL: nothing leaves the device */
	cl_event last;                   /**< of the last read to pages, or NULL */
	uint32_t *lists;                 /**< [asks][KV heads][1 + listed] as recall_list writes them */
	unsigned char *records;          /**< rows on their way to slots, as place_rows reads them */
	cl_mem arrived;                  /**< the same on the device */
	cl_ulong turns[CLKV__ROPE_MOST]; /**< of queries that the library rotates */
	float *queries;                  /**< [asks][q_heads][dk] for the host to attend with */
	unsigned char *given;            /**< those of one row as the caller has them */
	float *sums; /**< [asks][q_heads][2 + dv] of partial records: maximum and sum first */
	struct clkv__moved moved;
};

/** Makes a cache's place and the slots of its rows; pages are the pool's. Errors: NO_HOST_MEMORY, NO_DEVICE_MEMORY,
 *  OPENCL. */
clkv_status clkv__place_init(clkv_cache *cache, clkv_error *error);

/** Waits for what is on its way, and frees them. */
void clkv__place_free(clkv_cache *cache);

/** The page of a sealed entry of (layer, KV head) of a sequence. */
unsigned char *clkv__place_page(const clkv_seq *seq, int layer, int stream, uint32_t entry);

/** Where (layer, KV head) of job i of a batch lies in the landing zone, in units of the layer's pool. */
uint32_t clkv__place_landing(const clkv_cache *cache, int layer, uint32_t job, int stream);

/** Everything enqueued later on the chain finds the landing zone free. */
clkv_status clkv__place_reserve(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error);

/** Reads the blocks of n jobs from the landing zone to their pages, behind all that the chain has enqueued; doesn't
 *  block. dst: their destinations, clkv__seal_dst_words for each job. After a failure some may be on their way. */
clkv_status clkv__place_leave(clkv_cache *cache, struct clkv__chain *chain, const uint32_t *dst,
                              uint32_t n, clkv_error *error);

/** Pages hold what was sealed. Blocks. */
clkv_status clkv__place_wait(clkv_cache *cache, clkv_error *error);

/** Writes entries [entry, entry + n) of a layer of a sequence to the landing zone, as if each were a job. */
clkv_status clkv__place_return(clkv_seq *seq, struct clkv__chain *chain, int layer, uint32_t entry,
                               uint32_t n, clkv_error *error);

#endif
