/* SPDX-License-Identifier: MIT */
/** \file run_codes.c \brief Tables of runs: which ones get a codeword, and what coders and decoders look up. */
#include "codec/run_codes.h"

#include "base/alloc.h"
#include "base/error.h"
#include "codec/huffman.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = CLKV__RUN_ENTRIES - 1, CODE_MOST = 127 };
#define RUN_MASK ((1u << CLKV__RUN_FIELD) - 1)

static uint32_t length_of(uint32_t entry)
{
	return entry >> CLKV__RUN_FIELD;
}

/* Bits behind the codeword of an escape. */
static uint32_t raw_bits(uint32_t n)
{
	return n * CLKV__RUN_RAW;
}

uint32_t clkv__run_of(const int8_t *codes, uint32_t n)
{
	const int bits = (int)(CLKV__RUN_FIELD / n), half = 1 << (bits - 1);
	uint32_t run = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (codes[i] < -half || codes[i] >= half)
			return CLKV__RUN_NONE;
		run |= ((uint32_t)codes[i] & (2u * (uint32_t)half - 1)) << (int)i * bits;
	}
	return run;
}

/* ---------------------------------------------------------------- learning ---- */

/* Runs of one n in a sample, the commonest first. */
struct runs {
	uint64_t *found; /* count << CLKV__RUN_FIELD | run */
	size_t n_found;  /* seen more than once: what was seen once is as good as never seen */
	uint64_t all;    /* runs of the sample */
};

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static int compare_most_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x < y) - (x > y);
}

static size_t sort_runs(const int8_t *sample, size_t count, uint32_t n, uint32_t *sorted)
{
	size_t n_sorted = 0;
	for (size_t i = 0; i < count; i += n) {
		uint32_t run = clkv__run_of(sample + i, n);
		if (run != CLKV__RUN_NONE)
			sorted[n_sorted++] = run;
	}
	qsort(sorted, n_sorted, sizeof *sorted, compare_u32);
	return n_sorted;
}

/* sorted: room for count / n runs. */
static void count_runs(const int8_t *sample, size_t count, uint32_t n, uint32_t *sorted,
                       struct runs *runs)
{
	const size_t n_sorted = sort_runs(sample, count, n, sorted);
	runs->all = count / n;
	runs->n_found = 0;
	for (size_t i = 0, next; i < n_sorted; i = next) {
		for (next = i + 1; next < n_sorted && sorted[next] == sorted[i];)
			next++;
		if (next - i > 1)
			runs->found[runs->n_found++] = (uint64_t)(next - i) << CLKV__RUN_FIELD | sorted[i];
	}
	qsort(runs->found, runs->n_found, sizeof *runs->found, compare_most_first);
}

static uint32_t as_count(uint64_t count, int shift)
{
	return (uint32_t)(count >> shift);
}

/* Lengths [1 + most] of the escape and the `most` commonest runs; returns the bits of the whole sample. */
static uint64_t give_lengths(const struct runs *runs, size_t most, uint32_t n, uint8_t *lengths)
{
	uint32_t histogram[CLKV__RUN_ENTRIES];
	uint64_t escapes = runs->all, bits = 0;
	int shift = 0; /* so that a count fits its 32 bits */
	while (runs->all >> shift > UINT32_MAX)
		shift++;
	for (size_t i = 0; i < most; i++) {
		histogram[1 + i] = as_count(runs->found[i] >> CLKV__RUN_FIELD, shift);
		escapes -= runs->found[i] >> CLKV__RUN_FIELD;
	}
	histogram[0] = as_count(escapes, shift);
	clkv__huffman_lengths(histogram, (int)most + 1, CLKV__RUN_BITS, lengths);
	for (size_t i = 0; i < most; i++)
		bits += (runs->found[i] >> CLKV__RUN_FIELD) * lengths[1 + i];
	return bits + escapes * (lengths[0] + raw_bits(n));
}

/* A table of runs and their lengths, which come in any order. */
static void fill_table(const struct runs *runs, size_t most, uint32_t n, const uint8_t *lengths,
                       struct clkv__run_table *table)
{
	memset(table, 0, sizeof *table);
	table->n = n;
	table->entries = (uint32_t)most + 1;
	table->entry[0] = (uint32_t)lengths[0] << CLKV__RUN_FIELD;
	for (size_t i = 0; i < most; i++)
		table->entry[1 + i] = (uint32_t)(runs->found[i] & RUN_MASK) | (uint32_t)lengths[1 + i]
		                                                                  << CLKV__RUN_FIELD;
	qsort(table->entry + 1, most, sizeof *table->entry, compare_u32);
}

/* Makes the table of an n if it takes fewer bits than *least. A rare run takes room from the common ones, so that fewer
 * entries may be better: numbers of them are tried, each three quarters of the one before. */
static void try_runs(const struct runs *runs, uint32_t n, uint64_t *least,
                     struct clkv__run_table *table)
{
	uint8_t lengths[CLKV__RUN_ENTRIES];
	size_t most = runs->n_found < RUNS ? runs->n_found : RUNS;
	for (bool last = false; !last; most = most * 3 / 4) {
		last = most == 0;
		uint64_t bits = give_lengths(runs, most, n, lengths);
		if (bits >= *least)
			continue;
		*least = bits;
		fill_table(runs, most, n, lengths, table);
	}
}

/* The table of an empty sample: zeros are what most classes hold most. */
static void fill_empty(struct clkv__run_table *table)
{
	memset(table, 0, sizeof *table);
	table->n = 8;
	table->entries = 2;
	table->entry[0] = table->entry[1] = 1u << CLKV__RUN_FIELD;
}

