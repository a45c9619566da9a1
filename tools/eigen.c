/* SPDX-License-Identifier: MIT */
/** \file eigen.c \brief Eigenvectors by LAPACK's dsyev, largest eigenvalue first. */
#include "eigen.h"

#include "config.h"

#ifdef HAVE_LAPACKE
#include <lapacke.h>
#include <stdlib.h>

bool eigen_ready(struct tool_error *error)
{
	(void)error;
	return true;
}

/* LAPACK's order is ascending. */
static void reverse_columns(int n, double *m)
{
	for (int i = 0; i < n; i++)
		for (int a = 0, b = n - 1; a < b; a++, b--) {
			double kept = m[i * n + a];
			m[i * n + a] = m[i * n + b];
			m[i * n + b] = kept;
		}
}

bool eigen_vectors(int n, double *m, struct tool_error *error)
{
	double *values = calloc((size_t)n, sizeof *values);
	if (values == NULL)
		return tool_fail(error, "out of memory");
	int code = (int)LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'V', 'U', n, m, n, values);
	free(values);
	if (code != 0)
		return tool_fail(error, "LAPACK's dsyev found no eigenvectors: it returned %d", code);
	reverse_columns(n, m);
	return true;
}
#else
bool eigen_ready(struct tool_error *error)
{
	return tool_fail(
		error, "rotations need eigenvectors, and clkv-train was built without LAPACK: install "
			   "LAPACKE (Debian: liblapacke-dev) and configure again");
}

bool eigen_vectors(int n, double *m, struct tool_error *error)
{
	(void)n, (void)m;
	return eigen_ready(error);
}
#endif
