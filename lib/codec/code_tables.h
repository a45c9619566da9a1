/* SPDX-License-Identifier: MIT */
/**
 * \file    code_tables.h
 * \brief   The code tables of a cache's entropy-coded blocks: a set for K, one for V, on the device.
 *
 * Table 0 of a side is flat and always there. A generation of others is built from histograms of what
 * is being sealed; blocks take the cheapest of the newest generation. When they cost 10 % more bits than
 * the histograms promised, the next seal builds a new generation; an old table lives while a block uses
 * it. Source: KVComp, arXiv 2509.00579, which has one table per layer, for good.
 */
#ifndef CLKV__CODE_TABLES_H
#define CLKV__CODE_TABLES_H

#include "../cl/base/abi.clh"
#include "codec/codec.h"
#include "device/queue.h"

/** Sections of the tables on the device, in words: look-ups of K and V, codes of K and V. */
struct clkv__code_words {
	uint32_t v_lookup, k_encode, v_encode, total;
};

struct clkv__code_words clkv__code_words(const struct clkv__alphabet alphabet[2]);

struct clkv__code_side {
	struct clkv__alphabet alphabet;
	uint8_t lengths[ABI_TABLES][ABI_SYMBOLS]; /**< bits of each symbol's code */
	uint32_t blocks[ABI_TABLES];              /**< that use a table */
	uint32_t live;                            /**< tables that new blocks may take, a bit each */
	double promised;                          /**< bits per code of this generation's histograms */
	uint64_t bits, codes;                     /**< of blocks since the last look at them */
	bool drifted;                             /**< they cost too much: build anew */
	uint32_t written; /**< numbers written over since the progress was noted */
};

/** What the sides know of their generations, for a commit that may fail. */
struct clkv__code_progress {
	struct {
		double promised;
		uint64_t bits, codes;
		uint32_t live;
		bool drifted;
	} side[2];
};

struct clkv__code_tables {
	cl_mem mem; /**< NULL: the codec has no tables */
	struct clkv__code_side side[2];
	struct clkv__code_words words;
	bool flat; /**< no others are ever built */
	const clkv_allocator *allocator;
};

/** The device bytes of the tables; 0 if the layout has none. */
uint64_t clkv__code_tables_bytes(const struct clkv__codec_layout *layout);

/** Makes the flat tables and enqueues their upload. Nothing is made for a layout without tables. */
clkv_status clkv__code_tables_init(struct clkv__code_tables *tables, const clkv_context *context,
                                   const struct clkv__codec_layout *layout, cl_command_queue queue,
                                   clkv_error *error);
void clkv__code_tables_free(struct clkv__code_tables *tables);

/** Whether the next seal should bring histograms: there are no tables yet, or they have drifted. */
bool clkv__code_tables_want(const struct clkv__code_tables *tables);

/** A generation of tables from histograms [n][2][ABI_SYMBOLS], of the sides that want one. Uploads them
 *  and waits. On failure the tables are as before. */
clkv_status clkv__code_tables_build(struct clkv__code_tables *tables, struct clkv__chain *chain,
                                    const uint32_t *histograms, size_t n, clkv_error *error);

/** Writes one table that came with a snapshot into a free number of a side; UINT32_MAX: none is free.
 *  Its lengths must be valid (clkv__huffman_lengths_valid). Equal tables get one number. */
clkv_status clkv__code_tables_adopt(struct clkv__code_tables *tables, struct clkv__chain *chain,
                                    int side, const uint8_t *lengths, uint32_t *number,
                                    clkv_error *error);

/** A block with these flags has come, with so many bytes of codes for K and V; or has gone. */
void clkv__code_tables_use(struct clkv__code_tables *tables, uint32_t flags);
void clkv__code_tables_drop(struct clkv__code_tables *tables, uint32_t flags);
/** Takes a block's size into the running mean. codes: of the side. */
void clkv__code_tables_note(struct clkv__code_tables *tables, int side, uint64_t bytes,
                            uint64_t codes);

/** What was noted so far; and back to that, when blocks sealed since then are dropped. A generation that was built
 *  meanwhile is none, and the next seal brings histograms of its own. */
struct clkv__code_progress clkv__code_tables_progress(struct clkv__code_tables *tables);
void clkv__code_tables_go_back(struct clkv__code_tables *tables,
                               const struct clkv__code_progress *progress);

/** Device bytes of the tables that blocks use or may take. */
uint64_t clkv__code_tables_used(const struct clkv__code_tables *tables);

#endif
