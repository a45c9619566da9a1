/* SPDX-License-Identifier: MIT */
/**
 * \file    sampler.h
 * \brief   Chooses the next token: greedy, or by temperature, top-k and top-p.
 */
#ifndef SAMPLER_H
#define SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "tool_error.h"

struct sampler_options {
	float temperature; /**< 0: the likeliest token */
	size_t top_k;      /**< draw among this many; 0: all */
	float top_p;       /**< draw among the likeliest that together have this probability; 1: all */
	uint64_t seed;
};

struct sampler;

bool sampler_create(const struct sampler_options *options, size_t vocabulary, struct sampler **out,
                    struct tool_error *error);

void sampler_destroy(struct sampler *sampler);

int32_t sampler_draw(struct sampler *sampler, const float *logits);

#endif
