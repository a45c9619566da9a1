/* SPDX-License-Identifier: MIT */
/*
 * Several sequences in one cache: a fork shares its prompt, both go through one step, a draft is kept
 * in part, and a file brings a sequence back.
 *
 *     cc 02_sequences.c $(pkg-config --cflags --libs clkv) -o sequences && ./sequences [recipe] [device]
 *
 * Its K, V and q are numbers made of a token's id; an engine writes them with its own kernels.
 */
#include <clkv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 2, Q_HEADS = 6, KV_HEADS = 2, DIM = 64, PROMPT = 200, DRAFT = 4, KEPT = 2 };

static clkv_error error;

static void check(clkv_status status, const char *what)
{
	if (status == CLKV_OK)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, clkv_status_string(status), error.text);
	exit(status == CLKV_ERROR_NO_DEVICE ? 77 : 1);
}

static void expect(int is_true, const char *what)
{
	printf("%s %s\n", is_true ? "yes:" : "NO: ", what);
	if (!is_true)
		exit(1);
}

struct engine {
	cl_command_queue queue;
	cl_mem k, v, q, out;
	float host[PROMPT * Q_HEADS * DIM];
};

/* Writes n rows of a tensor, each a row of numbers in [-1, 1) that its token decides. */
static void write_rows(struct engine *e, cl_mem mem, const unsigned *tokens, size_t n, size_t width)
{
	for (size_t row = 0; row < n; row++) {
		unsigned state = 2654435761u * (tokens[row] + (unsigned)width) + 1;
		for (size_t i = 0; i < width; i++) {
			state = 1664525u * state + 1013904223u;
			e->host[row * width + i] = (float)(state >> 8) / (float)(1 << 23) - 1.0f;
		}
	}
	if (clEnqueueWriteBuffer(e->queue, mem, CL_TRUE, 0, n * width * sizeof(float), e->host, 0, NULL,
	                         NULL) != CL_SUCCESS)
		exit(1);
}

/* A forward pass over the new rows of some sequences, which follow each other in k, v, q and out.
 * n_kept: how many of each one's rows stay (a draft's), or NULL. out: the pass's last row. */
static void forward(clkv_cache *cache, const clkv_step_item *items, size_t n_items,
                    const unsigned *tokens, const size_t *n_kept, struct engine *e, float *out)
{
	size_t rows = 0;
	clkv_step *step;
	for (size_t i = 0; i < n_items; i++)
		rows += items[i].n_tokens;
	write_rows(e, e->k, tokens, rows, KV_HEADS * DIM);
	write_rows(e, e->v, tokens, rows, KV_HEADS * DIM);
	write_rows(e, e->q, tokens, rows, Q_HEADS * DIM);
	check(clkv_step_begin(cache, items, n_items, e->queue, &step, &error), "begin");
	for (int layer = 0; layer < LAYERS; layer++) {
		clkv_tensor k = {e->k, 0, CLKV_F32, 0, 0, NULL}, v = {e->v, 0, CLKV_F32, 0, 0, NULL};
		clkv_tensor q = {e->q, 0, CLKV_F32, 0, 0, NULL}, result = {e->out, 0, CLKV_F32, 0, 0, NULL};
		clkv_attend_args args = CLKV_INIT(clkv_attend_args);
		args.q = q;
		args.out = result;
		check(clkv_step_append(step, layer, &k, &v, 0, NULL, NULL, &error), "append");
		check(clkv_step_attend(step, layer, &args, 0, NULL, NULL, &error), "attend");
	}
	check(clkv_step_commit(step, n_kept, &error), "commit");
	size_t size = Q_HEADS * DIM * sizeof(float);
	if (clEnqueueReadBuffer(e->queue, e->out, CL_TRUE, (rows - 1) * size, size, out, 0, NULL,
	                        NULL) != CL_SUCCESS)
		exit(1);
}

/* One more token of one sequence. */
static void decode(clkv_cache *cache, clkv_seq *seq, unsigned token, struct engine *e, float *out)
{
	clkv_step_item item = {seq, 1, CLKV_DECODE};
	forward(cache, &item, 1, &token, NULL, e, out);
}

static size_t length_of(const clkv_seq *seq)
{
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	check(clkv_seq_get_info(seq, &info, &error), "info");
	return info.length;
}

static uint64_t bytes_in_use(const clkv_cache *cache)
{
	clkv_stats stats = CLKV_INIT(clkv_stats);
	check(clkv_cache_stats(cache, &stats, &error), "stats");
	return stats.used_sealed + stats.used_open;
}

static size_t put(void *file, const void *data, size_t size)
{
	return fwrite(data, 1, size, file);
}

static size_t get(void *file, void *data, size_t size)
{
	return fread(data, 1, size, file);
}

static cl_mem new_buffer(cl_context cl, size_t floats)
{
	cl_int code;
	cl_mem mem = clCreateBuffer(cl, CL_MEM_READ_WRITE, floats * sizeof(float), NULL, &code);
	if (code != CL_SUCCESS)
		exit(1);
	return mem;
}

