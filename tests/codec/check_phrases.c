/* SPDX-License-Identifier: MIT */
/** \file check_phrases.c \brief Codes of phrases: what is coded comes back, near its entropy; foreign dictionaries are checked. */
#include "codec/phrases.h"
#include "support/each.h"
#include "support/random.h"
#include "support/suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CODES = 1 << 17, LANE = ABI_QTC_LANE };

static const clkv_allocator no_allocator;
static int8_t codes[CODES];

/* Laplacian values of a mean magnitude, rounded: entropy rises with it from 0 on. */
static void fill_laplacian(double magnitude, uint64_t seed, int8_t *to, size_t count)
{
	uint64_t state = seed;
	for (size_t i = 0; i < count; i++) {
		double u = ((double)(random_next(&state) >> 11) + 0.5) / 9007199254740992.0;
		double x = -magnitude * log(u < 0.5 ? 2 * u : 2 - 2 * u);
		x = rint(x > 127 ? 127 : x);
		to[i] = (int8_t)(u < 0.5 ? -x : x);
	}
}

static void learn(const int8_t *sample, size_t count, struct clkv__phrases *phrases)
{
	clkv_error error = {0};
	ck_assert_int_eq(clkv__phrases_learn(sample, count, &no_allocator, phrases, &error), CLKV_OK);
	ck_assert(clkv__phrases_valid(phrases));
}

/* ---------------------------------------------------------------- lanes ---- */

/* What the header says of a dictionary, by its phrases alone: the integers of each, and which are longer by one. */
struct book {
	const struct clkv__phrases *phrases;
	int8_t integers[ABI_PHRASES][ABI_PHRASE_LONGEST];
	size_t n[ABI_PHRASES];
	bool sparse;
};

static void open_book(const struct clkv__phrases *phrases, struct book *book)
{
	memset(book, 0, sizeof *book);
	book->phrases = phrases;
	for (uint32_t i = 1; i < phrases->n; i++) {
		uint32_t parent = phrases->phrase[i] >> 8;
		memcpy(book->integers[i], book->integers[parent], book->n[parent]);
		book->n[i] = book->n[parent] + 1;
		book->integers[i][book->n[parent]] = (int8_t)(phrases->phrase[i] & 0xff);
		book->sparse = book->sparse || book->n[i] > ABI_PHRASE_STORED;
	}
}

/* The longest phrase that comes next, found by looking at all of them. */
static uint32_t next_phrase(const struct book *book, const int8_t *from, size_t count)
{
	uint32_t best = 0;
	for (uint32_t i = 1; i < book->phrases->n; i++)
		if (book->n[i] > book->n[best] && book->n[i] <= count &&
		    memcmp(book->integers[i], from, book->n[i]) == 0)
			best = i;
	return best;
}

/* Words of a lane; returns how many. */
static size_t write_words(const struct book *book, const int8_t *from, size_t count,
                          uint32_t *words)
{
	size_t n = 0;
	while (book->sparse && count > 0 && from[count - 1] == 0)
		count--;
	for (size_t i = 0; i < count;) {
		uint32_t phrase = next_phrase(book, from + i, count - i);
		words[n++] = phrase;
		if (phrase == 0)
			words[n++] = (uint8_t)from[i];
		i += phrase ? book->n[phrase] : 1;
	}
	return n;
}

struct decoder {
	uint8_t integers[ABI_PHRASES][ABI_PHRASE_STORED], counts[ABI_PHRASES];
};

/* A lane of words, as a decoder without branches has it: what is stored behind a phrase is overwritten by the next. */
static void read_words(const struct decoder *d, const uint32_t *words, size_t n, int8_t *to,
                       size_t count)
{
	int8_t room[LANE + ABI_PHRASE_LONGEST] = {0};
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		if (d->counts[words[i]] == 0) {
			room[at++] = (int8_t)words[++i];
			continue;
		}
		ck_assert_uint_le(at + d->counts[words[i]], count);
		memcpy(room + at, d->integers[words[i]], ABI_PHRASE_STORED);
		at += d->counts[words[i]];
	}
	memset(room + at, 0, sizeof room - at);
	memcpy(to, room, count);
}

static void check_lanes(const struct clkv__phrases *phrases, const int8_t *from, size_t count)
{
	static struct book book;
	static struct decoder decoder;
	static struct clkv__phrase_coder coder;
	uint32_t words[2 * LANE];
	int8_t decoded[LANE];
	open_book(phrases, &book);
	clkv__phrases_coder(phrases, &coder);
	clkv__phrases_decoder(phrases, decoder.integers, decoder.counts);
	EACH_MSG(coder.bits == phrases->bits && coder.sparse == book.sparse, "a coder's bits");
	for (size_t i = 0, n; i < count; i += n) {
		n = count - i < LANE ? count - i : LANE;
		size_t n_words = write_words(&book, from + i, n, words);
		EACH_MSG(clkv__phrases_words(&coder, from + i, n) == n_words, "words of the lane at %zu",
		         i);
		read_words(&decoder, words, n_words, decoded, n);
		EACH_MSG(memcmp(decoded, from + i, n) == 0, "the lane at %zu", i);
	}
}

