/* SPDX-License-Identifier: MIT */
/** \file selection.c \brief Work buffers of selection. */
#include "store/selection.h"

#include "../cl/base/abi.clh"
#include "base/error.h"

static clkv_status make(clkv_context *context, cl_mem *mem, uint64_t bytes, clkv_error *error)
{
	cl_int code = CL_SUCCESS;
	if (bytes > 0)
		*mem = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, (size_t)bytes, NULL, &code);
	if (code != CL_SUCCESS)
		*mem = NULL;
	CLKV_CL_CODE(error, code, "clCreateBuffer");
	return CLKV_OK;
}

clkv_status clkv__selection_init(struct clkv__selection *selection, clkv_context *context,
                                 const struct clkv__shape *shape, const struct clkv__plan *plan,
                                 const struct clkv__sizes *sizes, clkv_error *error)
{
	struct clkv__selection *s = selection;
	const uint64_t heads = (uint64_t)(shape->layers * shape->streams);
	const uint64_t places = heads * sizes->places;
	*s = (struct clkv__selection){0};
	if (!clkv__selects(&plan->select))
		return CLKV_OK;
	CLKV_TRY(make(context, &s->rows, sizes->rows_bytes, error));
	CLKV_TRY(make(context, &s->scores, places * 4, error));
	CLKV_TRY(make(context, &s->traces, places * 4, error));
	CLKV_TRY(make(context, &s->order, places * 4, error));
	CLKV_TRY(make(context, &s->ranks, places * 4, error));
	CLKV_TRY(make(context, &s->keep, places, error));
	CLKV_TRY(make(context, &s->chosen, places * 4, error));
	CLKV_TRY(make(context, &s->masses, places * 4, error));
	CLKV_TRY(make(context, &s->sums, sizes->sums_bytes, error));
	CLKV_TRY(make(context, &s->weights, sizes->left_bytes, error));
	CLKV_TRY(make(context, &s->weighed, sizes->left_rows > 0 ? places * 4 : 0, error));
	CLKV_TRY(make(context, &s->peaked, sizes->left_rows > 0 ? places * 4 : 0, error));
	CLKV_TRY(make(context, &s->found, heads * (sizes->cap + 2) * 4, error));
	CLKV_TRY(make(context, &s->quotas, heads * 8, error));
	CLKV_TRY(make(context, &s->work, sizes->merge_bytes, error));
	return make(context, &s->spots, heads * sizes->merged_blocks * 4, error);
}

void clkv__selection_free(struct clkv__selection *selection)
{
	cl_mem all[] = {selection->rows,  selection->scores,  selection->traces,  selection->order,
	                selection->ranks, selection->keep,    selection->chosen,  selection->masses,
	                selection->sums,  selection->found,   selection->quotas,  selection->work,
	                selection->spots, selection->weights, selection->weighed, selection->peaked};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (all[i])
			clReleaseMemObject(all[i]);
	*selection = (struct clkv__selection){0};
}
