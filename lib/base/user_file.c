/* SPDX-License-Identifier: MIT */
/** \file user_file.c \brief Opens and writes files of the user's; follows no link, waits for nobody. */
#include "base/user_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What mkstemp makes of a file's name while it is written; and how old it is, in seconds, when its writer has certainly
 * been killed: writing takes far less than a second. */
#define PART ".XXXXXX"
enum { DEAD_SECONDS = 3600 };

/* Ours, and nobody else can write to it. */
static bool is_ours(const struct stat *s)
{
	return s->st_uid == geteuid() && (s->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

void clkv__user_folder_make(const char *folder)
{
	char part[1024];
	size_t n = strlen(folder);
	if (n >= sizeof part)
		return;
	for (size_t i = 1; i <= n; i++)
		if (folder[i] == '/' || folder[i] == '\0') {
			memcpy(part, folder, i);
			part[i] = '\0';
			(void)mkdir(part, 0700);
		}
}

bool clkv__user_folder_is_safe(const char *folder)
{
	struct stat s;
	return stat(folder, &s) == 0 && S_ISDIR(s.st_mode) && is_ours(&s);
}

bool clkv__user_file_path(char path[CLKV__MAX_PATH], const char *folder, const char *name)
{
	int n = snprintf(path, CLKV__MAX_PATH, "%s/%s", folder, name);
	return n > 0 && n < CLKV__MAX_PATH;
}

/* The descriptor is asked, not the path: what is read is what was looked at. */
FILE *clkv__user_file_open(const char *path, uint64_t max, uint64_t *size)
{
	struct stat s;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	bool ok = fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && is_ours(&s) && s.st_size >= 0 &&
	          (uint64_t)s.st_size <= max;
	FILE *f = ok ? fdopen(fd, "rb") : NULL;
	if (!f) {
		close(fd);
		errno = EPERM;
	} else {
		*size = (uint64_t)s.st_size;
	}
	return f;
}

/* A name that clkv__user_file_write gives to what it writes: NAME.bin.XXXXXX, NAME.tune.XXXXXX. */
static bool is_part(const char *name)
{
	size_t n = strlen(name), tail = strlen(PART);
	if (n <= tail || name[n - tail] != '.')
		return false;
	size_t stem = n - tail;
	return (stem > 4 && memcmp(name + stem - 4, ".bin", 4) == 0) ||
	       (stem > 5 && memcmp(name + stem - 5, ".tune", 5) == 0);
}

static bool is_dead(const char *path)
{
	struct stat s;
	return lstat(path, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid() &&
	       s.st_mtime < time(NULL) - DEAD_SECONDS;
}

/* Removes what writers left that were killed. */
static void clear_parts(const char *folder)
{
	DIR *directory = opendir(folder);
	struct dirent *entry;
	char path[CLKV__MAX_PATH];
	while (directory && (entry = readdir(directory)) != NULL)
		if (is_part(entry->d_name) && clkv__user_file_path(path, folder, entry->d_name) &&
		    is_dead(path))
			(void)unlink(path);
	if (directory)
		closedir(directory);
}

bool clkv__user_file_write(const char *folder, const char *name,
                           bool (*fill)(FILE *f, const void *data), const void *data)
{
	char part[CLKV__MAX_PATH], path[CLKV__MAX_PATH];
	if (!clkv__user_file_path(path, folder, name) || strlen(path) + sizeof PART > sizeof part)
		return false;
	memcpy(part, path, strlen(path) + 1);
	strcat(part, PART);
	clear_parts(folder);
	int fd = mkstemp(part);
	FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
	if (!f) {
		if (fd >= 0) {
			close(fd);
			unlink(part);
		}
		return false;
	}
	bool ok = fill(f, data);
	ok = fclose(f) == 0 && ok;
	ok = ok && rename(part, path) == 0;
	if (!ok)
		unlink(part);
	return ok;
}
