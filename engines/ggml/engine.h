/* SPDX-License-Identifier: MIT */
/** \file
 *  The program that loaded this library: the few functions of its ggml that are called, found at run time, so that no copy of
 *  ggml is linked; and its log. */
#ifndef CLKV_GGML_ENGINE_H
#define CLKV_GGML_ENGINE_H

#include <ggml.h>

#include <ggml-backend-impl.h>

struct engine {
	const char *(*version)(void);
	size_t (*tensor_overhead)(void);
	ggml_backend_buffer_t (*buffer_init)(ggml_backend_buffer_type_t type,
	                                     struct ggml_backend_buffer_i iface, void *context,
	                                     size_t size);
	int (*n_nodes)(struct ggml_cgraph *graph);
	struct ggml_tensor *(*node)(struct ggml_cgraph *graph, int i);
	void (*log)(enum ggml_log_level level, const char *format, ...); /**< may be NULL */
};

/** Finds the functions in the object that caller, an address inside the engine, belongs to, else anywhere in the process.
 *  Refuses versions of ggml whose structs this build doesn't know. Returns 1, or 0 after a line that says why. */
int engine_find(const void *caller);

/** What engine_find found. */
const struct engine *engine(void);

/** Write a line to the engine's log, or to stderr where it has none. */
void say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
