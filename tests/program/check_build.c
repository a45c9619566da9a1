/* SPDX-License-Identifier: MIT */
/** \file check_build.c \brief From kernel files to kernels: includes, the kernel folder, failures,
 * hostile files. */
#include "device/device_info.h"
#include "program/build.h"
#include "program/cache_file.h"
#include "program/source.h"
#include "support/fixture.h"
#include "support/inject.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file of the library that tests replace by their own. */
#define FILE_NAME "append_rows.cl"
#define GOOD "kernel void from_folder(global int *x) { x[0] = VALUE; }\n"

static char folder[512];

static void new_folder(void)
{
	snprintf(folder, sizeof folder, "%s/check_build.XXXXXX",
	         getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void path_of(char *path, size_t n, const char *name)
{
	ck_assert_int_lt(snprintf(path, n, "%s/%s", folder, name), (int)n);
}

static void remove_folder(void)
{
	char path[800];
	struct dirent *entry;
	DIR *directory = opendir(folder);
	while (directory && (entry = readdir(directory)) != NULL) {
		path_of(path, sizeof path, entry->d_name);
		if (entry->d_name[0] != '.' && remove(path) != 0)
			rmdir(path);
	}
	if (directory)
		closedir(directory);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void write_kernel(const char *text)
{
	char path[800];
	path_of(path, sizeof path, FILE_NAME);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

struct notes {
	int warnings, damaged;
	char error[2000];
};

static void note(void *opaque, clkv_log_level level, const char *subsystem, const char *text)
{
	struct notes *n = opaque;
	(void)subsystem;
	n->warnings += strstr(text, "can't be kept") != NULL;
	n->damaged += strstr(text, "damaged") != NULL;
	if (level == CLKV_LOG_ERROR)
		snprintf(n->error, sizeof n->error, "%s", text);
}

static clkv_context *context_with(const char *cache, const char *kernels, struct notes *notes)
{
	clkv_context_options o = CLKV_INIT(clkv_context_options);
	clkv_context *context = NULL;
	clkv_error error;
	o.cache_dir = cache;
	o.kernel_dir = kernels;
	o.log = note;
	o.log_opaque = notes;
	o.allocator = inject_allocator();
	clkv_status status =
		clkv_context_create(clkv_context_cl(fixture.context), clkv_context_device(fixture.context),
	                        &o, &context, &error);
	ck_assert_msg(status == CLKV_OK, "%s", error.text);
	return context;
}

static clkv_status make(clkv_context *context, const char *file, const char *kernel,
                        const clkv__macros *macros, cl_kernel *out, clkv_error *error)
{
	struct clkv__program *program = NULL;
	clkv_status status = clkv__program_find(context, file, macros, &program, error);
	return status == CLKV_OK ? clkv__program_kernel(context, program, kernel, out, error) : status;
}

static clkv_status build(clkv_context *context, const char *kernel, int value, clkv_error *error)
{
	clkv__macros m;
	cl_kernel k = NULL;
	clkv__error_clear(error);
	clkv__macros_init(&m);
	clkv__macros_int(&m, "VALUE", value);
	clkv_status status = make(context, FILE_NAME, kernel, &m, &k, error);
	ck_assert((status == CLKV_OK) == (k != NULL));
	if (k)
		clReleaseKernel(k);
	return status;
}

/* Builds the kernel in a context of its own; the log says what happened. */
static void build_once(const char *cache, struct notes *notes)
{
	char kernels[600];
	clkv_error error;
	path_of(kernels, sizeof kernels, ".");
	clkv_context *context = context_with(cache, kernels, notes);
	clkv_status status = build(context, "from_folder", 1, &error);
	ck_assert_msg(status == CLKV_OK, "%s", error.text);
	clkv_context_destroy(context);
}

/* Until it's stored: at once, or after some builds. */
static void build_often(const char *cache, struct notes *notes)
{
	for (int i = 0; i < CLKV__POCL_BUILDS; i++)
		build_once(cache, notes);
}

/* ---------------------------------------------------------------- sources ---- */

static int count(const char *text, const char *what)
{
	int n = 0;
	for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

START_TEST(test_every_file_is_included_once)
{
	for (const struct clkv__cl_file *f = clkv__cl_files; f->name; f++) {
		char *text = NULL;
		clkv_error error;
		clkv__error_clear(&error);
		clkv_status status = clkv__source_text(fixture.context, f->name, &text, &error);
		ck_assert_msg(status == CLKV_OK, "%s: %s", f->name, error.text);
		ck_assert_int_eq(count(text, "#include \""), 0);
		for (const struct clkv__cl_file *g = clkv__cl_files; g->name; g++) {
			char line[200];
			snprintf(line, sizeof line, "#line 1 \"%s\"\n", g->name);
			ck_assert_int_le(count(text, line), 1);
		}
		inject_allocator().free(NULL, text);
	}
}
END_TEST

START_TEST(test_a_missing_include_is_named)
{
	struct notes notes = {0, 0, ""};
	clkv_error error;
	new_folder();
	write_kernel("\n#include \"nowhere.clh\"\n" GOOD);
	clkv_context *context = context_with("", folder, &notes);
	ck_assert_int_eq(build(context, "from_folder", 1, &error), CLKV_ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(error.text, FILE_NAME ":2"));
	ck_assert_ptr_nonnull(strstr(error.text, "nowhere.clh"));
	clkv_context_destroy(context);
	remove_folder();
}
END_TEST

START_TEST(test_a_kernel_folder_replaces_single_files)
{
	struct notes notes = {0, 0, ""};
	clkv_error error;
	new_folder();
	clkv_context *context = context_with("", folder, &notes);
	ck_assert_int_ne(build(context, "from_folder", 1, &error), CLKV_OK);
	clkv_context_destroy(context);
	write_kernel(GOOD);
	context = context_with("", folder, &notes);
	ck_assert_int_eq(build(context, "from_folder", 1, &error), CLKV_OK);
	ck_assert_int_eq(build(context, "another", 1, &error), CLKV_ERROR_OPENCL);
	ck_assert_str_eq(error.call, "clCreateKernel");
	ck_assert_int_eq(error.cl_code, CL_INVALID_KERNEL_NAME);
	clkv_context_destroy(context);
	remove_folder();
}
END_TEST

/* As the files lie in cl/: append_rows.cl in attend. One in the folder itself comes first. */
START_TEST(test_a_kernel_folder_has_folders)
{
	struct notes notes = {0, 0, ""};
	char path[800], from[1600];
	clkv_error error;
	new_folder();
	path_of(path, sizeof path, "attend");
	ck_assert_int_eq(mkdir(path, 0700), 0);
	write_kernel("kernel void from_its_folder(global int *x) { x[0] = VALUE; }\n");
	path_of(path, sizeof path, FILE_NAME);
	path_of(from, sizeof from, "attend/" FILE_NAME);
	ck_assert_int_eq(rename(path, from), 0);
	clkv_context *context = context_with("", folder, &notes);
	ck_assert_int_eq(build(context, "from_its_folder", 1, &error), CLKV_OK);
	clkv_context_destroy(context);
	write_kernel(GOOD);
	context = context_with("", folder, &notes);
	ck_assert_int_eq(build(context, "from_folder", 1, &error), CLKV_OK);
	clkv_context_destroy(context);
	ck_assert_int_eq(remove(from), 0);
	remove_folder();
}
END_TEST

/* ---------------------------------------------------------------- failures ---- */

START_TEST(test_build_failures_name_file_and_line)
{
	struct notes notes = {0, 0, ""};
	clkv_error error;
	new_folder();
	write_kernel("\n\nkernel void broken(global int *x) { x[0] = nonsense; }\n");
	clkv_context *context = context_with("", folder, &notes);
	for (int again = 0; again < 2; again++) {
		ck_assert_int_eq(build(context, "broken", 1, &error), CLKV_ERROR_BUILD);
		ck_assert_int_eq(error.status, CLKV_ERROR_BUILD);
		ck_assert_int_ne(error.cl_code, CL_SUCCESS);
		ck_assert_str_eq(error.call, "clBuildProgram");
		ck_assert_ptr_nonnull(strstr(error.text, FILE_NAME));
	}
	ck_assert_ptr_nonnull(strstr(notes.error, FILE_NAME));
	ck_assert_ptr_nonnull(strstr(notes.error, "nonsense"));
	write_kernel(GOOD); /* a failure isn't remembered: the next try builds */
	ck_assert_int_eq(build(context, "from_folder", 1, &error), CLKV_OK);
	clkv_context_destroy(context);
	remove_folder();
}
END_TEST

START_TEST(test_macros_with_two_values_are_refused)
{
	clkv__macros m;
	cl_kernel k = NULL;
	clkv_error error;
	clkv__error_clear(&error);
	clkv__macros_init(&m);
	clkv__macros_int(&m, "D", 64);
	clkv__macros_int(&m, "D", 80);
	ck_assert_int_eq(make(fixture.context, FILE_NAME, "x", &m, &k, &error), CLKV_ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(error.text, "macro D "));
	clkv__macros_init(&m);
	char names[CLKV__MAX_MACROS + 1][8];
	for (int i = 0; i < CLKV__MAX_MACROS + 1; i++) {
		snprintf(names[i], sizeof names[i], "M%d", i);
		clkv__macros_int(&m, names[i], i);
	}
	clkv__error_clear(&error);
	ck_assert_int_eq(make(fixture.context, FILE_NAME, "x", &m, &k, &error), CLKV_ERROR_INTERNAL);
	ck_assert_int_eq(make(fixture.context, "no.cl", "x", &m, &k, NULL), CLKV_ERROR_INTERNAL);
	ck_assert_ptr_null(k);
}
END_TEST

START_TEST(test_small_work_groups_are_respected)
{
	clkv_device_info tiny = CLKV_INIT(clkv_device_info);
	struct clkv__tune t;
	const struct clkv__device_hints none = {0};
	tiny.is_gpu = 1;
	tiny.max_work_group = 20;
	ck_assert_int_eq(clkv__tune_choose(&tiny, &none, NULL, &t, NULL), CLKV_OK);
	ck_assert_uint_eq(t.general.lanes, 16);
}
END_TEST

/* ---------------------------------------------------------------- programs on disk ---- */

static char entry_path[1100];

/* The single program in the folder's "cache". */
static void find_entry(const char *cache)
{
	struct dirent *entry;
	DIR *directory = opendir(cache);
	entry_path[0] = '\0';
	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			snprintf(entry_path, sizeof entry_path, "%s/%s", cache, entry->d_name);
	closedir(directory);
	ck_assert_int_ne(entry_path[0], '\0');
}

static void remove_cache(const char *cache)
{
	find_entry(cache);
	remove(entry_path);
	ck_assert_int_eq(rmdir(cache), 0);
}

/* Which call made a program: the first one is made to fail, which a load from disk survives. */
static const char *made_by(const char *cache)
{
	struct notes notes = {0, 0, ""};
	clkv_error error;
	clkv_context *context = context_with(cache, folder, &notes);
	inject_cl_arm(0);
	(void)build(context, "from_folder", 1, &error);
	inject_cl_disarm();
	clkv_context_destroy(context);
	return inject_cl_name();
}

START_TEST(test_a_stored_program_is_used)
{
	char cache[600];
	struct notes notes = {0, 0, ""};
	new_folder();
	write_kernel(GOOD);
	path_of(cache, sizeof cache, "cache");
	ck_assert_str_eq(made_by(cache), "clCreateProgramWithSource");
	build_often(cache, &notes);
	ck_assert_str_eq(made_by(cache), "clCreateProgramWithBinary");
	ck_assert_int_eq(notes.warnings + notes.damaged, 0);
	struct stat s;
	ck_assert_int_eq(stat(cache, &s), 0);
	ck_assert_uint_eq(s.st_mode & 0777, 0700);
	write_kernel(GOOD "// another text\n"); /* is another program */
	ck_assert_str_eq(made_by(cache), "clCreateProgramWithSource");
	remove_cache(cache);
	remove_folder();
}
END_TEST

/* PoCL takes as long to give a binary as to build: no start before the eighth pays for it. */
START_TEST(test_pocl_is_asked_by_the_eighth_build)
{
	char cache[600];
	struct notes notes = {0, 0, ""};
	if (strcmp(fixture.context->info.platform, "Portable Computing Language") != 0)
		return;
	new_folder();
	write_kernel(GOOD);
	path_of(cache, sizeof cache, "cache");
	for (int i = 1; i < CLKV__POCL_BUILDS; i++)
		build_once(cache, &notes);
	ck_assert_str_eq(made_by(cache), "clCreateProgramWithSource");
	build_once(cache, &notes);
	ck_assert_str_eq(made_by(cache), "clCreateProgramWithBinary");
	remove_cache(cache);
	remove_folder();
}
END_TEST

enum { A_PIPE, A_LINK, A_FOLDER, LIES, HUGE_FILE, ENTRIES };

static void plant(int kind)
{
	uint64_t lengths[2] = {UINT64_MAX, UINT64_MAX - 31};
	if (kind == LIES) {
		FILE *f = fopen(entry_path, "r+b");
		ck_assert_ptr_nonnull(f);
		fseek(f, 8, SEEK_SET);
		fwrite(lengths, sizeof lengths, 1, f);
		fclose(f);
		return;
	}
	if (kind == HUGE_FILE) {
		ck_assert_int_eq(truncate(entry_path, (off_t)1 << 40), 0);
		return;
	}
	ck_assert_int_eq(remove(entry_path), 0);
	if (kind == A_PIPE)
		ck_assert_int_eq(mkfifo(entry_path, 0600), 0);
	else if (kind == A_LINK)
		ck_assert_int_eq(symlink("/dev/zero", entry_path), 0);
	else
		ck_assert_int_eq(mkdir(entry_path, 0700), 0);
}

START_TEST(test_hostile_files_are_not_read)
{
	char cache[600];
	struct notes notes = {0, 0, ""};
	new_folder();
	write_kernel(GOOD);
	path_of(cache, sizeof cache, "cache");
	build_often(cache, &notes);
	find_entry(cache);
	plant(_i);
	build_once(cache, &notes);
	if (_i == A_FOLDER) {
		ck_assert_int_eq(notes.warnings, 1);
		ck_assert_int_eq(rmdir(entry_path), 0);
		build_often(cache, &notes);
	}
	ck_assert_str_eq(made_by(cache), "clCreateProgramWithBinary"); /* replaced */
	remove_cache(cache);
	remove_folder();
}
END_TEST

START_TEST(test_a_foreign_folder_is_logged_once)
{
	char kernels[600];
	struct notes notes = {0, 0, ""};
	clkv_error error;
	new_folder();
	write_kernel(GOOD);
	path_of(kernels, sizeof kernels, ".");
	ck_assert_int_eq(chmod(folder, 0777), 0);
	clkv_context *context = context_with(folder, kernels, &notes);
	for (int value = 1; value < 4; value++)
		ck_assert_int_eq(build(context, "from_folder", value, &error), CLKV_OK);
	ck_assert_int_eq(notes.warnings, 1);
	clkv_context_destroy(context);
	remove_folder();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("build");
	TCase *source = fixture_case(suite, "source", 60),
		  *failure = fixture_case(suite, "failure", 60);
	TCase *disk = fixture_case(suite, "disk", 120);
	tcase_add_test(source, test_every_file_is_included_once);
	tcase_add_test(source, test_a_missing_include_is_named);
	tcase_add_test(source, test_a_kernel_folder_replaces_single_files);
	tcase_add_test(source, test_a_kernel_folder_has_folders);
	tcase_add_test(failure, test_build_failures_name_file_and_line);
	tcase_add_test(failure, test_macros_with_two_values_are_refused);
	tcase_add_test(failure, test_small_work_groups_are_respected);
	tcase_add_test(disk, test_a_stored_program_is_used);
	tcase_add_test(disk, test_pocl_is_asked_by_the_eighth_build);
	tcase_add_loop_test(disk, test_hostile_files_are_not_read, 0, ENTRIES);
	tcase_add_test(disk, test_a_foreign_folder_is_logged_once);
	return fixture_run(suite);
}
