/* SPDX-License-Identifier: MIT */
/** \file check_huffman.c \brief Code tables: lengths, codes, lookups, and few tables for many sources.
 */
#include "codec/book.h"
#include "codec/huffman.h"
#include "support/random.h"
#include "support/suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = CLKV__HUFFMAN_SYMBOLS, STREAM = 4000 };

/* ---------------------------------------------------------------- histograms ---- */

static const uint32_t UNITS[] = {1, 100, 100000, UINT32_MAX};

/* Kinds of histograms: all but the first two with random parameters. */
enum kind { ONE_SYMBOL, EQUAL, RANDOM, PEAKED, FIBONACCI, EXTREME, N_KINDS };

static void fill_histogram(enum kind kind, uint64_t seed, int n, uint32_t *histogram)
{
	uint64_t state = seed;
	uint32_t a = 0, b = 1;
	for (int i = 0; i < n; i++) {
		uint64_t r = random_next(&state);
		double z = (double)i - n / 2.0;
		switch (kind) {
		case ONE_SYMBOL:
			histogram[i] = i == n / 2 ? 5000 : 0;
			break;
		case EQUAL:
			histogram[i] = 7;
			break;
		case RANDOM:
			histogram[i] = (uint32_t)random_below(r, 1000);
			break;
		case PEAKED:
			histogram[i] = (uint32_t)(1e6 * exp(-z * z / (1 + (double)(seed % 20))));
			break;
		case FIBONACCI:
			histogram[i] = a;
			a = a > UINT32_MAX / 2 ? a : a + b;
			b = a > b ? a - b : b;
			break;
		default:
			histogram[i] = random_below(r, 3) ? 0 : UINT32_MAX;
		}
	}
}

/* The least lmax that n symbols allow. */
static int least_bits(int n)
{
	int bits = 1;
	while (1 << bits < n)
		bits++;
	return bits;
}

static uint64_t kraft(const uint8_t *lengths, int n)
{
	uint64_t sum = 0;
	for (int i = 0; i < n; i++)
		sum += UINT64_C(1) << (32 - lengths[i]);
	return sum;
}

/* Bits of counts of one more than the histogram's: what clkv__huffman_lengths promises the least of. */
static uint64_t cost_plus_one(const uint32_t *histogram, const uint8_t *lengths, int n)
{
	uint64_t bits = 0;
	for (int i = 0; i < n; i++)
		bits += ((uint64_t)histogram[i] + 1) * lengths[i];
	return bits;
}

static int longest_of(const uint8_t *lengths, int n)
{
	int longest = 0;
	for (int i = 0; i < n; i++)
		longest = lengths[i] > longest ? lengths[i] : longest;
	return longest;
}

/* ---------------------------------------------------------------- lengths ---- */

/* Huffman's own construction, which knows no limit: the least bits, and the longest code. */
static uint64_t plain_huffman(const uint32_t *histogram, int n, int *longest)
{
	struct {
		uint64_t weight;
		int depth;
	} nodes[N_MAX];
	uint64_t bits = 0;
	int left = n;
	for (int i = 0; i < n; i++) {
		nodes[i].weight = (uint64_t)histogram[i] + 1;
		nodes[i].depth = 0;
	}
	for (; left > 1; left--) {
		int a = 0, b; /* the lightest two; the shallower of equals */
		for (int i = 0; i < left; i++) {
			if (nodes[i].weight < nodes[a].weight ||
			    (nodes[i].weight == nodes[a].weight && nodes[i].depth < nodes[a].depth))
				a = i;
		}
		b = a == 0 ? 1 : 0;
		for (int i = 0; i < left; i++) {
			if (i != a && (nodes[i].weight < nodes[b].weight ||
			               (nodes[i].weight == nodes[b].weight && nodes[i].depth < nodes[b].depth)))
				b = i;
		}
		nodes[a].weight += nodes[b].weight;
		nodes[a].depth = 1 + (nodes[a].depth > nodes[b].depth ? nodes[a].depth : nodes[b].depth);
		bits += nodes[a].weight;
		nodes[b] = nodes[left - 1];
	}
	*longest = nodes[0].depth;
	return bits;
}

static double entropy_bits(const uint32_t *histogram, int n)
{
	double total = 0, bits = 0;
	for (int i = 0; i < n; i++)
		total += histogram[i] + 1.0;
	for (int i = 0; i < n; i++)
		bits += (histogram[i] + 1.0) * log2(total / (histogram[i] + 1.0));
	return bits / total;
}

