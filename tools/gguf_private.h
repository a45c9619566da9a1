/* SPDX-License-Identifier: MIT */
/**
 * \file    gguf_private.h
 * \brief   What the parser of GGUF files and its getters share.
 */
#ifndef GGUF_PRIVATE_H
#define GGUF_PRIVATE_H

#include "gguf.h"

struct gguf {
	void *map; /* NULL when the bytes are the caller's */
	const unsigned char *data;
	size_t size;
	struct gguf_value *values;
	size_t n_values;
	struct gguf_tensor *tensors;
	uint64_t *offsets; /* of the tensors, as the file claims them */
	size_t n_tensors;
	struct gguf **parts; /* of a split model, behind this first one */
	size_t n_parts;
};

/** Maps and checks one file, whether it's whole or a part. */
bool gguf_open_file(const char *path, struct gguf **out, struct tool_error *error);

/** Bytes of a value of fixed size; 0 for strings, arrays and what is no type. */
size_t gguf_fixed_size(uint32_t type);

#endif
