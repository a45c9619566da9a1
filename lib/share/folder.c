/* SPDX-License-Identifier: MIT */
/**
 * \file    folder.c
 * \brief   A store in a folder: PATH/ab/abcd...clkv, a file per chunk.
 *
 * A chunk is written under another name and renamed, so that readers of other processes see it whole or not at all. When
 * it was used last is its time of modification. Nothing is flushed to the disk: what a crash leaves is noticed by checksum.
 */
#include "share/backend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, MOST_PATH = PATH_ROOM - 128 };

/* A file under its first name that is older than this is nobody's any more. */
enum { STALE_SECONDS = 3600 };

static const char suffix[] = ".clkv", temporary[] = ".part-";

struct folder {
	char path[MOST_PATH];
	size_t max_chunk;
	unsigned counter; /* of files under their first names */
};

static clkv_status fail_io(clkv_error *error, const char *what, const char *path)
{
	return share_fail(error, CLKV_ERROR_IO, "%s %s: %s", what, path, strerror(errno));
}

static clkv_status folder_open(const char *rest, const clkv_share_options *options, void **self,
                               clkv_error *error)
{
	const char *path = strncmp(rest, "//", 2) == 0 ? rest + 2 : rest;
	size_t n = strlen(path);
	if (n == 0 || n >= MOST_PATH)
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT,
		                  "the folder's path has %zu characters; allowed: 1 to %d", n,
		                  MOST_PATH - 1);
	struct stat s;
	if (mkdir(path, 0777) != 0 && errno != EEXIST)
		return fail_io(error, "can't make the folder", path);
	if (stat(path, &s) != 0 || !S_ISDIR(s.st_mode))
		return share_fail(error, CLKV_ERROR_IO, "%s is no folder", path);
	struct folder *f = calloc(1, sizeof *f);
	if (!f)
		return share_fail_memory(error, sizeof *f);
	memcpy(f->path, path, n + 1);
	f->max_chunk = options->max_chunk_bytes;
	*self = f;
	return CLKV_OK;
}

static void folder_close(void *self)
{
	free(self);
}

static void path_of(const struct folder *f, const struct share_key *key, char path[PATH_ROOM])
{
	char text[2 * SHARE_KEY_BYTES + 1];
	share_key_print(key, text);
	snprintf(path, PATH_ROOM, "%s/%.2s/%s%s", f->path, text, text, suffix);
}

/* Notes that a chunk is used; false if it isn't there. The time is told, as the kernel's own is too coarse to say which of two
 * was first; whose file it isn't may not tell it, and who may not write to a folder may read from it. */
static bool touch(const char *path)
{
	struct timespec now[2];
	clock_gettime(CLOCK_REALTIME, &now[0]);
	now[1] = now[0];
	return utimensat(AT_FDCWD, path, now, 0) == 0 || utimensat(AT_FDCWD, path, NULL, 0) == 0 ||
	       access(path, F_OK) == 0;
}

static clkv_status folder_has(void *self, const struct share_key *keys, size_t n, bool *found,
                              clkv_error *error)
{
	char path[PATH_ROOM];
	(void)error;
	/* a text's beginning was used last: what goes first is its end, without which the rest is of use */
	for (size_t i = n; i-- > 0;) {
		path_of(self, &keys[i], path);
		found[i] = touch(path);
	}
	return CLKV_OK;
}

