/* SPDX-License-Identifier: MIT */
/**
 * \file    plot_labels.h
 * \brief   Places for the labels of a plot's points.
 */
#ifndef PLOT_LABELS_H
#define PLOT_LABELS_H

#include "plot_hull.h"

/** A plot of width x height, in pixels; its marks and labels are boxes around their centres. */
struct plot_labels {
	double width, height;
	double mark;                      /**< side of a mark's square */
	double label_width, label_height; /**< of every label */
	const struct plot_point *points;  /**< [n] centres of the marks */
	size_t n;
};

/** Fills centres[n]: a label lies beside its mark if that is free, else farther off, and where all
 *  is full, where it covers least. Places are found in the order of the points. */
void plot_labels_place(const struct plot_labels *labels, struct plot_point *centres);

/** The distance from a mark within which its label needs no line to it, in pixels. */
double plot_labels_near(const struct plot_labels *labels);

#endif
