/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "settings.h"

void say_clkv(const char *what, const clkv_error *error)
{
	say_error("%s: %s%s%s", what, clkv_status_string(error->status), *error->text ? ": " : "",
	          error->text);
}

struct store *store_create(size_t size)
{
	struct store *store = calloc(1, sizeof(*store));
	if (!store)
		return NULL;
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	store->size = (size / page + 1) * page;
	/* addresses without memory: pages come when they are touched */
	store->base = mmap(NULL, store->size, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (store->base != MAP_FAILED)
		return store;
	say_error("no room for %zu bytes of addresses", store->size);
	free(store);
	return NULL;
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static void report(const struct store *store)
{
	clkv_stats stats = CLKV_INIT(clkv_stats);
	clkv_cache_stats(store->cache, &stats, NULL);
	const double passes = store->passes ? (double)store->passes : 1;
	const clkv_bytes *b = &stats.allocated;
	say_info(
		"recipe %s, %llu passes, each with %.1f waits, %.3f ms of waiting, %.3f ms of copies and "
		"calls (%.3f ms of these inside clkv) and %.1f kernels",
		store->recipe, (unsigned long long)store->passes, (double)store->waits / passes,
		(double)store->wait_ns / passes / 1e6, (double)store->prepare_ns / passes / 1e6,
		(double)stats.host_ns / passes / 1e6, (double)stats.launches / passes);
	say_info(
		"device MiB %.1f: sealed %.1f, in half %.1f, tables %.1f, code tables %.1f, indexes %.1f, "
		"scratch %.1f; in use %.1f; host MiB %.1f",
		mib(b->device), mib(b->sealed), mib(b->open), mib(b->tables), mib(b->code_tables),
		mib(b->index), mib(b->scratch),
		mib(stats.used_sealed + stats.used_open + stats.used_tables), mib(b->host));
}

void store_clear(struct store *store)
{
	pass_drop(store);
	for (size_t i = 0; store->streams && i < store->n_streams; i++) {
		struct stream *s = &store->streams[i];
		state_drop(store, i);
		clkv_seq_destroy(s->seq);
		cells_free(&s->cells);
		*s = (struct stream){.seq = NULL};
	}
}

static void free_passes(struct store *store)
{
	free(store->pass.spans);
	free(store->next.spans);
	free(store->pass.cells);
	free(store->next.cells);
	free(store->since);
	store->pass.spans = store->next.spans = NULL;
	store->pass.cells = store->next.cells = store->since = NULL;
}

void store_destroy(struct store *store)
{
	if (!store)
		return;
	if (store->cache && store->report)
		report(store);
	store_clear(store);
	clkv_cache_destroy(store->cache);
	if (store->queue)
		clReleaseCommandQueue(store->queue);
	clkv_context_destroy(store->context);
	munmap(store->base, store->size);
	free(store->staging.k);
	free(store->streams);
	free_passes(store);
	rope_free(&store->rope);
	free(store->layers);
	free(store);
}

/** Reads "cache_k_l7", or with a tag as in "cache_swa_k_l7". Returns the side, or -1. */
static int name_of(const char *name, int *layer)
{
	if (strncmp(name, "cache_", 6) != 0)
		return -1;
	const char *k = strstr(name, "k_l"), *v = strstr(name, "v_l");
	const char *at = k ? k : v;
	if (!at || sscanf(at + 3, "%d", layer) != 1)
		return -1;
	return k ? SIDE_K : SIDE_V;
}

int store_is_named(const struct ggml_tensor *tensor)
{
	int layer;
	return name_of(tensor->view_src ? tensor->view_src->name : tensor->name, &layer) >= 0;
}

static struct layer *layer_numbered(struct store *store, int number)
{
	for (size_t i = 0; i < store->n_layers; i++) {
		if (store->layers[i].number == number)
			return &store->layers[i];
	}
	if (store->n_layers == store->room_layers) {
		const size_t room = store->room_layers ? 2 * store->room_layers : 64;
		struct layer *layers = realloc(store->layers, room * sizeof(*layers));
		if (!layers)
			return NULL;
		store->layers = layers;
		store->room_layers = room;
	}
	struct layer *layer = &store->layers[store->n_layers++];
	*layer = (struct layer){.number = number};
	return layer;
}

/** Makes the pages of a KV cache unreadable: whatever would read them past this library fails at once, instead of reading
 *  zeros. */
static void close_pages(struct store *store)
{
	if (!store->is_cache)
		mprotect(store->base, store->size, PROT_NONE);
	store->is_cache = 1;
}

int store_note(struct store *store, const struct ggml_tensor *tensor)
{
	int number;
	const int side = tensor->view_src ? -1 : name_of(tensor->name, &number);
	if (side < 0)
		return 1;
	struct layer *layer = layer_numbered(store, number);
	if (!layer) {
		say_error("out of host memory");
		return 0;
	}
	close_pages(store);
	store->cells = (size_t)tensor->ne[1];
	store->n_streams = (size_t)tensor->ne[2];
	layer->side[side] =
		(struct side){.data = tensor->data,
	                  .type = tensor->type,
	                  .width = (size_t)tensor->ne[0],
	                  .row_bytes = tensor->nb[1],
	                  .rows_bytes = tensor->nb[1] * (size_t)tensor->ne[1] * (size_t)tensor->ne[2]};
	return 1;
}

struct layer *store_find(struct store *store, const struct ggml_tensor *tensor, int *side)
{
	const struct ggml_tensor *root = tensor->view_src ? tensor->view_src : tensor;
	for (size_t i = 0; i < store->n_layers; i++) {
		for (*side = 0; *side < SIDES; ++*side) {
			if (root->data && store->layers[i].side[*side].data == root->data)
				return &store->layers[i];
		}
	}
	return NULL;
}

void store_note_rope(struct store *store, const struct ggml_tensor *node)
{
	int side;
	const struct layer *layer = store_find(store, node, &side);
	if (layer == store->layers && side == SIDE_K)
		rope_of_rows(&store->rope, node->src[0]);
}

/* ---------------------------------------------------------------- the clkv cache ---- */

static int type_is_plain(enum ggml_type type)
{
	return type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || type == GGML_TYPE_F32;
}

/** Says what a cache can't be: layers without V or of other widths than the first, and types that the engine compresses. */
static int layers_fit(const struct store *store)
{
	for (size_t i = 0; i < store->n_layers; i++) {
		const struct side *k = &store->layers[i].side[SIDE_K], *v = &store->layers[i].side[SIDE_V];
		if (!k->data || !v->data) {
			say_error("layer %d has no %s of its own, and clkv needs both", store->layers[i].number,
			          k->data ? "V" : "K");
			return 0;
		}
		if (!type_is_plain(k->type) || !type_is_plain(v->type)) {
			say_error("the cache's types must be f16, bf16 or f32: leave type_k and type_v alone, "
			          "the recipe "
			          "compresses");
			return 0;
		}
		if (k->width != store->layers[0].side[SIDE_K].width ||
		    v->width != store->layers[0].side[SIDE_V].width) {
			say_error(
				"layer %d has other K or V rows than layer %d, and clkv takes one size for all",
				store->layers[i].number, store->layers[0].number);
			return 0;
		}
	}
	return 1;
}

static void log_of_clkv(void *opaque, clkv_log_level level, const char *subsystem, const char *text)
{
	(void)opaque;
	if (level == CLKV_LOG_ERROR)
		say_error("%s: %s", subsystem, text);
	else
		say_info("%s: %s", subsystem, text);
}

static clkv_geometry geometry_of(const struct store *store)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = (int)store->n_layers;
	g.q_heads = store->q_heads;
	g.kv_heads = store->kv_heads;
	g.head_dim_k = store->dim_k;
	g.head_dim_v = store->dim_v;
	g.scale = store->scale;
	g.softcap = store->softcap;
	g.rope = rope_geometry(&store->rope);
	return g;
}

static clkv_cache_options options_of(const struct store *store, const struct settings *set)
{
	const size_t all = store->cells * store->n_streams;
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = set->max_tokens ? set->max_tokens : all;
	o.max_open_tokens = set->max_open < o.max_tokens ? set->max_open : 0;
	o.max_step_tokens = store->max_rows < o.max_tokens ? store->max_rows : o.max_tokens;
	/* one more, so that a copy, or what a shift leaves, may be made before what it replaces goes */
	o.max_sequences = store->n_streams + (store->n_streams > 1 || set->shift);
	o.max_seq_tokens = store->cells < o.max_tokens ? store->cells : o.max_tokens;
	if (set->shift)
		o.max_tokens += store->cells / 2;
	if (o.max_tokens < all)
		say_info(
			"the cache has room for %zu tokens, the engine counts with %zu: what is more will fail",
			o.max_tokens, all);
	return o;
}

static int open_device(struct store *store, const char *device)
{
	clkv_error error = {.status = CLKV_OK};
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	options.log = log_of_clkv;
	options.log_level = CLKV_LOG_ERROR;
	if (clkv_context_open(device, &options, &store->context, &error)) {
		say_clkv("no device", &error);
		return 0;
	}
	cl_int code;
	store->queue = clCreateCommandQueue(clkv_context_cl(store->context),
	                                    clkv_context_device(store->context), 0, &code);
	if (!store->queue)
		say_error("no command queue: OpenCL says %d", code);
	return store->queue != NULL;
}

static int make_passes(struct store *store)
{
	if (!store->streams)
		store->streams = calloc(store->n_streams, sizeof(*store->streams));
	store->pass.spans = calloc(store->n_streams, sizeof(*store->pass.spans));
	store->next.spans = calloc(store->n_streams, sizeof(*store->next.spans));
	store->pass.cells = calloc(store->max_rows, sizeof(*store->pass.cells));
	store->next.cells = calloc(store->max_rows, sizeof(*store->next.cells));
	store->since = calloc(store->cells, sizeof(*store->since));
	return store->streams && store->pass.spans && store->next.spans && store->pass.cells &&
	       store->next.cells && store->since;
}

static int open_cache(struct store *store, const struct settings *set)
{
	clkv_error error = {.status = CLKV_OK};
	const clkv_geometry geometry = geometry_of(store);
	const clkv_cache_options options = options_of(store, set);
	if (!make_passes(store)) {
		say_error("out of host memory");
		return 0;
	}
	if (clkv_cache_create(store->context, &geometry, set->recipe, &options, &store->cache,
	                      &error)) {
		say_clkv("no cache", &error);
		return 0;
	}
	if (clkv_cache_rereads(store->cache)) {
		say_error("recipe %s judges a prompt when the model has read it again, which llama.cpp "
		          "doesn't do: allowed are recipes without kvzip",
		          set->recipe);
		return 0;
	}
	store->report = set->report;
	store->room_to_shift = set->shift;
	snprintf(store->recipe, sizeof(store->recipe), "%s", set->recipe);
	return 1;
}

/** Frees what a failed store_open has made, so that the next graph fails with the same words. */
static int not_opened(struct store *store)
{
	clkv_cache_destroy(store->cache);
	if (store->queue)
		clReleaseCommandQueue(store->queue);
	clkv_context_destroy(store->context);
	free_passes(store);
	store->cache = NULL;
	store->queue = NULL;
	store->context = NULL;
	return 0;
}

int store_open(struct store *store, const struct ggml_tensor *node)
{
	const char *bad;
	const struct settings *set = settings(&bad);
	if (bad) {
		say_error("%s has a value that is too long or no number from 0 to 2147483647", bad);
		return 0;
	}
	if (!layers_fit(store))
		return 0;
	store->dim_k = (int)node->src[1]->ne[0];
	store->dim_v = (int)node->src[2]->ne[0];
	store->kv_heads = (int)node->src[1]->ne[2];
	store->q_heads = (int)node->src[0]->ne[2];
	memcpy(&store->scale, node->op_params, sizeof(float));
	memcpy(&store->softcap, node->op_params + 2, sizeof(float));
	if (!open_device(store, set->device) || !open_cache(store, set))
		return not_opened(store);
	return 1;
}
