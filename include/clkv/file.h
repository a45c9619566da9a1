/* SPDX-License-Identifier: MIT */
/** \file clkv/file.h \brief Sequences, codebooks and rotations as bytes. */
#ifndef CLKV_FILE_H
#define CLKV_FILE_H

#include "base.h"
#include "cache.h"
#include "geometry.h"
#include "tensor.h"

CLKV_BEGIN_DECLS

/** Takes size bytes (at least 1). Returns size, or less on failure, as fwrite does. */
typedef size_t (*clkv_write_fn)(void *opaque, const void *data, size_t size);

/** Fills in at most size bytes (at least 1) and returns how many; 0 at the end or on failure. It may
 *  bring fewer than it was asked for, as read does, and is asked again. */
typedef size_t (*clkv_read_fn)(void *opaque, void *data, size_t size);

/** Writes a sequence, with checksums; doc/file-format.md describes the bytes. recipe NULL: as it is stored, so that loading
 *  it into a cache of the same recipe gives the same bits, and so does whatever comes next: indexes and a codebook or its
 *  file's number, chosen tokens with their states, and the newest queries are in the file. Another recipe, such as
 *  "kvcomp ; window=0": decodes and encodes anew, through a cache of that recipe that exists for the length of the call; of rows
 *  alone, so neither may select tokens (UNSUPPORTED). The sequence stays as it is. Not while the cache has an open step,
 *  and none may begin before it returns (BUSY). Blocks until all is written. Errors: IO (write took less than it was
 *  given), BUSY, INVALID_RECIPE, UNSUPPORTED, NO_HOST_MEMORY, NO_DEVICE_MEMORY, OPENCL, BUILD. Since 0.1. */
CLKV_API clkv_status clkv_seq_save(clkv_seq *seq, const char *recipe, cl_command_queue queue,
                                   clkv_write_fn write, void *opaque, clkv_error *error);

/** Reads a sequence that clkv_seq_save wrote, and no byte behind it. It goes in as it is if the recipe's stages and its
 *  block, sinks and skip are the cache's, and if no more tokens are open than the cache's window allows; where tokens are
 *  selected, if all of the recipe is the cache's, and nowhere else. Else it is decoded, through a cache of the file's
 *  recipe that exists for the length of the call (its kernel is built when every record has been checked), and appended as
 *  a prompt, which the cache's own recipe seals. q heads, scale, softcap and windows of the geometry may differ. So may
 *  rope.by_library: a file's keys are rotated, and aren't again; that it was by the same rope is the caller's to know. Not
 *  while the cache has an open step, and none may begin before it returns (BUSY). Blocks until done. On failure the cache
 *  holds what it held. Errors: CORRUPT (says which part is damaged), UNSUPPORTED (another geometry, an unknown recipe or
 *  version, rows turned by another rotation, an index by another codebook, selected tokens of another recipe, queries of
 *  another number of heads), POOL_FULL, IO (read returned more than it was asked for), BUSY, NO_HOST_MEMORY,
 *  NO_DEVICE_MEMORY, OPENCL, BUILD. Since 0.1. */
CLKV_API clkv_status clkv_seq_load(clkv_cache *cache, cl_command_queue queue, clkv_read_fn read,
                                   void *opaque, clkv_seq **out, clkv_error *error);

/** Where ranges of any sequence of a cache may begin: at 0, and at first + i * every, as far as blocks have been sealed there. */
typedef struct clkv_ranges {
	size_t struct_size;
	size_t first; /**< sinks of the recipe, or 0 if it seals nothing */
	size_t every; /**< tokens of a block, or 1 if it seals nothing */
} clkv_ranges;

/** Fills ranges, by the recipe of the sequence's cache alone: what stores must know that cut texts into chunks of whole blocks. Never
 *  blocks. Errors: INVALID_ARGUMENT, UNSUPPORTED (the recipe doesn't keep all tokens, or its layers= have blocks that
 *  begin at no common place). Since 0.1. */
CLKV_API clkv_status clkv_seq_get_ranges(const clkv_seq *seq, clkv_ranges *ranges,
                                         clkv_error *error);

/** Tells the last place at or before `at` (which may be behind the end) where a range of this sequence may begin: behind
 *  the sinks, between two sealed blocks of all layers or behind the last; else 0. A prompt's end and clkv_seq_truncate
 *  leave blocks that aren't full, and move the places behind them. Never blocks. Since 0.1. */
CLKV_API size_t clkv_seq_range_start(const clkv_seq *seq, size_t at);

