/* SPDX-License-Identifier: MIT */
/**
 * \file    rig.c
 * \brief   Fills caches for problems, cheaply: rows are appended without any attention.
 */
#include "bench_calibration.h"
#include "bench_factors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 512, MOST_LAYERS = 1024, BLOCK_ROOM = 512 };

double bench_f16_bytes(const struct bench_problem *problem)
{
	return 4.0 * (double)(problem->head_dim * problem->kv_heads);
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static clkv_cache_options cache_options(const struct bench_problem *p)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_seq_tokens = p->tokens + BLOCK_ROOM;
	o.max_sequences = p->batch;
	o.max_tokens = o.max_seq_tokens * p->batch;
	o.max_step_tokens = larger(CHUNK, p->rows * p->batch);
	if (o.max_step_tokens > o.max_tokens)
		o.max_step_tokens = o.max_tokens;
	return o;
}

/* As many layers, or a few more where some go together. */
static bool count_bytes(struct bench_rig *rig, size_t layers, struct tool_error *error)
{
	clkv_error cause;
	clkv_cache_options o = cache_options(rig->problem);
	const size_t each = bench_layers_together(rig->problem->recipe);
	rig->layers = (layers + each - 1) / each * each;
	rig->geometry.layers = (int)rig->layers;
	rig->bytes = (clkv_bytes)CLKV_INIT(clkv_bytes);
	return clkv_bytes_required(rig->machine->context, &rig->geometry, rig->problem->recipe, &o,
	                           &rig->bytes, &cause) == CLKV_OK ||
	       tool_fail_clkv(error, "the problem", &cause);
}

double bench_multiply_adds(const struct bench_problem *p)
{
	double rows = (double)p->rows;
	double seen = rows * (double)p->tokens - rows * (rows - 1.0) / 2.0;
	return 2.0 * (double)(p->head_dim * p->q_heads * p->batch) * seen;
}

static double prompt_multiply_adds(const struct bench_problem *p)
{
	return (double)(p->head_dim * p->q_heads * p->batch) * (double)p->tokens * (double)p->tokens;
}

double bench_rig_index_bytes(const struct bench_rig *rig)
{
	return (double)rig->bytes.index / (double)rig->layers;
}

/* Bytes of a layer that a round touches. */
static double read_of_layer(const struct bench_rig *rig, bool attends)
{
	const struct bench_problem *p = rig->problem;
	if (p->recall > 0)
		return bench_rig_index_bytes(rig) + (double)(p->recall * p->batch) * bench_f16_bytes(p);
	return (double)(p->tokens * p->batch) * (attends ? rig->bytes.per_token : bench_f16_bytes(p));
}

static bool choose_layers(struct bench_rig *rig, bool attends, struct tool_error *error)
{
	const struct bench_problem *p = rig->problem;
	if (!count_bytes(rig, 1, error) || p->hot)
		return rig->layers == 1;
	double n = 1.25 * (double)rig->machine->cache_bytes / read_of_layer(rig, attends) + 1.0;
	if (attends && n > BENCH_MOST_ROUND / bench_multiply_adds(p))
		n = BENCH_MOST_ROUND / bench_multiply_adds(p);
	if (p->attended && n > BENCH_MOST_PROMPT / prompt_multiply_adds(p))
		n = BENCH_MOST_PROMPT / prompt_multiply_adds(p);
	size_t layers = n < 1.0 ? 1 : n > MOST_LAYERS ? MOST_LAYERS : (size_t)n;
	while (count_bytes(rig, layers, error)) {
		if (layers == 1 || rig->bytes.device <= rig->machine->info.global_bytes / 2)
			return true;
		layers -= layers / 4 + (layers < 4);
	}
	return false;
}

/* Halves between 1/8 and 1 with random signs: finite, and no two blocks alike. */
static void fill_random(uint16_t *x, size_t n)
{
	uint64_t state = 88172645463325252u;
	for (size_t i = 0; i < n; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		x[i] = (uint16_t)((state & 0x83ff) | (12 + (state >> 20) % 3) << 10);
	}
}

/* A number of about a normal distribution. */
static float draw(uint64_t *state)
{
	float sum = 0.0f;
	for (int i = 0; i < 4; i++) {
		*state = *state * 6364136223846793005u + 1442695040888963407u;
		sum += (float)(*state >> 40) / 16777216.0f - 0.5f;
	}
	return sum;
}

