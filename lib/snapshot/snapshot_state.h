/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_state.h
 * \brief   What a sequence has beside its rows: kinds of it, a row each.
 *
 * A kind is records of its own, named by a bit of the header's flags. What is loaded is entered into the sequence as it comes, so
 * that dropping the sequence frees it, and is checked before the device sees it.
 */
#ifndef CLKV__SNAPSHOT_STATE_H
#define CLKV__SNAPSHOT_STATE_H

#include "snapshot/snapshot_head.h"

/** A sequence on its way: to `out`, or from `in`. */
struct clkv__state_io {
	clkv_seq *seq;
	cl_command_queue queue;
	const struct clkv__snapshot_head *head;
	const struct clkv__plan *plan; /**< of the file */
	struct clkv__snapshot_out *out;
	struct clkv__snapshot_in *in;
	uint32_t *
		entries; /**< loading selected tokens: [layers][streams] sealed entries that rows will have */
};

struct clkv__state_part {
	uint32_t flag;
	bool before; /**< its records come before the rows, else behind them */
	/** Whether a recipe's sequences may have it. */
	bool (*asked)(const struct clkv__plan *plan);
	/** Whether a sequence has it. */
	bool (*has)(const clkv_seq *seq);
	/** Whether a cache wants it; else its records are read past. */
	bool (*taken)(const clkv_cache *cache);
	clkv_status (*put)(struct clkv__state_io *io, clkv_error *error);
	/** Errors: CORRUPT, UNSUPPORTED, POOL_FULL, and those of writing to the device. */
	clkv_status (*get)(struct clkv__state_io *io, bool taken, clkv_error *error);
};

extern const struct clkv__state_part clkv__state_choice, clkv__state_index, clkv__state_queries;

/** The bits of what a sequence has. */
uint32_t clkv__state_of(const clkv_seq *seq);

/** What is wrong with a file of this recipe that has these parts, or NULL. */
const char *clkv__state_doubt(uint32_t parts, const struct clkv__plan *plan);

/** All records that come before the rows, or behind them. */
clkv_status clkv__state_put(struct clkv__state_io *io, bool before, clkv_error *error);
clkv_status clkv__state_get(struct clkv__state_io *io, bool before, clkv_error *error);

/** Bytes of a buffer, once the device has done what the last commit owes. n ranges of them, each of its own place on the device and
 *  on the host. */
struct clkv__state_bytes {
	cl_mem mem;
	size_t at, n;
	void *host;
};
clkv_status clkv__state_fetch(const struct clkv__state_io *io,
                              const struct clkv__state_bytes *bytes, size_t n, clkv_error *error);
clkv_status clkv__state_send(const struct clkv__state_io *io, const struct clkv__state_bytes *bytes,
                             size_t n, clkv_error *error);

/** Reads a record whose kind, layer, pos and (unless 0) count are those of *want and whose size is want->bytes; its contents go
 *  to `to`, or are read past if that is NULL. */
clkv_status clkv__state_get_record(const struct clkv__state_io *io, const struct clkv__record *want,
                                   void *to, clkv_error *error);

/** Where tokens are selected, blocks begin with the state of their slots, of which `count` count. Tidy zeroes what doesn't count or
 *  no kernel writes; check says what in a file is wrong, or NULL, and how many slots stand for something. plan: of the file. */
void clkv__slots_tidy(const struct clkv__plan *plan, uint32_t count, unsigned char *state);
const char *clkv__slots_check(const struct clkv__plan *plan, uint32_t count, uint32_t length,
                              const unsigned char *state, uint32_t *live);

/** The same of the states of n open tokens as they lie in a record: scores and traces [2][n] words. */
enum { CLKV__OPEN_STATE = 8 };
void clkv__open_states_tidy(const struct clkv__plan *plan, uint32_t n, unsigned char *states);
const char *clkv__open_states_check(const struct clkv__plan *plan, uint32_t n,
                                    const unsigned char *states);

#endif