static void check_lengths(const uint32_t *histogram, int n, int lmax)
{
	uint8_t lengths[N_MAX];
	double total = 0;
	int longest;
	clkv__huffman_lengths(histogram, n, lmax, lengths);
	ck_assert(clkv__huffman_lengths_valid(lengths, n, lmax));
	ck_assert_uint_eq(kraft(lengths, n), UINT64_C(1) << 32);
	int bad = 0;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
			bad += histogram[i] > histogram[j] && lengths[i] > lengths[j];
	ck_assert_int_eq(bad, 0);
	uint64_t least = plain_huffman(histogram, n, &longest);
	uint64_t bits = cost_plus_one(histogram, lengths, n);
	ck_assert_uint_ge(bits, least);
	if (longest > lmax)
		return;
	ck_assert_uint_eq(bits, least);
	for (int i = 0; i < n; i++)
		total += histogram[i] + 1.0;
	double mean = (double)bits / total, entropy = entropy_bits(histogram, n);
	ck_assert_double_ge(mean, entropy - 1e-9);
	ck_assert_double_lt(mean, entropy + 1);
}

START_TEST(test_lengths_are_complete_and_optimal)
{
	static const int sizes[] = {2, 3, 5, 11, 17, 32, 33, 100, 255, 256, N_MAX};
	uint32_t histogram[N_MAX];
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
		for (uint64_t seed = 0; seed < 8; seed++) {
			fill_histogram((enum kind)_i, seed, sizes[s], histogram);
			for (int lmax = least_bits(sizes[s]); lmax <= CLKV__HUFFMAN_BITS; lmax++)
				check_lengths(histogram, sizes[s], lmax);
		}
}
END_TEST

/* All complete length vectors, one symbol after the other; room is what is left of the Kraft sum. */
static void try_lengths(const uint32_t *histogram, int n, int lmax, int at, int room,
                        uint8_t *lengths, uint64_t *least)
{
	if (at == n) {
		uint64_t bits = cost_plus_one(histogram, lengths, n);
		if (room == 0 && bits < *least)
			*least = bits;
		return;
	}
	for (int l = 1; l <= lmax; l++) {
		if (1 << (lmax - l) > room)
			continue;
		lengths[at] = (uint8_t)l;
		try_lengths(histogram, n, lmax, at + 1, room - (1 << (lmax - l)), lengths, least);
	}
}

START_TEST(test_no_other_lengths_are_cheaper)
{
	uint32_t histogram[6];
	uint8_t lengths[6];
	uint64_t state = 7;
	for (int n = 2; n <= 6; n++)
		for (int round = 0; round < 60; round++) {
			uint32_t below = UNITS[round % 4];
			for (int i = 0; i < n; i++)
				histogram[i] = (uint32_t)random_below(random_next(&state), below);
			for (int lmax = least_bits(n); lmax <= 5; lmax++) {
				uint64_t least = UINT64_MAX;
				try_lengths(histogram, n, lmax, 0, 1 << lmax, lengths, &least);
				clkv__huffman_lengths(histogram, n, lmax, lengths);
				ck_assert_uint_eq(cost_plus_one(histogram, lengths, n), least);
			}
		}
}
END_TEST

START_TEST(test_skewed_counts_reach_the_limit)
{
	uint32_t histogram[N_MAX];
	uint8_t lengths[N_MAX];
	fill_histogram(FIBONACCI, 0, 32, histogram);
	for (int lmax = 5; lmax <= CLKV__HUFFMAN_BITS; lmax++) {
		clkv__huffman_lengths(histogram, 32, lmax, lengths);
		ck_assert_int_eq(longest_of(lengths, 32), lmax);
	}
}
END_TEST

START_TEST(test_flat_codes_and_one_symbol)
{
	static const struct {
		int n, bits;
	} cases[] = {{1, 1}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {11, 4}, {16, 4}, {17, 5}, {256, 8}};
	uint32_t histogram = 9, code;
	uint8_t lengths[N_MAX];
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		clkv__huffman_flat(cases[c].n, lengths);
		for (int i = 0; i < cases[c].n; i++)
			ck_assert_int_eq(lengths[i], cases[c].bits);
	}
	lengths[0] = 0;
	clkv__huffman_lengths(&histogram, 1, 6, lengths);
	ck_assert_int_eq(lengths[0], 1);
	clkv__huffman_codes(lengths, 1, &code);
	ck_assert_uint_eq(code, 1u << 16);
	ck_assert_uint_eq(clkv__huffman_cost(&histogram, lengths, 1), 9);
}
END_TEST

