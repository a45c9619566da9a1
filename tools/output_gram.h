/* SPDX-License-Identifier: MIT */
/** \file output_gram.h \brief What a layer's output projection makes of errors of a head's output. */
#ifndef OUTPUT_GRAM_H
#define OUTPUT_GRAM_H

#include <stddef.h>

#include "model.h"

/** grams [q_heads][head_dim][head_dim] = W_g W_g^T, W_g [head_dim][width] being a head's part of the layer's output projection, whose
 *  rows hold the heads' weights side by side. False: no memory. */
bool output_grams(const struct model *model, size_t layer, float *grams);

/** Element `at` of [dim][dim] of what an error of a KV head's values costs: the sum of its group's grams. */
double output_gram_sum(const float *grams, size_t dim, size_t group, size_t kv_head, size_t at);

#endif
