/* SPDX-License-Identifier: MIT */
/** \file check_ggml_parts.c \brief What the backend for llama.cpp does without it: masks are read, cells and shifts of them,
 *  settings.
 */
#include "../../engines/ggml/cells.h"
#include "../../engines/ggml/clkv_ggml.h"
#include "../../engines/ggml/mask.h"
#include "../../engines/ggml/settings.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 67, ZERO = 0x0000, MINUS_ZERO = 0x8000, MINUS_INFINITY = 0xfc00 };

/* Cells whose tokens follow them, n_seen before the batch and the rest of the batch's rows. */
static void fill_since(uint32_t *since, size_t n_seen)
{
	for (size_t i = 0; i < CELLS; i++)
		since[i] = i < n_seen ? 0 : (uint32_t)(i - n_seen);
}

static void fill(uint16_t *row, size_t n_seen)
{
	for (size_t i = 0; i < CELLS; i++)
		row[i] = i < n_seen ? ZERO : MINUS_INFINITY;
}

START_TEST(test_a_causal_row_sees_all_up_to_itself_and_no_other_row_does)
{
	uint16_t row[CELLS];
	uint32_t since[CELLS];
	fill_since(since, 1);
	for (size_t n_seen = 2; n_seen <= CELLS; n_seen++) {
		fill(row, n_seen);
		ck_assert_uint_eq(mask_row_count(row, CELLS), n_seen);
		for (uint32_t r = 0; r + 2 <= CELLS; r++)
			ck_assert_int_eq(mask_row_shows(row, CELLS, since, r, r + 2), r + 2 == n_seen);
		/* a mask of fewer cells than the row should see */
		ck_assert(!mask_row_shows(row, n_seen - 1, since, (uint32_t)n_seen - 2, n_seen));
	}
}
END_TEST

START_TEST(test_one_cell_that_differs_is_found_wherever_it_is)
{
	/* a hole, a bias as ALiBi has, the smallest one, a NaN, a finite number that only looks like -infinity */
	const uint16_t others[] = {MINUS_INFINITY, 0xb800, 0x0001, 0x7e00, 0xfbff, 0x7c00};
	uint16_t row[CELLS];
	uint32_t since[CELLS];
	fill_since(since, 39);
	for (size_t i = 0; i < CELLS; i++) {
		for (size_t o = 0; o < sizeof others / sizeof others[0]; o++) {
			fill(row, 40);
			if (row[i] == others[o])
				continue;
			row[i] = others[o];
			ck_assert(!mask_row_shows(row, CELLS, since, 0, 40));
		}
	}
	fill(row, 40);
	row[7] = MINUS_ZERO;
	ck_assert(mask_row_shows(row, CELLS, since, 0, 40));
	row[50] = ZERO;
	ck_assert(!mask_row_shows(row, CELLS, since, 0, 40));
}
END_TEST

/* ---------------------------------------------------------------- cells ---- */

/* Tokens in cells that don't follow them: 10, 11, ... 10 + n - 1, wrapped at CELLS. */
static struct cells some_cells(size_t n)
{
	struct cells cells = {.n = 0};
	ck_assert_int_eq(cells_make(&cells, CELLS), 1);
	for (size_t t = 0; t < n; t++)
		ck_assert_int_eq(cells_add(&cells, (10 + t) % CELLS), 1);
	return cells;
}

START_TEST(test_cells_are_taken_once_and_free_when_tokens_go)
{
	struct cells cells = some_cells(60), copy = {.n = 0};
	ck_assert_int_eq(cells_add(&cells, 10), 0);
	ck_assert_int_eq(cells_add(&cells, CELLS), 0);
	ck_assert_uint_eq(cells_run(&cells, 10, CELLS - 10), CELLS - 10);
	ck_assert_uint_eq(cells_run(&cells, 0, CELLS), 3);
	ck_assert_uint_eq(cells_run(&cells, 3, CELLS - 3), 7);
	ck_assert_int_eq(cells_make(&copy, CELLS), 1);
	cells_copy(&copy, &cells);
	cells_cut(&cells, 57);
	ck_assert_uint_eq(cells.token[0], CELL_EMPTY);
	ck_assert_int_eq(cells_add(&cells, 5), 1);
	ck_assert_uint_eq(cells.token[5], 57);
	ck_assert_uint_eq(copy.token[0], 57);
	cells_free(&cells);
	cells_free(&copy);
}
END_TEST

START_TEST(test_rows_are_seen_by_themselves_and_those_behind)
{
	struct cells cells = some_cells(20);
	uint32_t since[CELLS];
	const uint32_t rows[] = {28, 2,
	                         29}; /* 28 and 29 held tokens 18 and 19, which were taken back */
	ck_assert_int_eq(cells_since(&cells, 18, rows, 3, since), 1);
	for (size_t c = 0; c < CELLS; c++) {
		const uint32_t want = c == 28             ? 0
		                      : c == 2            ? 1
		                      : c == 29           ? 2
		                      : c >= 10 && c < 28 ? 0
		                                          : CELL_EMPTY;
		ck_assert_uint_eq(since[c], want);
	}
	ck_assert_int_eq(cells_since(&cells, 19, rows, 3, since), 0); /* 28 is token 18's */
	const uint32_t twice[] = {2, 2}, none[] = {CELLS};
	ck_assert_int_eq(cells_since(&cells, 18, twice, 2, since), 0);
	ck_assert_int_eq(cells_since(&cells, 18, none, 1, since), 0);
	cells_free(&cells);
}
END_TEST

