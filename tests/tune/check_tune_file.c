/* SPDX-License-Identifier: MIT */
/**
 * \file    check_tune_file.c
 * \brief   The tuning file: what counts before what, and that nothing odd in a file is believed.
 */
#include "base/hash.h"
#include "cache/tune_file.h"
#include "device/context.h"
#include "support/feed.h"
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

#define RECIPE "kivi:bits=4"
#define TUNING "lanes=1,vec=4,queries=5,groups=6,min_blocks=7"
#define OTHER "lanes=1,vec=2,queries=50,groups=60,min_blocks=17"

static char folder[400], path[600];
static int heard; /* words of the log about tunings */

static void hear(void *opaque, clkv_log_level level, const char *subsystem, const char *text)
{
	(void)opaque;
	(void)text;
	ck_assert_int_le(level, CLKV_LOG_CONTEXT);
	heard += strcmp(subsystem, "tune") == 0;
}

static clkv_context *open_with(const char *kernels)
{
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	clkv_context *context = NULL;
	clkv_error error;
	options.cache_dir = folder;
	options.kernel_dir = kernels;
	options.allocator = inject_allocator();
	options.log = hear;
	clkv_status status =
		clkv_context_create(clkv_context_cl(fixture.context), clkv_context_device(fixture.context),
	                        &options, &context, &error);
	ck_assert_msg(status == CLKV_OK, "%s", error.text);
	return context;
}

/* "lanes=... (source)" that a cache would take. */
static const char *taken(const clkv_context *context, const char *recipe)
{
	static char text[256];
	clkv_geometry g = feed_usual(1);
	clkv_error error;
	feed_ok(clkv_tuning_get(context, &g, recipe, text, sizeof text, &error), &error, recipe);
	return text;
}

static clkv_status store_as(const clkv_context *context, const char *recipe, const char *tuning,
                            clkv_error *error)
{
	clkv_geometry g = feed_usual(1);
	return clkv_tuning_store(context, &g, recipe, tuning, path, sizeof path, error);
}

static void store(const char *recipe, const char *tuning)
{
	clkv_error error;
	clkv_context *context = open_with("");
	feed_ok(store_as(context, recipe, tuning, &error), &error, "store");
	clkv_context_destroy(context);
}

static void new_folder(void)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(folder, sizeof folder, "%s/check_tune.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	unsetenv("CLKV_TUNE");
}

