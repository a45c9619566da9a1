/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_calibration.c
 * \brief   Any bytes as a calibration file: refused with an error, or what kernels can walk, and packed again to the same bytes.
 *
 * An odd first byte: the checksum, the last 8 bytes, is made right.
 */
#include "fuzz_given.h"

#include "codec/codec.h"
#include "fuzz_given_model.h"
#include "plan/calibration.h"
#include "plan/calibration_image.h"
#include "plan/given_file.h"

#include <math.h>
#include <string.h>

enum {
	DK = FUZZ_GIVEN_DK,
	DV = FUZZ_GIVEN_DV,
	LAYERS = FUZZ_GIVEN_LAYERS,
	BLOCK = 64,
	DICTIONARIES = 2 * ABI_COMPONENT_CLASSES,
	MOST = 1 << 20
};

static struct clkv__shape shape;
static struct clkv__codec_layout layout;
static const union clkv__codec_spec spec = {.qtc = {.room = 1}};

static void prepare(void)
{
	const clkv_geometry g = fuzz_given_geometry();
	clkv_error error = {.position = -1};
	const struct clkv__kept all = {.k_rows = DK, .k_channels = DK};
	fuzz_require(clkv__shape_read(&g, &shape, &error) == CLKV_OK, error.text);
	fuzz_require(clkv__codec_qtc.layout(&spec, &shape, all, BLOCK, &layout, &error) == CLKV_OK,
	             error.text);
	fuzz_require(clkv__calibration_bytes(&shape) <= MOST,
	             "a file is longer than the fuzzer's room");
}

/* Every head as arrays of a file, and the dictionaries. */
struct parts {
	float k_step[LAYERS * DK], k_mean[LAYERS * DK], k_ask[LAYERS * DK], k_square[LAYERS * DK];
	float k_error[LAYERS * 3 * DK], threshold[LAYERS * 2], v_step[LAYERS], v_mean[LAYERS * DV];
	uint8_t k_class[LAYERS * DK], v_class[LAYERS * DV];
	struct clkv__phrases dictionaries[DICTIONARIES];
};

static void take_head(const struct clkv__calibrated *h, size_t l, struct parts *p)
{
	memcpy(p->k_step + l * DK, h->k_step, 4 * DK);
	memcpy(p->k_mean + l * DK, h->k_mean, 4 * DK);
	memcpy(p->k_ask + l * DK, h->k_ask, 4 * DK);
	memcpy(p->k_square + l * DK, h->k_square, 4 * DK);
	for (size_t i = 0; i < 3; i++)
		memcpy(p->k_error + (3 * l + i) * DK, h->k_error[i], 4 * DK);
	memcpy(p->threshold + 2 * l, h->threshold, 2 * 4);
	p->v_step[l] = h->v_step;
	memcpy(p->v_mean + l * DV, h->v_mean, 4 * DV);
	memcpy(p->k_class + l * DK, h->k_class, DK);
	memcpy(p->v_class + l * DV, h->v_class, DV);
}

/* Steps by which rows can be divided, and multiplied again. */
static void require_usable(const uint8_t *file, const struct clkv__calibrated *h)
{
	for (int c = 0; c < DK; c++)
		fuzz_require(h->k_step[c] >= CLKV__STEP_LEAST && h->k_step[c] <= CLKV__STEP_MOST &&
		                 isfinite(h->k_mean[c]) && isfinite(h->k_ask[c]) &&
		                 isfinite(h->k_square[c]),
		             "numbers of K that no kernel can use are accepted");
	fuzz_require(clkv__calibrated_unpaired(&shape, clkv__calibration_turned(file), h) == NULL,
	             "steps that RoPE turns into others are accepted");
	fuzz_require(h->v_step >= CLKV__STEP_LEAST && h->v_step <= CLKV__STEP_MOST,
	             "a step of V that no kernel can use is accepted");
}

