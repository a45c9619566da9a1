/* SPDX-License-Identifier: MIT */
/** \file calibration_share.c \brief At one price for a bit each unit chooses alone; the price is found by halving. */
#include "calibration_share.h"

#include <math.h>

enum { STEPS = 96, HALVINGS = 80 };

/* Costs of nothing: so that there is a logarithm. */
static const double least_cost = 1e-300;

struct curves {
	const struct share_point *points;
	const double *factors;
	size_t levels, units;
};

/* A unit at the factor exp(x). */
static struct share_point point_at(const struct curves *c, size_t unit, double x)
{
	const struct share_point *p = c->points + unit * c->levels;
	size_t i = 0;
	while (i + 2 < c->levels && log(c->factors[i + 1]) <= x)
		i++;
	const double from = log(c->factors[i]), to = log(c->factors[i + 1]);
	const double part = (x - from) / (to - from);
	const double low = log(fmax(p[i].cost, least_cost)),
				 high = log(fmax(p[i + 1].cost, least_cost));
	return (struct share_point){
		.cost = exp(low + part * (high - low)),
		.bits = p[i].bits + part * (p[i + 1].bits - p[i].bits),
	};
}

static double step_at(const struct curves *c, size_t i)
{
	const double from = log(c->factors[0]), to = log(c->factors[c->levels - 1]);
	return from + (to - from) * (double)i / STEPS;
}

/* The best factor's logarithm of a unit, a bit costing so much; of equals the coarsest. */
static double choose(const struct curves *c, size_t unit, double price)
{
	double best = step_at(c, 0), least = INFINITY;
	for (size_t i = 0; i <= STEPS; i++) {
		const double x = step_at(c, i);
		const struct share_point p = point_at(c, unit, x);
		const double sum = p.cost + price * p.bits;
		if (sum <= least) {
			best = x;
			least = sum;
		}
	}
	return best;
}

static double bits_at(const struct curves *c, double price)
{
	double bits = 0;
	for (size_t u = 0; u < c->units; u++)
		bits += point_at(c, u, choose(c, u, price)).bits;
	return bits;
}

void calibration_share(const struct share_point *points, const double *factors, size_t levels,
                       size_t units, double *chosen)
{
	const struct curves c = {points, factors, levels, units};
	double most = 0, low = -700, high = 700; /* logarithms of prices: too low, high enough */
	for (size_t u = 0; u < units; u++)
		most += point_at(&c, u, 0).bits;
	for (int i = 0; i < HALVINGS; i++) {
		const double middle = (low + high) / 2;
		if (bits_at(&c, exp(middle)) > most)
			low = middle;
		else
			high = middle;
	}
	for (size_t u = 0; u < units; u++)
		chosen[u] = exp(choose(&c, u, exp(high)));
}
