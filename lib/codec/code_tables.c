/* SPDX-License-Identifier: MIT */
/** \file code_tables.c \brief Code tables: built, uploaded, counted, replaced when the data has drifted. */
#include "codec/code_tables.h"

#include "base/alloc.h"
#include "base/error.h"
#include "codec/book.h"
#include "codec/huffman.h"
#include "device/context.h"

#include <math.h>
#include <string.h>

/* Tables of a generation. On real keys and values one table costs 0.01 bits per code more than one per layer, and
 * 8 cost no more; each takes 8 KiB. */
enum { GENERATION = 3 };
/* Codes after which the running mean is looked at: 64 blocks of 64 x 64. */
#define DRIFT_CODES (UINT64_C(1) << 18)
#define DRIFT 1.10

/* Two symbols per look-up, as cl/codec/bounded_block.clh has it. */
static bool in_pairs(const struct clkv__alphabet *a)
{
	return a->symbols <= 32 && 2 * a->lmax <= 12;
}

static int lookup_bits(const struct clkv__alphabet *a)
{
	return in_pairs(a) ? 2 * a->lmax : a->lmax;
}

/* Entries of two bytes. */
static uint32_t lookup_words(const struct clkv__alphabet *a)
{
	return a->symbols ? (1u << lookup_bits(a)) / 2 : 0;
}

struct clkv__code_words clkv__code_words(const struct clkv__alphabet alphabet[2])
{
	struct clkv__code_words w;
	w.v_lookup = ABI_TABLES * lookup_words(&alphabet[0]);
	w.k_encode = w.v_lookup + ABI_TABLES * lookup_words(&alphabet[1]);
	w.v_encode = w.k_encode + ABI_TABLES * (uint32_t)alphabet[0].symbols;
	w.total = w.v_encode + ABI_TABLES * (uint32_t)alphabet[1].symbols;
	return w;
}

uint64_t clkv__code_tables_bytes(const struct clkv__codec_layout *layout)
{
	return (uint64_t)clkv__code_words(layout->alphabet).total * 4;
}

/* Where a table's look-up and codes begin, in words. */
static uint32_t lookup_word(const struct clkv__code_tables *t, int side, uint32_t number)
{
	return (side ? t->words.v_lookup : 0) + number * lookup_words(&t->side[side].alphabet);
}

static uint32_t encode_word(const struct clkv__code_tables *t, int side, uint32_t number)
{
	return (side ? t->words.v_encode : t->words.k_encode) +
	       number * (uint32_t)t->side[side].alphabet.symbols;
}

/* A table as the device reads it. */
static void render(const struct clkv__alphabet *a, const uint8_t *lengths, uint32_t *lookup,
                   uint32_t *encode)
{
	clkv__huffman_lookup(lengths, a->symbols, lookup_bits(a), in_pairs(a),
	                     (uint16_t *)(void *)lookup);
	clkv__huffman_codes(lengths, a->symbols, encode);
}

clkv_status clkv__code_tables_init(struct clkv__code_tables *tables, const clkv_context *context,
                                   const struct clkv__codec_layout *layout, cl_command_queue queue,
                                   clkv_error *error)
{
	*tables = (struct clkv__code_tables){.allocator = &context->allocator};
	tables->words = clkv__code_words(layout->alphabet);
	tables->flat = layout->flat;
	if (tables->words.total == 0)
		return CLKV_OK;
	uint32_t *image = clkv__calloc(tables->allocator, tables->words.total, sizeof *image);
	if (!image)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for code tables");
	for (int i = 0; i < 2; i++) {
		struct clkv__code_side *s = &tables->side[i];
		s->alphabet = layout->alphabet[i];
		clkv__huffman_flat(s->alphabet.symbols, s->lengths[ABI_TABLE_FLAT]);
		render(&s->alphabet, s->lengths[ABI_TABLE_FLAT], image + lookup_word(tables, i, 0),
		       image + encode_word(tables, i, 0));
	}
	cl_int code;
	size_t bytes = (size_t)tables->words.total * 4;
	tables->mem = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
	if (code != CL_SUCCESS)
		tables->mem = NULL;
	clkv_status status = clkv__cl_check(error, code, "clCreateBuffer");
	if (status == CLKV_OK)
		status = clkv__cl_check(
			error,
			clEnqueueWriteBuffer(queue, tables->mem, CL_TRUE, 0, bytes, image, 0, NULL, NULL),
			"clEnqueueWriteBuffer");
	clkv__free(tables->allocator, image);
	return status;
}

void clkv__code_tables_free(struct clkv__code_tables *tables)
{
	if (tables->mem)
		clReleaseMemObject(tables->mem);
	*tables = (struct clkv__code_tables){0};
}

