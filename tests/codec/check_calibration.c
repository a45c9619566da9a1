/* SPDX-License-Identifier: MIT */
/** \file check_calibration.c \brief Calibration files: what was written comes back, and what no codec can use is refused by name. */
#include "base/little_endian.h"
#include "plan/calibration.h"
#include "plan/given_file.h"
#include "shape/shape.h"
#include "support/memory_file.h"
#include "support/random.h"
#include "support/suite.h"

#include <check.h>
#include <math.h>
#include <string.h>

enum { LAYERS = 2, STREAMS = 3, HEADS = LAYERS * STREAMS, DK = 32, DV = 48, MODEL = 77 };
enum { SAMPLES = 1024, TOKENS = ABI_TOKEN_CLASSES, CLASSES = ABI_COMPONENT_CLASSES };

/* Where the bytes lie, as doc/file-format.md says. */
enum { FACTORS = 8 + 4 * 6 + 8, TURNED = FACTORS + 4 * 6, FIRST = TURNED + 4 };
enum { K_STEP = 0, K_MEAN = 4 * DK, K_ASK = 8 * DK, K_SQUARE = 12 * DK, K_ERROR = 16 * DK };
enum { THRESHOLD = 28 * DK, V_STEP = THRESHOLD + 8, V_MEAN = V_STEP + 4 };
enum { K_CLASS = V_MEAN + 4 * DV, V_CLASS = K_CLASS + DK, HEAD_BYTES = V_CLASS + DV };
enum { DICTIONARIES = FIRST + HEADS * HEAD_BYTES, DICTIONARY_BYTES = 4 * (3 + ABI_PHRASES) };
enum { SIZE = DICTIONARIES + 2 * CLASSES * DICTIONARY_BYTES + 8 };

static float k_step[HEADS * DK], k_mean[HEADS * DK], k_ask[HEADS * DK], k_square[HEADS * DK];
static float k_error[HEADS * TOKENS * DK], threshold[HEADS * (TOKENS - 1)], v_step[HEADS];
static float v_mean[HEADS * DV];
static signed char k_sample[HEADS * DK * SAMPLES], v_sample[HEADS * DV * SAMPLES];
static int turned_pairs; /* of those that are written, the first with steps alike */
static struct memory_file file;

static clkv_geometry geometry_of(void)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = LAYERS;
	g.q_heads = 2 * STREAMS;
	g.kv_heads = STREAMS;
	g.head_dim_k = DK;
	g.head_dim_v = DV;
	g.rope.kind = CLKV_ROPE_HALVES;
	return g;
}

static struct clkv__shape shape_of(void)
{
	const clkv_geometry geometry = geometry_of();
	struct clkv__shape shape;
	ck_assert_int_eq(clkv__shape_read(&geometry, &shape, NULL), CLKV_OK);
	return shape;
}

static void fill(float *x, int n, double least, double most, uint64_t seed)
{
	for (int i = 0; i < n; i++)
		x[i] = (float)(least + (most - least) * random_uniform(random_mix(seed, (uint64_t)i)));
}

/* Normal codes; a component's deviation depends on its number alone: 0 to 3. */
static void fill_codes(signed char *codes, int components, uint64_t seed)
{
	for (int c = 0; c < components; c++)
		for (int t = 0; t < SAMPLES; t++) {
			uint64_t place = random_mix(seed, (uint64_t)(c * SAMPLES + t));
			codes[c * SAMPLES + t] = (signed char)rint(random_normal(place) * (c % 16) * 0.2);
		}
}

