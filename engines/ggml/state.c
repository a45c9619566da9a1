/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "store.h"

/** Rows that are decoded at once. */
enum { READ_ROWS = 256 };

static clkv_dtype dtype_of(enum ggml_type type)
{
	return type == GGML_TYPE_F16 ? CLKV_F16 : type == GGML_TYPE_BF16 ? CLKV_BF16 : CLKV_F32;
}

static size_t number_of(const struct store *store, const struct layer *layer)
{
	return (size_t)(layer - store->layers);
}

/* ---------------------------------------------------------------- reading ---- */

/** Fills rows with what no reader can take for K or V: all bits set are a NaN in f16, bf16 and f32. */
static void spoil(char *to, size_t n)
{
	memset(to, 0xff, n);
}

/** Decodes rows [from, from + n) of a stream, one side of a layer. Returns 0 after a line. */
static int decode(struct store *store, const struct layer *layer, int side, size_t stream,
                  size_t from, size_t n, char *to)
{
	const struct side *s = &layer->side[side];
	const clkv_tensor tensor = {.host = to, .dtype = dtype_of(s->type)};
	clkv_error error = {.status = CLKV_OK};
	if (!clkv_seq_read(store->streams[stream].seq, (int)number_of(store, layer), from, n,
	                   side == SIDE_K ? &tensor : NULL, side == SIDE_V ? &tensor : NULL,
	                   store->queue, &error))
		return 1;
	say_clkv("tokens can't be read", &error);
	return 0;
}

/** Reads the rows of n cells of a stream: tokens, and zeros where none are. */
static int read_rows(struct store *store, const struct layer *layer, int side, size_t stream,
                     size_t cell, size_t n, char *to)
{
	const struct stream *s = &store->streams[stream];
	const size_t row_bytes = layer->side[side].row_bytes;
	int good = !s->lost;
	if (s->lost) {
		say_error("stream %zu has lost tokens: its state can't be read", stream);
		spoil(to, n * row_bytes);
		return 0;
	}
	for (size_t run; n; n -= run, cell += run, to += run * row_bytes) {
		run = cells_run(&s->cells, cell, n);
		if (!s->cells.n || s->cells.token[cell] == CELL_EMPTY) {
			memset(to, 0, run * row_bytes);
		} else if (!decode(store, layer, side, stream, s->cells.token[cell], run, to)) {
			spoil(to, run * row_bytes);
			good = 0;
		}
	}
	return good;
}

/** Copies what the bytes [at, at + n) of a stream's tensor hold. */
static int get_bytes(struct store *store, const struct layer *layer, int side, size_t stream,
                     size_t at, size_t n, char *to)
{
	const size_t row_bytes = layer->side[side].row_bytes;
	char *rows = malloc(READ_ROWS * row_bytes);
	int good = rows != NULL;
	if (!rows) {
		say_error("out of host memory");
		spoil(to, n);
		return 0;
	}
	while (n) {
		const size_t first = at / row_bytes, skip = at % row_bytes;
		const size_t last = (at + n - 1) / row_bytes;
		const size_t count = last - first + 1 < READ_ROWS ? last - first + 1 : READ_ROWS;
		const size_t bytes = count * row_bytes - skip < n ? count * row_bytes - skip : n;
		good = read_rows(store, layer, side, stream, first, count, rows) && good;
		memcpy(to, rows + skip, bytes);
		at += bytes;
		to += bytes;
		n -= bytes;
	}
	free(rows);
	return good;
}

/** Serves a read before the first graph: nothing is there but what was written. */
static int get_unopened(const struct store *store, const struct layer *layer, int side,
                        size_t stream, size_t at, size_t n, char *to)
{
	const struct pending *p = store->streams ? &store->streams[stream].pending : NULL;
	const size_t row_bytes = layer->side[side].row_bytes;
	const size_t slot = number_of(store, layer) * SIDES + (size_t)side;
	memset(to, 0, n);
	for (size_t i = 0; p && p->n_rows && i < n; i++) {
		const uint32_t row = p->cells.token[(at + i) / row_bytes];
		if (row < p->n_rows[slot])
			to[i] = p->rows[slot][row * row_bytes + (at + i) % row_bytes];
	}
	return 1;
}

int state_get(struct store *store, const struct ggml_tensor *tensor, size_t offset, size_t n,
              void *data)
{
	int side, good = 1;
	const struct layer *layer = store_find(store, tensor, &side);
	const struct side *s = &layer->side[side];
	const size_t stream_bytes = s->row_bytes * store->cells;
	size_t at = (size_t)((const char *)tensor->data - s->data) + offset;
	char *to = data;
	if (store->cache && !pass_end(store))
		good = 0;
	while (n) {
		const size_t stream = at / stream_bytes, from = at % stream_bytes;
		const size_t bytes = n < stream_bytes - from ? n : stream_bytes - from;
		if (!store->cache)
			good = get_unopened(store, layer, side, stream, from, bytes, to) && good;
		else
			good = state_flush(store, stream) &
			       get_bytes(store, layer, side, stream, from, bytes, to) & good;
		at += bytes;
		to += bytes;
		n -= bytes;
	}
	return good;
}

