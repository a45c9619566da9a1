/* SPDX-License-Identifier: MIT */
/**
 * \file    gguf.c
 * \brief   GGUF: magic, version, counts | key-value pairs | tensor infos | padding | tensor data.
 *
 * All reads go through a cursor that knows what is left; a claim of the file (a count, a length, an
 * offset) is compared with what is left before it is used for anything, allocation included.
 */
#include "gguf.h"

#include <stdlib.h>
#include <string.h>

#include "file_map.h"
#include "gguf_private.h"
#include "weight_format.h"

/* Smallest encodings: a key-value pair has a key length, a type and one byte of value; a tensor
 * info has a name length, a number of dimensions, one dimension, a type and an offset. */
#define MIN_PAIR_BYTES (8 + 4 + 1)
#define MIN_TENSOR_BYTES (8 + 4 + 8 + 4 + 8)

/* Far more than any model has: names are looked up one by one, so a file may not have millions. */
#define MOST_ENTRIES 65536

struct cursor {
	const unsigned char *data;
	size_t size;
	size_t at;
};

static size_t left(const struct cursor *c)
{
	return c->size - c->at;
}

/* Names go into messages cut to 64 bytes: "%.*s" with this and name.data. */
static int name_width(struct gguf_string name)
{
	return (int)(name.size < 64 ? name.size : 64);
}

static bool take(struct cursor *c, void *out, size_t n, const char *what, struct tool_error *error)
{
	if (left(c) < n)
		return tool_fail(error, "the GGUF file ends at byte %zu, inside %s", c->size, what);
	memcpy(out, c->data + c->at, n);
	c->at += n;
	return true;
}

static bool take_string(struct cursor *c, struct gguf_string *out, const char *what,
                        struct tool_error *error)
{
	uint64_t size;
	size_t from = c->at;
	if (!take(c, &size, sizeof size, what, error))
		return false;
	if (size > left(c))
		return tool_fail(error, "GGUF: %s at byte %zu claims %llu bytes, the file has %zu left",
		                 what, from, (unsigned long long)size, left(c));
	out->data = (const char *)c->data + c->at;
	out->size = (size_t)size;
	c->at += (size_t)size;
	return true;
}

static bool skip_strings(struct cursor *c, size_t n, struct tool_error *error)
{
	struct gguf_string ignored;
	for (size_t i = 0; i < n; i++) {
		if (!take_string(c, &ignored, "a string of an array", error))
			return false;
	}
	return true;
}

static bool skip_fixed(struct cursor *c, size_t n, size_t item, struct tool_error *error)
{
	if (n > left(c) / item)
		return tool_fail(error,
		                 "GGUF: a value at byte %zu needs %zu items of %zu bytes, the file has "
		                 "%zu bytes left",
		                 c->at, n, item, left(c));
	c->at += n * item;
	return true;
}

static bool take_array(struct cursor *c, struct gguf_value *value, struct tool_error *error)
{
	uint32_t item_type;
	uint64_t n;
	if (!take(c, &item_type, sizeof item_type, "an array's type", error) ||
	    !take(c, &n, sizeof n, "an array's count", error))
		return false;
	if (item_type != GGUF_STRING && gguf_fixed_size(item_type) == 0)
		return tool_fail(error, "GGUF: array '%.*s' has items of type %u, which can't be read",
		                 name_width(value->key), value->key.data, item_type);
	size_t least = item_type == GGUF_STRING ? 8 : gguf_fixed_size(item_type);
	if (n > left(c) / least)
		return tool_fail(error, "GGUF: array '%.*s' claims %llu items, more than the file can hold",
		                 name_width(value->key), value->key.data, (unsigned long long)n);
	value->item_type = (enum gguf_value_type)item_type;
	value->n_items = (size_t)n;
	value->data = c->data + c->at;
	if (item_type == GGUF_STRING)
		return skip_strings(c, (size_t)n, error);
	return skip_fixed(c, (size_t)n, least, error);
}

static bool take_value(struct cursor *c, struct gguf_value *value, struct tool_error *error)
{
	uint32_t type;
	if (!take_string(c, &value->key, "a key", error) ||
	    !take(c, &type, sizeof type, "a value's type", error))
		return false;
	value->type = (enum gguf_value_type)type;
	value->n_items = 1;
	if (type == GGUF_ARRAY)
		return take_array(c, value, error);
	value->data = c->data + c->at;
	if (type == GGUF_STRING)
		return skip_strings(c, 1, error);
	if (gguf_fixed_size(type) == 0)
		return tool_fail(error, "GGUF: the value at byte %zu has type %u, which does not exist",
		                 c->at, type);
	return skip_fixed(c, 1, gguf_fixed_size(type), error);
}