static clkv_calibration calibration_of(void)
{
	clkv_calibration c = CLKV_INIT(clkv_calibration);
	static const float k_factor[] = {0.5f, 0.8f, 1.3f}, v_factor[] = {0.4f, 0.8f, 1.4f};
	fill(k_step, HEADS * DK, 0.01, 1, 1);
	fill(k_mean, HEADS * DK, -9, 9, 2);
	fill(k_ask, HEADS * DK, -1, 1, 3);
	fill(k_square, HEADS * DK, 0, 1, 4);
	fill(k_error, HEADS * TOKENS * DK, 0, 0.2, 5);
	fill(v_step, HEADS, 0.1, 1, 6);
	fill(v_mean, HEADS * DV, -9, 9, 7);
	for (int i = 0; i < HEADS; i++) {
		threshold[2 * i] = i == 1 ? INFINITY : (float)i;
		threshold[2 * i + 1] = i == 2 ? -INFINITY : (float)i - 1;
	}
	fill_codes(k_sample, HEADS * DK, 8);
	fill_codes(v_sample, HEADS * DV, 9);
	c.k_step = k_step;
	c.k_mean = k_mean;
	c.k_ask = k_ask;
	c.k_square = k_square;
	c.k_error = k_error;
	c.threshold = threshold;
	c.v_step = v_step;
	c.v_mean = v_mean;
	memcpy(c.k_factor, k_factor, sizeof k_factor);
	memcpy(c.v_factor, v_factor, sizeof v_factor);
	c.k_sample = k_sample;
	c.v_sample = v_sample;
	c.samples = SAMPLES;
	c.turned_pairs = turned_pairs;
	for (int i = 0; i < HEADS * DK; i++)
		if (i % DK >= DK / 2 && i % (DK / 2) < turned_pairs)
			k_step[i] = k_step[i - DK / 2];
	return c;
}

static void make_file(void)
{
	const clkv_geometry geometry = geometry_of();
	const clkv_calibration c = calibration_of();
	clkv_error error = {0};
	file.n = 0;
	clkv_status status = clkv_calibration_write(&geometry, MODEL, &c, memory_write, &file, &error);
	ck_assert_msg(status == CLKV_OK, "%s", error.text);
	ck_assert_uint_eq(file.n, SIZE);
}

/* The checksum of what the file now holds. */
static void seal(void)
{
	clkv__given_end(file.bytes, file.bytes + SIZE - CLKV__GIVEN_CHECKSUM);
}

static clkv_status check(const struct clkv__shape *shape, size_t size, uint64_t model,
                         clkv_error *error)
{
	memset(error, 0, sizeof *error);
	return clkv__calibration_check(shape, file.bytes, size, model, error);
}

/* The file with its checksum made right is refused as damaged, with these words; it is made anew. */
static void expect_corrupt(const char *text)
{
	const struct clkv__shape shape = shape_of();
	clkv_error error;
	seal();
	ck_assert_int_eq(check(&shape, SIZE, MODEL, &error), CLKV_ERROR_CORRUPT);
	ck_assert_msg(strstr(error.text, text) != NULL, "'%s' lacks '%s'", error.text, text);
	make_file();
}

/* ---------------------------------------------------------------- round trips ---- */

static void check_head(const struct clkv__shape *shape, int i)
{
	struct clkv__calibrated h;
	clkv__calibration_head(shape, file.bytes, i / STREAMS, i % STREAMS, &h);
	ck_assert_mem_eq(h.k_step, k_step + i * DK, sizeof(float) * DK);
	ck_assert_mem_eq(h.k_mean, k_mean + i * DK, sizeof(float) * DK);
	ck_assert_mem_eq(h.k_ask, k_ask + i * DK, sizeof(float) * DK);
	ck_assert_mem_eq(h.k_square, k_square + i * DK, sizeof(float) * DK);
	for (int t = 0; t < TOKENS; t++)
		ck_assert_mem_eq(h.k_error[t], k_error + (i * TOKENS + t) * DK, sizeof(float) * DK);
	ck_assert_mem_eq(h.threshold, threshold + 2 * i, sizeof h.threshold);
	ck_assert_float_eq(h.v_step, v_step[i]);
	ck_assert_mem_eq(h.v_mean, v_mean + i * DV, sizeof(float) * DV);
}

