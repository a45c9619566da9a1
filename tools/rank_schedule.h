/* SPDX-License-Identifier: MIT */
/**
 * \file    rank_schedule.h
 * \brief   Ranks that shrink with depth, by how errors grow behind a layer.
 *
 * Source: LoRC, arXiv 2410.03111. Errors of a layer pass through all behind it: its sensitivity is the product of the condition
 * numbers of their matrices of K and V and of its own.
 */
#ifndef RANK_SCHEDULE_H
#define RANK_SCHEDULE_H

#include <stddef.h>

/** ranks [layers], from `most` in the layer of the largest sensitivity to `least` in that of the smallest, between them by its
 *  logarithm. conditions [layers]: log of the product of both matrices' condition numbers, 0 and more. 0 < least <= most. */
void rank_schedule(size_t layers, const double *conditions, double most, double least,
                   double *ranks);

/** The nearest rank in sixteens, from 16 to dim. */
int rank_in_sixteens(double rank, int dim);

#endif
