/* SPDX-License-Identifier: MIT */
/** \file model_seal.c \brief Sealed values against the codec's definition, and the bound that follows from it. */
#include "model.h"

#include "../ref/ref_hadamard.h"
#include "../ref/ref_half.h"
#include "../ref/ref_kitty.h"
#include "../support/each.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One side of one head's block. */
struct part {
	struct world *w;
	const struct side_facts *side;
	int layer;
	enum side which;
	size_t head, from, n, dim;
	double *given, *read; /* [n][dim] */
};

/* Sealed channels of a side. */
static size_t rank_of(const struct side_facts *side, size_t dim)
{
	size_t n = side->rank == 0   ? dim
	           : side->rank <= 1 ? (size_t)(side->rank * (double)dim / 16 + 0.5) * 16
	                             : (size_t)side->rank;
	return n == 0 ? 16 : n;
}

/* The others read as 0, and the codec never saw them. */
static void leave_out(struct part *p)
{
	size_t rank = rank_of(p->side, p->dim);
	for (size_t i = 0; i < p->n * p->dim; i++)
		EACH_MSG(i % p->dim < rank || p->read[i] == 0,
		         "layer %d, sealed token %zu, channel %zu: %g", p->layer, p->from + i / p->dim,
		         i % p->dim, p->read[i]);
	for (size_t t = 0; t < p->n; t++) {
		memmove(p->given + t * rank, p->given + t * p->dim, rank * sizeof *p->given);
		memmove(p->read + t * rank, p->read + t * p->dim, rank * sizeof *p->read);
	}
	p->dim = rank;
}

static void gather(const struct part *p, double *const rows[2], double *to)
{
	size_t row = world_row(p->w, p->which);
	for (size_t t = 0; t < p->n; t++)
		memcpy(to + t * p->dim, rows[p->which] + (p->from + t) * row + p->head * p->dim,
		       p->dim * sizeof *to);
}

static void expect_near(const struct part *p, size_t i, double bound)
{
	p->w->progress->sealed++;
	EACH_MSG(fabs(p->read[i] - p->given[i]) <= bound,
	         "layer %d, head %zu, %s of sealed token %zu, channel %zu: %.9g instead of %.9g, "
	         "allowed +-%.9g",
	         p->layer, p->head, p->which == SIDE_K ? "K" : "V", p->from + i / p->dim, i % p->dim,
	         p->read[i], p->given[i], bound);
}

void model_turn(size_t n, size_t dim, double *rows)
{
	size_t block = dim & (~dim + 1);
	double turned[256];
	for (size_t at = 0; at < n * dim; at += block) {
		ref_hadamard(block, rows + at, turned);
		memcpy(rows + at, turned, block * sizeof *turned);
	}
}

double model_turn_slack(size_t dim, const double *row)
{
	double squares = 0.0;
	for (size_t d = 0; d < dim; d++)
		squares += row[d] * row[d];
	return 2.0 * REF_HALF_EPS * sqrt(squares);
}

/* Both in the turned basis, where codes are made of halves: of rows that were never read before these are known up to a
 * rounding, of the value and of the largest one of its group. */
static double turn(struct part *p)
{
	double most = 0.0;
	model_turn(p->n, p->dim, p->given);
	model_turn(p->n, p->dim, p->read);
	for (size_t i = 0; i < p->n * p->dim; i++)
		most = fmax(most, fabs(p->given[i]));
	return 4.0 * REF_HALF_EPS * most;
}

static void check_affine(struct part *p)
{
	struct ref_code *codes = calloc(p->n * p->dim, sizeof *codes);
	double more = world_facts(p->w, p->layer)->turned ? turn(p) : 0.0;
	ck_assert_ptr_nonnull(codes);
	ref_affine_encode(&p->side->affine, p->n, p->dim, p->given, codes);
	for (size_t i = 0; i < p->n * p->dim; i++)
		expect_near(p, i, codes[i].bound + more);
	free(codes);
}

static void check_kitty(struct part *p)
{
	struct ref_code *codes = calloc(p->n * p->dim, sizeof *codes);
	bool boosted[REF_KITTY_CHANNELS];
	ck_assert_ptr_nonnull(codes);
	ref_kitty_choose(ref_kitty_boosted(p->side->boost, p->dim), p->n, p->dim, p->given, boosted);
	ref_kitty_encode(p->side->affine.group, p->n, p->dim, p->given, boosted, codes);
	for (size_t i = 0; i < p->n * p->dim; i++)
		expect_near(p, i, codes[i].bound);
	free(codes);
}

static void check_outliers(struct part *p)
{
	struct ref_level *levels = calloc(p->n * p->dim, sizeof *levels);
	ck_assert_ptr_nonnull(levels);
	ref_outliers_encode(&p->side->outliers, p->n, p->dim, p->given, levels);
	for (size_t i = 0; i < p->n * p->dim; i++)
		expect_near(p, i, levels[i].outlier ? 0.0 : levels[i].bound);
	free(levels);
}

/* The first tokens of a sequence may be kept whole beside their block. */
static size_t check_exact(struct part *p)
{
	size_t n = 0, most = world_facts(p->w, p->layer)->exact;
	while (p->from == 0 && n < p->n && n < most)
		n++;
	for (size_t i = 0; i < n * p->dim; i++)
		expect_near(p, i, 0.0);
	return n;
}

