/* SPDX-License-Identifier: MIT */
/** \file check_pages.c \brief The allocator of pages of any size, against a map of who has which unit. */
#include "store/pages.h"
#include "support/random.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 20000, FIRST = 1000 };

static const clkv_allocator no_allocator;

/* The plain model: a word per unit, 0 if free, else the page's number + 1; and all pages by number. */
struct model {
	uint32_t owner[N_MAX];
	uint32_t n, used, n_pages;
	struct {
		uint32_t address, units, refs;
	} pages[N_MAX];
};

/* Free runs of the model: the longest, the shortest that holds units, and the one that begins at begin. */
struct runs {
	uint32_t longest, shortest, at_begin;
};

static struct runs find_runs(const struct model *m, uint32_t units, uint32_t begin)
{
	struct runs r = {0, UINT32_MAX, 0};
	for (uint32_t i = 0; i < m->n;) {
		uint32_t start = i;
		while (i < m->n && m->owner[i] == 0)
			i++;
		uint32_t length = i - start;
		if (length > r.longest)
			r.longest = length;
		if (length >= units && length < r.shortest)
			r.shortest = length;
		if (start == begin)
			r.at_begin = length;
		if (length == 0)
			i++;
	}
	return r;
}

static void check_totals(const struct clkv__pages *pages, const struct model *m)
{
	uint32_t longest = find_runs(m, 1, 0).longest;
	ck_assert_uint_eq(clkv__pages_used(pages), m->used);
	ck_assert_uint_eq(clkv__pages_available(pages), m->n - m->used);
	ck_assert_uint_eq(clkv__pages_largest(pages), longest < CLKV__PAGE_LEAST ? 0 : longest);
}

/* Takes a page in both: it begins the shortest free run that holds it, or there is none. */
static bool take(struct clkv__pages *pages, struct model *m, uint32_t asked)
{
	uint32_t units = asked < CLKV__PAGE_LEAST ? CLKV__PAGE_LEAST : asked;
	uint32_t address = clkv__pages_take(pages, asked);
	struct runs r = find_runs(m, units, address - FIRST);
	if (address == CLKV__NO_SLOT) {
		ck_assert_uint_lt(r.longest, units);
		return false;
	}
	ck_assert_uint_ge(address, FIRST);
	ck_assert_uint_eq(r.at_begin, r.shortest);
	ck_assert_uint_eq(clkv__pages_units_of(pages, address), units);
	ck_assert_uint_eq(clkv__pages_refs(pages, address), 1);
	for (uint32_t i = 0; i < units; i++)
		m->owner[address - FIRST + i] = m->n_pages + 1;
	m->pages[m->n_pages].address = address;
	m->pages[m->n_pages].units = units;
	m->pages[m->n_pages++].refs = 1;
	m->used += units;
	return true;
}

/* Drops a reference of page p in both; the last page takes the number of one that went. */
static void release(struct clkv__pages *pages, struct model *m, uint32_t p)
{
	uint32_t begin = m->pages[p].address - FIRST, units = m->pages[p].units;
	bool last = --m->pages[p].refs == 0;
	ck_assert(clkv__pages_release(pages, m->pages[p].address) == last);
	if (!last)
		return;
	memset(m->owner + begin, 0, units * sizeof m->owner[0]);
	m->used -= units;
	m->pages[p] = m->pages[--m->n_pages];
	for (uint32_t i = 0; p < m->n_pages && i < m->pages[p].units; i++)
		m->owner[m->pages[p].address - FIRST + i] = p + 1;
}

static struct model *open_both(struct clkv__pages *pages, uint32_t n)
{
	struct model *m = calloc(1, sizeof *m);
	ck_assert_ptr_nonnull(m);
	m->n = n;
	ck_assert_int_eq(clkv__pages_init(pages, &no_allocator, FIRST, n, NULL), CLKV_OK);
	check_totals(pages, m);
	return m;
}

/* Whatever happened before: one run of everything is left. */
static void close_both(struct clkv__pages *pages, struct model *m)
{
	while (m->n_pages > 0)
		release(pages, m, m->n_pages / 2);
	check_totals(pages, m);
	if (m->n >= CLKV__PAGE_LEAST) {
		ck_assert(take(pages, m, m->n));
		ck_assert(!take(pages, m, 1));
		release(pages, m, 0);
	}
	clkv__pages_free(pages, &no_allocator);
	free(m);
}

/* ---------------------------------------------------------------- random ---- */

/* Sizes of some kind: small, like blocks of one method, around the exact bins' end, large, any. */
static uint32_t draw_units(int kind, uint64_t r)
{
	static const struct {
		uint32_t least, range;
	} kinds[] = {{1, 8}, {40, 20}, {250, 12}, {256, 2000}, {4, 700}};
	return kinds[kind].least + (uint32_t)random_below(r, kinds[kind].range);
}

