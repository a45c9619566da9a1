/* SPDX-License-Identifier: MIT */
/** \file check_context.c \brief Contexts: found by name, on a caller's device, their options and
 * facts. */
#include "support/fixture.h"
#include "support/inject.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTHING ((clkv_context *)(uintptr_t)1)

static clkv_device_info info_of(const clkv_context *context)
{
	clkv_device_info info = CLKV_INIT(clkv_device_info);
	ck_assert_int_eq(clkv_context_get_info(context, &info, NULL), CLKV_OK);
	return info;
}

/* Opens and closes; a failure writes no result and explains itself. */
static clkv_status try_open(const char *name, const clkv_context_options *options,
                            clkv_device_info *info, clkv_error *error)
{
	clkv_context *context = NOTHING;
	memset(error, 0xee, sizeof *error);
	clkv_status status = clkv_context_open(name, options, &context, error);
	if (status != CLKV_OK) {
		ck_assert_ptr_eq(context, NOTHING);
		ck_assert_int_eq(error->status, status);
		ck_assert_uint_gt(strlen(error->text), 10);
		return status;
	}
	if (info)
		*info = info_of(context);
	clkv_context_destroy(context);
	return status;
}

static clkv_status try_create(const clkv_context_options *options, clkv_error *error)
{
	clkv_context *context = NOTHING;
	clkv_status status =
		clkv_context_create(clkv_context_cl(fixture.context), clkv_context_device(fixture.context),
	                        options, &context, error);
	if (status == CLKV_OK)
		clkv_context_destroy(context);
	else
		ck_assert_ptr_eq(context, NOTHING);
	return status;
}

/* ---------------------------------------------------------------- by name ---- */

static void in_other_case(char *text)
{
	for (; *text; text++)
		*text =
			(char)(islower((unsigned char)*text) ? toupper(*text) : tolower((unsigned char)*text));
}

/* What the names have in common with the device found is looked up in its facts. */
START_TEST(test_names_find_devices)
{
	clkv_device_info mine = info_of(fixture.context), found;
	clkv_error error;
	char part[129];
	ck_assert_int_eq(try_open(NULL, NULL, &found, &error), CLKV_OK);
	ck_assert_int_eq(try_open("", NULL, &found, &error), CLKV_OK);
	const char *const texts[] = {mine.name, mine.platform};
	for (size_t i = 0; i < 2; i++) {
		snprintf(part, sizeof part, "%s", texts[i] + strlen(texts[i]) / 3);
		ck_assert_int_eq(try_open(part, NULL, &found, &error), CLKV_OK);
		in_other_case(part);
		ck_assert_int_eq(try_open(part, NULL, &found, &error), CLKV_OK);
		snprintf(part, sizeof part, "%s", texts[i]);
		ck_assert_int_eq(try_open(part, NULL, &found, &error), CLKV_OK);
		ck_assert_str_eq(i ? found.platform : found.name, texts[i]);
	}
}
END_TEST

START_TEST(test_kinds_of_devices)
{
	static const struct {
		const char *name;
		int is_gpu;
	} kinds[] = {{"gpu", 1}, {"cpu", 0}, {"accelerator", 1}, {"GPU", 1}, {"Cpu", 0}};
	int is_gpu = info_of(fixture.context).is_gpu, opened = 0;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		clkv_device_info found;
		clkv_error error;
		clkv_status status = try_open(kinds[i].name, NULL, &found, &error);
		ck_assert(status == CLKV_OK || status == CLKV_ERROR_NO_DEVICE);
		if (status == CLKV_OK)
			ck_assert_int_eq(found.is_gpu, kinds[i].is_gpu);
		opened += status == CLKV_OK && kinds[i].is_gpu == is_gpu;
	}
	ck_assert_int_gt(opened, 0);
}
END_TEST

START_TEST(test_numbers_find_every_device)
{
	cl_platform_id platforms[32];
	cl_uint n_platforms = 0;
	int found = 0;
	ck_assert_int_eq(clGetPlatformIDs(32, platforms, &n_platforms), CL_SUCCESS);
	for (cl_uint p = 0; p < n_platforms; p++)
		for (cl_uint d = 0; d < 8; d++) {
			cl_device_id devices[8];
			cl_uint n = 0;
			char name[32];
			clkv_error error;
			clkv_context *context;
			snprintf(name, sizeof name, "%u:%u", p, d);
			if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 8, devices, &n) != CL_SUCCESS)
				n = 0;
			if (d >= n) {
				ck_assert_int_eq(try_open(name, NULL, NULL, &error), CLKV_ERROR_NO_DEVICE);
				continue;
			}
			ck_assert_int_eq(clkv_context_open(name, NULL, &context, &error), CLKV_OK);
			ck_assert_ptr_eq(clkv_context_device(context), devices[d]);
			clkv_context_destroy(context);
			found++;
		}
	ck_assert_int_gt(found, 0);
}
END_TEST

