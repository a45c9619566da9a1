/* SPDX-License-Identifier: MIT */
/** \file tune_file.c \brief Reads and writes tuning files; trusts nothing that it reads. */
#include "cache/tune_file.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/user_file.h"
#include "device/context.h"
#include "plan/tune_key.h"
#include "program/source.h"
#include "tune/family.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define FIRST_LINE "clkv tuning 1\n"

/* Head and end of a file, and all its entries at their longest. */
enum { MAX_HEAD = CLKV__TUNE_HEAD, MAX_LINE = CLKV__TUNE_KEY + CLKV__TUNING_TEXT };
enum { MAX_FILE = MAX_HEAD + CLKV__TUNE_ENTRIES * MAX_LINE };

struct text {
	char data[MAX_FILE + 1];
	size_t n;
};

/* Tells all embedded sources from others: a tuning measured with other kernels says nothing. */
static uint64_t kernels_hash;
static pthread_once_t kernels_hashed = PTHREAD_ONCE_INIT;

static void hash_kernels(void)
{
	kernels_hash = CLKV__HASH_START;
	for (const struct clkv__cl_file *f = clkv__cl_files; f->name; f++) {
		kernels_hash = clkv__hash(kernels_hash, f->name, strlen(f->name) + 1);
		for (int i = 0; f->lines[i]; i++)
			kernels_hash = clkv__hash(kernels_hash, f->lines[i], strlen(f->lines[i]));
	}
}

static void add_device(const clkv_context *context, char *text, size_t n)
{
	const clkv_device_info *i = &context->info;
	snprintf(text, n, "%s|%s|%s|%s|%s", i->platform, i->name, i->vendor, i->driver, i->cl_version);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = '?';
}

/* The lines before the entries: those of this device, driver and library. */
size_t clkv__tune_text_head(const clkv_context *context, char *text)
{
	char device[800];
	add_device(context, device, sizeof device);
	pthread_once(&kernels_hashed, hash_kernels);
	return (size_t)snprintf(text, MAX_HEAD, FIRST_LINE "device %s\nkernels %016" PRIx64 "\n",
	                        device, kernels_hash);
}

static void file_name(const clkv_context *context, char name[32])
{
	char device[800];
	add_device(context, device, sizeof device);
	snprintf(name, 32, "%016" PRIx64 ".tune", clkv__hash(CLKV__HASH_START, device, strlen(device)));
}

static size_t end_text(const char *text, size_t n, char end[32])
{
	return (size_t)snprintf(end, 32, "end %016" PRIx64 "\n", clkv__hash(CLKV__HASH_START, text, n));
}

static const struct clkv__tune_entry *find(const struct clkv__tune_list *list, const char *key)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->entries[i].key, key) == 0)
			return &list->entries[i];
	return NULL;
}

/* "KEY TUNING" in a line of its own memory. */
static const char *add_entry(const clkv_context *context, char *line, struct clkv__tune_list *list)
{
	char *blank = strchr(line, ' ');
	if (!blank)
		return "a line isn't an entry";
	*blank = '\0';
	if (list->n == CLKV__TUNE_ENTRIES)
		return "it has too many entries";
	if (!clkv__tune_key_is_valid(line))
		return "a key isn't one";
	if (find(list, line))
		return "a key is there twice";
	struct clkv__tune_entry *e = &list->entries[list->n];
	*e = (struct clkv__tune_entry){.key = ""};
	if (!clkv__tuning_parse(blank + 1, clkv__most_lanes(&context->info), true, &e->tuning))
		return "a tuning is out of range";
	memcpy(e->key, line, strlen(line) + 1);
	list->n++;
	return NULL;
}

const char *clkv__tune_text_parse(const clkv_context *context, char *data, size_t length,
                                  struct clkv__tune_list *list)
{
	char head[MAX_HEAD], end[32];
	size_t n = clkv__tune_text_head(context, head);
	if (strlen(data) != length || strncmp(data, FIRST_LINE, strlen(FIRST_LINE)) != 0)
		return "it isn't a tuning file of this version";
	char *last = length < 2 ? NULL : strstr(data, "\nend ");
	if (!last)
		return "it's cut";
	last++;
	end_text(data, (size_t)(last - data), end);
	if (strcmp(last, end) != 0)
		return "its checksum is another";
	if (strncmp(data, head, n) != 0)
		return "it's of another device, driver or library";
	const char *why = NULL;
	for (char *line = data + n; !why && line < last;) {
		char *next = strchr(line, '\n') + 1;
		next[-1] = '\0';
		why = add_entry(context, line, list);
		line = next;
	}
	return why;
}

static const char *read_text(FILE *f, uint64_t size, struct text *text)
{
	text->n = fread(text->data, 1, MAX_FILE, f);
	text->data[text->n] = '\0';
	return text->n == size ? NULL : "it can't be read";
}

/* Development kernels may be anything, so a tuning of theirs isn't kept. */
static bool has_file(const clkv_context *context)
{
	return context->cache_dir && !context->kernel_dir &&
	       clkv__user_folder_is_safe(context->cache_dir);
}

