/* SPDX-License-Identifier: MIT */
/** \file ref_prune.c \brief Strengths, choices and fills by their formulas. */
#include "ref_prune.h"

#include "ref_half.h"

#include <math.h>
#include <stdlib.h>

#define MAX_DIM 256
#define MAX_TOKENS 128

/* ---- strengths ---- */

static double raw_strength(enum ref_qagg qagg, size_t rows, size_t heads, size_t dim,
                           const double *q, size_t c)
{
	double of_rows = 0.0, of_heads = 0.0;
	for (size_t r = 0; r < rows; r++) {
		double sum = 0.0;
		for (size_t h = 0; h < heads; h++) {
			double x = q[(r * heads + h) * dim + c];
			sum += qagg == REF_QAGG_ABS ? fabs(x) : qagg == REF_QAGG_RMS ? x * x : x;
		}
		of_rows += qagg == REF_QAGG_MEAN ? sum * sum : sum;
	}
	if (qagg == REF_QAGG_ABS)
		return of_rows;
	if (qagg != REF_QAGG_NORM)
		return sqrt(of_rows);
	for (size_t h = 0; h < heads; h++) {
		double squares = 0.0;
		for (size_t r = 0; r < rows; r++)
			squares += pow(q[(r * heads + h) * dim + c], 2.0);
		of_heads += sqrt(squares);
	}
	return of_heads;
}

void ref_strength(enum ref_qagg qagg, size_t rows, size_t heads, size_t dim, const double *q,
                  double *strength)
{
	double sum = 0.0;
	for (size_t c = 0; c < dim; c++)
		sum += strength[c] = raw_strength(qagg, rows, heads, dim, q, c);
	for (size_t c = 0; c < dim; c++)
		strength[c] = sum > 0.0 ? strength[c] * (double)dim / sum : 1.0;
}

/* ---- choice ---- */

/* Channels that come before c: larger ones, and equal ones of a lower number. */
static size_t place_of(size_t dim, const double *scores, size_t c)
{
	size_t n = 0;
	for (size_t i = 0; i < dim; i++)
		n += scores[i] > scores[c] || (scores[i] == scores[c] && i < c);
	return n;
}

/* Keeps n_kept; error [dim] is how far a score may be off. False if that could change the choice. */
static bool choose(size_t n_kept, size_t dim, const double *scores, const double *error, bool *kept)
{
	bool sure = true;
	for (size_t c = 0; c < dim; c++)
		kept[c] = place_of(dim, scores, c) < n_kept;
	for (size_t in = 0; in < dim; in++)
		for (size_t out = 0; out < dim && kept[in]; out++)
			if (!kept[out] && scores[in] != scores[out] &&
			    scores[in] - scores[out] <= error[in] + error[out])
				sure = false;
	return sure;
}

bool ref_think(size_t n_kept, size_t n_tokens, size_t dim, const double *k, const double *strength,
               bool *kept)
{
	double scores[MAX_DIM], error[MAX_DIM];
	for (size_t c = 0; c < dim; c++) {
		scores[c] = 0.0;
		for (size_t t = 0; t < n_tokens; t++)
			scores[c] += k[t * dim + c] * k[t * dim + c];
		scores[c] *= strength[c] * strength[c];
		error[c] = REF_PRUNE_TIE * scores[c];
	}
	return choose(n_kept, dim, scores, error, kept);
}

double ref_think_score(size_t rows, size_t heads, size_t n_tokens, size_t dim, const double *q,
                       const double *k, size_t channel)
{
	double sum = 0.0;
	for (size_t r = 0; r < rows * heads; r++)
		for (size_t t = 0; t < n_tokens; t++) {
			double product = q[r * dim + channel] * k[t * dim + channel];
			sum += product * product;
		}
	return sqrt(sum);
}

/* ---- recovery ---- */

struct block {
	const struct ref_spark *s;
	size_t n, dim;
	const double *k, *strength;
	double factor[MAX_DIM];
	double amplitude[MAX_TOKENS];                              /* not rounded */
	double factor_error[MAX_DIM], amplitude_error[MAX_TOKENS]; /* relative */
	bool kept[MAX_TOKENS][MAX_DIM];
};

static double saliency(const struct block *b, size_t t, size_t c)
{
	double x = fabs(b->k[t * b->dim + c]);
	return b->strength[c] * (b->s->squared ? x * x : x);
}

/* Round 0 ranks by saliency; later ones by what recovery loses. */
static bool choose_token(struct block *b, size_t t, int round)
{
	double scores[MAX_DIM], error[MAX_DIM];
	for (size_t c = 0; c < b->dim; c++) {
		double x = fabs(b->k[t * b->dim + c]), fill = b->amplitude[t] * b->factor[c];
		scores[c] = round == 0 ? saliency(b, t, c) : b->strength[c] * fabs(x - fill);
		error[c] = REF_PRUNE_TIE * (round == 0 ? scores[c] : b->strength[c] * (x + fill));
		error[c] += b->strength[c] * fill * (b->factor_error[c] + b->amplitude_error[t]);
	}
	return choose(b->s->kept, b->dim, scores, error, b->kept[t]);
}

