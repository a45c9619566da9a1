/* SPDX-License-Identifier: MIT */
/** \file load.c \brief clkv_seq_load: pages as they are, or decoded and sealed anew by the cache's recipe. */
#include "cache/idle.h"
#include "snapshot/snapshot.h"

#include "attend/fallback.h"

/* Bytes that a file must hold of what it announces before any work is done for it, at most. */
enum { PROOF_MOST = 1 << 20 };

/* Through a cache of the file's recipe, which lives as long as the call. Its kernels are built when all records of the
 * file are there and have been checked. */
static clkv_status load_from(clkv_cache *cache, const struct clkv__snapshot_head *head,
                             const struct clkv__plan *plan, struct clkv__snapshot_in *in,
                             cl_command_queue queue, clkv_seq *to, clkv_error *error)
{
	clkv_cache *cold = NULL;
	clkv_seq *seq = NULL;
	size_t block = (size_t)plan->general.block, most = cache->sizes.max_seq_tokens / block + 2;
	if (head->blocks > most)
		CLKV_FAIL(
			error, CLKV_ERROR_POOL_FULL,
			"the snapshot has %u sealed pages in a row, most of them partial; allowed for this "
			"cache's max_seq_tokens (%u): %zu",
			head->blocks, cache->sizes.max_seq_tokens, most);
	CLKV_TRY(clkv__snapshot_cache(cache, CLKV__CACHE_READS, head->recipe, head->length,
	                              head->blocks, block, &cold, error));
	clkv_status status = clkv__snapshot_read(cold, head, plan, in, queue, &seq, error);
	if (status == CLKV_OK)
		status = clkv__kernels_build_any(cold, error);
	if (status == CLKV_OK)
		status = clkv__snapshot_copy(seq, to, queue, error);
	clkv_cache_destroy(cold);
	return status;
}

/* What the header says, against itself, the cache and the bytes that follow. */
static clkv_status prove(const clkv_cache *cache, struct clkv__snapshot_in *in,
                         struct clkv__snapshot_head *head, struct clkv__plan *plan,
                         clkv_error *error)
{
	CLKV_TRY(clkv__head_get(in, head, error));
	CLKV_TRY(clkv__head_check(in, head, &cache->shape, plan, error));
	CLKV_TRY(clkv__snapshot_check(plan, error));
	CLKV_TRY(clkv__head_check_rotation(head, cache, error));
	if (head->length > cache->sizes.max_seq_tokens)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
		          "the snapshot has %u tokens; allowed: max_seq_tokens (%u)", head->length,
		          cache->sizes.max_seq_tokens);
	uint64_t least = clkv__head_least(head, plan);
	return clkv__snapshot_ahead(in, least < PROOF_MOST ? (size_t)least : PROOF_MOST,
	                            &cache->context->allocator, error);
}

static clkv_status load(clkv_cache *cache, cl_command_queue queue, struct clkv__snapshot_in *in,
                        clkv_seq **out, clkv_error *error)
{
	struct clkv__snapshot_head head;
	struct clkv__plan plan;
	clkv_seq *seq = NULL;
	CLKV_TRY(prove(cache, in, &head, &plan, error));
	if (clkv__head_fits(&head, &plan, cache))
		return clkv__snapshot_read(cache, &head, &plan, in, queue, out, error);
	CLKV_TRY(clkv_seq_create(cache, &seq, error));
	clkv_status status = load_from(cache, &head, &plan, in, queue, seq, error);
	if (status == CLKV_OK)
		*out = seq;
	else
		clkv_seq_destroy(seq);
	return status;
}

clkv_status clkv_seq_load(clkv_cache *cache, cl_command_queue queue, clkv_read_fn read,
                          void *opaque, clkv_seq **out, clkv_error *error)
{
	struct clkv__snapshot_in in = CLKV__SNAPSHOT_STREAM(read, opaque);
	clkv__error_clear(error);
	if (!cache || !read || !out)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL",
		          !cache  ? "cache"
		          : !read ? "read"
		                  : "out");
	CLKV_TRY(clkv__snapshot_check(&cache->plan, error));
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	pthread_mutex_unlock(&cache->mutex);
	clkv_status status = load(cache, queue, &in, out, error);
	clkv__snapshot_forget(&in, &cache->context->allocator);
	return status;
}
