/* SPDX-License-Identifier: MIT */
/**
 * \file    options.h
 * \brief   Values of the command line.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "engine.h"

/** A whole number from least to most; false (with *error) on anything else. */
bool option_size(const char *name, const char *text, size_t least, size_t most, size_t *out,
                 struct tool_error *error);

bool option_float(const char *name, const char *text, float least, float most, float *out,
                  struct tool_error *error);

/** What the ranges of --head-dim, --q-heads and --kv-heads don't say: how they go together. */
bool option_check_heads(size_t head_dim, size_t q_heads, size_t kv_heads, struct tool_error *error);

/** "auto", "blocked" or "blas". */
bool option_products(const char *text, enum engine_products *out, struct tool_error *error);

/** Rows that several tools have, which fill these. */
#define OPTION_DEVICE(device)                                                                      \
	{                                                                                              \
		"device", "D", "gpu, cpu, P:D or a part of a name; clkv-info lists devices",               \
			.text = &(device)                                                                      \
	}
#define OPTION_PRODUCTS(which)                                                                     \
	{                                                                                              \
		"products", "P", "matrix products of the prompt: auto, blocked or blas",                   \
			.products = &(which)                                                                   \
	}

#endif