/* Queries of a KV head have a part in common, so that they choose in part the same tokens. */
static void fill_alike(const struct bench_problem *p, float *q)
{
	const float common = sqrtf(p->agree), own = sqrtf(1.0f - p->agree);
	const size_t group = p->q_heads / p->kv_heads, d = p->head_dim;
	uint64_t state = 1;
	for (size_t kv = 0; kv < p->rows * p->batch * p->kv_heads; kv++, q += group * d)
		for (size_t i = 0; i < d; i++) {
			const float shared = draw(&state);
			for (size_t g = 0; g < group; g++)
				q[g * d + i] = common * shared + own * draw(&state);
		}
}

static bool make_input(struct bench_rig *rig, bool attends, struct tool_error *error)
{
	const struct bench_problem *p = rig->problem;
	cl_int code = CL_SUCCESS;
	size_t rows = larger(CHUNK, p->rows * p->batch);
	rig->input_elements = 2 * rows * p->kv_heads * p->head_dim;
	double copies = 1.25 * (double)rig->machine->cache_bytes / (2.0 * (double)rig->input_elements);
	/* tokens that recur would make units that no text has */
	bool one = p->recall == 0 && (attends || p->hot);
	rig->copies = one || copies < 1.0 ? 1 : (size_t)copies;
	size_t n = rig->copies * rig->input_elements;
	uint16_t *x = malloc(n * sizeof *x);
	if (x == NULL)
		return tool_fail(error, "out of memory");
	fill_random(x, n);
	rig->input = clCreateBuffer(rig->machine->cl, CL_MEM_COPY_HOST_PTR, n * sizeof *x, x, &code);
	free(x);
	if (rig->input == NULL)
		return tool_fail_cl(error, "clCreateBuffer", code);
	size_t q_rows = p->attended ? rows : p->rows * p->batch;
	size_t q_bytes = q_rows * p->q_heads * p->head_dim * sizeof(float);
	float *q = malloc(q_bytes);
	if (q == NULL)
		return tool_fail(error, "out of memory");
	if (p->recall > 0)
		fill_alike(p, q);
	for (size_t i = 0; p->recall == 0 && i < q_bytes / sizeof *q; i++)
		q[i] = (float)(i * 7 % 31) / 16.0f - 1.0f;
	rig->q = clCreateBuffer(rig->machine->cl, CL_MEM_COPY_HOST_PTR, q_bytes, q, &code);
	free(q);
	if (rig->q != NULL)
		rig->out = clCreateBuffer(rig->machine->cl, CL_MEM_READ_WRITE, q_bytes, NULL, &code);
	return rig->out != NULL || tool_fail_cl(error, "clCreateBuffer", code);
}

static float from_half(uint16_t x)
{
	return ldexpf((float)((x & 0x3ff) | 0x400) * (x & 0x8000 ? -1.0f : 1.0f), (x >> 10 & 31) - 25);
}

/* Of the rows that fill_random makes. */
static bool calibrate(const clkv_geometry *geometry, struct bench_file *file,
                      struct tool_error *error)
{
	enum { SAMPLE = 1 << 18 };
	uint16_t *x = malloc(SAMPLE * sizeof *x);
	float *rows = malloc(SAMPLE * sizeof *rows);
	bool done = (x && rows) || tool_fail(error, "out of memory");
	if (done) {
		fill_random(x, SAMPLE);
		for (size_t i = 0; i < SAMPLE; i++)
			rows[i] = from_half(x[i]);
		done = bench_calibration(geometry, rows, SAMPLE, file, error);
	}
	free(x);
	free(rows);
	return done;
}

/* The file that a recipe asks for, if any, as the cache's options take it; file->bytes are the caller's to free, also after a
 * failure. */
static bool give_file(const struct bench_rig *rig, clkv_cache_options *o, struct bench_file *file,
                      struct tool_error *error)
{
	const char *recipe = rig->problem->recipe;
	*file = (struct bench_file){0};
	if (strstr(recipe, "qtc")) {
		if (!calibrate(&rig->geometry, file, error))
			return false;
		o->calibration = file->bytes;
		o->calibration_size = file->n;
	} else if (bench_asks_for_factors(recipe)) {
		if (!bench_factors(&rig->geometry, recipe, file, error))
			return false;
		o->factors = file->bytes;
		o->factors_size = file->n;
	}
	return true;
}