clkv_status clkv__tune_file_read(const clkv_context *context, struct clkv__tune_list *list,
                                 clkv_error *error)
{
	char path[CLKV__MAX_PATH], name[32];
	uint64_t size;
	*list = (struct clkv__tune_list){NULL, 0};
	file_name(context, name);
	if (!has_file(context) || !clkv__user_file_path(path, context->cache_dir, name))
		return CLKV_OK;
	errno = 0;
	FILE *f = clkv__user_file_open(path, MAX_FILE, &size);
	if (!f) {
		if (errno != ENOENT)
			clkv__log(context, CLKV_LOG_CONTEXT, "tune",
			          "%s isn't used: it isn't a plain file that is ours alone, or is too long",
			          path);
		return CLKV_OK;
	}
	struct text *text = clkv__calloc(&context->allocator, 1, sizeof *text);
	list->entries = clkv__calloc(&context->allocator, CLKV__TUNE_ENTRIES, sizeof *list->entries);
	const char *why = NULL;
	if (text && list->entries) {
		why = read_text(f, size, text);
		why = why ? why : clkv__tune_text_parse(context, text->data, text->n, list);
	}
	bool had_memory = text && list->entries;
	fclose(f);
	clkv__free(&context->allocator, text);
	if (why)
		clkv__log(context, CLKV_LOG_CONTEXT, "tune", "%s isn't used: %s", path, why);
	if (why || !had_memory)
		clkv__tune_list_free(context, list);
	if (!had_memory)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for tunings");
	return CLKV_OK;
}

void clkv__tune_list_free(const clkv_context *context, struct clkv__tune_list *list)
{
	clkv__free(&context->allocator, list->entries);
	*list = (struct clkv__tune_list){NULL, 0};
}

/* The list with the entry at its end. */
static void replace(struct clkv__tune_list *list, const struct clkv__tune_entry *entry)
{
	const struct clkv__tune_entry *old = find(list, entry->key);
	if (!old && list->n == CLKV__TUNE_ENTRIES)
		old = list->entries;
	if (old) {
		size_t at = (size_t)(old - list->entries);
		memmove(&list->entries[at], &list->entries[at + 1],
		        (list->n - at - 1) * sizeof *list->entries);
		list->n--;
	}
	list->entries[list->n++] = *entry;
}

static void write_text(const clkv_context *context, const struct clkv__tune_list *list,
                       struct text *text)
{
	text->n = clkv__tune_text_head(context, text->data);
	for (size_t i = 0; i < list->n; i++) {
		char tuning[CLKV__TUNING_TEXT];
		clkv__tuning_print(&list->entries[i].tuning, tuning);
		text->n += (size_t)snprintf(text->data + text->n, sizeof text->data - text->n, "%s %s\n",
		                            list->entries[i].key, tuning);
	}
	char end[32];
	size_t n = end_text(text->data, text->n, end);
	memcpy(text->data + text->n, end, n);
	text->n += n;
}

static bool fill(FILE *f, const void *data)
{
	const struct text *text = data;
	return fwrite(text->data, text->n, 1, f) == 1;
}

static clkv_status check_folder(const clkv_context *context, clkv_error *error)
{
	if (context->kernel_dir)
		CLKV_FAIL(error, CLKV_ERROR_IO,
		          "tunings of kernels from a folder (CLKV_KERNEL_DIR) "
		          "aren't kept");
	if (!context->cache_dir)
		CLKV_FAIL(error, CLKV_ERROR_IO, "there is no folder for tunings: set CLKV_CACHE_DIR");
	clkv__user_folder_make(context->cache_dir);
	if (!clkv__user_folder_is_safe(context->cache_dir))
		CLKV_FAIL(error, CLKV_ERROR_IO,
		          "%.180s isn't a folder that is ours and that nobody else can write to",
		          context->cache_dir);
	return CLKV_OK;
}

static clkv_status store(const clkv_context *context, struct clkv__tune_list *list,
                         struct text *text, const struct clkv__tune_entry *entry, clkv_error *error)
{
	char name[32];
	file_name(context, name);
	replace(list, entry);
	write_text(context, list, text);
	errno = 0;
	if (!clkv__user_file_write(context->cache_dir, name, fill, text))
		CLKV_FAIL(error, CLKV_ERROR_IO, "%s/%s can't be written: %s", context->cache_dir, name,
		          errno ? strerror(errno) : "the name is too long");
	return CLKV_OK;
}

clkv_status clkv__tune_file_store(const clkv_context *context, const struct clkv__tune_entry *entry,
                                  char *path, size_t n, clkv_error *error)
{
	struct clkv__tune_list list;
	CLKV_TRY(check_folder(context, error));
	CLKV_TRY(clkv__tune_file_read(context, &list, error));
	struct text *text = clkv__calloc(&context->allocator, 1, sizeof *text);
	if (!list.entries)
		list.entries = clkv__calloc(&context->allocator, CLKV__TUNE_ENTRIES, sizeof *list.entries);
	clkv_status status = text && list.entries ? store(context, &list, text, entry, error)
	                                          : clkv__error_set(error, CLKV_ERROR_NO_HOST_MEMORY,
	                                                            "no host memory for tunings");
	clkv__free(&context->allocator, text);
	clkv__tune_list_free(context, &list);
	if (status == CLKV_OK && path && n > 0) {
		char name[32];
		file_name(context, name);
		snprintf(path, n, "%s/%s", context->cache_dir, name);
	}
	return status;
}