/* ---------------------------------------------------------------- writing ---- */

void state_drop(struct store *store, size_t stream)
{
	struct pending *p = &store->streams[stream].pending;
	for (size_t i = 0; p->rows && i < store->n_layers * SIDES; i++)
		free(p->rows[i]);
	free(p->rows);
	free(p->n_rows);
	cells_free(&p->cells);
	*p = (struct pending){.rows = NULL};
}

static int is_finite(const void *at, enum ggml_type type)
{
	uint32_t bits = 0;
	memcpy(&bits, at, type == GGML_TYPE_F32 ? 4 : 2);
	const uint32_t exponent = type == GGML_TYPE_F16    ? 0x7c00
	                          : type == GGML_TYPE_BF16 ? 0x7f80
	                                                   : 0x7f800000;
	return (bits & exponent) != exponent;
}

static int all_finite(const char *rows, size_t n_bytes, enum ggml_type type)
{
	const size_t size = type == GGML_TYPE_F32 ? 4 : 2;
	for (size_t i = 0; i + size <= n_bytes; i += size) {
		if (!is_finite(rows + i, type))
			return 0;
	}
	return 1;
}

static int make_pending(struct store *store, struct pending *p)
{
	p->rows = calloc(store->n_layers * SIDES, sizeof(*p->rows));
	p->n_rows = calloc(store->n_layers * SIDES, sizeof(*p->n_rows));
	return p->rows && p->n_rows && cells_make(&p->cells, store->cells);
}

/** Tells whether a run of cells goes on with what a slot has: those are new, or those that the first slot had there. */
static int run_goes_on(const struct pending *p, size_t slot, size_t from, size_t n)
{
	const size_t have = p->n_rows[slot];
	if (have && p->last != slot)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const uint32_t token = p->cells.token[from + i];
		if (have == p->cells.n_tokens ? token != CELL_EMPTY : token != have + i)
			return 0;
	}
	return 1;
}

/** Puts a run of rows behind those that a slot has. Returns 0: out of memory. */
static int add_run(struct pending *p, size_t slot, size_t from, size_t n, size_t row_bytes,
                   const char *data)
{
	char *rows = realloc(p->rows[slot], (p->n_rows[slot] + n) * row_bytes);
	if (!rows)
		return 0;
	memcpy(rows + p->n_rows[slot] * row_bytes, data, n * row_bytes);
	p->rows[slot] = rows;
	if (p->n_rows[slot] == p->cells.n_tokens) {
		for (size_t i = 0; i < n; i++)
			cells_add(&p->cells, from + i);
	}
	p->n_rows[slot] += n;
	p->last = slot;
	return 1;
}

/** Keeps rows of one tensor until the others' have come. A second time the same tensor begins another state. */
static int keep_rows(struct store *store, size_t stream, size_t slot, size_t from, size_t n,
                     size_t row_bytes, const char *data)
{
	struct pending *p = &store->streams[stream].pending;
	if (p->rows && !run_goes_on(p, slot, from, n))
		state_drop(store, stream);
	if (!p->rows && !make_pending(store, p))
		return 0;
	return add_run(p, slot, from, n, row_bytes, data);
}

static int streams_are_there(struct store *store)
{
	if (!store->streams)
		store->streams = calloc(store->n_streams, sizeof(*store->streams));
	if (!store->streams)
		say_error("out of host memory");
	return store->streams != NULL;
}

int state_set(struct store *store, const struct ggml_tensor *tensor, size_t offset, size_t n,
              const void *data)
{
	int side;
	const struct layer *layer = store_find(store, tensor, &side);
	const struct side *s = &layer->side[side];
	const size_t at = (size_t)((const char *)tensor->data - s->data) + offset;
	const size_t stream = at / (s->row_bytes * store->cells);
	const size_t from = at % (s->row_bytes * store->cells);
	if (!streams_are_there(store) || (store->cache && !pass_end(store)))
		return 0;
	const int whole =
		!(from % s->row_bytes) && !(n % s->row_bytes) && from + n <= s->row_bytes * store->cells;
	if (!whole)
		say_error("a state must be written in whole rows of one stream");
	else if (!all_finite(data, n, s->type))
		say_error("a state has values that aren't finite: what saved it had failed");
	else if (keep_rows(store, stream, number_of(store, layer) * SIDES + (size_t)side,
	                   from / s->row_bytes, n / s->row_bytes, s->row_bytes, data))
		return 1;
	else
		say_error("out of host memory");
	state_drop(store, stream);
	store->streams[stream].lost = 1;
	return 0;
}

static int append_layer(const struct store *store, clkv_step *step, size_t number, size_t skip,
                        const struct pending *p, clkv_error *error)
{
	clkv_tensor tensor[SIDES];
	for (size_t side = 0; side < SIDES; side++) {
		const struct side *s = &store->layers[number].side[side];
		tensor[side] = (clkv_tensor){.host = p->rows[number * SIDES + side] + skip * s->row_bytes,
		                             .dtype = dtype_of(s->type)};
	}
	return !clkv_step_append(step, (int)number, &tensor[SIDE_K], &tensor[SIDE_V], 0, NULL, NULL,
	                         error);
}

