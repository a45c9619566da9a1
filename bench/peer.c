/* SPDX-License-Identifier: MIT */
/**
 * \file    peer.c
 * \brief   Builds a graph of ggml's flash attention, one node per layer, and times it.
 *
 * The declarations are those of ggml's public C interface (ggml.h, ggml-backend.h, ggml-cpu.h),
 * found in its shared libraries at run time: nothing of ggml is needed to build this.
 */
#include "peer.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ggml_context;
struct ggml_tensor;
struct ggml_cgraph;
struct ggml_backend;

struct ggml_init_params {
	size_t mem_size;
	void *mem_buffer;
	bool no_alloc;
};

#define PEER_FUNCTIONS(X)                                                                          \
	X(base, struct ggml_context *, ggml_init, (struct ggml_init_params))                           \
	X(base, void, ggml_free, (struct ggml_context *))                                              \
	X(base, size_t, ggml_tensor_overhead, (void))                                                  \
	X(base, size_t, ggml_graph_overhead_custom, (size_t, bool))                                    \
	X(base, size_t, ggml_row_size, (int, int64_t))                                                 \
	X(base, size_t, ggml_nbytes, (const struct ggml_tensor *))                                     \
	X(base, void *, ggml_get_data, (const struct ggml_tensor *))                                   \
	X(base, struct ggml_tensor *, ggml_new_tensor_4d,                                              \
	  (struct ggml_context *, int, int64_t, int64_t, int64_t, int64_t))                            \
	X(base, struct ggml_tensor *, ggml_permute,                                                    \
	  (struct ggml_context *, struct ggml_tensor *, int, int, int, int))                           \
	X(base, struct ggml_tensor *, ggml_flash_attn_ext,                                             \
	  (struct ggml_context *, struct ggml_tensor *, struct ggml_tensor *, struct ggml_tensor *,    \
	   struct ggml_tensor *, float, float, float))                                                 \
	X(base, struct ggml_cgraph *, ggml_new_graph_custom, (struct ggml_context *, size_t, bool))    \
	X(base, void, ggml_build_forward_expand, (struct ggml_cgraph *, struct ggml_tensor *))         \
	X(base, int, ggml_backend_graph_compute, (struct ggml_backend *, struct ggml_cgraph *))        \
	X(base, void, ggml_backend_free, (struct ggml_backend *))                                      \
	X(cpu, struct ggml_backend *, ggml_backend_cpu_init, (void))                                   \
	X(cpu, void, ggml_backend_cpu_set_n_threads, (struct ggml_backend *, int))

struct peer_type {
	const char *name;
	int number;         /* in enum ggml_type, which is part of its file format */
	size_t block_bytes; /* a half scale and the codes; 2: halves alone */
};

static const struct peer_type types[] = {{"f16", 1, 2}, {"q8_0", 8, 34}, {"q4_0", 2, 18}};

enum { TYPE_F32 = 0, TYPE_F16 = 1, MOST_LAYERS = 512 };

struct peer {
	const struct bench_machine *machine;
	const struct bench_problem *problem;
	const struct peer_type *type;
	bool by_tokens;
	size_t layers;
	void *base, *cpu;
	struct ggml_context *ctx;
	struct ggml_backend *backend;
	struct ggml_cgraph *graph;
#define X(library, result, name, arguments) result(*name) arguments;
	PEER_FUNCTIONS(X)
#undef X
};

bool peer_is_recipe(const char *recipe)
{
	return strncmp(recipe, "ggml:", 5) == 0;
}

static const struct peer_type *find_type(const char *recipe, bool *by_tokens)
{
	const char *name = recipe + 5;
	size_t n = strcspn(name, ",");
	*by_tokens = strcmp(name + n, ",tokens") == 0;
	if (name[n] != '\0' && !*by_tokens)
		return NULL;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strlen(types[i].name) == n && strncmp(types[i].name, name, n) == 0)
			return &types[i];
	return NULL;
}

bool peer_check_recipe(const char *recipe, struct tool_error *error)
{
	bool by_tokens;
	return find_type(recipe, &by_tokens) != NULL ||
	       tool_fail(error,
	                 "the peer's types are ggml:f16, ggml:q8_0 and ggml:q4_0, with ,tokens behind "
	                 "them or not; not '%s'",
	                 recipe);
}

