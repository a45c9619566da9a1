/* SPDX-License-Identifier: MIT */
/** \file check_ggml_parts.c \brief What the backend for llama.cpp does without it: masks are read, settings are.
 */
#include "../../engines/ggml/clkv_ggml.h"
#include "../../engines/ggml/mask.h"
#include "../../engines/ggml/settings.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 67, ZERO = 0x0000, MINUS_ZERO = 0x8000, MINUS_INFINITY = 0xfc00 };

static void fill(uint16_t *row, size_t n_seen)
{
	for (size_t i = 0; i < CELLS; i++)
		row[i] = i < n_seen ? ZERO : MINUS_INFINITY;
}

START_TEST(test_a_causal_row_sees_all_up_to_itself_and_no_other_row_does)
{
	uint16_t row[CELLS];
	for (size_t n_seen = 1; n_seen <= CELLS; n_seen++) {
		fill(row, n_seen);
		for (size_t n = 1; n <= CELLS; n++)
			ck_assert_int_eq(mask_row_is_causal(row, CELLS, n), n == n_seen);
		ck_assert(!mask_row_is_causal(row, n_seen - 1, n_seen));
	}
}
END_TEST

START_TEST(test_one_cell_that_differs_is_found_wherever_it_is)
{
	/* a hole, a bias as ALiBi has, the smallest one, a NaN, a finite number that only looks like -infinity */
	const uint16_t others[] = {MINUS_INFINITY, 0xb800, 0x0001, 0x7e00, 0xfbff, 0x7c00};
	uint16_t row[CELLS];
	for (size_t i = 0; i < CELLS; i++) {
		for (size_t o = 0; o < sizeof others / sizeof others[0]; o++) {
			fill(row, 40);
			if (row[i] == others[o])
				continue;
			row[i] = others[o];
			ck_assert(!mask_row_is_causal(row, CELLS, 40));
		}
	}
	fill(row, 40);
	row[7] = MINUS_ZERO;
	ck_assert(mask_row_is_causal(row, CELLS, 40));
	row[50] = ZERO;
	ck_assert(!mask_row_is_causal(row, CELLS, 40));
}
END_TEST

START_TEST(test_the_environment_gives_way_to_what_the_program_sets)
{
	const char *bad;
	setenv("CLKV_GGML_RECIPE", "kvcomp", 1);
	setenv("CLKV_GGML_MAX_TOKENS", "4096", 1);
	ck_assert_str_eq(settings(&bad)->recipe, "kvcomp");
	ck_assert_uint_eq(settings(&bad)->max_tokens, 4096);
	ck_assert_ptr_null(bad);
	ck_assert_int_eq(clkv_ggml_set("recipe", "q"), 1);
	ck_assert_str_eq(settings(&bad)->recipe, "q");
	ck_assert_int_eq(clkv_ggml_set("recipe", NULL), 1);
	ck_assert_str_eq(settings(&bad)->recipe, "kvcomp");
	unsetenv("CLKV_GGML_RECIPE");
	ck_assert_str_eq(settings(&bad)->recipe, "f16");
	ck_assert_int_eq(clkv_ggml_set("recipes", "f16"), 0);
}
END_TEST

START_TEST(test_numbers_that_are_none_are_named)
{
	const char *bad;
	const char *const none[] = {
		"many", "-1", "+1", "1k", " 1", "2147483648", "99999999999999999999"};
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
		ck_assert_int_eq(clkv_ggml_set("max_tokens", none[i]), 1);
		settings(&bad);
		ck_assert_ptr_nonnull(bad);
		ck_assert_str_eq(bad, "CLKV_GGML_MAX_TOKENS");
	}
	clkv_ggml_set("max_tokens", "2147483647");
	ck_assert_uint_eq(settings(&bad)->max_tokens, 2147483647);
	ck_assert_ptr_null(bad);
}
END_TEST

START_TEST(test_texts_that_are_too_long_are_refused)
{
	char text[600];
	const char *bad;
	memset(text, 'x', sizeof text);
	text[512] = '\0';
	ck_assert_int_eq(clkv_ggml_set("recipe", text), 0);
	text[511] = '\0';
	ck_assert_int_eq(clkv_ggml_set("recipe", text), 1);
	ck_assert_str_eq(settings(&bad)->recipe, text);
	ck_assert_int_eq(clkv_ggml_set("device", text), 1);
	settings(&bad);
	ck_assert_ptr_nonnull(bad);
	ck_assert_str_eq(bad, "CLKV_GGML_DEVICE");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ggml_parts");
	TCase *masks = tcase_create("masks"), *set = tcase_create("settings");
	tcase_add_test(masks, test_a_causal_row_sees_all_up_to_itself_and_no_other_row_does);
	tcase_add_test(masks, test_one_cell_that_differs_is_found_wherever_it_is);
	tcase_add_test(set, test_the_environment_gives_way_to_what_the_program_sets);
	tcase_add_test(set, test_numbers_that_are_none_are_named);
	tcase_add_test(set, test_texts_that_are_too_long_are_refused);
	suite_add_tcase(suite, masks);
	suite_add_tcase(suite, set);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
