/* SPDX-License-Identifier: MIT */
/**
 * \file    pages.c
 * \brief   Boundary tags (Knuth, The Art of Computer Programming 1, 2.5) beside the memory they speak of.
 *
 * The range is pages and free runs, end to end. Each has its length << 1 | used in the tag of its first
 * unit and in that of its last, so that a released page finds both neighbours. The second tag of a page
 * counts its references; the second and third of a free run link it into its bin. Runs shorter than 4
 * units, which no page fits, are in no bin and wait for a neighbour. Tags inside are 0: an address that
 * is no page's is noticed.
 */
#include "store/pages.h"

#include "base/alloc.h"
#include "base/error.h"

#include <assert.h>

/* The link behind the last run of a bin and before its first. */
#define NONE UINT32_MAX

enum { USED = 1, REFS = 1, NEXT = 1, PREVIOUS = 2 };

static int bin_of(uint32_t length)
{
	int power = 8;
	if (length <= CLKV__PAGES_EXACT)
		return (int)length - CLKV__PAGE_LEAST;
	while (length >> power > 1)
		power++;
	return CLKV__PAGES_EXACT + 1 - CLKV__PAGE_LEAST + 4 * (power - 8) +
	       (int)(length >> (power - 2) & 3);
}

/* The first bin that isn't empty, from bin on; CLKV__PAGES_BINS if there is none. */
static int next_filled(const struct clkv__pages *pages, int bin)
{
	while (bin < CLKV__PAGES_BINS) {
		uint32_t rest = pages->filled[bin / 32] >> bin % 32;
		if (rest & 1)
			return bin;
		bin = rest ? bin + 1 : (bin / 32 + 1) * 32;
	}
	return CLKV__PAGES_BINS;
}

static void tag(struct clkv__pages *pages, uint32_t i, uint32_t length, uint32_t state)
{
	pages->tags[i] = length << 1 | state;
	pages->tags[i + length - 1] = length << 1 | state;
}

/* Makes units i .. i + length - 1 a free run. */
static void insert_run(struct clkv__pages *pages, uint32_t i, uint32_t length)
{
	if (length == 0)
		return;
	tag(pages, i, length, 0);
	if (length < CLKV__PAGE_LEAST)
		return;
	int bin = bin_of(length);
	uint32_t next = pages->heads[bin];
	pages->tags[i + NEXT] = next;
	pages->tags[i + PREVIOUS] = NONE;
	if (next != NONE)
		pages->tags[next + PREVIOUS] = i;
	pages->heads[bin] = i;
	pages->filled[bin / 32] |= UINT32_C(1) << bin % 32;
}

/* Takes a free run out of its bin and clears its tags; returns its length. */
static uint32_t remove_run(struct clkv__pages *pages, uint32_t i)
{
	uint32_t *tags = pages->tags, length = tags[i] >> 1;
	if (length >= CLKV__PAGE_LEAST) {
		uint32_t next = tags[i + NEXT], previous = tags[i + PREVIOUS];
		int bin = bin_of(length);
		if (next != NONE)
			tags[next + PREVIOUS] = previous;
		if (previous != NONE)
			tags[previous + NEXT] = next;
		else
			pages->heads[bin] = next;
		if (pages->heads[bin] == NONE)
			pages->filled[bin / 32] &= ~(UINT32_C(1) << bin % 32);
		tags[i + NEXT] = tags[i + PREVIOUS] = 0;
	}
	tags[i] = tags[i + length - 1] = 0;
	return length;
}

clkv_status clkv__pages_init(struct clkv__pages *pages, const clkv_allocator *allocator,
                             uint32_t first, uint32_t n_units, clkv_error *error)
{
	*pages = (struct clkv__pages){.first = first};
	for (int bin = 0; bin < CLKV__PAGES_BINS; bin++)
		pages->heads[bin] = NONE;
	if (n_units > UINT32_MAX >> 1 || first > UINT32_MAX - n_units)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED, "%u units from %u on; pages hold fewer than 2^31",
		          n_units, first);
	if (n_units == 0)
		return CLKV_OK;
	pages->tags = clkv__calloc(allocator, n_units, sizeof *pages->tags);
	if (!pages->tags)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %u pool units", n_units);
	pages->n = n_units;
	insert_run(pages, 0, n_units);
	return CLKV_OK;
}

