/* SPDX-License-Identifier: MIT */
/**
 * \file    check_program_file.c
 * \brief   What names a program and its file: macros, key, folder. Every cut and every flipped bit
 * of a file is noticed.
 */
#include "base/hash.h"
#include "base/macros.h"
#include "program/cache_file.h"
#include "support/fixture.h"
#include "support/inject.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE "kernel void answer(global int *x) { x[0] = 42; }\n"
#define OPTIONS "-cl-std=CL1.2"
#define HEADER 32 /* magic, two lengths, checksum */

/* ---------------------------------------------------------------- macros ---- */

START_TEST(test_equal_settings_give_equal_text)
{
	static const char *const names[] = {"VEC", "BT", "LANES", "D", "BITS_K", "BITS"};
	char first[200] = "", text[200];
	for (int turn = 0; turn < 6; turn++) {
		clkv__macros macros;
		clkv__macros_init(&macros);
		for (int i = 0; i < 6; i++)
			clkv__macros_int(&macros, names[(i + turn) % 6], (i + turn) % 6 - 1);
		clkv__macros_int(&macros, "D", 2); /* the same value again */
		ck_assert_uint_eq(clkv__macros_text(&macros, text, sizeof text), strlen(text));
		if (turn > 0)
			ck_assert_str_eq(text, first);
		strcpy(first, text);
	}
	ck_assert_str_eq(first, " -DBITS=4 -DBITS_K=3 -DBT=0 -DD=2 -DLANES=1 -DVEC=-1");
}
END_TEST

START_TEST(test_a_short_buffer_gets_the_length)
{
	clkv__macros macros;
	clkv__macros_init(&macros);
	clkv__macros_int(&macros, "ALPHA", -2147483647);
	clkv__macros_int(&macros, "BETA", 7);
	const char *want = " -DALPHA=-2147483647 -DBETA=7";
	for (size_t n = 0; n < 60; n++) {
		char text[64];
		memset(text, '#', sizeof text);
		ck_assert_uint_eq(clkv__macros_text(&macros, n ? text : NULL, n), strlen(want));
		if (n > 0)
			ck_assert_int_eq(strncmp(text, want, strlen(text)), 0);
		ck_assert_int_eq(text[n], '#');
	}
}
END_TEST

/* ---------------------------------------------------------------- folders ---- */

static char folder[400];