static bool make_cache(struct bench_rig *rig, struct tool_error *error)
{
	clkv_error cause;
	const char *recipe = rig->problem->recipe;
	clkv_cache_options o = cache_options(rig->problem);
	struct bench_file file;
	bool done = give_file(rig, &o, &file, error) &&
	            (clkv_cache_create(rig->machine->context, &rig->geometry, recipe, &o, &rig->cache,
	                               &cause) == CLKV_OK ||
	             tool_fail_clkv(error, "the cache", &cause));
	free(file.bytes);
	return done;
}

bool bench_rig_open(struct bench_rig *rig, const struct bench_machine *machine,
                    const struct bench_problem *problem, bool attends, struct tool_error *error)
{
	clkv_error cause;
	*rig = (struct bench_rig){.machine = machine, .problem = problem};
	rig->geometry = (clkv_geometry)CLKV_INIT(clkv_geometry);
	rig->geometry.q_heads = (int)problem->q_heads;
	rig->geometry.kv_heads = (int)problem->kv_heads;
	rig->geometry.head_dim_k = (int)problem->head_dim;
	if (bench_turns_keys(problem->recipe))
		rig->geometry.rope.kind = CLKV_ROPE_HALVES;
	if (problem->before_rope && strstr(problem->recipe, "qtc") != NULL)
		rig->geometry.rope.kind =
			CLKV_ROPE_PAIRS; /* what calibrations of models turn, by neighbours */
	rig->seqs = calloc(problem->batch, sizeof(*rig->seqs));
	rig->items = calloc(problem->batch, sizeof *rig->items);
	if (rig->seqs == NULL || rig->items == NULL)
		return tool_fail(error, "out of memory");
	if (!choose_layers(rig, attends, error) || !make_input(rig, attends, error))
		return false;
	if (!make_cache(rig, error))
		return false;
	/* what is timed is not to meet a compiler */
	if (clkv_cache_warm(rig->cache, NULL, NULL, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "the kernels", &cause);
	return bench_rig_restart(rig, error);
}

void bench_rig_close(struct bench_rig *rig)
{
	clkv_cache_destroy(rig->cache);
	if (rig->input != NULL)
		(void)clReleaseMemObject(rig->input);
	if (rig->q != NULL)
		(void)clReleaseMemObject(rig->q);
	if (rig->out != NULL)
		(void)clReleaseMemObject(rig->out);
	free(rig->seqs);
	free(rig->items);
}

bool bench_rig_restart(struct bench_rig *rig, struct tool_error *error)
{
	clkv_error cause;
	for (size_t i = 0; i < rig->problem->batch; i++) {
		clkv_seq_destroy(rig->seqs[i]);
		rig->seqs[i] = NULL;
		if (clkv_seq_create(rig->cache, &rig->seqs[i], &cause) != CLKV_OK)
			return tool_fail_clkv(error, "a sequence", &cause);
	}
	return true;
}

static bool begin_and_append(struct bench_rig *rig, size_t n_items, size_t n_rows, clkv_step **step,
                             struct tool_error *error)
{
	clkv_error cause;
	if (clkv_step_begin(rig->cache, rig->items, n_items, rig->machine->queue, step, &cause) !=
	    CLKV_OK)
		return tool_fail_clkv(error, "a step", &cause);
	size_t v = n_rows * rig->problem->kv_heads * rig->problem->head_dim;
	for (size_t layer = 0; layer < rig->layers; layer++) {
		size_t at = rig->next_copy * rig->input_elements;
		clkv_tensor k_rows = {rig->input, at, CLKV_F16, 0, 0, NULL};
		clkv_tensor v_rows = {rig->input, at + v, CLKV_F16, 0, 0, NULL};
		rig->next_copy = (rig->next_copy + 1) % rig->copies;
		if (clkv_step_append(*step, (int)layer, &k_rows, &v_rows, 0, NULL, NULL, &cause) == CLKV_OK)
			continue;
		clkv_step_abort(*step);
		return tool_fail_clkv(error, "appending", &cause);
	}
	return true;
}

bool bench_rig_step(struct bench_rig *rig, size_t n_rows, clkv_step **step,
                    struct tool_error *error)
{
	size_t batch = rig->problem->batch;
	clkv_phase phase = n_rows > 1 ? CLKV_PROMPT : CLKV_DECODE;
	for (size_t i = 0; i < batch; i++)
		rig->items[i] = (clkv_step_item){rig->seqs[i], n_rows, phase};
	return begin_and_append(rig, batch, batch * n_rows, step, error);
}

bool bench_rig_commit(clkv_step *step, struct tool_error *error)
{
	clkv_error cause;
	if (clkv_step_commit(step, NULL, &cause) == CLKV_OK)
		return true;
	clkv_step_abort(step);
	return tool_fail_clkv(error, "sealing", &cause);
}

static bool time_commit(struct bench_rig *rig, clkv_step *step, struct tool_error *error)
{
	bool done = bench_rig_finish(rig, error);
	double begun = bench_now(rig->machine);
	if (!done)
		return clkv_step_abort(step), false;
	done = bench_rig_commit(step, error) && bench_rig_finish(rig, error);
	rig->seal_us += bench_now(rig->machine) - begun;
	return done;
}

/* The rows of a chunk: appended, and attended with if prompts are. */
static bool put_chunk(struct bench_rig *rig, size_t n, clkv_step **step, struct tool_error *error)
{
	double begun = bench_now(rig->machine);
	if (!begin_and_append(rig, 1, n, step, error))
		return false;
	if (!rig->problem->attended)
		return true;
	bool done = bench_rig_attend(rig, *step, error) && bench_rig_finish(rig, error);
	rig->rows_us += bench_now(rig->machine) - begun;
	if (!done)
		clkv_step_abort(*step);
	return done;
}

bool bench_rig_fill(struct bench_rig *rig, size_t n_tokens, struct tool_error *error)
{
	rig->seal_us = rig->rows_us = 0;
	for (size_t i = 0; i < rig->problem->batch; i++) {
		for (size_t at = 0; at < n_tokens;) {
			size_t n = n_tokens - at < CHUNK ? n_tokens - at : CHUNK;
			clkv_phase phase = at + n == n_tokens ? CLKV_PROMPT_END : CLKV_PROMPT;
			clkv_step *step;
			rig->items[0] = (clkv_step_item){rig->seqs[i], n, phase};
			if (!put_chunk(rig, n, &step, error))
				return false;
			at += n;
			bool timed = at == n_tokens || rig->problem->attended;
			if (!(timed ? time_commit(rig, step, error) : bench_rig_commit(step, error)))
				return false;
		}
	}
	return bench_rig_finish(rig, error);
}

bool bench_rig_attend(struct bench_rig *rig, clkv_step *step, struct tool_error *error)
{
	clkv_error cause;
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	args.q = (clkv_tensor){rig->q, 0, CLKV_F32, 0, 0, NULL};
	args.out = (clkv_tensor){rig->out, 0, CLKV_F32, 0, 0, NULL};
	for (size_t layer = 0; layer < rig->layers; layer++)
		if (clkv_step_attend(step, (int)layer, &args, 0, NULL, NULL, &cause) != CLKV_OK)
			return tool_fail_clkv(error, "attention", &cause);
	return true;
}

bool bench_rig_round(struct bench_rig *rig, double *us, struct tool_error *error)
{
	clkv_step *step;
	if (!bench_rig_step(rig, rig->problem->rows, &step, error))
		return false;
	bool done = bench_rig_finish(rig, error);
	double begun = bench_now(rig->machine);
	done = done && bench_rig_attend(rig, step, error) && bench_rig_finish(rig, error);
	*us = (bench_now(rig->machine) - begun) / (double)rig->layers;
	clkv_step_abort(step);
	return done;
}

bool bench_rig_stats(const struct bench_rig *rig, clkv_stats *stats, struct tool_error *error)
{
	return clkv_cache_stats(rig->cache, stats, NULL) == CLKV_OK ||
	       tool_fail(error, "no statistics");
}

bool bench_rig_finish(struct bench_rig *rig, struct tool_error *error)
{
	cl_int code = clFinish(rig->machine->queue);
	return code == CL_SUCCESS || tool_fail_cl(error, "clFinish", code);
}

bool bench_rig_stored(const struct bench_rig *rig, double *bytes, double *sealed,
                      struct tool_error *error)
{
	*bytes = *sealed = 0;
	for (size_t i = 0; i < rig->problem->batch; i++) {
		clkv_seq_info info = CLKV_INIT(clkv_seq_info);
		if (clkv_seq_get_info(rig->seqs[i], &info, NULL) != CLKV_OK)
			return tool_fail(error, "can't ask for a sequence's size");
		*bytes += (double)info.bytes / (double)rig->layers;
		*sealed += (double)info.sealed;
	}
	return true;
}
