/* SPDX-License-Identifier: MIT */
/**
 * \file    head_groups.h
 * \brief   Which heads are alike, by the alignment of their weights' kernels, and groups of them.
 *
 * Source: ReCalKV, arXiv 2505.24357. The linear centred kernel alignment of W_a and W_b [inputs][dim], of centred columns, is
 * |W_a^T W_b|^2 / (|W_a^T W_a| |W_b^T W_b|), norms of Frobenius: 1 if one is the other times an orthogonal matrix.
 */
#ifndef HEAD_GROUPS_H
#define HEAD_GROUPS_H

#include <stddef.h>

/** alignment [heads][heads] from gram [heads * dim][heads * dim], of centred rows (weight_gram.h). A head of zeros is like none. */
void head_alignment(size_t heads, size_t dim, const double *gram, double *alignment);

/** order [heads]: heads in groups of `size`, which divides heads. A group begins with the two that are most alike of those left,
 *  and takes the head that is most like those in it, in the mean, until it's full; the lower number where two are. */
void head_groups(size_t heads, size_t size, const double *alignment, int *order);

#endif