START_TEST(test_random_takes_and_releases)
{
	static const uint32_t sizes[] = {3, 4, 67, 1000, N_MAX};
	uint64_t state = (uint64_t)_i;
	struct clkv__pages pages;
	struct model *m = open_both(&pages, sizes[_i % 5]);
	for (int step = 0; step < 1500; step++) {
		size_t dice = random_below(random_next(&state), 100), rising = step / 300 % 2 ? 40 : 60;
		uint32_t p = m->n_pages ? (uint32_t)random_below(random_next(&state), m->n_pages) : 0;
		if (dice < rising || m->n_pages == 0) {
			take(&pages, m, draw_units(_i / 5, random_next(&state)));
		} else if (dice < 95) {
			release(&pages, m, p);
		} else {
			clkv__pages_ref(&pages, m->pages[p].address);
			m->pages[p].refs++;
		}
		check_totals(&pages, m);
	}
	for (uint32_t p = 0; p < m->n_pages; p++) {
		ck_assert_uint_eq(clkv__pages_units_of(&pages, m->pages[p].address), m->pages[p].units);
		ck_assert_uint_eq(clkv__pages_refs(&pages, m->pages[p].address), m->pages[p].refs);
	}
	close_both(&pages, m);
}
END_TEST

START_TEST(test_the_same_calls_give_the_same_addresses)
{
	struct clkv__pages a, b;
	uint32_t taken[100];
	uint64_t state = 11;
	int bad = 0;
	ck_assert_int_eq(clkv__pages_init(&a, &no_allocator, FIRST, N_MAX, NULL), CLKV_OK);
	ck_assert_int_eq(clkv__pages_init(&b, &no_allocator, FIRST, N_MAX, NULL), CLKV_OK);
	for (int i = 0; i < 5000; i++) {
		uint32_t units = draw_units(4, random_next(&state)), slot = (uint32_t)i % 100;
		if (i >= 100 && taken[slot] != CLKV__NO_SLOT)
			bad += clkv__pages_release(&a, taken[slot]) != clkv__pages_release(&b, taken[slot]);
		taken[slot] = clkv__pages_take(&a, units);
		bad += clkv__pages_take(&b, units) != taken[slot];
	}
	ck_assert_int_eq(bad, 0);
	clkv__pages_free(&a, &no_allocator);
	clkv__pages_free(&b, &no_allocator);
}
END_TEST

/* ---------------------------------------------------------------- patterns ---- */

/* Every second page goes: nothing longer fits, until a neighbour goes too. */
START_TEST(test_holes_join_with_both_neighbours)
{
	struct clkv__pages pages;
	struct model *m = open_both(&pages, 600);
	uint32_t address[100];
	for (uint32_t i = 0; i < 100; i++) {
		address[i] = clkv__pages_take(&pages, 6);
		ck_assert_uint_eq(address[i], FIRST + 6 * i);
	}
	ck_assert_uint_eq(clkv__pages_available(&pages), 0);
	for (uint32_t i = 0; i < 100; i += 2)
		ck_assert(clkv__pages_release(&pages, address[i]));
	ck_assert_uint_eq(clkv__pages_available(&pages), 300);
	ck_assert_uint_eq(clkv__pages_largest(&pages), 6);
	ck_assert_uint_eq(clkv__pages_take(&pages, 7), CLKV__NO_SLOT);
	for (uint32_t i = 1; i < 100; i += 4) {
		ck_assert(clkv__pages_release(&pages, address[i]));
		ck_assert_uint_eq(clkv__pages_largest(&pages), 18);
	}
	for (uint32_t i = 3; i < 100; i += 4)
		ck_assert(clkv__pages_release(&pages, address[i]));
	close_both(&pages, m);
}
END_TEST

/* Rests of 1 to 3 units fit no page; they count as available and come back with a neighbour. */
START_TEST(test_short_rests_are_not_lost)
{
	for (uint32_t rest = 1; rest < CLKV__PAGE_LEAST; rest++) {
		struct clkv__pages pages;
		struct model *m = open_both(&pages, 20 + rest + 10);
		uint32_t a = clkv__pages_take(&pages, 20 + rest), b = clkv__pages_take(&pages, 10);
		ck_assert_uint_eq(b, a + 20 + rest);
		clkv__pages_release(&pages, a);
		ck_assert_uint_eq(clkv__pages_take(&pages, 20), a);
		ck_assert_uint_eq(clkv__pages_available(&pages), rest);
		ck_assert_uint_eq(clkv__pages_largest(&pages), 0);
		ck_assert_uint_eq(clkv__pages_take(&pages, 1), CLKV__NO_SLOT);
		clkv__pages_release(&pages, _i ? a : b);
		ck_assert_uint_eq(clkv__pages_largest(&pages), rest + (_i ? 20 : 10));
		clkv__pages_release(&pages, _i ? b : a);
		close_both(&pages, m);
	}
}
END_TEST

