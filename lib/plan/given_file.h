/* SPDX-License-Identifier: MIT */
/**
 * \file    given_file.h
 * \brief   The frame of files that come with a cache's options: whom they are for, and whether they are whole.
 *
 * A file: a magic of 8 bytes, words of 4 bytes, the caller's number of the model (8 bytes), what it holds, and FNV-1a of all
 * that (8 bytes); all little endian.
 */
#ifndef CLKV__GIVEN_FILE_H
#define CLKV__GIVEN_FILE_H

#include <clkv.h>

enum { CLKV__GIVEN_MAGIC = 8, CLKV__GIVEN_CHECKSUM = 8 };

/** Bytes in front of what a file with so many words holds. */
#define CLKV__GIVEN_HEAD(n_words) (CLKV__GIVEN_MAGIC + 4 * (n_words) + 8)

struct clkv__given_kind {
	const char *name; /**< what errors call it: "the codebook" */
	const char *made; /**< and what ties it to a model: "was trained for" */
	const char *magic;
	const char *const *words; /**< [n_words] their names */
	int n_words;
	int unknown; /**< a word of which nothing is known where it's 0, on either side; -1: there is none */
};

/** Whether data is a file of this kind with these words, for this model, of `want` bytes and undamaged. Whom it is for comes
 *  before how long it must be: a word says more than a length. Errors: CORRUPT (what is damaged), INVALID_ARGUMENT (whom
 *  it is for, and what is asked for). */
clkv_status clkv__given_check(const struct clkv__given_kind *kind, const uint32_t *words,
                              const void *data, size_t size, uint64_t want, uint64_t model,
                              clkv_error *error);

/** What tells a checked file from others: its checksum. */
uint64_t clkv__given_checksum(const void *data, size_t size);

/** Writes the head; returns where what the file holds begins. */
unsigned char *clkv__given_begin(const struct clkv__given_kind *kind, const uint32_t *words,
                                 uint64_t model, void *data);

/** Writes the checksum at the end of what the file holds. */
void clkv__given_end(void *data, unsigned char *end);

#endif
