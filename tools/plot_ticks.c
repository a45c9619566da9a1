/* SPDX-License-Identifier: MIT */
/**
 * \file    plot_ticks.c
 * \brief   Ticks of a logarithmic axis, in the words of gnuplot.
 */
#include "plot_ticks.h"

#include <math.h>
#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The step, 1, 2 or 5 times a power of ten, that is made four to ten times in a range of this size. */
static double round_step(double size)
{
	double step = pow(10, floor(log10(size / 4)));
	return size / step >= 20 ? 5 * step : size / step >= 10 ? 2 * step : step;
}

static void print_even_ticks(FILE *gnuplot, double low, double high)
{
	double step = round_step(high - low);
	for (double i = ceil(low / step); i * step <= high; i++)
		(void)fprintf(gnuplot, "%s%.10g", i * step - step < low ? "" : ", ", i * step);
}

/* Ticks at some multiples of each power of ten; the fewer, the more of these powers there are. */
static void print_decade_ticks(FILE *gnuplot, double low, double high)
{
	static const double steps[] = {1, 1.5, 2, 3, 5, 7};
	const size_t stride = high - low > 3 ? COUNT(steps) : high - low > 1.2 ? 2 : 1;
	const char *separator = "";
	for (int e = (int)floor(low); e <= (int)ceil(high); e++) {
		for (size_t k = 0; k < COUNT(steps); k += stride) {
			double value = steps[k] * pow(10, e);
			if (log10(value) < low || log10(value) > high)
				continue;
			(void)fprintf(gnuplot, "%s%.10g", separator, value);
			separator = ", ";
		}
	}
}

void plot_ticks_print(FILE *gnuplot, char axis, double low, double high)
{
	(void)fprintf(gnuplot, "set format %c '%%.10g'\nset %ctics (", axis, axis);
	if (high - low < 0.5)
		print_even_ticks(gnuplot, pow(10, low), pow(10, high));
	else
		print_decade_ticks(gnuplot, low, high);
	(void)fputs(")\n", gnuplot);
}