void clkv__pages_free(struct clkv__pages *pages, const clkv_allocator *allocator)
{
	clkv__free(allocator, pages->tags);
	*pages = (struct clkv__pages){0};
}

/* The shortest run of a bin with at least length units, the first of equals; NONE if there is none. */
static uint32_t best_of_bin(const struct clkv__pages *pages, int bin, uint32_t length)
{
	uint32_t best = NONE, best_length = UINT32_MAX;
	for (uint32_t i = pages->heads[bin]; i != NONE; i = pages->tags[i + NEXT]) {
		uint32_t l = pages->tags[i] >> 1;
		if (l < length || l >= best_length)
			continue;
		best = i;
		best_length = l;
		if (l == length || l <= CLKV__PAGES_EXACT)
			break;
	}
	return best;
}

static uint32_t best_run(const struct clkv__pages *pages, uint32_t length)
{
	int bin = next_filled(pages, bin_of(length));
	if (bin == CLKV__PAGES_BINS)
		return NONE;
	uint32_t i = best_of_bin(pages, bin, length);
	if (i != NONE)
		return i;
	/* Only the bin of length itself has shorter runs; all of the next suffice. */
	bin = next_filled(pages, bin + 1);
	return bin == CLKV__PAGES_BINS ? NONE : best_of_bin(pages, bin, length);
}

uint32_t clkv__pages_largest(const struct clkv__pages *pages)
{
	int bin = CLKV__PAGES_BINS - 1;
	uint32_t largest = 0;
	while (bin >= 0 && !(pages->filled[bin / 32] >> bin % 32 & 1))
		bin--;
	if (bin < 0)
		return 0;
	for (uint32_t i = pages->heads[bin]; i != NONE; i = pages->tags[i + NEXT]) {
		uint32_t length = pages->tags[i] >> 1;
		largest = length > largest ? length : largest;
		if (length <= CLKV__PAGES_EXACT)
			break;
	}
	return largest;
}

uint32_t clkv__pages_take(struct clkv__pages *pages, uint32_t units)
{
	assert(units > 0);
	units = units < CLKV__PAGE_LEAST ? CLKV__PAGE_LEAST : units;
	uint32_t i = units <= pages->n - pages->used ? best_run(pages, units) : NONE;
	if (i == NONE)
		return CLKV__NO_SLOT;
	uint32_t length = remove_run(pages, i);
	tag(pages, i, units, USED);
	pages->tags[i + REFS] = 1;
	insert_run(pages, i + units, length - units);
	pages->used += units;
	return pages->first + i;
}

/* The first unit of the page at address, which must be one. */
static uint32_t index_of(const struct clkv__pages *pages, uint32_t address)
{
	uint32_t i = address - pages->first;
	assert(address >= pages->first && i < pages->n);
	uint32_t length = pages->tags[i] >> 1;
	assert((pages->tags[i] & USED) && length >= CLKV__PAGE_LEAST && length <= pages->n - i);
	assert(pages->tags[i + length - 1] == pages->tags[i] && pages->tags[i + REFS] > 0);
	(void)length;
	return i;
}

void clkv__pages_ref(struct clkv__pages *pages, uint32_t address)
{
	pages->tags[index_of(pages, address) + REFS]++;
}

bool clkv__pages_release(struct clkv__pages *pages, uint32_t address)
{
	uint32_t *tags = pages->tags, i = index_of(pages, address), length = tags[i] >> 1;
	if (--tags[i + REFS] > 0)
		return false;
	pages->used -= length;
	tags[i] = tags[i + length - 1] = 0;
	if (i + length < pages->n && !(tags[i + length] & USED))
		length += remove_run(pages, i + length);
	if (i > 0 && !(tags[i - 1] & USED)) {
		uint32_t before = remove_run(pages, i - (tags[i - 1] >> 1));
		i -= before;
		length += before;
	}
	insert_run(pages, i, length);
	return true;
}

uint32_t clkv__pages_refs(const struct clkv__pages *pages, uint32_t address)
{
	return pages->tags[index_of(pages, address) + REFS];
}

uint32_t clkv__pages_units_of(const struct clkv__pages *pages, uint32_t address)
{
	return pages->tags[index_of(pages, address)] >> 1;
}
