/* SPDX-License-Identifier: MIT */
/**
 * \file    cache_file.h
 * \brief   Built programs on disk, one file each.
 *
 * File: magic, format version, length of the key's text, that text, length of the binary, checksum of all
 * before and of the binary, binary. Numbers are 64-bit, of this machine. Whatever is odd about a file
 * means that it isn't there; it's then replaced. base/user_file.h says which folders are used.
 */
#ifndef CLKV__CACHE_FILE_H
#define CLKV__CACHE_FILE_H

#include "device/context.h"

#include <stdio.h>

struct clkv__cache_key {
	char text[1024]; /**< device, driver, versions, hash of the source, hash of the options */
	char name[32];   /**< of the file, from a hash of text */
};

void clkv__cache_key_make(const clkv_context *context, const char *source, const char *options,
                          struct clkv__cache_key *key);

/** The binary in a file of file_size bytes, in memory of the allocator; false unless it is whole and of this key. */
bool clkv__cache_file_read(FILE *f, uint64_t file_size, const struct clkv__cache_key *key,
                           const clkv_allocator *allocator, unsigned char **binary, size_t *size);

/** The built program, or NULL: not there, not ours, damaged, or refused by the driver. */
cl_program clkv__cache_file_load(clkv_context *context, const struct clkv__cache_key *key,
                                 const char *options);

/** Builds after which a program is stored with PoCL. There storing takes as long as a first build does, and a file saves about
 *  an eighth of that at each later start, compared with PoCL's own cache: so the time is spent once as much has been lost. */
enum { CLKV__POCL_BUILDS = 8 };

/** Whether a program that was just built is to be stored. True, but with PoCL: it compiles every kernel once more, for any
 *  size of work-group, when it's asked for a binary. There builds are counted by a note in the folder (NAME.built, a byte
 *  each), and a program is stored by the CLKV__POCL_BUILDS-th, or if its file is there and can't be used. */
bool clkv__cache_file_is_due(clkv_context *context, const struct clkv__cache_key *key);

/** Stores a built program if it can; a failure is logged and no more. */
void clkv__cache_file_store(clkv_context *context, const struct clkv__cache_key *key,
                            cl_program program);

#endif
