/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_codec.h
 * \brief   What saving and loading must know of a codec: its sealed pages, and a section of its own.
 *
 * All that depends on a codec is here: how large a page is, whether bytes from outside are safe for its
 * kernels, which room of the pool a page takes, and what pages need beside themselves.
 */
#ifndef CLKV__SNAPSHOT_CODEC_H
#define CLKV__SNAPSHOT_CODEC_H

#include "snapshot/snapshot_stream.h"
#include "store/cache.h"

/** What a codec remembers from its section while pages come in. */
struct clkv__codec_section {
	const clkv_cache *cache;
};

/** The largest sealed page of a cache, in bytes. */
size_t clkv__page_room(const clkv_cache *cache);

/** Bytes of the page of an entry with these flags; 0: no page has such flags. */
uint32_t clkv__page_bytes(const clkv_cache *cache, uint32_t flags);

/** Zeroes what the device never wrote, so that the same tokens always make the same file. */
void clkv__page_tidy(const clkv_cache *cache, uint32_t flags, unsigned char *page);

/** Writes the record of kind CLKV__RECORD_CODEC, if the codec has one. */
clkv_status clkv__section_put(const clkv_seq *seq, struct clkv__snapshot_out *out,
                              clkv_error *error);

/** Reads it; what it took is given back by clkv__section_end, after a failure as well. */
clkv_status clkv__section_begin(struct clkv__codec_section *section, clkv_cache *cache,
                                struct clkv__snapshot_in *in, clkv_error *error);
void clkv__section_end(struct clkv__codec_section *section);

/** Checks a page whose size fits its flags: kernels must be able to read whatever it says. Translates
 *  the flags to the entry's in this cache. Errors: CORRUPT. */
clkv_status clkv__page_check(const struct clkv__codec_section *section,
                             const struct clkv__snapshot_in *in, const unsigned char *page,
                             uint32_t *flags, clkv_error *error);

/** The address of room for a page, CLKV__NO_SLOT if none is left. The caller holds the mutex. */
uint32_t clkv__page_take(const struct clkv__codec_section *section, clkv_cache *cache, int layer,
                         uint32_t flags);

#endif
