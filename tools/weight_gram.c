/* SPDX-License-Identifier: MIT */
#include "weight_gram.h"

#include "model.h"
#include "weight_format.h"

#include <stdlib.h>

static void centre(size_t width, float *row)
{
	double sum = 0;
	for (size_t i = 0; i < width; i++)
		sum += (double)row[i];
	for (size_t i = 0; i < width; i++)
		row[i] -= (float)(sum / (double)width);
}

static double product(const float *a, const float *b, size_t width)
{
	double sum = 0;
	for (size_t i = 0; i < width; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

bool weight_gram(const struct gguf_tensor *w, bool centred, double *gram)
{
	const struct weight_format *format = weight_format(w->type);
	const size_t width = (size_t)w->dims[0], rows = (size_t)w->dims[1];
	float *all = calloc(rows * width, sizeof *all);
	if (all == NULL)
		return false;
	for (size_t r = 0; r < rows; r++) {
		weights_dequantize(format, w->data + r * (size_t)model_row_bytes(w), width,
		                   all + r * width);
		if (centred)
			centre(width, all + r * width);
	}
	for (size_t r = 0; r < rows; r++)
		for (size_t s = 0; s <= r; s++)
			gram[r * rows + s] = gram[s * rows + r] =
				product(all + r * width, all + s * width, width);
	free(all);
	return true;
}
