/* SPDX-License-Identifier: MIT */
/**
 * \file    check_eval_page.c
 * \brief   What clkv-eval draws: hull, families, places of labels, and the page that holds them.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eval.h"
#include "html_text.h"
#include "plot_family.h"
#include "plot_labels.h"
#include "plot_ticks.h"
#include "support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A point is on the lower left hull if and only if nothing left of it or at it lies as low, and no
 * line between two others passes at or below it. */
static bool on_hull(const struct plot_point *p, size_t n, size_t i)
{
	for (size_t a = 0; a < n; a++) {
		if (a != i && p[a].x <= p[i].x && p[a].y <= p[i].y)
			return false;
		for (size_t b = 0; b < n; b++) {
			if (!(p[a].x < p[i].x && p[i].x < p[b].x))
				continue;
			double slope = (p[b].y - p[a].y) / (p[b].x - p[a].x);
			if (p[a].y + slope * (p[i].x - p[a].x) <= p[i].y)
				return false;
		}
	}
	return true;
}

/* Whole numbers below 16, so that points repeat, lie in lines, and slopes are exact enough. */
START_TEST(test_hull_is_what_no_two_points_beat)
{
	struct plot_point points[24];
	size_t hull[COUNT(points)];
	size_t work[COUNT(points)];
	srand(7);
	for (int round = 0; round < 200; round++) {
		size_t n = 1 + (size_t)rand() % COUNT(points);
		bool is_member[COUNT(points)] = {false};
		for (size_t i = 0; i < n; i++) {
			points[i] = (struct plot_point){rand() % 16, rand() % 16};
			for (size_t k = 0; k < i; k++) /* equal ones have a test of their own */
				points[i].x += points[k].x == points[i].x && points[k].y == points[i].y ? 16 : 0;
		}
		size_t length = plot_lower_hull(points, n, hull, work);
		for (size_t k = 0; k < length; k++) {
			is_member[hull[k]] = true;
			ck_assert(k == 0 || points[hull[k]].x > points[hull[k - 1]].x);
		}
		for (size_t i = 0; i < n; i++)
			ck_assert_msg(is_member[i] == on_hull(points, n, i), "round %d, point %zu", round, i);
	}
}
END_TEST

START_TEST(test_hull_leaves_out_what_is_not_finite_and_repeats)
{
	const struct plot_point points[] = {{1, -INFINITY}, {1, 5},        {1, 5},
	                                    {NAN, 0},       {2, INFINITY}, {3, 1}};
	size_t hull[COUNT(points)];
	size_t work[COUNT(points)];
	ck_assert_uint_eq(plot_lower_hull(points, COUNT(points), hull, work), 2);
	ck_assert_uint_eq(hull[0], 1);
	ck_assert_uint_eq(hull[1], 5);
	ck_assert_uint_eq(plot_lower_hull(points, 0, hull, work), 0);
	ck_assert_uint_eq(plot_lower_hull(points, 1, hull, work), 0);
}
END_TEST

START_TEST(test_families_are_stages_without_keys)
{
	static const char *const recipes[] = {"f16",
	                                      "kivi:bits=4",
	                                      "think:keep=0.75 | kivi:bits=2",
	                                      "kivi",
	                                      "kivi : bits=2 ; window=0",
	                                      "think|kivi;sinks=4",
	                                      "kivi | think",
	                                      "kivi2"};
	static const size_t family[] = {0, 1, 2, 1, 1, 2, 3, 4};
	for (size_t i = 0; i < COUNT(recipes); i++)
		ck_assert_uint_eq(plot_family(recipes, i), family[i]);
}
END_TEST

static bool apart(struct plot_point a, struct plot_point b, double width, double height)
{
	return fabs(a.x - b.x) > width - 1e-6 || fabs(a.y - b.y) > height - 1e-6;
}

