/* SPDX-License-Identifier: MIT */
/**
 * \file    list_kernels.c
 * \brief   Prints the kernels that the library builds for GPUs: "recipe heads<TAB>file<TAB>options" each.
 *
 * The library itself says what it builds, through its log, so the list can't go stale. It runs on any
 * OpenCL device: the functions below stand before the real ones, make the device say that it is a GPU,
 * and give it empty kernels of the same names to compile. A program that several recipes have is listed once. --all
 * adds many recipes in every shape and form to a choice that meets each branch of the kernels.
 */
#include "program/source.h"
#include "support/every.h"
#include "support/fixture.h"
#include "support/recipe_files.h"
#include "support/suite.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------- a GPU that isn't there ---- */

static void answer(void *value, size_t size, const void *from, size_t n)
{
	if (value && size >= n)
		memcpy(value, from, n);
}

cl_int clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *value,
                       size_t *size_ret)
{
	union {
		void *symbol;
		cl_int (*call)(cl_device_id, cl_device_info, size_t, void *, size_t *);
	} real = {dlsym(RTLD_NEXT, "clGetDeviceInfo")};
	const cl_device_type type = CL_DEVICE_TYPE_GPU;
	const cl_ulong local = 48 << 10;
	const size_t group = 1024;
	cl_int code = real.call(device, what, size, value, size_ret);
	if (code == CL_SUCCESS && what == CL_DEVICE_TYPE)
		answer(value, size, &type, sizeof type);
	if (code == CL_SUCCESS && what == CL_DEVICE_LOCAL_MEM_SIZE)
		answer(value, size, &local, sizeof local);
	if (code == CL_SUCCESS && what == CL_DEVICE_MAX_WORK_GROUP_SIZE)
		answer(value, size, &group, sizeof group);
	return code;
}

/* An empty kernel for each one of the source: "__kernel [attributes] void NAME(". */
static void write_stubs(const char *source, char *stubs, size_t n)
{
	size_t at = 0;
	stubs[0] = '\0';
	while ((source = strstr(source, "__kernel ")) != NULL) {
		source += strlen("__kernel ");
		const char *name = strstr(source, "void");
		if (!name)
			break;
		name += strlen("void");
		name += strspn(name, " \n");
		at += (size_t)snprintf(stubs + at, n - at, "__kernel void %.*s(void) {}\n",
		                       (int)strcspn(name, "( \n"), name);
		if (at >= n)
			abort();
	}
}

cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char **strings,
                                     const size_t *lengths, cl_int *code)
{
	union {
		void *symbol;
		cl_program (*call)(cl_context, cl_uint, const char **, const size_t *, cl_int *);
	} real = {dlsym(RTLD_NEXT, "clCreateProgramWithSource")};
	char text[1024];
	const char *stubs = text;
	(void)count;
	(void)lengths;
	write_stubs(strings[0], text, sizeof text);
	return real.call(context, 1, &stubs, NULL, code);
}

/* Without the options, which differ, the driver's cache knows the stubs from the second time on. */
cl_int clBuildProgram(cl_program program, cl_uint n, const cl_device_id *devices,
                      const char *options, void (*done)(cl_program, void *), void *opaque)
{
	union {
		void *symbol;
		cl_int (*call)(cl_program, cl_uint, const cl_device_id *, const char *,
		               void (*)(cl_program, void *), void *);
	} real = {dlsym(RTLD_NEXT, "clBuildProgram")};
	(void)options;
	return real.call(program, n, devices, NULL, done, opaque);
}

/* They have no arguments. */
cl_int clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
	(void)kernel, (void)index, (void)size, (void)value;
	return CL_SUCCESS;
}

/* ---------------------------------------------------------------- what is listed ---- */

struct heads {
	int q, kv, dk, dv;
};

struct choice {
	const char *recipe;
	struct heads heads;
	clkv_rope rope;
};

/* Recipes as they are used, in heads of models: every_cases have every kernel, but their numbers are those of short lives. Both
 * axes, bits of one and two planes, symmetric, rotated, nothing sealed, one query head per KV head and several, head sizes that
 * are no power of two and the largest; codes packed and in streams, of which a look-up finds two or one, one range for all of
 * K, sides that may be in half; channels pruned for all tokens and for each, with values in half and coded; tokens selected
 * by each kind of score; both kinds of RoPE by the library, of all channels and of some, before a Hadamard turn and where
 * queries are observed. One size, {6, 2, 64, 64}, wherever none is asked for, so that recipes share kernels. */
