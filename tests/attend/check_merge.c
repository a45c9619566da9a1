/* SPDX-License-Identifier: MIT */
/** \file check_merge.c \brief Attention over parts of a context, made one, equals attention over all of it. */
#include "support/feed.h"
#include "support/fixture.h"
#include "support/tensor.h"

#include <math.h>
#include <string.h>

enum { ROWS = 3, HEADS = 2, TOKENS = 60, PARTS = 4, MOST = 256 };

/* A softmax over logits [ROWS][HEADS][TOKENS] and values [TOKENS][HEADS][dim], whole and in parts. */
struct attention {
	size_t dim;
	double parts[PARTS * ROWS * HEADS * MOST], part_lse[PARTS * ROWS * HEADS];
	double out[ROWS * HEADS * MOST], lse[ROWS * HEADS];
};

static double logit(size_t row, size_t head, size_t t)
{
	return 3 * feed_normal(row * TOKENS + t, 1, FEED_Q, head, 0);
}

/* Of tokens [from, to), and of a logit without a value; of none all is 0. */
static double attend(size_t row, size_t head, size_t from, size_t to, double sink, size_t dim,
                     double *out)
{
	double sum = exp(sink);
	for (size_t d = 0; d < dim; d++)
		out[d] = 0;
	for (size_t t = from; t < to; t++) {
		double p = exp(logit(row, head, t));
		sum += p;
		for (size_t d = 0; d < dim; d++)
			out[d] += p * feed_normal(t, 0, FEED_V, head, d);
	}
	for (size_t d = 0; d < dim && sum > 0; d++)
		out[d] /= sum;
	return log(sum);
}

/* cuts [PARTS + 1]: where parts begin and end, in tokens. */
static void make(struct attention *a, const size_t *cuts, const float *sinks, size_t dim)
{
	a->dim = dim;
	for (size_t row = 0; row < ROWS; row++)
		for (size_t head = 0; head < HEADS; head++) {
			size_t at = row * HEADS + head;
			double sink = sinks ? (double)sinks[head] : -INFINITY;
			a->lse[at] = attend(row, head, cuts[0], cuts[PARTS], sink, dim, a->out + at * dim);
			for (size_t p = 0; p < PARTS; p++) {
				size_t i = p * ROWS * HEADS + at;
				a->part_lse[i] =
					attend(row, head, cuts[p], cuts[p + 1], -INFINITY, dim, a->parts + i * dim);
			}
		}
}

/* Shares are exp(lse - top) with |lse| below 16: 2^-20 off for its rounding, 2^-22 for exp's 3 units, their sum as much again;
 * the sum over parts loses 2^-24 each; |v| is below 8. Where elements have another type, half a unit of that in 8. */
static double tolerance(clkv_dtype dtype)
{
	double of_type = dtype == CLKV_F32 ? 0 : dtype == CLKV_F16 ? ldexp(1, -8) : ldexp(1, -5);
	return 8 * ldexp(1, -18) + of_type;
}

static void expect_same(const struct attention *a, const double *out, const double *lse,
                        double within)
{
	for (size_t i = 0; i < ROWS * HEADS * a->dim; i++)
		ck_assert_double_le(fabs(out[i] - a->out[i]), within);
	for (size_t i = 0; i < ROWS * HEADS; i++) {
		if (isinf(a->lse[i]))
			ck_assert_msg(isinf(lse[i]) && lse[i] < 0, "lse is %g of no token", lse[i]);
		else
			ck_assert_double_le(fabs(lse[i] - a->lse[i]), ldexp(1, -18));
	}
}

static void to_floats(const double *x, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (float)x[i];
}

