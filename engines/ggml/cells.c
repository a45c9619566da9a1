/* SPDX-License-Identifier: MIT */
#include "cells.h"

#include <stdlib.h>
#include <string.h>

int cells_make(struct cells *cells, size_t n)
{
	if (cells->n)
		return 1;
	uint32_t *both = malloc(2 * n * sizeof(*both));
	if (!both)
		return 0;
	*cells = (struct cells){.n = n, .token = both, .of = both + n};
	memset(both, 0xff, n * sizeof(*both));
	return 1;
}

void cells_free(struct cells *cells)
{
	free(cells->token);
	*cells = (struct cells){.n = 0};
}

void cells_copy(struct cells *to, const struct cells *from)
{
	memcpy(to->token, from->token, from->n * sizeof(*from->token));
	memcpy(to->of, from->of, from->n_tokens * sizeof(*from->of));
	to->n_tokens = from->n_tokens;
}

void cells_cut(struct cells *cells, size_t n)
{
	while (cells->n_tokens > n)
		cells->token[cells->of[--cells->n_tokens]] = CELL_EMPTY;
}

int cells_add(struct cells *cells, size_t cell)
{
	if (cell >= cells->n || cells->token[cell] != CELL_EMPTY)
		return 0;
	cells->token[cell] = (uint32_t)cells->n_tokens;
	cells->of[cells->n_tokens++] = (uint32_t)cell;
	return 1;
}

size_t cells_run(const struct cells *cells, size_t from, size_t most)
{
	if (!cells->n || !most)
		return most;
	const uint32_t first = cells->token[from];
	const uint32_t step = first != CELL_EMPTY;
	size_t n = 1;
	while (n < most && cells->token[from + n] == first + step * (uint32_t)n)
		n++;
	return n;
}

int cells_since(const struct cells *cells, size_t n_tokens, const uint32_t *rows, size_t n_rows,
                uint32_t *since)
{
	for (size_t c = 0; c < cells->n; c++)
		since[c] = cells->token[c] < n_tokens ? 0 : CELL_EMPTY;
	for (size_t r = 0; r < n_rows; r++) {
		if (rows[r] >= cells->n || since[rows[r]] != CELL_EMPTY)
			return 0;
		since[rows[r]] = (uint32_t)r;
	}
	return 1;
}

/* ---------------------------------------------------------------- shifts ---- */

void shift_free(struct shift *shift)
{
	free(shift->removed);
	*shift = (struct shift){.n_removed = 0};
}

/** Takes note that tokens from .. to - 1 go. Returns 0: out of memory. */
static int note_removed(struct shift *shift, size_t from, size_t to)
{
	struct removed *removed =
		realloc(shift->removed, (shift->n_removed + 1) * sizeof(*shift->removed));
	if (!removed)
		return 0;
	shift->removed = removed;
	removed[shift->n_removed++] = (struct removed){from, to};
	return 1;
}

static int tokens_are_shifted(const struct cells *cells, const int32_t *by)
{
	for (size_t c = 0; c < cells->n; c++) {
		if (by[c] && cells->token[c] == CELL_EMPTY)
			return 0;
	}
	return 1;
}

/** Reads on from the first token that moves. *left: how many tokens there are, with those that have moved so far. */
static int read_moves(struct shift *shift, const struct cells *cells, const int32_t *by,
                      size_t first, size_t *left, const char **why)
{
	size_t done = *left; /* tokens before it have been read */
	for (size_t t = first; t < cells->n_tokens; t++) {
		const int32_t move = by[cells->of[t]];
		if (!move)
			continue;
		if ((int64_t)t + move != (int64_t)*left) {
			*why = "leaves gaps between positions, or moves tokens back";
			return 0;
		}
		if (t > done && !note_removed(shift, done, t))
			return 0;
		done = t + 1;
		++*left;
	}
	return done == cells->n_tokens || note_removed(shift, done, cells->n_tokens);
}

int shift_read(struct shift *shift, const struct cells *cells, const int32_t *by, const char **why)
{
	size_t first = 0;
	*shift = (struct shift){.n_removed = 0};
	if (!tokens_are_shifted(cells, by)) {
		*why = "is of cells that hold no tokens";
		return 0;
	}
	while (first < cells->n_tokens && !by[cells->of[first]])
		first++;
	if (first == cells->n_tokens)
		return 1;
	const int64_t to = (int64_t)first + by[cells->of[first]];
	if (to < 0 || to > (int64_t)first) {
		*why = "moves tokens back, or before the first";
		return 0;
	}
	size_t left = (size_t)to;
	return read_moves(shift, cells, by, first, &left, why);
}

void shift_cells(const struct shift *shift, struct cells *cells)
{
	const size_t all = cells->n_tokens;
	size_t range = 0, kept = 0;
	for (size_t t = 0; t < all; t++) {
		const uint32_t cell = cells->of[t];
		while (range < shift->n_removed && t >= shift->removed[range].to)
			range++;
		if (range < shift->n_removed && t >= shift->removed[range].from) {
			cells->token[cell] = CELL_EMPTY;
			continue;
		}
		cells->token[cell] = (uint32_t)kept;
		cells->of[kept++] = cell;
	}
	cells->n_tokens = kept;
}
