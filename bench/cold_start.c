/* SPDX-License-Identifier: MIT */
/**
 * \file    cold_start.c
 * \brief   What a recipe's first start costs: processor time and programs, up to the end of its first steps.
 *
 * bench/cold-start.sh calls it with empty folders of programs. Public functions of clkv.h only, and old ones, so that
 * it can run with the library of another build.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <clkv.h>

/* SmolLM2-135M. */
enum { LAYERS = 30, Q_HEADS = 9, KV_HEADS = 3, HEAD_DIM = 64, MOST_ROWS = 8192 };

struct start {
	const char *recipe;
	size_t rows; /* of the prompt */
	int programs;
	clkv_context *context;
	clkv_cache *cache;
	clkv_seq *seq;
	cl_command_queue queue;
	cl_mem in, out; /* any rows: zeroes */
	clkv_error error;
};

/* Processor time of this process and of the linkers that a driver has started. */
static double seconds(void)
{
	double sum = 0;
	static const int who[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
	for (int i = 0; i < 2; i++) {
		struct rusage u;
		if (getrusage(who[i], &u) == 0)
			sum += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
			       1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	}
	return sum;
}

static void count_programs(void *opaque, clkv_log_level level, const char *subsystem,
                           const char *text)
{
	struct start *s = opaque;
	if (level == CLKV_LOG_BUILD && strcmp(subsystem, "build") == 0 && strstr(text, ": ready"))
		s->programs++;
}

static int open_device(struct start *s, const char *device)
{
	cl_int code = CL_SUCCESS;
	const size_t bytes = MOST_ROWS * Q_HEADS * HEAD_DIM * sizeof(float);
	clkv_context_options o = CLKV_INIT(clkv_context_options);
	o.log = count_programs;
	o.log_opaque = s;
	o.log_level = CLKV_LOG_BUILD;
	if (clkv_context_open(device, &o, &s->context, &s->error) != CLKV_OK)
		return 0;
	cl_context cl = clkv_context_cl(s->context);
	s->queue = clCreateCommandQueue(cl, clkv_context_device(s->context), 0, &code);
	float *zeroes = calloc(bytes, 1);
	if (zeroes == NULL || code != CL_SUCCESS)
		return 0;
	s->in = clCreateBuffer(cl, CL_MEM_COPY_HOST_PTR, bytes, zeroes, &code);
	s->out = clCreateBuffer(cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
	free(zeroes);
	return s->in != NULL && s->out != NULL;
}

static int create(struct start *s)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = LAYERS;
	g.q_heads = Q_HEADS;
	g.kv_heads = KV_HEADS;
	g.head_dim_k = HEAD_DIM;
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = MOST_ROWS;
	o.max_step_tokens = s->rows > 512 ? s->rows : 512;
	return clkv_cache_create(s->context, &g, s->recipe, &o, &s->cache, &s->error) == CLKV_OK &&
	       clkv_seq_create(s->cache, &s->seq, &s->error) == CLKV_OK;
}

static int attend(struct start *s, clkv_step *step)
{
	const clkv_tensor rows = {s->in, 0, CLKV_F32, 0, 0, NULL};
	clkv_attend_args a = CLKV_INIT(clkv_attend_args);
	a.q = rows;
	a.out = (clkv_tensor){s->out, 0, CLKV_F32, 0, 0, NULL};
	for (int layer = 0; layer < LAYERS; layer++)
		if (clkv_step_append(step, layer, &rows, &rows, 0, NULL, NULL, &s->error) != CLKV_OK ||
		    clkv_step_attend(step, layer, &a, 0, NULL, NULL, &s->error) != CLKV_OK)
			return 0;
	return 1;
}

/* A step, up to its last command. */
static int step_of(struct start *s, size_t rows, clkv_phase phase)
{
	clkv_step *step = NULL;
	const clkv_step_item item = {s->seq, rows, phase};
	if (clkv_step_begin(s->cache, &item, 1, s->queue, &step, &s->error) == CLKV_OK &&
	    attend(s, step) && clkv_step_commit(step, NULL, &s->error) == CLKV_OK)
		return clFinish(s->queue) == CL_SUCCESS;
	clkv_step_abort(step);
	return 0;
}

static void close_device(struct start *s)
{
	clkv_cache_destroy(s->cache);
	if (s->in != NULL)
		(void)clReleaseMemObject(s->in);
	if (s->out != NULL)
		(void)clReleaseMemObject(s->out);
	if (s->queue != NULL)
		(void)clReleaseCommandQueue(s->queue);
	clkv_context_destroy(s->context);
}

/* Prints what creating the cache, its first prompt and the row after it took, each with all before it. */
static int measure(struct start *s, const char *device)
{
	double at[4];
	int programs[4] = {0};
	if (!open_device(s, device))
		return 0;
	at[0] = seconds();
	for (int i = 1; i < 4; i++) {
		if (!(i == 1 ? create(s)
		             : step_of(s, i == 2 ? s->rows : 1, i == 2 ? CLKV_PROMPT_END : CLKV_DECODE)))
			return 0;
		at[i] = seconds();
		programs[i] = s->programs;
	}
	return printf("%.2f %d %.2f %d %.2f %d\n", at[1] - at[0], programs[1], at[2] - at[0],
	              programs[2], at[3] - at[0], programs[3]) > 0;
}

int main(int argc, char **argv)
{
	struct start s = {.error = {.text = "an OpenCL call failed"}};
	if (argc < 3 || argc > 4) {
		(void)fprintf(stderr, "usage: cold-start RECIPE ROWS [DEVICE]; see bench/cold-start.sh\n");
		return 2;
	}
	s.recipe = argv[1];
	s.rows = (size_t)strtoul(argv[2], NULL, 10);
	int done = s.rows > 0 && s.rows <= MOST_ROWS && measure(&s, argc > 3 ? argv[3] : NULL);
	close_device(&s);
	if (!done)
		(void)fprintf(stderr, "cold-start: %s: %s\n", s.recipe, s.error.text);
	return !done;
}
