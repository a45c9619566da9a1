/* SPDX-License-Identifier: MIT */
/** \file weight_gram.h \brief Products of the rows of a model's matrices with each other. */
#ifndef WEIGHT_GRAM_H
#define WEIGHT_GRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "gguf.h"

/** gram [rows][rows] = W W^T of a tensor whose rows make an output each; centred: each row less its mean. False: no memory. */
bool weight_gram(const struct gguf_tensor *tensor, bool centred, double *gram);

#endif
