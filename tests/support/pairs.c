/* SPDX-License-Identifier: MIT */
/**
 * \file    pairs.c
 * \brief   A pairwise cover, drawn greedily.
 *
 * Each row begins with a pair that no row has yet, the first in order; the other factors follow in order, each at the
 * level that brings the most new pairs with those that are set, the seed deciding between equals.
 */
#include "pairs.h"

#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS = 64 };

/* What is drawn, and which pairs have been met: [f][g][level of f][level of g] with f < g. */
struct draw {
	struct pairs *p;
	bool met[PAIRS_FACTORS][PAIRS_FACTORS][LEVELS][LEVELS];
	bool set[PAIRS_FACTORS]; /* of the row that grows */
	uint64_t state;
};

/* A main draws covers before there is a test to fail. */
static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "a cover needs %s\n", what);
	abort();
}

static bool *pair(struct draw *d, size_t f, size_t level, size_t g, size_t other)
{
	return f < g ? &d->met[f][g][level][other] : &d->met[g][f][other][level];
}

static size_t new_pairs(struct draw *d, const unsigned char *row, size_t f, size_t level)
{
	size_t n = 0;
	for (size_t g = 0; g < d->p->factors; g++)
		n += g != f && d->set[g] && !*pair(d, f, level, g, row[g]);
	return n;
}

static void choose(struct draw *d, unsigned char *row, size_t f)
{
	size_t best = 0, n = d->p->levels[f];
	d->state = random_mix(d->state, f);
	for (size_t i = 0; i < n; i++) {
		size_t level = (i + (size_t)(d->state % n)) % n, gain = new_pairs(d, row, f, level);
		if (i == 0 || gain > best) {
			best = gain;
			row[f] = (unsigned char)level;
		}
	}
	d->set[f] = true;
}

/* The first pair that no row has, into the row. */
static bool begin(struct draw *d, unsigned char *row)
{
	const struct pairs *p = d->p;
	memset(d->set, 0, sizeof d->set);
	for (size_t f = 0; f < p->factors; f++)
		for (size_t g = f + 1; g < p->factors; g++)
			for (size_t i = 0; i < p->levels[f] * p->levels[g]; i++) {
				if (*pair(d, f, i / p->levels[g], g, i % p->levels[g]))
					continue;
				row[f] = (unsigned char)(i / p->levels[g]);
				row[g] = (unsigned char)(i % p->levels[g]);
				d->set[f] = d->set[g] = true;
				return true;
			}
	return false;
}

static unsigned char *add_row(struct pairs *p)
{
	require(p->rows < PAIRS_ROWS, "more rows than there are");
	return p->row[p->rows++];
}

static void cover(struct pairs *p, uint64_t seed)
{
	static struct draw d;
	unsigned char first[PAIRS_FACTORS] = {0};
	memset(&d, 0, sizeof d);
	d.p = p;
	d.state = seed;
	while (begin(&d, first)) {
		unsigned char *row = add_row(p);
		memcpy(row, first, sizeof first);
		for (size_t f = 0; f < p->factors; f++)
			if (!d.set[f])
				choose(&d, row, f);
		for (size_t f = 0; f < p->factors; f++)
			for (size_t g = f + 1; g < p->factors; g++)
				*pair(&d, f, row[f], g, row[g]) = true;
	}
}

static void product(struct pairs *p)
{
	size_t n = 1;
	for (size_t f = 0; f < p->factors; f++)
		n *= p->levels[f];
	for (size_t i = 0; i < n; i++) {
		unsigned char *row = add_row(p);
		size_t rest = i;
		for (size_t f = p->factors; f-- > 0; rest /= p->levels[f])
			row[f] = (unsigned char)(rest % p->levels[f]);
	}
}

void pairs_draw(struct pairs *p, size_t factors, const size_t *levels, bool whole, uint64_t seed)
{
	require(factors >= 2 && factors <= PAIRS_FACTORS, "2 to 6 factors");
	*p = (struct pairs){.factors = factors};
	for (size_t f = 0; f < factors; f++) {
		require(levels[f] >= 1 && levels[f] <= LEVELS, "1 to 64 levels of each factor");
		p->levels[f] = levels[f];
	}
	if (whole)
		product(p);
	else
		cover(p, seed);
}