/* All of an open file, whose size is known; false if it has become shorter. */
static bool read_all(int file, unsigned char *data, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t n = read(file, data + at, size - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* Bytes of an open file. */
static clkv_status load(const struct folder *f, int file, const char *path, struct share_blob *out,
                        clkv_error *error)
{
	struct stat s;
	if (fstat(file, &s) != 0 || !S_ISREG(s.st_mode))
		return share_fail(error, CLKV_ERROR_IO, "%s is no file", path);
	if (s.st_size < 0 || (uint64_t)s.st_size > f->max_chunk)
		return share_fail(error, CLKV_ERROR_IO, "%s has %lld bytes; allowed: max_chunk_bytes (%zu)",
		                  path, (long long)s.st_size, f->max_chunk);
	out->size = (size_t)s.st_size;
	out->data = malloc(out->size + 1);
	if (!out->data)
		return share_fail_memory(error, out->size);
	if (!read_all(file, out->data, out->size))
		return fail_io(error, "can't read", path);
	return CLKV_OK;
}

/* One chunk; *on becomes false where no more are wanted. */
static clkv_status get_one(const struct folder *f, const struct share_key *key, size_t i,
                           share_take_fn take, void *opaque, bool *on, clkv_error *error)
{
	char path[PATH_ROOM];
	struct share_blob blob = {.data = NULL};
	path_of(f, key, path);
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	*on = false;
	if (file < 0)
		return errno == ENOENT ? CLKV_OK : fail_io(error, "can't open", path);
	clkv_status status = load(f, file, path, &blob, error);
	close(file);
	if (status == CLKV_OK)
		*on = take(opaque, i, blob.data, blob.size);
	share_blob_free(&blob);
	return status;
}

static clkv_status folder_get(void *self, const struct share_key *keys, size_t n,
                              share_take_fn take, void *opaque, clkv_error *error)
{
	bool on = true;
	for (size_t i = 0; i < n && on; i++)
		SHARE_TRY(get_one(self, &keys[i], i, take, opaque, &on, error));
	return CLKV_OK;
}

static bool write_all(int file, const struct share_blob *blob)
{
	for (size_t at = 0; at < blob->size;) {
		ssize_t n = write(file, blob->data + at, blob->size - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* A new file that no other process has, in the folder of a path. */
static int create(struct folder *f, const char *path, char part[PATH_ROOM])
{
	const int folder = (int)(strrchr(path, '/') - path);
	int file = -1;
	for (int i = 0; i < 100 && file < 0; i++) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		snprintf(part, PATH_ROOM, "%.*s/%s%ld-%ld-%u", folder, path, temporary, (long)getpid(),
		         now.tv_nsec, f->counter++);
		file = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (file < 0 && errno != EEXIST)
			break;
	}
	return file;
}

static clkv_status folder_put(void *self, const struct share_key *key,
                              const struct share_blob *blob, clkv_error *error)
{
	struct folder *f = self;
	char path[PATH_ROOM], part[PATH_ROOM], sub[PATH_ROOM];
	path_of(f, key, path);
	snprintf(sub, sizeof sub, "%.*s", (int)(strrchr(path, '/') - path), path);
	if (mkdir(sub, 0777) != 0 && errno != EEXIST)
		return fail_io(error, "can't make the folder", sub);
	int file = create(f, path, part);
	if (file < 0)
		return fail_io(error, "can't write to", sub);
	bool written = write_all(file, blob);
	int why = errno;
	written = close(file) == 0 && written;
	if (written && rename(part, path) == 0)
		return CLKV_OK;
	errno = written ? errno : why;
	clkv_status status = fail_io(error, "can't write", path);
	unlink(part);
	return status;
}

static clkv_status folder_drop(void *self, const struct share_key *key, clkv_error *error)
{
	char path[PATH_ROOM];
	path_of(self, key, path);
	/* another process may have been faster */
	return unlink(path) == 0 || errno == ENOENT ? CLKV_OK : fail_io(error, "can't remove", path);
}

/* The key that a file's name says. */
static bool key_of(const char *name, struct share_key *key)
{
	char text[2 * SHARE_KEY_BYTES + 1];
	size_t n = strlen(name);
	if (n != 2 * SHARE_KEY_BYTES + sizeof suffix - 1 ||
	    strcmp(name + 2 * SHARE_KEY_BYTES, suffix) != 0)
		return false;
	memcpy(text, name, 2 * SHARE_KEY_BYTES);
	text[2 * SHARE_KEY_BYTES] = '\0';
	return share_key_read(text, key);
}

/* By one clock for all files: a list takes longer than lies between two uses. */
static double age_of(const struct stat *s, const struct timespec *now)
{
	double age = difftime(now->tv_sec, s->st_mtim.tv_sec) +
	             (double)(now->tv_nsec - s->st_mtim.tv_nsec) * 1e-9;
	return age > 0 ? age : 0;
}

/* Each file of one of the folders; false if no more are wanted. */
static bool each_file(const char *sub, const struct timespec *now, share_each_fn fn, void *opaque)
{
	DIR *dir = opendir(sub);
	bool on = true;
	if (!dir)
		return true; /* no such folder, or none that may be read */
	for (struct dirent *e; on && (e = readdir(dir));) {
		struct share_key key;
		struct stat s;
		if (e->d_name[0] == '.' && strncmp(e->d_name, temporary, sizeof temporary - 1) != 0)
			continue;
		if (fstatat(dirfd(dir), e->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(s.st_mode))
			continue;
		double age = age_of(&s, now);
		if (key_of(e->d_name, &key))
			on = fn(opaque, &key, (uint64_t)s.st_size, age);
		else if (e->d_name[0] == '.' && age > STALE_SECONDS)
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	closedir(dir);
	return on;
}

static clkv_status folder_each(void *self, share_each_fn fn, void *opaque, clkv_error *error)
{
	const struct folder *f = self;
	char sub[PATH_ROOM];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (access(f->path, R_OK | X_OK) != 0)
		return fail_io(error, "can't read the folder", f->path);
	for (unsigned i = 0; i < 256; i++) {
		snprintf(sub, sizeof sub, "%s/%02x", f->path, i);
		if (!each_file(sub, &now, fn, opaque))
			break;
	}
	return CLKV_OK;
}

const struct share_backend share_folder = {
	.scheme = "file",
	.bounded = true,
	.open = folder_open,
	.close = folder_close,
	.has = folder_has,
	.get = folder_get,
	.put = folder_put,
	.drop = folder_drop,
	.each = folder_each,
};
