/* SPDX-License-Identifier: MIT */
/*
 * One context that no machine has whole: each MPI rank holds a stripe of its tokens.
 *
 *     mpicc 04_mpi_decode.c $(pkg-config --cflags --libs clkv) -lm -o mpi_decode
 *     mpirun -n 4 ./mpi_decode [tokens] [steps] [recipe] [--fill] [--check]
 *
 * Chunks of CHUNK tokens go to ranks in turn. In each layer the owner of the new rows appends them and attends as ever, the
 * others attend with the same queries as probes; all exchange what they got, with its log-sum-exp, and merge it. Keys come
 * rotated by their places in the whole context (here: they are random numbers), so a rank needs to know of no others' tokens.
 *
 * Prints the time of a step of generation: attention, exchange and merge. With --fill nobody attends with the prompt's rows, which
 * takes the square of its length. With --check rank 0 holds the whole context as well,
 * and says how far the merged output is from that of one cache, by the root of mean squares; above 1e-5 it fails. That is for
 * recipe f16: what others seal depends on which tokens lie in a block together.
 */
#include <clkv.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 2, Q_HEADS = 6, KV_HEADS = 2, DIM = 64, CHUNK = 512 };

static clkv_error error;

static void check(clkv_status status, const char *what)
{
	if (status == CLKV_OK)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, clkv_status_string(status), error.text);
	MPI_Abort(MPI_COMM_WORLD, status == CLKV_ERROR_NO_DEVICE ? 77 : 1);
}

static void *room(size_t bytes)
{
	void *p = malloc(bytes);
	if (!p) {
		fprintf(stderr, "no memory for %zu bytes\n", bytes);
		MPI_Abort(MPI_COMM_WORLD, 1);
	}
	return p;
}

/* A cache of tokens, all of them or a stripe. */
struct store {
	clkv_context *context;
	cl_command_queue queue;
	clkv_cache *cache;
	clkv_seq *seq;
};

static void open_store(struct store *s, const char *recipe, size_t tokens)
{
	cl_int code;
	check(clkv_context_open(NULL, NULL, &s->context, &error), "context");
	s->queue = clCreateCommandQueue(clkv_context_cl(s->context), clkv_context_device(s->context), 0,
	                                &code);
	clkv_geometry geometry = CLKV_INIT(clkv_geometry);
	geometry.layers = LAYERS;
	geometry.q_heads = Q_HEADS;
	geometry.kv_heads = KV_HEADS;
	geometry.head_dim_k = DIM;
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	options.max_tokens = tokens;
	options.max_step_tokens = CHUNK;
	check(clkv_cache_create(s->context, &geometry, recipe, &options, &s->cache, &error), "cache");
	check(clkv_seq_create(s->cache, &s->seq, &error), "sequence");
}

static void close_store(struct store *s)
{
	clkv_cache_destroy(s->cache);
	clReleaseCommandQueue(s->queue);
	clkv_context_destroy(s->context);
}

static size_t length_of(const struct store *s)
{
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	check(clkv_seq_get_info(s->seq, &info, &error), "info");
	return info.length;
}

/* The model: numbers in [-1, 1) that follow from position, layer, side and channel alone, so all ranks have the same. */
static void fill(float *x, size_t first, size_t n, int layer, int side, int heads)
{
	for (size_t i = 0; i < n * (size_t)(heads * DIM); i++) {
		uint64_t h = (first * (size_t)(heads * DIM) + i) * 8 + (uint64_t)(layer * 3 + side);
		h = (h ^ (h >> 31)) * 0x9E3779B97F4A7C15u;
		h = (h ^ (h >> 29)) * 0xBF58476D1CE4E5B9u;
		x[i] = (float)((double)(h >> 11) / (double)(1ull << 52) - 1.0);
	}
}

struct rows {
	float q[CHUNK * Q_HEADS * DIM], k[CHUNK * KV_HEADS * DIM], v[CHUNK * KV_HEADS * DIM];
	float out[CHUNK * Q_HEADS * DIM], lse[CHUNK * Q_HEADS];
};

static void append(clkv_step *step, int layer, struct rows *r, size_t at, size_t n)
{
	const clkv_tensor k = {NULL, 0, CLKV_F32, 0, 0, r->k}, v = {NULL, 0, CLKV_F32, 0, 0, r->v};
	fill(r->k, at, n, layer, 1, KV_HEADS);
	fill(r->v, at, n, layer, 2, KV_HEADS);
	check(clkv_step_append(step, layer, &k, &v, 0, NULL, NULL, &error), "append");
}

/* One layer of rows that begin at a position of the whole context. out and lse are there when it returns. */
static void attend(struct store *s, clkv_step *step, int layer, struct rows *r, size_t at, size_t n,
                   int owns)
{
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	fill(r->q, at, n, layer, 0, Q_HEADS);
	args.q.host = r->q;
	args.out.host = r->out;
	args.lse_host = r->lse;
	if (owns)
		append(step, layer, r, at, n);
	check(clkv_step_attend(step, layer, &args, 0, NULL, NULL, &error), "attend");
	clFinish(s->queue);
}

static clkv_step *begin(struct store *s, size_t n, clkv_phase phase)
{
	const clkv_step_item item = {s->seq, n, phase};
	clkv_step *step;
	check(clkv_step_begin(s->cache, &item, 1, s->queue, &step, &error), "begin");
	return step;
}

/* What all ranks have found for some rows, and what it makes. */
struct exchange {
	float *parts, *lse; /* [ranks][rows][heads][DIM], [ranks][rows][heads] */
	float out[LAYERS][CHUNK * Q_HEADS * DIM];
};