/** Writes tokens from .. to - 1 of a sequence as they are stored, for clkv_seq_load_range. from must be a place of
 *  clkv_seq_range_start; to may be any. Tokens that are sealed come in their blocks, bit for bit (of a block that to cuts,
 *  the tokens before it count); those in half (sinks, if from is 0; what lies behind the last sealed block; layers that
 *  seal nothing) come in half. Code tables travel with the blocks that use them. No index and no queries do; sequences with
 *  selected tokens have no ranges (UNSUPPORTED). From 0 on it's otherwise what clkv_seq_save would write of the sequence
 *  truncated to `to`, which clkv_seq_load reads too. The sequence stays as it is. Not while the cache has an open step, and
 *  none may begin before it returns (BUSY). Blocks until all is written. Errors: INVALID_ARGUMENT (from isn't such a place,
 *  or not below to, or to is behind the end), UNSUPPORTED, IO, BUSY, NO_HOST_MEMORY, OPENCL. Since 0.1. */
CLKV_API clkv_status clkv_seq_save_range(clkv_seq *seq, size_t from, size_t to,
                                         cl_command_queue queue, clkv_write_fn write, void *opaque,
                                         clkv_error *error);

/** Appends a range that clkv_seq_save_range wrote to a sequence that has as many tokens as lie before it: keys are rotated
 *  by their positions, so a range is right at its own place only (INVALID_STATE names it). That what lies before it is the
 *  same text is the caller's to know. Also reads what clkv_seq_save wrote, into an empty sequence. Blocks go in as they
 *  are, under the conditions of clkv_seq_load, and if the sequence has no tokens in half but sinks: as behind a range that
 *  ended where one may begin. Else rows are decoded and appended as a part of a prompt, which the cache's own recipe seals;
 *  the prompt's end is yours to say (clkv_seq_end_prompt, or its last rows). Queries that stages have seen are in no range.
 *  What comes of it is made beside what there is: one sequence more must be allowed than exist (max_sequences). All or
 *  nothing. Otherwise as clkv_seq_load, with its errors and INVALID_STATE. Since 0.1. */
CLKV_API clkv_status clkv_seq_load_range(clkv_seq *seq, cl_command_queue queue, clkv_read_fn read,
                                         void *opaque, clkv_error *error);

/** Tells what clkv_encode of n_tokens rows writes at most. Never blocks. Errors: INVALID_ARGUMENT, INVALID_RECIPE, UNSUPPORTED.
 *  Since 0.1. */
CLKV_API clkv_status clkv_encode_bound(clkv_context *context, const clkv_geometry *geometry,
                                       const char *recipe, size_t n_tokens, uint64_t *bytes,
                                       clkv_error *error);

/** Encodes rows of all layers that belong to no sequence, for stores and transports whose chunks stand alone: k and v
 *  [layers], each [n_tokens][kv_heads][head size], keys behind RoPE by whatever positions they have. Writes what
 *  clkv_seq_save would write of a sequence of these rows whose prompt has ended: with "window=0 ; sinks=0" all rows are
 *  encoded, and their number should be a multiple of the recipe's block. options (may be NULL): rotation, calibration, model and seed
 *  of recipes that want them; the sizes are taken from n_tokens. Makes a cache for the length of the call. Blocks until all is
 *  written.
 *  Errors: those of clkv_cache_create and clkv_seq_save. Since 0.1. */
CLKV_API clkv_status clkv_encode(clkv_context *context, const clkv_geometry *geometry,
                                 const char *recipe, const clkv_cache_options *options,
                                 size_t n_tokens, const clkv_tensor *k, const clkv_tensor *v,
                                 cl_command_queue queue, clkv_write_fn write, void *opaque,
                                 clkv_error *error);

/** Decodes what clkv_encode or clkv_seq_save wrote into k and v [layers], each [n_tokens][kv_heads][head size]; n_tokens must be
 *  the file's (UNSUPPORTED says how many it has). The recipe is the file's; options as of clkv_encode. Blocks until done. On
 *  failure k and v may have been written to. Errors: CORRUPT, UNSUPPORTED, IO, and those of clkv_cache_create. Since 0.1. */
CLKV_API clkv_status clkv_decode(clkv_context *context, const clkv_geometry *geometry,
                                 const clkv_cache_options *options, size_t n_tokens,
                                 const clkv_tensor *k, const clkv_tensor *v, cl_command_queue queue,
                                 clkv_read_fn read, void *opaque, clkv_error *error);

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
