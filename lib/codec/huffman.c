/* SPDX-License-Identifier: MIT */
/**
 * \file    huffman.c
 * \brief   Lengths by package-merge (Larmore and Hirschberg, J. ACM 37, 1990), canonical codes.
 *
 * Package-merge: a symbol is a coin for each length 1 .. lmax that it may reach. Longest first, the
 * coins of a length are merged with the packages (pairs) of the length before. The 2n - 2 cheapest of
 * length 1 say how many coins each symbol spends, and that is its length.
 */
#include "codec/huffman.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ITEMS = 2 * CLKV__HUFFMAN_SYMBOLS, SYMBOL_BITS = 10 };

/* The coins and packages of one length, cheapest first. */
struct level {
	int n;
	uint64_t weight[MAX_ITEMS];
};

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Weight << SYMBOL_BITS | symbol of all symbols, lightest first: no two are equal, so any sort gives the same. */
static void sort_symbols(const uint32_t *histogram, int n, uint64_t *keys)
{
	for (int i = 0; i < n; i++)
		keys[i] = ((uint64_t)histogram[i] + 1) << SYMBOL_BITS | (uint64_t)i;
	qsort(keys, (size_t)n, sizeof keys[0], compare_keys);
}

/* Level i: pairs of the one before among the coins; bit i of packages [MAX_ITEMS] says which is which. */
static void merge_level(const uint64_t *keys, int n, int i, const struct level *before,
                        struct level *level, uint16_t *packages)
{
	int coin = 0, pair = 0, n_pairs = before->n / 2;
	level->n = n + n_pairs;
	for (int k = 0; k < level->n; k++) {
		uint64_t package = UINT64_MAX, single = UINT64_MAX;
		if (pair < n_pairs)
			package = before->weight[2 * pair] + before->weight[2 * pair + 1];
		if (coin < n)
			single = keys[coin] >> SYMBOL_BITS;
		bool is_package = package < single;
		level->weight[k] = is_package ? package : single;
		packages[k] |= (uint16_t)(is_package << i);
		if (is_package)
			pair++;
		else
			coin++;
	}
}

void clkv__huffman_lengths(const uint32_t *histogram, int n, int lmax, uint8_t *lengths)
{
	uint64_t keys[CLKV__HUFFMAN_SYMBOLS];
	struct level levels[2] = {{.n = 0}, {.n = 0}};
	uint16_t packages[MAX_ITEMS] = {0};
	assert(n >= 1 && n <= CLKV__HUFFMAN_SYMBOLS);
	assert(lmax >= 1 && lmax <= CLKV__HUFFMAN_BITS && n <= 1 << lmax);
	sort_symbols(histogram, n, keys);
	for (int i = 0; i < lmax; i++)
		merge_level(keys, n, i, &levels[(i + 1) % 2], &levels[i % 2], packages);
	for (int i = 0; i < n; i++)
		lengths[i] = n == 1;
	for (int i = lmax - 1, taken = 2 * n - 2; i >= 0; i--) {
		int pairs = 0;
		for (int k = 0; k < taken; k++) {
			if (packages[k] >> i & 1)
				pairs++;
			else
				lengths[keys[k - pairs] & (CLKV__HUFFMAN_SYMBOLS - 1)]++;
		}
		taken = 2 * pairs;
	}
}

void clkv__huffman_flat(int n, uint8_t *lengths)
{
	assert(n >= 1 && n <= CLKV__HUFFMAN_SYMBOLS);
	memset(lengths, clkv__huffman_flat_bits(n), (size_t)n);
}

bool clkv__huffman_lengths_valid(const uint8_t *lengths, int n, int lmax)
{
	unsigned kraft = 0; /* in 2^-lmax */
	if (n < 1 || n > CLKV__HUFFMAN_SYMBOLS || lmax < 1 || lmax > CLKV__HUFFMAN_BITS)
		return false;
	for (int i = 0; i < n; i++) {
		if (lengths[i] < 1 || lengths[i] > lmax)
			return false;
		kraft += 1u << (lmax - lengths[i]);
	}
	return kraft <= 1u << lmax;
}

static uint32_t reverse_bits(uint32_t code, int bits)
{
	uint32_t reversed = 0;
	for (int i = 0; i < bits; i++)
		reversed |= (code >> i & 1) << (bits - 1 - i);
	return reversed;
}

void clkv__huffman_codes(const uint8_t *lengths, int n, uint32_t *codes)
{
	uint32_t counts[CLKV__HUFFMAN_BITS + 1] = {0}, next[CLKV__HUFFMAN_BITS + 1] = {0};
	assert(clkv__huffman_lengths_valid(lengths, n, CLKV__HUFFMAN_BITS));
	for (int i = 0; i < n; i++)
		counts[lengths[i]]++;
	for (int l = 1; l < CLKV__HUFFMAN_BITS; l++)
		next[l + 1] = (next[l] + counts[l]) << 1;
	for (int i = 0; i < n; i++)
		codes[i] = reverse_bits(next[lengths[i]]++, lengths[i]) | (uint32_t)lengths[i] << 16;
}

static void lookup_singles(const uint8_t *lengths, int n, int index_bits, int longest,
                           uint16_t *lookup)
{
	uint32_t codes[CLKV__HUFFMAN_LOOKUP_SYMBOLS], n_entries = 1u << index_bits;
	clkv__huffman_codes(lengths, n, codes);
	for (uint32_t i = 0; i < n_entries; i++)
		lookup[i] = (uint16_t)longest;
	for (int s = 0; s < n; s++)
		for (uint32_t i = codes[s] & 0xffff; i < n_entries; i += 1u << lengths[s])
			lookup[i] = (uint16_t)(lengths[s] | s << CLKV__HUFFMAN_ENTRY_SYMBOL);
}

void clkv__huffman_lookup(const uint8_t *lengths, int n, int index_bits, bool pairs,
                          uint16_t *lookup)
{
	int longest = 0;
	assert(n <= CLKV__HUFFMAN_LOOKUP_SYMBOLS);
	for (int i = 0; i < n; i++)
		longest = lengths[i] > longest ? lengths[i] : longest;
	assert(index_bits <= CLKV__HUFFMAN_BITS && longest * (pairs ? 2 : 1) <= index_bits);
	assert(!pairs || n <= 32);
	lookup_singles(lengths, n, index_bits, longest, lookup);
	/* From the last entry on: behind the first code stands a smaller index, which is still a single. */
	for (int i = (1 << index_bits) - 1; pairs && i >= 0; i--) {
		int first = lookup[i], second = lookup[i >> (first & CLKV__HUFFMAN_ENTRY_BITS)];
		int symbol = second >> CLKV__HUFFMAN_ENTRY_SYMBOL;
		lookup[i] = (uint16_t)(first + (second & CLKV__HUFFMAN_ENTRY_BITS) +
		                       (symbol << CLKV__HUFFMAN_ENTRY_SECOND));
	}
}

uint64_t clkv__huffman_cost(const uint32_t *histogram, const uint8_t *lengths, int n)
{
	uint64_t bits = 0;
	for (int i = 0; i < n; i++)
		bits += (uint64_t)histogram[i] * lengths[i];
	return bits;
}
