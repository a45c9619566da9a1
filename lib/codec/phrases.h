/* SPDX-License-Identifier: MIT */
/**
 * \file    phrases.h
 * \brief   Codes of phrases: as many small integers as go together share a word, and all words are of one length.
 *
 * A dictionary is a tree. Phrase 0 has no integers; phrase i is another one, its parent, which stands before it, with one more
 * integer behind. Its word is i, so every phrase has one. Of a phrase the first ABI_PHRASE_STORED integers are any, what is behind
 * them is zeros. A coder takes the longest phrase that comes next. Word 0 is the escape: the low 8 bits of the word behind it are an
 * integer, two's complement. Streams are read least significant bit first.
 *
 * Words of one length are found without decoding those before them, which is what makes their decoder fast.
 * Source: B. Tunstall, Synthesis of noiseless compression codes, 1967; dictionaries in which a phrase may begin another: S. Savari,
 * Variable-to-fixed length codes and plurally parsable dictionaries, 1999.
 */
#ifndef CLKV__PHRASES_H
#define CLKV__PHRASES_H

#include "../cl/base/abi.clh"

#include <clkv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Parent << 8 | integer, two's complement; phrase 0 is 0. */
struct clkv__phrases {
	uint32_t bits; /**< of a word: 8, 10 or 12 */
	uint32_t n;    /**< phrases, 1 to 1 << bits */
	uint32_t rate; /**< words that ABI_PHRASE_RATE integers are expected to take, 1 to 2 of these */
	uint32_t phrase[ABI_PHRASES];
};

/** The dictionary for a sample of integers -127 to 127, in order: the length of words, and phrases of them, that take the fewest
 *  bytes, the sample cut into lanes of ABI_QTC_LANE integers. An empty sample gives a dictionary of zeros alone.
 *  Errors: NO_HOST_MEMORY. */
clkv_status clkv__phrases_learn(const int8_t *sample, size_t count, const clkv_allocator *allocator,
                                struct clkv__phrases *phrases, clkv_error *error);

/** Whether a dictionary from outside is one: bits, n, rate, parents, integers, lengths up to ABI_PHRASE_LONGEST, no phrase twice. */
bool clkv__phrases_valid(const struct clkv__phrases *phrases);

/** Whether it has phrases longer than ABI_PHRASE_STORED. Zeros at the end of a lane then take no words. */
bool clkv__phrases_sparse(const struct clkv__phrases *phrases);

/** Bits of an integer that are expected. */
double clkv__phrases_rate(const struct clkv__phrases *phrases);

/** What a decoder looks up by words, [ABI_PHRASES]: the first ABI_PHRASE_STORED integers, zeros behind the phrase's end, and how
 *  many it has; 0 of the escape and of words without a phrase. */
void clkv__phrases_decoder(const struct clkv__phrases *phrases,
                           uint8_t (*integers)[ABI_PHRASE_STORED], uint8_t *counts);

/** What a coder looks phrases up in. */
struct clkv__phrase_coder {
	uint32_t bits; /**< of a word */
	bool sparse;
	uint32_t slots[ABI_PHRASE_SLOTS];
};

/** Slots hold (parent << 8 | integer) << ABI_PHRASE_BITS | phrase; empty ones are 0. A phrase lies at
 *  ABI_PHRASE_SLOT(parent << 8 | integer), or in the first slot behind it, around the end, that was free. */
void clkv__phrases_coder(const struct clkv__phrases *phrases, struct clkv__phrase_coder *coder);

/** The phrase that is another one with an integer behind it, or 0. */
uint32_t clkv__phrase_longer(const struct clkv__phrase_coder *coder, uint32_t phrase,
                             int8_t integer);

/** Words that a lane of integers takes. */
uint32_t clkv__phrases_words(const struct clkv__phrase_coder *coder, const int8_t *codes,
                             size_t count);

#endif
