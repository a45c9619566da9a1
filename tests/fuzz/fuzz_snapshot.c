/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_snapshot.c
 * \brief   Any bytes as a snapshot for small caches of several recipes: an error and a cache as it was, or a sequence
 *          that is saved and loaded again to the same bytes.
 *
 * The first byte: bit 0 makes all checksums right; the others choose the cache, and whether what follows the snapshot is a range
 * to be appended to it, which leaves it as it was or makes it a longer one. Context and caches live as long as the
 * process, with no kernel but the one that brings tables: no other program can be made here, so that a file of another
 * recipe gets as far as to the kernel that would read it, in an open step. What fails its checks costs the device a
 * marker at most.
 */
#include "cache/create.h"
#include "fuzz.h"

#include "base/hash.h"
#include "base/little_endian.h"
#include "fuzz_recipes.h"
#include "snapshot/snapshot_format.h"
#include "store/cache.h"

#include <dlfcn.h>
#include <string.h>

struct bytes {
	uint8_t *data;
	size_t n, at;
};

static clkv_context *context;
static cl_command_queue queue;
static clkv_cache *caches[FUZZ_RECIPES];

static bool opening; /* programs can be made */

typedef cl_program create_fn(cl_context cl, cl_uint n, const char **texts, const size_t *lengths,
                             cl_int *code);

/* Stands before OpenCL's own. */
cl_program clCreateProgramWithSource(cl_context cl, cl_uint n, const char **texts,
                                     const size_t *lengths, cl_int *code)
{
	create_fn *create;
	*(void **)&create = dlsym(RTLD_NEXT, "clCreateProgramWithSource");
	if (opening && create)
		return create(cl, n, texts, lengths, code);
	*code = CL_OUT_OF_HOST_MEMORY;
	return NULL;
}

/* A step that is begun takes a block, which a table must tell. */
static void make_kernels(clkv_cache *cache)
{
	clkv_error error = {.position = -1};
	clkv_seq *seq = NULL;
	clkv_step *step = NULL;
	fuzz_require(clkv_seq_create(cache, &seq, &error) == CLKV_OK, error.text);
	clkv_step_item item = {seq, 1, CLKV_DECODE};
	fuzz_require(clkv_step_begin(cache, &item, 1, queue, &step, &error) == CLKV_OK, error.text);
	clkv_step_abort(step);
	clkv_seq_destroy(seq);
}

static void open_caches(void)
{
	static struct fuzz_matrices matrices;
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	clkv_error error = {.position = -1};
	cl_int code;
	opening = true;
	fuzz_make_matrices(&matrices);
	options.cache_dir = "";
	if (clkv_context_open(getenv("CLKV_TEST_DEVICE"), &options, &context, &error) != CLKV_OK) {
		fprintf(stderr, "SKIPPED: %s\n", error.text);
		exit(FUZZ_SKIPPED);
	}
	queue = clCreateCommandQueue(clkv_context_cl(context), clkv_context_device(context), 0, &code);
	fuzz_require(code == CL_SUCCESS, "no queue");
	for (size_t i = 0; i < FUZZ_RECIPES; i++) {
		clkv_geometry g = fuzz_geometry();
		clkv_cache_options o = fuzz_options(fuzz_recipes[i], &matrices);
		enum clkv__cache_use use = i < FUZZ_ATTENDS ? CLKV__CACHE_SEALS : CLKV__CACHE_ATTENDS;
		fuzz_require(clkv__cache_create(context, &g, fuzz_recipes[i], &o, use, NULL, &caches[i],
		                                &error) == CLKV_OK,
		             error.text);
		make_kernels(caches[i]);
	}
	opening = false;
}

/* Puts the checksum of what comes before, of n bytes behind the last one; returns where it ends, or 0: the file ends earlier. */
static size_t put_checksum(uint8_t *file, size_t size, size_t at, size_t n, uint64_t *hash)
{
	if (size < at || size - at < CLKV__CHECKSUM_BYTES || n > size - at - CLKV__CHECKSUM_BYTES)
		return 0;
	*hash = clkv__hash(*hash, file + at, n);
	clkv__put_le(file + at + n, *hash, CLKV__CHECKSUM_BYTES);
	return at + n + CLKV__CHECKSUM_BYTES;
}

/* The words of the header that begins there. */
static bool get_words(const uint8_t *file, size_t size, size_t at, uint32_t *words)
{
	if (size - at < CLKV__MAGIC_BYTES + 4 * CLKV__HEAD_WORDS)
		return false;
	for (size_t i = 0; i < CLKV__HEAD_WORDS; i++)
		words[i] = clkv__get32(file + at + CLKV__MAGIC_BYTES + 4 * i);
	return true;
}

