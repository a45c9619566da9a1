/* SPDX-License-Identifier: MIT */
/**
 * \file    dictionary_fit.c
 * \brief   Dictionaries by alternation: rows are coded by matching pursuit, then each atom is fitted to the rows that have it.
 *
 * Sources: K-SVD, Aharon, Elad, Bruckstein 2006; its approximate update and pursuit by products with the dictionary's Gram matrix,
 * Rubinstein, Zibulevsky, Elad 2008. CSR, arXiv 2412.11741, trains with gradients and a term for incoherence instead.
 * Atoms begin as rows drawn evenly; one that no row takes becomes the row of which most is left.
 */
#include "dictionary_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 8, WIDE = 16 };

/* A row has an atom: how much of it. */
struct use {
	uint32_t row;
	float coefficient;
};

struct fitting {
	const struct dictionary_rows *in;
	size_t atoms, pairs;
	float *turned;       /* [dim][atoms] */
	float *gram;         /* [atoms][atoms] */
	float *products;     /* [atoms] of a row */
	float *left;         /* [n][dim] of the rows */
	uint32_t *chosen;    /* [n][pairs]; a row may have fewer, behind which stands `atoms` */
	float *coefficients; /* [n][pairs] */
	struct use *uses;    /* of atoms, behind each other */
	size_t *ends;        /* [atoms + 1]: where an atom's begin; the last: how many */
	double *energies;    /* [atoms] */
	float *atom;         /* [dim] */
};

/* y += x * factor, n numbers, a multiple of WIDE. */
static void add_scaled(size_t n, float factor, const float *restrict x, float *restrict y)
{
	for (size_t i = 0; i < n; i += WIDE)
		for (size_t j = 0; j < WIDE; j++)
			y[i + j] += factor * x[i + j];
}