/* Through tensors of a layout. The rows of parts that saw nothing are NaN: nobody may read them. */
static void merge(const struct attention *a, clkv_context *context, struct tensor_layout layout,
                  const float *sinks, double *out, double *lse)
{
	static double parts[PARTS * ROWS * HEADS * MOST];
	float part_lse[PARTS * ROWS * HEADS], all[ROWS * HEADS];
	cl_command_queue queue = fixture_queue_of(context);
	struct tensor x, y;
	clkv_error error;
	for (size_t i = 0; i < PARTS * ROWS * HEADS * a->dim; i++)
		parts[i] = isinf(a->part_lse[i / a->dim]) ? (double)NAN : a->parts[i];
	to_floats(a->part_lse, PARTS * ROWS * HEADS, part_lse);
	tensor_open(&x, queue, layout, PARTS * ROWS, HEADS, a->dim, parts);
	tensor_open(&y, queue, layout, ROWS, HEADS, a->dim, NULL);
	clkv_merge_args args = CLKV_INIT(clkv_merge_args);
	args.n_parts = PARTS, args.rows = ROWS, args.q_heads = HEADS, args.head_dim_v = (int)a->dim;
	args.parts = x.t, args.out = y.t;
	args.part_lse_host = part_lse, args.lse_host = all, args.sinks_host = sinks;
	feed_ok(clkv_merge(context, &args, queue, 0, NULL, NULL, &error), &error, "clkv_merge");
	tensor_read(&y, queue, out);
	ck_assert_int_eq(clFinish(queue), CL_SUCCESS);
	for (size_t i = 0; i < ROWS * HEADS; i++)
		lse[i] = (double)all[i];
	tensor_close(&x);
	tensor_close(&y);
	clReleaseCommandQueue(queue);
}

static const float sinks[HEADS] = {1.5f, -2};

static const struct {
	const char *form;
	struct tensor_layout layout;
	size_t dim, cuts[PARTS + 1];
	const float *sinks;
} cases[] = {
	{"lanes=1,vec=8", {.dtype = CLKV_F32}, 64, {0, 10, 30, 31, 60}, NULL},
	{"lanes=1,vec=16",
     {.dtype = CLKV_F32, .offset = 5, .head_gap = 3, .token_gap = 2},
     80,
     {0, 1, 2, 3, 60},
     sinks},
	{"lanes=32,vec=1",
     {.dtype = CLKV_F16, .host = true, .skew = 2},
     256,
     {0, 20, 40, 50, 60},
     sinks},
	{"lanes=64,vec=4", {.dtype = CLKV_BF16, .host = true}, 16, {0, 0, 40, 40, 60}, NULL},
	/* channels that no vector divides; parts that saw nothing, and at last none that saw a token */
	{"lanes=1,vec=8", {.dtype = CLKV_F32, .host = true}, 7, {5, 5, 60, 60, 60}, sinks},
	{"lanes=1,vec=8", {.dtype = CLKV_F32}, 64, {9, 9, 9, 9, 9}, sinks},
	{"lanes=1,vec=8", {.dtype = CLKV_F32}, 64, {9, 9, 9, 9, 9}, NULL},
};
enum { CASES = sizeof cases / sizeof cases[0] };

START_TEST(test_parts_make_the_whole)
{
	static struct attention a;
	static double out[ROWS * HEADS * MOST], lse[ROWS * HEADS];
	make(&a, cases[_i].cuts, cases[_i].sinks, cases[_i].dim);
	clkv_context *context = fixture_open_tuned(cases[_i].form);
	merge(&a, context, cases[_i].layout, cases[_i].sinks, out, lse);
	clkv_context_destroy(context);
	expect_same(&a, out, lse, tolerance(cases[_i].layout.dtype));
}
END_TEST

