/* SPDX-License-Identifier: MIT */
/**
 * \file    dictionary_prompt.c
 * \brief   Atoms from a prompt: its newest rows, and a guard set for those that the others code worst.
 *
 * Source: CSR, arXiv 2412.11741, section 3: an online part, sampled from the prompt in reverse order of its tokens, and a guard
 * set for outlier vectors. A row of the guard set is the one of which pursuit leaves most; what points the same way is taken
 * off what is left of the others before the next is chosen, so that vectors that are alike make one atom.
 */
#include "dictionary_prompt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double square(size_t dim, const float *x)
{
	double sum = 0;
	for (size_t c = 0; c < dim; c++)
		sum += (double)x[c] * (double)x[c];
	return sum;
}

/* A row of length 1; false for zeros. */
static bool put_row(const struct dictionary_rows *rows, size_t row, float *atom)
{
	const float *x = rows->rows + row * rows->dim;
	const double length = sqrt(square(rows->dim, x));
	if (!(length > 1e-20) || !isfinite(length))
		return false;
	for (size_t c = 0; c < rows->dim; c++)
		atom[c] = (float)((double)x[c] / length);
	return true;
}

static bool too_short(const struct dictionary_rows *rows, const struct prompt_atoms *want,
                      struct tool_error *error)
{
	return tool_fail(error,
	                 "a prompt of %zu rows is too short for its dictionary, which takes %zu of "
	                 "them and %zu to guard, none of them zeros; allowed: a longer prompt, or "
	                 "fewer",
	                 rows->n, want->online, want->guard);
}

/* From the last row back; taken [n]: which were. */
static bool add_newest(const struct dictionary_rows *rows, size_t many, bool *taken, float *atoms)
{
	size_t n = 0;
	for (size_t row = rows->n; row-- > 0 && n < many;) {
		taken[row] = put_row(rows, row, atoms + n * rows->dim);
		n += taken[row];
	}
	return n == many;
}

static size_t worst_row(const struct dictionary_rows *rows, const bool *taken, const float *left)
{
	size_t worst = rows->n;
	double most = 0;
	for (size_t i = 0; i < rows->n; i++) {
		const double size = square(rows->dim, left + i * rows->dim);
		if (!taken[i] && size > most) {
			most = size;
			worst = i;
		}
	}
	return worst;
}

/* What is left of all rows loses the direction [dim] of what is left of one. */
static void take_off(const struct dictionary_rows *rows, const float *direction, float *left)
{
	const double size = square(rows->dim, direction);
	for (size_t i = 0; i < rows->n; i++) {
		float *of = left + i * rows->dim;
		double part = 0;
		for (size_t c = 0; c < rows->dim; c++)
			part += (double)of[c] * (double)direction[c] / size;
		for (size_t c = 0; c < rows->dim; c++)
			of[c] -= (float)(part * (double)direction[c]);
	}
}

/* Once nothing is left of any, further ones are any rows that weren't taken. */
static bool add_worst(const struct dictionary_rows *rows, size_t many, bool *taken, float *left,
                      float *direction, float *atoms)
{
	size_t n = 0;
	for (size_t row; n < many && (row = worst_row(rows, taken, left)) < rows->n; n++) {
		memcpy(direction, left + row * rows->dim, rows->dim * sizeof *direction);
		taken[row] = true;
		if (!put_row(rows, row, atoms + n * rows->dim))
			return false;
		take_off(rows, direction, left);
	}
	for (size_t row = rows->n; row-- > 0 && n < many;)
		n += !taken[row] && put_row(rows, row, atoms + n * rows->dim);
	return n == many;
}

bool dictionary_add_prompt(const struct dictionary_rows *rows, size_t n_atoms,
                           const struct prompt_atoms *want, size_t pairs, float *atoms,
                           double *before, double *after, struct tool_error *error)
{
	const size_t dim = rows->dim, online = n_atoms + want->online, all = online + want->guard;
	float *left = calloc(rows->n * dim + dim, sizeof *left);
	bool *taken = calloc(rows->n, sizeof *taken), done = left && taken;
	if (!done)
		(void)tool_fail(error, "out of memory");
	done = done && dictionary_left(rows, n_atoms, pairs, atoms, left, before, error);
	if (done && !add_newest(rows, want->online, taken, atoms + n_atoms * dim))
		done = too_short(rows, want, error);
	done = done && dictionary_left(rows, online, pairs, atoms, left, after, error);
	if (done &&
	    !add_worst(rows, want->guard, taken, left, left + rows->n * dim, atoms + online * dim))
		done = too_short(rows, want, error);
	done = done && dictionary_left(rows, all, pairs, atoms, left, after, error);
	free(left);
	free(taken);
	return done;
}
