/* SPDX-License-Identifier: MIT */
/** \file bench_factors.h \brief Factors for recipes with lowrank or cskv. */
#ifndef BENCH_FACTORS_H
#define BENCH_FACTORS_H

#include "bench_file.h"
#include "rig.h"

/** Factors of full rank whose latents are a row's channels: what they are changes no time. The caller frees file->bytes. */
bool bench_factors(const clkv_geometry *geometry, struct bench_file *file,
                   struct tool_error *error);

#endif
