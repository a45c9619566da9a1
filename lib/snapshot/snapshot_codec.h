/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_codec.h
 * \brief   What saving and loading must know of a codec: its sealed pages, and a section of its own.
 *
 * All that depends on a codec is behind these functions: how large a page is, whether bytes from outside
 * are safe for its kernels, which room of the pool a page takes, and what pages need beside themselves.
 */
#ifndef CLKV__SNAPSHOT_CODEC_H
#define CLKV__SNAPSHOT_CODEC_H

#include "snapshot/snapshot_stream.h"
#include "store/cache.h"

/** Code tables have numbers of their own in a file: 1 and on in the order in which pages use them, so that
 *  the same sequence makes the same file wherever it lies. 0 is the flat table in all caches. */
struct clkv__codec_section {
	clkv_cache *cache;
	uint32_t n[2]; /**< tables of K and V in the file, the flat one left out */
	/** Saving: the file's number of the cache's; 0: not used. Loading: the cache's of the file's. */
	unsigned char number[2][ABI_TABLES];
	float scale[2]; /**< loading: the largest of K and V so far, of codecs that bound errors */
};

/** The largest sealed page of a cache, in bytes. */
size_t clkv__page_room(const clkv_cache *cache);

/** Bytes of the page of a record, by its layer, head and flags; 0: no page there has such flags. */
uint32_t clkv__page_bytes(const clkv_cache *cache, const struct clkv__record *record);

/** Zeroes what the device never wrote, so that the same tokens always make the same file. */
void clkv__page_tidy(const clkv_cache *cache, const struct clkv__record *record,
                     unsigned char *page);

/** Finds what n pages of each row of a sequence need; clkv__section_flags are an entry's flags in the file. */
void clkv__section_of(struct clkv__codec_section *section, const clkv_seq *seq, uint32_t first,
                      uint32_t n);
uint32_t clkv__section_flags(const struct clkv__codec_section *section, uint32_t flags);

/** From an entry's flags in the file to those in the cache that it is loaded into; false if the file has no such table. */
bool clkv__section_translate(const struct clkv__codec_section *section, uint32_t *flags);

/** Writes the record of kind CLKV__RECORD_CODEC, if the codec has one. */
clkv_status clkv__section_put(const struct clkv__codec_section *section,
                              struct clkv__snapshot_out *out, clkv_error *error);

/** Reads it; what it took is given back by clkv__section_end, after a failure as well. Errors: CORRUPT,
 *  POOL_FULL (no number is free for a table), and those of sending tables to the device. */
clkv_status clkv__section_get(struct clkv__codec_section *section, clkv_cache *cache,
                              struct clkv__snapshot_in *in, cl_command_queue queue,
                              clkv_error *error);
void clkv__section_end(struct clkv__codec_section *section);

/** Checks a page whose size fits its flags: kernels must be able to read whatever it says. Translates
 *  the record's flags to those of an entry in this cache. Errors: CORRUPT. */
clkv_status clkv__page_check(struct clkv__codec_section *section,
                             const struct clkv__snapshot_in *in, const unsigned char *page,
                             struct clkv__record *record, clkv_error *error);

/** The address of room for a page, CLKV__NO_SLOT if none is left. The caller holds the mutex. */
uint32_t clkv__page_take(clkv_cache *cache, const struct clkv__record *record);

/** All pages are there: figures that speak of sealed blocks speak of them too. The caller holds the mutex. */
void clkv__section_account(const struct clkv__codec_section *section);

#endif
