/* SPDX-License-Identifier: MIT */
/**
 * \file    check_fallback.c
 * \brief   A device that refuses a tuning's kernels gets those of another; what isn't a refusal fails.
 */
#include "store/cache.h"
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECIPE "kivi:bits=4 ; window=40,sinks=3"
#define ALL 1000

struct heard {
	int tunes;
	char last[300];
};

static void hear(void *opaque, clkv_log_level level, const char *subsystem, const char *text)
{
	struct heard *h = opaque;
	if (strcmp(subsystem, "tune") != 0)
		return;
	ck_assert_int_le(level, CLKV_LOG_CONTEXT);
	h->tunes++;
	snprintf(h->last, sizeof h->last, "%s", text);
}

/* Without a folder, so that everything is built. */
static clkv_context *open_with(const char *tune, struct heard *heard)
{
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	clkv_context *context = NULL;
	clkv_error error;
	options.cache_dir = "";
	options.allocator = inject_allocator();
	options.log = hear;
	options.log_opaque = heard;
	setenv("CLKV_TUNE", tune, 1);
	clkv_status status =
		clkv_context_create(clkv_context_cl(fixture.context), clkv_context_device(fixture.context),
	                        &options, &context, &error);
	ck_assert_msg(status == CLKV_OK, "%s", error.text);
	unsetenv("CLKV_TUNE");
	return context;
}

/* The cache is as large as was said before, and computes what it should. */
static void check_works(clkv_context *context, clkv_geometry geometry, const char *in_force,
                        const char *refused)
{
	static struct stream stream;
	struct feed feed = {.geometry = geometry, .lse = true};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_bytes bytes = CLKV_INIT(clkv_bytes);
	clkv_error error;
	char text[512];
	cl_command_queue queue = fixture_queue_of(context);
	o.max_tokens = 512;
	feed_ok(clkv_bytes_required(context, &geometry, RECIPE, &o, &bytes, &error), &error, "bytes");
	uint64_t before = inject_device_bytes();
	feed_open(&feed, context, queue, RECIPE, &o);
	ck_assert_uint_eq(inject_device_bytes() - before, bytes.device);
	ck_assert_int_eq(clkv_cache_tuning(feed.cache, text, sizeof text, NULL), CLKV_OK);
	ck_assert_msg(strncmp(text, in_force, strlen(in_force)) == 0, "%s", text);
	ck_assert_msg(strstr(text, refused) != NULL, "%s", text);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 100, CLKV_PROMPT_END, 2, NULL);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &stream, 19, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
}

START_TEST(test_a_build_failure_takes_smaller_tiles)
{
	struct heard heard = {0};
	clkv_context *context = open_with("lanes=1,vec=8,queries=24", &heard);
	inject_refuse("clBuildProgram", 0, 2, CL_BUILD_PROGRAM_FAILURE);
	check_works(context, feed_usual(2), "lanes=1,vec=8,queries=6,",
	            " (CLKV_TUNE); refused: lanes=1,vec=8,queries=24 (build), "
	            "lanes=1,vec=8,queries=12 (build)");
	ck_assert_int_eq(heard.tunes, 2);
	ck_assert_ptr_nonnull(strstr(heard.last, "lanes=1,vec=8,queries=12: build"));
	check_works(context, feed_usual(2), "lanes=1,vec=8,queries=24,", "(CLKV_TUNE)");
	clkv_context_destroy(context);
}
END_TEST

/* At a later kernel, whose tile doesn't matter: the family's form is taken in the end. */
START_TEST(test_kernels_that_have_no_room_are_refused)
{
	struct heard heard = {0};
	clkv_context *context = open_with("lanes=2,vec=2,queries=4", &heard);
	inject_refuse("clCreateKernel", 1, 1, CL_OUT_OF_RESOURCES);
	check_works(context, feed_usual(2), "lanes=2,vec=2,queries=2,",
	            "refused: lanes=2,vec=2,queries=4 (resources)");
	inject_kernel_limits(1, 0, (cl_ulong)1 << 40);
	check_works(context, feed_usual(2), "lanes=2,vec=2,queries=2,",
	            "refused: lanes=2,vec=2,queries=4 (local memory)");
	clkv_context_destroy(context);
}
END_TEST

/* Half and a quarter of the queries don't help: another form does, the family's or the safe one. */
START_TEST(test_small_work_groups_take_another_form)
{
	struct heard heard = {0};
	clkv_context *context = open_with("lanes=64,vec=1,queries=12", &heard);
	char in_force[64];
	inject_kernel_limits(ALL, 1, 0);
	if (context->tune.family.lanes == 1)
		snprintf(in_force, sizeof in_force, "lanes=1,vec=%u,queries=12,", context->tune.family.vec);
	else
		snprintf(in_force, sizeof in_force, "lanes=1,vec=4,queries=8,");
	check_works(context, feed_usual(2), in_force,
	            "refused: lanes=64,vec=1,queries=12 (work-group), lanes=64,vec=1,queries=6 "
	            "(work-group), lanes=64,vec=1,queries=3 (work-group)");
	inject_kernel_limits(0, 0, 0);
	clkv_context_destroy(context);
}
END_TEST

/* Fewer queries can cut a group into heads whose tiles would have more rows than memory was counted
 * for: 8 queries are 5 heads and a row, 4 are a head and 4 rows. */
