/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv_ggml.h
 * \brief   Functions that libggml-clkv.so exports. doc/engines.md is its manual.
 */
#ifndef CLKV_GGML_H
#define CLKV_GGML_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CLKV_GGML_API __attribute__((visibility("default")))
#else
#define CLKV_GGML_API
#endif

struct ggml_backend_reg;

/** What ggml_backend_load calls. NULL after a line on the engine's log: this ggml isn't known. */
CLKV_GGML_API struct ggml_backend_reg *ggml_backend_init(void);

/** Sets "recipe", "device", "max_tokens", "max_open_tokens", "report" or "shift" for caches that are made from now on (at a context's
 *  first graph), in place of the environment's CLKV_GGML_RECIPE and so on; value NULL: the environment's again. Also found by
 *  ggml_backend_reg_get_proc_address. Not while another thread makes a cache. Returns 1, or 0: no such name, or a value of more
 *  than 511 characters. */
CLKV_GGML_API int clkv_ggml_set(const char *name, const char *value);

/** Counts the forward passes whose tokens were kept, of all contexts of the process. Any thread. */
CLKV_GGML_API unsigned long long clkv_ggml_passes(void);

#ifdef __cplusplus
}
#endif

#endif
