/* SPDX-License-Identifier: MIT */
/**
 * \file    tensor.h
 * \brief   Device tensors of any type, offset and stride, in a buffer full of guard bytes.
 */
#ifndef TEST_TENSOR_H
#define TEST_TENSOR_H

#include <clkv.h>
#include <stdbool.h>
#include <stddef.h>

/** Where elements lie: gaps are elements between heads and between tokens that belong to nobody. */
struct tensor_layout {
	clkv_dtype dtype;
	size_t offset, head_gap, token_gap;
	bool host;   /**< in host memory */
	size_t skew; /**< and so many bytes behind a boundary of 64 */
};

struct tensor {
	clkv_tensor t; /**< for the library; t.mem is owned */
	size_t rows, heads, dim;
	size_t bytes; /**< of the buffer */
	void *block;  /**< what host memory lies in, between guards, or NULL */
};

/** Creates the buffer; values [rows][heads][dim] go in, or guard bytes if values is NULL. */
void tensor_open(struct tensor *x, cl_command_queue queue, struct tensor_layout layout, size_t rows,
                 size_t heads, size_t dim, const double *values);
void tensor_close(struct tensor *x);

/** Reads values [rows][heads][dim]; fails the test if a byte between elements has changed. */
void tensor_read(const struct tensor *x, cl_command_queue queue, double *values);

/** What an element reads as that nobody has written. */
double tensor_guard(clkv_dtype dtype);

/** The value after it went through the type. */
double tensor_round(clkv_dtype dtype, double value);

#endif
