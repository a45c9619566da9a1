/* SPDX-License-Identifier: MIT */
/** \file snap.c \brief Parts of snapshots. Written from doc/file-format.md, not from the library. */
#include "snap.h"

#include "expect.h"
#include "fixture.h"

#include <string.h>

clkv_geometry snap_geometry(void)
{
	return feed_geometry(2, 1, 1, 16, 32);
}

uint32_t snap_word(const unsigned char *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void snap_set_word(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> 8 * i);
}

size_t snap_record(const struct snap *snap, size_t part)
{
	return snap->ends[part - 1] + SNAP_SUM;
}

size_t snap_contents(const struct snap *snap, size_t part)
{
	return snap_record(snap, part) + SNAP_RECORD;
}

/* Follows the records' sizes to the file's end. */
void snap_list(struct snap *snap)
{
	const unsigned char *bytes = snap->file.bytes;
	size_t n = 0, at;
	/* what rows were turned by has a number behind the recipe */
	size_t given = snap_word(bytes + 8 + 4 * SNAP_FLAGS) & 2 ? 8 : 0;
	snap->ends[n++] = SNAP_HEAD + snap_word(bytes + 8 + 4 * SNAP_RECIPE_BYTES) + given;
	do {
		ck_assert_uint_lt(n, SNAP_PARTS);
		at = snap_record(snap, n);
		snap->ends[n++] = at + SNAP_RECORD + snap_word(bytes + at + 4 * SNAP_BYTES);
	} while (snap->ends[n - 1] + SNAP_SUM < snap->file.n);
	ck_assert_uint_eq(snap->ends[n - 1] + SNAP_SUM, snap->file.n);
	snap->parts = n;
}

void snap_open(struct snap *snap, const char *recipe)
{
	memset(snap, 0, sizeof *snap);
	snap->feed.geometry = snap_geometry();
	feed_open(&snap->feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&snap->feed, &snap->stream);
	feed_one(&snap->feed, &snap->stream, 55, CLKV_PROMPT_END, 1, NULL);
	memory_save(&snap->feed, &snap->stream, NULL, &snap->file);
	snap_list(snap);
}

void snap_close(struct snap *snap)
{
	static struct stream again;
	memory_load(&snap->feed, &snap->file, &snap->stream, &again);
	expect_same_cache(&snap->feed, &snap->stream, &again);
	memory_close(&snap->file);
	feed_close(&snap->feed);
}

static uint64_t fnv(uint64_t hash, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

void snap_seal(struct snap *snap)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	unsigned char *bytes = snap->file.bytes;
	size_t at = 0;
	for (size_t i = 0; i < snap->parts; i++) {
		size_t end = snap->ends[i];
		hash = fnv(hash, bytes + at, end - at);
		snap_set_word(bytes + end, (uint32_t)hash);
		snap_set_word(bytes + end + 4, (uint32_t)(hash >> 32));
		at = end + SNAP_SUM;
	}
}
