/* SPDX-License-Identifier: MIT */
/**
 * \file    gguf_build.h
 * \brief   Writes GGUF files in memory, right ones and wrong ones.
 */
#ifndef GGUF_BUILD_H
#define GGUF_BUILD_H

#include <stddef.h>
#include <stdint.h>

struct gguf_build {
	unsigned char *data;
	size_t size, capacity;
};

void gguf_build_free(struct gguf_build *b);

void gguf_build_u8(struct gguf_build *b, unsigned value);
void gguf_build_u32(struct gguf_build *b, uint32_t value);
void gguf_build_u64(struct gguf_build *b, uint64_t value);
void gguf_build_string(struct gguf_build *b, const char *text, size_t size);

/** Magic, version and counts. */
void gguf_build_header(struct gguf_build *b, uint32_t version, uint64_t n_tensors,
                       uint64_t n_values);

/** Key-value pairs. */
void gguf_build_text(struct gguf_build *b, const char *key, const char *value);
void gguf_build_number(struct gguf_build *b, const char *key, uint32_t value);
void gguf_build_array(struct gguf_build *b, const char *key, uint32_t item_type, uint64_t n);

/** A tensor's info. */
void gguf_build_tensor(struct gguf_build *b, const char *name, uint32_t n_dims,
                       const uint64_t *dims, uint32_t type, uint64_t offset);

/** Zeros up to a multiple of alignment, then n bytes that count up. */
void gguf_build_data(struct gguf_build *b, size_t alignment, size_t n);

#endif
