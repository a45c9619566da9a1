/* SPDX-License-Identifier: MIT */
/** \file load.c \brief clkv_seq_load: pages as they are, or decoded and sealed anew by the cache's recipe. */
#include "cache/beside.h"
#include "cache/resolve.h"
#include "snapshot/snapshot.h"

#include "attend/fallback.h"
#include "base/alloc.h"

#include <string.h>

/* Bytes that a file must hold of what it announces before any work is done for it, at most. */
enum { PROOF_MOST = 1 << 20 };

/* What a file says of one band. */
struct band {
	struct clkv__snapshot_head head;
	struct clkv__plan plan;
};

/* What it says before its records begin. */
struct file {
	struct clkv__snapshot_head head; /* the first */
	struct clkv__banding bands;
	struct band *band; /* [bands.n] */
};

/* The sequence of all bands, each read into its band's cache, or none. */
static clkv_status read_bands(clkv_cache *cache, const struct file *f, struct clkv__snapshot_in *in,
                              cl_command_queue queue, clkv_seq **out, clkv_error *error)
{
	clkv_seq *first = NULL, **last = &first;
	clkv_status status = CLKV_OK;
	for (int i = 0; i < f->bands.n && status == CLKV_OK; i++, cache = cache->next_band) {
		status =
			clkv__snapshot_read(cache, &f->band[i].head, &f->band[i].plan, in, queue, last, error);
		if (status == CLKV_OK)
			last = &(*last)->next_band;
	}
	if (status == CLKV_OK)
		*out = first;
	else
		clkv_seq_destroy(first);
	return status;
}

/* A range of all bands, behind what a sequence holds. */
static clkv_status read_bands_into(clkv_seq *seq, const struct file *f,
                                   struct clkv__snapshot_in *in, cl_command_queue queue,
                                   clkv_error *error)
{
	for (int i = 0; i < f->bands.n; i++, seq = seq->next_band)
		CLKV_TRY(
			clkv__snapshot_read_into(seq, &f->band[i].head, &f->band[i].plan, in, queue, error));
	return CLKV_OK;
}

/* Whether pages go into the cache as they are, in all bands. */
static bool fits(const struct file *f, const clkv_cache *cache)
{
	size_t layers = (size_t)clkv__cache_layers(cache);
	if ((f->head.bands > 0) != (cache->whole != NULL))
		return false;
	if (cache->whole && (f->bands.n != cache->whole->bands.n ||
	                     memcmp(f->bands.of, cache->whole->bands.of, layers) != 0))
		return false;
	for (int i = 0; i < f->bands.n; i++, cache = cache->next_band)
		if (!clkv__head_fits(&f->band[i].head, &f->band[i].plan, cache))
			return false;
	return true;
}

/* A cache of the file's recipe, whose bands must be what the file says of each. */
static clkv_status create_cold(const clkv_cache *like, const struct clkv__snapshot_in *in,
                               const struct file *f, clkv_cache **out, clkv_error *error)
{
	size_t most = 0;
	for (int i = 0; i < f->bands.n; i++) {
		const struct band *b = &f->band[i];
		size_t block = (size_t)b->plan.general.block;
		size_t blocks = like->sizes.max_seq_tokens / block + 2;
		if (b->head.blocks > blocks)
			CLKV_FAIL(
				error, CLKV_ERROR_POOL_FULL,
				"the snapshot has %u sealed pages in a row, most of them partial; allowed for this "
				"cache's max_seq_tokens (%u): %zu",
				b->head.blocks, like->sizes.max_seq_tokens, blocks);
		most = b->head.blocks * block > most ? b->head.blocks * block : most;
	}
	CLKV_TRY(clkv__snapshot_cache(like, CLKV__CACHE_READS, f->head.recipe, f->head.length, most, 1,
	                              out, error));
	if (f->head.bands > 0 && !fits(f, *out)) {
		clkv_cache_destroy(*out);
		return clkv__snapshot_damaged(in, error, "its bands aren't those of its recipe");
	}
	return CLKV_OK;
}

/* Through a cache of the file's recipe, which lives as long as the call. Its kernels are built when all records of the
 * file are there and have been checked. */
