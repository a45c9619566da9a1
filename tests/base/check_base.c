/* SPDX-License-Identifier: MIT */
/** \file check_base.c \brief Statuses, errors, sizes, allocators, logs and structures: no device.
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/struct_io.h"
#include "support/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- statuses ---- */

static const clkv_status statuses[] = {
#define X(name, value, text, meaning) name,
	CLKV_STATUS_LIST(X)
#undef X
};
enum { N_STATUSES = sizeof statuses / sizeof statuses[0] };

START_TEST(test_every_status_has_a_name_of_its_own)
{
	for (int i = 0; i < N_STATUSES; i++) {
		ck_assert_uint_gt(strlen(clkv_status_string(statuses[i])), 0);
		for (int j = 0; j < i; j++) {
			ck_assert_int_ne(statuses[i], statuses[j]);
			ck_assert_str_ne(clkv_status_string(statuses[i]), clkv_status_string(statuses[j]));
		}
		ck_assert(statuses[i] == CLKV_OK || statuses[i] < 0);
	}
	ck_assert_int_eq(CLKV_OK, 0);
	ck_assert_str_eq(clkv_status_string(CLKV_ERROR_POOL_FULL), "pool full");
}
END_TEST

START_TEST(test_an_unknown_status_has_a_name_too)
{
	const char *name = clkv_status_string((clkv_status)-12345);
	ck_assert_uint_gt(strlen(name), 0);
	for (int i = 0; i < N_STATUSES; i++)
		ck_assert_str_ne(name, clkv_status_string(statuses[i]));
}
END_TEST

START_TEST(test_every_reason_to_wait_has_words_of_its_own)
{
#define X(name, value, text) name,
	static const clkv_waits reasons[] = {CLKV_WAITS_LIST(X)};
#undef X
	enum { N = sizeof reasons / sizeof reasons[0] };
	for (int i = 0; i < N; i++) {
		ck_assert_str_ne(clkv_waits_string(reasons[i]), clkv_waits_string((clkv_waits)99));
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(clkv_waits_string(reasons[i]), clkv_waits_string(reasons[j]));
	}
}
END_TEST

START_TEST(test_the_version_is_the_header_s)
{
	char text[64];
	snprintf(text, sizeof text, "%d.%d.%d", CLKV_VERSION_MAJOR, CLKV_VERSION_MINOR,
	         CLKV_VERSION_PATCH);
	ck_assert_str_eq(clkv_version(), text);
	ck_assert_uint_eq(clkv_version_number(), CLKV_VERSION_NUMBER);
	ck_assert_int_eq(CLKV_VERSION_NUMBER / 1000000, CLKV_VERSION_MAJOR);
	ck_assert_int_eq(CLKV_VERSION_NUMBER / 1000 % 1000, CLKV_VERSION_MINOR);
	ck_assert_int_eq(CLKV_VERSION_NUMBER % 1000, CLKV_VERSION_PATCH);
}
END_TEST

/* ---------------------------------------------------------------- sizes, hashes ---- */

