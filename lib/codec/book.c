/* SPDX-License-Identifier: MIT */
/**
 * \file    book.c
 * \brief   Lloyd's algorithm over histograms: the distance is bits, the centre is a Huffman table.
 *
 * Sources begin in groups of equal count by their bits per symbol, because what differs most between
 * layers is how peaked their codes are. Each round then makes the table of each group and gives each
 * source the cheapest.
 */
#include "codec/book.h"

#include "base/alloc.h"
#include "base/error.h"
#include "codec/huffman.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROUNDS = 8 };

/* One clustering under way; the arrays are the caller's. */
struct book {
	const uint32_t *histograms;
	size_t n_sources;
	int n, lmax, n_tables;
	uint8_t *lengths;
	uint32_t *owner;
};

struct rank {
	uint64_t rate; /* bits per symbol with a table of its own, in 2^-16 */
	size_t source;
};

static const uint32_t *histogram_of(const struct book *b, size_t source)
{
	return b->histograms + source * (size_t)b->n;
}

static uint8_t *table_of(const struct book *b, int table)
{
	return b->lengths + (size_t)table * (size_t)b->n;
}

static uint64_t count_of(const struct book *b, size_t source)
{
	uint64_t count = 0;
	for (int i = 0; i < b->n; i++)
		count += histogram_of(b, source)[i];
	return count;
}

static uint64_t cost_of(const struct book *b, size_t source, int table)
{
	return clkv__huffman_cost(histogram_of(b, source), table_of(b, table), b->n);
}

static int compare_ranks(const void *a, const void *b)
{
	const struct rank *x = a, *y = b;
	if (x->rate != y->rate)
		return x->rate < y->rate ? -1 : 1;
	return (x->source > y->source) - (x->source < y->source);
}

/* Sorts the sources that have counts; returns how many. */
static size_t rank_sources(const struct book *b, struct rank *ranks)
{
	size_t n_ranks = 0;
	for (size_t s = 0; s < b->n_sources; s++) {
		uint8_t own[CLKV__HUFFMAN_SYMBOLS];
		uint64_t count = count_of(b, s);
		if (count == 0)
			continue;
		clkv__huffman_lengths(histogram_of(b, s), b->n, b->lmax, own);
		uint64_t bits = clkv__huffman_cost(histogram_of(b, s), own, b->n);
		ranks[n_ranks++] = (struct rank){(bits << 16) / count, s};
	}
	qsort(ranks, n_ranks, sizeof *ranks, compare_ranks);
	return n_ranks;
}

/* The table of the summed histogram of a table's sources. */
static void build_table(struct book *b, int table)
{
	uint64_t sums[CLKV__HUFFMAN_SYMBOLS] = {0}, most = 0;
	uint32_t histogram[CLKV__HUFFMAN_SYMBOLS];
	int shift = 0; /* so that the largest sum fits the 32 bits of a count */
	for (size_t s = 0; s < b->n_sources; s++)
		for (int i = 0; i < b->n && b->owner[s] == (uint32_t)table; i++)
			sums[i] += histogram_of(b, s)[i];
	for (int i = 0; i < b->n; i++)
		most = sums[i] > most ? sums[i] : most;
	while (most >> shift > UINT32_MAX)
		shift++;
	for (int i = 0; i < b->n; i++)
		histogram[i] = (uint32_t)(sums[i] >> shift);
	clkv__huffman_lengths(histogram, b->n, b->lmax, table_of(b, table));
}

/* Gives each source its cheapest table, the first of equals; true if any changed. */
static bool reassign(struct book *b, const struct rank *ranks, size_t n_ranks)
{
	bool changed = false;
	for (size_t r = 0; r < n_ranks; r++) {
		size_t s = ranks[r].source;
		uint64_t least = UINT64_MAX;
		uint32_t best = 0;
		for (int t = 0; t < b->n_tables; t++) {
			uint64_t cost = cost_of(b, s, t);
			if (cost < least) {
				least = cost;
				best = (uint32_t)t;
			}
		}
		changed = changed || b->owner[s] != best;
		b->owner[s] = best;
	}
	return changed;
}

/* Tables that no source with counts took vanish; the others keep their order. */
static void drop_empty(struct book *b, const struct rank *ranks, size_t n_ranks)
{
	int kept = 0;
	for (int t = 0; t < b->n_tables; t++) {
		bool used = false;
		for (size_t r = 0; r < n_ranks; r++) {
			if (b->owner[ranks[r].source] != (uint32_t)t)
				continue;
			used = true;
			b->owner[ranks[r].source] = (uint32_t)kept;
		}
		if (used && kept < t)
			memcpy(table_of(b, kept), table_of(b, t), (size_t)b->n);
		kept += used;
	}
	b->n_tables = kept;
}

static uint64_t total_cost(const struct book *b)
{
	uint64_t bits = 0;
	for (size_t s = 0; s < b->n_sources; s++)
		bits += cost_of(b, s, (int)b->owner[s]);
	return bits;
}

/* One table for all: what the clustering has to beat, and the answer where it can't. */
static void make_single(struct book *b)
{
	memset(b->owner, 0, b->n_sources * sizeof *b->owner);
	b->n_tables = 1;
	build_table(b, 0);
}

static void make_many(struct book *b, const struct rank *ranks, size_t n_ranks, int max_tables)
{
	bool changed = true;
	b->n_tables = n_ranks < (size_t)max_tables ? (int)n_ranks : max_tables;
	for (size_t r = 0; r < n_ranks; r++)
		b->owner[ranks[r].source] = (uint32_t)(r * (size_t)b->n_tables / n_ranks);
	for (int round = 0; round < MAX_ROUNDS && changed; round++) {
		for (int t = 0; t < b->n_tables; t++)
			build_table(b, t);
		changed = reassign(b, ranks, n_ranks);
		drop_empty(b, ranks, n_ranks);
	}
}

int clkv__book_cluster(const uint32_t *histograms, size_t n_sources, int n, int lmax,
                       int max_tables, uint8_t *lengths, uint32_t *owner,
                       const clkv_allocator *allocator, clkv_error *error)
{
	struct book b = {histograms, n_sources, n, lmax, 1, lengths, owner};
	assert(max_tables >= 1);
	struct rank *ranks = clkv__calloc(allocator, n_sources, sizeof *ranks);
	if (!ranks) {
		clkv__error_set(error, CLKV_ERROR_NO_HOST_MEMORY,
		                "no host memory to sort %zu histograms of codes", n_sources);
		return 0;
	}
	size_t n_ranks = rank_sources(&b, ranks);
	make_single(&b);
	uint64_t single_cost = total_cost(&b);
	if (n_ranks > 1 && max_tables > 1) {
		make_many(&b, ranks, n_ranks, max_tables);
		if (b.n_tables == 1 || total_cost(&b) >= single_cost)
			make_single(&b);
	}
	clkv__free(allocator, ranks);
	return b.n_tables;
}
