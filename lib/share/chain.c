/* SPDX-License-Identifier: MIT */
/** \file chain.c \brief Keys of a text's chunks. */
#include "share/chain.h"

#include "share/sha256.h"

#include <stdlib.h>

size_t share_chain_at(const struct share_chain *chain, size_t i)
{
	return i > 0 ? chain->first + i * chain->step : 0;
}

size_t share_chain_index(const struct share_chain *chain, size_t token)
{
	if (token == 0)
		return 0;
	if (token < chain->first + chain->step || (token - chain->first) % chain->step != 0)
		return SIZE_MAX;
	return (token - chain->first) / chain->step;
}

static void add_number(struct share_sha256 *sha, uint64_t value, int bytes)
{
	unsigned char le[8];
	share_number_put(le, value, bytes);
	share_sha256_add(sha, le, (size_t)bytes);
}

struct share_key share_chain_root(uint64_t model, const struct share_blob *empty)
{
	static const char name[] = "clkv-share 1";
	struct share_sha256 sha;
	share_sha256_begin(&sha);
	share_sha256_add(&sha, name, sizeof name);
	add_number(&sha, model, 8);
	share_sha256_add(&sha, empty->data, empty->size);
	return share_sha256_end(&sha);
}

/* kind: 'c' of a chunk, 'e' of what is left. */
static struct share_key key_of(const struct share_key *before, char kind, const int32_t *tokens,
                               size_t n)
{
	struct share_sha256 sha;
	share_sha256_begin(&sha);
	share_sha256_add(&sha, before->bytes, SHARE_KEY_BYTES);
	share_sha256_add(&sha, &kind, 1);
	for (size_t i = 0; i < n; i++)
		add_number(&sha, (uint32_t)tokens[i], 4);
	return share_sha256_end(&sha);
}

clkv_status share_chain_make(const struct share_key *root, const clkv_ranges *ranges,
                             const int32_t *tokens, size_t n_tokens, struct share_chain *chain,
                             clkv_error *error)
{
	size_t blocks = (SHARE_CHUNK_TOKENS + ranges->every - 1) / ranges->every;
	*chain = (struct share_chain){.first = ranges->first, .step = blocks * ranges->every};
	if (n_tokens >= chain->first)
		chain->n = (n_tokens - chain->first) / chain->step;
	chain->keys = calloc(chain->n + 1, sizeof *chain->keys);
	if (!chain->keys)
		return share_fail_memory(error, (chain->n + 1) * sizeof *chain->keys);
	const struct share_key *before = root;
	for (size_t i = 0; i < chain->n; i++) {
		size_t from = share_chain_at(chain, i), to = share_chain_at(chain, i + 1);
		chain->keys[i] = key_of(before, 'c', tokens + from, to - from);
		before = &chain->keys[i];
	}
	size_t last = share_chain_at(chain, chain->n);
	chain->keys[chain->n] = key_of(before, 'e', tokens + last, n_tokens - last);
	return CLKV_OK;
}

void share_chain_free(struct share_chain *chain)
{
	free(chain->keys);
	chain->keys = NULL;
}