static const struct choice choices[] = {
	{"f16", {6, 2, 64, 64}, {0}},
	{"kivi:bits=2", {6, 2, 64, 64}, {0}},
	{"kivi:bits=4", {32, 8, 128, 128}, {0}},
	{"kitty", {6, 2, 64, 64}, {0}},
	{"kvquant", {6, 2, 64, 64}, {0}},
	{"qaq", {6, 2, 64, 64}, {0}},
	{"qtc", {32, 8, 128, 128}, {0}},
	{"csr", {6, 2, 64, 64}, {0}},
	{"csr", {32, 8, 128, 128}, {0}},
	{"lorc:k=64,v=64", {6, 2, 64, 64}, {.kind = CLKV_ROPE_HALVES}},
	{"q:k=8,v=8", {8, 8, 128, 128}, {0}},
	{"q:k=4,v=4,rot=hadamard", {32, 8, 128, 128}, {0}},
	{"q:k=3,v=5,axis_k=channel,axis_v=channel,sym=1", {4, 4, 80, 80}, {0}},
	{"q:k=6,v=3,group=64", {8, 1, 256, 256}, {0}},
	{"kvcomp:entropy=huffman", {6, 2, 64, 64}, {0}},
	{"kvcomp:entropy=pack", {32, 8, 128, 128}, {0}},
	{"kvcomp:rel_k=0.02,abs_v=0.05,unit_k=block", {4, 4, 80, 80}, {0}},
	{"kvcomp:entropy=none,lane_codes=256,verify=1", {8, 1, 256, 256}, {0}},
	{"think:keep=0.6", {6, 2, 64, 64}, {0}},
	{"think:keep=0.6 | kivi:bits=4", {32, 8, 128, 128}, {0}},
	{"think:keep=0.6 | kvcomp", {6, 2, 64, 64}, {0}},
	{"spark:keep=0.5", {32, 8, 128, 128}, {0}},
	{"spark:keep=0.3,recover=normal", {6, 2, 64, 64}, {0}},
	{"spark:keep=0.5 | kivi:bits=4", {6, 2, 64, 64}, {0}},
	{"spark:keep=0.5 | kvcomp:entropy=huffman", {32, 8, 128, 128}, {0}},
	{"clusterkv:recall=512", {6, 2, 64, 64}, {0}},
	{"clusterkv:recall=512,metric=query,gqa=group", {32, 8, 128, 128}, {0}},
	{"kivi:bits=4 | a2ats:recall=512", {6, 2, 64, 64}, {0}},
	{"a2ats:recall=512,metric=query,wrope=64", {6, 2, 64, 64}, {.kind = CLKV_ROPE_HALVES}},
	{"kvcomp:entropy=huffman | pages:recall=512", {6, 2, 64, 64}, {0}},
	{"spark:keep=0.5 | topk:recall=512", {6, 2, 64, 64}, {0}},
	{"pages:recall=512 | place:host,via=attend", {6, 2, 64, 64}, {0}},
	{"zeromerge:budget=512", {6, 2, 64, 64}, {0}},
	{"zeromerge:budget=512 | kivi:bits=4", {32, 8, 128, 128}, {0}},
	{"zeromerge:budget=512,mean=count,init=contig,peak=0,mass=sum", {8, 1, 256, 256}, {0}},
	{"h2o:budget=512 | spark:keep=0.5", {6, 2, 64, 64}, {0}},
	{"snapkv:budget=512 | kvcomp:entropy=huffman", {6, 2, 64, 64}, {0}},
	{"morphkv:budget=600", {32, 8, 128, 128}, {0}},
	{"expected:budget=512", {6, 2, 64, 64}, {.kind = CLKV_ROPE_PAIRS}},
	{"expected:budget=512 | kivi:bits=4", {32, 8, 128, 128}, {.kind = CLKV_ROPE_HALVES}},
	{"prefixkv:budget=0.3 | kvmerger", {6, 2, 64, 64}, {0}},
	{"kvzip:budget=512 | kivi:bits=4", {6, 2, 64, 64}, {0}},
	{"cascade:budget=2048", {32, 8, 128, 128}, {0}},
	{"l2norm:budget=0.5 | think:keep=0.6", {6, 2, 64, 64}, {0}},
	{"f16", {32, 8, 128, 128}, {.kind = CLKV_ROPE_HALVES, .by_library = 1}},
	{"q:k=4,v=4,rot=hadamard",
     {32, 8, 128, 128},
     {.kind = CLKV_ROPE_PAIRS, .by_library = 1, .dims = 42}},
	{"think:keep=0.6 | kivi:bits=4", {6, 2, 64, 64}, {.kind = CLKV_ROPE_HALVES, .by_library = 1}},
};