static bool take_tensor(struct cursor *c, struct gguf_tensor *tensor, uint64_t *offset,
                        struct tool_error *error)
{
	uint32_t n_dims;
	if (!take_string(c, &tensor->name, "a tensor's name", error) ||
	    !take(c, &n_dims, sizeof n_dims, "a tensor's number of dimensions", error))
		return false;
	if (n_dims < 1 || n_dims > 4)
		return tool_fail(error, "GGUF: tensor '%.*s' has %u dimensions; 1 to 4 are allowed",
		                 name_width(tensor->name), tensor->name.data, n_dims);
	tensor->n_dims = n_dims;
	for (unsigned i = 0; i < 4; i++) {
		tensor->dims[i] = 1;
		if (i < n_dims && !take(c, &tensor->dims[i], 8, "a tensor's dimensions", error))
			return false;
	}
	return take(c, &tensor->type, sizeof tensor->type, "a tensor's type", error) &&
	       take(c, offset, sizeof *offset, "a tensor's offset", error);
}

/* Checks dims and offset of a tensor against the data section that begins at byte `data_from`. */
static bool place_tensor(const struct gguf *gguf, struct gguf_tensor *tensor, uint64_t offset,
                         size_t data_from, size_t alignment, struct tool_error *error)
{
	int name_size = name_width(tensor->name);
	const char *name = tensor->name.data;
	uint64_t n = 1;
	for (unsigned i = 0; i < 4; i++) {
		/* 2^48 weights are far above any file and keep the byte count below 2^64 */
		if (tensor->dims[i] == 0 || tensor->dims[i] > ((uint64_t)1 << 48) / n)
			return tool_fail(error,
			                 "GGUF: tensor '%.*s' has impossible dimensions (%llu in place %u)",
			                 name_size, name, (unsigned long long)tensor->dims[i], i);
		n *= tensor->dims[i];
	}
	if (offset % alignment != 0 || offset > gguf->size - data_from)
		return tool_fail(error,
		                 "GGUF: tensor '%.*s' has offset %llu: not a multiple of %zu, or "
		                 "outside the file's %zu bytes of data",
		                 name_size, name, (unsigned long long)offset, alignment,
		                 gguf->size - data_from);
	tensor->data = gguf->data + data_from + (size_t)offset;
	const struct weight_format *format = weight_format(tensor->type);
	if (format == NULL)
		return true; /* refused when somebody wants it: a file may hold tensors that nobody reads */
	if (tensor->dims[0] % format->block_weights != 0)
		return tool_fail(error,
		                 "GGUF: tensor '%.*s' has rows of %llu weights; %s needs a multiple of %u",
		                 name_size, name, (unsigned long long)tensor->dims[0], format->name,
		                 format->block_weights);
	uint64_t bytes = n / format->block_weights * format->block_bytes;
	if (bytes > gguf->size - data_from - offset)
		return tool_fail(error,
		                 "GGUF: tensor '%.*s' needs %llu bytes at offset %llu, the file has only "
		                 "%llu there (is it truncated?)",
		                 name_size, name, (unsigned long long)bytes, (unsigned long long)offset,
		                 (unsigned long long)(gguf->size - data_from - offset));
	tensor->size_bytes = (size_t)bytes;
	return true;
}

static bool parse_header(struct cursor *c, uint64_t *n_tensors, uint64_t *n_values,
                         struct tool_error *error)
{
	unsigned char magic[4];
	uint32_t version;
	if (!take(c, magic, sizeof magic, "the header", error))
		return false;
	if (memcmp(magic, "GGUF", 4) != 0)
		return tool_fail(error, "not a GGUF file: it doesn't begin with 'GGUF'");
	if (!take(c, &version, sizeof version, "the header", error))
		return false;
	if (version != 2 && version != 3)
		return tool_fail(
			error, "GGUF version %u can't be read; versions 2 and 3 (little-endian) can", version);
	if (!take(c, n_tensors, 8, "the header", error) || !take(c, n_values, 8, "the header", error))
		return false;
	if (*n_values > left(c) / MIN_PAIR_BYTES || *n_tensors > left(c) / MIN_TENSOR_BYTES)
		return tool_fail(error,
		                 "GGUF: the header claims %llu values and %llu tensors, more than the "
		                 "file's %zu bytes can hold",
		                 (unsigned long long)*n_values, (unsigned long long)*n_tensors, c->size);
	if (*n_values > MOST_ENTRIES || *n_tensors > MOST_ENTRIES)
		return tool_fail(error,
		                 "GGUF: the header claims %llu values and %llu tensors; at most %d of each "
		                 "are allowed",
		                 (unsigned long long)*n_values, (unsigned long long)*n_tensors,
		                 MOST_ENTRIES);
	return true;
}

