/* SPDX-License-Identifier: MIT */
/** \file snapshot_half.h \brief Tokens in half: which of a block's belong to a sequence, and only those. */
#ifndef CLKV__SNAPSHOT_HALF_H
#define CLKV__SNAPSHOT_HALF_H

#include "snapshot/snapshot_head.h"

/** Tokens of half block number j that a layer needs from it, counted from the block's first one. */
struct clkv__live {
	uint32_t n;
	unsigned char token[128];
};

void clkv__half_live(const struct clkv__snapshot_head *head, const struct clkv__plan *plan,
                     int layer, uint32_t j, struct clkv__live *live);

/** The record of those tokens; with their states, where tokens are selected. */
struct clkv__record clkv__half_record(const struct clkv__snapshot_head *head,
                                      const struct clkv__plan *plan, int layer, int stream,
                                      uint32_t j, const struct clkv__live *live);

/** From a block [dk][block], [block][dv] to K [dk][n], V [n][dv], and back: the others stay. */
void clkv__half_pack(const struct clkv__shape *shape, int block, const struct clkv__live *live,
                     const unsigned char *whole, unsigned char *packed);
void clkv__half_unpack(const struct clkv__shape *shape, int block, const struct clkv__live *live,
                       const unsigned char *packed, unsigned char *whole);

/** The same of what selecting needs of their states, with which blocks begin: scores and traces [2][n] words. */
void clkv__half_pack_state(int block, const struct clkv__live *live, const unsigned char *state,
                           unsigned char *packed);
void clkv__half_unpack_state(int block, const struct clkv__live *live, const unsigned char *packed,
                             unsigned char *state);

#endif