START_TEST(test_memory_was_counted_for_all_tiles)
{
	struct heard heard = {0};
	clkv_context *context = open_with("lanes=1,vec=8,queries=8", &heard);
	struct feed feed = {.geometry = feed_geometry(1, 10, 2, 64, 64)};
	inject_refuse("clBuildProgram", 0, 1, CL_BUILD_PROGRAM_FAILURE);
	check_works(context, feed.geometry, "lanes=1,vec=8,queries=4,", "(build)");
	inject_refuse("clCreateKernel", 0, 1, CL_OUT_OF_RESOURCES);
	feed_open(&feed, context, fixture.queue, RECIPE, NULL);
	ck_assert_uint_eq(feed.cache->tuning.queries, 4);
	ck_assert_int_eq(feed.cache->cut.tile_heads, 1);
	ck_assert_int_eq(feed.cache->cut.tile_rows, 1);
	feed_close(&feed);
	clkv_context_destroy(context);
}
END_TEST

static clkv_status try_create(clkv_context *context, clkv_error *error)
{
	clkv_geometry g = feed_usual(2);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_cache *cache = NULL;
	uint64_t device = inject_device_bytes();
	o.max_tokens = 512;
	clkv_status status = clkv_cache_create(context, &g, RECIPE, &o, &cache, error);
	if (status == CLKV_OK) {
		clkv_cache_destroy(cache);
		return status;
	}
	ck_assert_ptr_null(cache);
	ck_assert_uint_eq(inject_device_bytes(), device);
	return status;
}

START_TEST(test_the_last_refusal_is_the_error)
{
	struct heard heard = {0};
	clkv_context *context = open_with("lanes=2,vec=2,queries=12", &heard);
	clkv_error error;
	inject_refuse("clBuildProgram", 0, ALL, CL_BUILD_PROGRAM_FAILURE);
	ck_assert_int_eq(try_create(context, &error), CLKV_ERROR_BUILD);
	inject_refuse("", 0, 0, CL_SUCCESS);
	ck_assert_ptr_nonnull(strstr(error.text, "attend_partial.cl"));
	ck_assert_ptr_nonnull(strstr(error.text, context->info.name));
	ck_assert_int_eq(error.cl_code, CL_BUILD_PROGRAM_FAILURE);
	ck_assert_str_eq(error.call, "clBuildProgram");
	ck_assert_int_eq(heard.tunes, 5); /* itself, half, a quarter, the family's, the safe one */
	ck_assert_ptr_nonnull(strstr(heard.last, "lanes=1,vec=4,"));
	ck_assert_int_eq(try_create(context, &error), CLKV_OK);
	clkv_context_destroy(context);
}
END_TEST

/* One failure each, that another tuning would have hidden. */
static const struct {
	const char *function;
	cl_int code;
	clkv_status status;
} no_refusals[] = {
	{"clBuildProgram", CL_OUT_OF_HOST_MEMORY, CLKV_ERROR_NO_HOST_MEMORY},
	{"clCreateKernel", CL_OUT_OF_HOST_MEMORY, CLKV_ERROR_NO_HOST_MEMORY},
	{"clCreateKernel", CL_INVALID_KERNEL_NAME, CLKV_ERROR_OPENCL},
	{"clCreateProgramWithSource", CL_OUT_OF_RESOURCES, CLKV_ERROR_NO_DEVICE_MEMORY},
	{"clCreateProgramWithSource", CL_OUT_OF_HOST_MEMORY, CLKV_ERROR_NO_HOST_MEMORY},
	{"clGetKernelWorkGroupInfo", CL_OUT_OF_RESOURCES, CLKV_ERROR_NO_DEVICE_MEMORY},
	{"clCreateBuffer", CL_OUT_OF_RESOURCES, CLKV_ERROR_NO_DEVICE_MEMORY},
};

START_TEST(test_other_failures_are_not_refusals)
{
	struct heard heard = {0};
	clkv_context *context = open_with("lanes=1,vec=8,queries=24", &heard);
	clkv_error error;
	inject_refuse(no_refusals[_i].function, 0, 1, no_refusals[_i].code);
	clkv_status status = try_create(context, &error);
	ck_assert_int_eq(status, no_refusals[_i].status);
	ck_assert_int_eq(error.cl_code, no_refusals[_i].code);
	ck_assert_str_eq(error.call, no_refusals[_i].function);
	ck_assert_int_eq(heard.tunes, 0);
	clkv_context_destroy(context);
}
END_TEST

START_TEST(test_host_memory_is_not_a_refusal)
{
	struct heard heard = {0};
	bool happened = true;
	for (int n = 0; n < 100 && happened; n++) {
		clkv_context *context = open_with("lanes=1,vec=8,queries=24", &heard);
		clkv_error error;
		inject_alloc_arm(n);
		clkv_geometry g = feed_usual(1);
		clkv_cache_options o = CLKV_INIT(clkv_cache_options);
		clkv_cache *cache = NULL;
		o.max_tokens = 512;
		clkv_status status = clkv_cache_create(context, &g, "f16", &o, &cache, &error);
		happened = inject_alloc_disarm();
		clkv_cache_destroy(cache);
		clkv_context_destroy(context);
		ck_assert_int_eq(status, happened ? CLKV_ERROR_NO_HOST_MEMORY : CLKV_OK);
	}
	ck_assert(!happened);
	ck_assert_int_eq(heard.tunes, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fallback");
	TCase *other = fixture_case(suite, "other", 120), *none = fixture_case(suite, "none", 120);
	tcase_add_test(other, test_a_build_failure_takes_smaller_tiles);
	tcase_add_test(other, test_kernels_that_have_no_room_are_refused);
	tcase_add_test(other, test_small_work_groups_take_another_form);
	tcase_add_test(other, test_memory_was_counted_for_all_tiles);
	tcase_add_test(none, test_the_last_refusal_is_the_error);
	tcase_add_loop_test(none, test_other_failures_are_not_refusals, 0,
	                    (int)(sizeof no_refusals / sizeof no_refusals[0]));
	tcase_add_test(none, test_host_memory_is_not_a_refusal);
	return fixture_run(suite);
}
