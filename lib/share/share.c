/* SPDX-License-Identifier: MIT */
/** \file share.c \brief Stores: opened, closed, listed, emptied. */
#include "share/share.h"

#include "share/chunk.h"
#include "share/entries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct share_backend *const backends[] = {
	&share_folder,
#ifdef HAVE_HIREDIS
	&share_redis,
#endif
};
enum { BACKENDS = sizeof backends / sizeof backends[0] };

/* The caller's options, as far as they go; what is 0 gets its default. */
static clkv_status read_options(const clkv_share_options *from, clkv_share_options *to,
                                clkv_error *error)
{
	*to = (clkv_share_options)CLKV_INIT(clkv_share_options);
	if (from && from->struct_size < sizeof from->struct_size)
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT,
		                  "clkv_share_options.struct_size is %zu; set it with CLKV_INIT",
		                  from->struct_size);
	if (from) {
		const unsigned char *bytes = (const unsigned char *)from;
		for (size_t i = sizeof *to; i < from->struct_size; i++)
			if (bytes[i] != 0)
				return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT,
				                  "clkv_share_options has fields that this library doesn't know");
		memcpy(to, from, from->struct_size < sizeof *to ? from->struct_size : sizeof *to);
		to->struct_size = sizeof *to;
	}
	to->max_bytes = to->max_bytes ? to->max_bytes : UINT64_C(16) << 30;
	to->max_chunk_bytes = to->max_chunk_bytes ? to->max_chunk_bytes : (size_t)256 << 20;
	to->timeout_ms = to->timeout_ms ? to->timeout_ms : 2000;
	to->retry_ms = to->retry_ms ? to->retry_ms : 1000;
	return CLKV_OK;
}

/* The store that a url names; *rest is what stands behind "scheme:". A path has no scheme. */
static const struct share_backend *find(const char *url, const char **rest)
{
	size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyz");
	*rest = url;
	if (n == 0 || url[n] != ':')
		return &share_folder;
	*rest = url + n + 1;
	for (size_t i = 0; i < BACKENDS; i++)
		if (strlen(backends[i]->scheme) == n && memcmp(backends[i]->scheme, url, n) == 0)
			return backends[i];
	return NULL;
}

clkv_status clkv_share_open(const char *url, const clkv_share_options *options, clkv_share **out,
                            clkv_error *error)
{
	const char *rest;
	share_fail_clear(error);
	if (!url || !out)
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", url ? "out" : "url");
	const struct share_backend *backend = find(url, &rest);
	if (!backend)
		return share_fail(error, CLKV_ERROR_UNSUPPORTED,
		                  "no store is called '%.*s'; allowed: file:PATH"
#ifdef HAVE_HIREDIS
		                  " and redis://HOST (TLS: through a tunnel)",
#else
		                  " (redis://HOST: this library was built without hiredis)",
#endif
		                  (int)(rest - url - 1), url);
	clkv_share *share = calloc(1, sizeof *share);
	if (!share)
		return share_fail_memory(error, sizeof *share);
	share->backend = backend;
	share->stats.struct_size = sizeof share->stats;
	pthread_mutex_init(&share->mutex, NULL);
	clkv_status status = read_options(options, &share->options, error);
	if (status == CLKV_OK)
		status = backend->open(rest, &share->options, &share->self, error);
	if (status == CLKV_OK)
		*out = share;
	else
		clkv_share_close(share);
	return status;
}

void clkv_share_close(clkv_share *share)
{
	if (!share)
		return;
	if (share->self)
		share->backend->close(share->self);
	pthread_mutex_destroy(&share->mutex);
	free(share);
}

void share_note(clkv_share *share, uint64_t *counter, const char *why)
{
	pthread_mutex_lock(&share->mutex);
	if (counter)
		++*counter;
	snprintf(share->stats.reason, sizeof share->stats.reason, "%s", why);
	pthread_mutex_unlock(&share->mutex);
}

clkv_status share_note_failure(clkv_share *share, clkv_status status, const clkv_error *why)
{
	if (status != CLKV_OK)
		share_note(share, &share->stats.failures, why->text);
	return status;
}

void share_used(clkv_share *share, const struct share_key *keys, size_t n, bool *found)
{
	if (!share->backend->bounded || n == 0)
		return;
	pthread_mutex_lock(&share->mutex);
	(void)share->backend->has(share->self, keys, n, found, NULL);
	pthread_mutex_unlock(&share->mutex);
}

clkv_status share_empty_file(clkv_seq *seq, cl_command_queue queue, struct share_blob *out,
                             clkv_error *error)
{
	return clkv_seq_save_range(seq, 0, 0, queue, share_blob_write, out, error);
}