START_TEST(test_comes_back)
{
	const struct clkv__shape shape = shape_of();
	const clkv_calibration c = calibration_of();
	float factors[TOKENS];
	clkv_error error;
	make_file();
	ck_assert_uint_eq(clkv__calibration_bytes(&shape), SIZE);
	ck_assert_msg(check(&shape, SIZE, MODEL, &error) == CLKV_OK, "%s", error.text);
	for (int i = 0; i < HEADS; i++)
		check_head(&shape, i);
	clkv__calibration_factors(file.bytes, 0, factors);
	ck_assert_mem_eq(factors, c.k_factor, sizeof factors);
	clkv__calibration_factors(file.bytes, 1, factors);
	ck_assert_mem_eq(factors, c.v_factor, sizeof factors);
}
END_TEST

static double entropy_of(const signed char *codes)
{
	double counts[256] = {0}, bits = 0;
	for (int i = 0; i < SAMPLES; i++)
		counts[(unsigned char)codes[i]]++;
	for (int i = 0; i < 256; i++)
		if (counts[i] > 0)
			bits += counts[i] * log2(SAMPLES / counts[i]);
	return bits / SAMPLES;
}

/* Within a head classes rise with entropy, and each has a multiple of ABI_QTC_ALIKE components. */
static void check_classes(const uint8_t *classes, const double *entropy, int dim)
{
	for (int i = 0; i < dim; i++) {
		int alike = 0;
		for (int j = 0; j < dim; j++) {
			alike += classes[j] == classes[i];
			ck_assert(classes[j] >= classes[i] || entropy[j] <= entropy[i]);
		}
		ck_assert_int_eq(alike % ABI_QTC_ALIKE, 0);
	}
}

/* Bits of a side's sample with the dictionaries of its components' classes. */
static double check_side(int side, int components, const signed char *codes, double *entropy)
{
	const struct clkv__shape shape = shape_of();
	const int dim = side ? DV : DK;
	double bits = 0, of[DK > DV ? DK : DV];
	static struct clkv__phrases phrases;
	static struct clkv__phrase_coder coder;
	for (int i = 0; i < components; i++, codes += SAMPLES) {
		struct clkv__calibrated h;
		clkv__calibration_head(&shape, file.bytes, i / dim / STREAMS, i / dim % STREAMS, &h);
		const uint8_t *classes = side ? h.v_class : h.k_class;
		of[i % dim] = entropy_of(codes);
		*entropy += of[i % dim] * SAMPLES;
		clkv__calibration_phrases(&shape, file.bytes, side, classes[i % dim], &phrases);
		clkv__phrases_coder(&phrases, &coder);
		bits += (double)phrases.bits * clkv__phrases_words(&coder, codes, SAMPLES);
		if (i % dim == dim - 1)
			check_classes(classes, of, dim);
	}
	return bits;
}

/* Sixteen kinds of components in eight classes: at most a tenth above their own entropies (with one
 * dictionary, a third; a class of two kinds loses some per cent, words of one length as much). A component that is 0 costs
 * nothing. */
START_TEST(test_classes_follow_entropy)
{
	double entropy = 0;
	make_file();
	double bits = check_side(0, HEADS * DK, k_sample, &entropy);
	bits += check_side(1, HEADS * DV, v_sample, &entropy);
	ck_assert_double_ge(bits, entropy);
	ck_assert_double_le(bits, 1.1 * entropy);
}
END_TEST

/* A band of the model's layers reads its dictionaries from the file of all. */
START_TEST(test_some_layers_read_the_same)
{
	const struct clkv__shape shape = shape_of();
	struct clkv__shape some = shape;
	static struct clkv__phrases a, b;
	some.layers = 1;
	make_file();
	for (int i = 0; i < 2 * CLASSES; i++) {
		clkv__calibration_phrases(&shape, file.bytes, i / CLASSES, i % CLASSES, &a);
		clkv__calibration_phrases(&some, file.bytes, i / CLASSES, i % CLASSES, &b);
		ck_assert_mem_eq(&a, &b, sizeof a);
		ck_assert(clkv__phrases_valid(&a));
	}
	check_head(&some, HEADS - 1);
}
END_TEST

