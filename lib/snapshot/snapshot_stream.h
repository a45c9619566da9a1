/* SPDX-License-Identifier: MIT */
/** \file snapshot_stream.h \brief The caller's functions as streams with a running checksum. */
#ifndef CLKV__SNAPSHOT_STREAM_H
#define CLKV__SNAPSHOT_STREAM_H

#include "base/error.h"
#include "base/hash.h"
#include "snapshot/snapshot_format.h"

struct clkv__snapshot_out {
	clkv_write_fn write;
	void *opaque;
	uint64_t hash;  /**< of all bytes but the checksums */
	uint64_t bytes; /**< written so far */
};

struct clkv__snapshot_in {
	clkv_read_fn read;
	void *opaque;
	uint64_t hash;
	uint64_t bytes;           /**< read so far */
	unsigned char *ahead;     /**< bytes that clkv__snapshot_ahead has fetched; NULL: none */
	size_t n_ahead, at_ahead; /**< how many; how many of them were read since */
	struct clkv__record part; /**< what is being read; kind 0: the header. For error texts */
};

#define CLKV__SNAPSHOT_STREAM(function, of)                                                        \
	{                                                                                              \
		.function = (function), .opaque = (of), .hash = CLKV__HASH_START                           \
	}

/** Errors: CLKV_ERROR_IO when the caller's function takes less than it is given. */
clkv_status clkv__snapshot_put(struct clkv__snapshot_out *out, const void *data, size_t size,
                               clkv_error *error);
clkv_status clkv__snapshot_put_checksum(struct clkv__snapshot_out *out, clkv_error *error);

/** A whole record; record->bytes of data. */
clkv_status clkv__snapshot_put_record(struct clkv__snapshot_out *out,
                                      const struct clkv__record *record, const void *data,
                                      clkv_error *error);

/** Errors: CLKV_ERROR_CORRUPT at an early end, CLKV_ERROR_IO when the caller's function returns more
 *  than it was asked for. */
clkv_status clkv__snapshot_get(struct clkv__snapshot_in *in, void *data, size_t size,
                               clkv_error *error);
clkv_status clkv__snapshot_get_checksum(struct clkv__snapshot_in *in, clkv_error *error);

/** Reads past so many bytes, which count for the next checksum. */
clkv_status clkv__snapshot_pass(struct clkv__snapshot_in *in, size_t size, clkv_error *error);

/** Fetches the next n bytes, to be read by the functions above as if they were still to come: before work is done
 *  for what a file announces, that much of it is there. Called once for a stream; clkv__snapshot_forget gives the
 *  memory back. Errors: CORRUPT, IO, NO_HOST_MEMORY. */
clkv_status clkv__snapshot_ahead(struct clkv__snapshot_in *in, size_t n,
                                 const clkv_allocator *allocator, clkv_error *error);
void clkv__snapshot_forget(struct clkv__snapshot_in *in, const clkv_allocator *allocator);

/** Reads a record's words. Kind, layer, head and pos must be those of *record; so must count, unless it
 *  is 0 there. Fills in count, flags and bytes, which are still to be checked. */
clkv_status clkv__snapshot_get_record(struct clkv__snapshot_in *in, struct clkv__record *record,
                                      clkv_error *error);

/** Fills error with what is being read and what is wrong with it. Returns CLKV_ERROR_CORRUPT. */
clkv_status clkv__snapshot_damaged(const struct clkv__snapshot_in *in, clkv_error *error,
                                   const char *format, ...) CLKV__PRINTF(3, 4);

#endif
