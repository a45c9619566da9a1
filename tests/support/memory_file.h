/* SPDX-License-Identifier: MIT */
/** \file memory_file.h \brief A file in memory for clkv_seq_save and clkv_seq_load, with faults on demand. */
#ifndef TEST_MEMORY_FILE_H
#define TEST_MEMORY_FILE_H

#include "feed.h"

struct memory_file {
	unsigned char *bytes;
	size_t n, room;
	size_t at;    /**< of the next read */
	size_t chunk; /**< most bytes of one read; 0: all that are asked for */
	size_t calls; /**< so far */
	size_t fails; /**< number of the call that fails, from 1; 0: none */
};

size_t memory_write(void *opaque, const void *data, size_t size);
size_t memory_read(void *opaque, void *data, size_t size);
void memory_close(struct memory_file *file);

/** Writes the checksum that files given with a cache's options end in: FNV-1a of all before it. */
void memory_sign(struct memory_file *file);

/** Saves a stream, or fails the test; what the file held is gone. */
void memory_save(const struct feed *feed, const struct stream *from, const char *recipe,
                 struct memory_file *file);

/** Loads from the file's beginning. The stream gets the rows of `from`, for which it stands. */
void memory_load(const struct feed *feed, struct memory_file *file, const struct stream *from,
                 struct stream *to);

/** Loads from the file's beginning what can't be loaded; the cache must be as before. error may be NULL. */
clkv_status memory_refused(const struct feed *feed, struct memory_file *file, clkv_error *error);

/** Fails the test unless loading is refused as UNSUPPORTED by an error that has `text` in it. */
void memory_expect_refused(const struct feed *feed, struct memory_file *file, const char *text);

/** Fails the test unless 300 tokens of a prompt make the same file in one step as in pieces of which the last comes to a fork. */
void memory_expect_same_pieces(struct feed *feed);

#endif