static void remove_folder(void)
{
	(void)remove(path);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* Whether a new context takes the file's entry; what isn't believed is logged. */
static bool believed(void)
{
	uint64_t before = inject_host_bytes();
	heard = 0;
	clkv_context *context = open_with("");
	bool file = strstr(taken(context, RECIPE), "tuning file") != NULL;
	ck_assert(file || context->tune.list.n == 0);
	ck_assert_int_eq(heard, !file);
	clkv_context_destroy(context);
	ck_assert_uint_eq(inject_host_bytes(), before);
	return file;
}

/* ---------------------------------------------------------------- precedence ---- */

START_TEST(test_which_tuning_counts)
{
	new_folder();
	clkv_context *old = open_with("");
	ck_assert_ptr_nonnull(strstr(taken(old, RECIPE), "(family "));
	store(RECIPE, TUNING);
	store(RECIPE " ; window=40,sinks=3", OTHER); /* the same codec and shape */
	store("f16", TUNING);
	ck_assert_ptr_nonnull(strstr(taken(old, RECIPE), "(family ")); /* as it was opened */
	clkv_context_destroy(old);
	clkv_context *context = open_with("");
	ck_assert_str_eq(taken(context, RECIPE), OTHER " (tuning file)");
	ck_assert_str_eq(taken(context, "f16"), TUNING " (tuning file)");
	ck_assert_ptr_nonnull(strstr(taken(context, "kivi:bits=2"), "(family "));
	ck_assert_uint_eq(context->tune.list.n, 2);
	clkv_context_destroy(context);
	setenv("CLKV_TUNE", "lanes=2,vec=2,groups=9", 1);
	context = open_with("");
	ck_assert_ptr_eq(strstr(taken(context, RECIPE), "lanes=2,vec=2,"), taken(context, RECIPE));
	ck_assert_ptr_nonnull(strstr(taken(context, RECIPE), ",groups=9,"));
	ck_assert_ptr_nonnull(strstr(taken(context, RECIPE), " (CLKV_TUNE)"));
	clkv_context_destroy(context);
	setenv("CLKV_TUNE", "", 1);
	ck_assert(believed());
	unsetenv("CLKV_TUNE");
	remove_folder();
}
END_TEST

/* A cache says what it took, and cuts by it. */
START_TEST(test_a_cache_takes_the_entry)
{
	struct feed feed = {.geometry = feed_usual(1)};
	char text[256];
	new_folder();
	store(RECIPE, TUNING);
	clkv_context *context = open_with("");
	cl_command_queue queue = fixture_queue_of(context);
	feed_open(&feed, context, queue, RECIPE, NULL);
	ck_assert_int_eq(clkv_cache_tuning(feed.cache, text, sizeof text, NULL), CLKV_OK);
	ck_assert_str_eq(text, TUNING " (tuning file)");
	ck_assert_int_eq(clkv_cache_tuning(feed.cache, text, strlen(text), NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_cache_tuning(NULL, text, sizeof text, NULL), CLKV_ERROR_INVALID_ARGUMENT);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
	char command[500];
	snprintf(command, sizeof command, "rm -r '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(test_wrong_stores_are_refused)
{
	static const char *const wrong[] = {"", "lanes=1,vec=4", "lanes=1,vec=4,queries=5,groups=6",
	                                    TUNING ",",
	                                    "lanes=512,vec=1,queries=1,groups=1,min_blocks=1"};
	clkv_error error;
	new_folder();
	path[0] = '\0';
	clkv_context *context = open_with("");
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		ck_assert_int_eq(store_as(context, RECIPE, wrong[i], &error), CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_ptr_nonnull(strstr(error.text, "min_blocks=B"));
	}
	ck_assert_int_eq(store_as(context, RECIPE, NULL, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(store_as(context, "no", TUNING, &error), CLKV_ERROR_INVALID_RECIPE);
	ck_assert_int_eq(chmod(folder, 0777), 0);
	ck_assert_int_eq(store_as(context, RECIPE, TUNING, &error), CLKV_ERROR_IO);
	ck_assert_ptr_nonnull(strstr(error.text, folder));
	ck_assert_int_eq(chmod(folder, 0700), 0);
	clkv_context_destroy(context);
	store(RECIPE, TUNING);
	context = open_with("/nowhere"); /* its kernels may be anything */
	ck_assert_int_eq(store_as(context, RECIPE, TUNING, &error), CLKV_ERROR_IO);
	ck_assert_ptr_nonnull(strstr(taken(context, RECIPE), "(family "));
	clkv_context_destroy(context);
	remove_folder();
}
END_TEST

/* ---------------------------------------------------------------- hostile files ---- */

static char data[1 << 17];
static size_t size;

static void read_file(void)
{
	FILE *f = fopen(path, "rb");
	ck_assert_ptr_nonnull(f);
	size = fread(data, 1, sizeof data - 1, f);
	data[size] = '\0';
	fclose(f);
}

static void write_file(const void *bytes, size_t n)
{
	FILE *f = fopen(path, "wb");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
	ck_assert_int_eq(fclose(f), 0);
}

/* data with a checksum that is right. */
static void write_signed(void)
{
	char *end = strstr(data, "\nend ");
	ck_assert_ptr_nonnull(end);
	unsigned long long hash = clkv__hash(CLKV__HASH_START, data, (size_t)(end + 1 - data));
	snprintf(end + 1, 32, "end %016llx\n", hash);
	write_file(data, strlen(data));
}

/* Puts text in place of the first `what`, which must be there. */
static void replace(const char *what, const char *text)
{
	static char rest[sizeof data];
	char *at = strstr(data, what);
	ck_assert_msg(at != NULL, "no '%s' in '%s'", what, data);
	strcpy(rest, at + strlen(what));
	strcpy(at, text);
	strcat(at, rest);
}

static void begin(void)
{
	new_folder();
	store(RECIPE, TUNING);
	read_file();
	ck_assert(believed());
}

START_TEST(test_damage_is_noticed)
{
	begin();
	for (size_t n = 0; n < size; n++) {
		write_file(data, n);
		ck_assert_msg(!believed(), "the first %zu of %zu bytes were believed", n, size);
	}
	for (size_t i = 0; i < 8 * size; i += i < 8 * size - 8 * 64 ? 5 : 1) {
		data[i / 8] ^= (char)(1 << i % 8);
		write_file(data, size);
		ck_assert_msg(!believed(), "bit %zu of byte %zu", i % 8, i / 8);
		data[i / 8] ^= (char)(1 << i % 8);
	}
	write_file(data, size + 1); /* a NUL behind it */
	ck_assert(!believed());
	write_signed();
	ck_assert(believed());
	remove_folder();
}
END_TEST

/* Each with a checksum that agrees, and each replaced by the next store. */
static const struct {
	const char *what, *text;
} lies[] = {
	{"clkv tuning 1", "clkv tuning 2"},
	{"\ndevice ", "\ndevice another "},
	{"\nkernels ", "\nkernels 0"},
	{"lanes=1", "lanes=3"},
	{"lanes=1", "lanes=512"},
	{"vec=4", "vec=32"},
	{"vec=4", "vec=0"},
	{"queries=5", "queries=65"},
	{"groups=6", "groups=-6"},
	{"min_blocks=7", "min_blocks=70"},
	{"min_blocks=7", "min_blocks=7 "},
	{"min_blocks=7", "min_blocks=7,min_blocks=7"},
	{",min_blocks=7", ""},
	{" lanes=1", "lanes=1"},
	{" lanes=1", "  lanes=1"},
	{"affine:", "aff*ne:"},
	{"affine:",
     "01234567890123456789012345678901234567890123456789012345678901234567890123456789:"},
	{"\nend ", "\n\nend "},
	{"\nend ", "\nhalf/bt64/dk64/dv64/g3 " TUNING "\nhalf/bt64/dk64/dv64/g3 " OTHER "\nend "},
};

START_TEST(test_lies_are_not_believed)
{
	begin();
	replace(lies[_i].what, lies[_i].text);
	write_signed();
	ck_assert(!believed());
	store(RECIPE, OTHER);
	ck_assert(believed());
	remove_folder();
}
END_TEST

/* The last letter of a line of the head is another, and the checksum agrees. */
START_TEST(test_other_drivers_and_kernels_are_not_believed)
{
	begin();
	char *end = strchr(strstr(data, _i ? "\nkernels " : "\ndevice ") + 1, '\n');
	end[-1] = end[-1] == '0' ? '1' : '0';
	write_signed();
	ck_assert(!believed());
	store(RECIPE, OTHER);
	ck_assert(believed());
	remove_folder();
}
END_TEST

/* As many entries as there may be, one more, and a file without an end. */
START_TEST(test_long_files_are_not_believed)
{
	char line[200];
	begin();
	for (int i = 1; i < CLKV__TUNE_ENTRIES; i++) {
		snprintf(line, sizeof line, "\nkey%d " TUNING "\nend ", i);
		replace("\nend ", line);
	}
	write_signed();
	ck_assert(believed());
	store("f16", OTHER); /* the oldest goes */
	heard = 0;
	clkv_context *context = open_with("");
	ck_assert_ptr_nonnull(strstr(taken(context, RECIPE), "(family "));
	ck_assert_str_eq(taken(context, "f16"), OTHER " (tuning file)");
	ck_assert_uint_eq(context->tune.list.n, CLKV__TUNE_ENTRIES);
	ck_assert_int_eq(heard, 0);
	clkv_context_destroy(context);
	replace("\nend ", "\nkeyX " TUNING "\nend ");
	write_signed();
	ck_assert(!believed());
	ck_assert_int_eq(truncate(path, (off_t)1 << 40), 0);
	ck_assert(!believed());
	store(RECIPE, TUNING);
	ck_assert(believed());
	remove_folder();
}
END_TEST

enum { A_PIPE, A_LINK, A_FOLDER, OPEN_FOLDER, ODDITIES };

START_TEST(test_odd_files_are_not_read)
{
	begin();
	if (_i == OPEN_FOLDER) {
		ck_assert_int_eq(chmod(folder, 0770), 0);
		clkv_context *context = open_with("");
		ck_assert_ptr_nonnull(strstr(taken(context, RECIPE), "(family "));
		clkv_context_destroy(context);
		ck_assert_int_eq(chmod(folder, 0700), 0);
		remove_folder();
		return;
	}
	ck_assert_int_eq(remove(path), 0);
	if (_i == A_PIPE)
		ck_assert_int_eq(mkfifo(path, 0600), 0);
	else if (_i == A_LINK)
		ck_assert_int_eq(symlink("/dev/zero", path), 0);
	else
		ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert(!believed()); /* and waits for nobody */
	if (_i == A_FOLDER)
		ck_assert_int_eq(rmdir(path), 0);
	store(RECIPE, TUNING);
	ck_assert(believed());
	remove_folder();
}
END_TEST

/* Nothing is lost, and nothing left, when a store fails. */
START_TEST(test_a_store_fails_cleanly)
{
	struct rlimit before, small;
	clkv_error error;
	begin();
	clkv_context *context = open_with("");
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = size / 2;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	clkv_status status = store_as(context, RECIPE, OTHER, &error);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, handler);
	ck_assert_int_eq(status, CLKV_ERROR_IO);
	for (int n = 0; n < 3; n++) {
		uint64_t held = inject_host_bytes();
		inject_alloc_arm(n);
		status = store_as(context, RECIPE, OTHER, &error);
		ck_assert_int_eq(status, inject_alloc_disarm() ? CLKV_ERROR_NO_HOST_MEMORY : CLKV_OK);
		ck_assert_uint_eq(inject_host_bytes(), held);
		if (status != CLKV_OK)
			ck_assert(believed());
	}
	clkv_context_destroy(context);
	remove_folder(); /* fails if a temporary file is there */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tune file");
	TCase *use = fixture_case(suite, "use", 60), *file = fixture_case(suite, "file", 120);
	tcase_add_test(use, test_which_tuning_counts);
	tcase_add_test(use, test_a_cache_takes_the_entry);
	tcase_add_test(use, test_wrong_stores_are_refused);
	tcase_add_test(file, test_damage_is_noticed);
	tcase_add_loop_test(file, test_lies_are_not_believed, 0, (int)(sizeof lies / sizeof lies[0]));
	tcase_add_loop_test(file, test_other_drivers_and_kernels_are_not_believed, 0, 2);
	tcase_add_test(file, test_long_files_are_not_believed);
	tcase_add_loop_test(file, test_odd_files_are_not_read, 0, ODDITIES);
	tcase_add_test(file, test_a_store_fails_cleanly);
	return fixture_run(suite);
}
