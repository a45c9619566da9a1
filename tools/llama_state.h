/* SPDX-License-Identifier: MIT */
/**
 * \file    llama_state.h
 * \brief   Reader and writer of llama.cpp's state files, for files that nobody vouches for.
 *
 * A sequence file (llama_state_seq_save_file, "ggsq", version 3) holds one sequence, a session file (llama_state_save_file,
 * "ggsn", version 10) all of a context. Numbers are little endian and not aligned:
 *
 *     u32 magic, u32 version, u32 n, i32 token[n]
 *     session: u32 n, char architecture[n]
 *     u32 streams; of each stream:
 *         u32 cells; nothing follows where it is 0
 *         of each cell: i32 position, u32 n, i32 sequence[n]
 *         u32 transposed, u32 layers
 *         of each layer: i32 type of K, u64 bytes of a row, row[cells]
 *         of each layer: i32 type of V, u64 bytes of a row, row[cells]
 *                    or: i32 type of V, u32 bytes of a value, u32 width, value[width][cells]
 *
 * A file is checked from end to end when it is opened: what the functions below hand out lies inside it. Layers of a stream
 * must be alike, as those of a cache of clkv are. Keys are rotated, as the engine's attention wants them.
 */
#ifndef LLAMA_STATE_H
#define LLAMA_STATE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gguf.h"

/** Types of ggml that rows may have here. */
enum llama_type { LLAMA_F32 = 0, LLAMA_F16 = 1, LLAMA_BF16 = 30 };

enum llama_side { LLAMA_K, LLAMA_V, LLAMA_SIDES };

/** Most that a context of llama.cpp has; and layers, which clkv_geometry bounds. */
enum { LLAMA_MOST_SEQUENCES = 256, LLAMA_MOST_LAYERS = 1024 };

/** K or V of a stream. */
struct llama_rows {
	enum llama_type type;
	size_t value_bytes;
	size_t width; /**< values of a token's row: KV heads times head size */
	size_t at;    /**< where layer 0's rows begin in the file */
	size_t step;  /**< bytes from a layer's rows to the next one's */
};

struct llama_stream {
	size_t n_cells;  /**< 0: nothing else is set */
	size_t cells_at; /**< where they begin in the file */
	bool transposed; /**< V lies channel by channel */
	size_t n_layers;
	struct llama_rows rows[LLAMA_SIDES];
};

struct llama_state {
	const unsigned char *data;
	size_t size;
	bool session;             /**< a whole context, not one sequence */
	struct gguf_string model; /**< architecture; of sessions only */
	size_t n_tokens;
	size_t tokens_at;
	size_t n_streams;
	struct llama_stream streams[LLAMA_MOST_SEQUENCES];
};

/** Whether bytes begin as a state file does, of any version. */
bool llama_state_is(const void *data, size_t size);

/** Checks bytes in memory, which must outlive the state. */
bool llama_state_open_memory(const void *data, size_t size, struct llama_state **out,
                             struct tool_error *error);
/** NULL is allowed. */
void llama_state_close(struct llama_state *state);

/** Token i of n_tokens: the engine's note of what the state was made from. */
int32_t llama_state_token(const struct llama_state *state, size_t i);

/** Tokens that each sequence has in cells: n[LLAMA_MOST_SEQUENCES]. */
void llama_state_count(const struct llama_state *state, size_t *n);

/** One sequence, in the order of its positions, which are 0 to n - 1. */
struct llama_sequence {
	const struct llama_stream *stream;
	size_t n;
	uint32_t *cells; /**< [n] numbers of cells */
};

/** Finds a sequence by its number, or the only one if that is SIZE_MAX. Refuses what no sequence of clkv can be: positions
 *  that are missing or come twice, cells in several streams. The caller closes it. */
bool llama_state_find(const struct llama_state *state, size_t number, struct llama_sequence *out,
                      struct tool_error *error);
void llama_sequence_close(struct llama_sequence *sequence);

/** Copies rows of positions [from, from + n): values [n][width], as the file has them. */
void llama_state_read(const struct llama_state *state, const struct llama_sequence *sequence,
                      size_t layer, enum llama_side side, size_t from, size_t n, void *rows);

/** The name of a type of ggml's, or NULL. */
const char *llama_type_name(uint32_t type);

/* ---------------------------------------------------------------- writing ---- */

/** A file of one sequence. */
struct llama_shape {
	bool session;      /**< of the kind that holds a context */
	const char *model; /**< architecture; of sessions only */
	const int32_t *tokens;
	size_t n_tokens;
	size_t
		n_streams; /**< of the context that will read it: 1, or its n_seq_max if each sequence has one */
	size_t stream;    /**< that the sequence lies in, below n_streams */
	int32_t sequence; /**< its number */
	size_t n_cells;   /**< its tokens */
	bool transposed;
	size_t n_layers;
	enum llama_type type; /**< of K and V */
	size_t width[LLAMA_SIDES];
};

/** Fills rows [n_cells][width] of the shape's type. */
typedef bool (*llama_rows_fn)(void *opaque, size_t layer, enum llama_side side, void *rows,
                              struct tool_error *error);

/** Calls rows once for K of each layer, then for V of each. */
bool llama_state_write(const struct llama_shape *shape, llama_rows_fn rows, void *opaque,
                       FILE *file, struct tool_error *error);

#endif
