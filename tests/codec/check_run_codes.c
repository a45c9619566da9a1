/* SPDX-License-Identifier: MIT */
/** \file check_run_codes.c \brief Codes of runs: what is coded comes back, at the rate of its entropy; foreign tables are checked. */
#include "codec/run_codes.h"
#include "support/random.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CODES = 1 << 17, SLOTS = 2 * ABI_RUN_SLOTS, LOOKUP = 1 << CLKV__RUN_BITS };
enum { MOST_BITS = CLKV__RUN_BITS + 8 * CLKV__RUN_RAW };

static const clkv_allocator no_allocator;
static int8_t codes[CODES], decoded[CODES];

/* ---------------------------------------------------------------- sources ---- */

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

static void learn(const int8_t *sample, size_t count, struct clkv__run_table *table)
{
	clkv_error error = {0};
	ck_assert_int_eq(clkv__run_learn(sample, count, &no_allocator, table, &error), CLKV_OK);
	ck_assert(clkv__run_valid(table));
}

/* ---------------------------------------------------------------- streams ---- */

struct stream {
	uint8_t bytes[CODES * 8 + 1];
	size_t bits;
};

static struct stream stream;

static void clear(struct stream *s)
{
	memset(s->bytes, 0, s->bits / 8 + 1);
	s->bits = 0;
}

static void put_bits(struct stream *s, uint32_t value, uint32_t bits)
{
	for (uint32_t i = 0; i < bits; i++, s->bits++)
		s->bytes[s->bits / 8] |= (uint8_t)((value >> i & 1) << s->bits % 8);
}

static uint32_t peek_bits(const struct stream *s, size_t at, uint32_t bits)
{
	uint32_t value = 0;
	for (uint32_t i = 0; i < bits && at < s->bits; i++, at++)
		value |= (uint32_t)(s->bytes[at / 8] >> at % 8 & 1) << i;
	return value;
}

/* As the header says that a coder finds a run: from its slot on, an empty one ends the search. */
static const uint32_t *find(const uint32_t *slots, uint32_t run)
{
	for (uint32_t i = ABI_RUN_SLOT(run);; i = (i + 1) % ABI_RUN_SLOTS) {
		if (slots[2 * i] == 0 && slots[2 * i + 1] == 0)
			return NULL;
		if ((slots[2 * i] & ((1u << CLKV__RUN_FIELD) - 1)) == run)
			return slots + 2 * i;
	}
}

static void encode(const struct clkv__run_table *table, const int8_t *from, size_t count,
                   struct stream *s)
{
	uint32_t slots[SLOTS], escape[2];
	clear(s);
	clkv__run_coder(table, slots, escape);
	for (size_t i = 0; i < count; i += table->n) {
		uint32_t run = clkv__run_of(from + i, table->n);
		const uint32_t *slot = run == CLKV__RUN_NONE ? NULL : find(slots, run);
		const uint32_t *word = slot ? slot : escape;
		put_bits(s, word[1], word[0] >> CLKV__RUN_FIELD);
		for (uint32_t k = 0; !slot && k < table->n; k++)
			put_bits(s, (uint8_t)from[i + k], CLKV__RUN_RAW);
	}
}

/* Of `bits` bits, two's complement. */
static int8_t as_code(uint32_t field, uint32_t bits)
{
	return (int8_t)((int32_t)field - ((field >> (bits - 1) & 1) ? 1 << bits : 0));
}

/* Decodes one run; returns its bits, 1 to MOST_BITS. */
static uint32_t decode_run(const uint32_t *lookup, uint32_t n, const struct stream *s, size_t at,
                           int8_t *to)
{
	const uint32_t entry = lookup[peek_bits(s, at, CLKV__RUN_BITS)], each = CLKV__RUN_FIELD / n;
	const uint32_t bits = entry >> CLKV__RUN_FIELD & 15;
	if (!(entry & ABI_RUN_ESCAPE)) {
		for (uint32_t k = 0; k < n; k++)
			to[k] = as_code(entry >> k * each & ((1u << each) - 1), each);
		return bits;
	}
	for (uint32_t k = 0; k < n; k++)
		to[k] = as_code(peek_bits(s, at + bits + k * CLKV__RUN_RAW, CLKV__RUN_RAW), CLKV__RUN_RAW);
	return bits + n * CLKV__RUN_RAW;
}

