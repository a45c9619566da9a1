/* SPDX-License-Identifier: MIT */
/** \file check_recall_forms.c \brief The same choices from every shape of kernels: LANES x VEC of CPUs and GPUs. */
#include "support/fixture.h"
#include "support/recalled.h"

#include <string.h>

#define AROUND " ; window=33,sinks=5"
#define FIELDS .window = 33, .sinks = 5, .block = 64, .every = 128, .most = 4096

static const struct recalled_case topk = {
	.recipe = "topk:recall=60,every=128" AROUND, .kind = RECALLED_TOKENS, .budget = 60, FIELDS};
static const struct recalled_case pages = {.recipe =
                                               "pages:recall=60,page=8,gqa=group,every=128" AROUND,
                                           .kind = RECALLED_PAGES,
                                           .budget = 60,
                                           .page = 8,
                                           .grouped = true,
                                           FIELDS};
static const struct recalled_case codes = {
	.recipe = "a2ats:recall=60,codes=32,gqa=group,every=128" AROUND,
	.kind = RECALLED_CODES,
	.budget = 60,
	.grouped = true,
	FIELDS};

/* Each kernel with one lane and with many, with fewer lanes than channels and as many; the device's own form is that of
 * all other suites, and check_recall_index compares what forms make of clusters, bit by bit. */
static const struct {
	const char *form;
	const struct recalled_case *c;
} all[] = {
	{"lanes=1,vec=1", &pages},  {"lanes=4,vec=4", &topk},  {"lanes=4,vec=4", &codes},
	{"lanes=64,vec=1", &pages}, {"lanes=64,vec=1", &topk},
};
enum { ALL = sizeof all / sizeof all[0] };

START_TEST(test_forms_choose_as_a_sort_does)
{
	static struct stream stream;
	clkv_context *context = fixture_open_tuned(all[_i].form);
	cl_command_queue queue = fixture_queue_of(context);
	struct feed feed = {.geometry = feed_usual(2), .lse = true, .value = recalled_quarters};
	struct recalled r;
	struct recalled_figures f = {0};
	char text[512];
	feed_open(&feed, context, queue, all[_i].c->recipe, NULL);
	ck_assert_int_eq(clkv_cache_tuning(feed.cache, text, sizeof text, NULL), CLKV_OK);
	ck_assert_msg(strncmp(text, all[_i].form, strlen(all[_i].form)) == 0 &&
	                  !strstr(text, "refused"),
	              "%s", text);
	stream_open(&feed, &stream);
	recalled_open(&r, all[_i].c);
	recalled_one(&feed, &stream, &r, 303, CLKV_PROMPT_END, 1, &f);
	recalled_one(&feed, &stream, &r, 1, CLKV_DECODE, 2, &f);
	recalled_one(&feed, &stream, &r, 130, CLKV_DECODE, 3, NULL);
	ck_assert_uint_eq(r.n, 2);
	recalled_one(&feed, &stream, &r, 3, CLKV_DECODE, 4, &f);
	ck_assert_uint_eq(f.left, f.heads);
	ck_assert_uint_gt(f.lists, 0);
	ck_assert_uint_le(5 * f.unsure, f.heads);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recall_forms");
	TCase *form = fixture_case(suite, "form", 120);
	fixture_some(form, test_forms_choose_as_a_sort_does, ALL, 1, 2, 3);
	return fixture_run_shared(suite);
}
