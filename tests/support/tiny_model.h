/* SPDX-License-Identifier: MIT */
/**
 * \file    tiny_model.h
 * \brief   A small Llama model with every weight format, and its forward pass in double precision.
 */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include "model.h"
#include "support/gguf_build.h"

/** Writes the file; the same bytes for the same seed. */
struct gguf_build tiny_model_build(uint32_t seed);
/** The same with a sliding window of so many tokens; 0: the file names none. */
struct gguf_build tiny_model_build_windowed(uint32_t seed, uint32_t window);

/** logits [n][vocabulary] of tokens[n], keys and values rounded to half as a cache keeps them. */
void tiny_model_forward(const struct model *model, const int32_t *tokens, size_t n, double *logits);

#endif