/** Stores rows [skip, skip + n) of what is pending, as a part of a prompt. */
static int append_rows(struct store *store, struct stream *s, size_t skip, size_t n,
                       clkv_error *error)
{
	const struct pending *p = &s->pending;
	const int last = skip + n == p->cells.n_tokens;
	const clkv_step_item item = {s->seq, n, last ? CLKV_PROMPT_END : CLKV_PROMPT};
	clkv_step *step = NULL;
	if (clkv_step_begin(store->cache, &item, 1, store->queue, &step, error))
		return 0;
	int good = 1;
	for (size_t i = 0; good && i < store->n_layers; i++)
		good = append_layer(store, step, i, skip, p, error);
	if (good && !clkv_step_commit(step, NULL, error)) {
		s->length += n;
		return 1;
	}
	clkv_step_abort(step);
	return 0;
}

static int append_all(struct store *store, struct stream *s, clkv_error *error)
{
	const size_t all = s->pending.cells.n_tokens;
	const size_t most = all < store->max_rows ? all : store->max_rows;
	int good = 1;
	for (size_t skip = 0, n; good && skip < all; skip += n) {
		n = all - skip < most ? all - skip : most;
		good = append_rows(store, s, skip, n, error);
	}
	clFinish(store->queue); /* the rows are freed now */
	if (good)
		cells_copy(&s->cells, &s->pending.cells);
	return good;
}

static int is_whole(const struct store *store, const struct pending *p)
{
	for (size_t i = 0; i < store->n_layers * SIDES; i++) {
		if (p->n_rows[i] != p->cells.n_tokens)
			return 0;
	}
	return 1;
}

int state_flush(struct store *store, size_t stream)
{
	struct stream *s = &store->streams[stream];
	clkv_error error = {.status = CLKV_OK};
	if (!s->pending.rows)
		return 1;
	int good = 0;
	if (!is_whole(store, &s->pending))
		say_error("a state was written for some layers only");
	else if (clkv_cache_observes(store->cache))
		say_error("recipe %s judges tokens by queries, and a saved state has none", store->recipe);
	else if (!cells_make(&s->cells, store->cells))
		say_error("out of host memory");
	else if (!s->seq && clkv_seq_create(store->cache, &s->seq, &error))
		say_clkv("no sequence", &error);
	else if (stream_truncate(store, stream, 0)) {
		good = append_all(store, s, &error);
		if (!good)
			say_clkv("a state can't be stored", &error);
	}
	state_drop(store, stream);
	s->lost = !good;
	s->decodes = s->prompts = 0;
	return good;
}

/* ---------------------------------------------------------------- copies ---- */

/** Puts the number of the stream that a view is of into *stream. Returns 0 if it isn't one whole stream. */
static int whole_stream(const struct store *store, const struct side *side,
                        const struct ggml_tensor *view, size_t *stream)
{
	const size_t bytes = side->row_bytes * store->cells;
	const size_t at = (size_t)((const char *)view->data - side->data);
	*stream = at / bytes;
	return !(at % bytes) && (size_t)view->ne[0] == side->width &&
	       (size_t)view->ne[1] == store->cells && view->ne[2] == 1 && view->ne[3] == 1;
}

static int fork_stream(struct store *store, size_t from, size_t to)
{
	struct stream *a = &store->streams[from], *b = &store->streams[to];
	clkv_error error = {.status = CLKV_OK};
	clkv_seq *copy = NULL;
	if (!pass_end(store) || !state_flush(store, from) || !cells_make(&b->cells, store->cells) ||
	    (a->seq && clkv_seq_fork(a->seq, &copy, &error))) {
		if (error.status)
			say_clkv("a sequence can't be copied", &error);
		return 0;
	}
	state_drop(store, to);
	clkv_seq_destroy(b->seq);
	cells_cut(&b->cells, 0);
	if (a->cells.n)
		cells_copy(&b->cells, &a->cells);
	b->seq = copy;
	b->length = a->length;
	b->decodes = a->decodes;
	b->prompts = a->prompts;
	b->phase = a->phase;
	b->lost = a->lost;
	b->copy_of = from + 1;
	return 1;
}

int state_copy(struct store *store, const struct ggml_tensor *from, const struct ggml_tensor *to)
{
	int side, other;
	const struct layer *layer = store_find(store, from, &side);
	if (!layer || !store->cache || store_find(store, to, &other) != layer || side != other)
		return 0;
	size_t a, b;
	if (!whole_stream(store, &layer->side[side], from, &a) ||
	    !whole_stream(store, &layer->side[side], to, &b) || a == b)
		return 0;
	if (layer == store->layers && side == SIDE_K)
		return fork_stream(store, a, b);
	return store->streams[b].copy_of == a + 1;
}