/* Shifts the tokens [from, to) by so many positions. */
static void set_shift(int32_t *by, const struct cells *cells, size_t from, size_t to, int32_t move)
{
	for (size_t t = from; t < to; t++)
		by[cells->of[t]] = move;
}

START_TEST(test_what_a_shift_removed_is_found_and_forgotten)
{
	struct cells cells = some_cells(60);
	int32_t by[CELLS] = {0};
	struct shift shift;
	const char *why = NULL;
	/* 4 to 9 go, then 30 to 39, and the last five */
	set_shift(by, &cells, 10, 30, -6);
	set_shift(by, &cells, 40, 55, -16);
	ck_assert_int_eq(shift_read(&shift, &cells, by, &why), 1);
	const size_t want[][2] = {{4, 10}, {30, 40}, {55, 60}};
	ck_assert_uint_eq(shift.n_removed, 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(shift.removed[i].from, want[i][0]);
		ck_assert_uint_eq(shift.removed[i].to, want[i][1]);
	}
	shift_cells(&shift, &cells);
	shift_free(&shift);
	ck_assert_uint_eq(cells.n_tokens, 39);
	for (size_t t = 0; t < cells.n_tokens; t++) {
		const size_t was = t < 4 ? t : t < 24 ? t + 6 : t + 16;
		ck_assert_uint_eq(cells.of[t], (10 + was) % CELLS);
		ck_assert_uint_eq(cells.token[cells.of[t]], t);
	}
	ck_assert_uint_eq(cells.token[14], CELL_EMPTY);
	cells_free(&cells);
}
END_TEST

START_TEST(test_a_tail_shorter_than_the_gap_is_moved_all_the_same)
{
	struct cells cells = some_cells(60);
	int32_t by[CELLS] = {0};
	struct shift shift;
	const char *why = NULL;
	set_shift(by, &cells, 59, 60, -59);
	ck_assert_int_eq(shift_read(&shift, &cells, by, &why), 1);
	ck_assert_uint_eq(shift.n_removed, 1);
	shift_cells(&shift, &cells);
	shift_free(&shift);
	ck_assert_uint_eq(cells.n_tokens, 1);
	ck_assert_uint_eq(cells.of[0], 69 - CELLS);
	cells_free(&cells);
}
END_TEST

START_TEST(test_shifts_that_are_no_removal_are_told)
{
	struct cells cells = some_cells(40);
	struct shift shift;
	const struct {
		size_t from, to;
		int32_t move;
	} bad[] = {{10, 40, 3}, {10, 40, -11}, {0, 40, -1}};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int32_t by[CELLS] = {0};
		const char *why = NULL;
		set_shift(by, &cells, bad[i].from, bad[i].to, bad[i].move);
		ck_assert_int_eq(shift_read(&shift, &cells, by, &why), 0);
		ck_assert_ptr_nonnull(why);
		shift_free(&shift);
	}
	/* self-extend divides positions; a cell that holds nothing */
	int32_t divided[CELLS] = {0}, empty[CELLS] = {0};
	const char *why = NULL;
	for (size_t t = 0; t < 40; t++)
		divided[cells.of[t]] = -(int32_t)(t / 2);
	ck_assert_int_eq(shift_read(&shift, &cells, divided, &why), 0);
	ck_assert_ptr_nonnull(why);
	shift_free(&shift);
	why = NULL;
	empty[60] = -1;
	ck_assert_int_eq(shift_read(&shift, &cells, empty, &why), 0);
	ck_assert_ptr_nonnull(why);
	shift_free(&shift);
	cells_free(&cells);
}
END_TEST

/* ---------------------------------------------------------------- settings ---- */

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
	TCase *masks = tcase_create("masks"), *cells = tcase_create("cells"),
		  *set = tcase_create("settings");
	tcase_add_test(masks, test_a_causal_row_sees_all_up_to_itself_and_no_other_row_does);
	tcase_add_test(masks, test_one_cell_that_differs_is_found_wherever_it_is);
	tcase_add_test(cells, test_cells_are_taken_once_and_free_when_tokens_go);
	tcase_add_test(cells, test_rows_are_seen_by_themselves_and_those_behind);
	tcase_add_test(cells, test_what_a_shift_removed_is_found_and_forgotten);
	tcase_add_test(cells, test_a_tail_shorter_than_the_gap_is_moved_all_the_same);
	tcase_add_test(cells, test_shifts_that_are_no_removal_are_told);
	tcase_add_test(set, test_the_environment_gives_way_to_what_the_program_sets);
	tcase_add_test(set, test_numbers_that_are_none_are_named);
	tcase_add_test(set, test_texts_that_are_too_long_are_refused);
	suite_add_tcase(suite, masks);
	suite_add_tcase(suite, cells);
	suite_add_tcase(suite, set);
	return run_suite(suite);
}
