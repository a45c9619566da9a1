/* SPDX-License-Identifier: MIT */
/**
 * \file    factors_calibrate.c
 * \brief   Alternating least squares of either factor, the other given.
 *
 * Source: ReCalKV, arXiv 2505.24357, section on values, of rows y = x W instead of inputs: with the latents' moment Z = A^T C A,
 * B = Z^-1 A^T C, and A = B^T (B B^T)^-1, the pseudoinverse. Principal components are a fixed point of both.
 */
#include "factors_fit.h"

#include "eigen.h"

#include <stdlib.h>

/* left [rank][dim] = A^T C. */
static void project(size_t dim, size_t rank, const double *moment, const float *down, double *left)
{
	for (size_t r = 0; r < rank; r++)
		for (size_t c = 0; c < dim; c++) {
			double a = (double)down[c * dim + r];
			for (size_t d = 0; d < dim; d++)
				left[r * dim + d] += a * moment[c * dim + d];
		}
}

bool factors_calibrate_up(size_t dim, size_t rank, const double *moment, const float *down,
                          float *up, struct tool_error *error)
{
	double *left = calloc(rank * (dim + rank), sizeof *left), *inner = left + rank * dim;
	if (left == NULL)
		return tool_fail(error, "out of memory");
	project(dim, rank, moment, down, left);
	for (size_t r = 0; r < rank; r++)
		for (size_t c = 0; c < dim; c++)
			for (size_t s = 0; s < rank; s++)
				inner[r * rank + s] += left[r * dim + c] * (double)down[c * dim + s];
	bool done = eigen_solve((int)rank, inner, (int)dim, left, error);
	for (size_t i = 0; i < rank * dim && done; i++)
		up[i] = (float)left[i];
	free(left);
	return done;
}

bool factors_calibrate_down(size_t dim, size_t rank, float *down, const float *up,
                            struct tool_error *error)
{
	double *rows = calloc(rank * (dim + rank), sizeof *rows), *inner = rows + rank * dim;
	if (rows == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < rank * dim; i++)
		rows[i] = (double)up[i];
	for (size_t r = 0; r < rank; r++)
		for (size_t s = 0; s < rank; s++)
			for (size_t c = 0; c < dim; c++)
				inner[r * rank + s] += rows[r * dim + c] * (double)up[s * dim + c];
	bool done = eigen_solve((int)rank, inner, (int)dim, rows, error);
	for (size_t i = 0; i < rank * dim && done; i++)
		down[i % dim * dim + i / dim] = (float)rows[i];
	free(rows);
	return done;
}

bool factors_calibrate(size_t dim, size_t rank, const double *moment, float *down, float *up,
                       struct tool_error *error)
{
	return factors_calibrate_up(dim, rank, moment, down, up, error) &&
	       factors_calibrate_down(dim, rank, down, up, error);
}
