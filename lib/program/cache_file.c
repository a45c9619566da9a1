/* SPDX-License-Identifier: MIT */
/** \file cache_file.c \brief Reads and writes cached programs; trusts nothing that it reads. */
#include "program/cache_file.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/user_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "CLKVPRG1"
#define MAX_FILE ((uint64_t)1 << 28)

struct header {
	char magic[8];
	uint64_t key_length, binary_length, checksum;
};

void clkv__cache_key_make(const clkv_context *context, const char *source, const char *options,
                          struct clkv__cache_key *key)
{
	const clkv_device_info *i = &context->info;
	unsigned long long source_hash = clkv__hash(CLKV__HASH_START, source, strlen(source));
	unsigned long long options_hash = clkv__hash(CLKV__HASH_START, options, strlen(options));
	snprintf(key->text, sizeof key->text, "%s|%s|%s|%s|%s|clkv %s|%016llx|%zu|%016llx", i->platform,
	         i->name, i->vendor, i->driver, i->cl_version, CLKV_VERSION_STRING, source_hash,
	         strlen(source), options_hash);
	snprintf(key->name, sizeof key->name, "%016llx.bin",
	         (unsigned long long)clkv__hash(CLKV__HASH_START, key->text, strlen(key->text)));
}

static uint64_t checksum(const struct header *h, const char *key, const void *binary)
{
	uint64_t hash = clkv__hash(CLKV__HASH_START, h->magic, sizeof h->magic);
	hash = clkv__hash(hash, &h->key_length, sizeof h->key_length);
	hash = clkv__hash(hash, &h->binary_length, sizeof h->binary_length);
	hash = clkv__hash(hash, key, (size_t)h->key_length);
	return clkv__hash(hash, binary, (size_t)h->binary_length);
}

/* Says once why programs can't be kept. */
static void warn(clkv_context *context, const char *why)
{
	pthread_mutex_lock(&context->mutex);
	bool said = context->cache_warned;
	context->cache_warned = true;
	pthread_mutex_unlock(&context->mutex);
	if (!said)
		clkv__log(context, CLKV_LOG_CONTEXT, "cache", "programs can't be kept in %s: %s",
		          context->cache_dir, why);
}

/* Lengths must add up to the file's before memory is taken for them. */
bool clkv__cache_file_read(FILE *f, uint64_t file_size, const struct clkv__cache_key *key,
                           const clkv_allocator *allocator, unsigned char **binary, size_t *size)
{
	struct header h;
	char text[sizeof key->text];
	size_t key_length = strlen(key->text);
	if (fread(&h, sizeof h, 1, f) != 1 || memcmp(h.magic, MAGIC, sizeof h.magic) != 0 ||
	    h.key_length != key_length || h.binary_length == 0 || file_size < sizeof h + key_length ||
	    h.binary_length != file_size - sizeof h - key_length ||
	    fread(text, key_length, 1, f) != 1 || memcmp(text, key->text, key_length) != 0)
		return false;
	unsigned char *data = clkv__calloc(allocator, (size_t)h.binary_length, 1);
	if (!data)
		return false;
	bool ok =
		fread(data, (size_t)h.binary_length, 1, f) == 1 && checksum(&h, text, data) == h.checksum;
	if (!ok) {
		clkv__free(allocator, data);
		return false;
	}
	*binary = data;
	*size = (size_t)h.binary_length;
	return true;
}

static cl_program create(clkv_context *context, const unsigned char *binary, size_t size,
                         const char *options)
{
	cl_int code, state;
	cl_program program =
		clCreateProgramWithBinary(context->cl, 1, &context->device, &size, &binary, &state, &code);
	if (code != CL_SUCCESS)
		return NULL;
	if (state == CL_SUCCESS &&
	    clBuildProgram(program, 1, &context->device, options, NULL, NULL) == CL_SUCCESS)
		return program;
	clReleaseProgram(program);
	return NULL;
}

