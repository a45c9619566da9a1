/* SPDX-License-Identifier: MIT */
/** \file snapshot_section.c \brief The codec's own record: code tables of entropy-coded pages. */
#include "base/alloc.h"
#include "cache/idle.h"
#include "codec/huffman.h"
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_codec.h"

#include <string.h>

static bool has_section(const clkv_cache *cache)
{
	return !cache->plan.sealing.dense && cache->plan.sealing.layout.alphabet[0].symbols > 0;
}

/* ---------------------------------------------------------------- out ---- */

/* Numbers a table of a page, unless it is flat, none at all, or has a number. */
static void number(struct clkv__codec_section *section, int side, uint32_t table)
{
	if (table != ABI_TABLE_FLAT && table < ABI_TABLES && section->number[side][table] == 0)
		section->number[side][table] = (unsigned char)++section->n[side];
}

void clkv__section_of(struct clkv__codec_section *section, const clkv_seq *seq, uint32_t first,
                      uint32_t n)
{
	clkv_cache *cache = seq->cache;
	*section = (struct clkv__codec_section){.cache = cache};
	if (!has_section(cache))
		return;
	for (int l = cache->plan.general.skip; l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++) {
			const uint32_t *row = &cache->tables.mirror[clkv__seq_row(seq, l, s)];
			for (uint32_t i = first; i < first + n && i < row[ABI_ROW_SEALED]; i++) {
				uint32_t flags = row[ABI_ROW_ENTRY(i) + ABI_ENTRY_FLAGS];
				if (flags & ABI_FLAG_OPEN)
					continue;
				number(section, 0, ABI_FLAGS_K(flags));
				number(section, 1, ABI_FLAGS_V(flags));
			}
		}
}

static uint32_t to_file(const struct clkv__codec_section *section, int side, uint32_t table)
{
	return table < ABI_TABLES ? section->number[side][table] : table;
}

uint32_t clkv__section_flags(const struct clkv__codec_section *section, uint32_t flags)
{
	if (!has_section(section->cache))
		return flags;
	return ABI_FLAGS(to_file(section, 0, ABI_FLAGS_K(flags)) | (flags & ABI_FLAG_EXACT),
	                 to_file(section, 1, ABI_FLAGS_V(flags)), ABI_FLAGS_UNITS(flags));
}

/* The tables of one side, in the order of their numbers in the file. */
static unsigned char *put_side(const struct clkv__codec_section *section, int side,
                               unsigned char *at)
{
	const struct clkv__code_side *s = &section->cache->code_tables.side[side];
	uint32_t symbols = (uint32_t)s->alphabet.symbols;
	clkv__put32(at, section->n[side]);
	at += 4;
	for (uint32_t i = 1; i <= section->n[side]; i++) {
		const unsigned char *of = memchr(section->number[side], (int)i, ABI_TABLES);
		clkv__put32(at, i);
		clkv__put32(at + 4, symbols);
		memcpy(at + 8, s->lengths[of - section->number[side]], symbols);
		at += 8 + symbols;
	}
	return at;
}

clkv_status clkv__section_put(const struct clkv__codec_section *section,
                              struct clkv__snapshot_out *out, clkv_error *error)
{
	const clkv_allocator *a = &section->cache->context->allocator;
	if (!has_section(section->cache))
		return CLKV_OK;
	unsigned char *bytes = clkv__calloc(a, CLKV__SECTION_BYTES, 1);
	if (!bytes)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for code tables");
	unsigned char *end = put_side(section, 1, put_side(section, 0, bytes));
	const struct clkv__record record = {.kind = CLKV__RECORD_CODEC,
	                                    .bytes = (uint32_t)(end - bytes)};
	clkv_status status = clkv__snapshot_put_record(out, &record, bytes, error);
	clkv__free(a, bytes);
	return status;
}

/* ---------------------------------------------------------------- in ---- */

/* The bytes of the record that haven't been looked at. */
struct rest {
	const unsigned char *at;
	size_t n;
};

static bool take_word(struct rest *rest, uint32_t *word)
{
	if (rest->n < 4)
		return false;
	*word = clkv__get32(rest->at);
	rest->at += 4;
	rest->n -= 4;
	return true;
}

/* One table: what is wrong with it, or NULL and its lengths. */
static const char *take_table(const struct clkv__alphabet *a, uint32_t want, struct rest *rest,
                              const uint8_t **lengths)
{
	uint32_t number, symbols;
	if (!take_word(rest, &number) || !take_word(rest, &symbols))
		return "it is too short";
	if (number != want || symbols != (uint32_t)a->symbols)
		return "a table has another number, or not the recipe's symbols";
	if (rest->n < symbols)
		return "it is too short";
	*lengths = rest->at;
	rest->at += symbols;
	rest->n -= symbols;
	return clkv__huffman_lengths_valid(*lengths, a->symbols, a->lmax) ? NULL : "a table is no code";
}

