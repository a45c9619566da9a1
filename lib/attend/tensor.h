/* SPDX-License-Identifier: MIT */
/** \file tensor.h \brief A caller's tensor, checked: strides filled in, buffer large enough. */
#ifndef CLKV__TENSOR_H
#define CLKV__TENSOR_H

#include <clkv.h>

/** Fills in strides of 0 and checks that [n_rows][heads][dim] lies inside the buffer and that rows of
 *  different tokens or heads don't overlap. name is for the error's text. */
clkv_status clkv__tensor_check(clkv_tensor *tensor, const char *name, size_t n_rows, int heads,
                               int dim, clkv_error *error);

/** Checks that a buffer of floats holds offset + n. */
clkv_status clkv__floats_check(cl_mem mem, const char *name, size_t offset, size_t n,
                               clkv_error *error);

#endif
