/* SPDX-License-Identifier: MIT */
/** \file output_gram.c \brief Products of a layer's output projection with itself, head by head. */
#include "output_gram.h"

#include "weight_format.h"

#include <stdlib.h>
#include <string.h>

bool output_grams(const struct model *model, size_t layer, float *grams)
{
	const struct gguf_tensor *w = model->layers[layer].attn_out;
	const struct weight_format *format = weight_format(w->type);
	const size_t dim = (size_t)model->head_dim, width = (size_t)model->q_heads * dim;
	float *row = calloc(width, sizeof *row);
	if (row == NULL)
		return false;
	memset(grams, 0, width * dim * sizeof *grams);
	for (size_t e = 0; e < (size_t)w->dims[1]; e++) {
		weights_dequantize(format, w->data + e * (size_t)model_row_bytes(w), width, row);
		for (size_t i = 0; i < width; i++)
			for (size_t j = 0; j < dim; j++)
				grams[i * dim + j] += row[i] * row[i / dim * dim + j];
	}
	free(row);
	return true;
}

double output_gram_sum(const float *grams, size_t dim, size_t group, size_t kv_head, size_t at)
{
	double sum = 0;
	for (size_t g = kv_head * group; g < (kv_head + 1) * group; g++)
		sum += (double)grams[g * dim * dim + at];
	return sum;
}
