/* SPDX-License-Identifier: MIT */
#include "backend.h"

#include <stdlib.h>
#include <string.h>

#include "clkv_ggml.h"

static struct ggml_backend_device device;
static struct ggml_backend_reg registration;

/* ---------------------------------------------------------------- the backend ---- */

static const char *backend_name(ggml_backend_t backend)
{
	(void)backend;
	return "CLKV";
}

static void backend_free(ggml_backend_t backend)
{
	free(backend);
}

static ggml_guid_t backend_guid(void)
{
	static ggml_guid guid = {0x63, 0x6c, 0x6b, 0x76, 0x2d, 0x67, 0x67, 0x6d,
	                         0x6c, 0x2d, 0x30, 0x30, 0x30, 0x30, 0x30, 0x31};
	return &guid;
}

static ggml_backend_t device_init(ggml_backend_dev_t dev, const char *params)
{
	(void)params;
	struct ggml_backend *backend = calloc(1, sizeof(*backend));
	if (!backend)
		return NULL;
	backend->guid = backend_guid();
	backend->iface.get_name = backend_name;
	backend->iface.free = backend_free;
	backend->iface.graph_compute = compute_graph;
	backend->device = dev;
	return backend;
}

/* ---------------------------------------------------------------- the device ---- */

static const char *device_name(ggml_backend_dev_t dev)
{
	(void)dev;
	return "CLKV0";
}

static const char *device_description(ggml_backend_dev_t dev)
{
	(void)dev;
	return "compressed KV cache (clkv)";
}

/** Reports no memory, so that engines which fit models to devices put no weights here. */
static void device_memory(ggml_backend_dev_t dev, size_t *available, size_t *total)
{
	(void)dev;
	*available = *total = 0;
}

/** A GPU to the engine: to no other kind of device does it give a layer's cache. */
static enum ggml_backend_dev_type device_type(ggml_backend_dev_t dev)
{
	(void)dev;
	return GGML_BACKEND_DEVICE_TYPE_GPU;
}

/** No weights come here, so that this device doesn't keep the engine from mapping them. */
static void device_props(ggml_backend_dev_t dev, struct ggml_backend_dev_props *props)
{
	*props = (struct ggml_backend_dev_props){.name = device_name(dev),
	                                         .description = device_description(dev),
	                                         .type = device_type(dev),
	                                         .caps = {.mmap_support = true}};
}

static ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t dev)
{
	(void)dev;
	return &clkv_buffer_type;
}

/** Remembers the largest batch and the model's RoPE, which the engine shows in graphs that it plans with before it computes any:
 *  what it computes then may be a copy that tells nothing. */
static void note_plan(const struct ggml_tensor *node)
{
	const int is_attention = node->op == GGML_OP_FLASH_ATTN_EXT;
	struct store *store = is_attention || node->op == GGML_OP_SET_ROWS ? cache_of(node) : NULL;
	if (!store || store->cache)
		return;
	if (!is_attention) {
		store_note_rope(store, node);
		return;
	}
	const size_t rows = (size_t)(node->src[0]->ne[1] * node->src[0]->ne[3]);
	store->max_rows = rows > store->max_rows ? rows : store->max_rows;
}

/** Takes everything that touches a KV cache, to refuse it in words when it's computed, and nothing else. */
static bool device_supports_op(ggml_backend_dev_t dev, const struct ggml_tensor *node)
{
	(void)dev;
	note_plan(node);
	switch (node->op) {
	case GGML_OP_NONE:
	case GGML_OP_VIEW:
	case GGML_OP_RESHAPE:
	case GGML_OP_PERMUTE:
	case GGML_OP_TRANSPOSE:
		return true;
	default:
		return touches_cache(node);
	}
}

/** Takes host buffers too: what attention needs of the engine's computation is read where it lies. */
static bool device_supports_buft(ggml_backend_dev_t dev, ggml_backend_buffer_type_t type)
{
	(void)dev;
	return type == &clkv_buffer_type || (type->iface.is_host && type->iface.is_host(type));
}

static struct ggml_backend_device device = {
	.iface =
		{
			.get_name = device_name,
			.get_description = device_description,
			.get_memory = device_memory,
			.get_type = device_type,
			.get_props = device_props,
			.init_backend = device_init,
			.get_buffer_type = device_buffer_type,
			.supports_op = device_supports_op,
			.supports_buft = device_supports_buft,
		},
	.reg = &registration,
};

/* ---------------------------------------------------------------- the registration ---- */

static const char *reg_name(ggml_backend_reg_t reg)
{
	(void)reg;
	return "CLKV";
}

static size_t reg_device_count(ggml_backend_reg_t reg)
{
	(void)reg;
	return 1;
}

static ggml_backend_dev_t reg_device(ggml_backend_reg_t reg, size_t index)
{
	(void)reg;
	return index ? NULL : &device;
}

static void *reg_address(ggml_backend_reg_t reg, const char *name)
{
	(void)reg;
	int (*set)(const char *, const char *) = clkv_ggml_set;
	void *address = NULL;
	if (!strcmp(name, "clkv_ggml_set"))
		memcpy(&address, &set, sizeof(address));
	return address;
}

static struct ggml_backend_reg registration = {
	.api_version = GGML_BACKEND_API_VERSION,
	.iface =
		{
			.get_name = reg_name,
			.get_device_count = reg_device_count,
			.get_device = reg_device,
			.get_proc_address = reg_address,
		},
};

ggml_backend_reg_t ggml_backend_init(void)
{
	if (!engine_find(__builtin_return_address(0)))
		return NULL;
	clkv_buffer_type.device = &device;
	return &registration;
}
