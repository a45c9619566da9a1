/* SPDX-License-Identifier: MIT */
/**
 * \file    llama_state.c
 * \brief   Checks llama.cpp's state files and finds sequences and rows in them.
 *
 * All reads go through a cursor that knows what is left; what the file claims (a count, a width) is compared with that
 * before it is used for anything.
 */
#include "llama_state.h"

#include <stdlib.h>
#include <string.h>

#include "llama_state_format.h"

struct cursor {
	const unsigned char *data;
	size_t size;
	size_t at;
};

static size_t left(const struct cursor *c)
{
	return c->size - c->at;
}

static bool take(struct cursor *c, void *out, size_t n, const char *what, struct tool_error *error)
{
	if (left(c) < n)
		return tool_fail(error, "the state ends at byte %zu, inside %s", c->size, what);
	memcpy(out, c->data + c->at, n);
	c->at += n;
	return true;
}

static bool take_u32(struct cursor *c, uint32_t *out, const char *what, struct tool_error *error)
{
	return take(c, out, sizeof *out, what, error);
}

/* A count of items of `item` bytes or more, which must still fit in. */
static bool take_count(struct cursor *c, size_t *out, size_t item, const char *what,
                       struct tool_error *error)
{
	uint32_t n;
	if (!take_u32(c, &n, what, error))
		return false;
	if (n > left(c) / item)
		return tool_fail(error, "the state claims %u %s at byte %zu, and has %zu bytes left", n,
		                 what, c->at - sizeof n, left(c));
	*out = n;
	return true;
}

/* ---------------------------------------------------------------- rows ---- */

static const struct {
	enum llama_type type;
	size_t bytes;
} types[] = {{LLAMA_F32, 4}, {LLAMA_F16, 2}, {LLAMA_BF16, 2}};

static size_t value_bytes(uint32_t type)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (type == (uint32_t)types[i].type)
			return types[i].bytes;
	return 0;
}

const char *llama_type_name(uint32_t type)
{
	static const struct {
		uint32_t type;
		const char *name;
	} names[] = {{LLAMA_F32, "f32"}, {LLAMA_F16, "f16"}, {LLAMA_BF16, "bf16"},
	             {2, "q4_0"},        {3, "q4_1"},        {6, "q5_0"},
	             {7, "q5_1"},        {8, "q8_0"},        {20, "iq4_nl"}};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (type == names[i].type)
			return names[i].name;
	return NULL;
}

static const char *side_name(enum llama_side side)
{
	return side == LLAMA_K ? "K" : "V";
}

/* Quantized rows are refused: the engine turns them by a matrix of its own before it rounds them, which the file doesn't tell. */
static bool take_type(struct cursor *c, enum llama_side side, size_t layer, struct llama_rows *rows,
                      struct tool_error *error)
{
	uint32_t type;
	if (!take_u32(c, &type, "a type of rows", error))
		return false;
	rows->value_bytes = value_bytes(type);
	rows->type = (enum llama_type)type;
	if (rows->value_bytes > 0)
		return true;
	if (llama_type_name(type) != NULL)
		return tool_fail(error,
		                 "%s of layer %zu is %s: save the state of a context with cache types "
		                 "f16, bf16 or f32; quantized rows are not as attention sees them",
		                 side_name(side), layer, llama_type_name(type));
	return tool_fail(error, "%s of layer %zu has type %u; 0 (f32), 1 (f16) and 30 (bf16) are known",
	                 side_name(side), layer, type);
}

/* Bytes of a row, or of a value and values: what both layouts say behind the type. */
static bool take_width(struct cursor *c, enum llama_side side, size_t layer, bool transposed,
                       struct llama_rows *rows, struct tool_error *error)
{
	uint64_t bytes;
	uint32_t words[2];
	if (!take(c, words, sizeof words, "the size of rows", error))
		return false;
	memcpy(&bytes, words, sizeof bytes);
	if (transposed && words[0] != rows->value_bytes)
		return tool_fail(error, "V of layer %zu has values of %u bytes, not the %zu of its type",
		                 layer, words[0], rows->value_bytes);
	if (transposed)
		bytes = (uint64_t)words[1] * rows->value_bytes;
	if (bytes == 0 || bytes % rows->value_bytes != 0)
		return tool_fail(error,
		                 "rows of %s in layer %zu have %llu bytes, which is no number of values of "
		                 "%zu bytes",
		                 side_name(side), layer, (unsigned long long)bytes, rows->value_bytes);
	if (bytes > left(c))
		return tool_fail(error,
		                 "rows of %s in layer %zu claim %llu bytes each, and the state has %zu "
		                 "bytes left",
		                 side_name(side), layer, (unsigned long long)bytes, left(c));
	rows->width = (size_t)bytes / rows->value_bytes;
	return true;
}

