/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_snapshot.c
 * \brief   Any bytes as a snapshot for small caches of several recipes: an error and a cache as it was, or a sequence
 *          that is saved and loaded again to the same bytes.
 *
 * The first byte: bit 0 makes all checksums right; the others choose the cache. Context and caches live as long as the
 * process, without a kernel: no program can be made here, so that a file of another recipe gets as far as to the
 * kernels that would read it. What fails its checks costs the device a marker at most.
 */
#include "cache/create.h"
#include "fuzz.h"

#include "base/hash.h"
#include "base/little_endian.h"
#include "fuzz_recipes.h"
#include "snapshot/snapshot_format.h"
#include "store/cache.h"

#include <string.h>

struct bytes {
	uint8_t *data;
	size_t n, at;
};

static clkv_context *context;
static cl_command_queue queue;
static clkv_cache *caches[FUZZ_RECIPES];

/* Stands before OpenCL's own. */
cl_program clCreateProgramWithSource(cl_context cl, cl_uint n, const char **texts,
                                     const size_t *lengths, cl_int *code)
{
	(void)cl, (void)n, (void)texts, (void)lengths;
	*code = CL_OUT_OF_HOST_MEMORY;
	return NULL;
}

static void open_caches(void)
{
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	clkv_error error = {.position = -1};
	cl_int code;
	options.cache_dir = "";
	if (clkv_context_open(getenv("CLKV_TEST_DEVICE"), &options, &context, &error) != CLKV_OK) {
		fprintf(stderr, "SKIPPED: %s\n", error.text);
		exit(FUZZ_SKIPPED);
	}
	queue = clCreateCommandQueue(clkv_context_cl(context), clkv_context_device(context), 0, &code);
	fuzz_require(code == CL_SUCCESS, "no queue");
	for (size_t i = 0; i < FUZZ_RECIPES; i++) {
		clkv_geometry g = fuzz_geometry();
		clkv_cache_options o = fuzz_options();
		fuzz_require(clkv__cache_create(context, &g, fuzz_recipes[i], &o, CLKV__CACHE_READS, NULL,
		                                &caches[i], &error) == CLKV_OK,
		             error.text);
	}
}

/* Checksums where the lengths say that they are. */
static void mend(uint8_t *file, size_t n)
{
	size_t at = CLKV__MAGIC_BYTES + 4 * CLKV__HEAD_WORDS;
	if (n < at)
		return;
	size_t recipe = clkv__get32(file + CLKV__MAGIC_BYTES + 4 * CLKV__HEAD_RECIPE);
	if (recipe > n - at)
		return;
	at += recipe;
	uint64_t hash = clkv__hash(CLKV__HASH_START, file, at);
	while (n - at >= CLKV__CHECKSUM_BYTES) {
		clkv__put_le(file + at, hash, CLKV__CHECKSUM_BYTES);
		at += CLKV__CHECKSUM_BYTES;
		if (n - at < CLKV__RECORD_BYTES)
			return;
		size_t bytes = clkv__get32(file + at + 24);
		if (bytes > n - at - CLKV__RECORD_BYTES)
			return;
		hash = clkv__hash(hash, file + at, CLKV__RECORD_BYTES + bytes);
		at += CLKV__RECORD_BYTES + bytes;
	}
}

static size_t get(void *opaque, void *data, size_t size)
{
	struct bytes *b = opaque;
	size_t n = size < b->n - b->at ? size : b->n - b->at;
	if (n > 0)
		memcpy(data, b->data + b->at, n);
	b->at += n;
	return n;
}

static size_t put(void *opaque, const void *data, size_t size)
{
	struct bytes *b = opaque;
	b->data = realloc(b->data, b->n + size);
	fuzz_require(b->data != NULL, "no memory");
	memcpy(b->data + b->n, data, size);
	b->n += size;
	return size;
}

static clkv_status load(clkv_cache *cache, struct bytes *file, clkv_seq **seq)
{
	clkv_error error = {.position = -1};
	file->at = 0;
	clkv_status status = clkv_seq_load(cache, queue, get, file, seq, &error);
	fuzz_require(error.status == status, "error and status differ");
	fuzz_require(status == CLKV_OK || strlen(error.text) > 10, "refused without a sentence");
	return status;
}

static struct bytes save(clkv_seq *seq)
{
	struct bytes file = {NULL, 0, 0};
	fuzz_require(clkv_seq_save(seq, NULL, queue, put, &file, NULL) == CLKV_OK,
	             "what was loaded can't be saved");
	clkv_seq_destroy(seq);
	return file;
}

/* Saved once, it is a file of this library's: the same whenever it is loaded and saved. */
static void check_loaded(clkv_cache *cache, clkv_seq *seq)
{
	clkv_seq *again = NULL;
	struct bytes first = save(seq);
	fuzz_require(load(cache, &first, &again) == CLKV_OK, "what was saved can't be loaded");
	struct bytes second = save(again);
	fuzz_require(first.n == second.n && memcmp(first.data, second.data, first.n) == 0,
	             "saving isn't a fixed point");
	free(first.data);
	free(second.data);
}

static void check_empty(clkv_cache *cache)
{
	clkv_stats s = CLKV_INIT(clkv_stats);
	fuzz_require(clkv_cache_stats(cache, &s, NULL) == CLKV_OK, "no stats");
	fuzz_require(s.used_sealed == 0 && s.used_open == 0 && s.sequences == 0 && s.tokens == 0,
	             "something is left in the cache");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	clkv_seq *seq = NULL;
	if (!context)
		open_caches();
	if (size < 2)
		return 0;
	clkv_cache *cache = caches[(data[0] >> 1) % FUZZ_RECIPES];
	struct bytes file = {malloc(size - 1), size - 1, 0};
	fuzz_require(file.data != NULL, "no memory");
	memcpy(file.data, data + 1, file.n);
	if (data[0] & 1)
		mend(file.data, file.n);
	if (load(cache, &file, &seq) == CLKV_OK)
		check_loaded(cache, seq);
	check_empty(cache);
	free(file.data);
	return 0;
}
