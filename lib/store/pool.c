/* SPDX-License-Identifier: MIT */
/** \file pool.c \brief Cuts the pool into buffers the device can hold, whole layers in each. */
#include "store/pool.h"

#include "base/alloc.h"
#include "base/error.h"

static clkv_status check_device(const clkv_device_info *info, const struct clkv__sizes *sizes,
                                uint64_t largest_layer, clkv_error *error)
{
	uint64_t bytes = sizes->bytes.device + (sizes->moves ? 0 : sizes->bytes.host_sealed);
	if (bytes > info->global_bytes)
		CLKV_FAIL(error, CLKV_ERROR_NO_DEVICE_MEMORY,
		          "the cache needs %llu bytes, device '%s' has %llu: fewer max_tokens, or a recipe "
		          "with fewer bytes per token",
		          (unsigned long long)bytes, info->name, (unsigned long long)info->global_bytes);
	if (largest_layer > info->max_alloc_bytes)
		CLKV_FAIL(error, CLKV_ERROR_NO_DEVICE_MEMORY,
		          "a layer's blocks need %llu bytes, device '%s' allocates %llu at once: fewer "
		          "max_tokens, or a recipe with fewer bytes per token",
		          (unsigned long long)largest_layer, info->name,
		          (unsigned long long)info->max_alloc_bytes);
	return CLKV_OK;
}

/* Pages in host memory for the sealed blocks of a layer. */
static clkv_status init_pages(struct clkv__layer_pool *layer, const clkv_allocator *allocator,
                              const struct clkv__sizes *sizes, clkv_error *error)
{
	size_t bytes = (size_t)sizes->sealed_units * ABI_UNIT;
	layer->pages_at = clkv__calloc(allocator, sizes->sealed_slots, bytes);
	if (!layer->pages_at)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
		          "no host memory for %llu bytes of a layer's sealed blocks (%llu in all): fewer "
		          "max_tokens",
		          (unsigned long long)(sizes->sealed_slots * (uint64_t)bytes),
		          (unsigned long long)sizes->bytes.host_sealed);
	return clkv__slots_init(&layer->sealed, allocator, 0, sizes->sealed_units, sizes->sealed_slots,
	                        error);
}

/* Blocks in half from *at on, behind which it goes on. */
static clkv_status init_open(struct clkv__layer_pool *layer, const clkv_allocator *allocator,
                             const struct clkv__sizes *sizes, bool dense, uint32_t *at,
                             clkv_error *error)
{
	uint32_t slots = dense ? sizes->dense_slots : sizes->open_slots;
	layer->pages = &layer->own;
	CLKV_TRY(clkv__slots_init(&layer->open, allocator, *at, sizes->half_units, slots, error));
	*at += slots * sizes->half_units;
	layer->staged = *at;
	*at += dense ? 0 : sizes->staged_blocks * sizes->half_units;
	return CLKV_OK;
}

/* Sealed blocks of a layer that shares them with none. */
static clkv_status init_sealed(struct clkv__layer_pool *layer, const clkv_allocator *allocator,
                               const struct clkv__sizes *sizes, uint64_t units, uint32_t first,
                               clkv_error *error)
{
	if (sizes->moves) {
		layer->landing = first;
		layer->rows = first + sizes->landing_blocks * sizes->sealed_units;
		return init_pages(layer, allocator, sizes, error);
	}
	if (sizes->paged)
		return clkv__pages_init(&layer->own, allocator, first, (uint32_t)units, error);
	return clkv__slots_init(&layer->sealed, allocator, first, sizes->sealed_units,
	                        sizes->sealed_slots, error);
}

/* Sealed blocks of the layers from first to before end, all of which take of the last one's pages. */
static clkv_status share_sealed(struct clkv__pool *pool, const clkv_allocator *allocator,
                                const struct clkv__plan *plan, int first, int end, uint64_t units,
                                uint32_t at, clkv_error *error)
{
	struct clkv__pages *pages = &pool->layers[end - 1].own;
	for (int l = first; l < end; l++)
		if (!clkv__layer_is_dense(plan, l))
			pool->layers[l].pages = pages;
	return units > 0 ? clkv__pages_init(pages, allocator, at, (uint32_t)units, error) : CLKV_OK;
}

