/* SPDX-License-Identifier: MIT */
/**
 * \file    byte_level.h
 * \brief   The byte-level alphabet of GPT-2: every byte has a printable character of its own.
 *
 * Bytes that are printable in Latin-1 stand for themselves; the other 68 are U+0100, U+0101, ... in
 * their order. All characters lie below U+0144, so one or two bytes of UTF-8 hold them.
 */
#ifndef BYTE_LEVEL_H
#define BYTE_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BYTE_LEVEL_CHARACTERS 0x144

struct byte_level {
	uint16_t character[256];             /**< of a byte */
	int16_t byte[BYTE_LEVEL_CHARACTERS]; /**< of a character, -1 when there is none */
};

void byte_level_init(struct byte_level *map);

/** The UTF-8 of a byte's character; returns 1 or 2. */
size_t byte_level_encode(const struct byte_level *map, unsigned char byte, char out[2]);

/** Turns a token's text into bytes, at most `size` of them; returns how many, or `size` + 1 when
 * the text holds a character that stands for no byte. */
size_t byte_level_decode(const struct byte_level *map, const char *text, size_t size, char *out);

#endif