/* The plain name, else the first that begins with it: wheels put digests into names ("libggml-cpu-67036419.so.0.13.1"). */
static bool find_library(const char *folder, const char *stem, char *path, size_t size)
{
	static const char *const ends[] = {".so", ".so.*", "-*.so", "-*.so.*"};
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		glob_t found;
		(void)snprintf(path, size, "%s/%s%s", folder, stem, ends[i]);
		bool is_there = glob(path, 0, NULL, &found) == 0;
		if (is_there) {
			(void)snprintf(path, size, "%s", found.gl_pathv[0]);
			globfree(&found);
			return true;
		}
	}
	return false;
}

static bool open_library(const char *folder, const char *stem, void **library,
                         struct tool_error *error)
{
	char path[4096];
	if (!find_library(folder, stem, path, sizeof path))
		return tool_fail(error, "can't load ggml: no %s*.so in %s", stem, folder);
	*library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
	return *library != NULL || tool_fail(error, "can't load ggml: %s", dlerror());
}

/* ISO C has no cast from void * to a function; POSIX says that the bytes are the same. */
static bool load_function(void *library, const char *name, void *function, struct tool_error *error)
{
	void *found = dlsym(library, name);
	if (found == NULL)
		return tool_fail(error, "this ggml has no %s: another version is needed", name);
	memcpy(function, &found, sizeof found);
	return true;
}

static bool load(struct peer *p, struct tool_error *error)
{
	const char *folder = p->machine->ggml_dir;
	if (folder == NULL)
		return tool_fail(error, "recipes of ggml need --ggml DIR, the folder of its libraries");
	return open_library(folder, "libggml-base", &p->base, error) &&
	       open_library(folder, "libggml-cpu", &p->cpu, error)
#define X(library, result, name, arguments) &&load_function(p->library, #name, &p->name, error)
	           PEER_FUNCTIONS(X)
#undef X
		;
}

/* Random codes, and a scale in front of each block that keeps values near those of clkv's rows. */
static void fill_random(const struct peer_type *type, unsigned char *x, size_t n)
{
	uint64_t state = 88172645463325252u;
	for (size_t i = 0; i + type->block_bytes <= n; i += type->block_bytes) {
		uint16_t first = 0x2000; /* 1/128 */
		for (size_t j = 2; j < type->block_bytes; j++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			x[i + j] = (unsigned char)(state >> 56);
		}
		if (type->block_bytes == 2) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			first = (uint16_t)((state >> 40 & 0x83ff) | (12 + (state >> 60) % 3) << 10);
		}
		memcpy(x + i, &first, sizeof first);
	}
}

static struct ggml_tensor *make_rows(struct peer *p)
{
	int64_t d = (int64_t)p->problem->head_dim, t = (int64_t)p->problem->tokens;
	int64_t heads = (int64_t)p->problem->kv_heads, batch = (int64_t)p->problem->batch;
	struct ggml_tensor *x =
		p->by_tokens ? p->ggml_new_tensor_4d(p->ctx, p->type->number, d, heads, t, batch)
					 : p->ggml_new_tensor_4d(p->ctx, p->type->number, d, t, heads, batch);
	fill_random(p->type, p->ggml_get_data(x), p->ggml_nbytes(x));
	return p->by_tokens ? p->ggml_permute(p->ctx, x, 0, 2, 1, 3) : x;
}

/* Half minus infinity for tokens behind the row; a single row sees all. */
static struct ggml_tensor *make_mask(struct peer *p)
{
	const size_t t = p->problem->tokens, rows = p->problem->rows;
	if (rows == 1)
		return NULL;
	struct ggml_tensor *mask =
		p->ggml_new_tensor_4d(p->ctx, TYPE_F16, (int64_t)t, (int64_t)rows, 1, 1);
	uint16_t *x = p->ggml_get_data(mask);
	for (size_t row = 0; row < rows; row++)
		for (size_t i = 0; i < t; i++)
			x[row * t + i] = i <= t - rows + row ? 0 : 0xfc00;
	return mask;
}

static struct ggml_tensor *make_q(struct peer *p)
{
	const struct bench_problem *b = p->problem;
	struct ggml_tensor *q =
		p->ggml_new_tensor_4d(p->ctx, TYPE_F32, (int64_t)b->head_dim, (int64_t)b->rows,
	                          (int64_t)b->q_heads, (int64_t)b->batch);
	float *x = p->ggml_get_data(q);
	for (size_t i = 0; i < p->ggml_nbytes(q) / sizeof *x; i++)
		x[i] = (float)(i * 7 % 31) / 16.0f - 1.0f;
	return q;
}

