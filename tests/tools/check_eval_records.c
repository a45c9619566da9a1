/* SPDX-License-Identifier: MIT */
/**
 * \file    check_eval_records.c
 * \brief   Files of clkv-eval --resume: what was appended is found again, what else lies there is refused.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eval_records.h"
#include "support/suite.h"

#define HEAD RECORDS_TITLE "\nmodel 0123\ncontext 8\n"
enum { N = 3 };

static char path[64];

static void new_path(void)
{
	strcpy(path, "check_eval_records-XXXXXX");
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
}

static void remove_path(void)
{
	(void)unlink(path);
}

static struct eval_scores scores_with(double loss)
{
	struct eval_scores s;
	ck_assert(eval_scores_open(&s, N));
	for (size_t i = 0; i < N; i++) {
		s.loss[i] = loss + (double)i / 3.0;
		s.divergence[i] = (double)i * 1e-17;
		s.agreed[i] = i != 1;
	}
	s.bytes_per_token = 7860.125;
	s.prefill_tokens_per_s = 1.0 / 7.0;
	s.greedy = 12;
	return s;
}

static struct records *open_them(const char *head)
{
	struct records *r;
	struct tool_error error = {""};
	ck_assert_msg(records_open(path, head, N, &r, &error), "%s", error.text);
	return r;
}

static void append(struct records *r, uint64_t window, const char *recipe, double loss)
{
	struct tool_error error = {""};
	struct eval_scores s = scores_with(loss);
	ck_assert_msg(records_append(r, window, recipe, &s, &error), "%s", error.text);
	eval_scores_close(&s);
}

static void write_two(void)
{
	struct records *r = open_them(HEAD);
	append(r, 1, "f16", 2.0);
	append(r, UINT64_MAX, "kivi:bits=4 ; window=64", NAN);
	records_close(r);
}

static size_t file_text(char *text, size_t most)
{
	FILE *file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	size_t n = fread(text, 1, most - 1, file);
	text[n] = '\0';
	ck_assert_int_eq(fclose(file), 0);
	return n;
}

static void write_text(const char *text, size_t n)
{
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text, 1, n, file), n);
	ck_assert_int_eq(fclose(file), 0);
}

static void expect_refused(const char *head, const char *word)
{
	struct records *r;
	struct tool_error error = {""};
	ck_assert_msg(!records_open(path, head, N, &r, &error), "not refused: %s", word);
	ck_assert_ptr_null(r);
	ck_assert_msg(strstr(error.text, word) != NULL, "'%s' lacks '%s'", error.text, word);
}

START_TEST(test_what_was_kept_comes_back_to_the_bit)
{
	struct eval_scores s = scores_with(2.0);
	write_two();
	struct records *r = open_them(HEAD);
	ck_assert_uint_eq(records_count(r), 2);
	const struct eval_scores *found = records_find(r, 1, "f16");
	ck_assert_ptr_nonnull(found);
	ck_assert_int_eq(memcmp(found->loss, s.loss, 3 * N * sizeof *s.loss), 0);
	ck_assert(found->bytes_per_token == s.bytes_per_token);
	ck_assert(found->prefill_tokens_per_s == s.prefill_tokens_per_s);
	ck_assert_uint_eq(found->greedy, 12);
	found = records_find(r, UINT64_MAX, "kivi:bits=4 ; window=64");
	ck_assert(found != NULL && isnan(found->loss[0])); /* what broke the model is a result too */
	ck_assert_ptr_null(records_find(r, 2, "f16"));
	ck_assert_ptr_null(records_find(r, 1, "kivi:bits=4 ; window=64"));
	records_close(r);
	eval_scores_close(&s);
}
END_TEST

START_TEST(test_another_run_is_named_by_its_line)
{
	write_two();
	expect_refused(RECORDS_TITLE "\nmodel 0124\ncontext 8\n", "'model 0123'");
	expect_refused(RECORDS_TITLE "\nmodel 0123\ncontext 80\n", "'context 80'");
	expect_refused(HEAD "greedy 3\n", "'greedy 3'");
}
END_TEST