START_TEST(test_the_host_makes_the_same)
{
	static struct attention a;
	static float parts[PARTS * ROWS * HEADS * MOST], out[ROWS * HEADS * MOST];
	static double got[ROWS * HEADS * MOST];
	float part_lse[PARTS * ROWS * HEADS], lse[ROWS * HEADS];
	double all[ROWS * HEADS];
	clkv_error error;
	make(&a, cases[_i].cuts, cases[_i].sinks, cases[_i].dim);
	to_floats(a.parts, PARTS * ROWS * HEADS * a.dim, parts);
	to_floats(a.part_lse, PARTS * ROWS * HEADS, part_lse);
	for (size_t i = 0; i < PARTS * ROWS * HEADS * a.dim; i++)
		if (isinf(part_lse[i / a.dim]))
			parts[i] = NAN;
	feed_ok(clkv_merge_host(PARTS, ROWS, HEADS, (int)a.dim, parts, part_lse, cases[_i].sinks, out,
	                        lse, &error),
	        &error, "clkv_merge_host");
	for (size_t i = 0; i < ROWS * HEADS * a.dim; i++)
		got[i] = (double)out[i];
	for (size_t i = 0; i < ROWS * HEADS; i++)
		all[i] = (double)lse[i];
	expect_same(&a, got, all, tolerance(CLKV_F32));
}
END_TEST

/* ---------------------------------------------------------------- several devices ---- */

/* Contexts of parts of the test's device, each with cores of its own; where it can't be divided, on the whole of it. */
struct devices {
	size_t n;
	cl_device_id part[2]; /* NULL: the whole */
	clkv_context *context[2];
	cl_command_queue queue[2];
};

static clkv_context *open_on(cl_device_id device)
{
	clkv_context *context;
	clkv_error error;
	cl_int code;
	cl_context cl = clCreateContext(NULL, 1, &device, NULL, NULL, &code);
	ck_assert_int_eq(code, CL_SUCCESS);
	feed_ok(clkv_context_create(cl, device, NULL, &context, &error), &error, "clkv_context_create");
	clReleaseContext(cl);
	return context;
}