START_TEST(test_sums_and_products_notice_overflow)
{
	static const struct {
		size_t a, b;
		bool sum, product; /* whether they fit */
	} cases[] = {
		{0, 0, true, true},
		{0, SIZE_MAX, true, true},
		{1, SIZE_MAX, false, true},
		{SIZE_MAX, SIZE_MAX, false, false},
		{SIZE_MAX - 1, 1, true, true},
		{2, SIZE_MAX / 2, true, true},
		{2, SIZE_MAX / 2 + 1, true, false},
		{SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1, false, false},
		{SIZE_MAX / 3, 3, true, true},
		{SIZE_MAX / 3 + 1, 3, true, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t a = cases[i].a, b = cases[i].b, result;
		ck_assert_msg(clkv__checked_add(a, b, &result) == cases[i].sum, "%zu + %zu", a, b);
		ck_assert(!cases[i].sum || result == a + b);
		ck_assert_msg(clkv__checked_add(b, a, &result) == cases[i].sum, "%zu + %zu", b, a);
		ck_assert_msg(clkv__checked_mul(a, b, &result) == cases[i].product, "%zu * %zu", a, b);
		ck_assert(!cases[i].product || result == a * b);
		ck_assert_msg(clkv__checked_mul(b, a, &result) == cases[i].product, "%zu * %zu", b, a);
	}
}
END_TEST

/* The published test vectors of FNV-1a: cached files of all machines have the same names. */
START_TEST(test_the_hash_is_fnv1a)
{
	ck_assert(clkv__hash(CLKV__HASH_START, "", 0) == UINT64_C(0xcbf29ce484222325));
	ck_assert(clkv__hash(CLKV__HASH_START, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
	ck_assert(clkv__hash(CLKV__HASH_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
	ck_assert(clkv__hash(clkv__hash(CLKV__HASH_START, "foo", 3), "bar", 3) ==
	          UINT64_C(0x85944171f73967e8));
}
END_TEST

/* ---------------------------------------------------------------- errors ---- */

START_TEST(test_the_first_cause_wins)
{
	clkv_error error;
	memset(&error, 0xee, sizeof error);
	clkv__error_clear(&error);
	ck_assert_int_eq(error.status, CLKV_OK);
	ck_assert_int_eq(error.position, -1);
	ck_assert_str_eq(error.text, "");
	ck_assert_str_eq(error.call, "");
	ck_assert_int_eq(clkv__error_set(&error, CLKV_ERROR_BUSY, "first %d", 1), CLKV_ERROR_BUSY);
	ck_assert_int_eq(clkv__error_set(&error, CLKV_ERROR_IO, "second"), CLKV_ERROR_IO);
	ck_assert_int_eq(clkv__cl_check(&error, -5, "clFinish(queue)"), CLKV_ERROR_NO_DEVICE_MEMORY);
	ck_assert_int_eq(error.status, CLKV_ERROR_BUSY);
	ck_assert_str_eq(error.text, "first 1");
	ck_assert_int_eq(error.cl_code, 0);
	ck_assert_str_eq(error.call, "");
}
END_TEST

START_TEST(test_errors_may_be_null_and_texts_are_cut)
{
	char wide[1000];
	clkv_error error;
	memset(wide, 'x', sizeof wide - 1);
	wide[sizeof wide - 1] = '\0';
	clkv__error_clear(NULL);
	ck_assert_int_eq(clkv__error_set(NULL, CLKV_ERROR_IO, "%s", wide), CLKV_ERROR_IO);
	ck_assert_int_eq(clkv__cl_check(NULL, -30, wide), CLKV_ERROR_OPENCL);
	clkv__error_clear(&error);
	clkv__error_set(&error, CLKV_ERROR_IO, "%s", wide);
	ck_assert_uint_eq(strlen(error.text), sizeof error.text - 1);
	clkv__error_clear(&error);
	clkv__cl_check(&error, -30, wide);
	ck_assert_uint_eq(strlen(error.call), sizeof error.call - 1);
}
END_TEST

START_TEST(test_opencl_codes_become_statuses)
{
	static const struct {
		cl_int code;
		clkv_status status;
	} cases[] = {
		{CL_OUT_OF_HOST_MEMORY, CLKV_ERROR_NO_HOST_MEMORY},
		{CL_OUT_OF_RESOURCES, CLKV_ERROR_NO_DEVICE_MEMORY},
		{CL_MEM_OBJECT_ALLOCATION_FAILURE, CLKV_ERROR_NO_DEVICE_MEMORY},
		{CL_INVALID_BUFFER_SIZE, CLKV_ERROR_NO_DEVICE_MEMORY},
		{CL_INVALID_KERNEL_ARGS, CLKV_ERROR_OPENCL},
		{-9999, CLKV_ERROR_OPENCL},
	};
	clkv_error error;
	clkv__error_clear(&error);
	ck_assert_int_eq(clkv__cl_check(&error, CL_SUCCESS, "clFlush(queue)"), CLKV_OK);
	ck_assert_int_eq(error.status, CLKV_OK);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		clkv__error_clear(&error);
		ck_assert_int_eq(clkv__cl_check(&error, cases[i].code, "clFlush(find(queue))"),
		                 cases[i].status);
		ck_assert_int_eq(error.status, cases[i].status);
		ck_assert_int_eq(error.cl_code, cases[i].code);
		ck_assert_str_eq(error.call, "clFlush");
		ck_assert_ptr_nonnull(strstr(error.text, "clFlush"));
	}
}
END_TEST

/* ---------------------------------------------------------------- memory ---- */

struct tally {
	int live, frees;
	size_t size;
};

static void *dirty_alloc(void *opaque, size_t size)
{
	struct tally *t = opaque;
	void *ptr = malloc(size);
	ck_assert_ptr_nonnull(ptr);
	memset(ptr, 0xcd, size);
	t->live++;
	t->size = size;
	return ptr;
}

static void dirty_free(void *opaque, void *ptr)
{
	struct tally *t = opaque;
	ck_assert_ptr_nonnull(ptr);
	t->live--;
	t->frees++;
	free(ptr);
}

static void check_allocator(const clkv_allocator *allocator)
{
	static const unsigned char zeros[99];
	void *ptr = clkv__calloc(allocator, 33, 3), *none = clkv__calloc(allocator, 0, 8);
	ck_assert_ptr_nonnull(ptr);
	ck_assert_ptr_nonnull(none);
	ck_assert_int_eq(memcmp(ptr, zeros, 99), 0);
	clkv__free(allocator, ptr);
	clkv__free(allocator, none);
	clkv__free(allocator, NULL);
	ck_assert_ptr_null(clkv__calloc(allocator, SIZE_MAX, 2));
	ck_assert_ptr_null(clkv__calloc(allocator, SIZE_MAX / 8 + 2, 8));
}

START_TEST(test_allocators)
{
	struct tally tally = {0, 0, 0};
	clkv_allocator own = {dirty_alloc, dirty_free, &tally}, none = {NULL, NULL, NULL};
	check_allocator(&none);
	check_allocator(&own);
	ck_assert_int_eq(tally.live, 0);
	ck_assert_int_eq(tally.frees, 2);
	ck_assert_uint_eq(tally.size, 8); /* none of something is one of it */
}
END_TEST

/* ---------------------------------------------------------------- structures ---- */

struct known {
	size_t struct_size;
	int a, b;
	double c;
};

static clkv_status read_known(struct known *dst, const void *src, clkv_error *error)
{
	clkv__error_clear(error);
	memset(dst, 0x5a, sizeof *dst);
	return clkv__struct_read(dst, sizeof *dst, src, "known", error);
}

START_TEST(test_shorter_structures_lack_fields)
{
	struct known in = {sizeof in, 1, 2, 3.0}, out;
	clkv_error error;
	ck_assert_int_eq(read_known(&out, &in, &error), CLKV_OK);
	ck_assert(out.a == 1 && out.b == 2 && out.c == 3.0);
	in.struct_size = offsetof(struct known, b);
	ck_assert_int_eq(read_known(&out, &in, &error), CLKV_OK);
	ck_assert(out.a == 1 && out.b == 0 && out.c == 0.0);
	in.struct_size = sizeof(size_t);
	ck_assert_int_eq(read_known(&out, &in, &error), CLKV_OK);
	ck_assert(out.a == 0 && out.b == 0 && out.c == 0.0);
}
END_TEST

START_TEST(test_longer_structures_end_with_zeros)
{
	struct {
		struct known known;
		unsigned char tail[40];
	} in = {{sizeof in, 1, 2, 3.0}, {0}};
	struct known out;
	clkv_error error;
	ck_assert_int_eq(read_known(&out, &in, &error), CLKV_OK);
	ck_assert(out.a == 1 && out.b == 2 && out.c == 3.0);
	for (size_t i = 0; i < sizeof in.tail; i++) {
		in.tail[i] = 0x80;
		ck_assert_int_eq(read_known(&out, &in, &error), CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_ptr_nonnull(strstr(error.text, "known"));
		ck_assert_int_eq(out.a, 0x5a5a5a5a); /* nothing was written */
		in.tail[i] = 0;
	}
}
END_TEST

START_TEST(test_garbage_sizes_are_refused)
{
	static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, 65537, SIZE_MAX, SIZE_MAX / 2};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct known in = {sizes[i], 1, 2, 3.0}, out;
		clkv_error error;
		ck_assert_int_eq(read_known(&out, &in, &error), CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_ptr_nonnull(strstr(error.text, "struct_size"));
		ck_assert_int_eq(out.a, 0x5a5a5a5a);
		struct known full = {sizeof full, 4, 5, 6.0};
		ck_assert_int_eq(clkv__struct_write(&in, &full, sizeof full, "clkv_seq_info", NULL),
		                 CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert(in.struct_size == sizes[i] && in.a == 1 && in.b == 2 && in.c == 3.0);
	}
	struct known out;
	clkv_error error;
	ck_assert_int_eq(read_known(&out, NULL, &error), CLKV_ERROR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(test_structures_are_filled_up_to_their_size)
{
	struct known full = {sizeof full, 4, 5, 6.0};
	for (size_t given = sizeof(size_t); given <= sizeof full + 16; given++) {
		unsigned char out[sizeof full + 32];
		memset(out, 0x5a, sizeof out);
		memcpy(out, &given, sizeof given);
		ck_assert_int_eq(clkv__struct_write(out, &full, sizeof full, "clkv_seq_info", NULL),
		                 CLKV_OK);
		size_t n = given < sizeof full ? given : sizeof full;
		ck_assert_int_eq(memcmp(out, &given, sizeof given), 0);
		ck_assert_int_eq(memcmp(out + sizeof given, (const unsigned char *)&full + sizeof given,
		                        n - sizeof given),
		                 0);
		for (size_t i = n; i < sizeof out; i++)
			ck_assert_uint_eq(out[i], 0x5a);
	}
}
END_TEST

/* ---------------------------------------------------------------- log ---- */

struct heard {
	int n;
	size_t length;
	clkv_log_level level;
};

static void hear(void *opaque, clkv_log_level level, const char *subsystem, const char *text)
{
	struct heard *h = opaque;
	ck_assert_str_eq(subsystem, "test");
	h->n++;
	h->length = strlen(text);
	h->level = level;
}

START_TEST(test_logs_keep_to_their_level)
{
	struct heard heard = {0, 0, CLKV_LOG_ERROR};
	struct clkv__log log = {hear, &heard, CLKV_LOG_CACHE, NULL};
	struct clkv__log silent = {NULL, NULL, CLKV_LOG_LAUNCH, NULL};
	clkv__log_to(&silent, CLKV_LOG_ERROR, "test", "nobody hears %d", 1);
	clkv__log_to(&log, CLKV_LOG_BUILD, "test", "too much");
	ck_assert_int_eq(heard.n, 0);
	clkv__log_to(&log, CLKV_LOG_CACHE, "test", "%d%s", 12, "3");
	ck_assert_int_eq(heard.n, 1);
	ck_assert_uint_eq(heard.length, 3);
	clkv__log_to(&log, CLKV_LOG_ERROR, "test", "%09999d", 1);
	ck_assert_int_eq(heard.n, 2);
	ck_assert_int_eq(heard.level, CLKV_LOG_ERROR);
	ck_assert_uint_gt(heard.length, 1000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base");
	TCase *values = tcase_create("values"), *structures = tcase_create("structures");
	tcase_add_test(values, test_every_status_has_a_name_of_its_own);
	tcase_add_test(values, test_an_unknown_status_has_a_name_too);
	tcase_add_test(values, test_every_reason_to_wait_has_words_of_its_own);
	tcase_add_test(values, test_the_version_is_the_header_s);
	tcase_add_test(values, test_sums_and_products_notice_overflow);
	tcase_add_test(values, test_the_hash_is_fnv1a);
	tcase_add_test(values, test_the_first_cause_wins);
	tcase_add_test(values, test_errors_may_be_null_and_texts_are_cut);
	tcase_add_test(values, test_opencl_codes_become_statuses);
	tcase_add_test(values, test_allocators);
	tcase_add_test(values, test_logs_keep_to_their_level);
	tcase_add_test(structures, test_shorter_structures_lack_fields);
	tcase_add_test(structures, test_longer_structures_end_with_zeros);
	tcase_add_test(structures, test_garbage_sizes_are_refused);
	tcase_add_test(structures, test_structures_are_filled_up_to_their_size);
	suite_add_tcase(suite, values);
	suite_add_tcase(suite, structures);
	return run_suite(suite);
}
