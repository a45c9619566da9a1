/* SPDX-License-Identifier: MIT */
/** \file blob.h \brief Bytes that grow up to a bound, and are read again, as clkv's files want it. */
#ifndef SHARE_BLOB_H
#define SHARE_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct share_blob {
	unsigned char *data;
	size_t size, room;
	size_t most; /**< bytes; beyond it nothing is taken. 0: no bound */
	bool full;   /**< something wasn't taken for that */
};

/** A clkv_write_fn: opaque is the blob. Takes all or nothing. */
size_t share_blob_write(void *opaque, const void *data, size_t size);

void share_blob_free(struct share_blob *blob);

/** Writes the lowest bytes of a number, 1 to 8 of them, the lowest first. */
void share_number_put(unsigned char *to, uint64_t value, int bytes);

/** Bytes to be read in order. */
struct share_bytes {
	const unsigned char *data;
	size_t size, at;
};

/** A clkv_read_fn: opaque is the bytes. */
size_t share_bytes_read(void *opaque, void *data, size_t size);

#endif