static void open_devices(struct devices *d)
{
	const cl_device_partition_property halves[] = {CL_DEVICE_PARTITION_BY_COUNTS, 1, 1,
	                                               CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
	cl_device_id whole = clkv_context_device(fixture.context);
	cl_uint n = 0;
	*d = (struct devices){.n = 2};
	if (clCreateSubDevices(whole, halves, 2, d->part, &n) != CL_SUCCESS || n != 2)
		d->part[0] = d->part[1] = NULL;
	for (size_t i = 0; i < d->n; i++) {
		d->context[i] = open_on(d->part[i] ? d->part[i] : whole);
		d->queue[i] = fixture_queue_of(d->context[i]);
	}
}

static void close_devices(struct devices *d)
{
	for (size_t i = 0; i < d->n; i++) {
		clReleaseCommandQueue(d->queue[i]);
		clkv_context_destroy(d->context[i]);
		if (d->part[i])
			clReleaseDevice(d->part[i]);
	}
}

enum { STRIPES = 3, CHUNK = 100, LENGTH = 2 * STRIPES * CHUNK + 40, STEPS = 12 };

/* Stripe s has chunks s, s + STRIPES, ... of a context; rows behind it go to one stripe each, in turn. */
struct striped {
	struct feed feed[STRIPES];
	struct stream stream[STRIPES];
};

/* Rows of all stripes, of one layer: the owner's appended and attended with, queries alone to the others. */
static void step_striped(struct striped *s, int owner, const uint64_t *row, size_t n,
                         clkv_phase phase, int q_heads, size_t dv, float *parts, float *lse)
{
	static double q[CHUNK * 6 * 64];
	const size_t each = n * (size_t)q_heads;
	clkv_error error;
	feed_rows(&s->feed[owner], 0, FEED_Q, row, n, q);
	for (int i = 0; i < STRIPES; i++) {
		struct feed *f = &s->feed[i];
		clkv_seq_info info = stream_info(&s->stream[i]);
		clkv_step *step;
		clkv_attend_args args = CLKV_INIT(clkv_attend_args);
		static float qf[CHUNK * 6 * 64], kf[CHUNK * 2 * 64], vf[CHUNK * 2 * 64];
		static double rows[CHUNK * 6 * 64];
		for (size_t j = 0; j < each; j++)
			lse[(size_t)i * each + j] = -INFINITY;
		if (i != owner && info.length == 0)
			continue; /* it saw no token */
		clkv_step_item item = {s->stream[i].seq, n, i == owner ? phase : CLKV_PROBE};
		feed_ok(clkv_step_begin(f->cache, &item, 1, f->queue, &step, &error), &error, "begin");
		if (i == owner) {
			feed_rows(f, 0, FEED_K, row, n, rows);
			to_floats(rows, n * 2 * 64, kf);
			feed_rows(f, 0, FEED_V, row, n, rows);
			to_floats(rows, n * 2 * 64, vf);
			const clkv_tensor k = {.host = kf}, v = {.host = vf};
			feed_ok(clkv_step_append(step, 0, &k, &v, 0, NULL, NULL, &error), &error, "append");
		}
		to_floats(q, each * 64, qf);
		args.q.host = qf;
		args.out.host = parts + (size_t)i * each * dv;
		args.lse_host = lse + (size_t)i * each;
		feed_ok(clkv_step_attend(step, 0, &args, 0, NULL, NULL, &error), &error, "attend");
		ck_assert_int_eq(clFinish(f->queue), CL_SUCCESS);
		feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
	}
}

/* A context in stripes, prompt and generation, gives what one cache of all gives: the keys are rotated already (or not at all),
 * so a stripe needs to know nothing of where its tokens stand. */
START_TEST(test_stripes_attend_as_one_cache)
{
	static struct striped s;
	static struct stream whole;
	static float parts[STRIPES * CHUNK * 6 * 64], part_lse[STRIPES * CHUNK * 6],
		out[CHUNK * 6 * 64], lse[CHUNK * 6];
	static uint64_t row[LENGTH + STEPS];
	struct devices devices;
	struct feed one = {.geometry = feed_usual(1), .lse = true};
	clkv_error error;
	for (size_t i = 0; i < LENGTH + STEPS; i++)
		row[i] = 1000 + i;
	feed_open(&one, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&one, &whole);
	open_devices(&devices);
	for (int i = 0; i < STRIPES; i++) {
		s.feed[i] = (struct feed){.geometry = feed_usual(1), .lse = true};
		feed_open(&s.feed[i], devices.context[i % 2], devices.queue[i % 2], "f16", NULL);
		stream_open(&s.feed[i], &s.stream[i]);
	}
	for (size_t at = 0, turn = 0; at < LENGTH + STEPS; turn++) {
		size_t left = at < LENGTH ? LENGTH - at : 1, n = left < CHUNK ? left : CHUNK;
		clkv_phase phase = at < LENGTH ? CLKV_PROMPT : CLKV_DECODE;
		struct feed_result want;
		struct feed_item item = {&whole, n, phase, 0, 0};
		one.named = row + at;
		feed_step(&one, &item, 1, &want);
		step_striped(&s, (int)(turn % STRIPES), row + at, n, phase, 6, 64, parts, part_lse);
		feed_ok(clkv_merge_host(STRIPES, n, 6, 64, parts, part_lse, NULL, out, lse, &error), &error,
		        "clkv_merge_host");
		/* sums of f32 in other orders: 2^-24 of each of some hundred tokens' shares of |v| < 8, and tolerance() */
		for (size_t i = 0; i < n * 6 * 64; i++)
			ck_assert_double_le(fabs((double)out[i] - want.out[i]), 2 * tolerance(CLKV_F32));
		for (size_t i = 0; i < n * 6; i++)
			ck_assert_double_le(fabs((double)lse[i] - want.lse[i]), ldexp(1, -17));
		feed_result_close(&want);
		at += n;
	}
	for (int i = 0; i < STRIPES; i++)
		feed_close(&s.feed[i]);
	feed_close(&one);
	close_devices(&devices);
}
END_TEST

enum { HEAD_ROWS = 200, KV_HEADS = 2, Q_HEADS = 6, DIM = 64 };

struct all_heads {
	float q[HEAD_ROWS * Q_HEADS * DIM], k[HEAD_ROWS * KV_HEADS * DIM],
		v[HEAD_ROWS * KV_HEADS * DIM], out[HEAD_ROWS * Q_HEADS * DIM];
};

/* n rows of all heads lie in x; a cache has n_kv of the KV heads, from the first on. */
static void step_heads(struct feed *f, struct stream *stream, struct all_heads *x, size_t first,
                       size_t n, clkv_phase phase)
{
	clkv_step_item item = {stream->seq, n, phase};
	clkv_step *step;
	clkv_error error;
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	const clkv_tensor kv = {
		.offset = first * DIM, .token_stride = KV_HEADS * DIM, .head_stride = DIM};
	const clkv_tensor of_q = {.offset = first * (Q_HEADS / KV_HEADS) * DIM,
	                          .token_stride = Q_HEADS * DIM,
	                          .head_stride = DIM};
	clkv_tensor k = kv, v = kv;
	k.host = x->k, v.host = x->v;
	args.q = args.out = of_q;
	args.q.host = x->q, args.out.host = x->out;
	feed_ok(clkv_step_begin(f->cache, &item, 1, f->queue, &step, &error), &error, "begin");
	feed_ok(clkv_step_append(step, 0, &k, &v, 0, NULL, NULL, &error), &error, "append");
	feed_ok(clkv_step_attend(step, 0, &args, 0, NULL, NULL, &error), &error, "attend");
	ck_assert_int_eq(clFinish(f->queue), CL_SUCCESS);
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
}

static void fill(float *x, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		x[i] = (float)feed_normal(seed + i / DIM, 0, FEED_K, 0, i % DIM);
}

/* KV heads on two devices, each with the rows of its heads in the same tensors: nothing is merged, and codecs seal what one
 * cache would. Sums may be cut elsewhere: 2^-24 of some hundred shares of |v| < 8. */
START_TEST(test_heads_lie_on_two_devices)
{
	static struct all_heads x, want;
	static struct stream whole, part[2];
	struct feed one = {.geometry = feed_usual(1)}, of[2];
	struct devices devices;
	open_devices(&devices);
	feed_open(&one, fixture.context, fixture.queue, "kivi:bits=4 ; window=32", NULL);
	stream_open(&one, &whole);
	for (int i = 0; i < 2; i++) {
		of[i] = (struct feed){.geometry = feed_geometry(1, Q_HEADS / KV_HEADS, 1, DIM, DIM)};
		feed_open(&of[i], devices.context[i], devices.queue[i], "kivi:bits=4 ; window=32", NULL);
		stream_open(&of[i], &part[i]);
	}
	for (uint64_t t = 0; t < 4; t++) {
		const size_t n = t == 0 ? HEAD_ROWS : 1;
		const clkv_phase phase = t == 0 ? CLKV_PROMPT_END : CLKV_DECODE;
		fill(x.q, n * Q_HEADS * DIM, 1000 * t);
		fill(x.k, n * KV_HEADS * DIM, 1000 * t + 300000);
		fill(x.v, n * KV_HEADS * DIM, 1000 * t + 600000);
		want = x;
		step_heads(&one, &whole, &want, 0, n, phase);
		for (size_t i = 0; i < 2; i++)
			step_heads(&of[i], &part[i], &x, i, n, phase);
		for (size_t i = 0; i < n * Q_HEADS * DIM; i++)
			ck_assert_float_le(fabsf(x.out[i] - want.out[i]), 1e-5f);
	}
	for (int i = 0; i < 2; i++)
		feed_close(&of[i]);
	feed_close(&one);
	close_devices(&devices);
}
END_TEST

/* ---------------------------------------------------------------- refused ---- */

static float some[4 * ROWS * HEADS * 8];

static clkv_merge_args good(void)
{
	clkv_merge_args args = CLKV_INIT(clkv_merge_args);
	args.n_parts = 2, args.rows = ROWS, args.q_heads = HEADS, args.head_dim_v = 8;
	args.parts.host = some, args.out.host = some + 2 * ROWS * HEADS * 8;
	args.part_lse_host = some + 3 * ROWS * HEADS * 8;
	return args;
}

static void no_parts(clkv_merge_args *a)
{
	a->n_parts = 0;
}
static void no_rows(clkv_merge_args *a)
{
	a->rows = 0;
}
static void no_heads(clkv_merge_args *a)
{
	a->q_heads = 0;
}
static void no_channels(clkv_merge_args *a)
{
	a->head_dim_v = -1;
}
static void too_many(clkv_merge_args *a)
{
	a->n_parts = 1u << 31;
}
static void overflowing(clkv_merge_args *a)
{
	a->n_parts = a->rows = (size_t)1 << 40;
}
static void no_lse(clkv_merge_args *a)
{
	a->part_lse_host = NULL;
}
static void no_memory(clkv_merge_args *a)
{
	a->out.host = NULL;
}
static void odd_type(clkv_merge_args *a)
{
	a->parts.dtype = 9;
}
static void overlapping(clkv_merge_args *a)
{
	a->parts.token_stride = 3;
}
static void newer(clkv_merge_args *a)
{
	a->struct_size = 8;
}

static const struct {
	void (*spoil)(clkv_merge_args *a);
	const char *says;
} wrong[] = {
	{no_parts, "n_parts is 0"},
	{no_rows, "rows is 0"},
	{no_heads, "q_heads is 0"},
	{no_channels, "head_dim_v is -1"},
	{too_many, "n_parts 2147483648 of"},
	{overflowing, "allowed: a product"},
	{no_lse, "part_lse is NULL"},
	{no_memory, "out: mem is NULL"},
	{odd_type, "parts: dtype is 9"},
	{overlapping, "parts: strides"},
	{newer, "q_heads is 0"}, /* an older caller's fields are 0 */
};

START_TEST(test_wrong_arguments_are_named)
{
	clkv_merge_args args = good();
	clkv_error error;
	wrong[_i].spoil(&args);
	clkv_status status = clkv_merge(fixture.context, &args, fixture.queue, 0, NULL, NULL, &error);
	ck_assert_int_eq(status, CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error.text, wrong[_i].says) != NULL, "'%s'", error.text);
}
END_TEST