static const double magnitudes[] = {0.001, 0.12, 0.25, 0.5, 1, 2, 4, 20};
enum { N_MAGNITUDES = sizeof magnitudes / sizeof magnitudes[0] };

/* Each dictionary codes its own source and all others: what it never saw comes back behind escapes. */
START_TEST(test_lanes_come_back)
{
	struct clkv__phrases phrases;
	fill_laplacian(magnitudes[_i], 1, codes, CODES / 2);
	learn(codes, CODES / 2, &phrases);
	check_lanes(&phrases, codes, 1000);
	for (int m = 0; m < N_MAGNITUDES; m++) {
		fill_laplacian(magnitudes[m], 2, codes, 600);
		check_lanes(&phrases, codes, 600);
	}
	for (int i = 0; i < 600; i++)
		codes[i] = (int8_t)((i * 37) % 255 - 127);
	check_lanes(&phrases, codes, 600);
}
END_TEST

/* Parent << 8 | integer. */
#define PHRASE(parent, integer) ((uint32_t)(parent) << 8 | ((integer)&0xff))

/* 1: 0, 2: 1, 3: 0 0, 4: 0 1, 5: -1. */
static const struct clkv__phrases small = {
	8, 6, 1, {0, PHRASE(0, 0), PHRASE(0, 1), PHRASE(1, 0), PHRASE(1, 1), PHRASE(0, -1)}};

START_TEST(test_the_longest_phrase_is_taken)
{
	static const struct {
		int8_t codes[6];
		size_t n;
		uint32_t words;
	} cases[] = {
		{{0}, 1, 1},
		{{0, 0, 0}, 3, 2},
		{{0, 0, 0, 1}, 4, 2}, /* 0 0, 0 1 */
		{{1, 0, 1}, 3, 2},
		{{0, -1}, 2, 2},
		{{0, 5, 0}, 3, 4}, /* an escape, and the integer */
		{{7, -7}, 2, 4},
		{{0, 0, 0, 0, 0, 0}, 6, 3}, /* no phrase is long enough for zeros to be left out */
	};
	static struct clkv__phrase_coder coder;
	static struct decoder decoder;
	clkv__phrases_coder(&small, &coder);
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		ck_assert_uint_eq(clkv__phrases_words(&coder, cases[c].codes, cases[c].n), cases[c].words);
		check_lanes(&small, cases[c].codes, cases[c].n);
	}
	ck_assert_uint_eq(clkv__phrase_longer(&coder, 1, 1), 4);
	ck_assert_uint_eq(clkv__phrase_longer(&coder, 0, -1), 5);
	ck_assert_uint_eq(clkv__phrase_longer(&coder, 2, 1), 0);
	clkv__phrases_decoder(&small, decoder.integers, decoder.counts);
	ck_assert_uint_eq(decoder.counts[4], 2);
	ck_assert_uint_eq(decoder.integers[4][1], 1);
	ck_assert_uint_eq(decoder.integers[5][0], 0xff);
	ck_assert_int_eq(decoder.counts[0] + decoder.counts[6] + decoder.counts[4095], 0);
}
END_TEST

/* 1: 0, 2: 0 0, ... up to so many, then 1 and -1. */
static void make_zeros(uint32_t longest, struct clkv__phrases *phrases)
{
	*phrases = (struct clkv__phrases){.bits = 10, .n = longest + 3, .rate = 1};
	for (uint32_t i = 1; i <= longest; i++)
		phrases->phrase[i] = PHRASE(i - 1, 0);
	phrases->phrase[longest + 1] = PHRASE(0, 1);
	phrases->phrase[longest + 2] = PHRASE(0, -1);
}

/* Zeros at a lane's end take no words once phrases are longer than what is stored of them. */
START_TEST(test_zeros_at_the_end_are_left_out)
{
	static struct clkv__phrases phrases;
	static struct clkv__phrase_coder coder;
	int8_t lane[LANE] = {0};
	for (uint32_t longest = ABI_PHRASE_STORED; longest <= ABI_PHRASE_STORED + 1; longest++) {
		bool sparse = longest > ABI_PHRASE_STORED;
		make_zeros(longest, &phrases);
		ck_assert(clkv__phrases_valid(&phrases));
		ck_assert_int_eq(clkv__phrases_sparse(&phrases), sparse);
		clkv__phrases_coder(&phrases, &coder);
		ck_assert_uint_eq(clkv__phrases_words(&coder, lane, LANE),
		                  sparse ? 0 : (LANE + longest - 1) / longest);
		lane[20] = 1;
		ck_assert_uint_eq(clkv__phrases_words(&coder, lane, 21 + longest), sparse ? 4 : 5);
		check_lanes(&phrases, lane, LANE);
		lane[20] = 0;
		check_lanes(&phrases, lane, LANE);
	}
}
END_TEST