static void new_folder(void)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(folder, sizeof folder, "%s/check_program_file.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static int files_in(const char *path, char *last, size_t n)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int count = 0;
	while (directory && (entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.') {
			ck_assert_int_lt(snprintf(last, n, "%s/%s", path, entry->d_name), (int)n);
			count++;
		}
	if (directory)
		closedir(directory);
	return count;
}

static void remove_folder(void)
{
	char path[800];
	while (files_in(folder, path, sizeof path) > 0)
		ck_assert_int_eq(remove(path), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}

static clkv_context *open_with(const char *cache_dir)
{
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	clkv_context *context = NULL;
	clkv_error error;
	options.cache_dir = cache_dir;
	options.allocator = inject_allocator();
	clkv_status status =
		clkv_context_create(clkv_context_cl(fixture.context), clkv_context_device(fixture.context),
	                        &options, &context, &error);
	ck_assert_msg(status == CLKV_OK, "%s", error.text);
	return context;
}

static void set_variable(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

/* The option, else CLKV_CACHE_DIR, else XDG_CACHE_HOME, else HOME; an empty option or variable:
 * none. */
START_TEST(test_where_programs_are_kept)
{
	static const struct {
		const char *option, *own, *xdg, *home, *want;
	} cases[] = {
		{"/a", "/b", "/c", "/d", "/a"},
		{"", "/b", "/c", "/d", NULL},
		{NULL, "/b", "/c", "/d", "/b"},
		{NULL, "", "/c", "/d", NULL},
		{NULL, NULL, "/c", "/d", "/c/clkv"},
		{NULL, NULL, "", "/d", "/d/.cache/clkv"},
		{NULL, NULL, NULL, "/d", "/d/.cache/clkv"},
		{NULL, NULL, NULL, "", NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static const char *const variables[] = {"CLKV_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};
	char *kept[3];
	for (int v = 0; v < 3; v++)
		kept[v] = getenv(variables[v]) ? strdup(getenv(variables[v])) : NULL;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *values[] = {cases[i].own, cases[i].xdg, cases[i].home};
		for (int v = 0; v < 3; v++)
			set_variable(variables[v], values[v]);
		clkv_context *context = open_with(cases[i].option);
		if (cases[i].want)
			ck_assert_str_eq(context->cache_dir, cases[i].want);
		else
			ck_assert_ptr_null(context->cache_dir);
		clkv_context_destroy(context);
	}
	for (int v = 0; v < 3; v++) {
		set_variable(variables[v], kept[v]);
		free(kept[v]);
	}
}
END_TEST

/* ---------------------------------------------------------------- keys ---- */

START_TEST(test_keys_tell_programs_apart)
{
	struct clkv__cache_key a, b;
	clkv_context *context = open_with("");
	clkv__cache_key_make(context, SOURCE, OPTIONS, &a);
	clkv__cache_key_make(context, SOURCE, OPTIONS, &b);
	ck_assert_str_eq(a.text, b.text);
	ck_assert_str_eq(a.name, b.name);
	ck_assert_ptr_nonnull(strstr(a.text, context->info.name));
	ck_assert_ptr_nonnull(strstr(a.text, context->info.driver));
	ck_assert_ptr_nonnull(strstr(a.text, CLKV_VERSION_STRING));
	clkv__cache_key_make(context, SOURCE " ", OPTIONS, &b);
	ck_assert_str_ne(a.text, b.text);
	ck_assert_str_ne(a.name, b.name);
	clkv__cache_key_make(context, SOURCE, OPTIONS " -DD=1", &b);
	ck_assert_str_ne(a.name, b.name);
	context->info.driver[0] ^= 1;
	clkv__cache_key_make(context, SOURCE, OPTIONS, &b);
	ck_assert_str_ne(a.name, b.name);
	clkv_context_destroy(context);
}
END_TEST

/* ---------------------------------------------------------------- files ---- */

struct kept {
	clkv_context *context;
	struct clkv__cache_key key;
	cl_program program;
	char path[800];
	unsigned char *data;
	size_t size;
};

static bool loads(struct kept *k)
{
	uint64_t before = inject_host_bytes();
	cl_program program = clkv__cache_file_load(k->context, &k->key, OPTIONS);
	ck_assert_uint_eq(inject_host_bytes(), before);
	if (!program)
		return false;
	clReleaseProgram(program);
	return true;
}

static void write_as(const struct kept *k, const void *data, size_t size)
{
	FILE *f = fopen(k->path, "wb");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, size, f), size);
	ck_assert_int_eq(fclose(f), 0);
}

static void keep(struct kept *k)
{
	const char *source = SOURCE;
	cl_int code;
	struct stat s;
	new_folder();
	k->context = open_with(folder);
	k->program = clCreateProgramWithSource(k->context->cl, 1, &source, NULL, &code);
	ck_assert_int_eq(code, CL_SUCCESS);
	ck_assert_int_eq(clBuildProgram(k->program, 1, &k->context->device, OPTIONS, NULL, NULL),
	                 CL_SUCCESS);
	clkv__cache_key_make(k->context, source, OPTIONS, &k->key);
	ck_assert(!loads(k));
	clkv__cache_file_store(k->context, &k->key, k->program);
	ck_assert_int_eq(files_in(folder, k->path, sizeof k->path), 1);
	ck_assert_int_eq(stat(k->path, &s), 0);
	ck_assert_int_eq(s.st_mode & 077, 0);
	k->size = (size_t)s.st_size;
	k->data = malloc(k->size);
	ck_assert_ptr_nonnull(k->data);
	FILE *f = fopen(k->path, "rb");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fread(k->data, 1, k->size, f), k->size);
	fclose(f);
	ck_assert(loads(k));
}

static void drop(struct kept *k)
{
	clReleaseProgram(k->program);
	clkv_context_destroy(k->context);
	free(k->data);
	remove_folder();
}

/* Every length up to the binary's first bytes, then some of each part, and one byte more. */
START_TEST(test_cut_files_are_not_loaded)
{
	struct kept k;
	keep(&k);
	size_t text_end = HEADER + strlen(k.key.text);
	ck_assert_uint_gt(k.size, text_end);
	for (size_t n = 0; n < k.size; n += n < text_end + 16 ? 1 : 1 + (k.size - n) / 7) {
		write_as(&k, k.data, n);
		ck_assert_msg(!loads(&k), "the first %zu of %zu bytes were loaded", n, k.size);
	}
	unsigned char *longer = calloc(k.size + 1, 1);
	ck_assert_ptr_nonnull(longer);
	memcpy(longer, k.data, k.size);
	write_as(&k, longer, k.size + 1);
	ck_assert(!loads(&k));
	free(longer);
	write_as(&k, k.data, k.size);
	ck_assert(loads(&k));
	drop(&k);
}
END_TEST

/* Every bit of header and key, and some of the binary. */
START_TEST(test_flipped_bits_are_noticed)
{
	struct kept k;
	keep(&k);
	size_t text_end = HEADER + strlen(k.key.text);
	for (size_t i = 0; i < k.size; i += i < text_end ? 1 : 1 + k.size / 100) {
		for (int bit = 0; bit < 8; bit += i < text_end ? 1 : 3) {
			k.data[i] ^= (unsigned char)(1 << bit);
			write_as(&k, k.data, k.size);
			ck_assert_msg(!loads(&k), "byte %zu, bit %d", i, bit);
			k.data[i] ^= (unsigned char)(1 << bit);
		}
	}
	clkv__cache_file_store(k.context, &k.key, k.program);
	ck_assert(loads(&k));
	drop(&k);
}
END_TEST

static void put(unsigned char *data, size_t at, uint64_t value)
{
	memcpy(data + at, &value, sizeof value);
}

/* Lengths that lie, checksums that agree with them. */
START_TEST(test_wrong_lengths_are_not_believed)
{
	static const uint64_t lengths[] = {
		0, 1, (uint64_t)1 << 27, (uint64_t)1 << 40, UINT64_MAX, UINT64_MAX - 31};
	struct kept k;
	keep(&k);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		for (size_t at = 8; at <= 16; at += 8) {
			unsigned char *data = malloc(k.size);
			ck_assert_ptr_nonnull(data);
			memcpy(data, k.data, k.size);
			put(data, at, lengths[i]);
			uint64_t hash = clkv__hash(CLKV__HASH_START, data, 24);
			put(data, 24, clkv__hash(hash, data + HEADER, k.size - HEADER));
			write_as(&k, data, k.size);
			ck_assert(!loads(&k));
			free(data);
		}
	drop(&k);
}
END_TEST

/* Another program's file under this one's name; a binary that isn't one, with a checksum that is.
 */
START_TEST(test_foreign_contents_are_not_loaded)
{
	struct kept k;
	keep(&k);
	struct clkv__cache_key mine = k.key;
	clkv__cache_key_make(k.context, SOURCE "/* another */", OPTIONS, &k.key);
	ck_assert_uint_eq(strlen(k.key.text), strlen(mine.text)); /* only its words differ */
	snprintf(k.path, sizeof k.path, "%s/%s", folder, k.key.name);
	write_as(&k, k.data, k.size);
	ck_assert(!loads(&k));
	remove(k.path);
	k.key = mine;
	snprintf(k.path, sizeof k.path, "%s/%s", folder, k.key.name);
	size_t text_end = HEADER + strlen(k.key.text);
	memset(k.data + text_end, 'x', k.size - text_end);
	uint64_t hash = clkv__hash(CLKV__HASH_START, k.data, 24);
	put(k.data, 24, clkv__hash(hash, k.data + HEADER, k.size - HEADER));
	write_as(&k, k.data, k.size);
	ck_assert(!loads(&k));
	clkv__cache_file_store(k.context, &k.key, k.program);
	ck_assert(loads(&k));
	drop(&k);
}
END_TEST

/* Neither reading nor storing goes through names that aren't plain files of ours. */
START_TEST(test_odd_files_and_folders)
{
	struct kept k;
	keep(&k);
	ck_assert_int_eq(chmod(folder, 0770), 0);
	ck_assert(!loads(&k));
	ck_assert_int_eq(chmod(folder, 0702), 0);
	ck_assert(!loads(&k));
	ck_assert_int_eq(chmod(folder, 0755), 0);
	ck_assert(loads(&k));
	ck_assert_int_eq(remove(k.path), 0);
	ck_assert_int_eq(mkdir(k.path, 0700), 0);
	ck_assert(!loads(&k));
	clkv__cache_file_store(k.context, &k.key, k.program);
	ck_assert_int_eq(files_in(folder, k.path, sizeof k.path), 1); /* no temporary file is left */
	ck_assert_int_eq(rmdir(k.path), 0);
	ck_assert_int_eq(mkfifo(k.path, 0600), 0);
	ck_assert(!loads(&k)); /* and doesn't wait for a writer */
	clkv__cache_file_store(k.context, &k.key, k.program);
	ck_assert(loads(&k));
	drop(&k);
}
END_TEST

START_TEST(test_a_full_disk_leaves_nothing)
{
	struct kept k;
	struct rlimit before, small;
	keep(&k);
	ck_assert_int_eq(remove(k.path), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	for (rlim_t limit = 0; limit < k.size; limit += k.size / 3 + 1) {
		char path[800];
		small = before;
		small.rlim_cur = limit;
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
		clkv__cache_file_store(k.context, &k.key, k.program);
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
		ck_assert_int_eq(files_in(folder, path, sizeof path), 0);
	}
	signal(SIGXFSZ, handler);
	clkv__cache_file_store(k.context, &k.key, k.program);
	ck_assert(loads(&k));
	drop(&k);
}
END_TEST

START_TEST(test_memory_may_run_out)
{
	struct kept k;
	keep(&k);
	inject_alloc_arm(0);
	ck_assert(!loads(&k));
	ck_assert(inject_alloc_disarm());
	ck_assert_int_eq(remove(k.path), 0);
	inject_alloc_arm(0);
	clkv__cache_file_store(k.context, &k.key, k.program);
	ck_assert(inject_alloc_disarm());
	ck_assert(!loads(&k));
	drop(&k);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("program file");
	TCase *name = fixture_case(suite, "name", 60), *file = fixture_case(suite, "file", 120);
	tcase_add_test(name, test_equal_settings_give_equal_text);
	tcase_add_test(name, test_a_short_buffer_gets_the_length);
	tcase_add_test(name, test_where_programs_are_kept);
	tcase_add_test(name, test_keys_tell_programs_apart);
	tcase_add_test(file, test_cut_files_are_not_loaded);
	tcase_add_test(file, test_flipped_bits_are_noticed);
	tcase_add_test(file, test_wrong_lengths_are_not_believed);
	tcase_add_test(file, test_foreign_contents_are_not_loaded);
	tcase_add_test(file, test_odd_files_and_folders);
	tcase_add_test(file, test_a_full_disk_leaves_nothing);
	tcase_add_test(file, test_memory_may_run_out);
	return fixture_run(suite);
}