static clkv_status load_from(clkv_cache *cache, const struct file *f, struct clkv__snapshot_in *in,
                             cl_command_queue queue, clkv_seq *to, bool ends, clkv_error *error)
{
	clkv_cache *cold = NULL;
	clkv_seq *seq = NULL;
	CLKV_TRY(create_cold(cache, in, f, &cold, error));
	clkv_status status = read_bands(cold, f, in, queue, &seq, error);
	for (clkv_cache *c = cold; c && status == CLKV_OK; c = c->next_band)
		status = clkv__kernels_build_any(c, error);
	if (status == CLKV_OK)
		status = clkv__snapshot_copy(seq, f->head.from, to, ends, queue, error);
	clkv_cache_destroy(cold);
	return status;
}

/* Whose layers have which of the file's recipes. */
static clkv_status divide(const clkv_cache *cache, const struct clkv__snapshot_in *in,
                          struct file *f, clkv_error *error)
{
	clkv_geometry geometry = clkv__cache_geometry(cache);
	struct clkv__division d;
	clkv_error why = {.position = -1};
	if (clkv__divide(&geometry, f->head.recipe, &d, &why) != CLKV_OK)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED, "the snapshot's recipe isn't known here: %s",
		          why.text);
	if (!d.parts.layered || d.bands.n != (int)f->head.bands)
		return clkv__snapshot_damaged(in, error, "it has %u recipes, of which it names %d",
		                              f->head.bands, d.bands.n);
	f->bands = d.bands;
	return CLKV_OK;
}

/* Whether the cache has what a band's rows were turned by, in all of its layers. */
static clkv_status check_given(const clkv_cache *cache, const struct file *f, int band,
                               clkv_error *error)
{
	for (int i = 0; i < f->bands.layers; i++) {
		int layer = i;
		if (f->bands.of[i] == band)
			CLKV_TRY(clkv__head_check_given(&f->band[band].head, &f->band[band].plan,
			                                clkv__cache_at(cache, &layer), error));
	}
	return CLKV_OK;
}

/* One band's header, against itself and what the first says. */
static clkv_status prove_band(const clkv_cache *cache, struct clkv__snapshot_in *in,
                              const struct file *f, int i, clkv_error *error)
{
	struct clkv__shape shape = cache->shape;
	struct band *b = &f->band[i];
	shape.bands = NULL;
	shape.layers = clkv__band_before(&f->bands, i, f->bands.layers);
	if (f->head.bands > 0) {
		CLKV_TRY(clkv__head_get(in, &b->head, error));
		if (b->head.bands > 0 || b->head.length != f->head.length || b->head.from != f->head.from ||
		    b->head.layers != (uint32_t)shape.layers)
			return clkv__snapshot_damaged(in, error, "band %d isn't of it", i);
	} else {
		b->head = f->head;
	}
	CLKV_TRY(clkv__head_check(in, &b->head, &shape, &b->plan, error));
	CLKV_TRY(clkv__snapshot_check(&b->plan, error));
	return check_given(cache, f, i, error);
}

/* What the headers say, against themselves, the cache and the bytes that follow. The first has been read. */
static clkv_status prove(const clkv_cache *cache, struct clkv__snapshot_in *in, struct file *f,
                         clkv_error *error)
{
	struct clkv__shape shape = cache->shape;
	uint64_t least = 0;
	shape.layers = clkv__cache_layers(cache);
	CLKV_TRY(clkv__head_geometry(&f->head, &shape, error));
	f->bands = (struct clkv__banding){.layers = shape.layers, .n = 1};
	if (f->head.bands > 0)
		CLKV_TRY(divide(cache, in, f, error));
	f->band = clkv__calloc(&cache->context->allocator, (size_t)f->bands.n, sizeof *f->band);
	if (!f->band)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %d headers", f->bands.n);
	for (int i = 0; i < f->bands.n; i++) {
		CLKV_TRY(prove_band(cache, in, f, i, error));
		least += clkv__head_least(&f->band[i].head, &f->band[i].plan);
	}
	if (f->head.length > cache->sizes.max_seq_tokens)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
		          "the snapshot has %u tokens; allowed: max_seq_tokens (%u)", f->head.length,
		          cache->sizes.max_seq_tokens);
	return clkv__snapshot_ahead(in, least < PROOF_MOST ? (size_t)least : PROOF_MOST,
	                            &cache->context->allocator, error);
}

