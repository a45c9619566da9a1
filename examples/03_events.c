/* SPDX-License-Identifier: MIT */
/*
 * Your own context, kernels, out-of-order queue and events: nothing waits but the last read.
 *
 *     cc 03_events.c $(pkg-config --cflags --libs clkv) -lm -o events && ./events [platform]
 *
 * A kernel writes q, k and v as an engine's would; the result is compared with attention computed here.
 */
#include <clkv.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LAYERS = 2, Q_HEADS = 6, KV_HEADS = 2, DIM = 64, ROWS = 40 };

/* The kernel and the host make the same number in [-1, 1] of an index. */
static const char source[] = "kernel void fill(global float *x, int seed)\n"
							 "{\n"
							 "	int i = get_global_id(0);\n"
							 "	x[i] = ((i * 37 + seed) % 101) * 0.02f - 1.0f;\n"
							 "}\n";

static double number(int i, int seed)
{
	return ((i * 37 + seed) % 101) * 0.02 - 1.0;
}

enum { SEED_Q = 1, SEED_K = 2, SEED_V = 3 };

static clkv_error error;

static void check(clkv_status status, const char *what)
{
	if (status == CLKV_OK)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, clkv_status_string(status), error.text);
	exit(1);
}

static void check_cl(cl_int code, const char *what)
{
	if (code == CL_SUCCESS)
		return;
	fprintf(stderr, "%s: OpenCL's error %d\n", what, code);
	exit(1);
}

struct engine {
	cl_device_id device;
	cl_context context;
	cl_command_queue queue;
	cl_program program;
	cl_kernel fill;
	cl_mem q, k, v, out;
};

/* The first device of a platform: whichever way yours are chosen. */
static cl_device_id choose_device(unsigned wanted)
{
	cl_platform_id platforms[16];
	cl_device_id device;
	cl_uint n = 0;
	if (clGetPlatformIDs(16, platforms, &n) != CL_SUCCESS || wanted >= n || wanted >= 16 ||
	    clGetDeviceIDs(platforms[wanted], CL_DEVICE_TYPE_ALL, 1, &device, NULL) != CL_SUCCESS) {
		fprintf(stderr, "no OpenCL device on platform %u\n", wanted);
		exit(77);
	}
	return device;
}

/* Out of order where the device can: commands are then ordered by events alone. */
static cl_command_queue new_queue(const struct engine *e)
{
	cl_command_queue_properties can = 0;
	cl_int code;
	check_cl(clGetDeviceInfo(e->device, CL_DEVICE_QUEUE_PROPERTIES, sizeof can, &can, NULL),
	         "queue properties");
	can &= CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
	cl_command_queue queue = clCreateCommandQueue(e->context, e->device, can, &code);
	check_cl(code, "queue");
	printf("a queue %s order\n", can ? "out of" : "in");
	return queue;
}

static cl_mem new_buffer(const struct engine *e, size_t floats)
{
	cl_int code;
	cl_mem mem = clCreateBuffer(e->context, CL_MEM_READ_WRITE, floats * sizeof(float), NULL, &code);
	check_cl(code, "buffer");
	return mem;
}

static void open_engine(struct engine *e, unsigned platform)
{
	const char *text = source;
	cl_int code;
	e->device = choose_device(platform);
	e->context = clCreateContext(NULL, 1, &e->device, NULL, NULL, &code);
	check_cl(code, "context");
	e->queue = new_queue(e);
	e->program = clCreateProgramWithSource(e->context, 1, &text, NULL, &code);
	check_cl(code, "program");
	check_cl(clBuildProgram(e->program, 1, &e->device, "", NULL, NULL), "build");
	e->fill = clCreateKernel(e->program, "fill", &code);
	check_cl(code, "kernel");
	e->q = new_buffer(e, ROWS * Q_HEADS * DIM);
	e->k = new_buffer(e, ROWS * KV_HEADS * DIM);
	e->v = new_buffer(e, ROWS * KV_HEADS * DIM);
	e->out = new_buffer(e, ROWS * Q_HEADS * DIM);
}

static void close_engine(struct engine *e)
{
	clReleaseMemObject(e->q);
	clReleaseMemObject(e->k);
	clReleaseMemObject(e->v);
	clReleaseMemObject(e->out);
	clReleaseKernel(e->fill);
	clReleaseProgram(e->program);
	clReleaseCommandQueue(e->queue);
	clReleaseContext(e->context);
}

/* Enqueues the kernel that writes mem. It waits for `after`, which last read mem (NULL: nothing has),
 * and releases it; *done is the caller's to release. */
static void fill(struct engine *e, cl_mem mem, size_t n, int seed, cl_event after, cl_event *done)
{
	check_cl(clSetKernelArg(e->fill, 0, sizeof mem, &mem), "argument");
	check_cl(clSetKernelArg(e->fill, 1, sizeof seed, &seed), "argument");
	check_cl(clEnqueueNDRangeKernel(e->queue, e->fill, 1, NULL, &n, NULL, after != NULL,
	                                after != NULL ? &after : NULL, done),
	         "fill");
	if (after != NULL)
		clReleaseEvent(after);
}

