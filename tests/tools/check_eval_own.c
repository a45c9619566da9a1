/* SPDX-License-Identifier: MIT */
/** \file check_eval_own.c \brief Recipes of clkv-eval that bring a file of their own. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eval_own.h"
#include "support/suite.h"

enum { FILES = 3 };
static char paths[FILES][64];
static const char *const contents[FILES] = {"one", "another", "one"};

static void write_files(void)
{
	for (int i = 0; i < FILES; i++) {
		strcpy(paths[i], "check_eval_own-XXXXXX");
		int fd = mkstemp(paths[i]);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(write(fd, contents[i], strlen(contents[i])), (int)strlen(contents[i]));
		ck_assert_int_eq(close(fd), 0);
	}
}

static void remove_files(void)
{
	for (int i = 0; i < FILES; i++)
		(void)unlink(paths[i]);
}

/* Each recipe has its own file and is made by its own words; who names none is as before. */
START_TEST(test_each_recipe_has_its_file)
{
	static struct eval_own own;
	static struct eval_options o;
	static char texts[FILES][128];
	struct tool_error error = {""};
	o.n_recipes = FILES + 1;
	o.recipes[FILES] = "kivi:bits=4 ; window=64";
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(texts[i], sizeof texts[i], "qtc ; window=64%s%s", i == 1 ? "@" : " @ ",
		               paths[i]);
		o.recipes[i] = texts[i];
	}
	ck_assert_msg(eval_own_open(&own, &o, &error), "%s", error.text);
	for (int i = 0; i < FILES; i++) {
		ck_assert_str_eq(o.alone[i], "qtc ; window=64");
		const struct given_file *file = &o.given_of[i]->calibration;
		ck_assert_uint_eq(file->size, strlen(contents[i]));
		ck_assert_int_eq(memcmp(file->data, contents[i], file->size), 0);
	}
	ck_assert_ptr_null(o.given_of[FILES]);
	ck_assert_ptr_null(o.alone[FILES]);
	ck_assert_ptr_null(o.key[FILES]);
	/* scores of a run that goes on belong to what is in a file, whatever its name */
	ck_assert_str_ne(o.key[0], o.key[1]);
	ck_assert_str_eq(o.key[0], o.key[2]);
	eval_own_close(&own);
}
END_TEST

START_TEST(test_what_is_no_recipe_with_a_file_is_named)
{
	static const struct {
		const char *recipe, *says;
	} wrong[] = {
		{"qtc @", "RECIPE @ FILE"},
		{"qtc @  ", "RECIPE @ FILE"},
		{" @ file", "RECIPE @ FILE"},
		{"qtc @ no/such/file", "no/such/file"},
	};
	static struct eval_own own;
	static struct eval_options o;
	struct tool_error error = {""};
	o.n_recipes = 1;
	o.recipes[0] = wrong[_i].recipe;
	ck_assert(!eval_own_open(&own, &o, &error));
	ck_assert_msg(strstr(error.text, wrong[_i].says) != NULL, "%s", error.text);
	eval_own_close(&own);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("eval own");
	TCase *tcase = tcase_create("files");
	tcase_add_checked_fixture(tcase, write_files, remove_files);
	tcase_add_test(tcase, test_each_recipe_has_its_file);
	tcase_add_loop_test(tcase, test_what_is_no_recipe_with_a_file_is_named, 0, 4);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