START_TEST(test_foreign_lengths_are_checked)
{
	static const struct {
		uint8_t lengths[6];
		int n, lmax;
		bool valid;
	} cases[] = {
		{{1, 1}, 2, 1, true},
		{{1}, 1, 1, true},
		{{2, 2, 2}, 3, 6, true},
		{{1, 2, 3, 4, 5, 5}, 6, 5, true},
		{{1, 2, 3, 4, 5, 5}, 6, 4, false}, /* longer than lmax */
		{{1, 2, 3, 4, 5, 4}, 6, 5, false}, /* Kraft sum 33 / 32 */
		{{1, 1, 12}, 3, 12, false},
		{{1, 0}, 2, 6, false},
		{{0}, 1, 6, false},
		{{255, 1}, 2, 12, false},
		{{13, 13}, 2, 13, false}, /* no table has codes of 13 bits */
		{{1, 1}, 2, 0, false},
		{{1, 1}, 0, 6, false},
		{{1, 1}, -1, 6, false},
		{{1, 1}, CLKV__HUFFMAN_SYMBOLS + 1, 12, false},
	};
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
		ck_assert_msg(clkv__huffman_lengths_valid(cases[c].lengths, cases[c].n, cases[c].lmax) ==
		                  cases[c].valid,
		              "case %zu", c);
}
END_TEST

/* ---------------------------------------------------------------- streams ---- */

/* A lane as the device has it: bits from the least significant of the first byte on. */
struct stream {
	uint8_t bytes[STREAM * 2];
	size_t bits;
};

static void put_bits(struct stream *s, uint32_t code)
{
	for (uint32_t i = 0; i < code >> 16; i++, s->bits++)
		s->bytes[s->bits / 8] |= (uint8_t)((code >> i & 1) << s->bits % 8);
}

static uint32_t peek_bits(const struct stream *s, size_t at, int n)
{
	uint32_t word = 0;
	for (int i = 0; i < n; i++, at++)
		if (at < s->bits)
			word |= (uint32_t)(s->bytes[at / 8] >> at % 8 & 1) << i;
	return word;
}

static void decode_singles(const struct stream *s, const uint8_t *lengths, int n, int index_bits,
                           const uint8_t *symbols)
{
	uint16_t lookup[1 << CLKV__HUFFMAN_BITS];
	size_t at = 0;
	int bad = 0;
	clkv__huffman_lookup(lengths, n, index_bits, false, lookup);
	for (int i = 0; i < STREAM; i++) {
		uint16_t entry = lookup[peek_bits(s, at, index_bits)];
		bad += entry >> CLKV__HUFFMAN_ENTRY_SYMBOL != symbols[i];
		bad += (entry & CLKV__HUFFMAN_ENTRY_BITS) != lengths[symbols[i]];
		at += entry & CLKV__HUFFMAN_ENTRY_BITS;
	}
	ck_assert_int_eq(bad, 0);
	ck_assert_uint_eq(at, s->bits);
}

static void decode_pairs(const struct stream *s, const uint8_t *lengths, int n, int index_bits,
                         const uint8_t *symbols)
{
	uint16_t lookup[1 << CLKV__HUFFMAN_BITS];
	size_t at = 0;
	int bad = 0;
	clkv__huffman_lookup(lengths, n, index_bits, true, lookup);
	for (int i = 0; i < STREAM; i += 2) {
		uint16_t entry = lookup[peek_bits(s, at, index_bits)];
		bad += (entry >> CLKV__HUFFMAN_ENTRY_SYMBOL & 31) != symbols[i];
		bad += entry >> CLKV__HUFFMAN_ENTRY_SECOND != symbols[i + 1];
		at += entry & CLKV__HUFFMAN_ENTRY_BITS;
	}
	ck_assert_int_eq(bad, 0);
	ck_assert_uint_eq(at, s->bits);
}

