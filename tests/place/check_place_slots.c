/* SPDX-License-Identifier: MIT */
/** \file check_place_slots.c \brief Which rows of host memory are still on the device: the slots of via=copy. */
#include "store/cache.h"
#include "store/row_cache.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/placed.h"
#include "support/random.h"

/* Which of so many slots hold what, and since when: by the definition. */
struct slots {
	size_t n;
	uint32_t token[FEED_TOKENS];
	uint64_t used[FEED_TOKENS]; /* 0: it holds nothing */
	uint64_t now;
};

static size_t slots_find(const struct slots *s, uint32_t token)
{
	size_t i = 0;
	while (i < s->n && !(s->used[i] > 0 && s->token[i] == token))
		i++;
	return i;
}

/* A list is asked for: how many of it were there. */
static size_t slots_ask(struct slots *s, const uint32_t *list, size_t n)
{
	size_t found = 0;
	for (size_t i = 0; i < n; i++) {
		size_t at = slots_find(s, list[i]);
		found += at < s->n;
		if (at < s->n)
			s->used[at] = ++s->now;
	}
	for (size_t i = 0; i < n; i++) {
		size_t oldest = 0;
		if (slots_find(s, list[i]) < s->n)
			continue;
		for (size_t j = 1; j < s->n; j++)
			if (s->used[j] < s->used[oldest])
				oldest = j;
		s->token[oldest] = list[i];
		s->used[oldest] = ++s->now;
	}
	return found;
}

/* The lists of the last step's only layer, of a cache on the device. */
static void read_lists(const struct feed *feed, uint32_t *lists)
{
	size_t words = PLACED_STREAMS * (1 + (size_t)feed->cache->sizes.listed);
	ck_assert_uint_le(words, PLACED_STREAMS * (1 + PLACED_LISTED));
	ck_assert_int_eq(clEnqueueReadBuffer(feed->queue, feed->cache->index.lists, CL_TRUE, 0,
	                                     words * sizeof *lists, lists, 0, NULL, NULL),
	                 CL_SUCCESS);
}

/* Queries that change slowly, so that lists have tokens in common. */
static double slow_value(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double fast = feed_normal(row, layer, side, head, d);
	return side == FEED_Q ? 0.5 * fast + feed_normal(7, layer, side, head, d) : fast;
}

START_TEST(test_hits_are_those_of_a_simulation)
{
	static const struct {
		int which;
		size_t slots;
	} tries[] = {{0, 2 * PLACED_LISTED}, {1, PLACED_LISTED}, {3, 128}};
	static struct placed p;
	static struct slots slots[PLACED_STREAMS];
	static uint32_t lists[PLACED_STREAMS * (1 + PLACED_LISTED)];
	uint64_t asked = 0, found = 0;
	p.feed[HERE].value = p.feed[THERE].value = slow_value;
	int skip = tries[_i].which == 1;
	placed_open(&p, fixture.context, fixture.queue, 1 + skip, tries[_i].which, NULL);
	ck_assert_uint_eq(p.feed[THERE].cache->sizes.row_slots, tries[_i].slots);
	placed_stream(&p, 0);
	placed_prompt(&p, 0, 900, 1);
	for (int s = 0; s < PLACED_STREAMS; s++)
		slots[s] = (struct slots){.n = tries[_i].slots};
	for (int step = 0; step < 200; step++) {
		placed_decode(&p, 0, 1, 2);
		read_lists(&p.feed[HERE], lists);
		for (int s = 0; s < PLACED_STREAMS; s++) {
			const uint32_t *list = lists + (size_t)s * (1 + p.feed[HERE].cache->sizes.listed);
			asked += list[0];
			found += slots_ask(&slots[s], list + 1, list[0]);
		}
		const struct feed *there = &p.feed[THERE];
		ck_assert_uint_eq((uint64_t)feed_figure(there, "place.rows_asked"), asked);
		ck_assert_uint_eq((uint64_t)feed_figure(there, "place.rows_found"), found);
		ck_assert_uint_eq((uint64_t)feed_figure(there, "place.moved_to_device"),
		                  (asked - found) * (64 + 64) * 2);
	}
	/* there was something to find, and something to give up */
	ck_assert_uint_gt(found, asked / 4);
	ck_assert_uint_gt(asked - found, 2 * tries[_i].slots * PLACED_STREAMS);
	placed_close(&p);
}
END_TEST

START_TEST(test_slots_alone)
{
	enum { HEADS = 3, N = 37, TOKENS = 90 };
	struct clkv__row_cache cache;
	static struct slots slots[HEADS];
	clkv_allocator a = inject_allocator();
	uint64_t place = 1, before = inject_host_bytes();
	clkv_error error;
	feed_ok(clkv__row_cache_init(&cache, &a, HEADS, N, &error), &error, "init");
	ck_assert_uint_eq(inject_host_bytes() - before, clkv__row_cache_bytes(HEADS, N));
	for (int h = 0; h < HEADS; h++)
		slots[h] = (struct slots){.n = N};
	for (int i = 0; i < 20000; i++) {
		uint32_t h = (uint32_t)random_below(random_next(&place), HEADS);
		uint32_t token = (uint32_t)random_below(random_next(&place), TOKENS);
		bool there = slots_find(&slots[h], token) < N;
		if (random_below(random_next(&place), 100) == 0) {
			clkv__row_cache_forget(&cache, h, token);
			for (int j = 0; j < N; j++)
				slots[h].used[j] = slots[h].token[j] >= token ? 0 : slots[h].used[j];
			continue;
		}
		ck_assert_int_eq(clkv__row_cache_find(&cache, h, token) != UINT32_MAX, there);
		if (clkv__row_cache_use(&cache, h, token) == UINT32_MAX)
			ck_assert_uint_lt(clkv__row_cache_take(&cache, h, token), N);
		slots_ask(&slots[h], &token, 1);
	}
	for (int h = 0; h < HEADS; h++)
		for (uint32_t token = 0; token < TOKENS; token++)
			ck_assert_int_eq(clkv__row_cache_find(&cache, (uint32_t)h, token) != UINT32_MAX,
			                 slots_find(&slots[h], token) < N);
	clkv__row_cache_free(&cache, &a);
	ck_assert_uint_eq(inject_host_bytes(), before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("place slots");
	TCase *slots = fixture_case(suite, "slots", 60);
	tcase_add_loop_test(slots, test_hits_are_those_of_a_simulation, 0, 3);
	tcase_add_test(slots, test_slots_alone);
	return fixture_run_shared(suite);
}
