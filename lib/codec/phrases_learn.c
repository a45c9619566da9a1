/* SPDX-License-Identifier: MIT */
/**
 * \file    phrases_learn.c
 * \brief   Which phrases a dictionary has: it grows by those that a coder would have taken most often on a sample.
 *
 * It begins with single integers. In each round the sample is coded, and what follows each phrase is counted: a phrase with what
 * comes most often behind it becomes another, in the place of a leaf that is taken more rarely once all words are given out.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "codec/phrases.h"

#include <stdlib.h>
#include <string.h>

enum {
	MOST_LANES = 2048, /* of a sample that are looked at, evenly spread */
	PAIRS = 1 << 19,   /* slots to count what follows phrases in */
	REFINED = 12,      /* rounds once all words are given out */
	CHANGED = 12, /* in which one phrase of so many changes at most, of fewer in later rounds */
	LANE = ABI_QTC_LANE
};

/* Settings that are tried, those whose decoder is fastest first. Below the rate of DENSE_ENOUGH bits per integer the others may be
 * smaller: with STORED integers per word at most, no fewer bits are possible. */
static const struct setting {
	uint32_t bits, longest;
} settings[] = {
	{12, ABI_PHRASE_STORED},
	{10, ABI_PHRASE_LONGEST},
	{8, ABI_PHRASE_LONGEST},
};
enum { SETTINGS = sizeof settings / sizeof settings[0] };
#define DENSE_ENOUGH 1.75

/* A phrase with another integer behind it, as often as a coder met that. */
struct pair {
	uint32_t key; /* phrase << 8 | integer; 0 is an empty slot, of the empty phrase */
	uint32_t count;
};

struct learner {
	const int8_t *sample;
	size_t count, lanes,
		stride; /* integers; lanes that are looked at; integers from one to the next */
	uint32_t longest;
	struct clkv__phrases *phrases;
	struct clkv__phrase_coder coder;
	uint8_t counts[ABI_PHRASES]; /* integers of a phrase */
	uint32_t taken[ABI_PHRASES]; /* times that a coder took it */
	bool inner[ABI_PHRASES];     /* others begin with it */
	uint32_t place[ABI_PHRASES]; /* in the dictionary of the next round; 0: none */
	struct pair leaves
		[ABI_PHRASES]; /* phrases that might go, the rarest last, and how often they were taken */
	struct pair *pairs, *found; /* [PAIRS]; those that were met, the commonest first */
	size_t n_found;
};

static const int8_t *lane_of(const struct learner *l, size_t lane, size_t *n)
{
	const size_t at = lane * l->stride;
	*n = l->count - at < LANE ? l->count - at : LANE;
	return l->sample + at;
}

static void count_pair(struct learner *l, uint32_t phrase, int8_t integer)
{
	const uint32_t key = phrase << 8 | (uint8_t)integer;
	if (l->counts[phrase] >= l->longest || (l->counts[phrase] >= ABI_PHRASE_STORED && integer != 0))
		return;
	uint32_t i = key * 2654435761u >> 13;
	while (l->pairs[i].count > 0 && l->pairs[i].key != key)
		i = (i + 1) % PAIRS;
	l->pairs[i].key = key;
	l->pairs[i].count++;
}

/* Codes a lane: which phrases are taken, and what follows them. */
static void code_lane(struct learner *l, const int8_t *codes, size_t n)
{
	uint32_t phrase = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t longer = clkv__phrase_longer(&l->coder, phrase, codes[i]);
		if (!longer && phrase) {
			l->taken[phrase]++;
			count_pair(l, phrase, codes[i]);
			longer = clkv__phrase_longer(&l->coder, 0, codes[i]);
		}
		phrase = longer;
	}
	l->taken[phrase] += phrase != 0;
}

static int compare_pairs(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return (x->key > y->key) - (x->key < y->key);
}

static void code_sample(struct learner *l)
{
	memset(l->taken, 0, sizeof l->taken);
	memset(l->pairs, 0, PAIRS * sizeof *l->pairs);
	clkv__phrases_coder(l->phrases, &l->coder);
	for (size_t lane = 0, n; lane < l->lanes; lane++) {
		const int8_t *codes = lane_of(l, lane, &n);
		code_lane(l, codes, n);
	}
	l->n_found = 0;
	for (size_t i = 0; i < PAIRS; i++)
		if (l->pairs[i].count > 1) /* what was met once is as good as never met */
			l->found[l->n_found++] = l->pairs[i];
	qsort(l->found, l->n_found, sizeof *l->found, compare_pairs);
}

/* ---------------------------------------------------------------- growing ---- */

/* Leaves of more than one integer, the rarest last; returns how many. */
static uint32_t sort_leaves(struct learner *l)
{
	const struct clkv__phrases *p = l->phrases;
	uint32_t n = 0;
	memset(l->inner, 0, sizeof l->inner);
	for (uint32_t i = 1; i < p->n; i++)
		l->inner[p->phrase[i] >> 8] = true;
	for (uint32_t i = 1; i < p->n; i++)
		if (!l->inner[i] && l->counts[i] > 1)
			l->leaves[n++] = (struct pair){i, l->taken[i]};
	qsort(l->leaves, n, sizeof *l->leaves, compare_pairs);
	return n;
}

static void add_phrase(struct learner *l, uint32_t parent, uint32_t integer)
{
	struct clkv__phrases *p = l->phrases;
	l->counts[p->n] = (uint8_t)(l->counts[parent] + 1);
	p->phrase[p->n++] = parent << 8 | integer;
}

