/* SPDX-License-Identifier: MIT */
/** \file ref_huffman.c \brief Package-merge as in the paper: packages remember their leaves. */
#include "ref_huffman.h"

#include <stdlib.h>
#include <string.h>

struct package {
	uint64_t weight;
	uint16_t leaves[REF_HUFFMAN_SYMBOLS]; /* how often each symbol is in it */
};

static int by_weight(const void *a, const void *b)
{
	const struct package *x = a, *y = b;
	return (x->weight > y->weight) - (x->weight < y->weight);
}

static struct package *new_packages(size_t n)
{
	struct package *list = calloc(n, sizeof *list);
	if (!list)
		abort();
	return list;
}

/* Pairs of the list's neighbours, the lightest first; returns how many. */
static size_t pair_up(const struct package *list, size_t n, size_t symbols, struct package *pairs)
{
	for (size_t i = 0; i < n / 2; i++) {
		const struct package *a = &list[2 * i], *b = a + 1;
		pairs[i].weight = a->weight + b->weight;
		for (size_t s = 0; s < symbols; s++)
			pairs[i].leaves[s] = (uint16_t)(a->leaves[s] + b->leaves[s]);
	}
	return n / 2;
}

void ref_huffman(size_t n, const uint64_t *weights, int longest, int *lengths)
{
	struct package *list = new_packages(2 * n), *next = new_packages(2 * n);
	size_t count = 0;
	for (int level = 0; level < longest; level++) {
		count = pair_up(list, count, n, next);
		for (size_t s = 0; s < n; s++, count++) {
			memset(&next[count], 0, sizeof *next);
			next[count].weight = weights[s];
			next[count].leaves[s] = 1;
		}
		qsort(next, count, sizeof *next, by_weight);
		struct package *last = list;
		list = next;
		next = last;
	}
	/* The 2 n - 2 lightest of the last level: a symbol's word is as long as it is often among them. */
	memset(lengths, 0, n * sizeof *lengths);
	for (size_t i = 0; i < 2 * n - 2; i++)
		for (size_t s = 0; s < n; s++)
			lengths[s] += list[i].leaves[s];
	free(list);
	free(next);
}

int ref_huffman_flat(size_t n)
{
	int bits = 0;
	while ((size_t)1 << bits < n)
		bits++;
	return bits;
}