/* All components alike: one class has them, the others the dictionary of an empty sample. */
START_TEST(test_equal_components_are_one_class)
{
	const struct clkv__shape shape = shape_of();
	const clkv_geometry geometry = geometry_of();
	clkv_calibration c = calibration_of();
	struct clkv__calibrated h;
	clkv_error error;
	memset(k_sample, 3, sizeof k_sample);
	c.samples = 64;
	file.n = 0;
	ck_assert_int_eq(clkv_calibration_write(&geometry, MODEL, &c, memory_write, &file, &error),
	                 CLKV_OK);
	ck_assert_int_eq(check(&shape, SIZE, MODEL, &error), CLKV_OK);
	clkv__calibration_head(&shape, file.bytes, 0, 0, &h);
	const int class = h.k_class[0];
	for (int i = 0; i < HEADS; i++) {
		clkv__calibration_head(&shape, file.bytes, i / STREAMS, i % STREAMS, &h);
		for (int d = 0; d < DK; d++)
			ck_assert_int_eq(h.k_class[d], class);
	}
}
END_TEST

/* ---------------------------------------------------------------- damage ---- */

/* A changed byte is noticed, wherever it lies, and so is a file that ends early. */
START_TEST(test_damage_is_noticed)
{
	const struct clkv__shape shape = shape_of();
	clkv_error error;
	make_file();
	for (size_t i = 0; i < SIZE; i += i < FIRST + 64 || i > SIZE - 64 ? 1 : 61) {
		file.bytes[i] ^= 0x10;
		ck_assert_int_ne(check(&shape, SIZE, MODEL, &error), CLKV_OK);
		file.bytes[i] ^= 0x10;
	}
	for (size_t size = 0; size < SIZE; size += 997)
		ck_assert_int_eq(check(&shape, size, MODEL, &error), CLKV_ERROR_CORRUPT);
	ck_assert_int_eq(check(&shape, SIZE, MODEL, &error), CLKV_OK);
}
END_TEST

static void put_float(size_t at, float x)
{
	uint32_t bits;
	memcpy(&bits, &x, sizeof bits);
	clkv__put32(file.bytes + at, bits);
}

/* Numbers that no codec can use, in the last head, of a file whose checksum is right. */
START_TEST(test_numbers_are_distrusted)
{
	static const float no_mean[] = {NAN, INFINITY, -INFINITY, 1.1e6f, -1.1e6f};
	static const float no_step[] = {NAN, INFINITY, 0, -1, 1e-13f, 1e13f};
	static const float no_error[] = {NAN, INFINITY, -1e-9f, 1e13f};
	static const struct {
		size_t at;
		const float *bad;
		size_t n_bad;
		const char *text;
	} cases[] = {
		{K_STEP + 4 * DK - 4, no_step, 6, "a step of K; allowed: 1e-12 to 1e12"},
		{V_STEP, no_step, 6, "its step of V; allowed: 1e-12 to 1e12"},
		{K_MEAN, no_mean, 5, "a mean of K; allowed: -1e6 to 1e6"},
		{V_MEAN + 4 * DV - 4, no_mean, 5, "a mean of V; allowed: -1e6 to 1e6"},
		{K_ASK + 4 * DK - 4, no_mean, 3, "ask has a number that isn't finite"},
		{K_SQUARE, no_mean, 3, "square has a number that isn't finite"},
		{K_ERROR + 4 * DK * TOKENS - 4, no_error, 4, "an error of K; allowed: 0 to 1e12"},
		{THRESHOLD, no_mean, 1, "its thresholds; allowed"},
		{THRESHOLD + 4, no_mean, 2, "its thresholds; allowed"},
	};
	make_file();
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
		for (size_t i = 0; i < cases[c].n_bad; i++) {
			char text[128] = "layer 1, KV head 2: ";
			put_float(FIRST + (HEADS - 1) * HEAD_BYTES + cases[c].at, cases[c].bad[i]);
			expect_corrupt(strcat(text, cases[c].text));
		}
	put_float(FACTORS + 8, 0.009f);
	expect_corrupt("a factor of K; allowed: 0.01 to 100");
	put_float(FACTORS + 12, NAN);
	expect_corrupt("a factor of V; allowed: 0.01 to 100");
}
END_TEST

