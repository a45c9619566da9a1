/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "engine.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/** Versions whose structs are those of the headers that this file is built with. ggml's own number of the interface isn't
 *  enough: members have come into structs without it. */
static const char *const known_versions[] = {
#if GGML_BACKEND_API_VERSION == 3
	"0.26.0"
#elif GGML_BACKEND_API_VERSION == 2
	"0.24.0"
#else
#error "these headers of ggml are neither of version 0.24.0 nor of 0.26.0: see doc/engines.md"
#endif
};

/** Bytes in front of each tensor of a context, by which ggml_tensor_overhead is larger than a tensor. */
enum { GGML_OBJECT_SIZE = 32 };

static struct engine found;

const struct engine *engine(void)
{
	return &found;
}

static void say(enum ggml_log_level level, const char *format, va_list args)
{
	char text[1024];
	vsnprintf(text, sizeof(text), format, args);
	if (found.log)
		found.log(level, "clkv: %s\n", text);
	else
		fprintf(stderr, "clkv: %s\n", text);
}

void say_error(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(GGML_LOG_LEVEL_ERROR, format, args);
	va_end(args);
}

void say_info(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(GGML_LOG_LEVEL_INFO, format, args);
	va_end(args);
}

/** Opens the object around an address, which need not be visible to others: an extension module of Python isn't. */
static void *object_of(const void *address)
{
	Dl_info info;
	if (!dladdr(address, &info) || !info.dli_fname)
		return NULL;
	return dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
}

/** Puts the address of a function into *where, a pointer to a function of any type. Returns 1 if there is one. */
static int find(void *object, const char *name, void *where)
{
	void *address = object ? dlsym(object, name) : NULL;
	if (!address)
		address = dlsym(RTLD_DEFAULT, name);
	memcpy(where, &address, sizeof(address));
	return address != NULL;
}

static int find_all(void *object)
{
	find(object, "ggml_log_internal", &found.log);
	return find(object, "ggml_version", &found.version) &&
	       find(object, "ggml_tensor_overhead", &found.tensor_overhead) &&
	       find(object, "ggml_backend_buffer_init", &found.buffer_init) &&
	       find(object, "ggml_graph_n_nodes", &found.n_nodes) &&
	       find(object, "ggml_graph_node", &found.node);
}

static int version_is_known(const char *version)
{
	for (size_t i = 0; i < sizeof(known_versions) / sizeof(*known_versions); i++) {
		if (!strcmp(version, known_versions[i]))
			return 1;
	}
	return 0;
}

int engine_find(const void *caller)
{
	void *object = object_of(caller);
	const int have = find_all(object);
	if (object)
		dlclose(object);
	if (!have) {
		say_error("the program that loads it exports no ggml of version %s", known_versions[0]);
		return 0;
	}
	if (!version_is_known(found.version())) {
		say_error("this is ggml %s, and libggml-clkv was built for %s", found.version(),
		          known_versions[0]);
		return 0;
	}
	if (found.tensor_overhead() != GGML_OBJECT_SIZE + GGML_TENSOR_SIZE) {
		say_error("this ggml's tensors have %zu bytes, those libggml-clkv was built for %zu",
		          found.tensor_overhead() - GGML_OBJECT_SIZE, GGML_TENSOR_SIZE);
		return 0;
	}
	return 1;
}