static void open_engine(clkv_context *context, struct engine *e)
{
	cl_int code;
	cl_context cl = clkv_context_cl(context);
	e->queue = clCreateCommandQueue(cl, clkv_context_device(context), 0, &code);
	if (code != CL_SUCCESS)
		exit(1);
	e->k = new_buffer(cl, PROMPT * KV_HEADS * DIM);
	e->v = new_buffer(cl, PROMPT * KV_HEADS * DIM);
	e->q = new_buffer(cl, PROMPT * Q_HEADS * DIM);
	e->out = new_buffer(cl, PROMPT * Q_HEADS * DIM);
}

static void close_engine(struct engine *e)
{
	clReleaseMemObject(e->k);
	clReleaseMemObject(e->v);
	clReleaseMemObject(e->q);
	clReleaseMemObject(e->out);
	clReleaseCommandQueue(e->queue);
}

/* Two answers to one prompt: the blocks are shared until one of the two writes to them. */
static clkv_seq *fork_and_go_on(clkv_cache *cache, clkv_seq *first, struct engine *e)
{
	static float out[Q_HEADS * DIM];
	static const unsigned next[] = {1001, 2001, 2002};
	clkv_seq *second;
	uint64_t before = bytes_in_use(cache);
	check(clkv_seq_fork(first, &second, &error), "fork");
	expect(bytes_in_use(cache) == before, "a fork takes no block of its own");
	clkv_step_item items[] = {{first, 1, CLKV_DECODE}, {second, 2, CLKV_DECODE}};
	forward(cache, items, 2, next, NULL, e, out);
	expect(length_of(first) == PROMPT + 1 && length_of(second) == PROMPT + 2,
	       "one step has advanced both, one by a token and one by two");
	return second;
}

/* Speculative decoding: all of a draft is attended with, and commit is told how much of it stays. */
static void keep_half_a_draft(clkv_cache *cache, clkv_seq *seq, struct engine *e)
{
	static float drafted[Q_HEADS * DIM], plain[Q_HEADS * DIM];
	static const unsigned draft[DRAFT] = {3001, 3002, 3003, 3004};
	static const size_t kept = KEPT;
	clkv_seq *twin;
	check(clkv_seq_fork(seq, &twin, &error), "fork");
	clkv_step_item item = {seq, DRAFT, CLKV_DECODE};
	forward(cache, &item, 1, draft, &kept, e, drafted);
	decode(cache, seq, 4001, e, drafted);
	for (size_t i = 0; i < KEPT; i++)
		decode(cache, twin, draft[i], e, plain);
	decode(cache, twin, 4001, e, plain);
	expect(length_of(seq) == length_of(twin) && memcmp(drafted, plain, sizeof plain) == 0,
	       "a draft's rejected rows leave no trace");
	clkv_seq_destroy(twin);
}

static void save_and_load(clkv_cache *cache, clkv_seq *seq, struct engine *e)
{
	static float here[Q_HEADS * DIM], there[Q_HEADS * DIM];
	clkv_seq *loaded;
	FILE *file = tmpfile();
	if (file == NULL)
		exit(1);
	check(clkv_seq_save(seq, NULL, e->queue, put, file, &error), "save");
	rewind(file);
	check(clkv_seq_load(cache, e->queue, get, file, &loaded, &error), "load");
	fclose(file);
	decode(cache, seq, 5001, e, here);
	decode(cache, loaded, 5001, e, there);
	expect(memcmp(here, there, sizeof here) == 0, "a loaded sequence goes on with the same bits");
	clkv_seq_destroy(loaded);
}

int main(int argc, char **argv)
{
	static struct engine e;
	static float out[Q_HEADS * DIM];
	unsigned prompt[PROMPT];
	clkv_context *context;
	clkv_cache *cache;
	clkv_seq *first;
	for (unsigned i = 0; i < PROMPT; i++)
		prompt[i] = i;
	check(clkv_context_open(argc > 2 ? argv[2] : NULL, NULL, &context, &error), "context");
	open_engine(context, &e);
	clkv_geometry geometry = CLKV_INIT(clkv_geometry);
	geometry.layers = LAYERS;
	geometry.q_heads = Q_HEADS;
	geometry.kv_heads = KV_HEADS;
	geometry.head_dim_k = DIM;
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	options.max_tokens = 1024;
	options.max_sequences = 3;
	check(clkv_cache_create(context, &geometry, argc > 1 ? argv[1] : "kivi:bits=4", &options,
	                        &cache, &error),
	      "cache");
	check(clkv_seq_create(cache, &first, &error), "sequence");
	clkv_step_item item = {first, PROMPT, CLKV_PROMPT_END};
	forward(cache, &item, 1, prompt, NULL, &e, out);

	clkv_seq *second = fork_and_go_on(cache, first, &e);
	keep_half_a_draft(cache, first, &e);
	save_and_load(cache, second, &e);
	check(clkv_seq_truncate(second, 0, &error), "truncate");
	expect(length_of(second) == 0, "an emptied sequence takes the next prompt");

	clkv_cache_destroy(cache); /* and its sequences */
	close_engine(&e);
	clkv_context_destroy(context);
	return 0;
}
