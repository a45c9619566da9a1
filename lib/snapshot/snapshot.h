/* SPDX-License-Identifier: MIT */
/** \file snapshot.h \brief Sequences to a stream and back, and from one recipe to another. */
#ifndef CLKV__SNAPSHOT_H
#define CLKV__SNAPSHOT_H

#include "snapshot/snapshot_head.h"

/** Pages travel between device and stream in batches of at most so many, through a buffer of so many
 *  bytes, or of one page if that is larger. */
enum { CLKV__BATCH_PAGES = 64, CLKV__BATCH_BYTES = 1 << 20 };

/** Writes a sequence as it is stored, in all bands. */
clkv_status clkv__snapshot_write(clkv_seq *seq, cl_command_queue queue,
                                 struct clkv__snapshot_out *out, clkv_error *error);

/** Writes a range of it; it begins where one may. */
clkv_status clkv__snapshot_write_range(clkv_seq *seq, const struct clkv__range *range,
                                       cl_command_queue queue, struct clkv__snapshot_out *out,
                                       clkv_error *error);

/** A new sequence of one band, of its records: pages go in as they are. Of a range it holds nothing before that. On
 *  failure it's gone again. */
clkv_status clkv__snapshot_read(clkv_cache *cache, const struct clkv__snapshot_head *head,
                                const struct clkv__plan *plan, struct clkv__snapshot_in *in,
                                cl_command_queue queue, clkv_seq **out, clkv_error *error);

/** The same, behind what a sequence of that cache holds: head->from tokens, of which none lie in half but sinks, if the
 *  cache seals. On failure the sequence is good for being destroyed alone. */
clkv_status clkv__snapshot_read_into(clkv_seq *seq, const struct clkv__snapshot_head *head,
                                     const struct clkv__plan *plan, struct clkv__snapshot_in *in,
                                     cl_command_queue queue, clkv_error *error);

/** The sequence of a file whose first header has been read, checked: clkv_seq_load behind its own checks. Forgets what was
 *  fetched ahead. */
clkv_status clkv__snapshot_load(clkv_cache *cache, const struct clkv__snapshot_head *head,
                                struct clkv__snapshot_in *in, cl_command_queue queue,
                                clkv_seq **out, clkv_error *error);

/** A cache like this one but for the recipe and its use, for one sequence of so many tokens in so many sealed
 *  blocks of `block` tokens, or fewer. */
clkv_status clkv__snapshot_cache(const clkv_cache *like, enum clkv__cache_use use,
                                 const char *recipe, size_t tokens, size_t blocks, size_t block,
                                 clkv_cache **out, clkv_error *error);

/** Refuses recipes that don't keep all tokens. Errors: UNSUPPORTED names the stage, or the window. */
clkv_status clkv__snapshot_check(const struct clkv__plan *plan, clkv_error *error);

/** The same for all bands of a cache, which must have no open step. Errors: also BUSY. */
clkv_status clkv__snapshot_check_cache(clkv_cache *cache, clkv_error *error);

/** The same for all bands of a recipe, whose full text it becomes. Errors: also INVALID_ARGUMENT, INVALID_RECIPE. */
clkv_status clkv__snapshot_check_recipe(const clkv_context *context, const clkv_geometry *geometry,
                                        const char *recipe, char text[CLKV__RECIPE_TEXT],
                                        clkv_error *error);

/** Appends tokens of one sequence, from number first on, to another of another cache, as a prompt that ends with them or
 *  goes on. */
clkv_status clkv__snapshot_copy(clkv_seq *from, size_t first, clkv_seq *to, bool ends,
                                cl_command_queue queue, clkv_error *error);

#endif
