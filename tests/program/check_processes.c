/* SPDX-License-Identifier: MIT */
/**
 * \file    check_processes.c
 * \brief   Processes that share a cache folder: at once and cold, and killed in the middle of a write.
 *
 * Only children touch OpenCL, whose platforms may hang in a child of a process that has asked them.
 */
#include "base/user_file.h"
#include "cache/tune_file.h"
#include "program/cache_file.h"
#include "support/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROGRAMS = 6, OPTION_TEXT = 64 };

#define SOURCE "kernel void answer(global int *x) { x[0] = ANSWER; }\n"
#define PART_NAME "0123456789abcdef.bin"

static char folder[64];

static void setup(void)
{
	strcpy(folder, "/tmp/clkv-check-processes-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

/* Files of the folder; of them those that a writer has not renamed, which are made two hours old. */
static size_t count_files(size_t *parts)
{
	const struct timespec old[2] = {{.tv_sec = time(NULL) - 7200}, {.tv_sec = time(NULL) - 7200}};
	DIR *directory = opendir(folder);
	struct dirent *entry;
	size_t n = 0;
	*parts = 0;
	while ((entry = readdir(directory)) != NULL) {
		const char *dot = strrchr(entry->d_name, '.');
		if (entry->d_name[0] == '.')
			continue;
		n++;
		if (strcmp(dot, ".bin") == 0 || strcmp(dot, ".tune") == 0)
			continue;
		++*parts;
		ck_assert_int_eq(utimensat(dirfd(directory), entry->d_name, old, 0), 0);
	}
	closedir(directory);
	return n;
}

static void teardown(void)
{
	char path[400];
	DIR *directory = opendir(folder);
	struct dirent *entry;
	while ((entry = readdir(directory)) != NULL) {
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		(void)unlink(path);
	}
	closedir(directory);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* ---------------------------------------------------------------- in children ---- */

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "child: %s\n", what);
	_exit(1);
}

static clkv_context *open_context(void)
{
	clkv_context *context;
	clkv_error error;
	setenv("CLKV_CACHE_DIR", folder, 1);
	require(fixture_try_open(&context, &error) == CLKV_OK, error.text);
	return context;
}

static cl_program build(const clkv_context *context, const char *options)
{
	const char *source = SOURCE;
	cl_int code;
	cl_program program = clCreateProgramWithSource(context->cl, 1, &source, NULL, &code);
	require(code == CL_SUCCESS &&
	            clBuildProgram(program, 1, &context->device, options, NULL, NULL) == CL_SUCCESS,
	        "it doesn't build");
	return program;
}

/* The program computes what its options say. */
static void check_program(const clkv_context *context, cl_program program, int want)
{
	cl_int code, got = -1;
	const size_t one = 1;
	cl_command_queue queue = fixture_queue_of(context);
	cl_kernel kernel = clCreateKernel(program, "answer", &code);
	cl_mem mem = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, sizeof got, NULL, NULL);
	require(code == CL_SUCCESS && mem, "no kernel");
	require(clSetKernelArg(kernel, 0, sizeof mem, &mem) == CL_SUCCESS &&
	            clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL) ==
	                CL_SUCCESS &&
	            clEnqueueReadBuffer(queue, mem, CL_TRUE, 0, sizeof got, &got, 0, NULL, NULL) ==
	                CL_SUCCESS,
	        "it doesn't run");
	require(got == want, "a program computes what another one should");
	clReleaseMemObject(mem);
	clReleaseKernel(kernel);
	clReleaseCommandQueue(queue);
}

/* As a context does it: from the folder, else built and stored. builds: whether it may be built. */
static void use_programs(bool builds)
{
	clkv_context *context = open_context();
	for (int i = 0; i < PROGRAMS; i++) {
		char options[OPTION_TEXT];
		struct clkv__cache_key key;
		snprintf(options, sizeof options, "-cl-std=CL1.2 -DANSWER=%d", i);
		clkv__cache_key_make(context, SOURCE, options, &key);
		cl_program program = clkv__cache_file_load(context, &key, options);
		require(program || builds, "a program isn't in the folder");
		if (!program) {
			program = build(context, options);
			clkv__cache_file_store(context, &key, program);
		}
		check_program(context, program, i);
		clReleaseProgram(program);
	}
	clkv_context_destroy(context);
}

/* Stores one program and one tuning for ever. */
static void write_for_ever(void)
{
	const struct clkv__tune_entry entry = {
		"half/bt64/dk64/dv64/g3",
		{.lanes = 1, .vec = 8, .queries = 4, .groups = 2, .min_blocks = 1}};
	clkv_context *context = open_context();
	struct clkv__cache_key key;
	cl_program program = build(context, "-cl-std=CL1.2 -DANSWER=0");
	clkv__cache_key_make(context, SOURCE, "-cl-std=CL1.2 -DANSWER=0", &key);
	for (;;) {
		clkv__cache_file_store(context, &key, program);
		require(clkv__tune_file_store(context, &entry, NULL, 0, NULL) == CLKV_OK, "no tuning");
	}
}

