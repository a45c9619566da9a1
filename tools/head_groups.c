/* SPDX-License-Identifier: MIT */
#include "head_groups.h"

#include <math.h>
#include <stdbool.h>

/* The squared norm of a block of the gram. */
static double block_square(size_t heads, size_t dim, const double *gram, size_t a, size_t b)
{
	double sum = 0;
	for (size_t i = 0; i < dim; i++)
		for (size_t j = 0; j < dim; j++) {
			double x = gram[(a * dim + i) * heads * dim + b * dim + j];
			sum += x * x;
		}
	return sum;
}

void head_alignment(size_t heads, size_t dim, const double *gram, double *alignment)
{
	for (size_t a = 0; a < heads; a++)
		for (size_t b = 0; b < heads; b++) {
			double own = sqrt(block_square(heads, dim, gram, a, a)) *
			             sqrt(block_square(heads, dim, gram, b, b));
			double both = block_square(heads, dim, gram, a, b);
			alignment[a * heads + b] = own > 0 ? both / own : 0;
		}
}

static bool is_taken(const int *order, size_t n, size_t head)
{
	for (size_t i = 0; i < n; i++)
		if (order[i] == (int)head)
			return true;
	return false;
}

/* How much a head that is left is like those of a group, all in all. */
static double likeness(size_t heads, const double *alignment, const int *group, size_t n,
                       size_t head)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += alignment[head * heads + (size_t)group[i]];
	return sum;
}

/* The head of the most alike pair of those left; of several pairs, the first. */
static int first_of_pair(size_t heads, const double *alignment, const int *order, size_t n)
{
	double most = -1;
	int first = 0;
	for (size_t a = 0; a < heads; a++)
		for (size_t b = 0; b < heads; b++)
			if (a != b && !is_taken(order, n, a) && !is_taken(order, n, b) &&
			    alignment[a * heads + b] > most) {
				most = alignment[a * heads + b];
				first = (int)a;
			}
	return first;
}

static int next_of_group(size_t heads, const double *alignment, const int *order, size_t n,
                         size_t in_group)
{
	double most = -1;
	int next = 0;
	for (size_t h = 0; h < heads; h++) {
		double x = likeness(heads, alignment, order + n - in_group, in_group, h);
		if (!is_taken(order, n, h) && x > most) {
			most = x;
			next = (int)h;
		}
	}
	return next;
}

/* The one head that is left, if there is but one. */
static int any_left(size_t heads, const int *order, size_t n)
{
	for (size_t h = 0; h < heads; h++)
		if (!is_taken(order, n, h))
			return (int)h;
	return 0;
}

void head_groups(size_t heads, size_t size, const double *alignment, int *order)
{
	for (size_t n = 0; n < heads; n++) {
		const size_t in_group = n % size;
		if (in_group > 0)
			order[n] = next_of_group(heads, alignment, order, n, in_group);
		else
			order[n] = heads - n > 1 ? first_of_pair(heads, alignment, order, n)
			                         : any_left(heads, order, n);
	}
}
