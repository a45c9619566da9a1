/* SPDX-License-Identifier: MIT */
/**
 * \file    tune_file.h
 * \brief   Measured tunings on disk: one text file per device and driver, beside the programs.
 *
 *     clkv tuning 1
 *     device PLATFORM|NAME|VENDOR|DRIVER|VERSION
 *     kernels HASH                       of the library's kernel sources
 *     KEY TUNING                         any number of lines, each key once
 *     end CHECKSUM                       of all lines above
 *
 * Whatever is odd about a file means that it isn't there, as a whole; the next store replaces it.
 */
#ifndef CLKV__TUNE_FILE_H
#define CLKV__TUNE_FILE_H

#include "tune/tune.h"

#include <clkv.h>

/** Most entries of a file. */
enum { CLKV__TUNE_ENTRIES = 256 };

/** Reads the file of the context's device; an empty list when there is none that can be believed: the
 *  log says why. Errors: NO_HOST_MEMORY. */
clkv_status clkv__tune_file_read(const clkv_context *context, struct clkv__tune_list *list,
                                 clkv_error *error);
void clkv__tune_list_free(const clkv_context *context, struct clkv__tune_list *list);

/** The first lines of the context's file into text (CLKV__TUNE_HEAD bytes); their length. */
enum { CLKV__TUNE_HEAD = 1024 };
size_t clkv__tune_text_head(const clkv_context *context, char *text);

/** Fills a list with room for CLKV__TUNE_ENTRIES from a file's n bytes and a zero behind them, which are taken apart;
 *  NULL, or what is wrong with them. */
const char *clkv__tune_text_parse(const clkv_context *context, char *text, size_t n,
                                  struct clkv__tune_list *list);

/** Puts an entry into the file, in place of one with its key; of a full file the oldest goes.
 *  path (size n, may be NULL) gets the file's name. Errors: IO, NO_HOST_MEMORY. */
clkv_status clkv__tune_file_store(const clkv_context *context, const struct clkv__tune_entry *entry,
                                  char *path, size_t n, clkv_error *error);

#endif
