/* SPDX-License-Identifier: MIT */
/** \file trim.c \brief Keys as text; the least recently used go first. */
#include "share/backend.h"

#include <stdlib.h>
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

struct aged {
	struct share_key key;
	uint64_t bytes;
	double age;
};

struct all {
	struct aged *of;
	size_t n, room;
	uint64_t bytes;
	bool failed;
};

static bool note(void *opaque, const struct share_key *key, uint64_t bytes, double age)
{
	struct all *all = opaque;
	if (all->n == all->room) {
		size_t room = 2 * all->room + 256;
		struct aged *grown = realloc(all->of, room * sizeof *grown);
		if (!grown) {
			all->failed = true;
			return false;
		}
		all->of = grown;
		all->room = room;
	}
	all->of[all->n++] = (struct aged){*key, bytes, age};
	all->bytes += bytes;
	return true;
}

static int oldest_first(const void *a, const void *b)
{
	double x = ((const struct aged *)a)->age, y = ((const struct aged *)b)->age;
	return (x < y) - (x > y);
}

clkv_status share_trim(const struct share_backend *backend, void *self, uint64_t most,
                       size_t *removed, uint64_t *left, clkv_error *error)
{
	struct all all = {.of = NULL};
	clkv_status status = backend->each(self, note, &all, error);
	*removed = 0;
	if (all.failed)
		status = share_fail_memory(error, all.n * sizeof *all.of);
	if (status == CLKV_OK && all.bytes > most)
		qsort(all.of, all.n, sizeof *all.of, oldest_first);
	for (size_t i = 0; i < all.n && all.bytes > most && status == CLKV_OK; i++) {
		status = backend->drop(self, &all.of[i].key, error);
		all.bytes -= all.of[i].bytes;
		++*removed;
	}
	*left = all.bytes;
	free(all.of);
	return status;
}
