/* SPDX-License-Identifier: MIT */
/** \file ref_runs.c \brief Runs of keys by a scan from the end, and their Gaussian weights. */
#include "ref_runs.h"

#include <math.h>
#include <stdlib.h>

void ref_runs_cosines(const double *k, size_t n, size_t dk, double *cosine)
{
	for (size_t i = 0; i + 1 < n; i++) {
		const double *a = k + i * dk, *b = a + dk;
		double dot = 0.0, aa = 0.0, bb = 0.0;
		for (size_t d = 0; d < dk; d++) {
			dot += a[d] * b[d];
			aa += a[d] * a[d];
			bb += b[d] * b[d];
		}
		cosine[i] = aa > 0.0 && bb > 0.0 ? dot / sqrt(aa * bb) : 0.0;
	}
}

void ref_runs_mass(const double *q, const double *k, size_t n, size_t group, size_t dk,
                   double scale, double *mass)
{
	double *logit = calloc(n, sizeof *logit);
	for (size_t i = 0; i < n; i++)
		mass[i] = 0.0;
	for (size_t row = 0; row < n && logit; row++)
		for (size_t g = 0; g < group; g++) {
			double top = -INFINITY, sum = 0.0;
			for (size_t i = 0; i <= row; i++) {
				logit[i] = 0.0;
				for (size_t d = 0; d < dk; d++)
					logit[i] += scale * q[(row * group + g) * dk + d] * k[i * dk + d];
				top = fmax(top, logit[i]);
			}
			for (size_t i = 0; i <= row; i++)
				sum += exp(logit[i] - top);
			for (size_t i = 0; i <= row; i++)
				mass[i] += exp(logit[i] - top) / sum;
		}
	free(logit);
}

static double distance(const double *a, const double *b, size_t dk)
{
	double sum = 0.0;
	for (size_t d = 0; d < dk; d++)
		sum += (a[d] - b[d]) * (a[d] - b[d]);
	return sum;
}

static void weigh(struct ref_run *run, const double *score, const double *k, size_t dk)
{
	double variance = 0.0, sum = 0.0;
	run->pivot = run->first;
	for (size_t i = run->first; i < run->first + run->n; i++)
		run->pivot = score[i] >= score[run->pivot] ? i : run->pivot;
	for (size_t i = 0; i < run->n; i++) {
		run->weight[i] = distance(k + (run->first + i) * dk, k + run->pivot * dk, dk);
		variance += run->weight[i] / (double)run->n;
	}
	variance = fmax(variance, 1e-6);
	for (size_t i = 0; i < run->n; i++)
		sum += run->weight[i] = exp(-run->weight[i] / (2.0 * variance));
	for (size_t i = 0; i < run->n; i++)
		run->weight[i] /= sum;
}

size_t ref_runs(const double *cosine, const double *score, const bool *alone, double similar,
                const double *k, size_t dk, size_t from, size_t to, struct ref_run *runs,
                double *weights)
{
	size_t n = 0;
	for (size_t end = to, i = to; i-- > from;) {
		bool split = i == from || cosine[i - 1] < similar;
		if (i > from && alone)
			split = split || alone[i] || alone[i - 1];
		if (!split)
			continue;
		runs[n] = (struct ref_run){.first = i, .n = end - i, .weight = weights + i};
		weigh(&runs[n++], score, k, dk);
		end = i;
	}
	for (size_t i = 0; i < n / 2; i++) {
		struct ref_run last = runs[n - 1 - i];
		runs[n - 1 - i] = runs[i];
		runs[i] = last;
	}
	return n;
}
