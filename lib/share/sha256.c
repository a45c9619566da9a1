/* SPDX-License-Identifier: MIT */
/** \file sha256.c \brief SHA-256 of libmd. */
#include "share/sha256.h"

_Static_assert(SHARE_KEY_BYTES == SHA256_DIGEST_LENGTH, "a key is a digest");

void share_sha256_begin(struct share_sha256 *sha)
{
	SHA256Init(&sha->of);
}

void share_sha256_add(struct share_sha256 *sha, const void *data, size_t size)
{
	SHA256Update(&sha->of, data, size);
}

struct share_key share_sha256_end(struct share_sha256 *sha)
{
	struct share_key key;
	SHA256Final(key.bytes, &sha->of);
	return key;
}
