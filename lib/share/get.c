/* SPDX-License-Identifier: MIT */
/** \file get.c \brief clkv_share_get: the longest beginning of a text that a store has, distrusted chunk by chunk. */
#include "share/chain.h"
#include "share/chunk.h"
#include "share/share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct getting {
	clkv_share *share;
	clkv_seq *seq;
	cl_command_queue queue;
	struct share_chain chain;
	struct share_blob empty; /* a file without tokens, which says what others must look like */
	size_t n_tokens, matched;
	clkv_share_note *note;                  /* the caller's, or NULL */
	struct share_blob fetched[SHARE_AHEAD]; /* the store's last answer */
	size_t n_fetched;
	bool failed;             /* the store did, in its last call */
	struct share_blob end;   /* what was left of this very text, if it's there */
	struct share_chunk last; /* and what that is */
	clkv_status status;      /* an error that isn't the store's; then no more is asked for */
	clkv_error *error;
	char refused[256];      /* why the last chunk was, or "" */
	struct share_key wrong; /* that one's key, to be dropped */
	bool drops;
};

/* A chunk that isn't taken ends the beginning; what is wrong in itself is dropped from the store. */
static bool refuse(struct getting *g, const struct share_key *key, bool drops, const char *why)
{
	snprintf(g->refused, sizeof g->refused, "%s", why);
	g->wrong = *key;
	g->drops = drops;
	return false;
}

/* Looks at bytes that should be tokens from .. to - 1. */
static bool check(struct getting *g, const struct share_key *key, const unsigned char *data,
                  size_t size, enum share_kind kind, struct share_chunk *chunk)
{
	clkv_share_state state = share_chunk_open(data, size, key, chunk);
	if (state == CLKV_SHARE_NEWER)
		return refuse(g, key, false, "a chunk is of a newer version");
	if (state != CLKV_SHARE_WHOLE)
		return refuse(g, key, true, "a chunk is damaged");
	if (chunk->kind != kind || !share_chunk_like(chunk, &g->empty))
		return refuse(g, key, true, "a chunk isn't what its key says");
	return true;
}

/* Whether an error speaks of the chunk, and not of the cache or the device. */
static bool is_chunks(clkv_status status)
{
	return status == CLKV_ERROR_CORRUPT || status == CLKV_ERROR_UNSUPPORTED ||
	       status == CLKV_ERROR_INVALID_STATE;
}

/* The file held other tokens than the chunk said: they go again. */
static bool take_back(struct getting *g, const struct share_key *key)
{
	clkv_status status = clkv_seq_truncate(g->seq, g->matched, g->error);
	if (status != CLKV_OK)
		g->status = status;
	return refuse(g, key, true, "a chunk holds other tokens than it says");
}

static bool append(struct getting *g, struct share_chunk *chunk)
{
	clkv_error why = {.position = -1};
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	clkv_status status =
		clkv_seq_load_range(g->seq, g->queue, share_bytes_read, &chunk->file, &why);
	if (is_chunks(status))
		return refuse(g, &chunk->key, status != CLKV_ERROR_UNSUPPORTED, why.text);
	if (status == CLKV_ERROR_POOL_FULL && g->matched > 0)
		return refuse(g, &chunk->key, false, why.text);
	if (status != CLKV_OK) {
		g->status = share_fail(g->error, status, "%s", why.text);
		return false;
	}
	clkv_seq_get_info(g->seq, &info, NULL);
	if (info.length != chunk->to || chunk->file.at != chunk->file.size)
		return take_back(g, &chunk->key);
	g->matched = chunk->to;
	return true;
}

/* Whether what was left of the text, which is there, may be: behind whole chunks, up to the text's end. */
static bool check_end(struct getting *g)
{
	const struct share_chain *c = &g->chain;
	const struct share_key *key = &c->keys[c->n];
	if (!check(g, key, g->end.data, g->end.size, SHARE_END, &g->last))
		return false;
	if (share_chain_index(c, g->last.from) > c->n || g->last.to != g->n_tokens)
		return refuse(g, key, true, "a chunk isn't what its key says");
	return true;
}

