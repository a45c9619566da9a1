/* SPDX-License-Identifier: MIT */
/** \file clkv/step.h \brief A forward pass: begun, appended to, attended with, committed. */
#ifndef CLKV_STEP_H
#define CLKV_STEP_H

#include "base.h"
#include "tensor.h"

CLKV_BEGIN_DECLS

/** DECODE: rows of generation. PROMPT: a part of a prompt, more follows. PROMPT_END: the last part of
 *  a prompt: after its commit exactly `window` tokens stay unsealed (a later prompt's end leaves
 *  fewer than window + block, so that partial blocks don't pile up).
 *  PROBE: rows of queries over a sequence as it is, for what was computed before, for scores, for attention across
 *  sequences. They attend as one at the place of its last token would: all see all tokens (of a sliding window the newest),
 *  none is recalled or left out, and RoPE by the library takes that position. Nothing is appended, observed or
 *  reserved; commit (n_kept NULL) changes nothing, and abort does the same. All items of a step are probes, or none.
 *  REREAD: rows that read a prompt again, for recipes that judge its tokens by them (clkv_cache_rereads). They attend as a
 *  prompt's next rows would, to all tokens and to the rows before them in their item; the commit gives each token the largest
 *  weight of all rows of such steps, then drops the rows: length, and what a stage knows of newest queries, are as before. So the
 *  order of these steps doesn't matter. Whoever reads: commits a prompt's rows with PROMPT, all of them; makes steps of
 *  REREAD over it, in chunks, with words in front that ask to repeat it; calls clkv_seq_end_prompt. max_tokens and
 *  max_seq_tokens must have room for the rows of such a step. Of other recipes such steps change nothing. */
typedef enum clkv_phase {
	CLKV_DECODE = 0,
	CLKV_PROMPT = 1,
	CLKV_PROMPT_END = 2,
	CLKV_PROBE = 3,
	CLKV_REREAD = 4
} clkv_phase;

typedef struct clkv_step_item {
	clkv_seq *seq;
	size_t n_tokens; /**< new rows, at least 1; of PROBE rows of q; of REREAD rows that go again */
	clkv_phase phase;
} clkv_step_item;

/** Begins a forward pass over the new rows of n_items different sequences; rows follow each other in
 *  the order of items in k, v, q and out. Reserves every byte that the pass and its commit can need
 *  and enqueues one plan for all layers. All commands of the step go to queue (of the context's
 *  device, in-order or not; the library orders its own commands).
 *  Errors: INVALID_ARGUMENT, POOL_FULL (nothing has changed), BUSY, OPENCL, NO_HOST_MEMORY, UNSUPPORTED
 *  (a prompt on a sequence whose sealed tokens have left the device: place:host but via=map). */
CLKV_API clkv_status clkv_step_begin(clkv_cache *cache, const clkv_step_item *items, size_t n_items,
                                     cl_command_queue queue, clkv_step **out, clkv_error *error);

/** The same for rows that don't follow each other, as in padded batches: those of item i are rows first_rows[i] and on of k,
 *  v, q, out and lse, in every layer. Items may lie in any order and leave any rows between them, which are neither read
 *  nor written; none may overlap. first_rows NULL: as clkv_step_begin. Such a tensor [batch][padded][heads][dim] with
 *  n[b] rows at the right of batch row b has first_rows[b] = (b + 1) * padded - n[b]. In the texts of the calls of a step,
 *  [rows] is then as many as the last of these rows needs. What a step may reserve counts its own rows only.
 *  Errors: those of clkv_step_begin; INVALID_ARGUMENT (rows of two items overlap). Since 0.1. */
CLKV_API clkv_status clkv_step_begin_rows(clkv_cache *cache, const clkv_step_item *items,
                                          const size_t *first_rows, size_t n_items,
                                          cl_command_queue queue, clkv_step **out,
                                          clkv_error *error);

/** Stores the new rows of one layer. Once per layer and step, before its attend.
 *  k [rows][kv_heads][head_dim_k], v [rows][kv_heads][head_dim_v]; finite, |x| <= 65504 (they are kept
 *  in half at first). A value that isn't finite is stored as 0 (NaN) or +-65504 (infinity, or beyond
 *  half), and counted in clkv_stats. A recipe that turns rows (rot=hadamard) keeps them turned in half, where a
 *  channel may be larger by up to the root of the head size: beyond 65504 it's clamped there too, which isn't
 *  counted. Whether k is rotated already, rope.by_library of the geometry says.
 *  Enqueues, doesn't block. done (may be NULL) receives an event: k and v may be reused after it. */
