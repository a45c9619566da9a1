/* SPDX-License-Identifier: MIT */
/** \file clkv/sequence.h \brief Sequences: made, forked, cut, asked, read. */
#ifndef CLKV_SEQUENCE_H
#define CLKV_SEQUENCE_H

#include "base.h"
#include "tensor.h"

CLKV_BEGIN_DECLS

/** Makes an empty sequence. Also while a step is open. Never blocks. Errors: INVALID_ARGUMENT, POOL_FULL when max_sequences
 *  exist, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_seq_create(clkv_cache *cache, clkv_seq **out, clkv_error *error);

/** Makes a second sequence with the same tokens. Blocks are shared until one of the two writes to them. Never blocks.
 *  Errors: INVALID_ARGUMENT, POOL_FULL, BUSY (an open step holds the sequence), NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_seq_fork(clkv_seq *seq, clkv_seq **out, clkv_error *error);

/** Gives each of n different sequences of one cache what another of them, or itself, holds: seqs[i] becomes what seqs[from[i]]
 *  was before the call, as beam search does after each step. Blocks are shared as by clkv_seq_fork, but no room for more
 *  sequences is needed; a beam that nobody wants is freed, and one that is wanted once costs nothing. All or nothing. Never
 *  blocks. Errors: INVALID_ARGUMENT (a sequence twice, or of another cache; from[i] not below n), BUSY (an open step
 *  holds one of them), NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_seq_reorder(clkv_seq *const *seqs, const size_t *from, size_t n,
                                      clkv_error *error);

/** Frees the blocks that no other sequence shares. Inside an open step that happens when the step ends, and the sequence
 *  can't be used for anything else till then. NULL is allowed. Never blocks. Since 0.1. */
CLKV_API void clkv_seq_destroy(clkv_seq *seq);

/** Keeps the first n_tokens tokens. Down to min_length of clkv_seq_info; below it only 0 is allowed, else refused
 *  (INVALID_ARGUMENT). An empty sequence is like a new one. Since 0.1. */
CLKV_API clkv_status clkv_seq_truncate(clkv_seq *seq, size_t n_tokens, clkv_error *error);

/** X(name, value, text): what tokens in half that are neither sinks nor in the window are waiting for. Values are pinned. */
#define CLKV_WAITS_LIST(X)                                                                         \
	X(CLKV_WAITS_WINDOW, 0, "nothing but sinks, window and part of a block is in half")            \
	X(CLKV_WAITS_NEVER, 1, "the recipe seals nothing")                                             \
	X(CLKV_WAITS_PROMPT_END, 2, "they are sealed when their prompt ends")                          \
	X(CLKV_WAITS_INDEX, 3, "they are too few for an index or a codebook")                          \
	X(CLKV_WAITS_BUDGET, 4, "each token has a slot of the budget")                                 \
	X(CLKV_WAITS_ROOM, 5, "the index has no room for them")

typedef enum clkv_waits {
#define CLKV_X(name, value, text) name = value,
	CLKV_WAITS_LIST(CLKV_X)
#undef CLKV_X
} clkv_waits;

/** Names the reason ("they are too few for an index or a codebook"); never NULL. Since 0.1. */
CLKV_API const char *clkv_waits_string(clkv_waits waits);

typedef struct clkv_seq_info {
	size_t struct_size;
	size_t length; /**< tokens */
	/** Truncate goes down to here: above 0 where tokens were selected, or have left the sliding window of a layer that keeps
	 *  no more (layers=). */
	size_t min_length;
	/** Tokens in encoded blocks (of the layer that seals most); where tokens are selected, those that left the window, kept
	 *  or not. */
	size_t sealed;
	uint64_t
		bytes; /**< device bytes that hold it: blocks in use (shared ones in full), table entries */
	uint64_t host_bytes; /**< of its sealed blocks, if these lie in host memory */
	/** Why what is in half hasn't been sealed; of recipes by layer, of that which seals next. */
	clkv_waits waits;
	/** Length at which a commit of generation seals next, one row at a time; not above length: the next commit. May be more
	 *  than the sequence can hold. 0: none will. A prompt's end seals all but the window, partial blocks too, once in the
	 *  life of a sequence. */
	size_t seals_at;
} clkv_seq_info;

/** Fills info. Never blocks. Errors: INVALID_ARGUMENT. Since 0.1. */
CLKV_API clkv_status clkv_seq_get_info(const clkv_seq *seq, clkv_seq_info *info, clkv_error *error);