static clkv_status load(clkv_cache *cache, cl_command_queue queue, struct file *f,
                        struct clkv__snapshot_in *in, clkv_seq **out, clkv_error *error)
{
	clkv_seq *seq = NULL;
	if (f->head.from > 0)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "the file holds a range from token %u on; allowed: clkv_seq_load_range, into a "
		          "sequence of %u tokens",
		          f->head.from, f->head.from);
	CLKV_TRY(prove(cache, in, f, error));
	if (fits(f, cache))
		return read_bands(cache, f, in, queue, out, error);
	CLKV_TRY(clkv_seq_create(cache, &seq, error));
	clkv_status status = load_from(cache, f, in, queue, seq, true, error);
	if (status == CLKV_OK)
		*out = seq;
	else
		clkv_seq_destroy(seq);
	return status;
}

clkv_status clkv__snapshot_load(clkv_cache *cache, const struct clkv__snapshot_head *head,
                                struct clkv__snapshot_in *in, cl_command_queue queue,
                                clkv_seq **out, clkv_error *error)
{
	struct file file = {.head = *head};
	clkv_status status = load(cache, queue, &file, in, out, error);
	clkv__snapshot_forget(in, &cache->context->allocator);
	clkv__free(&cache->context->allocator, file.band);
	return status;
}

clkv_status clkv_seq_load(clkv_cache *cache, cl_command_queue queue, clkv_read_fn read,
                          void *opaque, clkv_seq **out, clkv_error *error)
{
	struct clkv__snapshot_in in = CLKV__SNAPSHOT_STREAM(read, opaque);
	struct clkv__snapshot_head head;
	clkv__error_clear(error);
	if (!cache || !read || !out)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL",
		          !cache  ? "cache"
		          : !read ? "read"
		                  : "out");
	CLKV_TRY(clkv__snapshot_check_cache(cache, error));
	CLKV_TRY(clkv__head_get(&in, &head, error));
	return clkv__snapshot_load(cache, &head, &in, queue, out, error);
}

/* Whether pages may follow what a sequence holds: no token of it is in half but sinks, where its layers seal. */
static bool takes_pages(const clkv_seq *seq)
{
	for (; seq; seq = seq->next_band) {
		uint32_t sinks = clkv__sinks(seq->cache, seq->length);
		uint32_t sealed = seq->tail > sinks ? seq->tail : sinks;
		if (!seq->cache->plan.sealing.dense && seq->length > sealed)
			return false;
	}
	return true;
}

/* Appends to a fork, which takes the sequence's place when all is there. */
static clkv_status load_behind(clkv_seq *seq, cl_command_queue queue, struct file *f,
                               struct clkv__snapshot_in *in, clkv_error *error)
{
	clkv_seq *made = NULL;
	if (f->head.from != seq->length)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_STATE,
			"the range begins at token %u; allowed: a sequence of so many tokens, this one has "
			"%u",
			f->head.from, seq->length);
	CLKV_TRY(prove(seq->cache, in, f, error));
	CLKV_TRY(clkv__seq_fork_beside(seq, &made, error));
	clkv_status status = takes_pages(seq) && fits(f, seq->cache)
	                         ? read_bands_into(made, f, in, queue, error)
	                         : load_from(seq->cache, f, in, queue, made, false, error);
	if (status == CLKV_OK)
		clkv__seq_swap_all(seq, made);
	clkv_seq_destroy(made);
	return status;
}

clkv_status clkv_seq_load_range(clkv_seq *seq, cl_command_queue queue, clkv_read_fn read,
                                void *opaque, clkv_error *error)
{
	struct clkv__snapshot_in in = CLKV__SNAPSHOT_STREAM(read, opaque);
	struct file file = {.band = NULL};
	clkv__error_clear(error);
	if (!seq || !read)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", seq ? "read" : "seq");
	CLKV_TRY(clkv__snapshot_check_cache(seq->cache, error));
	CLKV_TRY(clkv__head_get(&in, &file.head, error));
	clkv_status status = load_behind(seq, queue, &file, &in, error);
	clkv__snapshot_forget(&in, &seq->cache->context->allocator);
	clkv__free(&seq->cache->context->allocator, file.band);
	return status;
}
