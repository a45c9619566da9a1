/* SPDX-License-Identifier: MIT */
/** \file tiny_session.c \brief A model from a file that is gone once it is open, and an engine. */
#include "support/tiny_session.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/tiny_model.h"
#include "text_file.h"

bool tiny_session_open(struct session *s, size_t max_rows)
{
	struct tool_error error = {""};
	clkv_error cause = {0};
	const struct engine_options options = {.max_rows = max_rows};
	struct gguf_build file = tiny_model_build(1);
	char path[] = "/tmp/clkv-check-train-XXXXXX";
	int fd = mkstemp(path);
	*s = (struct session){0};
	ck_assert_int_ge(fd, 0);
	ck_assert(write(fd, file.data, file.size) == (ssize_t)file.size);
	ck_assert_int_eq(close(fd), 0);
	gguf_build_free(&file);
	ck_assert_msg(model_open(path, &s->model, &error), "%s", error.text);
	ck_assert_int_eq(unlink(path), 0);
	clkv_status status = clkv_context_open(NULL, NULL, &s->context, &cause);
	if (status == CLKV_ERROR_NO_DEVICE) {
		printf("SKIPPED: no OpenCL device\n");
		model_close(s->model);
		return false;
	}
	ck_assert_msg(status == CLKV_OK, "%s", cause.text);
	ck_assert_msg(engine_create(s->context, s->model, &options, &s->engine, &error), "%s",
	              error.text);
	return true;
}

void tiny_session_text(const struct session *s, int way, int32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ids[i] = (int32_t)(i * (way == 0 ? 37 : i) % (size_t)s->model->vocabulary);
}

void tiny_session_path(char path[TINY_PATH])
{
	strcpy(path, "/tmp/clkv-check-train-XXXXXX");
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
}

struct given_file tiny_session_take(const char *path)
{
	struct tool_error error = {""};
	struct given_file file = {0};
	ck_assert_msg(text_file_read(path, &file.data, &file.size, &error), "%s", error.text);
	ck_assert_int_eq(unlink(path), 0);
	return file;
}

void tiny_session_expect_taken(struct session *s, const char *recipe)
{
	struct engine_stream stream = {0};
	struct tool_error error = {""};
	ck_assert_msg(session_stream_open(s, recipe, 64, &stream, &error), "%s", error.text);
	session_stream_close(&stream);
}

bool tiny_training_open(struct tiny_training *t)
{
	if (!tiny_session_open(&t->session, TINY_ROWS))
		return false;
	for (int i = 0; i < 2; i++) {
		tiny_session_text(&t->session, i, t->ids[i], TINY_TOKENS);
		t->texts[i] = (struct text_input){t->ids[i], TINY_TOKENS - 30 * (size_t)i};
	}
	tiny_session_path(t->path);
	return true;
}
