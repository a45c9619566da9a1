/* SPDX-License-Identifier: MIT */
/** \file put.c \brief clkv_share_put: what of a sequence others can use, and the store doesn't have. */
#include "share/chain.h"
#include "share/chunk.h"
#include "share/share.h"

#include <stdlib.h>

struct putting {
	clkv_share *share;
	clkv_seq *seq;
	cl_command_queue queue;
	struct share_chain chain;
	size_t n_tokens;
	const clkv_share_note *note; /* NULL: none */
	size_t sealed;               /* chunks with all of their blocks */
};

/* Chunks of the text that begin and end where blocks of the sequence do. */
static size_t count_sealed(const struct putting *p)
{
	size_t n = 0;
	while (n < p->chain.n) {
		size_t end = share_chain_at(&p->chain, n + 1);
		if (clkv_seq_range_start(p->seq, end) != end)
			break;
		n++;
	}
	return n;
}

/* A bounded store is counted when it's written to first, and again when this process has written a sixteenth of the bound:
 * others write too. */
static clkv_status keep_bound(clkv_share *share, clkv_error *error)
{
	uint64_t most = share->options.max_bytes;
	size_t removed;
	if (!share->backend->bounded ||
	    (share->counted && share->known + share->written <= most && share->written <= most / 16))
		return CLKV_OK;
	uint64_t below =
		share->counted && share->known + share->written > most ? most - most / 8 : most;
	SHARE_TRY(share_trim(share->backend, share->self, below, &removed, &share->known, error));
	share->stats.evicted += removed;
	share->written = 0;
	share->counted = true;
	return CLKV_OK;
}

static clkv_status send(clkv_share *share, const struct share_key *key,
                        const struct share_blob *blob, clkv_error *error)
{
	pthread_mutex_lock(&share->mutex);
	clkv_status status = share->backend->put(share->self, key, blob, error);
	if (status == CLKV_OK) {
		share->stats.chunks_written++;
		share->stats.bytes_written += blob->size;
		share->written += blob->size;
		status = keep_bound(share, error);
	}
	pthread_mutex_unlock(&share->mutex);
	return status;
}

/* Tokens as a chunk, to the store. */
static clkv_status put_chunk(struct putting *p, const struct share_chunk *chunk, clkv_error *error)
{
	static const unsigned char head[SHARE_CHUNK_HEAD];
	struct share_blob blob = {.most = p->share->options.max_chunk_bytes};
	clkv_error why = {.position = -1};
	if (share_blob_write(&blob, head, sizeof head) != sizeof head ||
	    (chunk->note.size > 0 &&
	     share_blob_write(&blob, chunk->note.data, chunk->note.size) != chunk->note.size)) {
		share_blob_free(&blob);
		return blob.full ? share_fail(error, CLKV_ERROR_UNSUPPORTED,
		                              "a note of %zu bytes is more than max_chunk_bytes (%zu)",
		                              chunk->note.size, blob.most)
		                 : share_fail_memory(error, sizeof head + chunk->note.size);
	}
	clkv_status status = clkv_seq_save_range(p->seq, chunk->from, chunk->to, p->queue,
	                                         share_blob_write, &blob, &why);
	if (blob.full)
		status = share_fail(error, CLKV_ERROR_UNSUPPORTED,
		                    "tokens %u to %u take more than max_chunk_bytes (%zu)", chunk->from,
		                    chunk->to, blob.most);
	else if (status == CLKV_ERROR_IO)
		status = share_fail_memory(error, blob.size);
	else if (status != CLKV_OK)
		status = share_fail(error, status, "%s", why.text);
	if (status == CLKV_OK) {
		share_chunk_seal(chunk, &blob);
		status = send(p->share, &chunk->key, &blob, error);
	}
	share_blob_free(&blob);
	return status;
}

/* What is left of the text, with the caller's note. If nothing is, and there is a note, the last chunk comes once more. */
static clkv_status put_end(struct putting *p, clkv_error *error)
{
	const struct share_chain *c = &p->chain;
	size_t from = share_chain_at(c, p->sealed);
	if (from == p->n_tokens && p->sealed > 0 && p->note && p->note->size > 0)
		from = share_chain_at(c, p->sealed - 1);
	struct share_chunk end = {
		.kind = SHARE_END,
		.from = (uint32_t)from,
		.to = (uint32_t)p->n_tokens,
		.key = c->keys[c->n],
	};
	if (p->note)
		end.note = (struct share_bytes){p->note->data, p->note->size, 0};
	return end.from < end.to ? put_chunk(p, &end, error) : CLKV_OK;
}

/* found: of the chunks, of what is left. In order, so that a beginning is there before what follows it. */
static clkv_status put_missing(struct putting *p, const bool *found, clkv_error *error)
{
	const struct share_chain *c = &p->chain;
	for (size_t i = 0; i < p->sealed; i++) {
		const struct share_chunk chunk = {
			.kind = SHARE_CHUNK,
			.from = (uint32_t)share_chain_at(c, i),
			.to = (uint32_t)share_chain_at(c, i + 1),
			.key = c->keys[i],
		};
		if (!found[i])
			SHARE_TRY(put_chunk(p, &chunk, error));
	}
	return found[p->sealed] ? CLKV_OK : put_end(p, error);
}

static clkv_status put_text(struct putting *p, clkv_error *error)
{
	struct share_chain *c = &p->chain;
	p->sealed = count_sealed(p);
	bool *found = calloc(p->sealed + 1, sizeof *found);
	if (!found)
		return share_fail_memory(error, p->sealed + 1);
	pthread_mutex_lock(&p->share->mutex);
	clkv_status status = p->share->backend->has(p->share->self, c->keys, p->sealed, found, error);
	if (status == CLKV_OK)
		status =
			p->share->backend->has(p->share->self, &c->keys[c->n], 1, &found[p->sealed], error);
	pthread_mutex_unlock(&p->share->mutex);
	if (status == CLKV_OK)
		status = put_missing(p, found, error);
	if (status == CLKV_OK)
		share_used(p->share, c->keys, p->sealed, found);
	free(found);
	return status;
}

clkv_status clkv_share_put(clkv_share *share, clkv_seq *seq, const int32_t *tokens, size_t n_tokens,
                           const clkv_share_note *note, cl_command_queue queue, clkv_error *error)
{
	struct putting p = {share, seq, queue, .n_tokens = n_tokens, .note = note};
	struct share_blob empty = {.data = NULL};
	clkv_ranges ranges = CLKV_INIT(clkv_ranges);
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	clkv_error own = {.position = -1};
	error = error ? error : &own;
	share_fail_clear(error);
	if (!share || !seq || !tokens || (note && note->size > 0 && !note->data))
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL",
		                  !share    ? "share"
		                  : !seq    ? "seq"
		                  : !tokens ? "tokens"
		                            : "note->data");
	SHARE_TRY(clkv_seq_get_info(seq, &info, error));
	if (n_tokens > info.length)
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT,
		                  "n_tokens is %zu; allowed: up to the sequence's %zu", n_tokens,
		                  info.length);
	clkv_status status = clkv_seq_get_ranges(seq, &ranges, error);
	if (status == CLKV_OK)
		status = share_empty_file(seq, queue, &empty, error);
	if (status == CLKV_OK) {
		const struct share_key root = share_chain_root(share->options.model, &empty);
		status = share_chain_make(&root, &ranges, tokens, n_tokens, &p.chain, error);
	}
	share_blob_free(&empty);
	if (status == CLKV_OK)
		status = put_text(&p, error);
	share_chain_free(&p.chain);
	return status == CLKV_ERROR_IO ? share_note_failure(share, status, error) : status;
}
