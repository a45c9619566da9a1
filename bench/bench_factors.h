/* SPDX-License-Identifier: MIT */
/** \file bench_factors.h \brief Factors for recipes with latents or csr. */
#ifndef BENCH_FACTORS_H
#define BENCH_FACTORS_H

#include "bench_file.h"
#include "rig.h"

/** For csr a dictionary of random atoms; for others factors of full rank whose latents are a row's channels, of the groups that the recipe has: what they are changes no
 *  time. The caller frees file->bytes. */
bool bench_asks_for_factors(const char *recipe);
/** Whether latents are of keys in front of RoPE, which the geometry then has. */
bool bench_turns_keys(const char *recipe);

/** Layers that have latents together. */
size_t bench_layers_together(const char *recipe);
bool bench_factors(const clkv_geometry *geometry, const char *recipe, struct bench_file *file,
                   struct tool_error *error);

#endif