/* One chunk of the text, which must be number i. */
static bool take_chunk(struct getting *g, size_t i, const struct share_blob *blob)
{
	const struct share_chain *c = &g->chain;
	struct share_chunk chunk;
	if (!check(g, &c->keys[i], blob->data, blob->size, SHARE_CHUNK, &chunk))
		return false;
	if (chunk.from != share_chain_at(c, i) || chunk.to != share_chain_at(c, i + 1))
		return refuse(g, &c->keys[i], true, "a chunk isn't what its key says");
	return append(g, &chunk);
}

/* A share_take_fn: copies, as the store's bytes last as long as its call. */
static bool keep(void *opaque, size_t i, const unsigned char *data, size_t size)
{
	struct getting *g = opaque;
	/* the store's call holds the mutex */
	g->share->stats.chunks_read++;
	g->share->stats.bytes_read += size;
	if (share_blob_write(&g->fetched[i], data, size) != size) {
		g->status = share_fail_memory(g->error, size);
		return false;
	}
	g->n_fetched = i + 1;
	return true;
}

/* Asks the store for up to SHARE_AHEAD chunks. False: there is no more behind those that came; a store that fails ends the
 * beginning. */
static bool fetch(struct getting *g, const struct share_key *keys, size_t n)
{
	clkv_share *share = g->share;
	clkv_error why = {.position = -1};
	for (size_t i = 0; i < SHARE_AHEAD; i++)
		g->fetched[i].size = 0;
	g->n_fetched = 0;
	pthread_mutex_lock(&share->mutex);
	clkv_status status = share->backend->get(share->self, keys, n, keep, g, &why);
	pthread_mutex_unlock(&share->mutex);
	share_note_failure(share, status, &why);
	g->failed = status != CLKV_OK;
	return !g->failed && g->status == CLKV_OK && g->n_fetched == n;
}

/* Says why a chunk was refused, if one was; what is wrong in itself leaves the store. */
static void note_refused(struct getting *g)
{
	clkv_share *share = g->share;
	if (!g->refused[0])
		return;
	if (g->drops) {
		pthread_mutex_lock(&share->mutex);
		(void)share->backend->drop(share->self, &g->wrong, NULL);
		pthread_mutex_unlock(&share->mutex);
	}
	share_note(share, g->drops ? &share->stats.refused : NULL, g->refused);
	g->refused[0] = '\0';
}

/* What was left of the text: kept for later, as its chunks come first. */
static void get_end(struct getting *g)
{
	if (!fetch(g, &g->chain.keys[g->chain.n], 1))
		return;
	g->end = g->fetched[0];
	g->fetched[0] = (struct share_blob){.data = NULL};
	if (!check_end(g))
		share_blob_free(&g->end);
	note_refused(g);
}

/* Chunks from .. from + n - 1, n up to SHARE_AHEAD. */
static bool get_some(struct getting *g, size_t from, size_t n)
{
	bool on = fetch(g, &g->chain.keys[from], n);
	for (size_t i = 0; i < g->n_fetched; i++)
		if (!take_chunk(g, from + i, &g->fetched[i])) {
			on = false;
			break;
		}
	note_refused(g);
	return on;
}

static bool get_chunks(struct getting *g, size_t n)
{
	for (size_t i = 0; i < n; i += SHARE_AHEAD)
		if (!get_some(g, i, n - i < SHARE_AHEAD ? n - i : SHARE_AHEAD))
			return false;
	return true;
}

static void give_note(const struct getting *g, const struct share_bytes *note)
{
	if (!g->note)
		return;
	g->note->size = note->size;
	if (note->size > 0 && note->size <= g->note->room)
		memcpy(g->note->data, note->data, note->size);
}

