/* SPDX-License-Identifier: MIT */
/** \file pairs.h \brief Few cases in place of a product: rows in which each pair of levels of two factors stands. */
#ifndef TEST_PAIRS_H
#define TEST_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAIRS_FACTORS 6
#define PAIRS_ROWS 1024

struct pairs {
	size_t factors, rows;
	size_t levels[PAIRS_FACTORS];
	unsigned char row[PAIRS_ROWS][PAIRS_FACTORS];
};

/** Rows of `factors` levels, below levels[f] each. Whole: the product, the last factor quickest. Else a cover: each pair
 *  of levels of two factors stands in a row, and there are about as many rows as the two largest factors have pairs.
 *  Equal seeds draw equal covers, on every machine. Ends the program if there are too many factors or rows. */
void pairs_draw(struct pairs *p, size_t factors, const size_t *levels, bool whole, uint64_t seed);

#endif