START_TEST(test_classes_and_dictionaries_are_distrusted)
{
	const struct clkv__shape shape = shape_of();
	static struct clkv__phrases phrases;
	make_file();
	file.bytes[FIRST + K_CLASS + DK - 1] = CLASSES;
	expect_corrupt("layer 0, KV head 0: the class of a channel; allowed: 0 to 7");
	file.bytes[FIRST + HEAD_BYTES + V_CLASS] = 255;
	expect_corrupt("layer 0, KV head 1: the class of a channel; allowed: 0 to 7");
	clkv__put32(file.bytes + DICTIONARIES + (CLASSES + 3) * DICTIONARY_BYTES, 3);
	expect_corrupt("dictionary of V, class 3, is none");
	clkv__put32(file.bytes + DICTIONARIES + 4, 0);
	expect_corrupt("dictionary of K, class 0, is none");
	clkv__put32(file.bytes + DICTIONARIES + 4, UINT32_MAX);
	expect_corrupt("dictionary of K, class 0, is none");
	clkv__put32(file.bytes + DICTIONARIES + 8, 0);
	expect_corrupt("dictionary of K, class 0, is none");
	clkv__put32(file.bytes + DICTIONARIES + 12, 1);
	expect_corrupt("dictionary of K, class 0, is none");
	clkv__calibration_phrases(&shape, file.bytes, 0, 0, &phrases);
	ck_assert_uint_lt(phrases.n, ABI_PHRASES);
	clkv__put32(file.bytes + DICTIONARIES + DICTIONARY_BYTES - 4, 1); /* behind the last phrase */
	expect_corrupt("dictionary of K, class 0, is none");
}
END_TEST

/* Bytes at random, the checksum made right: refused, or a file that all readers can use. */
START_TEST(test_noise_is_refused_or_works)
{
	const struct clkv__shape shape = shape_of();
	static unsigned char good[SIZE];
	static uint8_t integers[ABI_PHRASES][ABI_PHRASE_STORED], counts[ABI_PHRASES];
	static struct clkv__phrases phrases;
	static struct clkv__phrase_coder coder;
	struct clkv__calibrated head;
	uint64_t state = 3;
	clkv_error error;
	int taken = 0;
	make_file();
	memcpy(good, file.bytes, SIZE);
	for (int round = 0; round < 2000; round++) {
		memcpy(file.bytes, good, SIZE);
		for (int i = 0; i < 1 + round % 3; i++)
			file.bytes[random_below(random_next(&state), SIZE)] =
				(unsigned char)random_next(&state);
		seal();
		if (check(&shape, SIZE, MODEL, &error) != CLKV_OK) {
			ck_assert(error.text[0] != 0);
			continue;
		}
		taken++;
		clkv__calibration_head(&shape, file.bytes, 1, 2, &head);
		for (int i = 0; i < 2 * CLASSES; i++) {
			clkv__calibration_phrases(&shape, file.bytes, i / CLASSES, i % CLASSES, &phrases);
			clkv__phrases_decoder(&phrases, integers, counts);
			clkv__phrases_coder(&phrases, &coder);
		}
	}
	ck_assert(taken > 0 && taken < 2000);
}
END_TEST