/** Decodes rows from .. from + n - 1 of one layer into k and v [n][kv_heads][head size]; either may
 *  be NULL. k is rotated, whoever did it. Blocks until done. For checks and export.
 *  Errors: INVALID_ARGUMENT (rows that aren't there, or of which only some tokens were kept), BUSY (a step is open),
 *  OPENCL, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_seq_read(clkv_seq *seq, int layer, size_t from, size_t n,
                                   const clkv_tensor *k, const clkv_tensor *v,
                                   cl_command_queue queue, clkv_error *error);

/** What a KV head has kept of the tokens behind the sinks and before the tail, of recipes that select tokens
 *  (zeromerge, h2o, ...): merged slots first, then tokens in the order of time. Any of the arrays may be NULL;
 *  room is how many slots the others hold. */
typedef struct clkv_kept {
	size_t struct_size;
	size_t room;
	size_t n;    /**< out: slots that there are */
	size_t tail; /**< out: tokens from this one on, and the sinks, lie in half, all of them */
	uint32_t *positions; /**< [room] of a merged slot: its newest token's */
	float *weights;      /**< [room] tokens that the slot stands for */
	float *scores;       /**< [room] by which it was last judged */
	float *k, *v;        /**< [room][head size] as attention reads them */
} clkv_kept;

/** Fills kept for one KV head of a layer. Blocks until done. For checks and export.
 *  Errors: INVALID_ARGUMENT (n says what room must be), UNSUPPORTED (the recipe keeps all tokens), BUSY
 *  (a step is open). Since 0.1. */
CLKV_API clkv_status clkv_seq_get_kept(clkv_seq *seq, int layer, int kv_head, clkv_kept *kept,
                                       cl_command_queue queue, clkv_error *error);

/** Ends a prompt whose last rows were committed with CLKV_PROMPT: seals and selects as the commit of CLKV_PROMPT_END would,
 *  with no new rows. For engines that don't know which rows are a prompt's last. With recipes that seal a prompt at its end
 *  (seal=prompt) the sequence becomes what it would be, bit for bit, had the last rows come with CLKV_PROMPT_END; with
 *  seal=chunk the earlier commits have sealed whole blocks, as ever. Does nothing where a prompt's end has nothing to do.
 *  Stages that choose tokens by the attention of the newest rows (snapkv, morphkv, corm, ...) need that the last committed
 *  step kept all its rows of the sequence and was attended with, or observed, in all layers that seal, and that nothing was
 *  cut off since: else INVALID_STATE.
 *  A stage that judges by rows of CLKV_REREAD (kvzip) needs that such rows have read the sequence since tokens were added last:
 *  else INVALID_STATE, and at a later prompt's end what came since stays beside the slots. So it is in a sequence that was
 *  saved and loaded between its reading and its prompt's end: read it once more.
 *  Enqueues on queue as a commit does. On failure the sequence is as before. Errors: INVALID_ARGUMENT, INVALID_STATE, BUSY
 *  (the cache has an open step), POOL_FULL, OPENCL, BUILD, NO_HOST_MEMORY, NO_DEVICE_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_seq_end_prompt(clkv_seq *seq, cl_command_queue queue, clkv_error *error);

/** Removes tokens from .. to - 1; those behind move forward by to - from positions, as engines that run out of context do.
 *  Keys are turned back by that many positions, if the geometry's rope says how (kind; whoever rotated them); with kind 0
 *  they stay as they are. Rows that move are decoded, turned, and appended in half: what leaves the window is sealed anew, so
 *  codes lose once more what they lose; rows in half are rounded once more. Tokens before `from` aren't touched, nor
 *  are forks. The next row's position is the new length.
 *  Of the newest tokens (to = length) it's clkv_seq_truncate. Else what is left is made beside what there is: one sequence more
 *  must be allowed than exist (max_sequences), and the pool must have room for the tokens behind `to` once more. Then the
 *  old ones are freed: all or nothing. Tokens that were selected stay in order: from must be min_length of clkv_seq_info at
 *  least (INVALID_ARGUMENT). Recipes that look at queries, or leave out channels, are refused (UNSUPPORTED names the
 *  stage): what they keep belongs to the positions that tokens had. With layers= one such recipe is enough, and of layers
 *  that keep only a sliding window from must be min_length as well.
 *  Not while the cache has an open step, and none may begin before it returns (BUSY). Blocks: each row that moves comes to
 *  the host. Errors: INVALID_ARGUMENT, UNSUPPORTED, BUSY, POOL_FULL, OPENCL, BUILD, NO_HOST_MEMORY, NO_DEVICE_MEMORY.
 *  Since 0.1. */
CLKV_API clkv_status clkv_seq_remove(clkv_seq *seq, size_t from, size_t to, cl_command_queue queue,
                                     clkv_error *error);

CLKV_END_DECLS

#endif
