/* SPDX-License-Identifier: MIT */
/** \file key.h \brief By what a chunk is found. */
#ifndef SHARE_KEY_H
#define SHARE_KEY_H

#include <stdbool.h>

enum { SHARE_KEY_BYTES = 32 };

struct share_key {
	unsigned char bytes[SHARE_KEY_BYTES];
};

/** 64 hexadecimal digits and a 0; and back, false if it isn't that. */
void share_key_print(const struct share_key *key, char text[2 * SHARE_KEY_BYTES + 1]);
bool share_key_read(const char *text, struct share_key *key);

#endif
