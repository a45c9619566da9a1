/* SPDX-License-Identifier: MIT */
/** \file check_tune.c \brief Tunings: their text, the table of families, which one a cache takes. */
#include "attend/cut.h"
#include "cache/resolve.h"
#include "plan/tune_key.h"
#include "support/feed.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "tune/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- text ---- */

static const struct clkv__tuning start = {2, 2, 3, 5, 7, "start"};

START_TEST(test_texts_are_read)
{
	static const struct {
		const char *text, *all;
	} good[] = {
		{"lanes=1,vec=1", "lanes=1,vec=1,queries=3,groups=5,min_blocks=7"},
		{"lanes=256,vec=16,queries=64", "lanes=256,vec=16,queries=64,groups=5,min_blocks=7"},
		{"lanes=64,vec=4,groups=64", "lanes=64,vec=4,queries=3,groups=64,min_blocks=7"},
		{"lanes=64,vec=4,min_blocks=64", "lanes=64,vec=4,queries=3,groups=5,min_blocks=64"},
		{"lanes=8,vec=2,queries=1,min_blocks=9", "lanes=8,vec=2,queries=1,groups=5,min_blocks=9"},
		{"lanes=1,vec=8,queries=24,groups=1,min_blocks=1",
	     "lanes=1,vec=8,queries=24,groups=1,min_blocks=1"},
	};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct clkv__tuning t = start, again = start;
		char text[CLKV__TUNING_TEXT];
		ck_assert_msg(clkv__tuning_parse(good[i].text, 256, false, &t), "%s", good[i].text);
		clkv__tuning_print(&t, text);
		ck_assert_str_eq(text, good[i].all);
		ck_assert_str_eq(t.source, "start");
		ck_assert(clkv__tuning_parse(text, 256, true, &again));
		ck_assert(clkv__tuning_equal(&t, &again));
		ck_assert_int_eq(clkv__tuning_parse(good[i].text, 256, true, &t),
		                 strcmp(good[i].text, good[i].all) == 0);
	}
}
END_TEST

static const char *const bad_texts[] = {
	"",
	"lanes=1",
	"lanes=1,",
	",lanes=1,vec=1",
	"lanes=1,,vec=1",
	"lanes=1vec=1",
	"lanes=01,vec=1",
	"lanes=+1,vec=1",
	"lanes= 1,vec=1",
	"lanes=1,vec=1,",
	"lanes=1,vec=1 ",
	"lanes=1,vec=1,queries",
	"lanes=1,vec=1,queries=",
	"lanes=1,vec=1,queries=0",
	"lanes=1,vec=1,queries=65",
	"lanes=1,vec=1,groups=65",
	"lanes=1,vec=1,groups=0",
	"lanes=1,vec=1,min_blocks=65",
	"lanes=1,vec=1,min_blocks=0",
	"lanes=1,vec=1,min_blocks=1000",
	"lanes=1,vec=1,groups=2,queries=3",
	"lanes=1,vec=1,queries=3,queries=3",
	"lanes=1,vec=1,blocks=3",
	"lanes=1,vec=1;queries=3",
	"lanes=1,vec=1,queries=4294967297",
	"lanes=1,vec=12",
	"lanes=48,vec=1",
	"lanes=512,vec=1",
	"lanes=256,vec=1", /* above the 128 that the test allows */
};

START_TEST(test_wrong_texts_are_refused)
{
	struct clkv__tuning t = start;
	ck_assert_msg(!clkv__tuning_parse(bad_texts[_i], 128, false, &t), "'%s'", bad_texts[_i]);
	ck_assert_int_eq(memcmp(&t, &start, sizeof t), 0);
	if (_i == 0)
		return; /* an empty CLKV_TUNE is none */
	clkv_context *context = NULL;
	clkv_error error;
	setenv("CLKV_TUNE", bad_texts[_i], 1);
	clkv_status status = fixture_try_open(&context, &error);
	unsetenv("CLKV_TUNE");
	if (status == CLKV_OK) {
		ck_assert_str_eq(bad_texts[_i], "lanes=256,vec=1");
		clkv_context_destroy(context);
		return;
	}
	ck_assert_int_eq(status, CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "[,min_blocks=B]"));
	ck_assert_ptr_nonnull(strstr(error.text, "1 to 64"));
}
END_TEST

/* ---------------------------------------------------------------- families ---- */

