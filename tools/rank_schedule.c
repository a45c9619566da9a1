/* SPDX-License-Identifier: MIT */
#include "rank_schedule.h"

#include <math.h>

void rank_schedule(size_t layers, const double *conditions, double most, double least,
                   double *ranks)
{
	double sum = 0, largest = 0, smallest = INFINITY;
	for (size_t l = layers; l-- > 0;) {
		sum += conditions[l];
		ranks[l] = sum;
		largest = fmax(largest, sum);
		smallest = fmin(smallest, sum);
	}
	for (size_t l = 0; l < layers; l++) {
		double below = largest > smallest ? (largest - ranks[l]) / (largest - smallest) : 0;
		ranks[l] = most * (1 - below * (1 - least / most));
	}
}

int rank_in_sixteens(double rank, int dim)
{
	int n = (int)(rank / 16 + 0.5) * 16;
	return n < 16 ? 16 : n > dim ? dim : n;
}