static bool side_wants(const struct clkv__code_side *s)
{
	return s->live == 0 || s->drifted;
}

bool clkv__code_tables_want(const struct clkv__code_tables *tables)
{
	return tables->mem && !tables->flat &&
	       (side_wants(&tables->side[0]) || side_wants(&tables->side[1]));
}

static clkv_status upload(struct clkv__code_tables *t, struct clkv__chain *chain, int side,
                          uint32_t number, const uint8_t *lengths, clkv_error *error)
{
	const struct clkv__alphabet *a = &t->side[side].alphabet;
	uint32_t n = lookup_words(a), symbols = (uint32_t)a->symbols;
	uint32_t *words = clkv__calloc(t->allocator, n + symbols, sizeof *words);
	if (!words)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for a code table");
	render(a, lengths, words, words + n);
	clkv_status status = clkv__chain_write_now(
		chain, t->mem, (size_t)lookup_word(t, side, number) * 4, (size_t)n * 4, words, error);
	if (status == CLKV_OK)
		status = clkv__chain_write_now(chain, t->mem, (size_t)encode_word(t, side, number) * 4,
		                               (size_t)symbols * 4, words + n, error);
	clkv__free(t->allocator, words);
	return status;
}

/* Numbers that no block uses; those of the generation that goes are among them. */
static int free_numbers(const struct clkv__code_side *s, uint32_t numbers[GENERATION])
{
	int n = 0;
	for (uint32_t i = 1; i < ABI_TABLES && n < GENERATION; i++)
		if (s->blocks[i] == 0)
			numbers[n++] = i;
	return n;
}

/* Bits per code that the tables promise for the histograms of their sources. */
static double promise(const struct clkv__alphabet *a, const uint32_t *histograms, size_t n,
                      const uint8_t *lengths, const uint32_t *owner)
{
	double bits = 0, codes = 0;
	for (size_t i = 0; i < n; i++) {
		const uint32_t *h = histograms + i * (size_t)a->symbols;
		bits +=
			(double)clkv__huffman_cost(h, lengths + owner[i] * (uint32_t)a->symbols, a->symbols);
		for (int j = 0; j < a->symbols; j++)
			codes += h[j];
	}
	return codes > 0 ? bits / codes : INFINITY;
}

/* What building the tables of a side takes on the host. */
struct workshop {
	uint32_t *histograms, *owner; /* [n][symbols], [n] */
	uint8_t *lengths;             /* [GENERATION][symbols] */
};

static clkv_status build_side(struct clkv__code_tables *t, struct clkv__chain *chain, int side,
                              const struct workshop *w, size_t n, clkv_error *error)
{
	struct clkv__code_side *s = &t->side[side];
	const struct clkv__alphabet *a = &s->alphabet;
	uint32_t numbers[GENERATION], live = 0;
	int room = free_numbers(s, numbers);
	if (room == 0)
		return CLKV_OK; /* every number is in use: the old tables go on */
	int made = clkv__book_cluster(w->histograms, n, a->symbols, a->lmax, room, w->lengths, w->owner,
	                              t->allocator, error);
	if (made == 0)
		return CLKV_ERROR_NO_HOST_MEMORY;
	/* What is written over is nobody's from here on, should a write fail: not of the live generation, nor
	 * found by its old lengths. */
	for (int i = 0; i < made; i++) {
		s->live &= ~(1u << numbers[i]);
		s->written |= 1u << numbers[i];
		CLKV_TRY(upload(t, chain, side, numbers[i], w->lengths + i * a->symbols, error));
		live |= 1u << numbers[i];
	}
	for (int i = 0; i < made; i++)
		memcpy(s->lengths[numbers[i]], w->lengths + i * a->symbols, (size_t)a->symbols);
	s->live = live;
	s->promised = promise(a, w->histograms, n, w->lengths, w->owner);
	s->bits = s->codes = 0;
	s->drifted = false;
	return CLKV_OK;
}