static void check_bounded(struct part *p)
{
	size_t exact = check_exact(p), n = (p->n - exact) * p->dim;
	struct ref_bounded_value *values = calloc(n + 1, sizeof *values);
	ck_assert_ptr_nonnull(values);
	bool coded = n == 0 || ref_bounded_encode(&p->side->bounded, p->n - exact, p->dim,
	                                          p->given + exact * p->dim, values);
	/* m + s code in single precision: two roundings of sums up to the largest value */
	for (size_t i = 0; i < n; i++) {
		double most = fabs(values[i].m) + fabs(values[i].s) * fabs((double)values[i].code);
		expect_near(p, exact * p->dim + i, coded ? values[i].promise + 0x1p-22 * most : 0.0);
	}
	free(values);
}

/* Whether a row is what codes of so many bits make of it; in the middle between two a code may be either. A mean is a sum in single
 * precision: what is rounded to half by it may be the next half. */
static bool is_row_of(const struct part *p, size_t t, int bits, const bool *outlier)
{
	const double *given = p->given + t * p->dim, *read = p->read + t * p->dim;
	const bool mean = p->side->qaq.centred || bits == 0;
	double want[256], tie[256];
	double step = ref_qaq_decode(&p->side->qaq, bits, p->dim, given, outlier, want, tie);
	for (size_t d = 0; d < p->dim; d++) {
		double most = fabs(want[d]) + 256 * step;
		double bound = (mean ? 2 * REF_HALF_EPS + 0x1p-22 : 0x1p-22) * most;
		bound += tie[d] < (mean ? 0.1 : 1e-3) ? step : 0;
		if (fabs(read[d] - want[d]) > (outlier[d] ? 0 : bound + (mean ? 1e-6 : 0)))
			return false;
	}
	return true;
}

/* Outliers are exact, and the others have one of the widths that the recipe allows. */
static void check_qaq(struct part *p)
{
	const struct ref_qaq *a = &p->side->qaq;
	for (size_t t = 0; t < p->n; t++) {
		bool outlier[256], found = false;
		ref_qaq_mark(a, p->dim, p->given + t * p->dim, outlier);
		for (int bits = a->bmin; bits <= a->bmax && !found; bits++)
			found = is_row_of(p, t, bits, outlier);
		p->w->progress->sealed += p->dim;
		EACH_MSG(found, "layer %d, head %zu, %s of sealed token %zu has no width from %d to %d",
		         p->layer, p->head, p->which == SIDE_K ? "K" : "V", p->from + t, a->bmin, a->bmax);
	}
}

/* Of each row the largest values, in magnitude, are as they were given, and the others read as 0. */
static void check_largest(struct part *p)
{
	for (size_t i = 0; i < p->n * p->dim; i++) {
		const double *row = p->given + i / p->dim * p->dim;
		size_t above = 0, same = 0;
		for (size_t d = 0; d < p->dim; d++) {
			above += fabs(row[d]) > fabs(p->given[i]);
			same += fabs(row[d]) == fabs(p->given[i]);
		}
		if (p->read[i] != 0 || above + same <= p->side->pairs)
			expect_near(p, i, 0.0);
		EACH_MSG(p->read[i] == 0 || above < p->side->pairs,
		         "layer %d, head %zu, sealed token %zu, channel %zu: %g, with %zu larger ones",
		         p->layer, p->head, p->from + i / p->dim, i % p->dim, p->read[i], above);
	}
}

/* A channel that is left out reads as 0 in the whole block, one that is kept as it was given. */
static void check_masked(struct part *p)
{
	for (size_t d = 0; d < p->dim; d++) {
		bool kept = false;
		for (size_t t = 0; t < p->n; t++)
			kept = kept || p->read[t * p->dim + d] != 0.0;
		for (size_t t = 0; t < p->n && kept; t++)
			expect_near(p, t * p->dim + d, 0.0);
	}
}

/* Of channels that are recovered, or codes of what is left of them, only the suites of pruning know more. */
static void check_finite(struct part *p)
{
	for (size_t i = 0; i < p->n * p->dim; i++)
		EACH_MSG(isfinite(p->read[i]), "layer %d, head %zu, sealed token %zu: %g", p->layer,
		         p->head, p->from + i / p->dim, p->read[i]);
}

static void check_part(struct part *p)
{
	if (p->side->pruned && p->side->masked && p->side->kind == CODE_HALF)
		check_masked(p);
	else if (p->side->pruned)
		check_finite(p);
	else if (p->side->kind == CODE_AFFINE)
		check_affine(p);
	else if (p->side->kind == CODE_KITTY)
		check_kitty(p);
	else if (p->side->kind == CODE_OUTLIERS)
		check_outliers(p);
	else if (p->side->pairs > 0)
		check_largest(p);
	else if (p->side->kind == CODE_QAQ)
		check_qaq(p);
	else if (p->side->kind == CODE_BOUNDED)
		check_bounded(p);
	else
		for (size_t i = 0; i < p->n * p->dim; i++)
			expect_near(p, i, 0.0);
}

void model_check_sealed(struct world *w, const struct model *m, int layer, size_t from, size_t n)
{
	for (int side = SIDE_K; side <= SIDE_V; side++)
		for (size_t head = 0; head < (size_t)w->geometry.kv_heads; head++) {
			struct part p = {.w = w, .layer = layer, .which = (enum side)side, .head = head};
			p.side = &world_facts(w, layer)->side[side];
			p.from = from;
			p.n = n;
			p.dim = world_dim(w, p.which);
			p.given = model_new(n * p.dim);
			p.read = model_new(n * p.dim);
			gather(&p, m->given[layer], p.given);
			gather(&p, m->read[layer], p.read);
			leave_out(&p);
			check_part(&p);
			free(p.given);
			free(p.read);
		}
}
