/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_records.h
 * \brief   A file to which scores are appended as they are done, so that a run can go on where it ended.
 *
 * Text: a head of lines that say which run it is, then records. A record is
 *     record WINDOW N BYTES_PER_TOKEN PREFILL GREEDY      WINDOW: 16 hex digits, a hash of the window's tokens
 *     recipe R
 *     LOSS DIVERGENCE AGREED                              N lines
 *     end CHECKSUM                                        of the record's bytes before this line
 * Numbers have the digits that give the same double again. A run that is killed leaves at most a record without its end,
 * which the next one cuts off; anything else that is wrong in the file is an error.
 */
#ifndef EVAL_RECORDS_H
#define EVAL_RECORDS_H

#include <stdint.h>

#include "eval_scores.h"
#include "tool_error.h"

struct records;

/** The first line of every file. */
#define RECORDS_TITLE "clkv-eval records 1"

/** Opens or creates the file for a run whose head (lines that end in \n, the first is RECORDS_TITLE) is this and whose
 *  windows have n tokens to score. A file of another head is refused with the line that differs, one that
 *  another process has open too. */
bool records_open(const char *path, const char *head, size_t n, struct records **out,
                  struct tool_error *error);

/** The same for bytes that lie in no file: text has size bytes and a NUL behind them. *whole: bytes up to the end of
 *  the last record that is whole. path is for messages. */
bool records_parse(const char *path, const char *text, size_t size, const char *head, size_t n,
                   struct records **out, size_t *whole, struct tool_error *error);

/** How many there are. */
size_t records_count(const struct records *records);

/** The scores of a window under a recipe, or NULL. */
const struct eval_scores *records_find(const struct records *records, uint64_t window,
                                       const char *recipe);

/** Appends scores to the file, whole before it returns. */
bool records_append(struct records *records, uint64_t window, const char *recipe,
                    const struct eval_scores *scores, struct tool_error *error);

/** NULL is allowed. */
void records_close(struct records *records);

/** A hash of n tokens: the window of a record. */
uint64_t records_window(const int32_t *ids, size_t n);

#endif