/* One side of one layer, which must be like the layers before it. */
static bool take_layer(struct cursor *c, struct llama_stream *stream, enum llama_side side,
                       size_t layer, struct tool_error *error)
{
	struct llama_rows here = {0}, *rows = &stream->rows[side];
	const size_t begin = c->at;
	if (!take_type(c, side, layer, &here, error) ||
	    !take_width(c, side, layer, side == LLAMA_V && stream->transposed, &here, error))
		return false;
	const size_t row = here.width * here.value_bytes;
	if (stream->n_cells > left(c) / row)
		return tool_fail(error,
		                 "%s of layer %zu needs %zu rows of %zu bytes, and the state has %zu bytes "
		                 "left",
		                 side_name(side), layer, stream->n_cells, row, left(c));
	here.at = c->at;
	c->at += stream->n_cells * row;
	here.step = c->at - begin;
	if (layer == 0)
		*rows = here;
	return (here.type == rows->type && here.width == rows->width) ||
	       tool_fail(error,
	                 "%s of layer %zu has rows of %zu values of type %d, layer 0 of %zu of type "
	                 "%d: clkv takes one size for all",
	                 side_name(side), layer, here.width, (int)here.type, rows->width,
	                 (int)rows->type);
}

/* ---------------------------------------------------------------- cells ---- */

struct cell {
	int32_t position;
	uint32_t n;               /* sequences */
	const unsigned char *ids; /* [n], not aligned */
};

/* Reads a cell that was checked, and returns where the next one begins. */
static const unsigned char *next_cell(const unsigned char *at, struct cell *cell)
{
	memcpy(&cell->position, at, sizeof cell->position);
	memcpy(&cell->n, at + 4, sizeof cell->n);
	cell->ids = at + 8;
	return cell->ids + 4 * (size_t)cell->n;
}

static uint32_t cell_id(const struct cell *cell, size_t i)
{
	uint32_t id;
	memcpy(&id, cell->ids + 4 * i, sizeof id);
	return id;
}

static bool take_cell(struct cursor *c, size_t number, size_t most, struct tool_error *error)
{
	static const char other[] =
		"states of models whose tokens have several positions (M-RoPE) can't be read";
	uint32_t words[2], id;
	if (!take(c, words, sizeof words, "a cell", error))
		return false;
	if (words[0] > INT32_MAX)
		return tool_fail(error, "cell %zu has position %d; %s", number, (int)words[0], other);
	if (words[1] < 1 || words[1] > most)
		return tool_fail(error, "cell %zu belongs to %u sequences, not 1 to %zu; %s", number,
		                 words[1], most, other);
	for (uint32_t i = 0; i < words[1]; i++) {
		if (!take_u32(c, &id, "a cell", error))
			return false;
		if (id >= LLAMA_MOST_SEQUENCES)
			return tool_fail(error, "cell %zu belongs to sequence %d, which isn't 0 to %d; %s",
			                 number, (int)id, LLAMA_MOST_SEQUENCES - 1, other);
	}
	return true;
}

/* ---------------------------------------------------------------- a file ---- */

static bool take_layers(struct cursor *c, struct llama_stream *stream, struct tool_error *error)
{
	uint32_t words[2];
	if (!take(c, words, sizeof words, "a stream's head", error))
		return false;
	if (words[0] > 1)
		return tool_fail(error, "V is stored in way %u; 0 (by token) and 1 (by channel) are known",
		                 words[0]);
	if (words[1] < 1 || words[1] > LLAMA_MOST_LAYERS)
		return tool_fail(error, "the state has %u layers, not 1 to %d", words[1],
		                 LLAMA_MOST_LAYERS);
	stream->transposed = words[0] == 1;
	stream->n_layers = words[1];
	for (int side = LLAMA_K; side < LLAMA_SIDES; side++)
		for (size_t i = 0; i < stream->n_layers; i++)
			if (!take_layer(c, stream, (enum llama_side)side, i, error))
				return false;
	return true;
}