/* What is there can be believed, and a tuning can be stored beside it. */
static void read_what_is_there(void)
{
	struct clkv__tune_list list;
	clkv_context *context = open_context();
	require(clkv__tune_file_read(context, &list, NULL) == CLKV_OK, "no list");
	require(list.n <= 1, "entries that nobody stored");
	clkv__tune_list_free(context, &list);
	clkv_context_destroy(context);
	use_programs(true);
}

static bool write_half_and_die(FILE *f, const void *data)
{
	fputs(data, f);
	fflush(f);
	raise(SIGKILL);
	return true;
}

static void die_writing(void)
{
	clkv__user_file_write(folder, PART_NAME, write_half_and_die, "half");
}

/* ---------------------------------------------------------------- in the parent ---- */

/* A child that runs a function; it reads from the pipe first, if there is one: children begin together. */
static pid_t start(void (*run)(void), const int *gate)
{
	char go;
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child > 0)
		return child;
	if (gate) {
		close(gate[1]);
		require(read(gate[0], &go, 1) == 0, "the gate");
	}
	run();
	_exit(0);
}

static void use_or_build(void)
{
	use_programs(true);
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
	(void)s, (void)kind, (void)at;
	return remove(path);
}

/* PoCL's own cache, of this process alone: asked for a binary it reads folders that other processes which compile the same are
 * moving away, and ends in one that is gone (doc/vendors.md). */
static void use_or_build_alone(void)
{
	char own[] = "/tmp/clkv-check-processes-pocl-XXXXXX";
	require(mkdtemp(own) != NULL, "no folder");
	setenv("POCL_CACHE_DIR", own, 1);
	use_programs(true);
	require(nftw(own, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, "the folder stays");
}

static void use_only(void)
{
	use_programs(false);
}

static int end_of(pid_t child)
{
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return status;
}

START_TEST(test_processes_share_a_cold_folder)
{
	int gate[2];
	size_t parts;
	pid_t child[3];
	ck_assert_int_eq(pipe(gate), 0);
	for (int i = 0; i < 3; i++)
		child[i] = start(use_or_build_alone, gate);
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(end_of(child[i]), 0);
	ck_assert_uint_eq(count_files(&parts), PROGRAMS);
	ck_assert_uint_eq(parts, 0);
	ck_assert_int_eq(end_of(start(use_only, NULL)), 0);
}
END_TEST

/* Half a file has no name that anybody reads, and goes with the next write when it's old. */
START_TEST(test_a_writer_killed_in_its_write_leaves_no_file)
{
	size_t parts;
	uint64_t size;
	char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, PART_NAME);
	for (size_t i = 1; i < 4; i++) {
		int status = end_of(start(die_writing, NULL));
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		ck_assert_ptr_null(clkv__user_file_open(path, 100, &size));
		ck_assert_uint_eq(count_files(&parts), 1); /* that of before was old */
		ck_assert_uint_eq(parts, 1);
	}
	ck_assert_int_eq(end_of(start(use_or_build, NULL)), 0);
	ck_assert_uint_eq(count_files(&parts), PROGRAMS);
	ck_assert_uint_eq(parts, 0);
}
END_TEST

/* Killed at any time: what can be read is whole, and what is left over goes. */
START_TEST(test_killed_writers_leave_a_folder_that_works)
{
	size_t parts, n;
	for (int i = 0; i < 8; i++) {
		struct timespec wait = {0, 1000000L + 7000000L * i};
		pid_t child = start(write_for_ever, NULL);
		for (int tries = 0; (n = count_files(&parts)) < 2 && tries < 3000; tries++)
			nanosleep(&(struct timespec){0, 10000000L}, NULL);
		nanosleep(&wait, NULL);
		ck_assert_int_eq(kill(child, SIGKILL), 0);
		int status = end_of(child);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		ck_assert_uint_le(count_files(&parts), 3); /* program, tuning, and what was being written */
	}
	ck_assert_int_eq(end_of(start(read_what_is_there, NULL)), 0);
	ck_assert_uint_eq(count_files(&parts), PROGRAMS + 1);
	ck_assert_uint_eq(parts, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("processes");
	TCase *c = tcase_create("folder");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 300);
	tcase_add_test(c, test_processes_share_a_cold_folder);
	tcase_add_test(c, test_a_writer_killed_in_its_write_leaves_no_file);
	tcase_add_test(c, test_killed_writers_leave_a_folder_that_works);
	suite_add_tcase(suite, c);
	return fixture_run(suite);
}
