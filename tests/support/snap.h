/* SPDX-License-Identifier: MIT */
/**
 * \file    snap.h
 * \brief   A snapshot of a small sequence, taken apart and put together again as doc/file-format.md says.
 *
 * A file is a header and records. Each of these parts ends in a checksum of all before it.
 */
#ifndef TEST_SNAP_H
#define TEST_SNAP_H

#include "memory_file.h"

#include <stdbool.h>

#define SNAP_KIVI "kivi:bits=2,group=16 ; window=3,sinks=2,block=32"
#define SNAP_KITTY "kitty:boost=0.5,group=16 ; window=3,sinks=2,block=32"
#define SNAP_KVQUANT "kvquant:k=3,v=2,group=16,outliers=0.02 ; window=3,sinks=2,block=32"
#define SNAP_KVCOMP "kvcomp:rel_k=0.1,rel_v=0.1,entropy=huffman ; window=3,block=32"
#define SNAP_PACK "qtc:entropy=pack ; window=3,sinks=2,block=32"
#define SNAP_HALVES "f16 ; block=32"

/** Bytes of magic number and header without the recipe, of a record without its contents, of a checksum. */
enum { SNAP_WORDS = 10, SNAP_HEAD = 8 + 4 * SNAP_WORDS, SNAP_RECORD = 32, SNAP_SUM = 8 };
enum { SNAP_PARTS = 128 };
/** Words of the header and of a record, kinds of records: those that tests name. */
enum { SNAP_RECIPE_BYTES = 1, SNAP_FLAGS = 9 };
enum { SNAP_KIND, SNAP_ENTRY_FLAGS = 5, SNAP_BYTES = 6 };
enum {
	SNAP_SEALED = 2,
	SNAP_HALF,
	SNAP_END,
	SNAP_CHOICE,
	SNAP_MERGED,
	SNAP_SEGMENTS,
	SNAP_BOOK,
	SNAP_INDEX,
	SNAP_QUERIES
};

/** A cache of 2 layers with a sequence of 55 tokens, and its file. */
struct snap {
	struct feed feed;
	struct stream stream;
	struct memory_file file;
	size_t parts, ends[SNAP_PARTS]; /**< where the parts' checksums are */
};

clkv_geometry snap_geometry(void);

/** Of the recipes above: 2 sinks, two sealed pages, the second of them partial, 3 tokens open. */
void snap_open(struct snap *snap, const char *recipe);
/** Takes the file apart again, of one recipe. */
void snap_list(struct snap *snap);
/** The file must still load as the sequence. */
void snap_close(struct snap *snap);

uint32_t snap_word(const unsigned char *at);
void snap_set_word(unsigned char *at, uint32_t value);

/** Where record 1 and those behind it begin, and their contents. */
size_t snap_record(const struct snap *snap, size_t part);
size_t snap_contents(const struct snap *snap, size_t part);

/** Puts right checksums behind all parts. */
void snap_seal(struct snap *snap);

#endif