/* Leaves out the n last leaves: those behind them take their places. */
static void drop_leaves(struct learner *l, uint32_t n_leaves, uint32_t n)
{
	struct clkv__phrases *p = l->phrases;
	uint32_t old = p->n;
	for (uint32_t i = 0; i < old; i++)
		l->place[i] = 1;
	for (uint32_t i = n_leaves - n; i < n_leaves; i++)
		l->place[l->leaves[i].key] = 0;
	p->n = 1;
	for (uint32_t i = 1; i < old; i++) {
		const uint32_t phrase = p->phrase[i];
		if (l->place[i] == 0)
			continue;
		l->place[i] = p->n;
		add_phrase(l, phrase >> 8 ? l->place[phrase >> 8] : 0, phrase & 0xff);
	}
}

/* Gives words that are free to the commonest pairs, and, if there are few, those of `changed` leaves that are rarer. Returns whether
 * any phrase came. */
static bool grow(struct learner *l, uint32_t changed)
{
	struct clkv__phrases *p = l->phrases;
	const uint32_t n_leaves = sort_leaves(l), before = p->n, least = p->n / 3 > 8 ? p->n / 3 : 8;
	uint32_t added = (1u << p->bits) - p->n, dropped = 0;
	added = added < least ? added : least;
	added = added < l->n_found ? added : (uint32_t)l->n_found;
	while (dropped < changed && dropped < n_leaves && added < l->n_found &&
	       l->found[added].count > l->leaves[n_leaves - 1 - dropped].count + 1)
		dropped++, added++;
	drop_leaves(l, n_leaves, dropped);
	for (uint32_t i = 0; i < added; i++) {
		const uint32_t place = l->place[l->found[i].key >> 8];
		if (place > 0)
			add_phrase(l, place, l->found[i].key & 0xff);
	}
	return p->n > before || dropped > 0;
}

/* Single integers: all that the sample has, and a quarter farther, for other texts, the nearest first if words are few. */
static void begin(struct learner *l, const struct setting *setting)
{
	int least = 0, most = 0;
	struct clkv__phrases *p = l->phrases;
	for (size_t i = 0; i < l->count; i++) {
		least = l->sample[i] < least ? l->sample[i] : least;
		most = l->sample[i] > most ? l->sample[i] : most;
	}
	least += least / 4, most += most / 4;
	memset(p, 0, sizeof *p);
	*p = (struct clkv__phrases){.bits = setting->bits, .n = 1};
	l->counts[0] = 0;
	for (int x = 0; x <= 127 && p->n < 1u << (p->bits - 1); x++) {
		if (x <= most)
			add_phrase(l, 0, (uint32_t)x);
		if (x > 0 && -x >= least)
			add_phrase(l, 0, (uint32_t)-x & 0xff);
	}
}

/* Bytes of the lanes that are looked at. */
static uint64_t measure(struct learner *l)
{
	uint64_t bytes = 0, integers = 0, rate;
	struct clkv__phrases *p = l->phrases;
	clkv__phrases_coder(p, &l->coder);
	for (size_t lane = 0, n; lane < l->lanes; lane++) {
		const int8_t *codes = lane_of(l, lane, &n);
		bytes += (clkv__phrases_words(&l->coder, codes, n) * p->bits + 7) / 8;
		integers += n;
	}
	rate = (bytes * 8 * ABI_PHRASE_RATE / p->bits + integers - 1) / integers;
	p->rate = (uint32_t)(rate > 0 ? rate : 1);
	return bytes;
}

static uint64_t learn(struct learner *l, const struct setting *setting)
{
	l->longest = setting->longest;
	begin(l, setting);
	for (uint32_t refined = 0; refined < REFINED;) {
		code_sample(l);
		if (l->phrases->n == 1u << setting->bits)
			refined++;
		if (!grow(l, refined ? l->phrases->n / (CHANGED * refined) : 0))
			break;
	}
	return measure(l);
}

/* The best of all settings; other: room for one. */
static void try_settings(struct learner *l, struct clkv__phrases *best, struct clkv__phrases *other)
{
	uint64_t least = UINT64_MAX;
	for (size_t i = 0; i < SETTINGS; i++) {
		l->phrases = other;
		uint64_t bytes = learn(l, settings + i);
		if (bytes < least) {
			least = bytes;
			*best = *other;
		}
		if (i == 0 && clkv__phrases_rate(other) > DENSE_ENOUGH)
			break;
	}
}

clkv_status clkv__phrases_learn(const int8_t *sample, size_t count, const clkv_allocator *allocator,
                                struct clkv__phrases *phrases, clkv_error *error)
{
	static const int8_t zeros[LANE];
	struct learner *l = clkv__calloc(allocator, 1, sizeof *l);
	struct pair *pairs = clkv__calloc(allocator, 2 * PAIRS, sizeof *pairs);
	struct clkv__phrases *other = clkv__calloc(allocator, 1, sizeof *other);
	bool room = l && pairs && other;
	if (room) {
		l->sample = count ? sample : zeros;
		l->count = count ? count : LANE;
		const size_t all = (l->count + LANE - 1) / LANE;
		const size_t every = (all + MOST_LANES - 1) / MOST_LANES;
		l->stride = every * LANE;
		l->lanes = (all + every - 1) / every;
		l->pairs = pairs, l->found = pairs + PAIRS;
		try_settings(l, phrases, other);
	}
	clkv__free(allocator, l);
	clkv__free(allocator, pairs);
	clkv__free(allocator, other);
	if (!room)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory to find phrases in %zu codes",
		          count);
	return CLKV_OK;
}
