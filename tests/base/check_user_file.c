/* SPDX-License-Identifier: MIT */
/** \file check_user_file.c \brief Files of the user's: whose they must be, and what killed writers leave. */
#include "base/user_file.h"
#include "support/suite.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME "0123456789abcdef.bin"

static char folder[64], path[128];

static void write_file(const char *at, mode_t mode)
{
	FILE *f = fopen(at, "wb");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fputs("text", f) < 0, 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(at, mode), 0);
}

static void setup(void)
{
	strcpy(folder, "/tmp/clkv-check-user-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/%s", folder, NAME);
}

static void teardown(void)
{
	char at[400];
	DIR *directory = opendir(folder);
	struct dirent *entry;
	while ((entry = readdir(directory)) != NULL) {
		snprintf(at, sizeof at, "%s/%s", folder, entry->d_name);
		(void)unlink(at);
	}
	closedir(directory);
	ck_assert_int_eq(rmdir(folder), 0);
}

static bool opens(void)
{
	uint64_t size = 0;
	FILE *f = clkv__user_file_open(path, 100, &size);
	if (!f)
		return false;
	ck_assert_uint_eq(size, 4);
	fclose(f);
	return true;
}

START_TEST(test_only_files_that_nobody_else_can_write_are_opened)
{
	static const struct {
		mode_t mode;
		bool ours;
	} modes[] = {{0600, true},  {0644, true},  {0400, true},  {0620, false},
	             {0602, false}, {0666, false}, {0664, false}, {0640, true}};
	write_file(path, modes[_i].mode);
	ck_assert_int_eq(opens(), modes[_i].ours);
}
END_TEST

/* Whoever owns it could write it at any time. */
START_TEST(test_files_of_others_are_not_opened)
{
	write_file(path, 0644);
	ck_assert(opens());
	if (chown(path, 12345, (gid_t)-1) != 0)
		return; /* only root can give files away */
	ck_assert(!opens());
	ck_assert_int_eq(chown(path, geteuid(), (gid_t)-1), 0);
	ck_assert(opens());
}
END_TEST

START_TEST(test_links_and_pipes_are_not_opened)
{
	char other[140];
	snprintf(other, sizeof other, "%s.x", path);
	write_file(other, 0600);
	ck_assert_int_eq(symlink(other, path), 0);
	ck_assert(!opens());
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert(!opens());
}
END_TEST

static bool fill(FILE *f, const void *data)
{
	return fputs(data, f) >= 0;
}

static bool exists(const char *name)
{
	char at[400];
	struct stat s;
	snprintf(at, sizeof at, "%s/%s", folder, name);
	return lstat(at, &s) == 0;
}

/* A file that isn't ours alone is replaced by one that is. */
START_TEST(test_writing_replaces_what_cannot_be_trusted)
{
	write_file(path, 0666);
	ck_assert(!opens());
	ck_assert(clkv__user_file_write(folder, NAME, fill, "1234"));
	ck_assert(opens());
}
END_TEST

/* Of files with a writer's names those that are old go; young ones may have a writer, others are none of ours. */
START_TEST(test_what_killed_writers_leave_goes_with_a_write)
{
	static const struct {
		const char *name;
		bool old, stays;
	} files[] = {
		{NAME ".aB3xYz", true, false},
		{NAME ".aB3xYy", false, true},
		{"fedcba9876543210.tune.abcdef", true, false},
		{"fedcba9876543210.bin", true, true},
		{"fedcba9876543210.tune", true, true},
		{"notes.abcdef", true, true},
		{"abcdef", true, true},
		{"x.bin.abcdefg", true, true},
	};
	const struct timespec hours_ago[2] = {{.tv_sec = time(NULL) - 7200},
	                                      {.tv_sec = time(NULL) - 7200}};
	char at[400];
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(at, sizeof at, "%s/%s", folder, files[i].name);
		write_file(at, 0600);
		if (files[i].old)
			ck_assert_int_eq(utimensat(AT_FDCWD, at, hours_ago, 0), 0);
	}
	ck_assert(clkv__user_file_write(folder, NAME, fill, "1234"));
	ck_assert(opens());
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		ck_assert_msg(exists(files[i].name) == files[i].stays, "%s %s", files[i].name,
		              files[i].stays ? "is gone" : "is there");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("user_file");
	TCase *c = tcase_create("files");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, test_only_files_that_nobody_else_can_write_are_opened, 0, 8);
	tcase_add_test(c, test_files_of_others_are_not_opened);
	tcase_add_test(c, test_links_and_pipes_are_not_opened);
	tcase_add_test(c, test_writing_replaces_what_cannot_be_trusted);
	tcase_add_test(c, test_what_killed_writers_leave_goes_with_a_write);
	suite_add_tcase(suite, c);
	return run_suite(suite);
}
