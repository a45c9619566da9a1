/* SPDX-License-Identifier: MIT */
/** \file codebook_save.c \brief clkv_seq_save_codebook: what a sequence's prompt has trained, for other sequences. */
#include "base/alloc.h"
#include "base/error.h"
#include "cache/idle.h"
#include "plan/codebook.h"
#include "snapshot/snapshot.h"

static clkv_status check(const clkv_seq *seq, clkv_write_fn write, clkv_error *error)
{
	if (!seq || !write)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", seq ? "write" : "seq");
	if (seq->next_band)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_STATE,
			"layers= has several recipes, and a codebook is for all layers; allowed: one recipe "
			"for all");
	if (seq->cache->sizes.book_units == 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_STATE,
		          "recipe '%.120s' has no codebook; allowed: those with a2ats", seq->cache->recipe);
	if (seq->book == CLKV__NO_SLOT)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_STATE,
			"the sequence has no codebook yet: a prompt of at least %u tokens behind its sinks "
			"and window trains one; it has %u",
			clkv__recall_first(&seq->cache->plan.recall), seq->length);
	return CLKV_OK;
}

static clkv_status read_books(clkv_seq *seq, cl_command_queue queue, unsigned char *books,
                              clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	struct clkv__chain chain;
	size_t bytes = (size_t)cache->sizes.book_units * ABI_UNIT;
	CLKV_TRY(clkv__cache_join(cache, &chain, queue, error));
	clkv_status status = clkv__chain_read_now(&chain, cache->index.books,
	                                          (size_t)seq->book * ABI_UNIT, bytes, books, error);
	clkv__cache_leave(cache, &chain);
	return status;
}

static clkv_status save(clkv_seq *seq, uint64_t model, cl_command_queue queue, clkv_write_fn write,
                        void *opaque, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	const clkv_allocator *a = &cache->context->allocator;
	size_t size = clkv__codebook_bytes(&cache->plan, &cache->shape);
	unsigned char *books = clkv__calloc(a, cache->sizes.book_units, ABI_UNIT);
	unsigned char *file = clkv__calloc(a, size, 1);
	clkv_status status = CLKV_OK;
	if (!books || !file)
		status = clkv__error_set(error, CLKV_ERROR_NO_HOST_MEMORY,
		                         "no host memory for a codebook of %zu bytes", size);
	if (status == CLKV_OK)
		status = read_books(seq, queue, books, error);
	if (status == CLKV_OK) {
		clkv__codebook_pack(&cache->plan, &cache->shape, books, model, file);
		if (write(opaque, file, size) != size)
			status = clkv__error_set(error, CLKV_ERROR_IO, "the codebook could not be written");
	}
	clkv__free(a, books);
	clkv__free(a, file);
	return status;
}

clkv_status clkv_seq_save_codebook(clkv_seq *seq, uint64_t model, cl_command_queue queue,
                                   clkv_write_fn write, void *opaque, clkv_error *error)
{
	clkv__error_clear(error);
	CLKV_TRY(check(seq, write, error));
	clkv_cache *cache = seq->cache;
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	clkv_status status = save(seq, model, queue, write, opaque, error);
	pthread_mutex_unlock(&cache->mutex);
	return status;
}
