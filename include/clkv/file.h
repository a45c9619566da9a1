/* SPDX-License-Identifier: MIT */
/** \file clkv/file.h \brief Sequences, codebooks and rotations as bytes. */
#ifndef CLKV_FILE_H
#define CLKV_FILE_H

#include "base.h"
#include "geometry.h"

CLKV_BEGIN_DECLS

/** Takes size bytes (at least 1). Returns size, or less on failure, as fwrite does. */
typedef size_t (*clkv_write_fn)(void *opaque, const void *data, size_t size);

/** Fills in at most size bytes (at least 1) and returns how many; 0 at the end or on failure. It may
 *  bring fewer than it was asked for, as read does, and is asked again. */
typedef size_t (*clkv_read_fn)(void *opaque, void *data, size_t size);

/** Writes a sequence, with checksums; doc/file-format.md describes the bytes. recipe NULL: as it is
 *  stored, so that loading it into a cache of the same recipe gives the same bits. Another recipe, such
 *  as "kvcomp ; window=0": decodes and encodes anew, through a cache of that recipe that exists for the
 *  length of the call. The sequence stays as it is. Not while the cache has an open step, and none may
 *  begin before it returns (BUSY). Blocks until all is written. Errors: IO (write took less than it was given), BUSY, INVALID_RECIPE,
 *  UNSUPPORTED, NO_HOST_MEMORY, NO_DEVICE_MEMORY, OPENCL, BUILD. Since 0.1. */
CLKV_API clkv_status clkv_seq_save(clkv_seq *seq, const char *recipe, cl_command_queue queue,
                                   clkv_write_fn write, void *opaque, clkv_error *error);

/** Reads a sequence that clkv_seq_save wrote, and no byte behind it. It goes in as it is if the recipe's stages
 *  and its block, sinks and skip are the cache's, and if no more tokens are open than the cache's window
 *  allows. Else it is decoded, through a cache of the file's recipe that exists for the length of the call
 *  (its kernel is built when every record has been checked), and appended as a prompt, which the cache's own
 *  recipe seals. q heads, scale, softcap and windows of the geometry may differ. So may rope.by_library: a
 *  file's keys are rotated, and aren't again; that it was by the same rope is the caller's to know. Not while the cache has an open step, and none may begin before it
 *  returns (BUSY). Blocks until done. On failure the cache holds what it held.
 *  Errors: CORRUPT (says which part is damaged), UNSUPPORTED (another geometry, an unknown recipe or version,
 *  rows turned by another rotation),
 *  POOL_FULL, IO (read returned more than it was asked for), BUSY, NO_HOST_MEMORY, NO_DEVICE_MEMORY, OPENCL,
 *  BUILD. Since 0.1. */
CLKV_API clkv_status clkv_seq_load(clkv_cache *cache, cl_command_queue queue, clkv_read_fn read,
                                   void *opaque, clkv_seq **out, clkv_error *error);

/** Writes the codebooks of a sequence, for clkv_cache_options.codebook of later caches: what a long prompt of
 *  many kinds of text has trained serves all sequences of that model, at once and from their first token on.
 *  model: any number that tells its weights from others'. doc/file-format.md describes the bytes. Blocks until all
 *  is written. Errors: INVALID_STATE (the recipe has no codebook or is one by layer, or the sequence has none yet), BUSY, IO,
 *  NO_HOST_MEMORY, OPENCL. Since 0.1. */
CLKV_API clkv_status clkv_seq_save_codebook(clkv_seq *seq, uint64_t model, cl_command_queue queue,
                                            clkv_write_fn write, void *opaque, clkv_error *error);

/** Writes orthogonal matrices, for clkv_cache_options.rotation of caches with rot=file. A row x of a layer's KV head is stored
 *  as x R, with R of k [layers][kv_heads][head_dim_k][head_dim_k] for keys and of v
 *  [layers][kv_heads][head_dim_v][head_dim_v] for values: [channel of the model][channel as stored]. Keys are behind RoPE.
 *  R R^T may differ from the identity by 2^-16 in each entry. model: any number that tells the model's weights from others'.
 *  doc/file-format.md describes the bytes. Any thread; waits for write alone. Errors: INVALID_ARGUMENT, CORRUPT (a matrix that
 *  isn't finite or orthogonal), IO, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_rotation_write(const clkv_geometry *geometry, uint64_t model,
                                         const float *k, const float *v, clkv_write_fn write,
                                         void *opaque, clkv_error *error);

CLKV_END_DECLS

#endif