/* Layers from one on that must lie in one buffer, as each reads blocks of the others. */
static int layers_together(const struct clkv__plan *plan, int layer)
{
	return clkv__layer_is_dense(plan, layer) ? 1 : clkv__groups_layers(&plan->sealing.groups);
}

static uint64_t bytes_together(const struct clkv__shape *shape, const struct clkv__plan *plan,
                               const struct clkv__sizes *sizes, int layer)
{
	uint64_t bytes = 0;
	for (int i = layer; i < layer + layers_together(plan, layer); i++)
		bytes += clkv__sizes_layer(shape, plan, sizes, i);
	return bytes;
}

/* Buffer and slots for as many layers from first on as fit into one allocation. */
static clkv_status init_buffer(struct clkv__pool *pool, clkv_context *context,
                               const struct clkv__shape *shape, const struct clkv__plan *plan,
                               const struct clkv__sizes *sizes, int first, int *next,
                               clkv_error *error)
{
	uint64_t limit = context->info.max_alloc_bytes, bytes = 0, units = 0;
	const clkv_allocator *allocator = &context->allocator;
	const uint64_t most = pool->shared ? (uint64_t)1 << 31 : CLKV__NO_SLOT;
	if (limit > most * ABI_UNIT)
		limit = most * ABI_UNIT;
	int layer = first, whole = first; /* where layers that go together end */
	uint32_t at = 0;
	for (; layer < pool->n_layers; layer++) {
		struct clkv__layer_pool *l = &pool->layers[layer];
		uint64_t size = clkv__sizes_layer(shape, plan, sizes, layer);
		bool dense = clkv__layer_is_dense(plan, layer);
		uint64_t sealed = dense ? 0 : clkv__sizes_sealed(shape, plan, sizes, layer);
		if (layer == whole) {
			if (layer > first && bytes + bytes_together(shape, plan, sizes, layer) > limit)
				break;
			whole += layers_together(plan, layer);
		}
		bytes += size;
		units += sealed;
		CLKV_TRY(init_open(l, allocator, sizes, dense, &at, error));
		if (pool->shared)
			continue;
		if (!dense)
			CLKV_TRY(init_sealed(l, allocator, sizes, sealed, at, error));
		at = (uint32_t)(bytes / ABI_UNIT);
	}
	if (pool->shared)
		CLKV_TRY(share_sealed(pool, allocator, plan, first, layer, units, at, error));
	cl_int code;
	cl_mem_flags flags = CL_MEM_READ_WRITE | (clkv__maps(&plan->place) ? CL_MEM_ALLOC_HOST_PTR : 0);
	cl_mem mem = clCreateBuffer(context->cl, flags, (size_t)bytes, NULL, &code);
	CLKV_CL_CODE(error, code, "clCreateBuffer");
	pool->buffers[pool->n_buffers++] = mem;
	for (int i = first; i < layer; i++)
		pool->layers[i].mem = mem;
	*next = layer;
	return CLKV_OK;
}

clkv_status clkv__pool_init(struct clkv__pool *pool, clkv_context *context,
                            const struct clkv__shape *shape, const struct clkv__plan *plan,
                            const struct clkv__sizes *sizes, clkv_error *error)
{
	const clkv_allocator *allocator = &context->allocator;
	*pool = (struct clkv__pool){
		.n_layers = shape->layers,
		.half_units = sizes->half_units,
		.sealed_units = sizes->sealed_units,
		.paged = sizes->paged,
		.shared = sizes->paged && plan->layer_units[shape->layers - 1] > 0,
		.host = plan->place.host,
	};
	uint64_t largest = 0;
	for (int i = 0; i < shape->layers; i += layers_together(plan, i))
		if (bytes_together(shape, plan, sizes, i) > largest)
			largest = bytes_together(shape, plan, sizes, i);
	CLKV_TRY(check_device(&context->info, sizes, largest, error));
	pool->layers = clkv__calloc(allocator, (size_t)shape->layers, sizeof *pool->layers);
	pool->buffers = clkv__calloc(allocator, (size_t)shape->layers, sizeof *pool->buffers);
	clkv_status status = CLKV_OK;
	if (!pool->layers || !pool->buffers) {
		clkv__pool_free(pool, context);
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for the pool of %d layers",
		          shape->layers);
	}
	for (int layer = 0; layer < shape->layers && status == CLKV_OK;)
		status = init_buffer(pool, context, shape, plan, sizes, layer, &layer, error);
	if (status != CLKV_OK)
		clkv__pool_free(pool, context);
	return status;
}

