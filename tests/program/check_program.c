/* SPDX-License-Identifier: MIT */
/** \file check_program.c \brief Programs kept on disk, through a cache's whole life: damaged ones, unusable folders. */
#include "program/cache_file.h"
#include "support/expect.h"
#include "support/fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECIPE "kivi:bits=4 ; window=20"

/* ---------------------------------------------------------------- programs on disk ---- */

struct notes {
	int lines, damaged;
};

static void note(void *opaque, clkv_log_level level, const char *subsystem, const char *text)
{
	struct notes *n = opaque;
	ck_assert(level >= CLKV_LOG_ERROR && level <= CLKV_LOG_LAUNCH);
	ck_assert_uint_gt(strlen(subsystem), 0);
	n->lines++;
	n->damaged += strstr(text, "damaged") != NULL;
}

/* The decode row of a short sequence, in a context with this folder. */
static void run(const char *folder, struct notes *notes, double *out)
{
	struct feed feed = {.geometry = feed_geometry(1, 2, 1, 64, 64)};
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	static struct stream stream;
	struct feed_result result;
	clkv_context *context = NULL;
	clkv_error error;
	options.cache_dir = folder;
	options.log = note;
	options.log_opaque = notes;
	options.log_level = CLKV_LOG_LAUNCH;
	feed_ok(clkv_context_create(clkv_context_cl(fixture.context),
	                            clkv_context_device(fixture.context), &options, &context, &error),
	        &error, "context");
	feed_open(&feed, context, fixture.queue, RECIPE, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 100, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 1, CLKV_DECODE, 2, &result);
	memcpy(out, result.out, 128 * sizeof *out);
	feed_result_close(&result);
	feed_close(&feed);
	clkv_context_destroy(context);
}

/* Calls damage for every file of a folder; returns how many there are. */
static int each_file(const char *folder, void (*damage)(const char *path, int kind), int kind)
{
	DIR *directory = opendir(folder);
	struct dirent *entry;
	int n = 0;
	while (directory && (entry = readdir(directory)) != NULL) {
		char path[800];
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		if (entry->d_name[0] == '.')
			continue;
		damage(path, kind);
		n++;
	}
	if (directory)
		closedir(directory);
	return n;
}

enum { SHORT, FLIPPED, DAMAGES };

static void damage(const char *path, int kind)
{
	struct stat s;
	unsigned char byte = 0;
	ck_assert_int_eq(stat(path, &s), 0);
	FILE *file = fopen(path, "r+b");
	ck_assert_ptr_nonnull(file);
	if (kind == FLIPPED) {
		fseek(file, s.st_size * 2 / 3, SEEK_SET);
		ck_assert_uint_eq(fread(&byte, 1, 1, file), 1);
		byte ^= 0x10;
		fseek(file, s.st_size * 2 / 3, SEEK_SET);
		fwrite(&byte, 1, 1, file);
	}
	fclose(file);
	if (kind == SHORT)
		ck_assert_int_eq(truncate(path, s.st_size - 100), 0);
}

static void remove_file(const char *path, int kind)
{
	(void)kind;
	remove(path);
}

static void new_folder(char *folder, size_t n)
{
	snprintf(folder, n, "%s/check_program.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

START_TEST(test_damaged_programs_are_replaced)
{
	char folder[500];
	double first[128], second[128], third[128];
	struct notes notes = {0, 0};
	new_folder(folder, sizeof folder);
	for (int i = 0; i < CLKV__POCL_BUILDS; i++) /* until some drivers' programs are stored */
		run(folder, &notes, first);
	ck_assert_int_gt(notes.lines, 0);
	ck_assert_int_eq(notes.damaged, 0);
	int files = each_file(folder, damage, _i);
	ck_assert_int_gt(files, 0);
	run(folder, &notes, second);
	ck_assert_int_eq(notes.damaged, files);
	run(folder, &notes, third);
	ck_assert_int_eq(notes.damaged, files);
	ck_assert_int_eq(memcmp(first, second, sizeof first), 0);
	ck_assert_int_eq(memcmp(first, third, sizeof first), 0);
	ck_assert_int_eq(each_file(folder, remove_file, 0), files);
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* A folder that can't be used costs time and nothing else: a file, a full or foreign one, none. */
START_TEST(test_folders_that_cannot_be_used)
{
	char folder[500];
	double want[128], got[128];
	struct notes notes = {0, 0};
	new_folder(folder, sizeof folder);
	run("", &notes, want);
	run("/dev/null/clkv", &notes, got);
	ck_assert_int_eq(memcmp(want, got, sizeof got), 0);
	run("/proc/clkv", &notes, got);
	ck_assert_int_eq(memcmp(want, got, sizeof got), 0);
	ck_assert_int_eq(chmod(folder, 0777), 0);
	run(folder, &notes, got);
	ck_assert_int_eq(memcmp(want, got, sizeof got), 0);
	ck_assert_int_eq(each_file(folder, remove_file, 0), 0);
	ck_assert_int_eq(chmod(folder, 0500), 0);
	run(folder, &notes, got);
	ck_assert_int_eq(memcmp(want, got, sizeof got), 0);
	chmod(folder, 0700);
	each_file(folder, remove_file, 0);
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("program");
	TCase *disk = fixture_case(suite, "disk", 120);
	tcase_add_loop_test(disk, test_damaged_programs_are_replaced, 0, DAMAGES);
	tcase_add_test(disk, test_folders_that_cannot_be_used);
	return fixture_run(suite);
}