static double bytes_of_layer(const struct peer *p)
{
	const struct bench_problem *b = p->problem;
	return 2.0 * (double)p->ggml_row_size(p->type->number, (int64_t)b->head_dim) *
	       (double)(b->kv_heads * b->tokens * b->batch);
}

static void choose_layers(struct peer *p)
{
	const struct bench_problem *b = p->problem;
	const double adds = bench_multiply_adds(b);
	double n = b->hot ? 1.0 : 1.25 * (double)p->machine->cache_bytes / bytes_of_layer(p) + 1.0;
	if (n > BENCH_MOST_ROUND / adds)
		n = BENCH_MOST_ROUND / adds;
	p->layers = n < 1.0 ? 1 : n > MOST_LAYERS ? MOST_LAYERS : (size_t)n;
}

static bool make_graph(struct peer *p, struct tool_error *error)
{
	const struct bench_problem *b = p->problem;
	const float scale = 0.125f;
	choose_layers(p);
	const size_t q_bytes = b->head_dim * b->rows * b->q_heads * b->batch * sizeof(float);
	const size_t of_layer =
		(size_t)bytes_of_layer(p) + q_bytes + 8 * p->ggml_tensor_overhead() + 1024;
	const size_t bytes = p->layers * of_layer + q_bytes + 2 * b->rows * b->tokens +
	                     p->ggml_graph_overhead_custom(2048, false) +
	                     8 * p->ggml_tensor_overhead() + (1 << 20);
	p->ctx = p->ggml_init((struct ggml_init_params){.mem_size = bytes});
	if (p->ctx == NULL)
		return tool_fail(error, "ggml can't take %zu bytes", bytes);
	struct ggml_tensor *q = make_q(p), *mask = make_mask(p);
	p->graph = p->ggml_new_graph_custom(p->ctx, 2048, false);
	for (size_t i = 0; i < p->layers; i++) {
		struct ggml_tensor *k = make_rows(p), *v = make_rows(p);
		p->ggml_build_forward_expand(p->graph,
		                             p->ggml_flash_attn_ext(p->ctx, q, k, v, mask, scale, 0, 0));
	}
	p->backend = p->ggml_backend_cpu_init();
	if (p->backend == NULL)
		return tool_fail(error, "ggml has no CPU here");
	p->ggml_backend_cpu_set_n_threads(p->backend, (int)p->machine->info.compute_units);
	return true;
}

static bool one_round(struct peer *p, double *us, struct tool_error *error)
{
	double begun = bench_now(p->machine);
	if (p->ggml_backend_graph_compute(p->backend, p->graph) != 0)
		return tool_fail(error, "ggml failed to compute");
	*us = (bench_now(p->machine) - begun) / (double)p->layers;
	return true;
}

static bool measure(struct peer *p, struct bench_result *result, struct tool_error *error)
{
	const struct bench_problem *b = p->problem;
	double us;
	if (!make_graph(p, error) || !one_round(p, &us, error))
		return false;
	for (double started = bench_seconds(); bench_wants_more(result, started); result->n++)
		if (!one_round(p, &result->us[result->n], error))
			return false;
	result->work.tokens = (double)b->tokens;
	result->work.f16_bytes = 4.0 * (double)(b->tokens * b->batch * b->head_dim * b->kv_heads);
	result->work.compressed_bytes = result->work.moved_bytes = bytes_of_layer(p);
	result->work.multiply_adds = bench_multiply_adds(b);
	return true;
}

bool bench_peer(const struct bench_machine *machine, const struct bench_problem *problem,
                struct bench_result *result, struct tool_error *error)
{
	struct peer p = {.machine = machine, .problem = problem};
	p.type = find_type(problem->recipe, &p.by_tokens);
	bool done =
		peer_check_recipe(problem->recipe, error) && load(&p, error) && measure(&p, result, error);
	if (p.backend != NULL)
		p.ggml_backend_free(p.backend);
	if (p.ctx != NULL)
		p.ggml_free(p.ctx);
	/* the libraries stay loaded: their threads may still be on their way to sleep */
	return done;
}