static bool take_stream(struct cursor *c, bool session, struct llama_stream *stream,
                        struct tool_error *error)
{
	if (!take_count(c, &stream->n_cells, LLAMA_CELL_BYTES, "cells", error))
		return false;
	stream->cells_at = c->at;
	for (size_t i = 0; i < stream->n_cells; i++)
		if (!take_cell(c, i, session ? LLAMA_MOST_SEQUENCES : 1, error))
			return false;
	return stream->n_cells == 0 || take_layers(c, stream, error);
}

static bool take_head(struct cursor *c, struct llama_state *state, struct tool_error *error)
{
	uint32_t words[2];
	if (!take(c, words, sizeof words, "its head", error))
		return false;
	state->session = words[0] == LLAMA_SESSION_MAGIC;
	if (!state->session && words[0] != LLAMA_SEQUENCE_MAGIC)
		return tool_fail(error, "this is no state file: it begins with %08x, not 'ggsq' or 'ggsn'",
		                 words[0]);
	const uint32_t version = state->session ? LLAMA_SESSION_VERSION : LLAMA_SEQUENCE_VERSION;
	if (words[1] != version)
		return tool_fail(error, "%s of version %u; %u is known",
		                 state->session ? "a session file" : "a sequence file", words[1], version);
	if (!take_count(c, &state->n_tokens, sizeof(int32_t), "tokens", error))
		return false;
	state->tokens_at = c->at;
	c->at += state->n_tokens * sizeof(int32_t);
	return true;
}

static bool take_model(struct cursor *c, struct llama_state *state, struct tool_error *error)
{
	if (!take_count(c, &state->model.size, 1, "letters of an architecture", error))
		return false;
	state->model.data = (const char *)c->data + c->at;
	c->at += state->model.size;
	return true;
}

static bool take_streams(struct cursor *c, struct llama_state *state, struct tool_error *error)
{
	if (!take_count(c, &state->n_streams, sizeof(uint32_t), "streams", error))
		return false;
	if (state->n_streams < 1 || state->n_streams > LLAMA_MOST_SEQUENCES)
		return tool_fail(error, "the state has %zu streams, not 1 to %d", state->n_streams,
		                 LLAMA_MOST_SEQUENCES);
	for (size_t i = 0; i < state->n_streams; i++)
		if (!take_stream(c, state->session, &state->streams[i], error))
			return false;
	return left(c) == 0 ||
	       tool_fail(error,
	                 "%zu bytes are left behind the cache: states of models with a second cache "
	                 "(sliding windows) or recurrent layers can't be read",
	                 left(c));
}

static bool take_state(struct cursor *c, struct llama_state *state, struct tool_error *error)
{
	return take_head(c, state, error) && (!state->session || take_model(c, state, error)) &&
	       take_streams(c, state, error);
}

bool llama_state_is(const void *data, size_t size)
{
	uint32_t magic;
	if (size < sizeof magic)
		return false;
	memcpy(&magic, data, sizeof magic);
	return magic == LLAMA_SESSION_MAGIC || magic == LLAMA_SEQUENCE_MAGIC;
}

bool llama_state_open_memory(const void *data, size_t size, struct llama_state **out,
                             struct tool_error *error)
{
	struct cursor c = {data, size, 0};
	struct llama_state *state = calloc(1, sizeof *state);
	if (state == NULL)
		return tool_fail(error, "out of memory");
	state->data = data;
	state->size = size;
	if (!take_state(&c, state, error)) {
		free(state);
		return false;
	}
	*out = state;
	return true;
}

void llama_state_close(struct llama_state *state)
{
	free(state);
}

int32_t llama_state_token(const struct llama_state *state, size_t i)
{
	int32_t token;
	memcpy(&token, state->data + state->tokens_at + i * sizeof token, sizeof token);
	return token;
}

/* ---------------------------------------------------------------- sequences ---- */

static void count_stream(const struct llama_state *state, const struct llama_stream *stream,
                         size_t *n)
{
	struct cell cell;
	const unsigned char *at = state->data + stream->cells_at;
	for (size_t i = 0; i < stream->n_cells; i++) {
		at = next_cell(at, &cell);
		for (size_t j = 0; j < cell.n; j++)
			n[cell_id(&cell, j)]++;
	}
}

