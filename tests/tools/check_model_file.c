/* SPDX-License-Identifier: MIT */
/** \file check_model_file.c \brief Models in several files, and what a file says of windows. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "support/suite.h"
#include "support/tiny_model.h"

/* ---------------------------------------------------------------- parts ---- */

enum { PARTS = 3 };

static char folder[64];

static void make_folder(void)
{
	strcpy(folder, "/tmp/clkv-check-parts-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void part_path(char path[128], const char *name, int i)
{
	ck_assert_int_lt(snprintf(path, 128, "%s/%s-%05d-of-%05d.gguf", folder, name, i + 1, PARTS),
	                 128);
}

static void write_file(const char *path, const struct gguf_build *b)
{
	FILE *file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(b->data, b->size, 1, file), 1);
	ck_assert_int_eq(fclose(file), 0);
}

/* Part i with one tensor t<i> of four floats, its first byte i; the architecture stands in the first. */
static void write_part(const char *name, int i, uint32_t no, uint32_t announced)
{
	struct gguf_build b = {NULL, 0, 0};
	const uint64_t dims[] = {4};
	char path[128], tensor[8];
	gguf_build_header(&b, 3, 1, i == 0 ? 4 : 3);
	gguf_build_number(&b, "split.no", no);
	gguf_build_number(&b, "split.count", PARTS);
	gguf_build_number(&b, "split.tensors.count", announced);
	if (i == 0)
		gguf_build_text(&b, "general.architecture", "llama");
	(void)snprintf(tensor, sizeof tensor, "t%d", i);
	gguf_build_tensor(&b, tensor, 1, dims, 0, 0);
	gguf_build_data(&b, 32, 16);
	b.data[b.size - 16] = (unsigned char)i;
	part_path(path, name, i);
	write_file(path, &b);
	gguf_build_free(&b);
}

static void write_parts(const char *name)
{
	for (int i = 0; i < PARTS; i++)
		write_part(name, i, (uint32_t)i, PARTS);
}

static void refused(const char *path, const char *word)
{
	struct gguf *gguf = NULL;
	struct tool_error error = {""};
	ck_assert_msg(!gguf_open(path, &gguf, &error), "%s was opened", path);
	ck_assert_msg(strstr(error.text, word) != NULL, "'%s' isn't in: %s", word, error.text);
}

static void setup(void)
{
	make_folder();
	write_parts("m");
}

static void teardown(void)
{
	char path[128];
	for (int i = 0; i < PARTS; i++) {
		part_path(path, "m", i);
		(void)unlink(path);
	}
	ck_assert_int_eq(rmdir(folder), 0);
}

/* Whichever part is named, tensors of all parts are there, and the first one's values. */
START_TEST(test_all_parts_are_read)
{
	struct gguf *gguf;
	struct gguf_string architecture;
	struct tool_error error = {""};
	char path[128], name[8];
	part_path(path, "m", _i);
	ck_assert_msg(gguf_open(path, &gguf, &error), "%s", error.text);
	ck_assert_uint_eq(gguf_n_tensors(gguf), PARTS);
	for (int i = 0; i < PARTS; i++) {
		(void)snprintf(name, sizeof name, "t%d", i);
		const struct gguf_tensor *t = gguf_find_tensor(gguf, name);
		ck_assert_ptr_nonnull(t);
		ck_assert_uint_eq(t->size_bytes, 16);
		ck_assert_int_eq(t->data[0], i);
	}
	ck_assert_ptr_null(gguf_find_tensor(gguf, "t3"));
	ck_assert(gguf_get_string(gguf, "general.architecture", &architecture));
	ck_assert(gguf_string_is(architecture, "llama"));
	gguf_close(gguf);
}
END_TEST

START_TEST(test_a_missing_part_is_named)
{
	char path[128], missing[128];
	part_path(path, "m", 0);
	part_path(missing, "m", 1);
	ck_assert_int_eq(unlink(missing), 0);
	refused(path, "m-00002-of-00003.gguf");
	part_path(missing, "m", 0);
	part_path(path, "m", 2);
	ck_assert_int_eq(unlink(missing), 0);
	refused(path, "m-00001-of-00003.gguf");
}
END_TEST

START_TEST(test_parts_that_contradict_each_other_are_refused)
{
	char path[128];
	part_path(path, "m", 0);
	write_part("m", 1, 2, PARTS);
	refused(path, "says that it's part 3 of 3, but part 2 of 3 is needed");
	write_part("m", 1, 7, PARTS);
	refused(path, "split.no");
	write_part("m", 1, 1, PARTS);
	write_part("m", 0, 0, PARTS + 1);
	refused(path, "4 are announced");
}
END_TEST

START_TEST(test_a_part_with_another_name_is_refused)
{
	char path[128], other[128];
	part_path(path, "m", 0);
	(void)snprintf(other, sizeof other, "%s/other.gguf", folder);
	ck_assert_int_eq(rename(path, other), 0);
	refused(other, "isn't named NAME-00001-of-00003.gguf");
	ck_assert_int_eq(unlink(other), 0);
}
END_TEST

/* Room for them isn't enough: looking names up one by one would take for ever. */
START_TEST(test_more_tensors_than_any_model_has_are_refused)
{
	struct gguf *gguf;
	struct tool_error error = {""};
	struct gguf_build b = {NULL, 0, 0};
	gguf_build_header(&b, 3, _i == 0 ? 65537 : 0, _i == 0 ? 0 : 65537);
	gguf_build_data(&b, 1, 65537 * 32);
	ck_assert(!gguf_open_memory(b.data, b.size, &gguf, &error));
	ck_assert_msg(strstr(error.text, "at most 65536") != NULL, "%s", error.text);
	gguf_build_free(&b);
}
END_TEST

/* A file's words are shown, but don't command the terminal. */
START_TEST(test_errors_show_no_control_characters)
{
	struct tool_error error = {""};
	struct model *model;
	struct gguf *gguf;
	struct gguf_build b = {NULL, 0, 0};
	gguf_build_header(&b, 3, 0, 1);
	gguf_build_text(&b, "general.architecture", "a\x1b[2Jb\n");
	ck_assert(gguf_open_memory(b.data, b.size, &gguf, &error));
	ck_assert(!model_read(gguf, "memory", &model, &error));
	ck_assert_msg(strstr(error.text, "'a?[2Jb?") != NULL, "%s", error.text);
	gguf_build_free(&b);
}
END_TEST

/* ---------------------------------------------------------------- windows ---- */

static bool read_model(const struct gguf_build *b, struct model **model, struct tool_error *error)
{
	struct gguf *gguf;
	error->text[0] = '\0';
	ck_assert_msg(gguf_open_memory(b->data, b->size, &gguf, error), "%s", error->text);
	return model_read(gguf, "memory", model, error);
}

/* The cache attends to as many tokens as the file says, in all layers. */
START_TEST(test_a_sliding_window_is_the_geometry_s)
{
	static const uint32_t windows[] = {0, 1, 7, 4096};
	struct tool_error error;
	struct model *model;
	struct gguf_build b = tiny_model_build_windowed(1, windows[_i]);
	ck_assert_msg(read_model(&b, &model, &error), "%s", error.text);
	clkv_geometry g = engine_geometry(model);
	ck_assert_int_eq(model->window, (int)windows[_i]);
	ck_assert(windows[_i] > 0 ? g.window != NULL : g.window == NULL);
	for (int i = 0; g.window && i < g.layers; i++)
		ck_assert_int_eq(g.window[i], (int)windows[_i]);
	model_close(model);
	gguf_build_free(&b);
}
END_TEST

/* The key's number, which stands behind its name and type, becomes another. */
START_TEST(test_an_impossible_window_is_refused)
{
	static const char key[] = "llama.attention.sliding_window";
	struct tool_error error;
	struct model *model;
	struct gguf_build b = tiny_model_build_windowed(1, 7);
	unsigned char *at = memmem(b.data, b.size, key, strlen(key));
	ck_assert_ptr_nonnull(at);
	at += strlen(key) + 4;
	ck_assert_uint_eq(*at, 7);
	*at = 0; /* none */
	ck_assert(read_model(&b, &model, &error));
	ck_assert_int_eq(model->window, 0);
	model_close(model);
	memset(at, 0xff, 4);
	ck_assert(!read_model(&b, &model, &error));
	ck_assert_ptr_nonnull(strstr(error.text, key));
	gguf_build_free(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("model_file");
	TCase *parts = tcase_create("parts"), *one = tcase_create("one");
	tcase_add_checked_fixture(parts, setup, teardown);
	tcase_add_loop_test(parts, test_all_parts_are_read, 0, PARTS);
	tcase_add_test(parts, test_a_missing_part_is_named);
	tcase_add_test(parts, test_parts_that_contradict_each_other_are_refused);
	tcase_add_test(parts, test_a_part_with_another_name_is_refused);
	tcase_add_test(one, test_errors_show_no_control_characters);
	tcase_add_loop_test(one, test_more_tensors_than_any_model_has_are_refused, 0, 2);
	tcase_add_loop_test(one, test_a_sliding_window_is_the_geometry_s, 0, 4);
	tcase_add_test(one, test_an_impossible_window_is_refused);
	suite_add_tcase(suite, parts);
	suite_add_tcase(suite, one);
	return run_suite(suite);
}
