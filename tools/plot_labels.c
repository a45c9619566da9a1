/* SPDX-License-Identifier: MIT */
/**
 * \file    plot_labels.c
 * \brief   Places for the labels of a plot's points: the first free one of some around each.
 */
#include "plot_labels.h"

#include <math.h>

#define DIRECTIONS 16
#define RINGS 24

/* How far boxes of these sizes around a and b lie in each other: 0 when apart. */
static double overlap(struct plot_point a, struct plot_point b, double width, double height)
{
	double x = width - fabs(a.x - b.x);
	double y = height - fabs(a.y - b.y);
	return x > 0 && y > 0 ? x * y : 0;
}

static double outside(const struct plot_labels *l, struct plot_point c)
{
	double x = fmax(l->label_width / 2 - c.x, c.x + l->label_width / 2 - l->width);
	double y = fmax(l->label_height / 2 - c.y, c.y + l->label_height / 2 - l->height);
	return fmax(x, 0) * l->height + fmax(y, 0) * l->width;
}

/* What a label at c would cover of marks and of the labels before it, in square pixels. */
static double covered(const struct plot_labels *l, const struct plot_point *centres, size_t i,
                      struct plot_point c)
{
	double area = outside(l, c);
	for (size_t k = 0; k < l->n; k++)
		area += overlap(c, l->points[k], (l->label_width + l->mark) / 2,
		                (l->label_height + l->mark) / 2);
	for (size_t k = 0; k < i; k++)
		area += overlap(c, centres[k], l->label_width, l->label_height);
	return area;
}

/* Boxes that touch: the mark's half and the label's, in this direction. */
static struct plot_point candidate(const struct plot_labels *l, struct plot_point mark, int ring,
                                   int direction)
{
	double angle = 2 * M_PI * direction / DIRECTIONS + M_PI / 4;
	double rx = (l->mark + l->label_width) / 2 * (1 + 0.75 * ring);
	double ry = (l->mark + l->label_height) / 2 * (1 + 0.75 * ring);
	double stretch = 1 / fmax(fabs(cos(angle)), fabs(sin(angle)));
	return (struct plot_point){mark.x + rx * stretch * cos(angle),
	                           mark.y + ry * stretch * sin(angle)};
}

static struct plot_point best_place(const struct plot_labels *l, const struct plot_point *centres,
                                    size_t i)
{
	struct plot_point best = l->points[i];
	double least = INFINITY;
	for (int ring = 0; ring < RINGS && least > 0; ring++) {
		for (int direction = 0; direction < DIRECTIONS && least > 0; direction++) {
			struct plot_point c = candidate(l, l->points[i], ring, direction);
			double area = covered(l, centres, i, c);
			if (area < least) {
				least = area;
				best = c;
			}
		}
	}
	return best;
}

void plot_labels_place(const struct plot_labels *labels, struct plot_point *centres)
{
	for (size_t i = 0; i < labels->n; i++)
		centres[i] = best_place(labels, centres, i);
}

double plot_labels_near(const struct plot_labels *l)
{
	return hypot(l->mark + l->label_width, l->mark + l->label_height) / 2 + 1;
}
