/* SPDX-License-Identifier: MIT */
/** \file ref_hadamard.h \brief The orthonormal Walsh-Hadamard matrix of a power of two. */
#ifndef REF_HADAMARD_H
#define REF_HADAMARD_H

#include <stddef.h>

/** y = H x, H[i][j] = (-1)^popcount(i & j) / sqrt(n); H is its own inverse. n is a power of two. */
void ref_hadamard(size_t n, const double *x, double *y);

#endif
