/* SPDX-License-Identifier: MIT */
/** \file merge.c \brief Parts of attention made one, on a device and on the host. */
#include "../cl/attend/attend_args.clh"
#include "attend/args.h"
#include "attend/host_tensor.h"
#include "attend/tensor.h"
#include "base/checked.h"
#include "base/struct_io.h"
#include "device/context.h"
#include "program/build.h"

#include <math.h>

KERNEL_ARGS(merge_parts, MERGE_PARTS_ARGS)

/* Numbers of rows are 32 bits in kernels. */
enum { MOST_ROWS = 0x7fffffff };

static clkv_status check_size(size_t n_parts, size_t rows, int q_heads, int dim, clkv_error *error)
{
	size_t all;
	if (q_heads < 1 || dim < 1)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is %d; allowed: 1 and up",
		          q_heads < 1 ? "q_heads" : "head_dim_v", q_heads < 1 ? q_heads : dim);
	if (n_parts == 0 || rows == 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is 0; allowed: 1 and up",
		          rows == 0 ? "rows" : "n_parts");
	if (!clkv__checked_mul(n_parts, rows, &all) || !clkv__checked_mul(all, (size_t)q_heads, &all) ||
	    all > MOST_ROWS)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "n_parts %zu of %zu rows of %d heads; allowed: a product of up to %d", n_parts,
		          rows, q_heads, MOST_ROWS);
	return CLKV_OK;
}

static clkv_status take(struct clkv__host_tensors *all, clkv_tensor *tensor, const char *name,
                        size_t rows, const clkv_merge_args *a, bool writes, clkv_error *error)
{
	const struct clkv__extent extent = {rows, (size_t)a->q_heads, (size_t)a->head_dim_v, false};
	CLKV_TRY(clkv__tensor_check(tensor, name, rows, a->q_heads, a->head_dim_v, error));
	return clkv__host_tensor_take(all, tensor, name, &extent, writes, error);
}

/* Checks all that the caller hands over, and has it in buffers. */
static clkv_status take_all(struct clkv__host_tensors *all, clkv_merge_args *a, clkv_error *error)
{
	const size_t heads = (size_t)a->q_heads, n = a->n_parts * a->rows;
	const struct clkv__extent of_parts = {n, heads, 1, false}, of_rows = {a->rows, heads, 1, false},
							  one = {1, heads, 1, false};
	if (!a->part_lse && !a->part_lse_host)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "part_lse is NULL; allowed: what clkv_step_attend wrote as lse");
	CLKV_TRY(take(all, &a->parts, "parts", n, a, false, error));
	CLKV_TRY(take(all, &a->out, "out", a->rows, a, true, error));
	CLKV_TRY(clkv__host_floats_take(all, &a->part_lse, a->part_lse_host, "part_lse",
	                                &a->part_lse_offset, &of_parts, false, error));
	CLKV_TRY(clkv__host_floats_take(all, &a->lse, a->lse_host, "lse", &a->lse_offset, &of_rows,
	                                true, error));
	return clkv__host_floats_take(all, &a->sinks, a->sinks_host, "sinks", &a->sinks_offset, &one,
	                              false, error);
}

static clkv_status launch(const clkv_context *context, cl_kernel kernel, struct clkv__chain *chain,
                          const clkv_merge_args *m, cl_uint n_wait, const cl_event *wait,
                          cl_event *done, clkv_error *error)
{
	struct args a = {.kernel = kernel};
	const struct merge_parts_args given = {
		TENSOR_FIELDS(parts, &m->parts),
		.part_lse = m->part_lse,
		.part_lse_offset = m->part_lse_offset,
		TENSOR_FIELDS(out, &m->out),
		.lse = m->lse ? m->lse : m->out.mem, /* not touched */
		.lse_offset = m->lse_offset,
		.has_lse = m->lse != NULL,
		.sinks = m->sinks ? m->sinks : m->part_lse, /* nor this */
		.sinks_offset = m->sinks_offset,
		.has_sinks = m->sinks != NULL,
		.n_parts = (cl_uint)m->n_parts,
		.rows = (cl_uint)m->rows,
		.heads = (cl_uint)m->q_heads,
		.dim = (cl_uint)m->head_dim_v,
	};
	put_merge_parts(&a, &given);
	const size_t groups[3] = {m->rows, (size_t)m->q_heads, 1};
	return run(&a, chain, 2, groups, context->tune.general.lanes, n_wait, wait, done, error);
}