static const struct {
	const char *family, *platform, *name, *vendor, *version;
	int is_gpu;
	unsigned width;
	struct clkv__device_hints hints;
} devices[] = {
	{"PoCL, AVX-512",
     "Portable Computing Language",
     "pthread-skylake-avx512",
     "GenuineIntel",
     "OpenCL 3.0 PoCL",
     0,
     16,
     {0}},
	{"PoCL, AVX-512 of AMD",
     "Portable Computing Language",
     "pthread-skylake-avx512-AMD EPYC",
     "AuthenticAMD",
     "OpenCL 3.0 PoCL",
     0,
     16,
     {0}},
	{"PoCL, AVX-512 of Zen 5",
     "Portable Computing Language",
     "pthread-skylake-avx512-AMD EPYC",
     "AuthenticAMD",
     "OpenCL 3.0 PoCL",
     0,
     16,
     {.host_intersects = true}},
	{"PoCL, AVX2",
     "Portable Computing Language",
     "cpu-haswell",
     "AuthenticAMD",
     "OpenCL 3.0 PoCL",
     0,
     8,
     {0}},
	{"CPU", "Portable Computing Language", "cpu-cortex-a72", "ARM", "OpenCL 3.0 PoCL", 0, 4, {0}},
	{"Intel's runtime for CPUs",
     "Intel(R) OpenCL",
     "AMD EPYC",
     "Intel(R) Corporation",
     "OpenCL 3.1",
     0,
     16,
     {.intel = true}},
	{"NVIDIA",
     "NVIDIA CUDA",
     "NVIDIA H200",
     "NVIDIA Corporation",
     "OpenCL 3.0 CUDA",
     1,
     1,
     {.nvidia = true}},
	{"NVIDIA",
     "Portable Computing Language",
     "CUDA-sm_90",
     "NVIDIA Corporation",
     "PoCL",
     1,
     1,
     {0}},
	{"AMD CDNA",
     "AMD Accelerated Parallel Processing",
     "gfx90a:sramecc+:xnack-",
     "Advanced Micro Devices, Inc.",
     "OpenCL 2.0",
     1,
     1,
     {.amd = true, .wavefront = 64}},
	{"AMD RDNA",
     "AMD Accelerated Parallel Processing",
     "gfx1100",
     "Advanced Micro Devices, Inc.",
     "OpenCL 2.0",
     1,
     1,
     {.amd = true, .wavefront = 32}},
	{"AMD RDNA",
     "rusticl",
     "AMD Radeon RX 6800 (radeonsi, navi21, LLVM 15)",
     "AMD",
     "OpenCL 3.0",
     1,
     4,
     {0}},
	{"Intel Xe",
     "Intel(R) OpenCL Graphics",
     "Intel(R) Arc(TM) A770 Graphics",
     "Intel(R) Corporation",
     "OpenCL 3.0 NEO",
     1,
     1,
     {.intel = true}},
	{"GPU", "ARM Platform", "Mali-G710", "ARM", "OpenCL 3.0", 1, 4, {0}},
	{"GPU", "Intel(R) FPGA", "board", "a vendor", "OpenCL 1.2", 1, 1, {0}},
	{"CPU", "Oclgrind", "a simulator", "nobody", "OpenCL 1.2", 0, 1, {0}},
};

START_TEST(test_devices_find_their_family)
{
	clkv_device_info info = {
		.is_gpu = devices[_i].is_gpu, .vector_width = devices[_i].width, .max_work_group = 1024};
	snprintf(info.platform, sizeof info.platform, "%s", devices[_i].platform);
	snprintf(info.name, sizeof info.name, "%s", devices[_i].name);
	snprintf(info.vendor, sizeof info.vendor, "%s", devices[_i].vendor);
	snprintf(info.cl_version, sizeof info.cl_version, "%s", devices[_i].version);
	const struct clkv__family *f = clkv__family_find(&info, &devices[_i].hints);
	ck_assert_str_eq(f->name, devices[_i].family);
	struct clkv__tuning t = clkv__family_tuning(f, &info);
	ck_assert_ptr_nonnull(strstr(t.source, f->name));
	info.max_work_group = 20;
	t = clkv__family_tuning(f, &info);
	ck_assert_uint_eq(t.lanes, info.is_gpu ? 16 : 1);
}
END_TEST

