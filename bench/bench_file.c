/* SPDX-License-Identifier: MIT */
/** \file bench_file.c \brief Bytes behind bytes. */
#include "bench_file.h"

#include <stdlib.h>
#include <string.h>

size_t bench_file_append(void *opaque, const void *data, size_t size)
{
	struct bench_file *file = opaque;
	unsigned char *bytes = realloc(file->bytes, file->n + size);
	if (bytes == NULL)
		return 0;
	memcpy(bytes + file->n, data, size);
	file->bytes = bytes;
	file->n += size;
	return size;
}
