/* SPDX-License-Identifier: MIT */
/**
 * \file    gguf_build.c
 * \brief   Writes GGUF files in memory.
 */
#include "gguf_build.h"

#include <stdlib.h>
#include <string.h>

static void put(struct gguf_build *b, const void *data, size_t size)
{
	if (b->capacity - b->size < size) {
		b->capacity = 2 * b->capacity + size + 256;
		b->data = realloc(b->data, b->capacity);
		if (b->data == NULL)
			abort();
	}
	if (size > 0)
		memcpy(b->data + b->size, data, size);
	b->size += size;
}

void gguf_build_free(struct gguf_build *b)
{
	free(b->data);
	memset(b, 0, sizeof *b);
}

void gguf_build_u8(struct gguf_build *b, unsigned value)
{
	unsigned char byte = (unsigned char)value;
	put(b, &byte, 1);
}

void gguf_build_u32(struct gguf_build *b, uint32_t value)
{
	put(b, &value, sizeof value);
}

void gguf_build_u64(struct gguf_build *b, uint64_t value)
{
	put(b, &value, sizeof value);
}

void gguf_build_string(struct gguf_build *b, const char *text, size_t size)
{
	gguf_build_u64(b, size);
	put(b, text, size);
}

void gguf_build_header(struct gguf_build *b, uint32_t version, uint64_t n_tensors,
                       uint64_t n_values)
{
	put(b, "GGUF", 4);
	gguf_build_u32(b, version);
	gguf_build_u64(b, n_tensors);
	gguf_build_u64(b, n_values);
}

void gguf_build_text(struct gguf_build *b, const char *key, const char *value)
{
	gguf_build_string(b, key, strlen(key));
	gguf_build_u32(b, 8);
	gguf_build_string(b, value, strlen(value));
}

void gguf_build_number(struct gguf_build *b, const char *key, uint32_t value)
{
	gguf_build_string(b, key, strlen(key));
	gguf_build_u32(b, 4);
	gguf_build_u32(b, value);
}

void gguf_build_array(struct gguf_build *b, const char *key, uint32_t item_type, uint64_t n)
{
	gguf_build_string(b, key, strlen(key));
	gguf_build_u32(b, 9);
	gguf_build_u32(b, item_type);
	gguf_build_u64(b, n);
}

void gguf_build_tensor(struct gguf_build *b, const char *name, uint32_t n_dims,
                       const uint64_t *dims, uint32_t type, uint64_t offset)
{
	gguf_build_string(b, name, strlen(name));
	gguf_build_u32(b, n_dims);
	for (uint32_t i = 0; i < n_dims; i++)
		gguf_build_u64(b, dims[i]);
	gguf_build_u32(b, type);
	gguf_build_u64(b, offset);
}

void gguf_build_data(struct gguf_build *b, size_t alignment, size_t n)
{
	while (b->size % alignment != 0)
		gguf_build_u8(b, 0);
	for (size_t i = 0; i < n; i++)
		gguf_build_u8(b, (unsigned)i);
}