/* The error lists what there is; the name is cut if it's long. */
START_TEST(test_a_wrong_name_gets_the_list)
{
	static const char *const names[] = {"no such device", "99:0", "0:99", "0:",     ":0",
	                                    "-1:0",           "0:0x", "0x:0", "cpugpu", "%s%n"};
	char wide[600], expected[64];
	clkv_error error;
	snprintf(expected, sizeof expected, "%.20s", info_of(fixture.context).platform);
	for (char *c = expected; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		ck_assert_msg(try_open(names[i], NULL, NULL, &error) == CLKV_ERROR_NO_DEVICE, "'%s'",
		              names[i]);
		ck_assert_msg(strstr(error.text, names[i]) != NULL, "'%s' lacks '%s'", error.text,
		              names[i]);
		ck_assert_msg(strstr(error.text, expected) != NULL, "'%s' lacks '%s'", error.text,
		              expected);
		ck_assert_int_eq(clkv_context_open(names[i], NULL, &(clkv_context *){NULL}, NULL),
		                 CLKV_ERROR_NO_DEVICE);
	}
	memset(wide, 'n', sizeof wide - 1);
	wide[sizeof wide - 1] = '\0';
	ck_assert_int_eq(try_open(wide, NULL, NULL, &error), CLKV_ERROR_NO_DEVICE);
}
END_TEST

/* ---------------------------------------------------------------- on the caller's ---- */

static cl_uint references(cl_context cl)
{
	cl_uint n = 0;
	ck_assert_int_eq(clGetContextInfo(cl, CL_CONTEXT_REFERENCE_COUNT, sizeof n, &n, NULL),
	                 CL_SUCCESS);
	return n;
}

/* PoCL's platform has none where it can't write to its cache, and says no more than this code. */
START_TEST(test_platforms_without_a_device_are_named)
{
	clkv_context *context = NULL;
	clkv_error error;
	char name[64] = "";
	cl_platform_id platform;
	ck_assert_int_eq(clGetPlatformIDs(1, &platform, NULL), CL_SUCCESS);
	clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name, name, NULL);
	name[40] = '\0';
	inject_refuse("clGetDeviceIDs", 0, 1000, CL_DEVICE_NOT_FOUND);
	clkv_status status = clkv_context_open(NULL, NULL, &context, &error);
	inject_refuse("clGetDeviceIDs", 0, 0, CL_SUCCESS);
	ck_assert_int_eq(status, CLKV_ERROR_NO_DEVICE);
	ck_assert_ptr_null(context);
	ck_assert_msg(strstr(error.text, name) && strstr(error.text, "code -1"), "%s", error.text);
	if (strcmp(name, "Portable Computing Language") == 0)
		ck_assert_ptr_nonnull(strstr(error.text, "POCL_CACHE_DIR"));
}
END_TEST