/* The kernel doesn't know how many parts, heads or channels there are, so a context has one. */
static clkv_status make_kernel(clkv_context *context, cl_kernel *kernel, clkv_error *error)
{
	struct clkv__program *program;
	clkv__macros macros;
	clkv__macros_init(&macros);
	clkv__macros_int(&macros, "LANES", (int)context->tune.general.lanes);
	clkv__macros_int(&macros, "VEC", (int)context->tune.general.vec);
	CLKV_TRY(clkv__program_find(context, "merge_parts.cl", &macros, &program, error));
	return clkv__program_kernel(context, program, "merge_parts", kernel, error);
}

/* With a kernel, on a chain of its own. */
static clkv_status merge(const clkv_context *context, cl_kernel kernel, struct clkv__chain *chain,
                         clkv_merge_args *a, cl_uint n_wait, const cl_event *wait, cl_event *done,
                         clkv_error *error)
{
	struct clkv__host_tensors host;
	bool any = a->parts.host || a->out.host || a->part_lse_host || a->lse_host || a->sinks_host;
	CLKV_TRY(clkv__host_tensors_start(&host, context, chain, any, n_wait, wait, error));
	clkv_status status = take_all(&host, a, error);
	cl_event *at_once = clkv__host_tensors_return(&host) ? NULL : done;
	if (status == CLKV_OK)
		status = launch(context, kernel, chain, a, n_wait, wait, at_once, error);
	return clkv__host_tensors_end(&host, status, done, error);
}

clkv_status clkv_merge(clkv_context *context, const clkv_merge_args *args, cl_command_queue queue,
                       cl_uint n_wait, const cl_event *wait, cl_event *done, clkv_error *error)
{
	clkv_merge_args a;
	struct clkv__meter meter = {0};
	struct clkv__chain chain;
	cl_kernel kernel;
	clkv__error_clear(error);
	if (!context)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "context is NULL");
	CLKV_TRY(clkv__wait_check(n_wait, wait, error));
	CLKV_TRY(clkv__struct_read(&a, sizeof a, args, "clkv_merge_args", error));
	CLKV_TRY(check_size(a.n_parts, a.rows, a.q_heads, a.head_dim_v, error));
	CLKV_TRY(clkv__chain_init(&chain, context, queue, &meter, error));
	CLKV_TRY(make_kernel(context, &kernel, error));
	clkv_status status = merge(context, kernel, &chain, &a, n_wait, wait, done, error);
	clkv__chain_free(&chain);
	clReleaseKernel(kernel); /* OpenCL keeps it until what was enqueued is done */
	return status;
}

/* ---------------------------------------------------------------- on the host ---- */

/* Parts of one row and head, `each` elements apart. */
struct host_parts {
	const float *rows, *lse;
	size_t n, each, dim;
};

static float share_of(float part, float top)
{
	return part == -INFINITY ? 0.0f : expf(part - top);
}

/* Returns the log-sum-exp of all. */
static float merge_head(const struct host_parts *p, float sink, float *out)
{
	float top = sink;
	for (size_t i = 0; i < p->n; i++)
		top = fmaxf(top, p->lse[i * p->each]);
	float sum = share_of(sink, top);
	for (size_t i = 0; i < p->n; i++)
		sum += share_of(p->lse[i * p->each], top);
	for (size_t d = 0; d < p->dim; d++)
		out[d] = 0.0f;
	for (size_t i = 0; i < p->n; i++) {
		const float share = share_of(p->lse[i * p->each], top);
		const float weight = share / sum;
		for (size_t d = 0; d < p->dim && share > 0.0f; d++)
			out[d] += weight * p->rows[i * p->each * p->dim + d];
	}
	return top + logf(sum);
}

clkv_status clkv_merge_host(size_t n_parts, size_t rows, int q_heads, int head_dim_v,
                            const float *parts, const float *part_lse, const float *sinks,
                            float *out, float *lse, clkv_error *error)
{
	clkv__error_clear(error);
	CLKV_TRY(check_size(n_parts, rows, q_heads, head_dim_v, error));
	if (!parts || !part_lse || !out)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL",
		          !parts      ? "parts"
		          : !part_lse ? "part_lse"
		                      : "out");
	size_t heads = (size_t)q_heads, each = rows * heads, dim = (size_t)head_dim_v;
	for (size_t at = 0; at < each; at++) {
		const struct host_parts p = {parts + at * dim, part_lse + at, n_parts, each, dim};
		float all = merge_head(&p, sinks ? sinks[at % heads] : -INFINITY, out + at * dim);
		if (lse)
			lse[at] = all;
	}
	return CLKV_OK;
}