static void check_stream(const struct clkv__run_table *table, const int8_t *from, size_t count)
{
	uint32_t lookup[LOOKUP];
	size_t at = 0;
	encode(table, from, count, &stream);
	ck_assert_uint_eq(stream.bits, clkv__run_cost(table, from, count));
	clkv__run_decoder(table, lookup);
	for (size_t i = 0; i < count; i += table->n)
		at += decode_run(lookup, table->n, &stream, at, decoded + i);
	ck_assert_uint_eq(at, stream.bits);
	ck_assert_mem_eq(from, decoded, count);
}

static const double magnitudes[] = {0.001, 0.12, 0.25, 0.5, 1, 2, 4, 20};
enum { N_MAGNITUDES = sizeof magnitudes / sizeof magnitudes[0] };

/* Each table codes its own source and all others: what it never saw comes back behind escapes. */
START_TEST(test_streams_come_back)
{
	struct clkv__run_table table;
	fill_laplacian(magnitudes[_i], 1, codes, CODES / 2);
	learn(codes, CODES / 2, &table);
	check_stream(&table, codes, CODES / 2);
	for (int m = 0; m < N_MAGNITUDES; m++) {
		fill_laplacian(magnitudes[m], 2, codes, 4096);
		check_stream(&table, codes, 4096);
	}
	for (int i = 0; i < 4096; i++)
		codes[i] = (int8_t)((i * 37) % 255 - 127);
	check_stream(&table, codes, 4096);
}
END_TEST

