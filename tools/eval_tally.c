/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_tally.c
 * \brief   Shares and means over the questions that count.
 */
#include "eval_tally.h"

#include <math.h>
#include <stdlib.h>

#include "eval_stats.h"

/* Questions of one kind that count, and those answered right. */
struct share {
	double counted, right;
};

struct tally {
	size_t asked;
	struct share all, known, later, apart;
	double chosen, margin, loss;
};

static void count(struct share *share, double right)
{
	share->counted++;
	share->right += right;
}

static void add_question(struct tally *t, const struct eval_scores *own,
                         const struct eval_scores *f16, size_t i)
{
	t->asked++;
	if (f16->agreed[i] == 0.0)
		return;
	count(&t->all, own->agreed[i]);
	count(i == 0 ? &t->known : i < own->n / 2 ? &t->later : &t->apart, own->agreed[i]);
	t->chosen += own->divergence[i] > 0.0;
	t->margin += own->divergence[i];
	t->loss += own->loss[i] - f16->loss[i];
}

/* sums and counts: of each case that has any question that counts, its loss and how many. */
static size_t add_cases(struct tally *t, const struct eval_scores *own,
                        const struct eval_scores *f16, size_t n, size_t stride, double *sums,
                        double *counts)
{
	size_t n_cases = 0;
	for (size_t c = 0; c < n; c++) {
		const struct tally before = *t;
		for (size_t i = 0; i < own->n; i++)
			add_question(t, &own[c * stride], &f16[c * stride], i);
		sums[n_cases] = t->loss - before.loss;
		counts[n_cases] = t->all.counted - before.all.counted;
		n_cases += counts[n_cases] > 0.0;
	}
	return n_cases;
}

static struct stats_interval spread(const double *sums, const double *counts, size_t n_cases)
{
	if (n_cases == 0)
		return (struct stats_interval){NAN, NAN};
	return stats_bootstrap(&(struct stats_strata){sums, counts, &n_cases, 1}, STATS_SEED);
}

static double share_of(const struct share *share)
{
	return share->right / share->counted;
}

struct eval_retrieval eval_tally(const struct eval_scores *own, const struct eval_scores *f16,
                                 size_t n, size_t stride)
{
	struct tally t = {.asked = 0};
	struct stats_interval interval = {NAN, NAN};
	double *sums = calloc(2 * n + 2, sizeof *sums);
	if (sums != NULL) {
		double *counts = sums + n + 1;
		size_t n_cases = add_cases(&t, own, f16, n, stride, sums, counts);
		interval = spread(sums, counts, n_cases);
	}
	free(sums);
	return (struct eval_retrieval){
		.asked = t.asked,
		.counted = (size_t)t.all.counted,
		.exact = share_of(&t.all),
		.known = share_of(&t.known),
		.later = share_of(&t.later),
		.apart = share_of(&t.apart),
		.accuracy = t.chosen / t.all.counted,
		.margin = t.margin / t.all.counted,
		.loss = t.loss / t.all.counted,
		.loss_low = interval.low,
		.loss_high = interval.high,
	};
}