/* What was read makes the file that was read. The kind of RoPE may be missing in it. */
static void check_packing(const uint8_t *file, size_t n)
{
	static struct parts p;
	static uint8_t packed[MOST];
	struct clkv__calibrated head;
	clkv_calibration c = CLKV_INIT(clkv_calibration);
	for (int l = 0; l < LAYERS; l++) {
		clkv__calibration_head(&shape, file, l, 0, &head);
		require_usable(file, &head);
		take_head(&head, (size_t)l, &p);
	}
	for (int i = 0; i < DICTIONARIES; i++) {
		clkv__calibration_phrases(&shape, file, i / ABI_COMPONENT_CLASSES,
		                          i % ABI_COMPONENT_CLASSES, p.dictionaries + i);
		fuzz_require(clkv__phrases_valid(p.dictionaries + i),
		             "a dictionary that is none is accepted");
	}
	c.k_step = p.k_step, c.k_mean = p.k_mean, c.k_ask = p.k_ask, c.k_square = p.k_square;
	c.k_error = p.k_error, c.threshold = p.threshold, c.v_step = p.v_step, c.v_mean = p.v_mean;
	clkv__calibration_factors(file, 0, c.k_factor);
	clkv__calibration_factors(file, 1, c.v_factor);
	c.turned_pairs = clkv__calibration_turned(file);
	const struct clkv__calibration_codes codes = {p.k_class, p.v_class, p.dictionaries};
	clkv__calibration_pack(&shape, &c, &codes, FUZZ_CALIBRATION_MODEL, packed);
	size_t rope = CLKV__GIVEN_MAGIC + 4 * CLKV__CALIBRATION_ROPE;
	bool said = clkv__get32(file + rope) != 0;
	fuzz_require(memcmp(packed, file, said ? n : rope) == 0, "what is packed isn't what was read");
	fuzz_require(said || memcmp(packed + rope + 4, file + rope + 4, n - rope - 12) == 0,
	             "what is packed isn't what was read");
}

/* What a decoder without branches stores stays in the room that it has; a coder's slots end each search. */
static void require_walkable(const uint32_t *dictionary)
{
	const uint8_t *counts = (const uint8_t *)(dictionary + ABI_DICTIONARY_COUNTS);
	const uint32_t *slots = dictionary + ABI_DICTIONARY_SLOTS;
	int free_slots = 0;
	fuzz_require(dictionary[0] >= 8 && dictionary[0] <= ABI_PHRASE_BITS, "words of so many bits");
	for (int i = 0; i < ABI_PHRASES; i++)
		fuzz_require(counts[i] <= (dictionary[1] ? ABI_PHRASE_LONGEST : ABI_PHRASE_STORED),
		             "a phrase is longer than a lane has room for");
	for (int i = 0; i < ABI_PHRASE_SLOTS; i++)
		free_slots += slots[i] == 0;
	fuzz_require(counts[0] == 0 && free_slots > 0, "an escape has codes, or no slot is free");
}

static void check_image(const uint8_t *file)
{
	static uint32_t words[MOST];
	static const clkv_allocator allocator; /* that of C */
	uint32_t units[LAYERS];
	clkv_error error = {.position = -1};
	fuzz_require(clkv__calibration_words(&shape) <= MOST, "words are more than the fuzzer's room");
	fuzz_require(clkv__calibration_image(&shape, file, &allocator, words, &error) == CLKV_OK,
	             error.text);
	for (int i = 0; i < DICTIONARIES; i++)
		require_walkable(words +
		                 ABI_DICTIONARY(i / ABI_COMPONENT_CLASSES, i % ABI_COMPONENT_CLASSES));
	for (int packed = 0; packed < 2; packed++) {
		const struct clkv__qtc_spec told = {.room = 1, .packed = packed};
		clkv__calibration_units(&shape, file, BLOCK, &layout, &told, units);
		for (int l = 0; l < LAYERS; l++)
			fuzz_require(units[l] >= 1 && units[l] <= layout.units,
			             "a block of no size is expected");
	}
}

static void read_calibration(const uint8_t *file, size_t n)
{
	clkv_error error = {.position = -1};
	clkv_status status = clkv__calibration_check(&shape, file, n, FUZZ_CALIBRATION_MODEL, &error);
	fuzz_require(error.status == status, "error and status differ");
	fuzz_require(status == CLKV_OK || strlen(error.text) > 10, "refused without a sentence");
	if (status != CLKV_OK)
		return;
	fuzz_require(n == clkv__calibration_bytes(&shape), "a part is accepted");
	check_packing(file, n);
	check_image(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (shape.layers == 0)
		prepare();
	fuzz_given_file(data, size, read_calibration);
	return 0;
}
