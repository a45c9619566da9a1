/* SPDX-License-Identifier: MIT */
/** \file snapshot_bounded.h \brief Pages of the error-bounded codec: cl/codec/bounded_block.clh draws them. */
#ifndef CLKV__SNAPSHOT_BOUNDED_H
#define CLKV__SNAPSHOT_BOUNDED_H

#include "snapshot/snapshot_codec.h"

/** Where the payloads of K and V begin, and where V's ends: bytes from the codec's block, which lies behind the
 *  section of a pruned page; so does what these functions get. head: what the page's head stores. */
struct clkv__bounded_parts {
	uint32_t lanes_end, k, k_end, v, v_end;
};

/** False if the page isn't what an entry with these flags holds: its lanes are longer than the page, or
 *  no side is stored like that. page holds as many bytes as the flags say. */
bool clkv__bounded_find(const clkv_cache *cache, const struct clkv__variant *head, uint32_t flags,
                        const unsigned char *page, struct clkv__bounded_parts *parts);

void clkv__bounded_tidy(const clkv_cache *cache, const struct clkv__variant *head,
                        const struct clkv__record *record, unsigned char *page);
clkv_status clkv__bounded_check(struct clkv__codec_section *section,
                                const struct clkv__variant *head,
                                const struct clkv__snapshot_in *in, const unsigned char *page,
                                struct clkv__record *record, clkv_error *error);

#endif
