/* SPDX-License-Identifier: MIT */
/** \file
 *  Which cell of a stream each token lies in. An engine fills the cells that it has freed, so after a shift of positions they no
 *  longer follow the tokens. */
#ifndef CLKV_GGML_CELLS_H
#define CLKV_GGML_CELLS_H

#include <stddef.h>
#include <stdint.h>

/** What a cell without a token holds. */
#define CELL_EMPTY UINT32_MAX

struct cells {
	size_t n;        /**< cells of the stream; 0: no memory yet */
	uint32_t *token; /**< [n] in each cell, or CELL_EMPTY */
	uint32_t *of;    /**< [n] the cell of each token */
	size_t n_tokens;
};

/** Make room for n cells, all empty, unless it's there. Returns 0: out of memory. */
int cells_make(struct cells *cells, size_t n);
void cells_free(struct cells *cells);

/** Makes to, which has memory, the same as from. */
void cells_copy(struct cells *to, const struct cells *from);

/** Empties the cells behind the first n tokens. */
void cells_cut(struct cells *cells, size_t n);

/** Puts the next token into a cell. Returns 0: there's no such cell, or it isn't empty. */
int cells_add(struct cells *cells, size_t cell);

/** Counts how many of the cells from, from + 1 ... hold tokens that follow each other, or are empty, as the first one is or does.
 *  At most `most`. */
size_t cells_run(const struct cells *cells, size_t from, size_t most);

/** Writes what cells a batch's rows see: since [n] says from which row on a cell is seen, CELL_EMPTY: by none. Seen by all are the
 *  first n_tokens tokens; rows [n_rows], the cells of the batch, by themselves and by those behind them. Returns 0 if such a cell
 *  doesn't exist, or is one of a token's or of another row's. */
int cells_since(const struct cells *cells, size_t n_tokens, const uint32_t *rows, size_t n_rows,
                uint32_t *since);

/** What an engine's shift of positions does to a stream: the first `kept` tokens stay, and so do those of the ranges, in order,
 *  each by so many positions nearer as was removed before it. */
struct shift {
	size_t n_removed;
	struct removed {
		size_t from, to; /**< tokens, as counted before the shift */
	} * removed;
};

/** Reads a shift: by [n], that of each cell. Tokens whose cell isn't shifted stay where they are, unless one that is takes their
 *  place or comes before them: then the engine has removed them. Returns 0 if memory is short, or *why is set to what is wrong. */
int shift_read(struct shift *shift, const struct cells *cells, const int32_t *by, const char **why);
void shift_free(struct shift *shift);

/** Does to the cells what the shift does to tokens. */
void shift_cells(const struct shift *shift, struct cells *cells);

#endif
