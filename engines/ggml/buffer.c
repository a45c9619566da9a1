/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend.h"

/** Addresses that vector code of the engine's may load from. */
enum { ALIGNMENT = 64 };

struct store *store_of(const struct ggml_tensor *tensor)
{
	const struct ggml_tensor *root = tensor->view_src ? tensor->view_src : tensor;
	const struct ggml_backend_buffer *buffer = root->buffer;
	return buffer && buffer->buft == &clkv_buffer_type ? buffer->context : NULL;
}

/** Finds the store of a tensor of a KV cache; NULL for tensors of the engine's computation. */
static struct store *cached(const struct ggml_tensor *tensor)
{
	int side;
	struct store *store = store_of(tensor);
	return store && store_find(store, tensor, &side) ? store : NULL;
}

static void buffer_free(ggml_backend_buffer_t buffer)
{
	store_destroy(buffer->context);
}

static void *buffer_base(ggml_backend_buffer_t buffer)
{
	return ((struct store *)buffer->context)->base;
}

static enum ggml_status buffer_init_tensor(ggml_backend_buffer_t buffer, struct ggml_tensor *tensor)
{
	return store_note(buffer->context, tensor) ? GGML_STATUS_SUCCESS : GGML_STATUS_ALLOC_FAILED;
}

static void buffer_set(ggml_backend_buffer_t buffer, struct ggml_tensor *tensor, const void *data,
                       size_t offset, size_t size)
{
	(void)buffer;
	struct store *store = cached(tensor);
	if (!size)
		return;
	if (store)
		state_set(store, tensor, offset, size, data);
	else
		memcpy((char *)tensor->data + offset, data, size);
}

static void buffer_get(ggml_backend_buffer_t buffer, const struct ggml_tensor *tensor, void *data,
                       size_t offset, size_t size)
{
	(void)buffer;
	struct store *store = cached(tensor);
	if (store)
		state_get(store, tensor, offset, size, data);
	else
		memcpy(data, (const char *)tensor->data + offset, size);
}

static void buffer_memset(ggml_backend_buffer_t buffer, struct ggml_tensor *tensor, uint8_t value,
                          size_t offset, size_t size)
{
	if (!cached(tensor)) {
		memset((char *)tensor->data + offset, value, size);
		return;
	}
	char *bytes = malloc(size ? size : 1);
	if (!bytes) {
		say_error("out of host memory: a part of a cache wasn't set");
		return;
	}
	memset(bytes, value, size);
	buffer_set(buffer, tensor, bytes, offset, size);
	free(bytes);
}

static bool buffer_copy(ggml_backend_buffer_t buffer, const struct ggml_tensor *from,
                        struct ggml_tensor *to)
{
	(void)buffer;
	struct store *store = cached(to);
	return store && cached(from) == store && state_copy(store, from, to);
}

static void buffer_clear(ggml_backend_buffer_t buffer, uint8_t value)
{
	struct store *store = buffer->context;
	if (store->is_cache)
		store_clear(store);
	else
		memset(store->base, value, buffer->size);
}

static const struct ggml_backend_buffer_i buffer_functions = {
	.free_buffer = buffer_free,
	.get_base = buffer_base,
	.init_tensor = buffer_init_tensor,
	.memset_tensor = buffer_memset,
	.set_tensor = buffer_set,
	.get_tensor = buffer_get,
	.cpy_tensor = buffer_copy,
	.clear = buffer_clear,
};

static const char *type_name(ggml_backend_buffer_type_t type)
{
	(void)type;
	return "CLKV";
}

static ggml_backend_buffer_t type_alloc(ggml_backend_buffer_type_t type, size_t size)
{
	struct store *store = store_create(size);
	if (!store)
		return NULL;
	ggml_backend_buffer_t buffer = engine()->buffer_init(type, buffer_functions, store, size);
	if (!buffer)
		store_destroy(store);
	return buffer;
}

static size_t type_alignment(ggml_backend_buffer_type_t type)
{
	(void)type;
	return ALIGNMENT;
}

/** Says no, though compute buffers are: whoever may read where he likes would read caches past the library. */
static bool type_is_host(ggml_backend_buffer_type_t type)
{
	(void)type;
	return false;
}

struct ggml_backend_buffer_type clkv_buffer_type = {
	.iface =
		{
			.get_name = type_name,
			.alloc_buffer = type_alloc,
			.get_alignment = type_alignment,
			.is_host = type_is_host,
		},
};
