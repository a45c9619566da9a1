/* SPDX-License-Identifier: MIT */
/** \file sha256.c \brief SHA-256, plain: keys are made of kilobytes. */
#include "share/sha256.h"

#include <string.h>

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static uint32_t get_big_endian(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_big_endian(unsigned char *p, uint32_t x)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(x >> (24 - 8 * i));
}

/* The 64 words of a block: 16 of its own, the others of those before them. */
static void schedule(const unsigned char *block, uint32_t w[64])
{
	for (int i = 0; i < 16; i++)
		w[i] = get_big_endian(block + 4 * i);
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[i - 7] +
		       (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
	}
}

static void take_block(struct share_sha256 *sha)
{
	uint32_t w[64], s[8];
	schedule(sha->block, w);
	memcpy(s, sha->state, sizeof s);
	for (int i = 0; i < 64; i++) {
		uint32_t big_e = turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25);
		uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
		uint32_t first = s[7] + big_e + choice + constants[i] + w[i];
		uint32_t big_a = turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22);
		uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
		memmove(s + 1, s, 7 * sizeof *s);
		s[4] += first;
		s[0] = first + big_a + majority;
	}
	for (int i = 0; i < 8; i++)
		sha->state[i] += s[i];
}

void share_sha256_begin(struct share_sha256 *sha)
{
	/* of the square roots of the first 8 primes */
	static const uint32_t begin[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	memcpy(sha->state, begin, sizeof begin);
	sha->size = 0;
}

void share_sha256_add(struct share_sha256 *sha, const void *data, size_t size)
{
	const unsigned char *from = data;
	for (size_t n; size > 0; from += n, size -= n) {
		size_t at = sha->size % sizeof sha->block, room = sizeof sha->block - at;
		n = size < room ? size : room;
		memcpy(sha->block + at, from, n);
		sha->size += n;
		if (n == room)
			take_block(sha);
	}
}

struct share_key share_sha256_end(struct share_sha256 *sha)
{
	static const unsigned char zeros[64];
	unsigned char bits[8];
	struct share_key key;
	uint64_t n = sha->size * 8;
	put_big_endian(bits, (uint32_t)(n >> 32));
	put_big_endian(bits + 4, (uint32_t)n);
	share_sha256_add(sha, "\x80", 1);
	share_sha256_add(sha, zeros, (64 + 56 - sha->size % 64) % 64);
	share_sha256_add(sha, bits, sizeof bits);
	for (int i = 0; i < 8; i++)
		put_big_endian(key.bytes + 4 * i, sha->state[i]);
	return key;
}
