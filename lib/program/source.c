/* SPDX-License-Identifier: MIT */
/** \file source.c \brief Puts a program's text together from kernel files and headers. */
#include "program/source.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_INCLUDES = 64, MAX_LINE = 4096 };

struct text {
	clkv_context *context;
	char *data;
	size_t length, room;
	const char *included[MAX_INCLUDES]; /* names from the embedded table */
	size_t n_included;
};

static clkv_status append(struct text *t, const char *line, clkv_error *error)
{
	size_t n = strlen(line);
	if (t->length + n + 1 > t->room) {
		size_t room = 2 * (t->length + n + 1) + 16384;
		char *data = clkv__calloc(&t->context->allocator, room, 1);
		if (!data)
			CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for kernel sources");
		if (t->length > 0)
			memcpy(data, t->data, t->length);
		clkv__free(&t->context->allocator, t->data);
		t->data = data;
		t->room = room;
	}
	memcpy(t->data + t->length, line, n + 1);
	t->length += n;
	return CLKV_OK;
}

static const struct clkv__cl_file *find(const char *name, size_t length)
{
	for (const struct clkv__cl_file *f = clkv__cl_files; f->name; f++)
		if (strlen(f->name) == length && memcmp(f->name, name, length) == 0)
			return f;
	return NULL;
}

/* The name in `#include "name"`, or NULL. */
static const char *include_name(const char *line, size_t *length)
{
	while (*line == ' ' || *line == '\t')
		line++;
	if (strncmp(line, "#include \"", 10) != 0)
		return NULL;
	*length = strcspn(line + 10, "\"");
	return line + 10;
}

static clkv_status add_file(struct text *t, const struct clkv__cl_file *file, clkv_error *error);

static clkv_status add_line(struct text *t, const struct clkv__cl_file *file, const char *line,
                            int number, clkv_error *error)
{
	size_t length;
	const char *name = include_name(line, &length);
	if (!name)
		return append(t, line, error);
	const struct clkv__cl_file *header = find(name, length);
	if (!header)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "%s:%d includes '%.*s', which is not there",
		          file->name, number, (int)length, name);
	CLKV_TRY(add_file(t, header, error));
	char back[MAX_LINE];
	snprintf(back, sizeof back, "#line %d \"%s\"\n", number + 1, file->name);
	return append(t, back, error);
}

static clkv_status add_from_folder(struct text *t, const struct clkv__cl_file *file, FILE *f,
                                   clkv_error *error)
{
	char line[MAX_LINE];
	clkv_status status = CLKV_OK;
	for (int number = 1; status == CLKV_OK && fgets(line, sizeof line, f); number++)
		status = add_line(t, file, line, number, error);
	if (status == CLKV_OK && ferror(f))
		status = clkv__error_set(error, CLKV_ERROR_IO, "%s can't be read from the kernel folder",
		                         file->name);
	if (status == CLKV_OK && t->data[t->length - 1] != '\n')
		status = append(t, "\n", error); /* a directive may follow */
	return status;
}

/* The file that replaces an embedded one: it lies in the kernel folder, or as in cl/ in a folder of that. NULL: none. */
static FILE *open_replacement(const clkv_context *context, const struct clkv__cl_file *file)
{
	char path[MAX_LINE];
	FILE *f = NULL;
	if (!context->kernel_dir)
		return NULL;
	snprintf(path, sizeof path, "%s/%s", context->kernel_dir, file->name);
	f = fopen(path, "r");
	if (f)
		return f;
	snprintf(path, sizeof path, "%s/%s/%s", context->kernel_dir, file->folder, file->name);
	return fopen(path, "r");
}

static clkv_status add_file(struct text *t, const struct clkv__cl_file *file, clkv_error *error)
{
	char line[MAX_LINE];
	for (size_t i = 0; i < t->n_included; i++)
		if (t->included[i] == file->name)
			return CLKV_OK;
	if (t->n_included == MAX_INCLUDES)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "more than %d kernel files in one program",
		          MAX_INCLUDES);
	t->included[t->n_included++] = file->name;
	snprintf(line, sizeof line, "#line 1 \"%s\"\n", file->name);
	CLKV_TRY(append(t, line, error));
	FILE *f = open_replacement(t->context, file);
	if (f) {
		clkv_status status = add_from_folder(t, file, f, error);
		fclose(f);
		return status;
	}
	for (int i = 0; file->lines[i]; i++)
		CLKV_TRY(add_line(t, file, file->lines[i], i + 1, error));
	return CLKV_OK;
}

/* What numbers work-groups anew, if a test asks for it. */
static clkv_status add_order(struct text *t, clkv_error *error)
{
	if (t->context->order.kind == CLKV__ORDER_USUAL)
		return CLKV_OK;
	return add_file(t, find("order.clh", 9), error);
}

clkv_status clkv__source_text(clkv_context *context, const char *name, char **text,
                              clkv_error *error)
{
	struct text t = {.context = context};
	const struct clkv__cl_file *file = find(name, strlen(name));
	if (!file)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "there is no kernel file '%s'", name);
	clkv_status status = add_order(&t, error);
	if (status == CLKV_OK)
		status = add_file(&t, file, error);
	if (status != CLKV_OK) {
		clkv__free(&context->allocator, t.data);
		return status;
	}
	*text = t.data;
	return CLKV_OK;
}