/* Whatever the bits, an entry is a symbol of the alphabet and makes the stream go on, within its index. */
static void check_entries(const uint8_t *lengths, int n, int index_bits)
{
	uint16_t lookup[1 << CLKV__HUFFMAN_BITS];
	int longest = longest_of(lengths, n), bad = 0;
	clkv__huffman_lookup(lengths, n, index_bits, false, lookup);
	for (int i = 0; i < 1 << index_bits; i++) {
		int bits = lookup[i] & CLKV__HUFFMAN_ENTRY_BITS;
		bad += bits < 1 || bits > longest || lookup[i] >> CLKV__HUFFMAN_ENTRY_SYMBOL >= n;
	}
	ck_assert_int_eq(bad, 0);
	if (n > 32 || 2 * longest > index_bits)
		return;
	clkv__huffman_lookup(lengths, n, index_bits, true, lookup);
	for (int i = 0; i < 1 << index_bits; i++) {
		int bits = lookup[i] & CLKV__HUFFMAN_ENTRY_BITS;
		bad += bits < 2 || bits > 2 * longest ||
		       (lookup[i] >> CLKV__HUFFMAN_ENTRY_SYMBOL & 31) >= n ||
		       lookup[i] >> CLKV__HUFFMAN_ENTRY_SECOND >= n;
	}
	ck_assert_int_eq(bad, 0);
}

/* Encodes symbols drawn evenly from those that used says, and decodes them with every lookup there is. */
static void check_stream(const uint8_t *lengths, int n, const bool *used)
{
	static struct stream s;
	uint8_t symbols[STREAM];
	uint32_t codes[N_MAX], counts[N_MAX] = {0};
	uint64_t state = 3;
	int longest = longest_of(lengths, n);
	memset(&s, 0, sizeof s);
	clkv__huffman_codes(lengths, n, codes);
	for (int i = 0; i < STREAM; i++) {
		do
			symbols[i] = (uint8_t)random_below(random_next(&state), (size_t)n);
		while (!used[symbols[i]]);
		counts[symbols[i]]++;
		put_bits(&s, codes[symbols[i]]);
	}
	ck_assert_uint_eq(s.bits, clkv__huffman_cost(counts, lengths, n));
	for (int bits = longest; bits <= CLKV__HUFFMAN_BITS; bits++) {
		check_entries(lengths, n, bits);
		decode_singles(&s, lengths, n, bits, symbols);
		if (n <= 32 && 2 * longest <= bits)
			decode_pairs(&s, lengths, n, bits, symbols);
	}
}

START_TEST(test_streams_come_back)
{
	static const int sizes[] = {1, 2, 3, 11, 17, 32, 33, 200, 256};
	uint32_t histogram[N_MAX];
	uint8_t lengths[N_MAX];
	bool used[N_MAX];
	memset(used, true, sizeof used);
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		int n = sizes[s];
		clkv__huffman_flat(n, lengths);
		check_stream(lengths, n, used);
		for (int lmax = least_bits(n); lmax <= CLKV__HUFFMAN_BITS; lmax += 3) {
			fill_histogram((enum kind)_i, 5, n, histogram);
			clkv__huffman_lengths(histogram, n, lmax, lengths);
			check_stream(lengths, n, used);
		}
	}
}
END_TEST

/* A table of the even symbols carries the odd ones, which it never saw. */
START_TEST(test_unseen_symbols_come_back)
{
	static const int sizes[] = {11, 32, 256};
	uint32_t histogram[N_MAX];
	uint8_t lengths[N_MAX];
	bool used[N_MAX];
	int n = sizes[_i];
	for (int i = 0; i < n; i++) {
		histogram[i] = i % 2 ? 0 : 1000000;
		used[i] = i % 2;
	}
	clkv__huffman_lengths(histogram, n, n <= 32 ? 6 : 11, lengths);
	check_stream(lengths, n, used);
}
END_TEST

/* Lengths that passed the check, though no Huffman table has them, decode to something harmless. */
START_TEST(test_incomplete_tables_are_harmless)
{
	static const uint8_t cases[][4] = {
		{12, 12, 12, 12}, {1, 12, 12, 12}, {3, 3, 3, 3}, {6, 5, 6, 1}};
	bool used[4] = {true, true, true, true};
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		ck_assert(clkv__huffman_lengths_valid(cases[c], 4, CLKV__HUFFMAN_BITS));
		check_stream(cases[c], 4, used);
	}
}
END_TEST

/* ---------------------------------------------------------------- clustering ---- */

enum { SOURCES = 40, TABLES = 15 };

static const clkv_allocator no_allocator;