CLKV_API clkv_status clkv_step_append(clkv_step *step, int layer, const clkv_tensor *k,
                                      const clkv_tensor *v, cl_uint n_wait, const cl_event *wait,
                                      cl_event *done, clkv_error *error);

/** q   [rows][q_heads][head_dim_k], rotated already or not yet, as k is
 *  out [rows][q_heads][head_dim_v]
 *  lse      optional f32 [rows][q_heads]: natural log of the sum of exp(logit), sinks included
 *  sinks    optional f32 [q_heads]: a logit per head that takes part in the softmax with no value */
typedef struct clkv_attend_args {
	size_t struct_size;
	clkv_tensor q, out;
	cl_mem lse;
	size_t lse_offset; /**< in floats */
	cl_mem sinks;
	size_t sinks_offset; /**< in floats */
	float *lse_host;     /**< host memory in place of lse; as clkv_tensor.host; lse_offset counts */
	const float *sinks_host; /**< in place of sinks */
} clkv_attend_args;

/** Computes attention of the step's rows over all tokens of their sequences up to themselves.
 *  Accumulates in f32. Enqueues, doesn't block (but where tokens are recalled from host memory, once per
 *  row of a sequence); done: out (and lse) are written. */
CLKV_API clkv_status clkv_step_attend(clkv_step *step, int layer, const clkv_attend_args *args,
                                      cl_uint n_wait, const cl_event *wait, cl_event *done,
                                      clkv_error *error);

/** q    [rows][q_heads][head_dim_k], as clkv_step_attend takes it
 *  lse  f32 [rows][q_heads]: natural log of the sum of exp(logit) over all that the row saw, as clkv_step_attend writes it.
 *       NULL where the recipe doesn't weigh tokens by attention (clkv_cache_weighs) */
typedef struct clkv_observe_args {
	size_t struct_size;
	clkv_tensor q;
	cl_mem lse;
	size_t lse_offset;     /**< in floats */
	const float *lse_host; /**< in place of lse, as clkv_attend_args has it */
} clkv_observe_args;

/** Hands the queries of the step's rows to the stages that judge by them, in place of clkv_step_attend: for engines that compute
 *  the attention of a prompt by other means. In each layer behind its append; layers of `skip` may be left out. Nothing is
 *  done of recipes that look at no queries (clkv_cache_observes is 0). Stages that look at queries alone (think, spark,
 *  metric=query, morphkv) then do the same, bit for bit, as if the rows had been attended with; those that weigh tokens
 *  do so but for the rounding of lse, which can decide between tokens of nearly equal scores.
 *  Enqueues, doesn't block; done: q and lse may be reused. Errors: INVALID_ARGUMENT, INVALID_STATE (the layer wasn't
 *  appended), OPENCL, BUILD. Since 0.1. */
CLKV_API clkv_status clkv_step_observe(clkv_step *step, int layer, const clkv_observe_args *args,
                                       cl_uint n_wait, const cl_event *wait, cl_event *done,
                                       clkv_error *error);

/** Ends the step: keeps the first n_kept[i] new rows of item i (NULL: all; fewer when a draft was
 *  rejected, with phase DECODE or PROMPT; of REREAD none: 0 if it's given), seals what left the window, frees what is no longer
 *  needed.
 *  Every layer must have been appended. All sequences change together: on failure they are as before the commit and
 *  the step is still open. Commit again, with the same n_kept or another, or abort.
 *  POOL_FULL (of recipes whose blocks have their own size, with an index, or that select tokens): what is sealed found
 *  no room; destroy or truncate other sequences and commit again, or abort. Errors: INVALID_ARGUMENT, INVALID_STATE
 *  (a layer wasn't appended, or not attended with where tokens are chosen by attention), POOL_FULL, OPENCL,
 *  NO_HOST_MEMORY, NO_DEVICE_MEMORY. */
CLKV_API clkv_status clkv_step_commit(clkv_step *step, const size_t *n_kept, clkv_error *error);

/** Drops the step, also one whose commit has failed; its sequences are as before clkv_step_begin. One exception: of a
 *  recipe that looks at the newest queries (obs), those of the step may have displaced older ones. NULL is allowed. */
CLKV_API void clkv_step_abort(clkv_step *step);

CLKV_END_DECLS

#endif