/* ---------------------------------------------------------------- rates ---- */

static double entropy_of(const int8_t *x, size_t count)
{
	double counts[256] = {0}, bits = 0;
	for (size_t i = 0; i < count; i++)
		counts[(uint8_t)x[i]]++;
	for (int i = 0; i < 256; i++)
		if (counts[i] > 0)
			bits += counts[i] * log2((double)count / counts[i]);
	return bits / (double)count;
}

static double rate_of(const struct clkv__phrases *phrases)
{
	static struct clkv__phrase_coder coder;
	uint64_t bytes = 0;
	clkv__phrases_coder(phrases, &coder);
	for (size_t i = 0; i < CODES; i += LANE)
		bytes += (clkv__phrases_words(&coder, codes + i, LANE) * phrases->bits + 7) / 8;
	return 8.0 * (double)bytes / CODES;
}

/* Bits per code of another sample of the source. Phrases are as long as their words' bits over the entropy, and end at whole codes:
 * of sources from half a bit to three what that loses, and that phrases aren't equally likely, is a fifth at most as measured
 * (2 to 9 % on a model's codes, whose neighbours are alike). Below, a phrase has one code that isn't zero; above, two codes. A
 * dictionary of single codes alone would take 8 bits of each. */
START_TEST(test_rates_reach_the_entropy)
{
	struct clkv__phrases phrases;
	fill_laplacian(magnitudes[_i], 3, codes, CODES);
	learn(codes, CODES, &phrases);
	double own = rate_of(&phrases), said = (double)phrases.rate * phrases.bits / ABI_PHRASE_RATE;
	fill_laplacian(magnitudes[_i], 4, codes, CODES);
	double entropy = entropy_of(codes, CODES), rate = rate_of(&phrases);
	ck_assert_double_ge(rate, entropy - 0.01);
	ck_assert_double_le(rate, (entropy < 0.5 ? 2 : 1.2) * entropy + (double)phrases.bits / LANE);
	ck_assert_double_eq_tol(said, own, 0.02 * own + 0.01); /* of its sample, or some of its lanes */
}
END_TEST

/* What learning never saw: nothing, one code, each but once, the largest. */
START_TEST(test_odd_samples_give_dictionaries)
{
	struct clkv__phrases phrases;
	static struct clkv__phrase_coder coder;
	memset(codes, 0, LANE);
	for (int empty = 0; empty < 2; empty++) {
		learn(codes, empty ? 0 : LANE, &phrases);
		clkv__phrases_coder(&phrases, &coder);
		ck_assert_uint_eq(clkv__phrases_words(&coder, codes, LANE), 0);
		check_lanes(&phrases, codes, LANE);
	}
	for (int i = 0; i < LANE; i++)
		codes[i] = (int8_t)(i % 255 - 127);
	learn(codes, LANE, &phrases);
	check_lanes(&phrases, codes, LANE);
	for (int i = 0; i < LANE; i++)
		codes[i] = i % 2 ? 127 : -127;
	learn(codes, LANE, &phrases);
	check_lanes(&phrases, codes, LANE);
	clkv__phrases_coder(&phrases, &coder);
	ck_assert_uint_eq(clkv__phrases_words(&coder, codes, LANE), LANE / ABI_PHRASE_STORED);
	learn(codes, 3, &phrases); /* less than a lane */
	check_lanes(&phrases, codes, LANE);
}
END_TEST

/* ---------------------------------------------------------------- foreign dictionaries ---- */

static void set_rate(struct clkv__phrases *p, uint32_t rate)
{
	p->rate = rate;
}

static void set_bits(struct clkv__phrases *p, uint32_t bits)
{
	p->bits = bits;
}

static void set_n(struct clkv__phrases *p, uint32_t n)
{
	p->n = n;
}

static void set_first(struct clkv__phrases *p, uint32_t phrase)
{
	p->phrase[0] = phrase;
}

static void set_second(struct clkv__phrases *p, uint32_t phrase)
{
	p->phrase[2] = phrase;
}

static void set_zeros(struct clkv__phrases *p, uint32_t longest)
{
	make_zeros(longest, p);
}

