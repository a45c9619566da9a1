/* SPDX-License-Identifier: MIT */
/** \file eigen.c \brief Eigenvectors by LAPACK's dsyev, largest eigenvalue first. */
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
#endif