clkv_status clkv_share_get_stats(clkv_share *share, clkv_share_stats *stats, clkv_error *error)
{
	share_fail_clear(error);
	if (!share || !stats || stats->struct_size < sizeof stats->struct_size)
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT, "%s",
		                  !share   ? "share is NULL"
		                  : !stats ? "stats is NULL"
		                           : "clkv_share_stats.struct_size isn't set");
	size_t size = stats->struct_size, known = sizeof share->stats;
	pthread_mutex_lock(&share->mutex);
	memcpy(stats, &share->stats, size < known ? size : known);
	pthread_mutex_unlock(&share->mutex);
	stats->struct_size = size;
	return CLKV_OK;
}

const char *clkv_share_state_string(clkv_share_state state)
{
	switch (state) {
#define CLKV_X(name, value, text)                                                                  \
	case name:                                                                                     \
		return text;
		CLKV_SHARE_STATE_LIST(CLKV_X)
#undef CLKV_X
	}
	return "unknown state";
}

/* ---------------------------------------------------------------- lists ---- */

/* What is shown of a chunk. */
struct showing {
	clkv_share_entry entry;
	struct share_key key;
	char recipe[4096];
};

static bool look(void *opaque, size_t i, const unsigned char *data, size_t size)
{
	struct showing *s = opaque;
	struct share_chunk chunk;
	(void)i;
	s->entry.bytes = size;
	s->entry.state = share_chunk_open(data, size, &s->key, &chunk);
	if (s->entry.state != CLKV_SHARE_WHOLE)
		return false;
	s->entry.end = chunk.kind == SHARE_END;
	s->entry.from = chunk.from;
	s->entry.to = chunk.to;
	share_chunk_recipe(&chunk, s->recipe, sizeof s->recipe);
	return false;
}

/* One chunk. What can't be read is as good as damaged; what is gone by now isn't shown. */
static bool show(clkv_share *share, const struct share_entry *listed, bool verify,
                 clkv_share_list_fn fn, void *opaque)
{
	struct showing s = {.key = listed->key, .recipe = ""};
	bool found = true;
	s.entry.bytes = listed->bytes;
	s.entry.age = listed->age;
	s.entry.recipe = s.recipe;
	share_key_print(&listed->key, s.entry.key);
	if (verify) {
		clkv_error why = {.position = -1};
		pthread_mutex_lock(&share->mutex);
		if (share->backend->get(share->self, &s.key, 1, look, &s, &why) != CLKV_OK)
			s.entry.state = CLKV_SHARE_DAMAGED;
		pthread_mutex_unlock(&share->mutex);
		found = s.entry.state != CLKV_SHARE_UNSEEN;
	}
	return !found || fn(opaque, &s.entry) == 0;
}

clkv_status clkv_share_list(clkv_share *share, int verify, clkv_share_list_fn fn, void *opaque,
                            clkv_error *error)
{
	struct share_entries all;
	share_fail_clear(error);
	if (!share || !fn)
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", share ? "fn" : "share");
	pthread_mutex_lock(&share->mutex);
	clkv_status status = share_entries_list(share->backend, share->self, &all, error);
	pthread_mutex_unlock(&share->mutex);
	for (size_t i = 0; i < all.n && status == CLKV_OK; i++)
		if (!show(share, &all.of[i], verify, fn, opaque))
			break;
	share_entries_free(&all);
	return status;
}

clkv_status clkv_share_remove(clkv_share *share, const char *key, clkv_error *error)
{
	struct share_key k;
	share_fail_clear(error);
	if (!share || !key || !share_key_read(key, &k))
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT, "%s",
		                  share ? "a key is 64 hexadecimal digits (0-9, a-f)" : "share is NULL");
	pthread_mutex_lock(&share->mutex);
	clkv_status status = share->backend->drop(share->self, &k, error);
	pthread_mutex_unlock(&share->mutex);
	return status;
}

clkv_status clkv_share_evict(clkv_share *share, uint64_t max_bytes, size_t *removed,
                             clkv_error *error)
{
	size_t n = 0;
	uint64_t left;
	share_fail_clear(error);
	if (!share)
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT, "share is NULL");
	pthread_mutex_lock(&share->mutex);
	clkv_status status = share_trim(share->backend, share->self, max_bytes, &n, &left, error);
	share->stats.evicted += n;
	share->counted = false;
	pthread_mutex_unlock(&share->mutex);
	if (removed)
		*removed = n;
	return status;
}