/* Gives a table a number in the cache and holds it, so that the next one doesn't get the same. */
static clkv_status adopt(struct clkv__codec_section *section, struct clkv__chain *chain, int side,
                         uint32_t i, const uint8_t *lengths, clkv_error *error)
{
	struct clkv__code_tables *tables = &section->cache->code_tables;
	uint32_t number;
	CLKV_TRY(clkv__code_tables_adopt(tables, chain, side, lengths, &number, error));
	if (number == UINT32_MAX)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
		          "all %d code tables of %s are in use, so the snapshot's find no room: destroy "
		          "sequences, or load it into another cache",
		          ABI_TABLES - 1, side ? "V" : "K");
	tables->side[side].blocks[number]++;
	section->number[side][i] = (unsigned char)number;
	section->n[side] = i;
	return CLKV_OK;
}

static clkv_status adopt_all(struct clkv__codec_section *section, struct clkv__snapshot_in *in,
                             struct clkv__chain *chain, struct rest rest, clkv_error *error)
{
	for (int side = 0; side < 2; side++) {
		const struct clkv__alphabet *a = &section->cache->plan.sealing.layout.alphabet[side];
		uint32_t n;
		if (!take_word(&rest, &n) || n >= ABI_TABLES)
			return clkv__snapshot_damaged(in, error, "it has too many tables, or none of a side");
		for (uint32_t i = 1; i <= n; i++) {
			const uint8_t *lengths = NULL;
			const char *wrong = take_table(a, i, &rest, &lengths);
			if (wrong)
				return clkv__snapshot_damaged(in, error, "%s", wrong);
			CLKV_TRY(adopt(section, chain, side, i, lengths, error));
		}
	}
	return rest.n ? clkv__snapshot_damaged(in, error, "it is too long") : CLKV_OK;
}

static clkv_status get_bytes(struct clkv__snapshot_in *in, unsigned char *bytes, uint32_t *n,
                             clkv_error *error)
{
	struct clkv__record record = {.kind = CLKV__RECORD_CODEC};
	CLKV_TRY(clkv__snapshot_get_record(in, &record, error));
	if (record.bytes > CLKV__SECTION_BYTES || record.count || record.flags)
		return clkv__snapshot_damaged(in, error, "it has %u bytes", record.bytes);
	*n = record.bytes;
	CLKV_TRY(clkv__snapshot_get(in, bytes, record.bytes, error));
	return clkv__snapshot_get_checksum(in, error);
}

clkv_status clkv__section_get(struct clkv__codec_section *section, clkv_cache *cache,
                              struct clkv__snapshot_in *in, cl_command_queue queue,
                              clkv_error *error)
{
	const clkv_allocator *a = &cache->context->allocator;
	*section = (struct clkv__codec_section){.cache = cache};
	if (!has_section(cache))
		return CLKV_OK;
	unsigned char *bytes = clkv__calloc(a, CLKV__SECTION_BYTES, 1);
	struct clkv__chain chain = {0};
	uint32_t n = 0;
	if (!bytes)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for code tables");
	clkv_status status = get_bytes(in, bytes, &n, error);
	if (status == CLKV_OK)
		status = clkv__cache_lock_idle(cache, error);
	if (status == CLKV_OK) {
		status = clkv__cache_join(cache, &chain, queue, error);
		bool joined = status == CLKV_OK;
		if (joined)
			status = adopt_all(section, in, &chain, (struct rest){bytes, n}, error);
		status = clkv__cache_finish(cache, &chain, joined, status, error);
	}
	clkv__free(a, bytes);
	return status;
}

/* The cache's number of a side's table; false if the file has no such table. */
static bool from_file(const struct clkv__codec_section *section, int side, uint32_t table,
                      uint32_t *number)
{
	*number = table;
	if (table == ABI_TABLE_HALF)
		return true;
	if (table > section->n[side])
		return false;
	*number = section->number[side][table];
	return true;
}

bool clkv__section_translate(const struct clkv__codec_section *section, uint32_t *flags)
{
	uint32_t k, v;
	if (!has_section(section->cache))
		return true;
	if (!from_file(section, 0, ABI_FLAGS_K(*flags), &k) ||
	    !from_file(section, 1, ABI_FLAGS_V(*flags), &v))
		return false;
	*flags = ABI_FLAGS(k | (*flags & ABI_FLAG_EXACT), v, ABI_FLAGS_UNITS(*flags));
	return true;
}

void clkv__section_end(struct clkv__codec_section *section)
{
	clkv_cache *cache = section->cache;
	if (!cache)
		return;
	pthread_mutex_lock(&cache->mutex);
	for (int side = 0; side < 2; side++)
		for (uint32_t i = 1; i <= section->n[side]; i++)
			cache->code_tables.side[side].blocks[section->number[side][i]]--;
	pthread_mutex_unlock(&cache->mutex);
	*section = (struct clkv__codec_section){0};
}

void clkv__section_account(const struct clkv__codec_section *section)
{
	for (int side = 0; side < 2; side++)
		if (section->cache->loaded_scale[side] < section->scale[side])
			section->cache->loaded_scale[side] = section->scale[side];
}