START_TEST(test_a_context_retains_the_caller_s)
{
	cl_device_id device = clkv_context_device(fixture.context);
	clkv_context_options bad = {.struct_size = 1};
	clkv_context *context = NOTHING;
	clkv_error error;
	cl_int code;
	cl_context cl = clCreateContext(NULL, 1, &device, NULL, NULL, &code);
	ck_assert_int_eq(code, CL_SUCCESS);
	cl_uint before = references(cl);
	ck_assert_int_eq(clkv_context_create(cl, device, &bad, &context, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_uint_eq(references(cl), before);
	ck_assert_int_eq(clkv_context_create(cl, device, NULL, &context, &error), CLKV_OK);
	ck_assert_int_eq(error.status, CLKV_OK);
	ck_assert_uint_eq(references(cl), before + 1);
	ck_assert_ptr_eq(clkv_context_cl(context), cl);
	ck_assert_ptr_eq(clkv_context_device(context), device);
	clReleaseContext(cl);
	ck_assert_str_eq(info_of(context).name, info_of(fixture.context).name);
	clkv_context_destroy(context);
	clkv_context_destroy(NULL);
}
END_TEST

/* A part of the device, where the driver can cut it. */
static cl_device_id part_of(cl_device_id device)
{
	const cl_device_partition_property by_count[] = {CL_DEVICE_PARTITION_BY_COUNTS, 1,
	                                                 CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
	cl_device_id part = NULL;
	cl_uint n = 0;
	if (clCreateSubDevices(device, by_count, 1, &part, &n) != CL_SUCCESS || n == 0)
		return NULL;
	return part;
}

/* A context on a part of a device: it keeps the part after its owner has let go. What the part belongs to is foreign to it, but
 * for PoCL 3, whose context lists the whole device in the part's place. */
START_TEST(test_parts_of_devices_are_taken_foreign_ones_refused)
{
	cl_device_id device = clkv_context_device(fixture.context), part = part_of(device);
	clkv_context *context = NOTHING;
	clkv_error error;
	cl_int code;
	if (!part) {
		fprintf(stderr, "SKIPPED: the device can't be partitioned\n");
		return;
	}
	cl_context cl_part = clCreateContext(NULL, 1, &part, NULL, NULL, &code);
	ck_assert_int_eq(code, CL_SUCCESS);
	cl_device_id listed = NULL;
	clGetContextInfo(cl_part, CL_CONTEXT_DEVICES, sizeof listed, &listed, NULL);
	if (listed == part) {
		ck_assert_int_eq(clkv_context_create(cl_part, device, NULL, &context, &error),
		                 CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_ptr_nonnull(strstr(error.text, "device"));
		ck_assert_ptr_eq(context, NOTHING);
	}
	ck_assert_int_eq(clkv_context_create(cl_part, part, NULL, &context, &error), CLKV_OK);
	cl_uint n = 0;
	ck_assert_int_eq(clGetDeviceInfo(part, CL_DEVICE_REFERENCE_COUNT, sizeof n, &n, NULL),
	                 CL_SUCCESS);
	ck_assert_uint_ge(n, 2);
	clReleaseContext(cl_part);
	clReleaseDevice(part);
	ck_assert_uint_eq(info_of(context).compute_units, 1);
	clkv_context_destroy(context);
}
END_TEST

START_TEST(test_nulls_are_refused)
{
	cl_context cl = clkv_context_cl(fixture.context);
	cl_device_id device = clkv_context_device(fixture.context);
	clkv_context *context = NOTHING;
	clkv_device_info info = CLKV_INIT(clkv_device_info);
	clkv_error error;
	ck_assert_int_eq(clkv_context_create(NULL, device, NULL, &context, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "context"));
	ck_assert_int_eq(clkv_context_create(cl, NULL, NULL, &context, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "device"));
	ck_assert_int_eq(clkv_context_create(cl, device, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "out"));
	ck_assert_int_eq(clkv_context_open(NULL, NULL, NULL, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_eq(context, NOTHING);
	ck_assert_int_eq(clkv_context_get_info(NULL, &info, NULL), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_context_get_info(fixture.context, NULL, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
}
END_TEST

/* ---------------------------------------------------------------- options ---- */

START_TEST(test_options_of_other_versions)
{
	struct {
		clkv_context_options o;
		unsigned char tail[24];
	} longer;
	clkv_context_options o = CLKV_INIT(clkv_context_options);
	clkv_error error;
	memset(&longer, 0, sizeof longer);
	longer.o.struct_size = sizeof longer;
	ck_assert_int_eq(try_create(&longer.o, &error), CLKV_OK);
	longer.tail[23] = 1;
	ck_assert_int_eq(try_create(&longer.o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "clkv_context_options"));
	o.struct_size = offsetof(clkv_context_options, log);
	o.log = (clkv_log_fn)(uintptr_t)1; /* not the caller's field: never called */
	ck_assert_int_eq(try_create(&o, &error), CLKV_OK);
	static const size_t sizes[] = {0, 7, 1 << 20, SIZE_MAX};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		o = (clkv_context_options){.struct_size = sizes[i]};
		ck_assert_int_eq(try_create(&o, &error), CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_ptr_nonnull(strstr(error.text, "struct_size"));
	}
}
END_TEST

START_TEST(test_half_an_allocator_is_refused)
{
	clkv_context_options o = CLKV_INIT(clkv_context_options);
	clkv_error error;
	o.allocator = inject_allocator();
	o.allocator.free = NULL;
	ck_assert_int_eq(try_create(&o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "allocator"));
	o.allocator = inject_allocator();
	o.allocator.alloc = NULL;
	ck_assert_int_eq(try_create(&o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	o.allocator = inject_allocator();
	ck_assert_int_eq(try_create(&o, &error), CLKV_OK);
}
END_TEST

/* Allocation n = 0, 1, ... fails until none is left to fail. */
START_TEST(test_every_allocation_can_fail)
{
	clkv_context_options o = CLKV_INIT(clkv_context_options);
	uint64_t before = inject_host_bytes();
	bool happened = true;
	int failed = 0;
	o.allocator = inject_allocator();
	o.cache_dir = "/tmp/clkv-nowhere";
	o.kernel_dir = "/tmp/clkv-nowhere";
	for (int n = 0; happened && n < 100; n++) {
		clkv_error error;
		cl_uint held = references(clkv_context_cl(fixture.context));
		inject_alloc_arm(n);
		clkv_status status = try_create(&o, &error);
		happened = inject_alloc_disarm();
		ck_assert_int_eq(status, happened ? CLKV_ERROR_NO_HOST_MEMORY : CLKV_OK);
		ck_assert_uint_eq(inject_host_bytes(), before);
		ck_assert_uint_eq(references(clkv_context_cl(fixture.context)), held);
		failed += happened;
	}
	ck_assert(!happened);
	ck_assert_int_ge(failed, 3); /* the context and two folder names */
}
END_TEST

struct heard {
	int n, loud;
};

static void hear(void *opaque, clkv_log_level level, const char *subsystem, const char *text)
{
	struct heard *h = opaque;
	ck_assert_ptr_nonnull(subsystem);
	ck_assert_uint_gt(strlen(text), 0);
	h->n++;
	h->loud += level > CLKV_LOG_CONTEXT;
}

START_TEST(test_the_log_level_is_the_context_s_by_default)
{
	clkv_context_options o = CLKV_INIT(clkv_context_options);
	struct heard heard = {0, 0};
	clkv_error error;
	o.log = hear;
	o.log_opaque = &heard;
	ck_assert_int_eq(try_create(&o, &error), CLKV_OK);
	ck_assert_int_eq(heard.n, 1);
	ck_assert_int_eq(heard.loud, 0);
	o.log_level = CLKV_LOG_ERROR;
	ck_assert_int_eq(try_create(&o, &error), CLKV_OK);
	ck_assert_int_eq(heard.n, 1);
}
END_TEST

/* ---------------------------------------------------------------- tuning, facts ---- */

START_TEST(test_tuning_from_the_environment)
{
	static const struct {
		unsigned lanes, vec;
	} values[] = {{1, 1}, {1, 16}, {2, 8}, {16, 4}, {64, 1}, {64, 16}};
	clkv_error error;
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		char text[64];
		clkv_device_info info;
		snprintf(text, sizeof text, "lanes=%u,vec=%u", values[i].lanes, values[i].vec);
		setenv("CLKV_TUNE", text, 1);
		ck_assert_int_eq(try_open(getenv("CLKV_TEST_DEVICE"), NULL, &info, &error), CLKV_OK);
		ck_assert_uint_eq(info.lanes, values[i].lanes);
		ck_assert_uint_eq(info.vec, values[i].vec);
		ck_assert_ptr_nonnull(strstr(info.tuning, "CLKV_TUNE"));
	}
	setenv("CLKV_TUNE", "", 1);
	clkv_device_info info;
	ck_assert_int_eq(try_open(getenv("CLKV_TEST_DEVICE"), NULL, &info, &error), CLKV_OK);
	ck_assert_ptr_null(strstr(info.tuning, "CLKV_TUNE"));
	unsetenv("CLKV_TUNE");
}
END_TEST

static const char *const bad_tunings[] = {
	"lanes",
	"lanes=64",
	"64,1",
	"lanes=0,vec=1",
	"lanes=3,vec=1",
	"lanes=512,vec=1",
	"lanes=-64,vec=1",
	"lanes=64,vec=0",
	"lanes=64,vec=3",
	"lanes=64,vec=32",
	"lanes=64,vec=1,",
	"lanes=64,vec=1 ",
	"lanes=64;vec=1",
	"vec=1,lanes=64",
	"lanes=4294967360,vec=1", /* 2^32 + 64 */
	"lanes=99999999999999999999999999,vec=1",
};

START_TEST(test_wrong_tuning_is_refused)
{
	clkv_context_options o = CLKV_INIT(clkv_context_options);
	clkv_error error;
	o.allocator = inject_allocator();
	uint64_t before = inject_host_bytes();
	setenv("CLKV_TUNE", bad_tunings[_i], 1);
	ck_assert_int_eq(try_create(&o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "CLKV_TUNE"));
	ck_assert_ptr_nonnull(strstr(error.text, "lanes=L,vec=V"));
	ck_assert_uint_eq(inject_host_bytes(), before);
	unsetenv("CLKV_TUNE");
}
END_TEST

/* PoCL goes wrong with groups of several lanes: who asks for them hears why. */
START_TEST(test_pocl_gets_one_lane)
{
	clkv_context_options o = CLKV_INIT(clkv_context_options);
	clkv_error error;
	clkv_device_info info = info_of(fixture.context);
	bool pocl = strstr(info.platform, "Portable Computing") && !info.is_gpu;
	unsetenv("CLKV_TEST_LANES");
	setenv("CLKV_TUNE", "lanes=64,vec=1", 1);
	clkv_status status = try_create(&o, &error);
	setenv("CLKV_TUNE", "lanes=1,vec=4", 1);
	ck_assert_int_eq(try_create(&o, NULL), CLKV_OK);
	unsetenv("CLKV_TUNE");
	setenv("CLKV_TEST_LANES", "1", 1);
	ck_assert_int_eq(status, pocl ? CLKV_ERROR_INVALID_ARGUMENT : CLKV_OK);
	ck_assert(!pocl || (strstr(error.text, "'lanes=64,vec=1'") && strstr(error.text, "PoCL") &&
	                    strstr(error.text, "lanes=1")));
}
END_TEST

START_TEST(test_the_facts_are_the_device_s)
{
	clkv_device_info info = info_of(fixture.context);
	cl_device_id device = clkv_context_device(fixture.context);
	char name[128] = "";
	cl_ulong global = 0, most = 0, local = 0;
	cl_uint units = 0;
	size_t group = 0;
	clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof name, name, NULL);
	clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof global, &global, NULL);
	clGetDeviceInfo(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL);
	clGetDeviceInfo(device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
	clGetDeviceInfo(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
	clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL);
	ck_assert_str_eq(info.name, name);
	ck_assert_uint_eq(info.compute_units, units);
	ck_assert_uint_eq(info.max_work_group, group);
	ck_assert_uint_eq(info.local_bytes, local);
	ck_assert(info.global_bytes > 0 && info.max_alloc_bytes > 0 && most > 0 && global > 0);
	ck_assert_uint_gt(strlen(info.platform), 0);
	ck_assert_uint_gt(strlen(info.vendor), 0);
	ck_assert_uint_gt(strlen(info.driver), 0);
	ck_assert_int_eq(strncmp(info.cl_version, "OpenCL ", 7), 0);
	ck_assert(info.lanes >= 1 && info.lanes <= info.max_work_group && info.vec >= 1);
	ck_assert_uint_gt(strlen(info.tuning), 0);
	ck_assert_uint_eq(info.struct_size, sizeof info);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("context");
	TCase *name = fixture_case(suite, "name", 60), *own = fixture_case(suite, "own", 60);
	TCase *options = fixture_case(suite, "options", 60), *facts = fixture_case(suite, "facts", 60);
	tcase_add_test(name, test_names_find_devices);
	tcase_add_test(name, test_kinds_of_devices);
	tcase_add_test(name, test_numbers_find_every_device);
	tcase_add_test(name, test_a_wrong_name_gets_the_list);
	tcase_add_test(name, test_platforms_without_a_device_are_named);
	tcase_add_test(own, test_a_context_retains_the_caller_s);
	tcase_add_test(own, test_parts_of_devices_are_taken_foreign_ones_refused);
	tcase_add_test(own, test_nulls_are_refused);
	tcase_add_test(options, test_options_of_other_versions);
	tcase_add_test(options, test_half_an_allocator_is_refused);
	tcase_add_test(options, test_every_allocation_can_fail);
	tcase_add_test(options, test_the_log_level_is_the_context_s_by_default);
	tcase_add_test(facts, test_tuning_from_the_environment);
	tcase_add_test(facts, test_pocl_gets_one_lane);
	tcase_add_loop_test(facts, test_wrong_tuning_is_refused, 0,
	                    (int)(sizeof bad_tunings / sizeof bad_tunings[0]));
	tcase_add_test(facts, test_the_facts_are_the_device_s);
	return fixture_run(suite);
}
