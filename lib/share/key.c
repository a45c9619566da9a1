/* SPDX-License-Identifier: MIT */
/** \file key.c \brief Keys as text. */
#include "share/key.h"

#include <string.h>

void share_key_print(const struct share_key *key, char text[2 * SHARE_KEY_BYTES + 1])
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < SHARE_KEY_BYTES; i++) {
		text[2 * i] = digits[key->bytes[i] >> 4];
		text[2 * i + 1] = digits[key->bytes[i] & 15];
	}
	text[2 * SHARE_KEY_BYTES] = '\0';
}

bool share_key_read(const char *text, struct share_key *key)
{
	static const char digits[] = "0123456789abcdef";
	if (strlen(text) != 2 * SHARE_KEY_BYTES)
		return false;
	for (size_t i = 0; i < 2 * SHARE_KEY_BYTES; i++) {
		const char *at = strchr(digits, text[i]);
		if (!at || !*at)
			return false;
		unsigned char value = (unsigned char)(at - digits);
		key->bytes[i / 2] = (unsigned char)(i % 2 ? key->bytes[i / 2] | value : value << 4);
	}
	return true;
}