static void merge(struct exchange *x, int layer, const struct rows *r, size_t n, int ranks)
{
	const int heads = (int)n * Q_HEADS;
	MPI_Allgather(r->out, heads * DIM, MPI_FLOAT, x->parts, heads * DIM, MPI_FLOAT, MPI_COMM_WORLD);
	MPI_Allgather(r->lse, heads, MPI_FLOAT, x->lse, heads, MPI_FLOAT, MPI_COMM_WORLD);
	check(clkv_merge_host((size_t)ranks, n, Q_HEADS, DIM, x->parts, x->lse, NULL, x->out[layer],
	                      NULL, &error),
	      "merge");
}

/* All layers of n rows at a position, whose tokens become the owner's. A rank without a token has nothing to attend to. */
static void forward(struct store *s, struct rows *r, struct exchange *x, size_t at, size_t n,
                    clkv_phase phase, int owns, int ranks)
{
	const int attends = owns || length_of(s) > 0;
	clkv_step *step = attends ? begin(s, n, owns ? phase : CLKV_PROBE) : NULL;
	for (int layer = 0; layer < LAYERS; layer++) {
		for (size_t i = 0; i < n * Q_HEADS; i++)
			r->lse[i] = -INFINITY;
		if (attends)
			attend(s, step, layer, r, at, n, owns);
		merge(x, layer, r, n, ranks);
	}
	if (attends)
		check(clkv_step_commit(step, NULL, &error), "commit");
}

/* All layers of n rows that nobody attends with. */
static void append_only(struct store *s, struct rows *r, size_t at, size_t n)
{
	clkv_step *step = begin(s, n, CLKV_PROMPT);
	for (int layer = 0; layer < LAYERS; layer++) {
		append(step, layer, r, at, n);
		clFinish(s->queue); /* the next layer's rows come to the same memory */
	}
	check(clkv_step_commit(step, NULL, &error), "commit");
}

/* The same rows by one cache; the relative difference of what was merged. */
static double compare(struct store *whole, struct rows *r, const struct exchange *x, size_t at,
                      size_t n, clkv_phase phase)
{
	clkv_step *step = begin(whole, n, phase);
	double error_squares = 0, squares = 0;
	for (int layer = 0; layer < LAYERS; layer++) {
		attend(whole, step, layer, r, at, n, 1);
		for (size_t i = 0; i < n * Q_HEADS * DIM; i++) {
			double d = (double)x->out[layer][i] - (double)r->out[i];
			error_squares += d * d;
			squares += (double)r->out[i] * (double)r->out[i];
		}
	}
	check(clkv_step_commit(step, NULL, &error), "commit");
	return sqrt(error_squares / squares);
}

struct run {
	size_t tokens, steps;
	const char *recipe;
	int fill, check, rank, ranks;
};

static int run(const struct run *o)
{
	struct store stripe, whole;
	struct rows *r = room(sizeof *r);
	struct exchange *x = room(sizeof *x);
	double worst = 0, seconds = 0;
	const size_t rows = (size_t)o->ranks * CHUNK * Q_HEADS;
	x->parts = room(rows * DIM * sizeof *x->parts);
	x->lse = room(rows * sizeof *x->lse);
	open_store(&stripe, o->recipe, o->tokens / (size_t)o->ranks + 2 * CHUNK + o->steps);
	if (o->check && o->rank == 0)
		open_store(&whole, o->recipe, o->tokens + o->steps + CHUNK);
	for (size_t at = 0, turn = 0; at < o->tokens + o->steps; turn++) {
		size_t left = at < o->tokens ? o->tokens - at : 1, n = left < CHUNK ? left : CHUNK;
		clkv_phase phase = at < o->tokens ? CLKV_PROMPT : CLKV_DECODE;
		int owns = (int)(turn % (size_t)o->ranks) == o->rank;
		if (o->fill && phase == CLKV_PROMPT) {
			if (owns)
				append_only(&stripe, r, at, n);
			if (o->check && o->rank == 0)
				append_only(&whole, r, at, n);
			at += n;
			continue;
		}
		MPI_Barrier(MPI_COMM_WORLD);
		double start = MPI_Wtime();
		forward(&stripe, r, x, at, n, phase, owns, o->ranks);
		seconds += phase == CLKV_DECODE ? MPI_Wtime() - start : 0;
		if (o->check && o->rank == 0)
			worst = fmax(worst, compare(&whole, r, x, at, n, phase));
		at += n;
	}
	if (o->rank == 0)
		printf("%d ranks, %zu tokens, %s: %.3f ms per step\n", o->ranks, o->tokens, o->recipe,
		       1e3 * seconds / (double)(o->steps ? o->steps : 1));
	if (o->check && o->rank == 0) {
		printf("largest difference from one cache: %.2g\n", worst);
		close_store(&whole);
	}
	close_store(&stripe);
	free(x->parts);
	free(x->lse);
	free(x);
	free(r);
	return worst > 1e-5;
}

int main(int argc, char **argv)
{
	struct run o = {.tokens = 4096, .steps = 32, .recipe = "f16"};
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &o.rank);
	MPI_Comm_size(MPI_COMM_WORLD, &o.ranks);
	for (; argc > 1 && argv[argc - 1][0] == '-'; argc--) {
		o.check |= strcmp(argv[argc - 1], "--check") == 0;
		o.fill |= strcmp(argv[argc - 1], "--fill") == 0;
	}
	if (argc > 1)
		o.tokens = (size_t)strtoull(argv[1], NULL, 10);
	if (argc > 2)
		o.steps = (size_t)strtoull(argv[2], NULL, 10);
	if (argc > 3)
		o.recipe = argv[3];
	int status = run(&o);
	MPI_Finalize();
	return status;
}
