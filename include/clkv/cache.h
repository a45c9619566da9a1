/* SPDX-License-Identifier: MIT */
/** \file clkv/cache.h \brief Caches: made, built ahead, asked what may block, destroyed. */
#ifndef CLKV_CACHE_H
#define CLKV_CACHE_H

#include "base.h"
#include "geometry.h"

CLKV_BEGIN_DECLS

typedef struct clkv_cache_options {
	size_t struct_size;
	size_t max_tokens;      /**< of all sequences together; must be set */
	size_t max_step_tokens; /**< new rows of one step; 0: 512 (or max_tokens if fewer) */
	size_t max_sequences;   /**< 0: 1 */
	size_t max_seq_tokens;  /**< of one sequence; 0: max_tokens */
	size_t max_bytes;       /**< refuse to create a cache above this; 0: no limit */
	size_t max_host_bytes;  /**< the same for host memory (tables' mirrors, staging) */
	uint64_t seed;          /**< of stages that draw at random */
	/** What clkv_seq_save_codebook wrote, for recipes with a codebook (a2ats); read during the call. NULL: each sequence's
	 *  first prompt trains its own. Not with layers=. */
	const void *codebook;
	size_t codebook_size;
	/** The caller's number for the model's weights: must be the codebook's, and those of other files. */
	uint64_t model;
	size_t max_open_tokens; /**< that lie in half at once, of all sequences; 0: max_tokens. Prompts
	                             that are sealed at their end (seal=prompt) must fit in; begin answers
	                             POOL_FULL when there is no room. Layers that never seal have room for
	                             max_tokens all the same */
	const void *rotation;   /**< of recipes with rot=file, which need one: what clkv_rotation_write
	                             or clkv-train --for rotation wrote, read during the call; its model
	                             must be `model`. With layers= too it's of all layers */
	size_t rotation_size;
	const void *
		calibration; /**< of recipes with qtc, which need one: what clkv_calibration_write or clkv-train --for qtc
	                              wrote, as rotation is given */
	size_t calibration_size;
	const void *
		factors; /**< of recipes with lowrank, lorc, recalkv, clla, cskv or csr, which need one: what clkv_factors_write or
	                           clkv-train wrote, as rotation is given */
	size_t factors_size;
} clkv_cache_options;

/** Makes a cache: allocates all memory that it will ever take, and builds kernels that the device may refuse. Blocks.
 *  Errors: INVALID_ARGUMENT, INVALID_RECIPE, UNSUPPORTED, NO_HOST_MEMORY, NO_DEVICE_MEMORY, OPENCL,
 *  BUILD. Since 0.1. */
CLKV_API clkv_status clkv_cache_create(clkv_context *context, const clkv_geometry *geometry,
                                       const char *recipe, const clkv_cache_options *options,
                                       clkv_cache **out, clkv_error *error);

/** Is told that `done` of `total` programs are built and which was the last (a file's name; "" before the first). Anything
 *  but 0 stops: what is being built is finished, and no other program is begun. */
typedef int (*clkv_progress_fn)(void *opaque, size_t done, size_t total, const char *name);

/** Builds on purpose every program that the cache may ever need and doesn't have yet, on as many threads as there are
 *  cores, so that no later call on the cache waits for a compiler. progress (may be NULL) is called by the
 *  calling thread, with done from 0 to total; never, if there is nothing to build. Stopped by it, the function returns
 *  CLKV_OK: what is missing is built when it is needed. Steps may go on meanwhile, on other threads; the cache must not be destroyed.
 *  What a driver compiles no earlier than at a kernel's first launch (PoCL its work-group functions) can't be had by
 *  this call: OpenCL has no means for it. Where clkv_seq_save and clkv_seq_load go through another recipe, they build its
 *  programs. Errors: BUILD, OPENCL, NO_HOST_MEMORY; what was built stays, and the cache is as usable as before.
 *  Since 0.1. */
CLKV_API clkv_status clkv_cache_warm(clkv_cache *cache, clkv_progress_fn progress, void *opaque,
                                     clkv_error *error);