/* Each row can be taken by every block size and by the smallest and largest heads and groups. */
START_TEST(test_every_row_is_a_tuning)
{
	static const int sizes[] = {16, 80, 256}, groups[] = {1, 3, 5, 64};
	const struct clkv__family *f = &clkv__families[_i];
	struct clkv_context device = {.info = {.is_gpu = f->lanes > 1,
	                                       .compute_units = 1u << 30,
	                                       .local_bytes = 32 << 10,
	                                       .max_work_group = 1024}};
	struct clkv__tuning t = clkv__family_tuning(f, &device.info);
	ck_assert(clkv__tuning_is_valid(&t, 256));
	ck_assert_uint_lt(strlen(t.source), sizeof t.source - 1);
	for (int bt = 32; bt <= 128; bt *= 2)
		for (int i = 0; i < 12; i++) {
			struct clkv__shape shape = {.dk = sizes[i % 3], .dv = sizes[i % 3], .g = groups[i / 3]};
			struct clkv__plan plan = {.general = {.block = bt}};
			struct clkv__cut cut;
			ck_assert_int_eq(clkv__cut_choose(&device, &shape, &plan, &t, &cut, NULL), CLKV_OK);
			ck_assert_int_eq(shape.g % cut.tile_heads, 0);
			ck_assert_uint_le((unsigned)(cut.tile_heads * cut.tile_rows), t.queries);
			ck_assert_uint_eq(cut.min_blocks, t.min_blocks);
			ck_assert_uint_le(cut.target_groups, 32768); /* a split's number has 16 bits */
			ck_assert_uint_eq((unsigned)bt % t.vec, 0);
		}
}
END_TEST

/* The numbers reach the cut. */
START_TEST(test_a_tuning_cuts)
{
	struct clkv__shape shape = {.dk = 64, .dv = 64, .g = 3};
	struct clkv__plan plan = {.general = {.block = 64}};
	struct clkv__tuning t = {1, 8, 13, 5, 9, ""};
	struct clkv__cut cut;
	ck_assert_int_eq(clkv__cut_choose(fixture.context, &shape, &plan, &t, &cut, NULL), CLKV_OK);
	ck_assert_int_eq(cut.tile_heads, 3);
	ck_assert_int_eq(cut.tile_rows, 4);
	ck_assert_uint_eq(cut.target_groups, 5 * fixture.context->info.compute_units);
	ck_assert_uint_eq(cut.min_blocks, 9);
	t.queries = 2;
	ck_assert_int_eq(clkv__cut_choose(fixture.context, &shape, &plan, &t, &cut, NULL), CLKV_OK);
	ck_assert_int_eq(cut.tile_heads, 1);
	ck_assert_int_eq(cut.tile_rows, 2);
}
END_TEST

/* ---------------------------------------------------------------- keys ---- */

static void key_of(const char *recipe, int q_heads, int dk, char key[CLKV__TUNE_KEY])
{
	clkv_geometry g = feed_geometry(2, q_heads, 2, dk, 64);
	struct clkv__resolved r;
	clkv_error error = {.status = CLKV_OK};
	feed_ok(clkv__resolve(fixture.context, &g, recipe, &r, &error), &error, recipe);
	strcpy(key, r.key);
	ck_assert(clkv__tune_key_is_valid(key));
}

/* What speed depends on tells keys apart; windows, sinks and rotations don't. */
START_TEST(test_keys_tell_codecs_and_shapes_apart)
{
	static const struct {
		const char *recipe;
		int q_heads, dk;
		bool same;
	} others[] = {
		{"kivi:bits=4 ; window=40,sinks=3", 6, 64, true},
		{"kivi:bits=4 ; skip=1", 6, 64, true},
		{"kivi:bits=2", 6, 64, false},
		{"kivi:bits=4,group=64", 6, 64, false},
		{"kivi:bits=4 ; block=128", 6, 64, false},
		{"kivi:bits=4", 8, 64, false},
		{"kivi:bits=4", 6, 128, false},
		{"f16", 6, 64, false},
		{"q:k=4,v=4", 6, 64, false},
	};
	char key[CLKV__TUNE_KEY], other[CLKV__TUNE_KEY], skipped[CLKV__TUNE_KEY];
	key_of("kivi:bits=4", 6, 64, key);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		key_of(others[i].recipe, others[i].q_heads, others[i].dk, other);
		ck_assert_msg((strcmp(key, other) == 0) == others[i].same, "%s: %s", others[i].recipe,
		              other);
	}
	key_of("f16", 6, 64, other);
	key_of("kivi ; skip=2", 6, 64, skipped); /* seals nothing */
	ck_assert_str_eq(other, skipped);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tune");
	TCase *text = fixture_case(suite, "text", 60), *family = fixture_case(suite, "family", 60);
	tcase_add_test(text, test_texts_are_read);
	tcase_add_loop_test(text, test_wrong_texts_are_refused, 0,
	                    (int)(sizeof bad_texts / sizeof bad_texts[0]));
	tcase_add_test(text, test_keys_tell_codecs_and_shapes_apart);
	tcase_add_loop_test(family, test_devices_find_their_family, 0,
	                    (int)(sizeof devices / sizeof devices[0]));
	tcase_add_loop_test(family, test_every_row_is_a_tuning, 0, (int)clkv__n_families);
	tcase_add_test(family, test_a_tuning_cuts);
	return fixture_run(suite);
}
