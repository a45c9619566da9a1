/* SPDX-License-Identifier: MIT */
/**
 * \file    info_tuning.h
 * \brief   The tunings in force for what engines commonly ask for.
 */
#ifndef INFO_TUNING_H
#define INFO_TUNING_H

#include <clkv.h>
#include <stdbool.h>

/** A line for each recipe and shape; build: caches are made, so that refusals show. */
void info_tuning_print(clkv_context *context, bool build);

/** The same as an array of JSON objects. */
void info_tuning_print_json(clkv_context *context, bool build);

#endif
