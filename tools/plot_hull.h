/* SPDX-License-Identifier: MIT */
/**
 * \file    plot_hull.h
 * \brief   The points of a plot that no line between two others beats.
 */
#ifndef PLOT_HULL_H
#define PLOT_HULL_H

#include <stdbool.h>
#include <stddef.h>

struct plot_point {
	double x, y;
};

/** Finds the lower left hull: the convex chain from the leftmost point down to the lowest one.
 *  Fills hull (room for n) with indices in ascending x and returns how many there are. Points that
 *  aren't finite are left out; of equal points the first one counts; points inside a straight part of
 *  the chain are left out. work: room for n indices. */
size_t plot_lower_hull(const struct plot_point *points, size_t n, size_t *hull, size_t *work);

/** The height of a loss on a logarithmic axis; minus infinity of what is so small that it counts as nothing. */
double plot_loss_height(double loss);

/** Where the line of no loss lies, whose logarithm no axis has, below heights from low to high. */
double plot_loss_floor(double low, double high);

#endif
