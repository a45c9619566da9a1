/* SPDX-License-Identifier: MIT */
/** \file phrases.c \brief Dictionaries of phrases: what coders and decoders look up, and whether one from outside is one. */
#include "codec/phrases.h"

#include <string.h>

enum { CODE_MOST = 127 };

static uint32_t parent_of(uint32_t phrase)
{
	return phrase >> 8;
}

/* The slot of a key, parent << 8 | integer, or the free one that ends the search for it. */
static uint32_t find_slot(const uint32_t *slots, uint32_t key)
{
	uint32_t i = ABI_PHRASE_SLOT(key);
	while (slots[i] != 0 && slots[i] >> ABI_PHRASE_BITS != key)
		i = (i + 1) % ABI_PHRASE_SLOTS;
	return i;
}

static void fill_slot(uint32_t *slots, uint32_t key, uint32_t phrase)
{
	slots[find_slot(slots, key)] = key << ABI_PHRASE_BITS | phrase;
}

void clkv__phrases_coder(const struct clkv__phrases *phrases, struct clkv__phrase_coder *coder)
{
	memset(coder, 0, sizeof *coder);
	coder->bits = phrases->bits;
	coder->sparse = clkv__phrases_sparse(phrases);
	for (uint32_t i = 1; i < phrases->n; i++)
		fill_slot(coder->slots, phrases->phrase[i], i);
}

uint32_t clkv__phrase_longer(const struct clkv__phrase_coder *coder, uint32_t phrase,
                             int8_t integer)
{
	return coder->slots[find_slot(coder->slots, phrase << 8 | (uint8_t)integer)] % ABI_PHRASES;
}

void clkv__phrases_decoder(const struct clkv__phrases *phrases,
                           uint8_t (*integers)[ABI_PHRASE_STORED], uint8_t *counts)
{
	memset(integers, 0, ABI_PHRASES * sizeof *integers);
	memset(counts, 0, ABI_PHRASES);
	for (uint32_t i = 1; i < phrases->n; i++) {
		const uint32_t parent = parent_of(phrases->phrase[i]);
		const uint8_t before = counts[parent];
		memcpy(integers[i], integers[parent], ABI_PHRASE_STORED);
		if (before < ABI_PHRASE_STORED)
			integers[i][before] = (uint8_t)phrases->phrase[i];
		counts[i] = (uint8_t)(before + 1);
	}
}

bool clkv__phrases_sparse(const struct clkv__phrases *phrases)
{
	uint8_t counts[ABI_PHRASES] = {0};
	bool sparse = false;
	for (uint32_t i = 1; i < phrases->n; i++) {
		counts[i] = (uint8_t)(counts[parent_of(phrases->phrase[i])] + 1);
		sparse = sparse || counts[i] > ABI_PHRASE_STORED;
	}
	return sparse;
}

double clkv__phrases_rate(const struct clkv__phrases *phrases)
{
	return (double)phrases->rate * phrases->bits / ABI_PHRASE_RATE;
}

uint32_t clkv__phrases_words(const struct clkv__phrase_coder *coder, const int8_t *codes,
                             size_t count)
{
	uint32_t phrase = 0, n = 0;
	while (coder->sparse && count > 0 && codes[count - 1] == 0)
		count--;
	for (size_t i = 0; i < count; i++) {
		uint32_t longer = clkv__phrase_longer(coder, phrase, codes[i]);
		if (!longer && phrase) {
			n++;
			longer = clkv__phrase_longer(coder, 0, codes[i]);
		}
		n += longer ? 0 : 2; /* an escape, and the integer */
		phrase = longer;
	}
	return n + (phrase != 0);
}

/* ---------------------------------------------------------------- dictionaries from outside ---- */

/* Whether phrase i can stand behind those before it, of which there are counts and slots. */
static bool phrase_valid(const struct clkv__phrases *phrases, uint32_t i, const uint8_t *counts,
                         const uint32_t *slots)
{
	const uint32_t key = phrases->phrase[i], parent = parent_of(key);
	const int integer = (int8_t)(key & 0xff);
	if (parent >= i || counts[parent] >= ABI_PHRASE_LONGEST || integer < -CODE_MOST)
		return false;
	return (counts[parent] < ABI_PHRASE_STORED || integer == 0) &&
	       slots[find_slot(slots, key)] == 0;
}

bool clkv__phrases_valid(const struct clkv__phrases *phrases)
{
	uint32_t slots[ABI_PHRASE_SLOTS] = {0};
	uint8_t counts[ABI_PHRASES] = {0};
	if ((phrases->bits != 8 && phrases->bits != 10 && phrases->bits != ABI_PHRASE_BITS) ||
	    phrases->n < 1 || phrases->n > 1u << phrases->bits || phrases->phrase[0] != 0 ||
	    phrases->rate < 1 || phrases->rate > 2 * ABI_PHRASE_RATE)
		return false;
	for (uint32_t i = 1; i < phrases->n; i++) {
		if (!phrase_valid(phrases, i, counts, slots))
			return false;
		counts[i] = (uint8_t)(counts[parent_of(phrases->phrase[i])] + 1);
		fill_slot(slots, phrases->phrase[i], i);
	}
	return true;
}
