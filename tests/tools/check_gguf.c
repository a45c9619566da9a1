/* SPDX-License-Identifier: MIT */
/**
 * \file    check_gguf.c
 * \brief   The reader of model files: what a right file says, and that no wrong one does harm.
 *
 * Files are parsed from blocks of exactly their size, so that a sanitizer sees every byte read outside.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gguf.h"
#include "support/gguf_build.h"
#include "support/suite.h"
#include "weight_format.h"

/* A file with a value of each kind and two tensors: F32 [3][2] and Q8_0 [64]. */
static struct gguf_build good_file(void)
{
	struct gguf_build b = {NULL, 0, 0};
	const uint64_t matrix[] = {3, 2};
	const uint64_t vector[] = {64};
	gguf_build_header(&b, 3, 2, 5);
	gguf_build_text(&b, "general.architecture", "llama");
	gguf_build_number(&b, "llama.block_count", 30);
	gguf_build_array(&b, "words", 8, 2);
	gguf_build_string(&b, "one", 3);
	gguf_build_string(&b, "", 0);
	gguf_build_array(&b, "numbers", 5, 3);
	for (uint32_t i = 0; i < 3; i++)
		gguf_build_u32(&b, 0U - i);
	gguf_build_string(&b, "truth", 5);
	gguf_build_u32(&b, 7);
	gguf_build_u8(&b, 1);
	gguf_build_tensor(&b, "matrix", 2, matrix, 0, 0);
	gguf_build_tensor(&b, "vector", 1, vector, 8, 32);
	gguf_build_data(&b, 32, 32 + 68);
	return b;
}

/* Parses the first n bytes; whether they were accepted. Reads every byte that is handed out. */
static bool parse(const unsigned char *data, size_t n, struct tool_error *error)
{
	struct gguf *gguf;
	unsigned char *copy = malloc(n > 0 ? n : 1);
	volatile unsigned sum = 0;
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, data, n);
	error->text[0] = '\0';
	bool accepted = gguf_open_memory(copy, n, &gguf, error);
	ck_assert_msg(accepted || error->text[0] != '\0', "refused without a word");
	if (accepted) {
		const struct gguf_tensor *tensor = gguf_find_tensor(gguf, "vector");
		for (size_t i = 0; tensor != NULL && i < tensor->size_bytes; i++)
			sum += tensor->data[i];
		const struct gguf_value *words = gguf_find(gguf, "words");
		const unsigned char *at = words != NULL ? words->data : NULL;
		for (size_t i = 0; words != NULL && words->item_type == GGUF_STRING && i < words->n_items;
		     i++) {
			struct gguf_string word = gguf_next_string(&at);
			for (size_t j = 0; j < word.size; j++)
				sum += (unsigned char)word.data[j];
		}
		gguf_close(gguf);
	}
	(void)sum;
	free(copy);
	return accepted;
}

/* Asserts that b is refused with a message that contains `word`; frees b. */
static void refuse(struct gguf_build *b, const char *word)
{
	struct tool_error error;
	ck_assert_msg(!parse(b->data, b->size, &error), "accepted, though '%s' is wrong", word);
	ck_assert_msg(strstr(error.text, word) != NULL, "'%s' lacks '%s'", error.text, word);
	gguf_build_free(b);
}

START_TEST(test_a_right_file_is_read_back)
{
	struct gguf_build b = good_file();
	struct tool_error error = {""};
	struct gguf *gguf;
	struct gguf_string text;
	uint64_t number;
	ck_assert_msg(gguf_open_memory(b.data, b.size, &gguf, &error), "%s", error.text);
	ck_assert(gguf_get_string(gguf, "general.architecture", &text));
	ck_assert(gguf_string_is(text, "llama"));
	ck_assert(gguf_get_u64(gguf, "llama.block_count", &number) && number == 30);
	ck_assert(gguf_get_u64(gguf, "truth", &number) && number == 1);
	ck_assert(!gguf_get_u64(gguf, "words", &number));
	const struct gguf_value *words = gguf_find(gguf, "words");
	const unsigned char *at = words->data;
	ck_assert(gguf_string_is(gguf_next_string(&at), "one"));
	ck_assert(gguf_string_is(gguf_next_string(&at), ""));
	ck_assert_int_eq(gguf_item_i32(gguf_find(gguf, "numbers"), 2), -2);
	const struct gguf_tensor *matrix = gguf_find_tensor(gguf, "matrix");
	const struct gguf_tensor *vector = gguf_find_tensor(gguf, "vector");
	ck_assert_uint_eq(matrix->size_bytes, 24);
	ck_assert_uint_eq(matrix->dims[0], 3);
	ck_assert_uint_eq(matrix->dims[1], 2);
	ck_assert_uint_eq(vector->size_bytes, 68);
	ck_assert_uint_eq(vector->data[0], 32);
	ck_assert_ptr_null(gguf_find_tensor(gguf, "absent"));
	gguf_close(gguf);
	gguf_build_free(&b);
}
END_TEST