static double half_of(double x)
{
	return ref_half(fmin(x, REF_HALF_MAX));
}

/* A channel's factor. Next to a tie it may round to another half, 2^-10 away. */
static void set_factor(struct block *b, size_t c)
{
	double x = 1.0, floored = fmax(b->strength[c], 0.01);
	if (b->s->recover == REF_RECOVER_MEAN)
		x = b->s->squared ? 1.0 / sqrt(floored) : 1.0 / floored;
	if (b->s->recover == REF_RECOVER_FIT) {
		double sum = 0.0, n = 0.0;
		for (size_t t = 0; t < b->n; t++)
			if (!b->kept[t][c]) {
				sum += fabs(b->k[t * b->dim + c]);
				n += 1.0;
			}
		x = n > 0.0 ? sum / n : 0.0;
	}
	b->factor[c] = half_of(x);
	bool sure = half_of(x * (1.0 - REF_PRUNE_TIE)) == half_of(x * (1.0 + REF_PRUNE_TIE));
	b->factor_error[c] = sure ? 0.0 : 2.0 * REF_HALF_EPS;
}

/* What stands for a token, not rounded; FIT's moves with factors, which it divides by. */
static void set_amplitude(struct block *b, size_t t)
{
	double sum = 0.0, above = 0.0, below = 0.0, n = (double)(b->dim - b->s->kept), moved = 0.0;
	for (size_t c = 0; c < b->dim; c++) {
		if (b->kept[t][c])
			continue;
		double x = fabs(b->k[t * b->dim + c]), weight = b->strength[c] * b->strength[c];
		sum += b->s->recover == REF_RECOVER_SIGNMAG ? x : saliency(b, t, c);
		above += weight * b->factor[c] * x;
		below += weight * b->factor[c] * b->factor[c];
		moved += b->factor_error[c] * weight * b->factor[c] * (x + 2.0 * b->factor[c]);
	}
	b->amplitude[t] = b->s->recover == REF_RECOVER_MEAN && b->s->squared ? sqrt(sum / n) : sum / n;
	b->amplitude_error[t] = REF_PRUNE_TIE;
	if (b->s->recover != REF_RECOVER_FIT)
		return;
	b->amplitude[t] = below > 0.0 ? above / below : 0.0;
	if (below > 0.0) /* relative: of the numerator by x, of the denominator by twice the factor */
		b->amplitude_error[t] += moved / fmin(above, below);
}

static void set_values(const struct block *b, size_t t, struct ref_pruned *values)
{
	double a = b->amplitude[t], off = b->amplitude_error[t] + REF_PRUNE_TIE;
	double low = half_of(a * (1.0 - off)), high = half_of(a * (1.0 + off)), middle = half_of(a);
	if (b->s->recover == REF_RECOVER_ZERO)
		low = high = middle = 0.0;
	if (b->s->recover == REF_RECOVER_CONST)
		low = high = middle = (double)(float)b->s->fill;
	for (size_t c = 0; c < b->dim; c++) {
		double x = b->k[t * b->dim + c], m = b->factor[c], sign = x < 0.0 ? -1.0 : 1.0;
		double least = low * m * (1.0 - b->factor_error[c]);
		double most = high * m * (1.0 + b->factor_error[c]);
		struct ref_pruned *v = &values[c];
		v->kept = b->kept[t][c];
		v->value = v->kept ? x : sign * middle * m;
		v->low = v->kept ? x : sign < 0.0 ? -most : least;
		v->high = v->kept ? x : sign < 0.0 ? -least : most;
	}
}

bool ref_spark(const struct ref_spark *s, size_t n_tokens, size_t dim, const double *k,
               const double *strength, bool *sure, struct ref_pruned *values)
{
	struct block *b = calloc(1, sizeof *b);
	bool all_sure = true;
	if (!b || n_tokens > MAX_TOKENS || dim > MAX_DIM)
		abort();
	*b = (struct block){.s = s, .n = n_tokens, .dim = dim, .k = k, .strength = strength};
	int rounds = s->recover == REF_RECOVER_FIT ? s->refine : 0;
	for (size_t t = 0; t < n_tokens; t++)
		sure[t] = true;
	for (int round = 0; round <= rounds; round++) {
		for (size_t t = 0; t < n_tokens; t++) {
			sure[t] = choose_token(b, t, round) && sure[t];
			all_sure = all_sure && sure[t];
		}
		for (size_t c = 0; c < dim; c++)
			set_factor(b, c);
		for (size_t t = 0; t < n_tokens; t++)
			set_amplitude(b, t);
	}
	for (size_t t = 0; t < n_tokens; t++)
		set_values(b, t, values + t * dim);
	free(b);
	return s->recover != REF_RECOVER_FIT || all_sure;
}
