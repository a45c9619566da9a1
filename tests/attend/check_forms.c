/* SPDX-License-Identifier: MIT */
/** \file check_forms.c \brief The same results from every shape of kernels: LANES x VEC of CPUs and GPUs. */
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const forms[] = {"lanes=1,vec=1",  "lanes=1,vec=4", "lanes=1,vec=8",
                                    "lanes=1,vec=16", "lanes=4,vec=4", "lanes=64,vec=1",
                                    "lanes=64,vec=4"};
#define FORMS (sizeof forms / sizeof forms[0])

/* Every branch of the codecs: two planes of bits and one, each axis, symmetric, a short last group; streams,
 * packed codes and a side in half. */
static const struct {
	const char *recipe;
	int q_heads, kv_heads, dk, dv;
} shapes[] = {
	{"q:k=5,v=2,axis_v=channel,group=32,sym=1 ; window=40", 4, 1, 80, 112},
	{"q:k=6,v=3,rot=hadamard ; window=40,sinks=3,skip=1", 6, 2, 64, 64},
	{"q:k=8,v=4,rot=file ; window=40", 4, 2, 80, 112},
	{"lowrank:k=48,v=80 | q:k=5,v=3,axis_k=channel,group=32 ; window=40", 4, 2, 80, 112},
	{"lowrank:k=32,v=16 ; window=40,sinks=3", 6, 2, 64, 64},
	{"csr:atoms=48,pairs=3,chunks_v=1 ; window=40", 4, 1, 80, 112},
	{"csr:atoms=272,pairs=6,bits=8 ; window=40,sinks=3", 6, 2, 64, 64},
	{"qaq:n=3,outliers=0.05 ; window=40", 4, 1, 80, 112},
	/* streams of two symbols a look-up and of one */
	{"kvcomp:unit_k=block,rel_k=0.1,rel_v=0.02 ; window=40", 4, 1, 80, 112},
	{"kvcomp:entropy=pack,abs_v=0.01 ; window=40,sinks=3", 6, 2, 64, 64},
	{"lorc:k=48,v=80 | q:k=5,v=3,axis_k=channel,group=32 ; window=40", 4, 2, 80, 112},
};
#define SHAPES (sizeof shapes / sizeof shapes[0])

static void check_form(clkv_context *context, cl_command_queue queue, const char *form,
                       const char *recipe, clkv_geometry geometry)
{
	struct feed feed = {.geometry = geometry, .lse = true};
	static struct stream stream;
	char text[512];
	feed_open(&feed, context, queue, recipe, NULL);
	/* it, and not one that stands in for it because the device refuses it */
	ck_assert_int_eq(clkv_cache_tuning(feed.cache, text, sizeof text, NULL), CLKV_OK);
	ck_assert_msg(strncmp(text, form, strlen(form)) == 0 && !strstr(text, "refused"), "%s", text);
	stream_open(&feed, &stream);
	expect_rows(&feed, &stream, 40, CLKV_PROMPT, 1, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_one(&feed, &stream, 105, CLKV_PROMPT_END, 2, NULL);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &stream, 19, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_close(&feed);
}

/* Streams and widths compile for long: of the forms of one lane the device's own, which every other suite takes, is
 * enough, and of those of several one that is narrow and one that is wide. */
static bool skipped(const char *form, const char *recipe)
{
	return strncmp(recipe, "kvcomp", 6) == 0 && strcmp(form, "lanes=4,vec=4") != 0 &&
	       strcmp(form, "lanes=64,vec=1") != 0;
}

START_TEST(test_forms_agree_with_the_reference)
{
	clkv_context *context = fixture_open_tuned(forms[(size_t)_i % FORMS]);
	cl_command_queue queue = fixture_queue_of(context);
	clkv_device_info info = CLKV_INIT(clkv_device_info);
	ck_assert_int_eq(clkv_context_get_info(context, &info, NULL), CLKV_OK);
	ck_assert_str_eq(info.tuning, "CLKV_TUNE");
	size_t shape = (size_t)_i / FORMS;
	if (skipped(forms[(size_t)_i % FORMS], shapes[shape].recipe)) {
		clReleaseCommandQueue(queue);
		clkv_context_destroy(context);
		return;
	}
	check_form(context, queue, forms[(size_t)_i % FORMS], shapes[shape].recipe,
	           feed_geometry(2, shapes[shape].q_heads, shapes[shape].kv_heads, shapes[shape].dk,
	                         shapes[shape].dv));
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

START_TEST(test_wrong_forms_are_refused)
{
	static const char *const wrong[] = {"lanes=3,vec=1", "lanes=0,vec=1",   "lanes=1,vec=32",
	                                    "lanes=64",      "lanes=64,vec=1,", "vec=1,lanes=1",
	                                    "4096,1",        "lanes=-1,vec=1"};
	clkv_context *context = NULL;
	clkv_error error;
	setenv("CLKV_TUNE", wrong[_i], 1);
	clkv_status status = fixture_try_open(&context, &error);
	unsetenv("CLKV_TUNE");
	ck_assert_int_eq(status, CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_null(context);
	ck_assert_ptr_nonnull(strstr(error.text, "CLKV_TUNE"));
	ck_assert_ptr_nonnull(strstr(error.text, "allowed"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("forms");
	TCase *form = fixture_case(suite, "form", 120);
	fixture_some(form, test_forms_agree_with_the_reference, SHAPES * FORMS, 4, 12, 18, 25, 54, 75);
	tcase_add_loop_test(form, test_wrong_forms_are_refused, 0, 8);
	return fixture_run_shared(suite);
}