START_TEST(test_wrong_calls_are_named)
{
	clkv_merge_args args = good();
	clkv_error error;
	float x = 0;
	ck_assert_int_eq(clkv_merge(NULL, &args, fixture.queue, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_merge(fixture.context, NULL, fixture.queue, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_merge(fixture.context, &args, NULL, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_merge(fixture.context, &args, fixture.queue, 1, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_merge_host(1, 1, 1, 1, &x, NULL, NULL, &x, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "part_lse is NULL"));
	ck_assert_int_eq(clkv_merge_host(1, 0, 1, 1, &x, &x, NULL, &x, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("merge");
	TCase *parts = fixture_case(suite, "parts", 60), *stripes = fixture_case(suite, "stripes", 60),
		  *refused = fixture_case(suite, "refused", 20);
	tcase_add_loop_test(parts, test_parts_make_the_whole, 0, CASES);
	tcase_add_loop_test(parts, test_the_host_makes_the_same, 0, CASES);
	tcase_add_test(stripes, test_stripes_attend_as_one_cache);
	tcase_add_test(stripes, test_heads_lie_on_two_devices);
	tcase_add_loop_test(refused, test_wrong_arguments_are_named, 0, sizeof wrong / sizeof wrong[0]);
	tcase_add_test(refused, test_wrong_calls_are_named);
	return fixture_run_shared(suite);
}