static const char *const recipes[] = {
	"f16",
	"kivi:bits=2",
	"kivi:bits=4",
	"kivi:k=3,v=2,group=64 ; block=128",
	"kitty",
	"kitty:boost=0.25,group=128 ; block=128",
	"kvquant",
	"kvquant:k=4,v=2,group=128 ; block=128",
	"q:k=3,v=3",
	"q:k=5,v=5,axis_k=channel,axis_v=channel",
	"q:k=6,v=6,sym=1",
	"q:k=8,v=8",
	"q:k=8,v=4,axis_v=channel,group=16 ; block=32",
	"q:k=16,v=4",
	"q:k=4,v=4,sym=1,axis_k=channel",
	"q:k=4,v=4,rot=hadamard",
	"kvcomp:entropy=huffman",
	"kvcomp:entropy=pack,rel_k=0.004,unit_k=block",
	"kvcomp:rel_k=0.02,abs_v=0.05,unit_k=block",
	"kvcomp:entropy=none,lane_codes=256,exact=0,verify=1",
	"kvcomp:entropy=huffman,lane_codes=64,lmax=12 ; block=128",
	"think:keep=0.6",
	"think:keep=0.6 | kivi:bits=4",
	"think:keep=0.6 | q:k=8,v=8",
	"think:keep=0.6 | kvcomp",
	"spark:keep=0.5",
	"spark:keep=0.2,recover=mean",
	"spark:keep=0.5,recover=exp",
	"spark:keep=0.5 | kivi:bits=4",
	"spark:keep=0.5 | kitty",
	"spark:keep=0.5 | q:k=8,v=8",
	"spark:keep=0.5 | kvcomp",
	"spark:keep=0.5 | kvcomp:entropy=huffman",
};

static const struct heads shapes[] = {
	{6, 2, 64, 64}, {32, 8, 128, 128}, {8, 8, 128, 128}, {4, 4, 80, 80}, {8, 1, 256, 256},
};

static const char *const forms[] = {"", "lanes=32,vec=4", "lanes=256,vec=1"};

#define COUNT(list) (sizeof list / sizeof(list)[0])

static bool all;
static FILE *out;
static char label[128];
static const char *files_listed[128];

static bool is_listed(const char *file)
{
	for (size_t i = 0; i < COUNT(files_listed) && files_listed[i]; i++)
		if (strcmp(files_listed[i], file) == 0)
			return true;
	return false;
}

static void note_file(const char *name, size_t n)
{
	size_t i = 0;
	while (files_listed[i])
		i++;
	for (const struct clkv__cl_file *f = clkv__cl_files; f->name; f++)
		if (strlen(f->name) == n && strncmp(f->name, name, n) == 0 && !is_listed(f->name))
			files_listed[i] = f->name;
}

/* The log's line of a build: "FILE.clOPTIONS: ready". */
static void print_kernel(void *opaque, clkv_log_level level, const char *subsystem,
                         const char *text)
{
	(void)opaque;
	const char *file_end = strstr(text, ".cl"), *end = strrchr(text, ':');
	if (level != CLKV_LOG_BUILD || strcmp(subsystem, "build") != 0 || !file_end || !end)
		return;
	file_end += strlen(".cl");
	const char *options = file_end + strspn(file_end, " ");
	note_file(text, (size_t)(file_end - text));
	fprintf(out, "%s\t%.*s\t%.*s\n", label, (int)(file_end - text), text, (int)(end - options),
	        options);
}