/** X(name, value, function): calls on a cache, its steps and sequences that may block. Values are pinned. */
#define CLKV_CALL_LIST(X)                                                                          \
	X(CLKV_CALL_STEP_BEGIN, 0, "clkv_step_begin")                                                  \
	X(CLKV_CALL_STEP_APPEND, 1, "clkv_step_append")                                                \
	X(CLKV_CALL_STEP_OBSERVE, 2, "clkv_step_observe")                                              \
	X(CLKV_CALL_STEP_ATTEND, 3, "clkv_step_attend")                                                \
	X(CLKV_CALL_STEP_COMMIT, 4, "clkv_step_commit")                                                \
	X(CLKV_CALL_STEP_ABORT, 5, "clkv_step_abort")                                                  \
	X(CLKV_CALL_SEQ_READ, 6, "clkv_seq_read")                                                      \
	X(CLKV_CALL_SEQ_GET_KEPT, 7, "clkv_seq_get_kept")                                              \
	X(CLKV_CALL_SEQ_SAVE, 8, "clkv_seq_save")                                                      \
	X(CLKV_CALL_SEQ_LOAD, 9, "clkv_seq_load")                                                      \
	X(CLKV_CALL_SEQ_SAVE_CODEBOOK, 10, "clkv_seq_save_codebook")                                   \
	X(CLKV_CALL_CACHE_WARM, 11, "clkv_cache_warm")                                                 \
	X(CLKV_CALL_CACHE_DESTROY, 12, "clkv_cache_destroy")                                           \
	X(CLKV_CALL_SEQ_END_PROMPT, 13, "clkv_seq_end_prompt")                                         \
	X(CLKV_CALL_SEQ_REMOVE, 14, "clkv_seq_remove")                                                 \
	X(CLKV_CALL_SEQ_SAVE_RANGE, 15, "clkv_seq_save_range")                                         \
	X(CLKV_CALL_SEQ_LOAD_RANGE, 16, "clkv_seq_load_range")

typedef enum clkv_call {
#define CLKV_X(name, value, function) name = value,
	CLKV_CALL_LIST(CLKV_X)
#undef CLKV_X
} clkv_call;

/** What a call may wait for. */
typedef enum clkv_blocks {
	CLKV_BLOCKS_DEVICE = 1,  /**< until the device has done something */
	CLKV_BLOCKS_COMPILER = 2 /**< until a program is built, or read from the cache of programs */
} clkv_blocks;

/** Says what a call on this cache may wait for: 0 for nothing, else CLKV_BLOCKS_* added up. The answer follows from the
 *  recipe and, of compilers, from what is built by now: behind clkv_cache_warm no call of a step meets one. *why (may be
 *  NULL) becomes a text that needs no release; "" for 0. Functions that CLKV_CALL_LIST doesn't name never block, but for
 *  clkv_context_create, clkv_context_open, clkv_cache_create, clkv_encode and clkv_decode. Not in it: that begin and commit
 *  wait when the device hasn't yet read what the fourth write before this one sent, and that calls of other threads on the same
 *  cache wait while one is inside begin or commit. Any thread. Since 0.1. */
CLKV_API unsigned clkv_cache_blocks(const clkv_cache *cache, clkv_call call, const char **why);

/** The function's name; never NULL. Since 0.1. */
CLKV_API const char *clkv_call_string(clkv_call call);

/** Drops an open step and all sequences with it; waits for the device. NULL is allowed. */
CLKV_API void clkv_cache_destroy(clkv_cache *cache);

/** Tells how many of the newest rows of a prompt must be attended with, or observed, not only appended: 0 for recipes that don't
 *  look at queries, SIZE_MAX for those that weigh tokens by the attention of all rows. Since 0.1. */
CLKV_API size_t clkv_cache_observes(const clkv_cache *cache);

/** Tells whether the recipe weighs tokens by attention, so that clkv_step_observe needs log-sum-exps: 1 or 0. Since 0.1. */
CLKV_API int clkv_cache_weighs(const clkv_cache *cache);

/** Tells whether the recipe judges a prompt's tokens by rows that read it again (CLKV_REREAD), which the caller has to make
 *  before the prompt's end: 1 or 0. Since 0.1. */
CLKV_API int clkv_cache_rereads(const clkv_cache *cache);

CLKV_END_DECLS

#endif