static float dot(size_t n, const float *a, const float *b)
{
	float sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* False for zeros. */
static bool normalize(size_t n, float *x)
{
	const float length = sqrtf(dot(n, x, x));
	if (!(length > 1e-20F) || !isfinite(length))
		return false;
	for (size_t i = 0; i < n; i++)
		x[i] /= length;
	return true;
}

/* What stands for a row of zeros: any direction does. */
static void take_direction(size_t dim, size_t n, float *atom)
{
	memset(atom, 0, dim * sizeof *atom);
	atom[n % dim] = 1;
}

static void start(const struct fitting *f, float *atoms)
{
	const size_t dim = f->in->dim;
	for (size_t n = 0; n < f->atoms; n++) {
		float *atom = atoms + n * dim;
		memcpy(atom, f->in->rows + n * f->in->n / f->atoms * dim, dim * sizeof *atom);
		if (!normalize(dim, atom))
			take_direction(dim, n, atom);
	}
}

static void make_gram(const struct fitting *f, const float *atoms)
{
	const size_t dim = f->in->dim;
	for (size_t n = 0; n < f->atoms; n++)
		for (size_t c = 0; c < dim; c++)
			f->turned[c * f->atoms + n] = atoms[n * dim + c];
	memset(f->gram, 0, f->atoms * f->atoms * sizeof *f->gram);
	for (size_t n = 0; n < f->atoms; n++)
		for (size_t c = 0; c < dim; c++)
			add_scaled(f->atoms, atoms[n * dim + c], f->turned + c * f->atoms,
			           f->gram + n * f->atoms);
}

static size_t find_largest(size_t n, const float *x)
{
	size_t best = 0;
	for (size_t i = 1; i < n; i++)
		best = fabsf(x[i]) > fabsf(x[best]) ? i : best;
	return best;
}

/* Where a row has an atom already, or its next free pair. */
static size_t pair_of(const struct fitting *f, size_t row, size_t atom)
{
	const uint32_t *chosen = f->chosen + row * f->pairs;
	size_t i = 0;
	while (chosen[i] != atom && chosen[i] != f->atoms)
		i++;
	return row * f->pairs + i;
}

/* Matching pursuit of a row: its pairs, and what is left of it. */
static void pursue(const struct fitting *f, const float *atoms, size_t row)
{
	const size_t dim = f->in->dim;
	float *left = f->left + row * dim;
	memcpy(left, f->in->rows + row * dim, dim * sizeof *left);
	memset(f->products, 0, f->atoms * sizeof *f->products);
	for (size_t c = 0; c < dim; c++)
		add_scaled(f->atoms, left[c], f->turned + c * f->atoms, f->products);
	for (size_t i = 0; i < f->pairs; i++) {
		f->chosen[row * f->pairs + i] = (uint32_t)f->atoms;
		f->coefficients[row * f->pairs + i] = 0;
	}
	for (size_t i = 0; i < f->pairs; i++) {
		const size_t n = find_largest(f->atoms, f->products), at = pair_of(f, row, n);
		const float x = f->products[n];
		f->chosen[at] = (uint32_t)n;
		f->coefficients[at] += x;
		add_scaled(f->atoms, -x, f->gram + n * f->atoms, f->products);
		add_scaled(dim, -x, atoms + n * dim, left);
	}
}

/* Which rows have which atom. */
static void list_uses(const struct fitting *f)
{
	const size_t all = f->in->n * f->pairs;
	memset(f->ends, 0, (f->atoms + 1) * sizeof *f->ends);
	for (size_t i = 0; i < all; i++)
		if (f->chosen[i] < f->atoms)
			f->ends[f->chosen[i] + 1]++;
	for (size_t n = 0; n < f->atoms; n++)
		f->ends[n + 1] += f->ends[n];
	for (size_t i = all; i-- > 0;)
		if (f->chosen[i] < f->atoms)
			f->uses[--f->ends[f->chosen[i] + 1]] =
				(struct use){(uint32_t)(i / f->pairs), f->coefficients[i]};
	/* each end has become where the atom begins: one place on */
	memmove(f->ends, f->ends + 1, f->atoms * sizeof *f->ends);
	f->ends[f->atoms] = 0;
	for (size_t i = 0; i < all; i++)
		f->ends[f->atoms] += f->chosen[i] < f->atoms;
}

static size_t worst_row(const struct fitting *f)
{
	size_t worst = 0;
	float most = -1;
	for (size_t i = 0; i < f->in->n; i++) {
		const float *left = f->left + i * f->in->dim, square = dot(f->in->dim, left, left);
		worst = square > most ? i : worst;
		most = square > most ? square : most;
	}
	return worst;
}

/* An atom that nobody takes becomes what is left of a row, which then has nothing left. */
static void replace(const struct fitting *f, size_t n, float *atom)
{
	const size_t dim = f->in->dim;
	float *left = f->left + worst_row(f) * dim;
	memcpy(atom, left, dim * sizeof *atom);
	if (!normalize(dim, atom))
		take_direction(dim, n, atom);
	memset(left, 0, dim * sizeof *left);
}

/* An atom becomes the sum of what its rows have but for the others, each by its coefficient, which are worked out anew. */
static void update(const struct fitting *f, size_t n, float *atom)
{
	const size_t dim = f->in->dim;
	struct use *uses = f->uses + f->ends[n];
	const size_t n_uses = f->ends[n + 1] - f->ends[n];
	memset(f->atom, 0, dim * sizeof *f->atom);
	for (size_t i = 0; i < n_uses; i++) {
		float *left = f->left + uses[i].row * dim;
		add_scaled(dim, uses[i].coefficient, atom, left);
		add_scaled(dim, uses[i].coefficient, left, f->atom);
	}
	const bool some = normalize(dim, f->atom);
	f->energies[n] = 0;
	for (size_t i = 0; i < n_uses; i++) {
		float *left = f->left + uses[i].row * dim;
		const float x = some ? dot(dim, left, f->atom) : 0;
		add_scaled(dim, -x, f->atom, left);
		f->energies[n] += (double)x * (double)x;
	}
	if (some)
		memcpy(atom, f->atom, dim * sizeof *atom);
	else
		replace(f, n, atom);
}

/* Those that hold most come first. */
static void order(const struct fitting *f, float *atoms)
{
	const size_t dim = f->in->dim;
	for (size_t n = 0; n < f->atoms; n++) {
		size_t best = n;
		for (size_t i = n + 1; i < f->atoms; i++)
			best = f->energies[i] > f->energies[best] ? i : best;
		const double energy = f->energies[best];
		f->energies[best] = f->energies[n];
		f->energies[n] = energy;
		memcpy(f->atom, atoms + n * dim, dim * sizeof *atoms);
		memmove(atoms + n * dim, atoms + best * dim, dim * sizeof *atoms);
		memcpy(atoms + best * dim, f->atom, dim * sizeof *atoms);
	}
}

static double part_left(const struct fitting *f)
{
	double left = 0, all = 0;
	for (size_t i = 0; i < f->in->n * f->in->dim; i++) {
		left += (double)f->left[i] * (double)f->left[i];
		all += (double)f->in->rows[i] * (double)f->in->rows[i];
	}
	return all > 0 ? left / all : 0;
}

static void run(const struct fitting *f, float *atoms, double *loss)
{
	start(f, atoms);
	for (int round = 0; round < ROUNDS; round++) {
		make_gram(f, atoms);
		for (size_t i = 0; i < f->in->n; i++)
			pursue(f, atoms, i);
		*loss = part_left(f);
		list_uses(f);
		for (size_t n = 0; n < f->atoms; n++)
			update(f, n, atoms + n * f->in->dim);
	}
	order(f, atoms);
}

static bool reserve(struct fitting *f)
{
	const size_t n = f->in->n, dim = f->in->dim;
	f->turned = calloc(dim * f->atoms, sizeof *f->turned);
	f->gram = calloc(f->atoms * f->atoms, sizeof *f->gram);
	f->products = calloc(f->atoms, sizeof *f->products);
	f->left = calloc(n * dim, sizeof *f->left);
	f->chosen = calloc(n * f->pairs, sizeof *f->chosen);
	f->coefficients = calloc(n * f->pairs, sizeof *f->coefficients);
	f->uses = calloc(n * f->pairs, sizeof *f->uses);
	f->ends = calloc(f->atoms + 1, sizeof *f->ends);
	f->energies = calloc(f->atoms, sizeof *f->energies);
	f->atom = calloc(dim, sizeof *f->atom);
	return f->turned && f->gram && f->products && f->left && f->chosen && f->coefficients &&
	       f->uses && f->ends && f->energies && f->atom;
}

static void release(struct fitting *f)
{
	free(f->turned);
	free(f->gram);
	free(f->products);
	free(f->left);
	free(f->chosen);
	free(f->coefficients);
	free(f->uses);
	free(f->ends);
	free(f->energies);
	free(f->atom);
}

bool dictionary_fit(const struct dictionary_rows *rows, size_t n_atoms, size_t pairs, float *atoms,
                    double *loss, struct tool_error *error)
{
	struct fitting f = {.in = rows, .atoms = n_atoms, .pairs = pairs};
	bool done = reserve(&f);
	if (done)
		run(&f, atoms, loss);
	release(&f);
	return done || tool_fail(error, "out of memory");
}

bool dictionary_left(const struct dictionary_rows *rows, size_t n_atoms, size_t pairs,
                     const float *atoms, float *left, double *loss, struct tool_error *error)
{
	struct fitting f = {.in = rows, .atoms = n_atoms, .pairs = pairs};
	bool done = reserve(&f);
	if (done) {
		make_gram(&f, atoms);
		for (size_t i = 0; i < rows->n; i++)
			pursue(&f, atoms, i);
		memcpy(left, f.left, rows->n * rows->dim * sizeof *left);
		*loss = part_left(&f);
	}
	release(&f);
	return done || tool_fail(error, "out of memory");
}