START_TEST(test_other_files_are_refused_and_left_alone)
{
	static const char *const texts[] = {"hello", "{\"recipe\": 1}\n", "\n",
	                                    "clkv-eval records 2\nmodel 0123\n"};
	char text[4096];
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		write_text(texts[i], strlen(texts[i]));
		expect_refused(HEAD, "is no file of --resume");
		(void)file_text(text, sizeof text);
		ck_assert_str_eq(text, texts[i]);
	}
	ck_assert_int_eq(unlink(path), 0);
	(void)snprintf(path, sizeof path, "/nowhere/there");
	expect_refused(HEAD, "/nowhere/there");
}
END_TEST

/* Cut anywhere behind its head the file has as many records as are whole, and another one can be appended. */
START_TEST(test_a_run_that_was_killed_goes_on)
{
	char text[4096];
	write_two();
	size_t n = file_text(text, sizeof text);
	size_t first = (size_t)(strstr(text, "\nrecord ffff") + 1 - text);
	for (size_t cut = strlen(HEAD); cut < n; cut++) {
		write_text(text, cut);
		struct records *r = open_them(HEAD);
		ck_assert_uint_eq(records_count(r), cut >= first ? 1 : 0);
		append(r, 5, "q", 1.0);
		records_close(r);
		r = open_them(HEAD);
		ck_assert_uint_eq(records_count(r), cut >= first ? 2 : 1);
		ck_assert_ptr_nonnull(records_find(r, 5, "q"));
		records_close(r);
	}
}
END_TEST

/* Any byte of a record that is changed is found out, whatever it is changed to. */
START_TEST(test_damage_is_found)
{
	char text[4096];
	write_two();
	size_t n = file_text(text, sizeof text);
	size_t first = (size_t)(strstr(text, "\nrecord ffff") + 1 - text);
	static const char others[] = {'7', ' ', '\0', 'x', '-'};
	for (size_t at = strlen(HEAD); at < first; at++) {
		for (size_t k = 0; k < sizeof others; k++) {
			char was = text[at];
			if (was == others[k])
				continue;
			text[at] = others[k];
			write_text(text, n);
			expect_refused(HEAD, "is damaged: line ");
			text[at] = was;
		}
	}
}
END_TEST

START_TEST(test_windows_of_other_lengths_are_damage)
{
	write_two();
	struct records *r;
	struct tool_error error = {""};
	ck_assert(!records_open(path, HEAD, N + 1, &r, &error));
	ck_assert_ptr_nonnull(strstr(error.text, "is damaged: line 4 "));
}
END_TEST

START_TEST(test_a_file_belongs_to_one_run_at_a_time)
{
	struct records *r = open_them(HEAD);
	expect_refused(HEAD, "is another run at it?");
	records_close(r);
	records_close(open_them(HEAD));
}
END_TEST

START_TEST(test_a_recipe_of_two_lines_is_refused)
{
	struct tool_error error = {""};
	struct eval_scores s = scores_with(1.0);
	struct records *r = open_them(HEAD);
	ck_assert(!records_append(r, 1, "f16\nend", &s, &error));
	ck_assert_ptr_nonnull(strstr(error.text, "one line"));
	records_close(r);
	eval_scores_close(&s);
}
END_TEST

START_TEST(test_windows_are_told_apart_by_their_tokens)
{
	const int32_t ids[] = {5, 6, 7, 5, 6, 8};
	ck_assert(records_window(ids, 2) == records_window(ids + 3, 2));
	ck_assert(records_window(ids, 3) != records_window(ids + 3, 3));
	ck_assert(records_window(ids, 2) != records_window(ids, 3));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("eval_records");
	TCase *records = tcase_create("records");
	tcase_set_timeout(records, 60);
	tcase_add_checked_fixture(records, new_path, remove_path);
	tcase_add_test(records, test_what_was_kept_comes_back_to_the_bit);
	tcase_add_test(records, test_another_run_is_named_by_its_line);
	tcase_add_test(records, test_other_files_are_refused_and_left_alone);
	tcase_add_test(records, test_a_run_that_was_killed_goes_on);
	tcase_add_test(records, test_damage_is_found);
	tcase_add_test(records, test_windows_of_other_lengths_are_damage);
	tcase_add_test(records, test_a_file_belongs_to_one_run_at_a_time);
	tcase_add_test(records, test_a_recipe_of_two_lines_is_refused);
	tcase_add_test(records, test_windows_are_told_apart_by_their_tokens);
	suite_add_tcase(suite, records);
	return run_suite(suite);
}
