/* SPDX-License-Identifier: MIT */
/** \file check_recipe.c \brief Recipe strings: what they mean, and what is wrong with them. */
#include "support/random.h"

#include <check.h>
#include <clkv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static clkv_status print(const char *recipe, char text[1024], clkv_error *error)
{
	memset(text, '#', 1024);
	return clkv_recipe_print(recipe, text, 1024, error);
}

static void check_fixed_point(const char *text)
{
	char again[1024];
	clkv_error error;
	ck_assert_msg(print(text, again, &error) == CLKV_OK, "'%s': %s", text, error.text);
	ck_assert_str_eq(again, text);
}

START_TEST(test_printing_is_a_fixed_point)
{
	static const char *const recipes[] = {
		"f16",
		" f16 ",
		"kivi",
		"kivi:bits=2,group=16",
		"kivi:k=4 , v=2;window=64",
		"\tkivi : bits = 8 ; sinks = 4 , block=128 , skip=2 , seal=prompt\n",
		"q",
		"q:k=8,v=4",
		"q:k=16,v=2,axis_k=token,axis_v=channel,sym=1",
		"q:rot=hadamard,k=4,v=4",
		"q ; window=0",
	};
	char text[1024];
	clkv_error error;
	ck_assert_msg(print(recipes[_i], text, &error) == CLKV_OK, "'%s': %s", recipes[_i], error.text);
	check_fixed_point(text);
}
END_TEST

START_TEST(test_the_print_has_every_key_and_what_was_given)
{
	static const struct {
		const char *recipe, *parts[4];
	} cases[] = {
		{"kivi:bits=2,group=16", {"kivi", "bits=2", "group=16", "block=64"}},
		{"kivi", {"bits=4", "group=32", "sinks=0", "skip=0"}},
		{"q", {"k=8", "v=4", "rot=none", "seal=chunk"}},
		{"q:sym=1,rot=hadamard;window=7", {"sym=1", "rot=hadamard", "window=7", "axis_k=token"}},
	};
	char text[1024];
	clkv_error error;
	ck_assert_int_eq(print(cases[_i].recipe, text, &error), CLKV_OK);
	for (size_t i = 0; i < 4; i++)
		ck_assert_msg(strstr(text, cases[_i].parts[i]) != NULL, "'%s' lacks '%s'", text,
		              cases[_i].parts[i]);
}
END_TEST

/* Where the error begins, and words that its text must have: the culprit and what is allowed. */
static const struct {
	const char *recipe;
	int position;
	const char *words[3];
} errors[] = {
	{"", 0, {"stage", "kivi", "f16"}},
	{"   ", -2, {"stage", "kivi", "f16"}},
	{"kiwi", 0, {"kiwi", "kivi", "q"}},
	{"KIVI", 0, {"KIVI", "kivi", NULL}},
	{"kivi:", 5, {"kivi", "bits", "group"}},
	{"kivi:bit=4", 5, {"bit", "bits", "group"}},
	{"kivi:group=32, bots=4", 15, {"bots", "bits", "kivi"}},
	{"kivi:bits=7", 10, {"bits", "7", "2|3|4|5|6|8"}},
	{"kivi:bits=", 10, {"bits", "2|3|4|5|6|8", "kivi"}},
	{"kivi:bits", 9, {"bits", "2|3|4|5|6|8", "kivi"}},
	{"kivi:bits=4x", 10, {"bits", "4x", NULL}},
	{"kivi:bits=-4", 10, {"bits", "-4", NULL}},
	{"kivi:bits=99999999999999999999", 10, {"bits", "allowed", NULL}},
	{"kivi:bits=4,bits=4", 12, {"bits", "twice", NULL}},
	{"kivi:bits=4,", 12, {"kivi", "bits", "group"}},
	{"kivi:group=24", 11, {"group", "24", "16|32|64|128"}},
	{"q:axis_k=tokens", 9, {"axis_k", "tokens", "channel|token"}},
	{"q:sym=2", 6, {"sym", "2", "0 to 1"}},
	{"q:rot=dct", 6, {"rot", "dct", "none|hadamard"}},
	{"q:k=7", 4, {"k", "7", "16"}},
	{"f16:bits=4", 4, {"f16", "bits", "none"}},
	{"kivi ; windows=4", 7, {"windows", "window", "sinks"}},
	{"kivi ; window=4 ; sinks=4", -1, {"window", "allowed", NULL}},
	{"kivi ; window=9999999", 14, {"window", "9999999", "0 to"}},
	{"kivi ; block=48", 13, {"block", "48", "32|64|128"}},
	{"kivi ; seal=never", 12, {"seal", "never", "chunk|prompt"}},
	{"kivi | q", 7, {"q", "kivi", "order"}},
	{"kivi |", -2, {"stage", "missing", "kivi"}},
	{"| kivi", 0, {"stage", "missing", "kivi"}},
	{"kivi:bits=4\x01", 10, {"bits", "allowed", NULL}},
};

START_TEST(test_errors_say_where_and_what_is_allowed)
{
	char text[1024];
	clkv_error error;
	memset(&error, 0xee, sizeof error);
	ck_assert_msg(print(errors[_i].recipe, text, &error) == CLKV_ERROR_INVALID_RECIPE, "'%s': %s",
	              errors[_i].recipe, text);
	ck_assert_int_eq(error.status, CLKV_ERROR_INVALID_RECIPE);
	ck_assert_int_eq(text[0], '#');
	if (errors[_i].position >= 0)
		ck_assert_msg(error.position == errors[_i].position, "'%s': position %d: %s",
		              errors[_i].recipe, error.position, error.text);
	else
		ck_assert_int_ge(error.position, 0);
	ck_assert_int_le(error.position, (int)strlen(errors[_i].recipe));
	for (size_t i = 0; i < 3 && errors[_i].words[i]; i++)
		ck_assert_msg(strstr(error.text, errors[_i].words[i]) != NULL, "'%s': '%s' lacks '%s'",
		              errors[_i].recipe, error.text, errors[_i].words[i]);
	ck_assert_int_eq(clkv_recipe_print(errors[_i].recipe, text, sizeof text, NULL),
	                 CLKV_ERROR_INVALID_RECIPE);
}
END_TEST

