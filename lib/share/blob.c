/* SPDX-License-Identifier: MIT */
/** \file blob.c \brief Bytes in memory. */
#include "share/blob.h"

#include <stdlib.h>
#include <string.h>

size_t share_blob_write(void *opaque, const void *data, size_t size)
{
	struct share_blob *blob = opaque;
	if (blob->most > 0 && (blob->size > blob->most || size > blob->most - blob->size)) {
		blob->full = true;
		return 0;
	}
	if (size > blob->room - blob->size) {
		size_t room = 2 * blob->room + size + 4096;
		unsigned char *grown = realloc(blob->data, room);
		if (!grown)
			return 0;
		blob->data = grown;
		blob->room = room;
	}
	if (size > 0) /* else there may be nowhere to write it */
		memcpy(blob->data + blob->size, data, size);
	blob->size += size;
	return size;
}

void share_blob_free(struct share_blob *blob)
{
	free(blob->data);
	blob->data = NULL;
	blob->size = blob->room = 0;
}

void share_number_put(unsigned char *to, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (unsigned char)(value >> (8 * i));
}

size_t share_bytes_read(void *opaque, void *data, size_t size)
{
	struct share_bytes *bytes = opaque;
	size_t left = bytes->size - bytes->at, n = size < left ? size : left;
	memcpy(data, bytes->data + bytes->at, n);
	bytes->at += n;
	return n;
}
