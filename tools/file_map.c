/* SPDX-License-Identifier: MIT */
/**
 * \file    file_map.c
 * \brief   A whole file as bytes in memory that may be read.
 */
#include "file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_map(const char *what, const char *path, void **map, size_t *size,
              struct tool_error *error)
{
	struct stat info;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return tool_fail(error, "can't open %s '%s': %s", what, path, strerror(errno));
	if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size <= 0) {
		(void)close(file);
		return tool_fail(error, "%s '%s' is empty or not a regular file", what, path);
	}
	*size = (size_t)info.st_size;
	*map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, file, 0);
	(void)close(file);
	if (*map == MAP_FAILED)
		return tool_fail(error, "can't map %s '%s': %s", what, path, strerror(errno));
	return true;
}

void file_unmap(void *map, size_t size)
{
	if (map != NULL)
		(void)munmap(map, size);
}
