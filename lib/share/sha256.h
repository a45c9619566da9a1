/* SPDX-License-Identifier: MIT */
/** \file sha256.h \brief SHA-256 (FIPS 180-4): two texts that share a key must not be found, by accident or on purpose. */
#ifndef SHARE_SHA256_H
#define SHARE_SHA256_H

#include "share/key.h"

#include <stddef.h>
#include <stdint.h>

struct share_sha256 {
	uint32_t state[8];
	uint64_t size; /**< bytes so far */
	unsigned char block[64];
};

void share_sha256_begin(struct share_sha256 *sha);
void share_sha256_add(struct share_sha256 *sha, const void *data, size_t size);
struct share_key share_sha256_end(struct share_sha256 *sha);

#endif
