/* SPDX-License-Identifier: MIT */
/** \file advise_choose.c \brief Comparisons that NaN fails, bisection, the hull of logarithms. */
#include "advise_choose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot_hull.h"

bool advise_within(const struct advise_offer *o, const struct advise_limit *limit)
{
	switch (limit->kind) {
	case ADVISE_KL:
		return o->kl_high <= limit->most;
	case ADVISE_LOSS:
		return o->loss_high <= limit->most;
	case ADVISE_BYTES:
		return o->bytes <= limit->most && !isnan(o->kl);
	default:
		return false;
	}
}

static bool is_better(const struct advise_offer *a, const struct advise_offer *b,
                      enum advise_kind kind)
{
	return kind == ADVISE_BYTES ? a->kl < b->kl : a->bytes < b->bytes;
}

size_t advise_choose(const struct advise_offer *offers, size_t n, const struct advise_limit *limit)
{
	size_t best = n;
	for (size_t i = 0; i < n; i++)
		if (advise_within(&offers[i], limit) &&
		    (best == n || is_better(&offers[i], &offers[best], limit->kind)))
			best = i;
	return best;
}

bool advise_bisect(size_t n, advise_look_fn look, void *opaque, size_t *found,
                   struct tool_error *error)
{
	size_t from = 0, to = n - 1; /* steps before `from` are out; `to` is within */
	while (from < to) {
		const size_t middle = from + (to - from) / 2;
		bool within = false;
		if (!look(opaque, middle, &within, error))
			return false;
		if (within)
			to = middle;
		else
			from = middle + 1;
	}
	*found = to;
	return true;
}

/* Points of finite logarithms; what loses nothing lies on the floor below the others. */
static void place(const struct advise_offer *offers, size_t n, struct plot_point *points)
{
	double low = INFINITY, high = -INFINITY;
	for (size_t i = 0; i < n; i++) {
		points[i] = (struct plot_point){log10(offers[i].bytes), plot_loss_height(offers[i].kl)};
		if (!isfinite(points[i].y))
			continue;
		low = fmin(low, points[i].y);
		high = fmax(high, points[i].y);
	}
	const double floor = isfinite(low) ? plot_loss_floor(low, high) : 0;
	for (size_t i = 0; i < n; i++)
		if (isinf(points[i].y) && points[i].y < 0)
			points[i].y = floor;
}

bool advise_mark_hull(const struct advise_offer *offers, size_t n, bool *on_hull)
{
	struct plot_point *points = calloc(n + 1, sizeof *points);
	size_t *hull = calloc(2 * n + 1, sizeof *hull);
	const bool done = points != NULL && hull != NULL;
	memset(on_hull, 0, n * sizeof *on_hull);
	if (done) {
		place(offers, n, points);
		const size_t length = plot_lower_hull(points, n, hull, hull + n);
		for (size_t k = 0; k < length; k++)
			on_hull[hull[k]] = true;
	}
	free(points);
	free(hull);
	return done;
}