cl_program clkv__cache_file_load(clkv_context *context, const struct clkv__cache_key *key,
                                 const char *options)
{
	char path[CLKV__MAX_PATH];
	if (!context->cache_dir || !clkv__user_folder_is_safe(context->cache_dir) ||
	    !clkv__user_file_path(path, context->cache_dir, key->name))
		return NULL;
	uint64_t file_size;
	errno = 0;
	FILE *f = clkv__user_file_open(path, MAX_FILE, &file_size);
	if (!f && errno != ENOENT)
		clkv__log(context, CLKV_LOG_CONTEXT, "cache",
		          "%s isn't used: it isn't a plain file that is ours alone, or is too long", path);
	if (!f)
		return NULL;
	unsigned char *binary;
	size_t size;
	bool ok = clkv__cache_file_read(f, file_size, key, &context->allocator, &binary, &size);
	fclose(f);
	if (!ok) {
		clkv__log(context, CLKV_LOG_CONTEXT, "cache", "%s is damaged: it will be replaced", path);
		return NULL;
	}
	cl_program program = create(context, binary, size, options);
	clkv__free(&context->allocator, binary);
	return program;
}

/* A byte for each build. */
static bool write_note(FILE *f, const void *data)
{
	for (uint64_t n = *(const uint64_t *)data; n > 0; n--)
		if (putc('.', f) == EOF)
			return false;
	return true;
}

/* Whatever lies there, a damaged file too. */
static bool exists(const clkv_context *context, const struct clkv__cache_key *key)
{
	char path[CLKV__MAX_PATH];
	struct stat s;
	return clkv__user_file_path(path, context->cache_dir, key->name) && lstat(path, &s) == 0;
}

bool clkv__cache_file_is_due(clkv_context *context, const struct clkv__cache_key *key)
{
	char name[40], path[CLKV__MAX_PATH];
	uint64_t builds = 0;
	if (!context->cache_dir || strcmp(context->info.platform, "Portable Computing Language") != 0)
		return true;
	clkv__user_folder_make(context->cache_dir);
	snprintf(name, sizeof name, "%.*s.built", (int)strcspn(key->name, "."), key->name);
	if (!clkv__user_folder_is_safe(context->cache_dir) || exists(context, key) ||
	    !clkv__user_file_path(path, context->cache_dir, name))
		return true; /* where that can't be, storing says why */
	FILE *f = clkv__user_file_open(path, CLKV__POCL_BUILDS, &builds);
	if (f)
		fclose(f);
	builds = f ? builds + 1 : 1;
	if (builds < CLKV__POCL_BUILDS)
		return !clkv__user_file_write(context->cache_dir, name, write_note, &builds);
	remove(path);
	return true;
}

struct contents {
	const struct clkv__cache_key *key;
	const unsigned char *binary;
	size_t size;
};

static bool write_all(FILE *f, const void *data)
{
	const struct contents *c = data;
	const char *key = c->key->text;
	struct header h = {.key_length = strlen(key), .binary_length = c->size};
	memcpy(h.magic, MAGIC, sizeof h.magic);
	h.checksum = checksum(&h, key, c->binary);
	return fwrite(&h, sizeof h, 1, f) == 1 && fwrite(key, strlen(key), 1, f) == 1 &&
	       fwrite(c->binary, c->size, 1, f) == 1;
}

void clkv__cache_file_store(clkv_context *context, const struct clkv__cache_key *key,
                            cl_program program)
{
	size_t size = 0;
	if (!context->cache_dir)
		return;
	clkv__user_folder_make(context->cache_dir);
	if (!clkv__user_folder_is_safe(context->cache_dir)) {
		warn(context, "it isn't a folder that is ours and that nobody else can write to");
		return;
	}
	if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) !=
	        CL_SUCCESS ||
	    size == 0)
		return;
	errno = 0;
	unsigned char *binary = clkv__calloc(&context->allocator, size, 1);
	bool ok = binary && clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary,
	                                     NULL) == CL_SUCCESS;
	const struct contents contents = {key, binary, size};
	ok = ok && clkv__user_file_write(context->cache_dir, key->name, write_all, &contents);
	if (!ok)
		warn(context, errno ? strerror(errno) : "the driver gives no binary");
	clkv__free(&context->allocator, binary);
}