START_TEST(test_every_truncation_is_refused)
{
	struct gguf_build b = good_file();
	struct tool_error error;
	for (size_t n = 0; n < b.size; n++)
		ck_assert_msg(!parse(b.data, n, &error), "%zu of %zu bytes were accepted", n, b.size);
	ck_assert(parse(b.data, b.size, &error));
	gguf_build_free(&b);
}
END_TEST

START_TEST(test_any_wrong_byte_is_survived)
{
	static const unsigned char values[] = {0x00, 0x01, 0x09, 0x7f, 0x80, 0xff};
	struct gguf_build b = good_file();
	struct tool_error error;
	for (size_t i = 0; i < b.size; i++) {
		unsigned char right = b.data[i];
		for (size_t j = 0; j < sizeof values; j++) {
			b.data[i] = values[j];
			(void)parse(b.data, b.size, &error);
		}
		b.data[i] = right;
	}
	gguf_build_free(&b);
}
END_TEST

START_TEST(test_magic_and_version_are_named)
{
	static const uint32_t versions[] = {0, 1, 4, 0x03000000};
	struct gguf_build b = good_file();
	b.data[0] = 'X';
	refuse(&b, "not a GGUF file");
	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
		gguf_build_header(&b, versions[i], 0, 0);
		refuse(&b, "version");
	}
}
END_TEST

START_TEST(test_lying_counts_are_refused)
{
	static const uint64_t counts[] = {1000, (uint64_t)1 << 32, UINT64_MAX / 2, UINT64_MAX};
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		struct gguf_build b = {NULL, 0, 0};
		gguf_build_header(&b, 3, counts[i], 0);
		refuse(&b, "claims");
		gguf_build_header(&b, 3, 0, counts[i]);
		refuse(&b, "claims");
		gguf_build_header(&b, 3, 0, 1);
		gguf_build_array(&b, "list", 8, counts[i]);
		refuse(&b, "'list' claims");
		gguf_build_header(&b, 3, 0, 1);
		gguf_build_array(&b, "list", 10, counts[i]);
		refuse(&b, "'list' claims");
		gguf_build_header(&b, 3, 0, 1);
		gguf_build_u64(&b, counts[i]);
		gguf_build_data(&b, 8, 64);
		refuse(&b, "claims");
	}
}
END_TEST

START_TEST(test_types_that_do_not_exist_are_refused)
{
	struct gguf_build b = {NULL, 0, 0};
	gguf_build_header(&b, 3, 0, 1);
	gguf_build_string(&b, "key", 3);
	gguf_build_u32(&b, 13);
	gguf_build_data(&b, 8, 64);
	refuse(&b, "type 13");
	gguf_build_header(&b, 3, 0, 1);
	gguf_build_array(&b, "nested", 9, 1);
	gguf_build_data(&b, 8, 64);
	refuse(&b, "'nested'");
}
END_TEST

/* A file with one tensor of these dims, type and offset, and 4096 bytes of data. */
static struct gguf_build one_tensor(uint32_t n_dims, const uint64_t *dims, uint32_t type,
                                    uint64_t offset, uint32_t alignment)
{
	struct gguf_build b = {NULL, 0, 0};
	gguf_build_header(&b, 3, 1, 1);
	gguf_build_number(&b, "general.alignment", alignment);
	gguf_build_tensor(&b, "vector", n_dims, dims, type, offset);
	gguf_build_data(&b, 64, 4096);
	return b;
}

START_TEST(test_impossible_dimensions_are_refused)
{
	static const uint64_t dims[][4] = {
		{0, 1, 1, 1},
		{(uint64_t)1 << 63, 1, 1, 1},
		{(uint64_t)1 << 32, (uint64_t)1 << 32, 1, 1},
		{(uint64_t)1 << 16, (uint64_t)1 << 16, (uint64_t)1 << 16, (uint64_t)1 << 16},
		{3, UINT64_MAX / 3 + 1, 1, 1},
	};
	for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
		struct gguf_build b = one_tensor(4, dims[i], 0, 0, 32);
		refuse(&b, "dimensions");
	}
	struct gguf_build b = one_tensor(0, dims[0], 0, 0, 32);
	refuse(&b, "0 dimensions");
	const uint64_t many[8] = {1, 1, 1, 1, 1, 1, 1, 1};
	b = one_tensor(8, many, 0, 0, 32);
	refuse(&b, "8 dimensions");
}
END_TEST

START_TEST(test_tensors_lie_inside_the_file)
{
	const uint64_t fits[] = {1024};
	const uint64_t longer[] = {1025};
	const uint64_t odd[] = {33};
	struct tool_error error;
	struct gguf_build b = one_tensor(1, fits, 0, 0, 64);
	ck_assert_msg(parse(b.data, b.size, &error), "%s", error.text);
	gguf_build_free(&b);
	b = one_tensor(1, longer, 0, 0, 64);
	refuse(&b, "truncated");
	b = one_tensor(1, fits, 0, 64, 64);
	refuse(&b, "truncated");
	b = one_tensor(1, fits, 0, 8, 64);
	refuse(&b, "offset 8");
	b = one_tensor(1, fits, 0, UINT64_MAX - 63, 64);
	refuse(&b, "offset");
	b = one_tensor(1, odd, 2, 0, 64);
	refuse(&b, "multiple of 32");
}
END_TEST