START_TEST(test_runs_are_fields)
{
	static const struct {
		int8_t codes[8];
		uint32_t n, run;
	} cases[] = {
		{{0}, 8, 0},
		{{-1, -1, -1, -1, -1, -1, -1, -1}, 8, 0xffffff},
		{{3, -4, 0, 0, 0, 0, 0, 1}, 8, 3 | 4 << 3 | 1 << 21},
		{{0, 0, 0, 0, 4}, 8, CLKV__RUN_NONE},
		{{0, 0, 0, 0, 0, 0, 0, -5}, 8, CLKV__RUN_NONE},
		{{31, -32, 1, -1}, 4, 31 | 32 << 6 | 1 << 12 | 63 << 18},
		{{32}, 4, CLKV__RUN_NONE},
		{{0, 0, 0, -33}, 4, CLKV__RUN_NONE},
		{{127, -127}, 2, 127 | 0xf81 << 12},
		{{-127}, 1, 0xffff81},
		{{5}, 1, 5},
	};
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
		ck_assert_uint_eq(clkv__run_of(cases[c].codes, cases[c].n), cases[c].run);
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

/* Bits per code of another sample of the source. A Huffman code loses less than .086 bits of a run and the share of the
 * commonest run (R. Gallager, 1978), here that of zeros, from which no run of eight escapes; 2 % are for what 1,023 runs and 10
 * bits leave out, as long as a run of two has fewer bits than that; larger codes stand alone. From half a bit on the shares are
 * small: 5 %. */
START_TEST(test_rates_reach_the_entropy)
{
	struct clkv__run_table table;
	fill_laplacian(magnitudes[_i], 3, codes, CODES);
	learn(codes, CODES, &table);
	fill_laplacian(magnitudes[_i], 4, codes, CODES);
	double entropy = entropy_of(codes, CODES), n = table.n, zeros = 0;
	double rate = (double)clkv__run_cost(&table, codes, CODES) / CODES;
	for (size_t i = 0; i < CODES; i += table.n)
		zeros += clkv__run_of(codes + i, table.n) == 0;
	ck_assert_double_ge(rate, entropy - 0.01);
	ck_assert_double_le(rate, CLKV__RUN_RAW + CLKV__RUN_BITS / n);
	if (entropy < 3.5)
		ck_assert_double_le(rate, 1.02 * entropy + (zeros * n / CODES + 0.086) / n);
	if (entropy > 0.5)
		ck_assert_double_le(rate, 1.05 * entropy);
}
END_TEST

/* What learning never saw: nothing, one run, each run but once, the largest codes. */
START_TEST(test_odd_samples_give_tables)
{
	struct clkv__run_table table;
	learn(codes, 0, &table);
	ck_assert_uint_eq(table.n, 8);
	ck_assert_uint_eq(table.entries, 2);
	ck_assert_uint_eq(table.entry[1], 1u << CLKV__RUN_FIELD);
	memset(codes, 0, 64);
	check_stream(&table, codes, 64);
	ck_assert_uint_eq(clkv__run_cost(&table, codes, 64), 8);
	learn(codes, 64, &table);
	ck_assert_uint_eq(clkv__run_cost(&table, codes, 64), 8);
	for (int i = 0; i < 64; i++)
		codes[i] = (int8_t)(2 * i - 63);
	learn(codes, 64, &table);
	check_stream(&table, codes, 64);
	for (int i = 0; i < 64; i++)
		codes[i] = i % 2 ? 127 : -127;
	learn(codes, 64, &table);
	check_stream(&table, codes, 64);
	ck_assert_uint_eq(clkv__run_cost(&table, codes, 64), 32);
}
END_TEST

/* ---------------------------------------------------------------- foreign tables ---- */

#define ENTRY(run, length) ((run) | (uint32_t)(length) << CLKV__RUN_FIELD)

START_TEST(test_foreign_tables_are_checked)
{
	static const struct {
		bool valid;
		struct clkv__run_table table;
	} cases[] = {
		{true, {8, 2, {ENTRY(0, 1), ENTRY(0, 1)}}},
		{true, {2, 1, {ENTRY(0, 1)}}},
		{true, {4, 1, {ENTRY(0, CLKV__RUN_BITS)}}}, /* most bits lead nowhere */
		{true, {4, 3, {ENTRY(0, 2), ENTRY(5, 1), ENTRY(0, 2)}}},
		{true, {2, 2, {ENTRY(0, 2), ENTRY(127 | 0xf81 << 12, 1)}}},
		{true, {1, 2, {ENTRY(0, 2), ENTRY(0xffff81, 1)}}},
		{false, {1, 2, {ENTRY(0, 2), ENTRY(128, 1)}}},
		{false, {1, 2, {ENTRY(0, 2), ENTRY(0x7fffff, 1)}}},
		{false, {2, 2, {ENTRY(0, 2), ENTRY(128, 1)}}},   /* 128 is no code */
		{false, {2, 2, {ENTRY(0, 2), ENTRY(0xf80, 1)}}}, /* -128 */
		{false, {0, 1, {ENTRY(0, 1)}}},
		{false, {3, 1, {ENTRY(0, 1)}}},
		{false, {16, 1, {ENTRY(0, 1)}}},
		{false, {8, 0, {ENTRY(0, 1)}}},
		{false, {8, CLKV__RUN_ENTRIES + 1, {ENTRY(0, 1)}}},
		{false, {8, UINT32_MAX, {ENTRY(0, 1)}}},
		{false, {8, 1, {ENTRY(1, 1)}}}, /* an escape with a run */
		{false, {8, 1, {0}}},
		{false, {8, 1, {ENTRY(0, CLKV__RUN_BITS + 1)}}},
		{false, {8, 1, {ENTRY(0, 1) | ABI_RUN_ESCAPE}}},
		{false, {8, 2, {ENTRY(0, 1), ENTRY(7, 0)}}},
		{false, {8, 2, {ENTRY(0, 1), ENTRY(7, 255)}}},
		{false, {8, 3, {ENTRY(0, 1), ENTRY(1, 1), ENTRY(2, 1)}}}, /* Kraft sum 3 / 2 */
		{false, {8, 3, {ENTRY(0, 2), ENTRY(2, 2), ENTRY(1, 2)}}},
		{false, {8, 3, {ENTRY(0, 2), ENTRY(1, 2), ENTRY(1, 2)}}},
		{false, {8, 3, {ENTRY(0, 2), ENTRY(1, 2), ENTRY(1, 3)}}}, /* a run twice */
		{false, {8, 3, {ENTRY(0, 2), ENTRY(1, 3), ENTRY(2, 2)}}},
	};
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
		ck_assert_msg(clkv__run_valid(&cases[c].table) == cases[c].valid, "case %zu", c);
}
END_TEST

/* Any bits decode: each run takes some of them, and only an escape gives what a table hasn't. */
static void decode_noise(const struct clkv__run_table *table, uint64_t seed)
{
	uint32_t lookup[LOOKUP];
	uint64_t state = seed;
	int8_t run[8];
	int bad = 0;
	clear(&stream);
	for (int i = 0; i < 512; i++)
		put_bits(&stream, (uint32_t)random_next(&state), 32);
	clkv__run_decoder(table, lookup);
	for (size_t at = 0; at < stream.bits;) {
		uint32_t bits = decode_run(lookup, table->n, &stream, at, run);
		bad += bits < 1 || bits > MOST_BITS;
		at += bits;
	}
	for (uint32_t i = 0; i < LOOKUP; i++)
		bad += (lookup[i] & ~(ABI_RUN_ESCAPE | 0xfffffff)) != 0;
	ck_assert_int_eq(bad, 0);
}

/* Tables with a word that changed: those that are still valid code and decode as any. */
START_TEST(test_changed_tables_are_refused_or_work)
{
	static struct clkv__run_table table, changed;
	uint64_t state = 11;
	int valid = 0;
	fill_laplacian(0.4, 5, codes, CODES / 8);
	learn(codes, CODES / 8, &table);
	for (int round = 0; round < 4000; round++) {
		changed = table;
		uint32_t *word = &changed.entry[random_below(random_next(&state), table.entries)];
		if (round % 2)
			*word ^= 1u << random_below(random_next(&state), 32);
		else
			*word = (*word & 0xff000000) | (uint32_t)random_below(random_next(&state), 1 << 24);
		if (!clkv__run_valid(&changed))
			continue;
		valid++;
		check_stream(&changed, codes, 512);
		decode_noise(&changed, (uint64_t)round);
	}
	ck_assert_int_gt(valid, 0);
	decode_noise(&table, 1);
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
	struct clkv__run_table table;
	for (int room = 0; room < 2; room++) {
		int left = room;
		const clkv_allocator allocator = {alloc_some, free_some, &left};
		clkv_error error = {0};
		ck_assert_int_eq(clkv__run_learn(codes, 64, &allocator, &table, &error),
		                 CLKV_ERROR_NO_HOST_MEMORY);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run_codes");
	TCase *streams = tcase_create("streams"), *rates = tcase_create("rates");
	tcase_add_loop_test(streams, test_streams_come_back, 0, N_MAGNITUDES);
	tcase_add_test(streams, test_runs_are_fields);
	tcase_add_loop_test(rates, test_rates_reach_the_entropy, 0, N_MAGNITUDES);
	TCase *foreign = tcase_create("foreign");
	tcase_add_test(rates, test_odd_samples_give_tables);
	tcase_add_test(foreign, test_foreign_tables_are_checked);
	tcase_add_test(foreign, test_changed_tables_are_refused_or_work);
	tcase_add_test(foreign, test_no_memory_is_said);
	TCase *all[] = {streams, rates, foreign};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		tcase_set_timeout(all[i], 60);
		suite_add_tcase(suite, all[i]);
	}
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
