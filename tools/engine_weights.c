/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_weights.c
 * \brief   Takes the model's tensors to the device: matrices in panels, norms in f32.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "engine_private.h"
#include "weight_panel.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define PAGE ((size_t)4096) /* what drivers ask of memory that they use where it lies */

static bool upload(struct engine *e, cl_mem_flags how, const void *data, size_t size, cl_mem *out,
                   struct tool_error *error)
{
	cl_int code;
	/* both flags only read from data, whatever the prototype says */
	void *from = (void *)(uintptr_t)data;
	*out = clCreateBuffer(e->context, CL_MEM_READ_ONLY | how, size, from, &code);
	if (code != CL_SUCCESS)
		return tool_fail_cl(error, "clCreateBuffer (weights)", code);
	e->device_bytes += size;
	return true;
}

/* Whole pages */
static size_t matrix_bytes(const struct gguf_tensor *tensor)
{
	size_t size = weight_panels((size_t)tensor->dims[1]) *
	              weight_panel_bytes(weight_format(tensor->type), (size_t)tensor->dims[0]);
	return (size + PAGE - 1) / PAGE * PAGE;
}

/* Memory that matrices are packed into: on a CPU all of them, for good, and in huge pages, which save it
 * a tenth of the time; for other devices one after the other, on their way. */
static bool reserve_memory(struct engine *e, struct tool_error *error)
{
	const struct model *m = e->model;
	size_t total = matrix_bytes(m->embedding) + matrix_bytes(m->output);
	size_t most = matrix_bytes(m->embedding);
	most = most > matrix_bytes(m->output) ? most : matrix_bytes(m->output);
	for (int i = 0; i < m->n_layers; i++) {
		const struct model_layer *l = &m->layers[i];
		const struct gguf_tensor *all[] = {l->q, l->k, l->v, l->attn_out, l->gate, l->up, l->down};
		for (size_t j = 0; j < sizeof all / sizeof all[0]; j++) {
			total += matrix_bytes(all[j]);
			most = most > matrix_bytes(all[j]) ? most : matrix_bytes(all[j]);
		}
	}
	void *memory;
	e->weights_stay = e->lanes == 1;
	size_t size = e->weights_stay ? total : most;
	if (posix_memalign(&memory, HUGE_PAGE, size) != 0)
		return tool_fail(error, "out of memory: %zu MiB for weights", size >> 20);
	e->weights = memory;
#ifdef MADV_HUGEPAGE
	(void)madvise(memory, size, MADV_HUGEPAGE);
#endif
	return true;
}

static bool upload_matrix(struct engine *e, const struct gguf_tensor *tensor,
                          struct engine_matrix *m, struct tool_error *error)
{
	const struct weight_format *format = weight_format(tensor->type);
	size_t n_in = (size_t)tensor->dims[0];
	size_t n_out = (size_t)tensor->dims[1];
	size_t bytes = weight_panels(n_out) * weight_panel_bytes(format, n_in);
	unsigned char *at = e->weights + e->weights_used;
	weight_panels_pack(format, tensor->data, (size_t)model_row_bytes(tensor), n_out, n_in, at);
	*m = (struct engine_matrix){NULL, weight_panel_type(format), (int)n_in, (int)n_out, bytes};
	if (e->weights_stay)
		e->weights_used += matrix_bytes(tensor);
	return upload(e, e->weights_stay ? CL_MEM_USE_HOST_PTR : CL_MEM_COPY_HOST_PTR, at, bytes,
	              &m->mem, error);
}

static bool upload_norm(struct engine *e, const struct gguf_tensor *tensor, cl_mem *out,
                        struct tool_error *error)
{
	size_t n = (size_t)tensor->dims[0];
	float *values = malloc(n * sizeof *values);
	if (values == NULL)
		return tool_fail(error, "out of memory");
	weights_dequantize(weight_format(tensor->type), tensor->data, n, values);
	bool done = upload(e, CL_MEM_COPY_HOST_PTR, values, n * sizeof *values, out, error);
	free(values);
	return done;
}

static bool upload_layer(struct engine *e, const struct model_layer *from, struct engine_layer *to,
                         struct tool_error *error)
{
	return upload_norm(e, from->attn_norm, &to->attn_norm, error) &&
	       upload_norm(e, from->ffn_norm, &to->ffn_norm, error) &&
	       upload_matrix(e, from->q, &to->q, error) && upload_matrix(e, from->k, &to->k, error) &&
	       upload_matrix(e, from->v, &to->v, error) &&
	       upload_matrix(e, from->attn_out, &to->attn_out, error) &&
	       upload_matrix(e, from->gate, &to->gate, error) &&
	       upload_matrix(e, from->up, &to->up, error) &&
	       upload_matrix(e, from->down, &to->down, error);
}

bool engine_upload(struct engine *e, struct tool_error *error)
{
	const struct model *model = e->model;
	e->layers = calloc((size_t)model->n_layers, sizeof *e->layers);
	if (e->layers == NULL)
		return tool_fail(error, "out of memory");
	if (!reserve_memory(e, error) || !upload_matrix(e, model->embedding, &e->embedding, error) ||
	    !upload_norm(e, model->output_norm, &e->output_norm, error))
		return false;
	for (int i = 0; i < model->n_layers; i++) {
		if (!upload_layer(e, &model->layers[i], &e->layers[i], error))
			return false;
	}
	if (model->output != model->embedding)
		return upload_matrix(e, model->output, &e->output, error);
	e->output = e->embedding;
	return clRetainMemObject(e->output.mem) == CL_SUCCESS;
}

static void release(cl_mem mem)
{
	if (mem != NULL)
		(void)clReleaseMemObject(mem);
}

void engine_release_weights(struct engine *e)
{
	release(e->embedding.mem);
	release(e->output.mem);
	release(e->output_norm);
	for (int i = 0; e->layers != NULL && i < e->model->n_layers; i++) {
		const struct engine_layer *layer = &e->layers[i];
		cl_mem all[] = {layer->attn_norm, layer->ffn_norm, layer->q.mem,
		                layer->k.mem,     layer->v.mem,    layer->attn_out.mem,
		                layer->gate.mem,  layer->up.mem,   layer->down.mem};
		for (size_t j = 0; j < sizeof all / sizeof all[0]; j++)
			release(all[j]);
	}
	free(e->layers);
	e->layers = NULL;
	free(e->weights);
	e->weights = NULL;
}
