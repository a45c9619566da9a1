/* SPDX-License-Identifier: MIT */
/**
 * \file    plot_hull.c
 * \brief   The points of a plot that no line between two others beats: Andrew's monotone chain.
 */
#include "plot_hull.h"

#include <math.h>

/* Logits are floats: what differs by rounding alone would stretch an axis over decades in which nothing happens. */
#define LEAST_LOSS 1e-6

double plot_loss_height(double loss)
{
	return loss < LEAST_LOSS ? -INFINITY : log10(loss);
}

double plot_loss_floor(double low, double high)
{
	return low - fmax((high - low) / 6, 0.3);
}

static bool comes_before(struct plot_point a, struct plot_point b)
{
	return a.x < b.x || (a.x == b.x && a.y < b.y);
}

/* Whether b lies strictly below the line from a to c: else a chain through b isn't convex. */
static bool turns_up(struct plot_point a, struct plot_point b, struct plot_point c)
{
	return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x) > 0;
}

/* Sorts the finite points by insertion, which is stable; a plot has at most a few dozen. */
static size_t sort(const struct plot_point *points, size_t n, size_t *order)
{
	size_t m = 0;
	for (size_t i = 0; i < n; i++) {
		if (!isfinite(points[i].x) || !isfinite(points[i].y))
			continue;
		size_t at = m++;
		for (; at > 0 && comes_before(points[i], points[order[at - 1]]); at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	return m;
}

size_t plot_lower_hull(const struct plot_point *points, size_t n, size_t *hull, size_t *work)
{
	size_t m = sort(points, n, work);
	size_t length = 0;
	for (size_t i = 0; i < m; i++) {
		struct plot_point next = points[work[i]];
		/* the chain goes down only: what isn't lower than its end costs more and gives no more */
		if (length > 0 && next.y >= points[hull[length - 1]].y)
			continue;
		while (length > 1 && !turns_up(points[hull[length - 2]], points[hull[length - 1]], next))
			length--;
		hull[length++] = work[i];
	}
	return length;
}