static bool get_alignment(const struct gguf *gguf, size_t *alignment, struct tool_error *error)
{
	uint64_t value = 32;
	const struct gguf_value *given = gguf_find(gguf, "general.alignment");
	if (given != NULL && !gguf_get_u64(gguf, "general.alignment", &value))
		return tool_fail(error, "GGUF: general.alignment is not an integer");
	if (value < 8 || value > 65536 || (value & (value - 1)) != 0)
		return tool_fail(error,
		                 "GGUF: general.alignment is %llu; a power of two from 8 to 65536 is "
		                 "needed",
		                 (unsigned long long)value);
	*alignment = (size_t)value;
	return true;
}

static bool parse_tensors(struct gguf *gguf, struct cursor *c, struct tool_error *error)
{
	size_t alignment;
	for (size_t i = 0; i < gguf->n_tensors; i++) {
		if (!take_tensor(c, &gguf->tensors[i], &gguf->offsets[i], error))
			return false;
	}
	if (!get_alignment(gguf, &alignment, error))
		return false;
	size_t padding = (alignment - c->at % alignment) % alignment;
	if (gguf->n_tensors > 0 && padding > left(c))
		return tool_fail(error, "the GGUF file ends at byte %zu, before its tensor data", c->size);
	for (size_t i = 0; i < gguf->n_tensors; i++) {
		if (!place_tensor(gguf, &gguf->tensors[i], gguf->offsets[i], c->at + padding, alignment,
		                  error))
			return false;
	}
	return true;
}

static bool parse(struct gguf *gguf, struct tool_error *error)
{
	struct cursor c = {gguf->data, gguf->size, 0};
	uint64_t n_tensors;
	uint64_t n_values;
	if (!parse_header(&c, &n_tensors, &n_values, error))
		return false;
	/* both counts were bounded by the file's size; one more keeps calloc(0) out of the way */
	gguf->values = calloc((size_t)n_values + 1, sizeof *gguf->values);
	gguf->tensors = calloc((size_t)n_tensors + 1, sizeof *gguf->tensors);
	gguf->offsets = calloc((size_t)n_tensors + 1, sizeof *gguf->offsets);
	if (gguf->values == NULL || gguf->tensors == NULL || gguf->offsets == NULL)
		return tool_fail(error, "out of memory reading the GGUF header");
	gguf->n_tensors = (size_t)n_tensors;
	while (gguf->n_values < n_values) {
		if (!take_value(&c, &gguf->values[gguf->n_values], error))
			return false;
		gguf->n_values++;
	}
	return parse_tensors(gguf, &c, error);
}

bool gguf_open_memory(const void *data, size_t size, struct gguf **out, struct tool_error *error)
{
	struct gguf *gguf = calloc(1, sizeof *gguf);
	if (gguf == NULL)
		return tool_fail(error, "out of memory");
	gguf->data = data;
	gguf->size = size;
	if (!parse(gguf, error)) {
		gguf_close(gguf);
		return false;
	}
	*out = gguf;
	return true;
}

bool gguf_open_file(const char *path, struct gguf **out, struct tool_error *error)
{
	size_t size;
	void *map;
	if (!file_map("model", path, &map, &size, error))
		return false;
	if (!gguf_open_memory(map, size, out, error)) {
		file_unmap(map, size);
		return false;
	}
	(*out)->map = map;
	return true;
}

void gguf_close(struct gguf *gguf)
{
	if (gguf == NULL)
		return;
	for (size_t i = 0; i < gguf->n_parts; i++)
		gguf_close(gguf->parts[i]);
	free(gguf->parts);
	file_unmap(gguf->map, gguf->size);
	free(gguf->values);
	free(gguf->tensors);
	free(gguf->offsets);
	free(gguf);
}