static void append_end(struct getting *g)
{
	if (g->last.from != g->matched)
		return;
	if (append(g, &g->last))
		give_note(g, &g->last.note);
	note_refused(g);
}

/* With what was left of the text, as many chunks are needed as lie before it. */
static clkv_status get_text(struct getting *g)
{
	const struct share_chain *c = &g->chain;
	get_end(g);
	if (g->failed || g->status != CLKV_OK)
		return g->status;
	bool has_end = g->end.size > 0;
	if (get_chunks(g, has_end ? share_chain_index(c, g->last.from) : c->n) && has_end)
		append_end(g);
	return g->status;
}

/* A file without tokens and the places of chunks, of the cache whose recipe is meant. */
static clkv_status describe(struct getting *g, clkv_seq *like, const int32_t *tokens,
                            clkv_error *error)
{
	clkv_ranges ranges = CLKV_INIT(clkv_ranges);
	SHARE_TRY(clkv_seq_get_ranges(like, &ranges, error));
	SHARE_TRY(share_empty_file(like, g->queue, &g->empty, error));
	const struct share_key root = share_chain_root(g->share->options.model, &g->empty);
	return share_chain_make(&root, &ranges, tokens, g->n_tokens, &g->chain, error);
}

static clkv_status describe_as(struct getting *g, clkv_cache *as, const int32_t *tokens,
                               clkv_error *error)
{
	clkv_seq *like = NULL;
	if (!as)
		return describe(g, g->seq, tokens, error);
	SHARE_TRY(clkv_seq_create(as, &like, error));
	clkv_status status = describe(g, like, tokens, error);
	clkv_seq_destroy(like);
	return status;
}

/* Chunks that made the beginning were used just now. */
static void mark(struct getting *g)
{
	size_t n = 0;
	while (n < g->chain.n && share_chain_at(&g->chain, n + 1) <= g->matched)
		n++;
	bool *found = calloc(n + 1, sizeof *found);
	if (found) {
		share_used(g->share, &g->chain.keys[g->chain.n], g->end.size > 0, found);
		share_used(g->share, g->chain.keys, n, found);
	}
	free(found);
}

static void note_get(struct getting *g)
{
	pthread_mutex_lock(&g->share->mutex);
	g->share->stats.gets++;
	g->share->stats.tokens_asked += g->n_tokens;
	g->share->stats.tokens_matched += g->matched;
	pthread_mutex_unlock(&g->share->mutex);
}

clkv_status clkv_share_get(clkv_share *share, clkv_cache *cache, clkv_cache *as,
                           const int32_t *tokens, size_t n_tokens, cl_command_queue queue,
                           clkv_seq **seq, size_t *matched, clkv_share_note *note,
                           clkv_error *error)
{
	struct getting g = {
		.share = share, .queue = queue, .n_tokens = n_tokens, .note = note, .error = error};
	share_fail_clear(error);
	if (!share || !cache || !tokens || !seq || !matched)
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL",
		                  !share    ? "share"
		                  : !cache  ? "cache"
		                  : !tokens ? "tokens"
		                  : !seq    ? "seq"
		                            : "matched");
	*seq = NULL;
	*matched = 0;
	if (note)
		note->size = 0;
	SHARE_TRY(clkv_seq_create(cache, &g.seq, error));
	clkv_status status = describe_as(&g, as, tokens, error);
	if (status == CLKV_OK)
		status = get_text(&g);
	if (status == CLKV_OK && g.matched > 0) {
		*seq = g.seq;
		*matched = g.matched;
		mark(&g);
	} else {
		clkv_seq_destroy(g.seq);
		g.matched = 0;
	}
	note_get(&g);
	share_chain_free(&g.chain);
	share_blob_free(&g.empty);
	share_blob_free(&g.end);
	for (size_t i = 0; i < SHARE_AHEAD; i++)
		share_blob_free(&g.fetched[i]);
	return status;
}
