/* SPDX-License-Identifier: MIT */
/**
 * \file    tune.h
 * \brief   Which tuning a cache takes: CLKV_TUNE, else the tuning file's, else the family's.
 */
#ifndef CLKV__TUNE_H
#define CLKV__TUNE_H

#include "tune/tuning.h"

#include <clkv.h>

/** Most characters of a key (plan/tune_key.h), its end included. */
enum { CLKV__TUNE_KEY = 96 };

/** What was measured for a key. */
struct clkv__tune_entry {
	char key[CLKV__TUNE_KEY];
	struct clkv__tuning tuning; /**< its source isn't set */
};

struct clkv__tune_list {
	struct clkv__tune_entry *entries; /**< memory of the context's allocator */
	size_t n;
};

/** A context's: what holds for caches without an entry of their own, and the entries. */
struct clkv__tune {
	struct clkv__tuning family;  /**< of the table */
	struct clkv__tuning general; /**< CLKV_TUNE over family, or family */
	bool forced;                 /**< CLKV_TUNE is set: entries don't count */
	struct clkv__tune_list list;
};

struct clkv__device_hints;

/** Reads a tuning's text for this device over what tuning holds; whole: each number must be there. what names the text in the
 *  error. text may be NULL, which is no tuning. Errors: INVALID_ARGUMENT, naming what text may hold. */
clkv_status clkv__tune_read(const clkv_device_info *info, const char *what, const char *text,
                            bool whole, struct clkv__tuning *tuning, clkv_error *error);

/** Chooses what doesn't depend on a cache; text is CLKV_TUNE, may be NULL. Leaves the list alone.
 *  Errors: INVALID_ARGUMENT, naming what text may hold. */
clkv_status clkv__tune_choose(const clkv_device_info *info, const struct clkv__device_hints *hints,
                              const char *text, struct clkv__tune *tune, clkv_error *error);

/** The tuning for a key. */
struct clkv__tuning clkv__tune_for(const struct clkv__tune *tune, const char *key);

/** What to try after `refused` tunings were: 0: chosen itself; then tiles of half and a quarter of its
 *  queries, the family's, and at last one that every device takes. False when there is no other. */
bool clkv__tune_next(const struct clkv__tune *tune, const struct clkv__tuning *chosen, int refused,
                     struct clkv__tuning *out);

#endif