/* A phrase of eight zeros and another integer. */
static void set_ninth(struct clkv__phrases *p, uint32_t integer)
{
	make_zeros(ABI_PHRASE_STORED, p);
	p->phrase[p->n++] = PHRASE(ABI_PHRASE_STORED, integer);
}

START_TEST(test_foreign_dictionaries_are_checked)
{
	static const struct {
		bool valid;
		void (*change)(struct clkv__phrases *, uint32_t);
		uint32_t to;
	} cases[] = {
		{true, set_bits, 8},
		{true, set_bits, 10},
		{true, set_bits, 12},
		{false, set_bits, 0},
		{false, set_bits, 9},
		{false, set_bits, 14},
		{false, set_bits, UINT32_MAX},
		{true, set_rate, 2 * ABI_PHRASE_RATE},
		{false, set_rate, 0},
		{false, set_rate, 2 * ABI_PHRASE_RATE + 1},
		{true, set_n, 1},
		{false, set_n, 0},
		{false, set_n, 257}, /* more than words of 8 bits */
		{false, set_n, UINT32_MAX},
		{false, set_first, 1},
		{true, set_second, PHRASE(1, 127)},
		{true, set_second, PHRASE(0, -127)},
		{false, set_second, PHRASE(0, -128)}, /* no code */
		{false, set_second, PHRASE(0, 0)},    /* twice */
		{false, set_second, PHRASE(2, 0)},    /* its own parent */
		{false, set_second, PHRASE(3, 0)},    /* stands behind it */
		{false, set_second, UINT32_MAX},
		{true, set_zeros, ABI_PHRASE_LONGEST},
		{false, set_zeros, ABI_PHRASE_LONGEST + 1},
		{true, set_ninth, 0},
		{false, set_ninth, 1}, /* no room for it */
	};
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct clkv__phrases changed = small;
		cases[c].change(&changed, cases[c].to);
		ck_assert_msg(clkv__phrases_valid(&changed) == cases[c].valid, "case %zu", c);
	}
}
END_TEST

/* Dictionaries with a phrase that changed: those that are still valid code and decode as any. */
START_TEST(test_changed_dictionaries_are_refused_or_work)
{
	static struct clkv__phrases learnt, changed;
	uint64_t state = 11;
	int valid = 0;
	fill_laplacian(0.4, 5, codes, CODES / 8);
	learn(codes, CODES / 8, &learnt);
	for (int round = 0; round < 400; round++) {
		changed = learnt;
		uint32_t *phrase = &changed.phrase[random_below(random_next(&state), learnt.n)];
		if (round % 2)
			*phrase ^= 1u << random_below(random_next(&state), 32);
		else
			*phrase = (uint32_t)random_below(random_next(&state), (uint64_t)learnt.n << 8);
		if (!clkv__phrases_valid(&changed))
			continue;
		valid++;
		check_lanes(&changed, codes, 2 * LANE);
	}
	ck_assert_int_gt(valid, 0);
	ck_assert_int_lt(valid, 400);
}
END_TEST

static void *alloc_some(void *opaque, size_t size)
{
	int *left = opaque;
	return (*left)-- > 0 ? malloc(size) : NULL;
}

static void free_some(void *opaque, void *memory)
{
	(void)opaque;
	free(memory);
}

START_TEST(test_no_memory_is_said)
{
	struct clkv__phrases phrases;
	for (int room = 0; room < 3; room++) {
		int left = room;
		const clkv_allocator allocator = {alloc_some, free_some, &left};
		clkv_error error = {0};
		ck_assert_int_eq(clkv__phrases_learn(codes, 64, &allocator, &phrases, &error),
		                 CLKV_ERROR_NO_HOST_MEMORY);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("phrases");
	TCase *lanes = tcase_create("lanes"), *rates = tcase_create("rates");
	tcase_add_loop_test(lanes, test_lanes_come_back, 0, N_MAGNITUDES);
	tcase_add_test(lanes, test_the_longest_phrase_is_taken);
	tcase_add_test(lanes, test_zeros_at_the_end_are_left_out);
	tcase_add_loop_test(rates, test_rates_reach_the_entropy, 0, N_MAGNITUDES);
	TCase *foreign = tcase_create("foreign");
	tcase_add_test(rates, test_odd_samples_give_dictionaries);
	tcase_add_test(foreign, test_foreign_dictionaries_are_checked);
	tcase_add_test(foreign, test_changed_dictionaries_are_refused_or_work);
	tcase_add_test(foreign, test_no_memory_is_said);
	TCase *all[] = {lanes, rates, foreign};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		tcase_set_timeout(all[i], 60);
		suite_add_tcase(suite, all[i]);
	}
	return run_suite(suite);
}
