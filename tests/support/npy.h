/* SPDX-License-Identifier: MIT */
/** \file npy.h \brief Reads a NumPy .npy file (versions 1 and 2, little endian, C order, f2 f4 f8). */
#ifndef TEST_NPY_H
#define TEST_NPY_H

#include <stddef.h>

struct npy {
	size_t n_dims, dims[4];
	size_t n;
	double *values;
};

/** 0, or -1 with why (size n) saying what is wrong. Free values with free. */
int npy_read(const char *path, struct npy *out, char *why, size_t n);

#endif