/* Marks in a corner, one upon the other: where labels collide most. */
START_TEST(test_labels_cover_neither_marks_nor_each_other)
{
	struct plot_point marks[40];
	struct plot_point centres[COUNT(marks)];
	const struct plot_labels labels = {600, 480, 9, 17, 13, marks, COUNT(marks)};
	for (size_t i = 0; i < COUNT(marks); i++)
		marks[i] = (struct plot_point){6 + (double)(i % 8) * 9, 6 + (double)(i / 8) * 4};
	plot_labels_place(&labels, centres);
	for (size_t i = 0; i < COUNT(marks); i++) {
		ck_assert(centres[i].x >= 8.5 && centres[i].x <= 600 - 8.5);
		ck_assert(centres[i].y >= 6.5 && centres[i].y <= 480 - 6.5);
		for (size_t k = 0; k < COUNT(marks); k++) {
			ck_assert_msg(apart(centres[i], marks[k], 13, 11), "label %zu on mark %zu", i, k);
			ck_assert_msg(k == i || apart(centres[i], centres[k], 17, 13), "labels %zu, %zu", i, k);
		}
	}
}
END_TEST

/* From a hundredth of a decade to twelve: three ticks at least, so that the scale can be read, and no
 * more than fit; in the range, and in ascending order. */
START_TEST(test_axes_have_a_few_ticks)
{
	for (int k = 0; k < 200; k++) {
		char text[1024] = "";
		double low = -6 + 0.041 * k;
		double high = low + 0.01 * pow(10, 3.08 * (k % 40) / 39);
		FILE *file = fmemopen(text, sizeof text, "w");
		ck_assert_ptr_nonnull(file);
		plot_ticks_print(file, 'x', low, high);
		ck_assert_int_eq(fclose(file), 0);
		const char *c = strchr(text, '(');
		ck_assert_ptr_nonnull(c);
		int n = 0;
		for (double last = 0; *c == '(' || *c == ','; n++) {
			char *end;
			double tick = strtod(c + 1, &end);
			ck_assert_msg(tick > last && log10(tick) > low - 1e-6 && log10(tick) < high + 1e-6,
			              "tick %g of %g to %g", tick, pow(10, low), pow(10, high));
			last = tick;
			c = end;
		}
		ck_assert_int_eq(*c, ')');
		ck_assert_msg(n >= 3 && n <= 13, "%d ticks from %g to %g", n, pow(10, low), pow(10, high));
	}
}
END_TEST

START_TEST(test_text_is_shown_and_not_obeyed)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"kivi:bits=4 | \xc3\xa9", "kivi:bits=4 | \xc3\xa9"},
		{"<script>&'\"", "&lt;script&gt;&amp;&#39;&quot;"},
		{"&lt;", "&amp;lt;"},
		{"a\xff<\xc3", "a\xef\xbf\xbd&lt;\xef\xbf\xbd"},
		{"\x1b[0m\x7f\n", "\xef\xbf\xbd[0m\xef\xbf\xbd\n"},
		{"", ""},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[128];
		FILE *file = fmemopen(out, sizeof out, "w");
		ck_assert_ptr_nonnull(file);
		html_text_print(file, cases[i].text);
		ck_assert_int_eq(fputc('\0', file), 0);
		ck_assert_int_eq(fclose(file), 0);
		ck_assert_str_eq(out, cases[i].shown);
	}
}
END_TEST

static void read_page(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	size_t n = fread(text, 1, size - 1, file);
	ck_assert_uint_lt(n, size - 1);
	text[n] = '\0';
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(unlink(path), 0);
}

/* The only address in the page is the names of SVG's elements, which nothing is fetched from. */
static void expect_nothing_fetched(const char *page)
{
	static const char *const fetching[] = {"<script", "src=", "url(http",       "@import",
	                                       "<link",   "<img", "<foreignObject", "onload"};
	for (size_t i = 0; i < COUNT(fetching); i++)
		ck_assert_msg(strstr(page, fetching[i]) == NULL, "the page has '%s'", fetching[i]);
	for (const char *c = page; (c = strstr(c, "http")) != NULL; c++)
		ck_assert_msg(strncmp(c, "http://www.w3.org/", 18) == 0 ||
		                  strncmp(c, "http-equiv", 10) == 0,
		              "the page has '%.40s'", c);
}