/* Keys in front of RoPE: so many pairs as there are, each with one step. */
START_TEST(test_turned_pairs)
{
	const struct clkv__shape shape = shape_of();
	struct clkv__shape none = shape;
	const clkv_geometry geometry = geometry_of();
	clkv_calibration c;
	clkv_error error;
	turned_pairs = 5;
	make_file();
	ck_assert_int_eq(check(&shape, SIZE, MODEL, &error), CLKV_OK);
	ck_assert_int_eq(clkv__calibration_turned(file.bytes), 5);
	none.rope = (clkv_rope){0};
	ck_assert_int_eq(check(&none, SIZE, MODEL, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error.text, "the geometry has none") != NULL, "%s", error.text);
	clkv__put32(file.bytes + TURNED, 6);
	expect_corrupt("layer 0, KV head 0: steps of K that RoPE turns into each other");
	clkv__put32(file.bytes + TURNED, DK / 2 + 1);
	expect_corrupt("17 turned pairs; allowed: 0 to 16");
	clkv__put32(file.bytes + TURNED, UINT32_MAX);
	expect_corrupt("turned pairs; allowed: 0 to 16");
	put_float(FIRST + 2 * HEAD_BYTES + K_STEP + 16, 0.5f);
	expect_corrupt("layer 0, KV head 2: steps of K that RoPE turns");
	c = calibration_of();
	k_step[DK - 12] *= 2; /* of pair 4 */
	ck_assert_int_eq(clkv_calibration_write(&geometry, MODEL, &c, memory_write, &file, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error.text, "steps of K that RoPE turns") != NULL, "%s", error.text);
	for (int i = -1; i <= DK / 2 + 1; i += DK / 2 + 2) {
		c = calibration_of();
		c.turned_pairs = i;
		ck_assert_int_eq(clkv_calibration_write(&geometry, MODEL, &c, memory_write, &file, &error),
		                 CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_msg(strstr(error.text, "turned_pairs is") != NULL, "%s", error.text);
	}
	turned_pairs = 0;
}
END_TEST

/* ---------------------------------------------------------------- of others ---- */

static void expect_other(struct clkv__shape shape, uint64_t model, const char *text)
{
	clkv_error error;
	ck_assert_int_eq(check(&shape, SIZE, model, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error.text, text) != NULL, "'%s' lacks '%s'", error.text, text);
}

/* P6: files of another model, shape or RoPE are refused by name. */
START_TEST(test_p6_others_are_refused)
{
	const struct clkv__shape shape = shape_of();
	struct clkv__shape other = shape;
	clkv_error error;
	make_file();
	expect_other(shape, MODEL + 1, "the calibration file is for model 000000000000004d");
	other.layers++;
	expect_other(other, MODEL, "layers is 2; allowed: the cache's 3");
	other = shape;
	other.streams--;
	expect_other(other, MODEL, "kv_heads is 3");
	other = shape;
	other.dk = 64;
	expect_other(other, MODEL, "head_dim_k is 32");
	other = shape;
	other.dv = 64;
	expect_other(other, MODEL, "head_dim_v is 48");
	other = shape;
	other.rope.kind = CLKV_ROPE_PAIRS;
	expect_other(other, MODEL, "rope.kind");
	other.rope.kind = CLKV_ROPE_NONE; /* who rotates says nothing of how */
	ck_assert_int_eq(check(&other, SIZE, MODEL, &error), CLKV_OK);
	memset(&error, 0, sizeof error);
	ck_assert_int_eq(clkv__calibration_check(&shape, NULL, 0, MODEL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert(strstr(error.text, "calibration is NULL") != NULL);
}
END_TEST

/* ---------------------------------------------------------------- arguments ---- */

static void expect_refused(const clkv_calibration *c, clkv_status status, const char *text)
{
	const clkv_geometry geometry = geometry_of();
	clkv_error error = {0};
	file.n = 0;
	ck_assert_int_eq(clkv_calibration_write(&geometry, MODEL, c, memory_write, &file, &error),
	                 status);
	ck_assert_msg(strstr(error.text, text) != NULL, "'%s' lacks '%s'", error.text, text);
	ck_assert_uint_eq(error.status, status);
}

START_TEST(test_bad_arguments_are_named)
{
	const clkv_status bad = CLKV_ERROR_INVALID_ARGUMENT;
	clkv_calibration c = calibration_of();
	expect_refused(NULL, bad, "calibration is NULL");
	c.k_error = NULL;
	expect_refused(&c, bad, "k_error is NULL");
	c = calibration_of();
	c.v_sample = NULL;
	expect_refused(&c, bad, "v_sample is NULL");
	c = calibration_of();
	c.struct_size = 0;
	expect_refused(&c, bad, "clkv_calibration");
	c = calibration_of();
	c.samples = 56;
	expect_refused(&c, bad, "samples is 56; allowed: a multiple of 8, 64 to 65536");
	c.samples = 100;
	expect_refused(&c, bad, "samples is 100");
	c.samples = 65544;
	expect_refused(&c, bad, "samples is 65544");
	c = calibration_of();
	c.k_factor[1] = 0;
	expect_refused(&c, bad, "k_factor; allowed: 0.01 to 100");
	c = calibration_of();
	c.v_factor[2] = NAN;
	expect_refused(&c, bad, "v_factor; allowed: 0.01 to 100");
	const clkv_geometry geometry = geometry_of();
	clkv_error error = {0};
	ck_assert_int_eq(clkv_calibration_write(&geometry, MODEL, &c, NULL, NULL, &error), bad);
	ck_assert(strstr(error.text, "write is NULL") != NULL);
}
END_TEST

START_TEST(test_bad_numbers_are_named)
{
	const clkv_status bad = CLKV_ERROR_INVALID_ARGUMENT;
	clkv_calibration c = calibration_of();
	k_step[4 * DK + 7] = 0;
	expect_refused(&c, bad, "layer 1, KV head 1: a step of K; allowed: 1e-12 to 1e12");
	c = calibration_of();
	threshold[6] = -2000;
	expect_refused(&c, bad, "layer 1, KV head 0: its thresholds");
	c = calibration_of();
	k_error[(TOKENS * 5 + 2) * DK + DK - 1] = -1;
	expect_refused(&c, bad, "layer 1, KV head 2: an error of K; allowed: 0 to 1e12");
	c = calibration_of();
	k_sample[5 * DK * SAMPLES] = -128;
	expect_refused(&c, bad, "layer 1, KV head 2: a code in k_sample is -128; allowed: -127 to 127");
	c = calibration_of();
	v_sample[DV * SAMPLES - 1] = -128;
	expect_refused(&c, bad, "layer 0, KV head 0: a code in v_sample is -128; allowed: -127 to 127");
	c = calibration_of();
	file.fails = ++file.calls + 1;
	expect_refused(&c, CLKV_ERROR_IO, "could not be written");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("calibration");
	TCase *files = tcase_create("files"), *arguments = tcase_create("arguments");
	tcase_add_test(files, test_comes_back);
	tcase_add_test(files, test_classes_follow_entropy);
	tcase_add_test(files, test_some_layers_read_the_same);
	tcase_add_test(files, test_equal_components_are_one_class);
	tcase_add_test(files, test_damage_is_noticed);
	tcase_add_test(files, test_numbers_are_distrusted);
	tcase_add_test(files, test_classes_and_dictionaries_are_distrusted);
	tcase_add_test(files, test_turned_pairs);
	tcase_add_test(files, test_noise_is_refused_or_works);
	tcase_add_test(files, test_p6_others_are_refused);
	tcase_add_test(arguments, test_bad_arguments_are_named);
	tcase_add_test(arguments, test_bad_numbers_are_named);
	tcase_set_timeout(files, 60);
	suite_add_tcase(suite, files);
	suite_add_tcase(suite, arguments);
	return run_suite(suite);
}
