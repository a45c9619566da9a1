/* SPDX-License-Identifier: MIT */
/*
 * The smallest complete program: a compressed cache, a prompt, one row of generation.
 *
 *     cc 01_attend.c $(pkg-config --cflags --libs clkv) -lm -o attend && ./attend [recipe] [device]
 *
 * Its K, V and q are random numbers; an engine writes them with its own kernels.
 */
#include <clkv.h>

#include <stdio.h>
#include <stdlib.h>

enum { LAYERS = 2, Q_HEADS = 6, KV_HEADS = 2, DIM = 64, PROMPT = 300 };

static clkv_error error;

static void check(clkv_status status, const char *what)
{
	if (status == CLKV_OK)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, clkv_status_string(status), error.text);
	exit(status == CLKV_ERROR_NO_DEVICE ? 77 : 1);
}

/* A buffer of n random floats in [-1, 1). */
static cl_mem random_buffer(cl_context cl, size_t n)
{
	float *data = malloc(n * sizeof *data);
	cl_int code = CL_OUT_OF_HOST_MEMORY;
	cl_mem mem = NULL;
	if (data) {
		for (size_t i = 0; i < n; i++)
			data[i] = 2.0f * (float)rand() / (float)RAND_MAX - 1.0f;
		mem = clCreateBuffer(cl, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, n * sizeof *data, data,
		                     &code);
		free(data);
	}
	if (code != CL_SUCCESS) {
		fprintf(stderr, "clCreateBuffer: %d\n", code);
		exit(1);
	}
	return mem;
}

struct engine {
	cl_command_queue queue;
	cl_mem k, v, q, out;
};

/* One forward pass over n new rows of a sequence. */
static void forward(clkv_cache *cache, clkv_seq *seq, size_t n, clkv_phase phase, struct engine *e)
{
	clkv_step_item item = {seq, n, phase};
	clkv_step *step;
	check(clkv_step_begin(cache, &item, 1, e->queue, &step, &error), "begin");
	for (int layer = 0; layer < LAYERS; layer++) {
		clkv_tensor k = {e->k, 0, CLKV_F32, 0, 0, NULL}, v = {e->v, 0, CLKV_F32, 0, 0, NULL};
		clkv_tensor q = {e->q, 0, CLKV_F32, 0, 0, NULL}, out = {e->out, 0, CLKV_F32, 0, 0, NULL};
		clkv_attend_args args = CLKV_INIT(clkv_attend_args);
		args.q = q;
		args.out = out;
		check(clkv_step_append(step, layer, &k, &v, 0, NULL, NULL, &error), "append");
		check(clkv_step_attend(step, layer, &args, 0, NULL, NULL, &error), "attend");
	}
	check(clkv_step_commit(step, NULL, &error), "commit");
}

int main(int argc, char **argv)
{
	const char *recipe = argc > 1 ? argv[1] : "kivi:bits=4";
	clkv_context *context;
	clkv_cache *cache;
	clkv_seq *seq;
	cl_int code;
	check(clkv_context_open(argc > 2 ? argv[2] : NULL, NULL, &context, &error), "context");
	cl_context cl = clkv_context_cl(context);
	struct engine e;
	e.queue = clCreateCommandQueue(cl, clkv_context_device(context), 0, &code);
	e.k = random_buffer(cl, PROMPT * KV_HEADS * DIM);
	e.v = random_buffer(cl, PROMPT * KV_HEADS * DIM);
	e.q = random_buffer(cl, PROMPT * Q_HEADS * DIM);
	e.out = random_buffer(cl, PROMPT * Q_HEADS * DIM);

	clkv_geometry geometry = CLKV_INIT(clkv_geometry);
	geometry.layers = LAYERS;
	geometry.q_heads = Q_HEADS;
	geometry.kv_heads = KV_HEADS;
	geometry.head_dim_k = DIM;
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	options.max_tokens = 1024;
	check(clkv_cache_create(context, &geometry, recipe, &options, &cache, &error), "cache");
	check(clkv_seq_create(cache, &seq, &error), "sequence");

	forward(cache, seq, PROMPT, CLKV_PROMPT_END, &e);
	forward(cache, seq, 1, CLKV_DECODE, &e);

	float out[4];
	clEnqueueReadBuffer(e.queue, e.out, CL_TRUE, 0, sizeof out, out, 0, NULL, NULL);
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	clkv_seq_get_info(seq, &info, &error);
	printf("%s: %zu tokens, %zu of them sealed, %.1f bytes per token (in half %d)\n", recipe,
	       info.length, info.sealed, (double)info.bytes / (double)info.length,
	       LAYERS * KV_HEADS * DIM * 4);
	printf("out: %g %g %g %g ...\n", (double)out[0], (double)out[1], (double)out[2],
	       (double)out[3]);

	clkv_cache_destroy(cache);
	clReleaseMemObject(e.k);
	clReleaseMemObject(e.v);
	clReleaseMemObject(e.q);
	clReleaseMemObject(e.out);
	clReleaseCommandQueue(e.queue);
	clkv_context_destroy(context);
	return 0;
}
