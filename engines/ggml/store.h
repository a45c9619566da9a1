/* SPDX-License-Identifier: MIT */
/** \file
 *  One KV cache of an engine: a clkv cache behind tensors whose own memory is never touched.
 *
 *  The engine sees cells: cell c of stream s is row s * cells + c of each layer's two tensors. A stream holds one sequence here;
 *  which cell each of its tokens lies in is kept, as the engine chooses them. */
#ifndef CLKV_GGML_STORE_H
#define CLKV_GGML_STORE_H

#include <clkv.h>

#include "cells.h"
#include "engine.h"
#include "rope.h"

enum { SIDE_K, SIDE_V, SIDES };

/** A tensor as it was when it came: the engine may move its descriptions about. */
struct side {
	const char *data; /**< NULL: the layer has none */
	enum ggml_type type;
	size_t width; /**< elements of a row */
	size_t row_bytes;
	size_t rows_bytes; /**< of all rows of all streams */
};

struct layer {
	int number; /**< the engine's */
	struct side side[SIDES];
	int attended; /**< in this pass */
};

/** Rows that the engine wrote into tensors (a saved state): they come layer by layer, in runs of cells, and wait in host memory for
 *  the last. They are a whole sequence, as no engine writes others. */
struct pending {
	struct cells cells; /**< those of all runs so far */
	size_t last;        /**< the slot, layer * SIDES + side, that the last run was for */
	size_t *n_rows;     /**< [layers][SIDES] that have come. NULL: none is pending */
	char **rows;        /**< [layers][SIDES] */
};

struct stream {
	clkv_seq *seq;
	size_t length;      /**< tokens, those of the open step included */
	struct cells cells; /**< in which they lie; of no memory until the first come */
	clkv_phase phase;   /**< of its last step */
	int decodes;        /**< its last step was of generation */
	int prompts;        /**< its last step was a part of a prompt whose end hasn't come */
	int lost; /**< tokens that couldn't be stored: nothing but a start from cell 0 makes it whole */
	size_t copy_of; /**< 1 + the stream that it's a copy of, until its next batch; else 0 */
	struct pending pending;
};

/** The part of a pass that one stream has. */
struct span {
	size_t stream;
	size_t row;   /**< of the batch, that is the stream's first */
	size_t first; /**< tokens before it, as its mask says */
	size_t n;
};

/** One forward pass of the engine. */
struct pass {
	clkv_step *step; /**< NULL: none is open */
	size_t n_spans, n_rows;
	struct span *spans;             /**< [streams] */
	uint32_t *cells;                /**< [rows] of their stream */
	size_t n_attended;              /**< layers */
	const struct ggml_tensor *mask; /**< that was read and found causal */
};

/** Rows of one layer on their way, f32, which devices that share the host's memory read in place. */
struct staging {
	float *k, *v, *q;          /**< [rows][heads][head size], one allocation; NULL: not yet made */
	const struct layer *layer; /**< whose rows have come; NULL: nobody's */
	int has[SIDES];
};

struct store {
	char *base; /**< addresses only: no page of a KV cache is readable */
	size_t size;
	int is_cache; /**< 0: a buffer of the engine's computation, in plain memory */

	size_t n_layers, room_layers;
	struct layer *layers;
	size_t cells, n_streams;
	size_t max_rows; /**< of the largest batch that the engine has planned for */

	clkv_context *context;
	clkv_cache *cache;
	cl_command_queue queue;
	int q_heads, kv_heads, dim_k, dim_v;
	float scale, softcap;
	char recipe[512];
	struct stream *streams;
	struct pass pass, next; /**< next: cells of the layer whose rows are coming */
	uint32_t *since;        /**< [cells] the first row of a batch that sees each */
	struct rope rope;
	int room_to_shift; /**< 1: for half of a stream's tokens twice */
	struct staging staging;
	uint64_t passes, waits, wait_ns, prepare_ns, not_finite;
	int report;
};

/** Make and free. memory is mapped here. NULL after a line on the log. */
struct store *store_create(size_t size);
void store_destroy(struct store *store);

/** Takes note of a tensor that the engine has placed here. Returns 0 after a line on the log if memory is short. */
int store_note(struct store *store, const struct ggml_tensor *tensor);

/** Tells by its name whether a tensor, or what it's a view of, is a part of a KV cache: also where nothing is allocated, as when
 *  an engine tries what would fit. */
int store_is_named(const struct ggml_tensor *tensor);

/** Finds the layer and side of a tensor, or of a view of one. Returns NULL if it isn't of a KV cache. */
struct layer *store_find(struct store *store, const struct ggml_tensor *tensor, int *side);

/** Makes the clkv cache for what the attention node says, at the first graph. Returns 0 after a line. */
int store_open(struct store *store, const struct ggml_tensor *node);

/** Drops all tokens, and a step that is open. */
void store_clear(struct store *store);

/** Takes note of SET_ROWS: copies the rows of one side. Returns 0 after a line. */
int pass_rows(struct store *store, const struct ggml_tensor *node);

/** FLASH_ATTN_EXT: stores the layer's rows, attends, waits. Begins the step before the first layer. Returns 0 after a line; the
 *  step is dropped then. */
int pass_attend(struct store *store, struct ggml_tensor *node);

/** Ends an open step, with the rows of a pass whose every layer was attended with; drops another. Returns 0 after a line. */
int pass_end(struct store *store);

/** Drops an open step: its tokens are as if they had never come. */
void pass_drop(struct store *store);

/** Does to the tokens what a graph that turns the keys of all cells does to positions. Returns 0 after a line; streams that couldn't
 *  follow are lost. */
int pass_shift(struct store *store, struct ggml_cgraph *graph);

/** Takes note, while the engine plans, of the RoPE that the rows of K come from. */
void store_note_rope(struct store *store, const struct ggml_tensor *node);

/** Keeps the first n tokens of a stream. Returns 0 after a line. */
int stream_truncate(struct store *store, size_t stream, size_t n);

/** Read and write bytes of a tensor of the cache: rows of cells, decoded or kept until all layers' have come. What a stream
 *  doesn't hold reads as zeros. Return 0 after a line. */
int state_get(struct store *store, const struct ggml_tensor *tensor, size_t offset, size_t n,
              void *data);
int state_set(struct store *store, const struct ggml_tensor *tensor, size_t offset, size_t n,
              const void *data);

/** Stores what is pending of a stream. Returns 0 after a line; the stream is lost then. */
int state_flush(struct store *store, size_t stream);
void state_drop(struct store *store, size_t stream);

/** Makes stream to a fork of stream from, at the first layer's tensor; the others' follow it. Returns 0 if the views
 *  aren't whole streams, or after a line. */
int state_copy(struct store *store, const struct ggml_tensor *from, const struct ggml_tensor *to);

/** Reports an error of the library on the engine's log. */
void say_clkv(const char *what, const clkv_error *error);

#endif