static void check_page(struct eval_options *options, const char *const *words)
{
	static char page[1 << 20];
	static const char hostile[] = "kivi:</td></text><script>alert('&')</script>";
	struct eval_result results[9] = {
		{.recipe = "f16", .bytes_per_token = 23040, .retrieval.exact = 1},
		{.recipe = hostile, .bytes_per_token = 7860, .kl_mean = 0.004, .attention_error = 0.04},
		{.recipe = "broken",
	     .bytes_per_token = 5000,
	     .kl_mean = NAN,
	     .ppl = INFINITY,
	     .attention_error = NAN},
	};
	/* the second recipe is the next worse one, the third broken */
	struct eval_pair against[3][2] = {{{.kl = 0.0}}, {{.kl = 0.00123}}, {{.kl = NAN}, {.kl = NAN}}};
	struct eval eval = {.options = options};
	struct tool_error error = {""};
	char path[] = "check_eval_page-XXXXXX";
	int file = mkstemp(path);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(close(file), 0);
	(void)snprintf(eval.session.device.name, sizeof eval.session.device.name, "<b>device");
	options->n_recipes = 3;
	for (size_t i = 0; i < COUNT(results); i++) {
		results[i].bits_per_value = results[i].bytes_per_token / 1440.0;
		if (i < 3)
			options->recipes[i] = results[i].recipe;
		else /* two texts: all of them, then each */
			results[i] = results[i - 3];
		results[i].against = against[i % 3];
		results[i].text = i < 3 ? NULL : options->texts[1];
	}
	ck_assert_msg(eval_html(&eval, results, path, &error), "%s", error.text);
	read_page(path, page, sizeof page);
	expect_nothing_fetched(page);
	ck_assert_ptr_nonnull(strstr(page, "<svg"));
	ck_assert_ptr_null(strstr(page, "<b>"));
	ck_assert_ptr_nonnull(strstr(page, "&#39;it&#39;\\&#39;&#39;s a text.txt&#39;"));
	for (; *words != NULL; words++)
		ck_assert_msg(strstr(page, *words) != NULL, "the page lacks '%s'", *words);
	ck_assert_ptr_nonnull(strstr(page, "</svg>"));
}

START_TEST(test_page_stands_alone)
{
	static const char *const argv[] = {"clkv-eval", "--text", "it's a text.txt", NULL};
	struct eval_options options = {.model = "m.gguf",
	                               .texts = {"t.txt"},
	                               .n_texts = 1,
	                               .windows = 1,
	                               .contexts = {8},
	                               .n_contexts = 1,
	                               .tokens = 8,
	                               .argv = argv};
	struct tool_error error = {""};
	if (!eval_plot_ready(&error))
		return; /* no gnuplot here: the tool refuses at once */
	check_page(&options,
	           (const char *const[]){"delta %", "7860", "nan", "inf", "lower hull", NULL});
	options.n_texts = 2;
	options.texts[1] = "<i>u.txt";
	check_page(&options, (const char *const[]){"&lt;i&gt;u.txt", "bits per value", "99 %",
	                                           "KL by position", "+0.00123", "lower hull", NULL});
	options.n_texts = 1;
	options.attention = true;
	check_page(&options, (const char *const[]){"0.0400", "mass", NULL});
	options.attention = false;
	options.task = TASK_KEYS;
	options.n_contexts = 2;
	check_page(&options, (const char *const[]){"margin", "upper hull", NULL});
}
END_TEST

START_TEST(test_picture_that_cannot_be_written_is_an_error)
{
	static const char *const argv[] = {"clkv-eval", NULL};
	struct eval_options options = {
		.contexts = {8}, .n_contexts = 1, .n_recipes = 1, .recipes = {"f16"}, .argv = argv};
	const struct eval_result result = {.recipe = "f16", .bytes_per_token = 1};
	struct tool_error error = {""};
	if (!eval_plot_ready(&error))
		return;
	ck_assert(!eval_plot(&options, &result, "/nowhere/plot.png", &error));
	ck_assert_ptr_nonnull(strstr(error.text, "/nowhere/plot.png"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("eval_page");
	TCase *page = tcase_create("page");
	tcase_set_timeout(page, 60);
	tcase_add_test(page, test_hull_is_what_no_two_points_beat);
	tcase_add_test(page, test_hull_leaves_out_what_is_not_finite_and_repeats);
	tcase_add_test(page, test_families_are_stages_without_keys);
	tcase_add_test(page, test_labels_cover_neither_marks_nor_each_other);
	tcase_add_test(page, test_axes_have_a_few_ticks);
	tcase_add_test(page, test_text_is_shown_and_not_obeyed);
	tcase_add_test(page, test_page_stands_alone);
	tcase_add_test(page, test_picture_that_cannot_be_written_is_an_error);
	suite_add_tcase(suite, page);
	return run_suite(suite);
}