/* What a layer leaves: its append has read k and v, its attend has read q and written out. */
struct layer_done {
	cl_event appended, attended;
};

static void run_layer(struct engine *e, clkv_step *step, int layer, struct layer_done *before)
{
	cl_event q_written, kv_written[2];
	struct layer_done now;
	if (before->appended != NULL) /* two wait for it, and each releases one */
		check_cl(clRetainEvent(before->appended), "retain");
	fill(e, e->k, ROWS * KV_HEADS * DIM, SEED_K, before->appended, &kv_written[0]);
	fill(e, e->v, ROWS * KV_HEADS * DIM, SEED_V, before->appended, &kv_written[1]);
	fill(e, e->q, ROWS * Q_HEADS * DIM, SEED_Q, before->attended, &q_written);

	clkv_tensor k = {e->k, 0, CLKV_F32, 0, 0, NULL}, v = {e->v, 0, CLKV_F32, 0, 0, NULL};
	clkv_tensor q = {e->q, 0, CLKV_F32, 0, 0, NULL}, out = {e->out, 0, CLKV_F32, 0, 0, NULL};
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	args.q = q;
	args.out = out;
	check(clkv_step_append(step, layer, &k, &v, 2, kv_written, &now.appended, &error), "append");
	check(clkv_step_attend(step, layer, &args, 1, &q_written, &now.attended, &error), "attend");
	clReleaseEvent(kv_written[0]);
	clReleaseEvent(kv_written[1]);
	clReleaseEvent(q_written);
	*before = now;
}

/* A prompt through all layers; reads what the last one made of it into out, when that is there. */
static void forward(struct engine *e, clkv_cache *cache, clkv_seq *seq, float *out)
{
	clkv_step_item item = {seq, ROWS, CLKV_PROMPT_END};
	clkv_step *step;
	struct layer_done last = {NULL, NULL};
	check(clkv_step_begin(cache, &item, 1, e->queue, &step, &error), "begin");
	for (int layer = 0; layer < LAYERS; layer++)
		run_layer(e, step, layer, &last);
	check(clkv_step_commit(step, NULL, &error), "commit");
	check_cl(clEnqueueReadBuffer(e->queue, e->out, CL_TRUE, 0, ROWS * Q_HEADS * DIM * sizeof *out,
	                             out, 1, &last.attended, NULL),
	         "read");
	clReleaseEvent(last.appended);
	clReleaseEvent(last.attended);
}

/* Attention of one row and query head over the rows up to it, in double precision. */
static void attend_here(int row, int head, double *out)
{
	int kv_head = head / (Q_HEADS / KV_HEADS);
	double sum = 0;
	for (int d = 0; d < DIM; d++)
		out[d] = 0;
	for (int t = 0; t <= row; t++) {
		double logit = 0;
		for (int d = 0; d < DIM; d++)
			logit += number((row * Q_HEADS + head) * DIM + d, SEED_Q) *
			         number((t * KV_HEADS + kv_head) * DIM + d, SEED_K);
		double weight = exp(logit / sqrt(DIM));
		sum += weight;
		for (int d = 0; d < DIM; d++)
			out[d] += weight * number((t * KV_HEADS + kv_head) * DIM + d, SEED_V);
	}
	for (int d = 0; d < DIM; d++)
		out[d] /= sum;
}

static double largest_error(const float *out)
{
	double exact[DIM], largest = 0;
	for (int row = 0; row < ROWS; row++) {
		for (int head = 0; head < Q_HEADS; head++) {
			attend_here(row, head, exact);
			for (int d = 0; d < DIM; d++)
				largest = fmax(largest, fabs(exact[d] - out[(row * Q_HEADS + head) * DIM + d]));
		}
	}
	return largest;
}

int main(int argc, char **argv)
{
	static float out[ROWS * Q_HEADS * DIM];
	struct engine e;
	clkv_context *context;
	clkv_cache *cache;
	clkv_seq *seq;
	open_engine(&e, argc > 1 ? (unsigned)atoi(argv[1]) : 0);
	check(clkv_context_create(e.context, e.device, NULL, &context, &error), "context");
	clkv_geometry geometry = CLKV_INIT(clkv_geometry);
	geometry.layers = LAYERS;
	geometry.q_heads = Q_HEADS;
	geometry.kv_heads = KV_HEADS;
	geometry.head_dim_k = DIM;
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	options.max_tokens = 1024;
	check(clkv_cache_create(context, &geometry, "kivi:bits=4", &options, &cache, &error), "cache");
	check(clkv_seq_create(cache, &seq, &error), "sequence");
	forward(&e, cache, seq, out);

	/* A short prompt lies in half, |k|, |v| <= 1: rounding moves a logit by at most 64 / 8 * 2^-12 = 0.002,
	 * a weight by twice this, relatively, and v by 2^-12; the sums in float are far finer. */
	double largest = largest_error(out);
	printf("largest error %.2g, at most 0.005 allowed\n", largest);

	clkv_cache_destroy(cache);
	clkv_context_destroy(context);
	close_engine(&e);
	return largest <= 0.005 ? 0 : 1;
}
