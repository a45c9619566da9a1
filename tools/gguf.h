/* SPDX-License-Identifier: MIT */
/**
 * \file    gguf.h
 * \brief   Reader of GGUF model files, versions 2 and 3, for files that nobody vouches for.
 *
 * A file is mapped and checked from end to end when it is opened: every length, count, offset,
 * type, alignment and product of dimensions. What the functions below hand out then lies inside the
 * file.
 */
#ifndef GGUF_H
#define GGUF_H

#include <stddef.h>
#include <stdint.h>

#include "tool_error.h"

enum gguf_value_type {
	GGUF_U8 = 0,
	GGUF_I8 = 1,
	GGUF_U16 = 2,
	GGUF_I16 = 3,
	GGUF_U32 = 4,
	GGUF_I32 = 5,
	GGUF_F32 = 6,
	GGUF_BOOL = 7,
	GGUF_STRING = 8,
	GGUF_ARRAY = 9,
	GGUF_U64 = 10,
	GGUF_I64 = 11,
	GGUF_F64 = 12
};

/** Bytes in the file; not terminated. */
struct gguf_string {
	const char *data;
	size_t size;
};

struct gguf_value {
	struct gguf_string key;
	enum gguf_value_type type;
	enum gguf_value_type item_type; /**< of an array */
	size_t n_items;                 /**< of an array, else 1 */
	const unsigned char *data;      /**< the first item, not aligned */
};

struct gguf_tensor {
	struct gguf_string name;
	uint32_t type; /**< enum weight_type, or one that weight_format() doesn't know */
	unsigned n_dims;
	uint64_t dims[4]; /**< dims[0] varies fastest; unused ones are 1 */
	const unsigned char *data;
	size_t size_bytes; /**< 0 when the type is unknown */
};

struct gguf;

/** Maps and checks a file; of a split model, of which path is any part, all of its parts. */
bool gguf_open(const char *path, struct gguf **out, struct tool_error *error);

/** The same for bytes in memory, which must outlive the reader. */
bool gguf_open_memory(const void *data, size_t size, struct gguf **out, struct tool_error *error);

void gguf_close(struct gguf *gguf);

/** The value or tensor of that name, or NULL; values are the first part's, tensors those of all. */
const struct gguf_value *gguf_find(const struct gguf *gguf, const char *key);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name);
size_t gguf_n_tensors(const struct gguf *gguf);

/** Reads a number of any integer type (bool included) that fits. False when absent or another type.
 */
bool gguf_get_u64(const struct gguf *gguf, const char *key, uint64_t *out);
bool gguf_get_f32(const struct gguf *gguf, const char *key, float *out);
bool gguf_get_string(const struct gguf *gguf, const char *key, struct gguf_string *out);

/** Walks the strings of an array; *cursor starts at array->data and moves behind the string read.
 */
struct gguf_string gguf_next_string(const unsigned char **cursor);

/** Integer item i of an array of 32-bit integers. */
int32_t gguf_item_i32(const struct gguf_value *array, size_t i);

bool gguf_string_is(struct gguf_string s, const char *text);

#endif
