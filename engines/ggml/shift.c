/* SPDX-License-Identifier: MIT */
/** \file
 *  Shifts of positions (context shift, reuse of parts of a prompt). The engine forgets some cells, renumbers others, and has a graph
 *  turn the keys of all cells, in place, each by its own number of positions. Here tokens are removed, and those behind move up. */
#include <stdlib.h>
#include <string.h>

#include "store.h"

/** What a shift's graph has to be, found out from its first node and compared with all others. */
struct turning {
	struct store *store;
	const struct ggml_tensor *by; /**< i32 [streams][cells] */
	size_t n_layers;
};

static int view_is_whole(const struct store *store, const struct side *side,
                         const struct ggml_tensor *node)
{
	const struct ggml_tensor *keys = node->src[0];
	return (const char *)keys->data == side->data && (const char *)node->data == side->data &&
	       keys->type == side->type && keys->ne[1] == store->kv_heads &&
	       (size_t)keys->ne[2] == store->cells * store->n_streams &&
	       keys->nb[2] == side->row_bytes && keys->nb[1] == (size_t)store->dim_k * keys->nb[0];
}

static int shifts_are_whole(const struct store *store, const struct ggml_tensor *by)
{
	return by && by->type == GGML_TYPE_I32 && by->nb[0] == sizeof(int32_t) &&
	       (size_t)by->ne[0] == store->cells * store->n_streams;
}

static int any(const int32_t *by, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (by[i])
			return 1;
	}
	return 0;
}

static int node_fits(struct turning *t, const struct ggml_tensor *node)
{
	int side;
	const struct layer *layer = store_find(t->store, node->src[0], &side);
	if (!layer || side != SIDE_K || !view_is_whole(t->store, &layer->side[side], node) ||
	    !shifts_are_whole(t->store, node->src[1]) || (t->by && t->by != node->src[1])) {
		say_error("the engine turns other rows than the keys of all cells (%s)", node->name);
		return 0;
	}
	t->by = node->src[1];
	t->n_layers++;
	if (rope_is(&t->store->rope, node))
		return 1;
	if (t->store->rope.known)
		say_error("layer %d's positions shift by another RoPE than the first layer's keys came "
		          "with, and clkv takes one for all: turn context shift off",
		          layer->number);
	else
		say_error("positions shift by a RoPE that clkv doesn't know: turn context shift off");
	return 0;
}

/** Reads the graph's nodes. Returns 0 after a line. */
static int graph_fits(struct turning *t, struct ggml_cgraph *graph)
{
	const int n = engine()->n_nodes(graph);
	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *node = engine()->node(graph, i);
		if (node->op == GGML_OP_ROPE && !node_fits(t, node))
			return 0;
	}
	if (t->n_layers == t->store->n_layers)
		return 1;
	say_error("positions of %zu of %zu layers shift, and clkv shifts all or none: turn context "
	          "shift off",
	          t->n_layers, t->store->n_layers);
	return 0;
}

static void say_no_room(const struct store *store, const clkv_error *error)
{
	say_clkv("a shift of positions makes what is left beside what there is", error);
	if (!store->room_to_shift)
		say_error("CLKV_GGML_SHIFT=1 keeps room for half a context's tokens for that");
}

/** Removes ranges from the last on, so that those before it stay where they are counted. */
static int remove_ranges(struct store *store, struct stream *s, const struct shift *shift)
{
	clkv_error error = {.status = CLKV_OK};
	for (size_t i = shift->n_removed; i-- > 0;) {
		const struct removed *r = &shift->removed[i];
		if (!clkv_seq_remove(s->seq, r->from, r->to, store->queue, &error))
			continue;
		if (error.status == CLKV_ERROR_POOL_FULL)
			say_no_room(store, &error);
		else
			say_clkv("positions can't shift: turn context shift off", &error);
		return 0;
	}
	return 1;
}

/** Tells whether the engine moves tokens of a stream that is whole: the next batch of a lost one is refused anyhow. */
static int is_shifted(const struct store *store, size_t stream, const int32_t *by)
{
	return !store->streams[stream].lost && any(by + stream * store->cells, store->cells);
}

static int read_shift(const struct stream *s, const int32_t *by, struct shift *shift)
{
	const char *why = "is of a stream that holds no tokens";
	if (s->cells.n) {
		why = "finds no host memory";
		if (shift_read(shift, &s->cells, by, &why))
			return 1;
	}
	say_error("the engine's shift of positions %s: only context shift can be had", why);
	return 0;
}

static int shift_stream(struct store *store, size_t stream, const int32_t *by)
{
	struct stream *s = &store->streams[stream];
	struct shift shift = {.n_removed = 0};
	const int good =
		state_flush(store, stream) && read_shift(s, by, &shift) && remove_ranges(store, s, &shift);
	if (good) {
		shift_cells(&shift, &s->cells);
		s->length = s->cells.n_tokens;
	}
	s->lost = !good;
	shift_free(&shift);
	return good;
}

/** Finds the shifts of all cells. Returns NULL: the graph has none that can be read. */
static const int32_t *shifts_of(const struct store *store, struct ggml_cgraph *graph)
{
	const int n = engine()->n_nodes(graph);
	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *node = engine()->node(graph, i);
		if (node->op == GGML_OP_ROPE)
			return shifts_are_whole(store, node->src[1]) ? node->src[1]->data : NULL;
	}
	return NULL;
}

int pass_shift(struct store *store, struct ggml_cgraph *graph)
{
	struct turning t = {.store = store};
	const int32_t *by = shifts_of(store, graph);
	int all_stay = by != NULL, good = 1;
	for (size_t i = 0; i < store->n_streams && all_stay; i++)
		all_stay = !is_shifted(store, i, by);
	if (all_stay)
		return 1;
	const int fits = graph_fits(&t, graph) && pass_end(store);
	for (size_t i = 0; i < store->n_streams; i++) {
		if (by && !is_shifted(store, i, by))
			continue;
		if (fits)
			good = shift_stream(store, i, by + i * store->cells) && good;
		else
			store->streams[i].lost = 1;
	}
	return fits && good;
}