START_TEST(test_alignment_is_a_power_of_two)
{
	static const uint32_t wrong[] = {0, 1, 3, 48, (uint32_t)1 << 20, UINT32_MAX};
	const uint64_t dims[] = {32};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct gguf_build b = one_tensor(1, dims, 0, 0, wrong[i]);
		refuse(&b, "general.alignment");
	}
}
END_TEST

START_TEST(test_absent_and_odd_files_are_named)
{
	struct gguf *gguf;
	struct tool_error error = {""};
	ck_assert(!gguf_open("/nonexistent/model.gguf", &gguf, &error));
	ck_assert_ptr_nonnull(strstr(error.text, "/nonexistent/model.gguf"));
	error.text[0] = '\0';
	ck_assert(!gguf_open("/", &gguf, &error));
	ck_assert_ptr_nonnull(strstr(error.text, "not a regular file"));
}
END_TEST

START_TEST(test_packed_weights_equal_dequantized_ones)
{
	static const uint32_t types[] = {WEIGHT_Q4_0, WEIGHT_Q4_1, WEIGHT_Q4_K};
	unsigned char block[144];
	float plain[256];
	struct weight_packed4 packed[8];
	uint32_t state = 7;
	for (size_t t = 0; t < 3; t++) {
		const struct weight_format *format = weight_format(types[t]);
		for (size_t i = 0; i < sizeof block; i++) {
			state = state * 1664525U + 1013904223U;
			block[i] = (unsigned char)(state >> 24);
		}
		block[1] = block[3] = 0x2c; /* scales that are finite */
		format->dequantize(block, plain);
		format->pack(block, packed);
		for (size_t i = 0; i < format->block_weights; i++) {
			const struct weight_packed4 *p = &packed[i / 32];
			int code = i % 32 < 16 ? p->codes[i % 16] & 15 : p->codes[i % 16] >> 4;
			float value = p->scale * (float)code + p->least;
			ck_assert_msg(fabsf(value - plain[i]) <= 1e-6F * fabsf(plain[i]) + 1e-6F,
			              "%s weight %zu: %g, not %g", format->name, i, (double)value,
			              (double)plain[i]);
		}
	}
}
END_TEST

START_TEST(test_dequantizers_follow_the_formats)
{
	unsigned char q8[34] = {0x00, 0x3c}; /* d = 1 */
	unsigned char q4[18] = {0x00, 0x40}; /* d = 2 */
	unsigned char half[2] = {0x01, 0x00};
	float out[256];
	q8[2] = 0x80;
	q8[33] = 0x7f;
	weight_format(WEIGHT_Q8_0)->dequantize(q8, out);
	ck_assert(out[0] == -128.0F && out[1] == 0.0F && out[31] == 127.0F);
	q4[2] = 0xf0;
	weight_format(WEIGHT_Q4_0)->dequantize(q4, out);
	ck_assert(out[0] == -16.0F && out[16] == 14.0F && out[1] == -16.0F);
	weight_format(WEIGHT_F16)->dequantize(half, out);
	ck_assert(out[0] == 0x1p-24F);
	/* Q6_K: d = 1, all scales 1; weight 128 + 64 has its low bits in the upper nibble */
	unsigned char q6[210] = {0};
	memset(q6 + 192, 1, 16);
	q6[209] = 0x3c;
	q6[64] = 0x50;
	q6[160] = 0x20;
	weight_format(WEIGHT_Q6_K)->dequantize(q6, out);
	ck_assert(out[0] == -32.0F && out[192] == 5.0F + 32.0F - 32.0F);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gguf");
	TCase *file = tcase_create("file");
	tcase_add_test(file, test_a_right_file_is_read_back);
	tcase_add_test(file, test_every_truncation_is_refused);
	tcase_add_test(file, test_any_wrong_byte_is_survived);
	tcase_add_test(file, test_magic_and_version_are_named);
	tcase_add_test(file, test_lying_counts_are_refused);
	tcase_add_test(file, test_types_that_do_not_exist_are_refused);
	tcase_add_test(file, test_impossible_dimensions_are_refused);
	tcase_add_test(file, test_tensors_lie_inside_the_file);
	tcase_add_test(file, test_alignment_is_a_power_of_two);
	tcase_add_test(file, test_absent_and_odd_files_are_named);
	suite_add_tcase(suite, file);
	TCase *weights = tcase_create("weights");
	tcase_add_test(weights, test_packed_weights_equal_dequantized_ones);
	tcase_add_test(weights, test_dequantizers_follow_the_formats);
	suite_add_tcase(suite, weights);
	return run_suite(suite);
}