static bool build(clkv_context *context, const char *recipe, const struct heads *heads,
                  const clkv_rope *rope)
{
	clkv_geometry geometry = feed_geometry(1, heads->q, heads->kv, heads->dk, heads->dv);
	clkv_cache_options options = feed_room(1024, 1);
	struct recipe_files files;
	clkv_cache *cache;
	clkv_error error;
	geometry.rope = *rope;
	snprintf(label, sizeof label, "%s %dx%d%s", recipe, heads->dk, heads->q / heads->kv,
	         rope->by_library ? " rope" : "");
	recipe_files_offer(&files, &geometry, recipe, &options);
	clkv_status status = clkv_cache_create(context, &geometry, recipe, &options, &cache, &error);
	recipe_files_close(&files);
	if (status == CLKV_OK) {
		clkv_cache_destroy(cache);
		return true;
	}
	/* The product of all has pairs that make no sense, and the library says which: no mistake. */
	fprintf(stderr, "list_kernels: %s: %s\n", label, error.text);
	return status == CLKV_ERROR_INVALID_RECIPE || status == CLKV_ERROR_UNSUPPORTED;
}

static bool build_product(clkv_context *context)
{
	const clkv_rope none = {0};
	bool good = true;
	for (size_t r = 0; r < COUNT(recipes); r++)
		for (size_t s = 0; s < COUNT(shapes); s++)
			good = build(context, recipes[r], &shapes[s], &none) && good;
	return good;
}

static bool build_choices(clkv_context *context)
{
	bool good = true;
	for (size_t i = 0; i < COUNT(choices); i++)
		good = build(context, choices[i].recipe, &choices[i].heads, &choices[i].rope) && good;
	return good;
}

/* In heads of a model's size and blocks as they usually are. RoPE is the caller's: few kernels know of it otherwise, and
 * choices have them. */
static bool build_every(clkv_context *context)
{
	const struct heads heads = {6, 2, 64, 64};
	char recipe[EVERY_RECIPE];
	bool good = true;
	for (int i = 0; i < every_count; i++) {
		const clkv_rope rope = {.kind = every_cases[i].rope};
		every_recipe(&every_cases[i], 64, recipe, sizeof recipe);
		good = build(context, recipe, &heads, &rope) && good;
	}
	return good;
}

/* What no cache has. */
static void build_merge(clkv_context *context)
{
	struct every_record record = {0};
	cl_command_queue queue = fixture_queue_of(context);
	snprintf(label, sizeof label, "clkv_merge");
	every_merge(context, queue, &record);
	free(record.data);
	clReleaseCommandQueue(queue);
}

/* A kernel that nobody lists is compiled by no vendor's compiler. */
static bool are_all_listed(void)
{
	for (const struct clkv__cl_file *f = clkv__cl_files; f->name; f++) {
		if (strcmp(strrchr(f->name, '.'), ".cl") == 0 && !is_listed(f->name)) {
			fprintf(stderr, "list_kernels: no recipe here has %s\n", f->name);
			return false;
		}
	}
	return true;
}

static int list(const char *form)
{
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	clkv_context *context;
	clkv_error error;
	options.log = print_kernel;
	options.log_level = CLKV_LOG_BUILD;
	options.cache_dir = "";
	setenv("CLKV_TUNE", form, 1);
	setenv("CLKV_TEST_LANES", "1", 1); /* nothing is run */
	if (clkv_context_open(getenv("CLKV_TEST_DEVICE"), &options, &context, &error) != CLKV_OK) {
		fprintf(stderr, "list_kernels: %s\n", error.text);
		return error.status == CLKV_ERROR_NO_DEVICE ? 77 : EXIT_FAILURE;
	}
	bool good = build_choices(context);
	good = build_every(context) && good;
	build_merge(context);
	if (all)
		good = build_product(context) && good;
	good = are_all_listed() && good;
	clkv_context_destroy(context);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int status = EXIT_SUCCESS;

/* What makes files reports failures as a test's. */
START_TEST(test_list)
{
	for (size_t f = 0; f < (all ? COUNT(forms) : 1) && status == EXIT_SUCCESS; f++)
		status = list(forms[f]);
}
END_TEST

/* What Check says goes where errors go. */
static bool keep_output(void)
{
	int copy = dup(STDOUT_FILENO);
	out = copy >= 0 ? fdopen(copy, "w") : NULL;
	return out && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("list_kernels");
	TCase *c = tcase_create("list");
	all = argc == 2 && strcmp(argv[1], "--all") == 0;
	if (argc > 1 && !all) {
		fprintf(stderr, "usage: list_kernels [--all]\n");
		return 2;
	}
	if (!keep_output())
		return EXIT_FAILURE;
	tcase_add_test(c, test_list);
	suite_add_tcase(suite, c);
	int failed = run_suite_as(suite, CK_NOFORK);
	fclose(out);
	return failed ? failed : status;
}
