/* SPDX-License-Identifier: MIT */
/** \file clkv/bytes.h \brief What a cache takes, reserved and in use, before it is made. */
#ifndef CLKV_BYTES_H
#define CLKV_BYTES_H

#include "base.h"
#include "cache.h"
#include "geometry.h"

CLKV_BEGIN_DECLS

/** Bytes that clkv_cache_create takes: the allocator uses the very same functions. */
typedef struct clkv_bytes {
	size_t struct_size;
	uint64_t device;  /**< all of the below */
	uint64_t sealed;  /**< encoded blocks */
	uint64_t open;    /**< half blocks: tails, sinks, uncompressed layers */
	uint64_t tables;  /**< block tables */
	uint64_t scratch; /**< plans, partial results */
	uint64_t host;    /**< host memory */
	double per_token; /**< of one token more of a long text, sealed, all layers, tables included: of
	                           entropy-coded recipes the most; where tokens are selected, of a number
	                           of slots what layers take that select none (skip), of a share of the
	                           tokens that part of per_slot */
	double per_token_f16; /**< the same without compression and tables */
	uint64_t code_tables; /**< of entropy coding; part of device */
	uint64_t index;       /**< by which tokens are recalled; part of device */
	uint64_t recalled;    /**< slots of rows that place:host,via=copy keeps; part of device */
	double per_slot; /**< where tokens are selected: of one slot of each KV head, all layers that
	                           select, tables included; else 0 */
	/** Encoded blocks that lie in host memory (place:host), which sealed leaves out; part of host. via=map: OpenCL makes it
	 *  for the device, in the same buffers as what is open. */
	uint64_t host_sealed;
	uint64_t
		rotation; /**< what a file gives to turn rows by: matrices, steps, factors; part of device */
} clkv_bytes;

/** Computes the bytes of a cache that isn't made. A recipe of fixed rate takes exactly max_tokens tokens in them; of one whose
 *  blocks have their own size (kvcomp) it's the room for max_tokens tokens that don't shrink, and as
 *  many more fit in as they do shrink. Any thread; never blocks. Errors: INVALID_ARGUMENT, INVALID_RECIPE,
 *  UNSUPPORTED. Since 0.1. */
CLKV_API clkv_status clkv_bytes_required(clkv_context *context, const clkv_geometry *geometry,
                                         const char *recipe, const clkv_cache_options *options,
                                         clkv_bytes *bytes, clkv_error *error);

/** What sequences take of a cache's memory at a length. Reserved it is whole (clkv_bytes_required): this is how much of it
 *  is in use, as clkv_stats and clkv_seq_info of such a cache say. Scratch, code tables, the newest queries (obs) and slots of
 *  recalled rows aren't in it: they don't depend on lengths. */
typedef struct clkv_bytes_used {
	size_t struct_size;
	int exact;       /**< 1: to the byte. 0: the most that it may be, as blocks have their own size
	                (kvcomp), or scores and keys decide how much each head keeps */
	uint64_t device; /**< all of the next four */
	uint64_t sealed; /**< encoded blocks: clkv_stats.used_sealed */
	uint64_t open;   /**< half blocks: clkv_stats.used_open */
	uint64_t tables; /**< clkv_stats.used_tables */
	uint64_t index;  /**< by which tokens are recalled, with codebooks */
	uint64_t host;   /**< encoded blocks in host memory: clkv_stats.used_host */
	uint64_t sequence;      /**< clkv_seq_info.bytes of each sequence */
	uint64_t sequence_host; /**< clkv_seq_info.host_bytes of each */
	size_t sealed_tokens;   /**< clkv_seq_info.sealed of each */
} clkv_bytes_used;

/** Computes what n_sequences sequences of n_tokens tokens each, which share nothing, have in use of the cache that these
 *  options make, without making it. sealed 1: each is a prompt whose end was committed, in steps of max_step_tokens rows;
 *  what stays in half are its sinks, its window and, of recipes that have an index, what is too short for a segment
 *  (generation adds less than a block, or less than a segment, before it seals again). sealed 0: nothing has left its half
 *  blocks, as until the end of a prompt that is sealed there (seal=prompt): the most that it will take in half. May be
 *  called at any time by any thread; never blocks.
 *  Errors: INVALID_ARGUMENT (more than the options allow), INVALID_RECIPE, UNSUPPORTED, POOL_FULL (so many half blocks
 *  there are not: see max_open_tokens). Since 0.1. */
CLKV_API clkv_status clkv_bytes_at(clkv_context *context, const clkv_geometry *geometry,
                                   const char *recipe, const clkv_cache_options *options,
                                   size_t n_tokens, size_t n_sequences, int sealed,
                                   clkv_bytes_used *bytes, clkv_error *error);

CLKV_END_DECLS

#endif