/* The shortest of many long runs of one bin, and of the next bin when none of the first is enough. */
START_TEST(test_long_runs_fit_best)
{
	static const uint32_t lengths[] = {300, 270, 310, 256, 319, 330, 321, 290};
	struct clkv__pages pages;
	struct model *m = open_both(&pages, N_MAX);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		ck_assert(take(&pages, m, lengths[i]));
		ck_assert(take(&pages, m, 5));
	}
	ck_assert(take(&pages, m, clkv__pages_largest(&pages)));
	for (uint32_t p = 0; p < m->n_pages; p++)
		while (p < m->n_pages && m->pages[p].units >= 256 && m->pages[p].units <= 330)
			release(&pages, m, p);
	check_totals(&pages, m);
	ck_assert(take(&pages, m, 291));
	ck_assert(take(&pages, m, 320));
	ck_assert(take(&pages, m, 255));
	ck_assert(take(&pages, m, 312));
	check_totals(&pages, m);
	close_both(&pages, m);
}
END_TEST

/* ---------------------------------------------------------------- ends ---- */

START_TEST(test_exhaustion_leaves_it_as_it_was)
{
	struct clkv__pages pages, before;
	struct model *m = open_both(&pages, 100);
	uint32_t tags[100];
	while (take(&pages, m, 9)) {
	}
	ck_assert_uint_eq(clkv__pages_used(&pages), 99);
	before = pages;
	memcpy(tags, pages.tags, sizeof tags);
	ck_assert_uint_eq(clkv__pages_take(&pages, 1), CLKV__NO_SLOT);
	ck_assert_uint_eq(clkv__pages_take(&pages, UINT32_MAX), CLKV__NO_SLOT);
	ck_assert_mem_eq(&pages, &before, sizeof pages);
	ck_assert_mem_eq(tags, pages.tags, sizeof tags);
	release(&pages, m, 3);
	ck_assert(take(&pages, m, 9));
	close_both(&pages, m);
}
END_TEST

START_TEST(test_empty_and_small_ranges)
{
	for (uint32_t n = 0; n < 6; n++) {
		struct clkv__pages pages;
		struct model *m = open_both(&pages, n);
		ck_assert(take(&pages, m, 1) == (n >= CLKV__PAGE_LEAST));
		check_totals(&pages, m);
		close_both(&pages, m);
	}
}
END_TEST

struct tally {
	uint64_t bytes;
	bool refuse;
};

static void *count_alloc(void *opaque, size_t size)
{
	struct tally *t = opaque;
	if (t->refuse)
		return NULL;
	t->bytes += size;
	return malloc(size);
}

static void count_free(void *opaque, void *ptr)
{
	(void)opaque;
	free(ptr);
}

START_TEST(test_host_memory_is_as_told_and_may_lack)
{
	struct tally tally = {0};
	const clkv_allocator counting = {.alloc = count_alloc, .free = count_free, .opaque = &tally};
	struct clkv__pages pages;
	clkv_error error;
	memset(&error, 0, sizeof error);
	ck_assert_int_eq(clkv__pages_init(&pages, &counting, FIRST, 12345, &error), CLKV_OK);
	ck_assert_uint_eq(tally.bytes, clkv__pages_host_bytes(12345));
	ck_assert_uint_le(tally.bytes, 12345 * sizeof(uint32_t));
	clkv__pages_free(&pages, &counting);
	tally.refuse = true;
	ck_assert_int_eq(clkv__pages_init(&pages, &counting, FIRST, 12345, &error),
	                 CLKV_ERROR_NO_HOST_MEMORY);
	ck_assert_uint_eq(clkv__pages_available(&pages), 0);
	ck_assert_uint_eq(clkv__pages_take(&pages, 4), CLKV__NO_SLOT);
	clkv__pages_free(&pages, &counting);
	ck_assert_int_eq(clkv__pages_init(&pages, &counting, 0, UINT32_C(1) << 31, NULL),
	                 CLKV_ERROR_UNSUPPORTED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pages");
	TCase *random = tcase_create("random"), *patterns = tcase_create("patterns");
	tcase_add_loop_test(random, test_random_takes_and_releases, 0, 25);
	tcase_add_test(random, test_the_same_calls_give_the_same_addresses);
	tcase_add_test(patterns, test_holes_join_with_both_neighbours);
	tcase_add_loop_test(patterns, test_short_rests_are_not_lost, 0, 2);
	tcase_add_test(patterns, test_long_runs_fit_best);
	tcase_add_test(patterns, test_exhaustion_leaves_it_as_it_was);
	tcase_add_test(patterns, test_empty_and_small_ranges);
	tcase_add_test(patterns, test_host_memory_is_as_told_and_may_lack);
	tcase_set_timeout(random, 60);
	suite_add_tcase(suite, random);
	suite_add_tcase(suite, patterns);
	return run_suite(suite);
}