void clkv__pool_free(struct clkv__pool *pool, clkv_context *context)
{
	for (int i = 0; i < pool->n_buffers; i++)
		clReleaseMemObject(pool->buffers[i]);
	for (int i = 0; pool->layers && i < pool->n_layers; i++) {
		clkv__slots_free(&pool->layers[i].open, &context->allocator);
		clkv__slots_free(&pool->layers[i].sealed, &context->allocator);
		clkv__pages_free(&pool->layers[i].own, &context->allocator);
		clkv__free(&context->allocator, pool->layers[i].pages_at);
	}
	clkv__free(&context->allocator, pool->layers);
	clkv__free(&context->allocator, pool->buffers);
	*pool = (struct clkv__pool){0};
}

clkv_status clkv__pool_clear(struct clkv__pool *pool, cl_command_queue queue, clkv_error *error)
{
	const cl_uint zero = 0;
	for (int i = 0; i < pool->n_layers; i++) {
		const struct clkv__slots *open = &pool->layers[i].open;
		size_t size = (size_t)open->n * open->slot_units * ABI_UNIT;
		if (size > 0)
			CLKV_CL(error,
			        clEnqueueFillBuffer(queue, pool->layers[i].mem, &zero, sizeof zero,
			                            (size_t)open->first * ABI_UNIT, size, 0, NULL, NULL));
	}
	return CLKV_OK;
}

uint64_t clkv__pool_used_open(const struct clkv__pool *pool)
{
	uint64_t slots = 0;
	for (int i = 0; i < pool->n_layers; i++)
		slots += clkv__slots_used(&pool->layers[i].open);
	return slots * pool->half_units * ABI_UNIT;
}

uint32_t clkv__sealed_take(struct clkv__pool *pool, int layer, uint32_t units)
{
	struct clkv__layer_pool *l = &pool->layers[layer];
	return pool->paged ? clkv__pages_take(l->pages, units) : clkv__slots_take(&l->sealed);
}

void clkv__sealed_ref(struct clkv__pool *pool, int layer, uint32_t address)
{
	struct clkv__layer_pool *l = &pool->layers[layer];
	if (pool->paged)
		clkv__pages_ref(l->pages, address);
	else
		clkv__slots_ref(&l->sealed, address);
}

bool clkv__sealed_release(struct clkv__pool *pool, int layer, uint32_t address)
{
	struct clkv__layer_pool *l = &pool->layers[layer];
	return pool->paged ? clkv__pages_release(l->pages, address)
	                   : clkv__slots_release(&l->sealed, address);
}

uint32_t clkv__sealed_refs(const struct clkv__pool *pool, int layer, uint32_t address)
{
	const struct clkv__layer_pool *l = &pool->layers[layer];
	return pool->paged ? clkv__pages_refs(l->pages, address)
	                   : clkv__slots_refs(&l->sealed, address);
}

uint32_t clkv__sealed_units(const struct clkv__pool *pool, int layer, uint32_t address)
{
	return pool->paged ? clkv__pages_units_of(pool->layers[layer].pages, address)
	                   : pool->sealed_units;
}

uint64_t clkv__sealed_available(const struct clkv__pool *pool, int layer)
{
	const struct clkv__layer_pool *l = &pool->layers[layer];
	return pool->paged ? clkv__pages_available(l->pages)
	                   : (uint64_t)clkv__slots_available(&l->sealed) * pool->sealed_units;
}

bool clkv__sealed_shares(const struct clkv__pool *pool, int layer, int other)
{
	return pool->paged && pool->layers[layer].pages == pool->layers[other].pages;
}

uint64_t clkv__pool_used_sealed(const struct clkv__pool *pool)
{
	uint64_t units = 0;
	for (int i = 0; i < pool->n_layers; i++)
		units += pool->paged
		             ? clkv__pages_used(&pool->layers[i].own)
		             : (uint64_t)clkv__slots_used(&pool->layers[i].sealed) * pool->sealed_units;
	return units * ABI_UNIT;
}
