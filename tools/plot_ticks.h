/* SPDX-License-Identifier: MIT */
/**
 * \file    plot_ticks.h
 * \brief   Ticks of a logarithmic axis, in the words of gnuplot.
 */
#ifndef PLOT_TICKS_H
#define PLOT_TICKS_H

#include <stdio.h>

/** Prints ticks of axis 'x' or 'y' from low to high, which are decimal logarithms: at even steps in a
 *  narrow range, where multiples of powers of ten lie too far apart, else at some of these. Each is
 *  labelled with its number. */
void plot_ticks_print(FILE *gnuplot, char axis, double low, double high);

#endif