/* Bytes of a header in front of its checksum. */
static size_t head_bytes(const uint32_t *words)
{
	bool range = words[CLKV__HEAD_VERSION] == CLKV__SNAPSHOT_RANGE ||
	             words[CLKV__HEAD_VERSION] == CLKV__SNAPSHOT_RANGE_BANDS;
	return CLKV__MAGIC_BYTES + 4 * CLKV__HEAD_WORDS + (size_t)words[CLKV__HEAD_RECIPE] +
	       (range ? 4 : 0) + (words[CLKV__HEAD_FLAGS] & CLKV__HEAD_ROTATION ? 8 : 0);
}

/* Checksums where the lengths say that they are: behind the header or those of all bands, then behind each record up to the
 * end marks of all. Returns where the file ends. */
static size_t mend(uint8_t *file, size_t size)
{
	uint32_t words[CLKV__HEAD_WORDS];
	uint64_t hash = CLKV__HASH_START;
	size_t at = 0, heads = 1, bands = 1;
	for (size_t i = 0; i < heads; i++) {
		if (!get_words(file, size, at, words))
			return size;
		if ((at = put_checksum(file, size, at, head_bytes(words), &hash)) == 0)
			return size;
		bool of_all = words[CLKV__HEAD_VERSION] == CLKV__SNAPSHOT_BANDS ||
		              words[CLKV__HEAD_VERSION] == CLKV__SNAPSHOT_RANGE_BANDS ||
		              words[CLKV__HEAD_VERSION] == CLKV__SNAPSHOT_STATE_BANDS;
		if (i == 0 && of_all)
			heads += bands = words[CLKV__HEAD_BLOCKS];
	}
	while (at > 0 && bands > 0 && size - at >= CLKV__RECORD_BYTES) {
		size_t n = CLKV__RECORD_BYTES + (size_t)clkv__get32(file + at + 24);
		bands -= clkv__get32(file + at) == CLKV__RECORD_END;
		at = put_checksum(file, size, at, n, &hash);
	}
	return at > 0 ? at : size;
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
	return file;
}

static void require_same(struct bytes *a, struct bytes *b, const char *what)
{
	fuzz_require(a->n == b->n && memcmp(a->data, b->data, a->n) == 0, what);
	free(a->data);
	free(b->data);
}

/* Saved once, it is a file of this library's: the same whenever it is loaded and saved. */
static void check_loaded(clkv_cache *cache, clkv_seq *seq)
{
	clkv_seq *again = NULL;
	struct bytes first = save(seq);
	clkv_seq_destroy(seq);
	fuzz_require(load(cache, &first, &again) == CLKV_OK, "what was saved can't be loaded");
	struct bytes second = save(again);
	clkv_seq_destroy(again);
	require_same(&first, &second, "saving isn't a fixed point");
}

/* Appends what follows, or leaves the sequence as it was. */
static void append(clkv_seq *seq, struct bytes *file)
{
	clkv_error error = {.position = -1};
	struct bytes before = save(seq);
	clkv_status status = clkv_seq_load_range(seq, queue, get, file, &error);
	fuzz_require(error.status == status, "error and status differ");
	fuzz_require(status == CLKV_OK || strlen(error.text) > 10, "refused without a sentence");
	if (status == CLKV_OK) {
		free(before.data);
		return;
	}
	struct bytes after = save(seq);
	require_same(&before, &after, "a range that was refused has changed the sequence");
}

static void check_empty(clkv_cache *cache)
{
	clkv_stats s = CLKV_INIT(clkv_stats);
	fuzz_require(clkv_cache_stats(cache, &s, NULL) == CLKV_OK, "no stats");
	fuzz_require(s.used_sealed == 0 && s.used_open == 0 && s.sequences == 0 && s.tokens == 0 &&
	                 s.used_index == 0,
	             "something is left in the cache");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	clkv_seq *seq = NULL;
	if (!context)
		open_caches();
	if (size < 2)
		return 0;
	size_t choice = data[0] >> 1;
	clkv_cache *cache = caches[choice % FUZZ_RECIPES];
	bool appends = choice / FUZZ_RECIPES % 2;
	struct bytes file = {malloc(size - 1), size - 1, 0};
	fuzz_require(file.data != NULL, "no memory");
	memcpy(file.data, data + 1, file.n);
	if (data[0] & 1) {
		size_t end = mend(file.data, file.n);
		if (appends)
			mend(file.data + end, file.n - end);
	}
	if (load(cache, &file, &seq) == CLKV_OK) {
		if (appends)
			append(seq, &file);
		check_loaded(cache, seq);
	}
	check_empty(cache);
	free(file.data);
	return 0;
}