static uint64_t book_cost(const uint32_t *histograms, int n_sources, int n, const uint8_t *lengths,
                          const uint32_t *owner)
{
	uint64_t bits = 0;
	for (int s = 0; s < n_sources; s++)
		bits += clkv__huffman_cost(histograms + s * n, lengths + owner[s] * (uint32_t)n, n);
	return bits;
}

/* Clusters twice, into memory of different contents; returns the number of tables. */
static int cluster(const uint32_t *histograms, int n_sources, int n, int lmax, int max_tables,
                   uint8_t *lengths, uint32_t *owner)
{
	static uint8_t lengths2[TABLES * N_MAX];
	uint32_t owner2[SOURCES];
	memset(lengths, 0xaa, TABLES * N_MAX);
	memset(lengths2, 0x55, sizeof lengths2);
	int n_tables = clkv__book_cluster(histograms, (size_t)n_sources, n, lmax, max_tables, lengths,
	                                  owner, &no_allocator, NULL);
	ck_assert(n_tables >= 1 && n_tables <= max_tables);
	ck_assert_int_eq(clkv__book_cluster(histograms, (size_t)n_sources, n, lmax, max_tables,
	                                    lengths2, owner2, &no_allocator, NULL),
	                 n_tables);
	ck_assert_mem_eq(lengths, lengths2, (size_t)(n_tables * n));
	ck_assert_mem_eq(owner, owner2, (size_t)n_sources * sizeof *owner);
	for (int t = 0; t < n_tables; t++)
		ck_assert(clkv__huffman_lengths_valid(lengths + t * n, n, lmax));
	return n_tables;
}

/* Every source with counts has the cheapest table, every table such a source, the others table 0. */
static void check_owners(const uint32_t *histograms, int n_sources, int n, int n_tables,
                         const uint8_t *lengths, const uint32_t *owner)
{
	bool taken[TABLES] = {false};
	bool any = false;
	for (int s = 0; s < n_sources; s++) {
		const uint32_t *h = histograms + s * n;
		uint64_t total = 0;
		for (int i = 0; i < n; i++)
			total += h[i];
		ck_assert_uint_lt(owner[s], (unsigned)n_tables);
		if (total == 0) {
			ck_assert_uint_eq(owner[s], 0);
			continue;
		}
		any = taken[owner[s]] = true;
		uint64_t bits = clkv__huffman_cost(h, lengths + owner[s] * (uint32_t)n, n);
		for (int t = 0; t < n_tables; t++)
			ck_assert_uint_le(bits, clkv__huffman_cost(h, lengths + t * n, n));
	}
	for (int t = 0; t < n_tables; t++)
		ck_assert(taken[t] || !any);
}

START_TEST(test_clusters_beat_one_table)
{
	static uint32_t histograms[SOURCES * N_MAX];
	static uint8_t lengths[TABLES * N_MAX], one[TABLES * N_MAX];
	static const int sizes[] = {2, 11, 17, 256};
	uint32_t owner[SOURCES], zeros[SOURCES];
	for (int round = 0; round < 40; round++) {
		int n = sizes[round % 4], lmax = n <= 32 ? 6 : 11, n_sources = 1 + round % SOURCES;
		for (int s = 0; s < n_sources; s++)
			fill_histogram(round < 30 ? PEAKED : (enum kind)((round + s) % N_KINDS),
			               (uint64_t)(s * 7 + round), n, histograms + s * n);
		memset(histograms + n_sources / 3 * n, 0, (size_t)n * sizeof *histograms);
		ck_assert_int_eq(cluster(histograms, n_sources, n, lmax, 1, one, zeros), 1);
		uint64_t single = book_cost(histograms, n_sources, n, one, zeros);
		for (int max_tables = 2; max_tables <= TABLES; max_tables += 3) {
			int n_tables = cluster(histograms, n_sources, n, lmax, max_tables, lengths, owner);
			check_owners(histograms, n_sources, n, n_tables, lengths, owner);
			ck_assert_uint_le(book_cost(histograms, n_sources, n, lengths, owner), single);
		}
	}
}
END_TEST

