/* SPDX-License-Identifier: MIT */
#include "backend.h"

struct store *cache_of(const struct ggml_tensor *node)
{
	int side;
	struct store *store = store_of(node);
	if (store && store_find(store, node, &side))
		return store;
	for (int i = 0; i < GGML_MAX_SRC; i++) {
		store = node->src[i] ? store_of(node->src[i]) : NULL;
		if (store && store_find(store, node->src[i], &side))
			return store;
	}
	return NULL;
}

/** Looks at the type of the buffer alone: that of an engine which only tries what would fit has nothing behind it. */
static int is_ours(const struct ggml_tensor *tensor)
{
	const struct ggml_tensor *root = tensor && tensor->view_src ? tensor->view_src : tensor;
	return root && root->buffer && root->buffer->buft == &clkv_buffer_type && store_is_named(root);
}

int touches_cache(const struct ggml_tensor *node)
{
	int touches = is_ours(node);
	for (int i = 0; i < GGML_MAX_SRC && !touches; i++)
		touches = is_ours(node->src[i]);
	return touches;
}

static int is_view(const struct ggml_tensor *node)
{
	return node->op == GGML_OP_NONE || node->op == GGML_OP_VIEW || node->op == GGML_OP_RESHAPE ||
	       node->op == GGML_OP_PERMUTE || node->op == GGML_OP_TRANSPOSE;
}

/** Makes the clkv cache before the first rows come: the graph's attention says its shape. */
static int open_for(struct ggml_cgraph *graph)
{
	const int n = engine()->n_nodes(graph);
	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *node = engine()->node(graph, i);
		if (node->op != GGML_OP_FLASH_ATTN_EXT)
			continue;
		struct store *store = cache_of(node);
		if (store && !store->cache && !store_open(store, node))
			return 0;
	}
	return 1;
}

static int compute(struct ggml_tensor *node)
{
	struct store *store = is_view(node) ? NULL : cache_of(node);
	if (is_view(node))
		return 1;
	if (!store) {
		say_error("a node came that has nothing to do with a KV cache: %s", node->name);
		return 0;
	}
	if (!store->cache) {
		say_error("%s comes before any attention by flash: turn flash attention on (-fa on)",
		          node->name);
		return 0;
	}
	if (node->op == GGML_OP_SET_ROWS)
		return pass_rows(store, node);
	if (node->op == GGML_OP_FLASH_ATTN_EXT)
		return pass_attend(store, node);
	say_error(
		"the engine reads a cache otherwise than by flash attention (%s): turn it on (-fa on)",
		node->name);
	return 0;
}

/** Finds the node that turns keys of a cache, of a graph that shifts positions. Returns NULL: it's another graph. */
static const struct ggml_tensor *turn_in(struct ggml_cgraph *graph)
{
	const int n = engine()->n_nodes(graph);
	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *node = engine()->node(graph, i);
		if (node->op == GGML_OP_ROPE && cache_of(node))
			return node;
	}
	return NULL;
}

static int shift_by(const struct ggml_tensor *node, struct ggml_cgraph *graph)
{
	struct store *store = cache_of(node);
	if (store->cache)
		return pass_shift(store, graph);
	say_error("positions shift before there was any attention: a restored state must go on first");
	return 0;
}

enum ggml_status compute_graph(ggml_backend_t backend, struct ggml_cgraph *graph)
{
	(void)backend;
	const struct ggml_tensor *turn = turn_in(graph);
	if (turn)
		return shift_by(turn, graph) ? GGML_STATUS_SUCCESS : GGML_STATUS_FAILED;
	if (!open_for(graph))
		return GGML_STATUS_FAILED;
	const int n = engine()->n_nodes(graph);
	for (int i = 0; i < n; i++) {
		if (!compute(engine()->node(graph, i)))
			return GGML_STATUS_FAILED;
	}
	return GGML_STATUS_SUCCESS;
}
