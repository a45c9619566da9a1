/* SPDX-License-Identifier: MIT */
/** \file check_recall_forms.c \brief The same choices from every shape of kernels: LANES x VEC of CPUs and GPUs. */
#include "support/fixture.h"
#include "support/recalled.h"

#include <string.h>

#define AROUND " ; window=33,sinks=5"
#define TOPK "topk:recall=60,every=128" AROUND
#define PAGES "pages:recall=60,page=8,gqa=group,every=128" AROUND
#define CODES "a2ats:recall=60,codes=32,gqa=group,every=128" AROUND

/* Each kernel with one lane and with many, with fewer lanes than channels and as many; the device's own form is that of
 * all other suites, and check_recall_index compares what forms make of clusters, bit by bit. */
static const struct {
	const char *form, *recipe;
} all[] = {
	{"lanes=1,vec=1", PAGES},  {"lanes=4,vec=4", TOPK},  {"lanes=4,vec=4", CODES},
	{"lanes=64,vec=1", PAGES}, {"lanes=64,vec=1", TOPK},
};
enum { ALL = sizeof all / sizeof all[0] };

START_TEST(test_forms_choose_as_a_sort_does)
{
	static struct stream stream;
	const struct recalled_case c = recalled_case(all[_i].recipe);
	struct feed feed = {.geometry = feed_usual(2), .context = fixture_open_tuned(all[_i].form)};
	struct recalled r;
	char text[512];
	feed.queue = fixture_queue_of(feed.context);
	recalled_start(&feed, &c, NULL, &stream, &r);
	ck_assert_int_eq(clkv_cache_tuning(feed.cache, text, sizeof text, NULL), CLKV_OK);
	ck_assert_msg(strncmp(text, all[_i].form, strlen(all[_i].form)) == 0 &&
	                  !strstr(text, "refused"),
	              "%s", text);
	recalled_grow(&feed, &stream, &r);
	feed_close(&feed);
	clReleaseCommandQueue(feed.queue);
	clkv_context_destroy(feed.context);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recall_forms");
	TCase *form = fixture_case(suite, "form", 120);
	fixture_some(form, test_forms_choose_as_a_sort_does, ALL, 1, 2, 3);
	return fixture_run_shared(suite);
}
