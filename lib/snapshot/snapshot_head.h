/* SPDX-License-Identifier: MIT */
/** \file snapshot_head.h \brief What a snapshot says of its sequence before its pages come. */
#ifndef CLKV__SNAPSHOT_HEAD_H
#define CLKV__SNAPSHOT_HEAD_H

#include "plan/plan.h"
#include "snapshot/snapshot_stream.h"
#include "store/cache.h"

struct clkv__snapshot_head {
	uint32_t layers, kv_heads, dk, dv;
	uint32_t from; /**< first token: those before it aren't in the file */
	uint32_t length, tail;
	uint32_t
		blocks; /**< sealed pages of each (layer, KV head) that seals; of selected tokens: of the head that has most,
	                      merged slots among them */
	uint32_t bands; /**< of the header of all bands: how many follow; else 0 */
	uint32_t parts; /**< CLKV__HEAD_STATE: what the file has of it */
	bool attended;  /**< the newest row was attended with: what the newest queries are good for */
	bool stateful;  /**< of the header of all bands: some have parts */
	bool left_partial;
	bool rotated;      /**< by matrices of a file */
	uint64_t rotation; /**< which: clkv__given_checksum of the file; else 0 */
	char recipe[CLKV__RECIPE_TEXT];
};

/** What of a sequence a file holds: tokens [from, to), and of all of them the state beside their rows, or these alone. */
struct clkv__range {
	uint32_t from, to;
	bool state;
};

/** Fills in the header of one band of a range of a sequence; that of all its bands. Returns the number of the range's first
 *  sealed page. */
uint32_t clkv__head_of(const clkv_seq *seq, const struct clkv__range *range,
                       struct clkv__snapshot_head *head);
void clkv__head_of_all(const clkv_seq *seq, const struct clkv__range *range,
                       struct clkv__snapshot_head *head);

/** Tokens of a sequence or a range behind its last sealed one, sinks left out. */
uint32_t clkv__head_open(const struct clkv__snapshot_head *head, const struct clkv__plan *plan);

/** Errors: UNSUPPORTED (another geometry). */
clkv_status clkv__head_geometry(const struct clkv__snapshot_head *head,
                                const struct clkv__shape *shape, clkv_error *error);

clkv_status clkv__head_put(struct clkv__snapshot_out *out, const struct clkv__snapshot_head *head,
                           clkv_error *error);

/** Errors: CORRUPT, UNSUPPORTED (a version of the format that this library doesn't know). */
clkv_status clkv__head_get(struct clkv__snapshot_in *in, struct clkv__snapshot_head *head,
                           clkv_error *error);

/** Whether the file's sequence is of this shape, and its numbers of what its recipe makes of it. plan
 *  gets the file's recipe on this shape. Errors: UNSUPPORTED (another geometry, a recipe unknown here),
 *  CORRUPT. */
clkv_status clkv__head_check(const struct clkv__snapshot_in *in,
                             const struct clkv__snapshot_head *head,
                             const struct clkv__shape *shape, struct clkv__plan *plan,
                             clkv_error *error);

/** Whether the cache has what the file's rows were turned by. plan: of the file. Errors: UNSUPPORTED. */
clkv_status clkv__head_check_given(const struct clkv__snapshot_head *head,
                                   const struct clkv__plan *plan, const clkv_cache *cache,
                                   clkv_error *error);

/** Bytes of the records that the numbers of a checked header announce, at least and at most. */
uint64_t clkv__head_least(const struct clkv__snapshot_head *head, const struct clkv__plan *plan);
uint64_t clkv__head_most(const struct clkv__snapshot_head *head, const struct clkv__plan *plan);

/** Whether pages of a snapshot with this plan can go into the cache as they are. */
bool clkv__head_fits(const struct clkv__snapshot_head *head, const struct clkv__plan *plan,
                     const clkv_cache *cache);

#endif
