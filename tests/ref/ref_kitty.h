/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_kitty.h
 * \brief   K of one block in two bits and four, from the definition, in double precision.
 *
 * Channels of a block are ranked by their mean magnitude; of equal ones the first comes first. The first n of them are
 * boosted: they have integers of 4 bits per channel (ref_affine.h), the others of 2.
 * Source: Kitty, arXiv 2511.18643, sections 3 and 4.
 */
#ifndef REF_KITTY_H
#define REF_KITTY_H

#include "ref_affine.h"

enum { REF_KITTY_CHANNELS = 256 };

/** Boosted channels of dim that a share means: the nearest multiple of 4, no fewer than 4; 0 for 0. */
size_t ref_kitty_boosted(double share, size_t dim);

/** Which channels of x [n_tokens][dim], values in half, are the n largest. */
void ref_kitty_choose(size_t n, size_t n_tokens, size_t dim, const double *x, bool *boosted);

/** Encodes x [n_tokens][dim], the tokens of one block, of one head; boosted as chosen. */
void ref_kitty_encode(int group, size_t n_tokens, size_t dim, const double *x, const bool *boosted,
                      struct ref_code *codes);

/** Bytes of a full block of one head: of K planes, scales, minimums, boost plane and list in runs of 16 bytes; of V codes of
 *  2 bits, scales and minimums. All of it in units of 64. */
size_t ref_kitty_bytes(double share, int group, size_t block, size_t dk, size_t dv);

#endif