START_TEST(test_long_strings_get_an_error)
{
	static char huge[100000];
	char text[1024];
	clkv_error error;
	memset(huge, 'x', sizeof huge - 1);
	ck_assert_int_ne(print(huge, text, &error), CLKV_OK);
	memcpy(huge, "kivi:bits=", 10);
	ck_assert_int_ne(print(huge, text, &error), CLKV_OK);
	ck_assert_int_ne(print(huge + sizeof huge - 3000, text, &error), CLKV_OK);
	ck_assert_ptr_nonnull(memchr(error.text, '\0', sizeof error.text));
}
END_TEST

START_TEST(test_a_short_buffer_is_refused)
{
	char text[1024], small[1024];
	clkv_error error;
	ck_assert_int_eq(print("kivi", text, &error), CLKV_OK);
	size_t n = strlen(text);
	memset(small, '#', sizeof small);
	ck_assert_int_eq(clkv_recipe_print("kivi", small, n + 1, &error), CLKV_OK);
	ck_assert_str_eq(small, text);
	ck_assert_int_eq(small[n + 1], '#');
	memset(small, '#', sizeof small);
	ck_assert_int_eq(clkv_recipe_print("kivi", small, n, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(small[n], '#');
	ck_assert_int_eq(clkv_recipe_print("kivi", NULL, 0, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_recipe_print(NULL, text, sizeof text, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
}
END_TEST

struct listing {
	int stages, keys, bad;
};

static void list(void *opaque, const char *stage, const char *brief, const char *source,
                 const char *keys)
{
	struct listing *seen = opaque;
	seen->stages++;
	seen->bad += !stage || !*stage || !brief || !*brief || !source || !keys;
	for (const char *line = keys; line && *line; line = strchr(line, '\n') + 1) {
		seen->keys++;
		const char *end = strchr(line, '\n');
		const char *equals = strchr(line, '='), *colon = strchr(line, ':');
		if (!end || !equals || !colon || equals > end || colon > end) {
			seen->bad++;
			return;
		}
	}
}

START_TEST(test_the_list_names_stages_and_keys)
{
	struct listing seen = {0, 0, 0};
	clkv_recipe_list(list, &seen);
	ck_assert_int_ge(seen.stages, 3);
	ck_assert_int_ge(seen.keys, 16);
	ck_assert_int_eq(seen.bad, 0);
}
END_TEST

/* Words of the grammar in any order, and single bytes changed: an answer, a position inside the text,
 * and a fixed point when it is accepted. */
static void check_any(const char *recipe)
{
	char text[1024];
	clkv_error error;
	clkv_status status = print(recipe, text, &error);
	if (status == CLKV_OK) {
		check_fixed_point(text);
		return;
	}
	ck_assert_msg(status == CLKV_ERROR_INVALID_RECIPE, "'%s': %s", recipe, error.text);
	ck_assert_msg(error.position >= 0 && error.position <= (int)strlen(recipe), "'%s': %d", recipe,
	              error.position);
	ck_assert_ptr_nonnull(memchr(error.text, '\0', sizeof error.text));
}

START_TEST(test_random_strings_get_an_answer)
{
	static const char *const words[] = {
		"f16",  "kivi",     "q",      ":",  ",",     ";",  "|",      "=",      "bits",
		"k",    "v",        "4",      "8",  "group", "32", "axis_k", "token",  "channel",
		"rot",  "hadamard", " ",      "64", "sym",   "1",  "sinks",  "window", "block",
		"seal", "skip",     "prompt", "\t", "%s",    "%n", "-1",     "\xff",   "0",
	};
	uint64_t state = 1;
	for (int i = 0; i < 20000; i++) {
		char recipe[256] = "";
		size_t n = 1 + random_below(random_next(&state), 14);
		for (size_t w = 0; w < n; w++)
			strcat(recipe,
			       words[random_below(random_next(&state), sizeof words / sizeof words[0])]);
		check_any(recipe);
	}
	for (int i = 0; i < 20000; i++) {
		char recipe[] = "q:k=8,v=4,rot=none ; window=64,sinks=4,block=64";
		size_t at = random_below(random_next(&state), sizeof recipe - 1);
		recipe[at] = (char)(1 + random_below(random_next(&state), 255));
		check_any(recipe);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recipe");
	TCase *good = tcase_create("good"), *bad = tcase_create("bad");
	tcase_add_loop_test(good, test_printing_is_a_fixed_point, 0, 11);
	tcase_add_loop_test(good, test_the_print_has_every_key_and_what_was_given, 0, 4);
	tcase_add_test(good, test_the_list_names_stages_and_keys);
	tcase_add_loop_test(bad, test_errors_say_where_and_what_is_allowed, 0,
	                    (int)(sizeof errors / sizeof errors[0]));
	tcase_add_test(bad, test_long_strings_get_an_error);
	tcase_add_test(bad, test_a_short_buffer_is_refused);
	tcase_add_test(bad, test_random_strings_get_an_answer);
	tcase_set_timeout(bad, 60);
	suite_add_tcase(suite, good);
	suite_add_tcase(suite, bad);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