/* Sources of two families, mixed: two tables, one for each. */
START_TEST(test_families_are_found)
{
	uint32_t histograms[20 * 16], owner[20];
	static uint8_t lengths[TABLES * N_MAX];
	for (int s = 0; s < 20; s++)
		for (int i = 0; i < 16; i++)
			histograms[s * 16 + i] =
				s % 3 == 0 ? (i == 8 ? 100000u : 10u) : 1000u + (uint32_t)(s * i);
	int n_tables = cluster(histograms, 20, 16, 6, TABLES, lengths, owner);
	ck_assert_int_ge(n_tables, 2);
	ck_assert_int_eq(cluster(histograms, 20, 16, 6, 2, lengths, owner), 2);
	for (int s = 0; s < 20; s++)
		ck_assert_uint_eq(owner[s], owner[s % 3 == 0 ? 0 : 1]);
	ck_assert_uint_ne(owner[0], owner[1]);
}
END_TEST

/* Sources that are all alike, empty, or none at all make one table. */
START_TEST(test_alike_and_empty_sources_share_a_table)
{
	uint32_t histograms[SOURCES * 11], owner[SOURCES];
	static uint8_t lengths[TABLES * N_MAX];
	for (int s = 0; s < SOURCES; s++)
		fill_histogram(PEAKED, 1, 11, histograms + s * 11);
	ck_assert_int_eq(cluster(histograms, SOURCES, 11, 6, TABLES, lengths, owner), 1);
	memset(histograms, 0, sizeof histograms);
	ck_assert_int_eq(cluster(histograms, SOURCES, 11, 6, TABLES, lengths, owner), 1);
	ck_assert_int_eq(cluster(histograms, 0, 11, 6, TABLES, lengths, owner), 1);
	for (int s = 0; s < SOURCES; s++)
		ck_assert_uint_eq(owner[s], 0);
}
END_TEST

/* Sums beyond 32 bits still make the table of the right shape. */
START_TEST(test_huge_counts_add_up)
{
	uint32_t histograms[SOURCES * 3], owner[SOURCES];
	static uint8_t lengths[TABLES * N_MAX];
	for (int s = 0; s < SOURCES; s++) {
		histograms[s * 3] = 1u << 30;
		histograms[s * 3 + 1] = UINT32_MAX;
		histograms[s * 3 + 2] = 1u << 31;
	}
	ck_assert_int_eq(cluster(histograms, SOURCES, 3, 6, TABLES, lengths, owner), 1);
	ck_assert_mem_eq(lengths, ((uint8_t[]){2, 1, 2}), 3);
}
END_TEST

static void *refuse(void *opaque, size_t size)
{
	(void)opaque;
	(void)size;
	return NULL;
}

static void never_free(void *opaque, void *ptr)
{
	(void)opaque;
	ck_assert_ptr_null(ptr);
}

START_TEST(test_no_memory_leaves_the_outputs)
{
	const clkv_allocator none = {.alloc = refuse, .free = never_free};
	uint32_t histograms[4] = {1, 2, 3, 4}, owner[2] = {77, 77};
	uint8_t lengths[4] = {99, 99, 99, 99};
	clkv_error error;
	memset(&error, 0, sizeof error);
	ck_assert_int_eq(clkv__book_cluster(histograms, 2, 2, 6, 2, lengths, owner, &none, &error), 0);
	ck_assert_int_eq(error.status, CLKV_ERROR_NO_HOST_MEMORY);
	ck_assert(owner[0] == 77 && owner[1] == 77 && lengths[0] == 99 && lengths[3] == 99);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("huffman");
	TCase *lengths = tcase_create("lengths"), *streams = tcase_create("streams");
	TCase *book = tcase_create("book");
	tcase_add_loop_test(lengths, test_lengths_are_complete_and_optimal, 0, N_KINDS);
	tcase_add_test(lengths, test_no_other_lengths_are_cheaper);
	tcase_add_test(lengths, test_skewed_counts_reach_the_limit);
	tcase_add_test(lengths, test_flat_codes_and_one_symbol);
	tcase_add_test(lengths, test_foreign_lengths_are_checked);
	tcase_add_loop_test(streams, test_streams_come_back, 0, N_KINDS);
	tcase_add_loop_test(streams, test_unseen_symbols_come_back, 0, 3);
	tcase_add_test(streams, test_incomplete_tables_are_harmless);
	tcase_add_test(book, test_clusters_beat_one_table);
	tcase_add_test(book, test_families_are_found);
	tcase_add_test(book, test_alike_and_empty_sources_share_a_table);
	tcase_add_test(book, test_huge_counts_add_up);
	tcase_add_test(book, test_no_memory_leaves_the_outputs);
	TCase *all[] = {lengths, streams, book};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		tcase_set_timeout(all[i], 60);
		suite_add_tcase(suite, all[i]);
	}
	return run_suite(suite);
}