clkv_status clkv__run_learn(const int8_t *sample, size_t count, const clkv_allocator *allocator,
                            struct clkv__run_table *table, clkv_error *error)
{
	uint64_t least = UINT64_MAX;
	assert(count % 8 == 0);
	if (count == 0) {
		fill_empty(table);
		return CLKV_OK;
	}
	uint32_t *sorted = clkv__calloc(allocator, count, sizeof *sorted);
	struct runs runs = {clkv__calloc(allocator, count / 2, sizeof *runs.found), 0, 0};
	bool room = sorted && runs.found;
	for (uint32_t n = 8; room && n >= 1; n /= 2) {
		count_runs(sample, count, n, sorted, &runs);
		try_runs(&runs, n, &least, table);
	}
	clkv__free(allocator, sorted);
	clkv__free(allocator, runs.found);
	if (!room)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory to count runs of %zu codes",
		          count);
	return CLKV_OK;
}

/* ---------------------------------------------------------------- looking up ---- */

/* Codewords of all entries: codeword | length << 16. */
static void give_codes(const struct clkv__run_table *table, uint32_t *codes)
{
	uint8_t lengths[CLKV__RUN_ENTRIES];
	for (uint32_t i = 0; i < table->entries; i++)
		lengths[i] = (uint8_t)length_of(table->entry[i]);
	clkv__huffman_codes(lengths, (int)table->entries, codes);
}

void clkv__run_decoder(const struct clkv__run_table *table, uint32_t *lookup)
{
	uint32_t codes[CLKV__RUN_ENTRIES];
	const uint32_t escape = ABI_RUN_ESCAPE | table->entry[0];
	give_codes(table, codes);
	for (uint32_t i = 0; i < 1u << CLKV__RUN_BITS; i++)
		lookup[i] = escape;
	for (uint32_t e = 1; e < table->entries; e++)
		for (uint32_t i = codes[e] & 0xffff; i < 1u << CLKV__RUN_BITS;
		     i += 1u << length_of(table->entry[e]))
			lookup[i] = table->entry[e];
}

/* The slot of a run, or the free one that ends the search for it. */
static uint32_t *slot_of(uint32_t *slots, uint32_t run)
{
	uint32_t i = ABI_RUN_SLOT(run);
	while (slots[2 * i] != 0 && (slots[2 * i] & RUN_MASK) != run)
		i = (i + 1) % ABI_RUN_SLOTS;
	return slots + 2 * (size_t)i;
}

void clkv__run_coder(const struct clkv__run_table *table, uint32_t *slots, uint32_t *escape)
{
	uint32_t codes[CLKV__RUN_ENTRIES];
	give_codes(table, codes);
	memset(slots, 0, 2 * ABI_RUN_SLOTS * sizeof *slots);
	escape[0] = table->entry[0];
	escape[1] = codes[0] & 0xffff;
	for (uint32_t e = 1; e < table->entries; e++) {
		uint32_t *slot = slot_of(slots, table->entry[e] & RUN_MASK);
		slot[0] = table->entry[e];
		slot[1] = codes[e] & 0xffff;
	}
}

uint64_t clkv__run_cost(const struct clkv__run_table *table, const int8_t *codes, size_t count)
{
	uint32_t slots[2 * ABI_RUN_SLOTS], escape[2];
	uint64_t bits = 0;
	clkv__run_coder(table, slots, escape);
	for (size_t i = 0; i < count; i += table->n) {
		uint32_t run = clkv__run_of(codes + i, table->n);
		uint32_t entry = run == CLKV__RUN_NONE ? 0 : slot_of(slots, run)[0];
		bits += entry ? length_of(entry) : length_of(escape[0]) + raw_bits(table->n);
	}
	return bits;
}

/* ---------------------------------------------------------------- tables from outside ---- */

static bool lengths_valid(const struct clkv__run_table *table)
{
	uint8_t lengths[CLKV__RUN_ENTRIES];
	for (uint32_t i = 0; i < table->entries; i++) {
		uint32_t length = length_of(table->entry[i]);
		lengths[i] = (uint8_t)(length > CLKV__RUN_BITS ? 0 : length);
	}
	return clkv__huffman_lengths_valid(lengths, (int)table->entries, CLKV__RUN_BITS);
}

/* Whether a run is one of codes: the fields of one integer or of two could hold more. */
static bool run_valid(uint32_t run, uint32_t n)
{
	const int bits = (int)(CLKV__RUN_FIELD / n);
	for (uint32_t i = 0; i < n; i++) {
		int field = (int)(run >> (int)i * bits & ((1u << bits) - 1));
		field -= field >> (bits - 1) << bits;
		if (field < -CODE_MOST || field > CODE_MOST)
			return false;
	}
	return true;
}

bool clkv__run_valid(const struct clkv__run_table *table)
{
	uint32_t slots[2 * ABI_RUN_SLOTS] = {0};
	const uint32_t n = table->n, *entry = table->entry;
	if ((n != 1 && n != 2 && n != 4 && n != 8) || table->entries < 1 ||
	    table->entries > CLKV__RUN_ENTRIES)
		return false;
	if ((entry[0] & RUN_MASK) != 0 || !lengths_valid(table))
		return false;
	for (uint32_t i = 1; i < table->entries; i++) {
		uint32_t run = entry[i] & RUN_MASK, *slot = slot_of(slots, run);
		if ((i > 1 && entry[i] <= entry[i - 1]) || slot[0] != 0 || !run_valid(run, n))
			return false;
		slot[0] = entry[i];
	}
	return true;
}
