/* SPDX-License-Identifier: MIT */
/**
 * \file    byte_level.c
 * \brief   The byte-level alphabet.
 */
#include "byte_level.h"

static bool stands_for_itself(unsigned byte)
{
	return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

void byte_level_init(struct byte_level *map)
{
	unsigned next = 0x100;
	for (size_t i = 0; i < BYTE_LEVEL_CHARACTERS; i++)
		map->byte[i] = -1;
	for (unsigned byte = 0; byte < 256; byte++) {
		unsigned character = stands_for_itself(byte) ? byte : next++;
		map->character[byte] = (uint16_t)character;
		map->byte[character] = (int16_t)byte;
	}
}

size_t byte_level_encode(const struct byte_level *map, unsigned char byte, char out[2])
{
	unsigned character = map->character[byte];
	if (character < 0x80) {
		out[0] = (char)character;
		return 1;
	}
	out[0] = (char)(0xC0 | character >> 6);
	out[1] = (char)(0x80 | (character & 0x3F));
	return 2;
}

size_t byte_level_decode(const struct byte_level *map, const char *text, size_t size, char *out)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t n = 0;
	for (size_t i = 0; i < size; i++) {
		unsigned character = bytes[i];
		if (character >= 0xC0 && character < 0xE0 && i + 1 < size)
			character = (character & 0x1F) << 6 | (bytes[++i] & 0x3F);
		if (character >= BYTE_LEVEL_CHARACTERS || map->byte[character] < 0)
			return size + 1;
		out[n++] = (char)map->byte[character];
	}
	return n;
}
