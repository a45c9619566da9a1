/* SPDX-License-Identifier: MIT */
/** \file check_names.c \brief The names in a program's text, and the macros that are left by them. Host only. */
#include "base/error.h"
#include "program/names.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/suite.h"

#include <stdio.h>

/* Which of A, B and AB each text names. */
static const struct {
	const char *text;
	bool a, b, ab;
} texts[] = {
	{"", false, false, false},
	{"A", true, false, false},
	{"int x = A;\n#if B\n#endif\n", true, true, false},
	{"AB", false, false, true},
	{"A+B", true, true, false},
	{"A##B", true, true, false},
	{"#ifdef AB\n", false, false, true},
	{"xA Ax A1 _A A_ 1A 0xA 5B", false, false, false},
	{"/* A */ // B\n", false, false, false},
	{"/* not closed A", false, false, false},
	{"// A \nB", false, true, false},
	{"/* // */ A", true, false, false},
	{"// /*\nA", true, false, false},
	{"a / A * B / AB", true, true, true},
	{"\"A\" B", false, true, false},
	{"\"\\\"A\" B", false, true, false},
	{"'A' B '\"' AB", false, true, true},
	{"\"not closed\nA", true, false, false},
	{"#line 1 \"A.cl\"\nB", false, true, false},
};

static bool has(const char *text, const char *name)
{
	const clkv_allocator allocator = inject_allocator();
	struct clkv__names names;
	clkv_error error;
	clkv__error_clear(&error);
	ck_assert_int_eq(clkv__names_read(&allocator, text, &names, &error), CLKV_OK);
	bool found = clkv__names_have(&names, name);
	clkv__names_free(&allocator, &names);
	return found;
}

START_TEST(test_names_in_texts)
{
	const char *text = texts[_i].text;
	ck_assert_msg(has(text, "A") == texts[_i].a, "A in: %s", text);
	ck_assert_msg(has(text, "B") == texts[_i].b, "B in: %s", text);
	ck_assert_msg(has(text, "AB") == texts[_i].ab, "AB in: %s", text);
	ck_assert(has(text, "small")); /* not kept, so it can't be told */
}
END_TEST

/* Past every size that the table grows through. */
START_TEST(test_many_names)
{
	enum { N = 3000 };
	static char text[N * 8];
	char name[8];
	size_t at = 0;
	for (int i = 0; i < N; i += 2)
		at += (size_t)snprintf(text + at, sizeof text - at, "M%d ", i);
	const clkv_allocator allocator = inject_allocator();
	struct clkv__names names;
	ck_assert_int_eq(clkv__names_read(&allocator, text, &names, NULL), CLKV_OK);
	ck_assert_uint_eq(names.n, N / 2);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "M%d", i);
		ck_assert(clkv__names_have(&names, name) == (i % 2 == 0));
	}
	clkv__names_free(&allocator, &names);
	ck_assert_uint_eq(inject_host_bytes(), 0);
}
END_TEST

START_TEST(test_macros_are_filtered_in_order)
{
	const clkv_allocator allocator = inject_allocator();
	struct clkv__names names;
	clkv__macros macros;
	char text[64];
	clkv__macros_init(&macros);
	clkv__macros_int(&macros, "C", 3);
	clkv__macros_int(&macros, "A", 1);
	clkv__macros_int(&macros, "B", 2);
	ck_assert_int_eq(clkv__names_read(&allocator, "C + A", &names, NULL), CLKV_OK);
	clkv__names_filter(&names, &macros);
	clkv__macros_text(&macros, text, sizeof text);
	ck_assert_str_eq(text, " -DA=1 -DC=3");
	clkv__names_free(&allocator, &names);
}
END_TEST

START_TEST(test_memory_may_run_out)
{
	const clkv_allocator allocator = inject_allocator();
	struct clkv__names names = {NULL, 0, 0};
	clkv_error error;
	static char text[4000];
	size_t at = 0;
	for (int i = 0; i < 400; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "M%d ", i);
	for (int n = 0; n < 2; n++) {
		clkv__error_clear(&error);
		inject_alloc_arm(n);
		ck_assert_int_eq(clkv__names_read(&allocator, text, &names, &error),
		                 CLKV_ERROR_NO_HOST_MEMORY);
		ck_assert(inject_alloc_disarm());
		ck_assert_int_eq(error.status, CLKV_ERROR_NO_HOST_MEMORY);
		ck_assert_uint_eq(inject_host_bytes(), 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names");
	TCase *names = tcase_create("names");
	suite_add_tcase(suite, names);
	tcase_add_loop_test(names, test_names_in_texts, 0, sizeof texts / sizeof texts[0]);
	tcase_add_test(names, test_many_names);
	tcase_add_test(names, test_macros_are_filtered_in_order);
	tcase_add_test(names, test_memory_may_run_out);
	return run_suite(suite);
}
