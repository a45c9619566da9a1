/* SPDX-License-Identifier: MIT */
/**
 * \file    gguf_get.c
 * \brief   Looks up values and tensors in a file that was checked when it was opened.
 */
#include <string.h>

#include "gguf_private.h"

size_t gguf_fixed_size(uint32_t type)
{
	static const unsigned char sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
	return type < sizeof sizes ? sizes[type] : 0;
}

bool gguf_string_is(struct gguf_string s, const char *text)
{
	return s.size == strlen(text) && memcmp(s.data, text, s.size) == 0;
}

const struct gguf_value *gguf_find(const struct gguf *gguf, const char *key)
{
	for (size_t i = 0; i < gguf->n_values; i++) {
		if (gguf_string_is(gguf->values[i].key, key))
			return &gguf->values[i];
	}
	return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name)
{
	for (size_t i = 0; i < gguf->n_tensors; i++) {
		if (gguf_string_is(gguf->tensors[i].name, name))
			return &gguf->tensors[i];
	}
	for (size_t i = 0; i < gguf->n_parts; i++) {
		const struct gguf_tensor *tensor = gguf_find_tensor(gguf->parts[i], name);
		if (tensor != NULL)
			return tensor;
	}
	return NULL;
}

size_t gguf_n_tensors(const struct gguf *gguf)
{
	size_t n = gguf->n_tensors;
	for (size_t i = 0; i < gguf->n_parts; i++)
		n += gguf->parts[i]->n_tensors;
	return n;
}

bool gguf_get_u64(const struct gguf *gguf, const char *key, uint64_t *out)
{
	const struct gguf_value *value = gguf_find(gguf, key);
	if (value == NULL || gguf_fixed_size(value->type) == 0 || value->type == GGUF_F32 ||
	    value->type == GGUF_F64)
		return false;
	size_t n = gguf_fixed_size(value->type);
	uint64_t bits = 0;
	memcpy(&bits, value->data, n); /* little-endian, as the file is */
	bool is_signed = value->type == GGUF_I8 || value->type == GGUF_I16 || value->type == GGUF_I32 ||
	                 value->type == GGUF_I64;
	if (is_signed && (bits >> (8 * n - 1)) != 0)
		return false; /* negative */
	*out = bits;
	return true;
}

bool gguf_get_f32(const struct gguf *gguf, const char *key, float *out)
{
	const struct gguf_value *value = gguf_find(gguf, key);
	if (value == NULL || value->type != GGUF_F32)
		return false;
	memcpy(out, value->data, sizeof *out);
	return true;
}

bool gguf_get_string(const struct gguf *gguf, const char *key, struct gguf_string *out)
{
	const struct gguf_value *value = gguf_find(gguf, key);
	if (value == NULL || value->type != GGUF_STRING)
		return false;
	const unsigned char *at = value->data;
	*out = gguf_next_string(&at);
	return true;
}

struct gguf_string gguf_next_string(const unsigned char **cursor)
{
	uint64_t size;
	memcpy(&size, *cursor, sizeof size);
	struct gguf_string s = {(const char *)*cursor + sizeof size, (size_t)size};
	*cursor += sizeof size + (size_t)size;
	return s;
}

int32_t gguf_item_i32(const struct gguf_value *array, size_t i)
{
	int32_t item;
	memcpy(&item, array->data + i * sizeof item, sizeof item);
	return item;
}
