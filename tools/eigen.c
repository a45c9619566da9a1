/* SPDX-License-Identifier: MIT */
/** \file eigen.c \brief Eigenvectors by LAPACK's dsyev, largest eigenvalue first; equations by dposv. */
#include "eigen.h"

#ifdef HAVE_LAPACKE
#include <lapacke.h>

bool eigen_ready(struct tool_error *error)
{
	(void)error;
	return true;
}

static void swap(double *a, double *b)
{
	double kept = *a;
	*a = *b;
	*b = kept;
}

/* LAPACK's order is ascending. */
static void reverse(int n, double *m, double *values)
{
	for (int a = 0, b = n - 1; a < b; a++, b--) {
		swap(values + a, values + b);
		for (int i = 0; i < n; i++)
			swap(m + i * n + a, m + i * n + b);
	}
}

bool eigen_vectors(int n, double *m, double *values, struct tool_error *error)
{
	int code = (int)LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'V', 'U', n, m, n, values);
	if (code != 0)
		return tool_fail(error, "LAPACK's dsyev found no eigenvectors: it returned %d", code);
	reverse(n, m, values);
	return true;
}

/* The least pivot of a matrix that isn't singular, in parts of the largest, as roots: squares are 2^-46 apart. */
static const double least_pivot = 0x1p-23;

/* Whether a factor of Cholesky's, m [n][n], is one of a matrix that is singular but for roundings. */
static bool is_singular(int n, const double *m)
{
	double least = m[0], most = m[0];
	for (int i = 1; i < n; i++) {
		const double pivot = m[i * n + i];
		least = pivot < least ? pivot : least;
		most = pivot > most ? pivot : most;
	}
	return !(least > least_pivot * most);
}

bool eigen_solve(int n, double *m, int columns, double *x, struct tool_error *error)
{
	int code = (int)LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', n, columns, m, n, x, columns);
	if (code != 0 || is_singular(n, m))
		return tool_fail(error, "a matrix of %d rows is singular (LAPACK's dposv: %d)", n, code);
	return true;
}
#else
bool eigen_ready(struct tool_error *error)
{
	return tool_fail(
		error,
		"rotations and factors need eigenvectors, and clkv-train was built without LAPACK: install "
		"LAPACKE (Debian: liblapacke-dev) and configure again");
}

bool eigen_vectors(int n, double *m, double *values, struct tool_error *error)
{
	(void)n, (void)m, (void)values;
	return eigen_ready(error);
}

bool eigen_solve(int n, double *m, int columns, double *x, struct tool_error *error)
{
	(void)n, (void)m, (void)columns, (void)x;
	return eigen_ready(error);
}
#endif