clkv_status clkv__code_tables_build(struct clkv__code_tables *tables, struct clkv__chain *chain,
                                    const uint32_t *histograms, size_t n, clkv_error *error)
{
	const clkv_allocator *a = tables->allocator;
	clkv_status status = CLKV_OK;
	struct workshop w = {
		.histograms = clkv__calloc(a, n * ABI_SYMBOLS, sizeof *w.histograms),
		.owner = clkv__calloc(a, n, sizeof *w.owner),
		.lengths = clkv__calloc(a, (size_t)GENERATION * ABI_SYMBOLS, 1),
	};
	if (!w.histograms || !w.owner || !w.lengths)
		status = clkv__error_set(error, CLKV_ERROR_NO_HOST_MEMORY,
		                         "no host memory for %zu histograms", 2 * n);
	for (int side = 0; side < 2 && status == CLKV_OK; side++) {
		size_t symbols = (size_t)tables->side[side].alphabet.symbols;
		if (!side_wants(&tables->side[side]))
			continue;
		for (size_t i = 0; i < n; i++)
			memcpy(w.histograms + i * symbols, histograms + (2 * i + (size_t)side) * ABI_SYMBOLS,
			       symbols * sizeof *histograms);
		status = build_side(tables, chain, side, &w, n, error);
	}
	clkv__free(a, w.histograms);
	clkv__free(a, w.owner);
	clkv__free(a, w.lengths);
	return status;
}

clkv_status clkv__code_tables_adopt(struct clkv__code_tables *tables, struct clkv__chain *chain,
                                    int side, const uint8_t *lengths, uint32_t *number,
                                    clkv_error *error)
{
	struct clkv__code_side *s = &tables->side[side];
	size_t symbols = (size_t)s->alphabet.symbols;
	*number = UINT32_MAX;
	for (uint32_t i = 0; i < ABI_TABLES; i++) {
		bool there = i == ABI_TABLE_FLAT || s->blocks[i] > 0 || s->live >> i & 1;
		if (there && memcmp(s->lengths[i], lengths, symbols) == 0) {
			*number = i;
			return CLKV_OK;
		}
		if (!there && *number == UINT32_MAX)
			*number = i;
	}
	if (*number == UINT32_MAX)
		return CLKV_OK;
	CLKV_TRY(upload(tables, chain, side, *number, lengths, error));
	memcpy(s->lengths[*number], lengths, symbols);
	return CLKV_OK;
}

void clkv__code_tables_use(struct clkv__code_tables *tables, uint32_t flags)
{
	const uint32_t number[2] = {ABI_FLAGS_K(flags), ABI_FLAGS_V(flags)};
	for (int i = 0; tables->mem && i < 2; i++)
		if (number[i] < ABI_TABLES)
			tables->side[i].blocks[number[i]]++;
}

void clkv__code_tables_drop(struct clkv__code_tables *tables, uint32_t flags)
{
	const uint32_t number[2] = {ABI_FLAGS_K(flags), ABI_FLAGS_V(flags)};
	for (int i = 0; tables->mem && i < 2; i++)
		if (number[i] < ABI_TABLES)
			tables->side[i].blocks[number[i]]--;
}

void clkv__code_tables_note(struct clkv__code_tables *tables, int side, uint64_t bytes,
                            uint64_t codes)
{
	struct clkv__code_side *s = &tables->side[side];
	s->bits += 8 * bytes;
	s->codes += codes;
	if (s->codes < DRIFT_CODES)
		return;
	s->drifted = (double)s->bits > DRIFT * s->promised * (double)s->codes;
	s->bits = s->codes = 0;
}

struct clkv__code_progress clkv__code_tables_progress(struct clkv__code_tables *tables)
{
	struct clkv__code_progress p = {0};
	for (int i = 0; i < 2; i++) {
		struct clkv__code_side *s = &tables->side[i];
		s->written = 0;
		p.side[i].promised = s->promised;
		p.side[i].bits = s->bits;
		p.side[i].codes = s->codes;
		p.side[i].live = s->live;
		p.side[i].drifted = s->drifted;
	}
	return p;
}

void clkv__code_tables_go_back(struct clkv__code_tables *tables,
                               const struct clkv__code_progress *progress)
{
	for (int i = 0; i < 2; i++) {
		struct clkv__code_side *s = &tables->side[i];
		s->promised = progress->side[i].promised;
		s->bits = progress->side[i].bits;
		s->codes = progress->side[i].codes;
		/* a new generation was written, or half of it, over numbers that no block used, those of the old one among them */
		s->live = progress->side[i].live & ~s->written;
		s->drifted = progress->side[i].drifted;
	}
}

uint64_t clkv__code_tables_used(const struct clkv__code_tables *tables)
{
	uint64_t bytes = 0;
	for (int i = 0; tables->mem && i < 2; i++) {
		const struct clkv__code_side *s = &tables->side[i];
		for (uint32_t j = 0; j < ABI_TABLES; j++)
			if (j == ABI_TABLE_FLAT || s->blocks[j] > 0 || s->live >> j & 1)
				bytes += 4 * ((uint64_t)lookup_words(&s->alphabet) + (uint64_t)s->alphabet.symbols);
	}
	return bytes;
}