void llama_state_count(const struct llama_state *state, size_t *n)
{
	memset(n, 0, LLAMA_MOST_SEQUENCES * sizeof *n);
	for (size_t i = 0; i < state->n_streams; i++)
		count_stream(state, &state->streams[i], n);
}

/* The only sequence that has tokens. */
static bool only_one(const size_t *n, size_t *number, struct tool_error *error)
{
	size_t found = 0;
	for (size_t i = LLAMA_MOST_SEQUENCES; i-- > 0;) {
		if (n[i] > 0) {
			*number = i;
			found++;
		}
	}
	if (found == 0)
		return tool_fail(error, "the state has no tokens");
	return found == 1 || tool_fail(error,
	                               "the state has %zu sequences, the first is %zu: --seq chooses "
	                               "one; without --out all are shown",
	                               found, *number);
}

/* Notes that a cell holds the token at its position. */
static bool enter(struct llama_sequence *out, size_t number, const struct cell *cell,
                  size_t at_cell, struct tool_error *error)
{
	if ((size_t)cell->position >= out->n || out->cells[cell->position] != UINT32_MAX)
		return tool_fail(error,
		                 "sequence %zu has %zu tokens, and one at position %d: each of 0 to %zu "
		                 "must come once, without tokens that were removed, or left out by a "
		                 "sliding window",
		                 number, out->n, (int)cell->position, out->n - 1);
	out->cells[cell->position] = (uint32_t)at_cell;
	return true;
}

static bool enter_stream(const struct llama_state *state, const struct llama_stream *stream,
                         size_t number, struct llama_sequence *out, struct tool_error *error)
{
	struct cell cell;
	const unsigned char *at = state->data + stream->cells_at;
	for (size_t i = 0; i < stream->n_cells; i++) {
		at = next_cell(at, &cell);
		for (size_t j = 0; j < cell.n; j++) {
			if (cell_id(&cell, j) != number)
				continue;
			if (out->stream != NULL && out->stream != stream)
				return tool_fail(error, "sequence %zu lies in several streams", number);
			out->stream = stream;
			if (!enter(out, number, &cell, i, error))
				return false;
		}
	}
	return true;
}

bool llama_state_find(const struct llama_state *state, size_t number, struct llama_sequence *out,
                      struct tool_error *error)
{
	size_t n[LLAMA_MOST_SEQUENCES];
	memset(out, 0, sizeof *out);
	llama_state_count(state, n);
	if (number == SIZE_MAX && !only_one(n, &number, error))
		return false;
	if (number >= LLAMA_MOST_SEQUENCES || n[number] == 0)
		return tool_fail(error, "the state has no sequence %zu", number);
	out->n = n[number];
	out->cells = malloc(out->n * sizeof *out->cells);
	if (out->cells == NULL)
		return tool_fail(error, "out of memory");
	memset(out->cells, 0xff, out->n * sizeof *out->cells);
	for (size_t i = 0; i < state->n_streams; i++) {
		if (!enter_stream(state, &state->streams[i], number, out, error)) {
			llama_sequence_close(out);
			return false;
		}
	}
	return true;
}

void llama_sequence_close(struct llama_sequence *sequence)
{
	free(sequence->cells);
	memset(sequence, 0, sizeof *sequence);
}

void llama_state_read(const struct llama_state *state, const struct llama_sequence *sequence,
                      size_t layer, enum llama_side side, size_t from, size_t n, void *rows)
{
	const struct llama_stream *stream = sequence->stream;
	const struct llama_rows *r = &stream->rows[side];
	const unsigned char *layer_at = state->data + r->at + layer * r->step;
	const size_t value = r->value_bytes, row = r->width * value;
	unsigned char *to = rows;
	for (size_t i = 0; i < n; i++, to += row) {
		const size_t cell = sequence->cells[from + i];
		if (side == LLAMA_K || !stream->transposed)
			memcpy(to, layer_at + cell * row, row);
		else
			for (size_t d = 0; d < r->width; d++)
				memcpy(to + d * value, layer_at + (d * stream->n_cells + cell) * value, value);
	}
}
