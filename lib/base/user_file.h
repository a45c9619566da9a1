/* SPDX-License-Identifier: MIT */
/**
 * \file    user_file.h
 * \brief   Files in a folder that is the user's own, such as the cache of programs.
 *
 * A folder or a file that others can write to, or that isn't ours, is not used. A file is written under a name
 * of its own and renamed, so that readers see all of it or none; what a killed writer left goes with a later write.
 */
#ifndef CLKV__USER_FILE_H
#define CLKV__USER_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CLKV__MAX_PATH = 1200 };

/** mkdir -p, private. Whether it worked shows when the folder is used. */
void clkv__user_folder_make(const char *folder);

/** The folder is ours and nobody else can write to it. */
bool clkv__user_folder_is_safe(const char *folder);

/** "folder/name"; false if that is too long. */
bool clkv__user_file_path(char path[CLKV__MAX_PATH], const char *folder, const char *name);

/** A plain file, not a link, of ours alone, that neither blocks nor is larger than max bytes; else NULL, and
 *  errno is ENOENT if there is none. */
FILE *clkv__user_file_open(const char *path, uint64_t max, uint64_t *size);

/** Writes what fill writes; fill returns false on failure. On failure nothing is left. */
bool clkv__user_file_write(const char *folder, const char *name,
                           bool (*fill)(FILE *f, const void *data), const void *data);

#endif
