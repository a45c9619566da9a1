/* SPDX-License-Identifier: MIT */
/** \file check_share.c \brief Sequences through a store in a folder: what is found, and what is refused. */
#include "share/backend.h"
#include "share/chain.h"
#include "share/chunk.h"
#include "share/share.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/memory_file.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SKIPS "kivi:bits=4 ; window=40,sinks=3,skip=1"

/* Of all ways that tokens are stored. */
static const char *const recipes[] = {
	"f16",
	SKIPS,
	"kvcomp:rel_k=0.1,rel_v=0.1 ; window=3,sinks=2,block=32",
	"layers=0: f16 ; 1: kivi:bits=2 ; window=30,sinks=5",
};
#define RECIPES (sizeof recipes / sizeof recipes[0])

enum { TOKENS = 850 };

static char folder[64];

static void make_folder(void)
{
	snprintf(folder, sizeof folder, "/tmp/clkv-share-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}

static clkv_share *open_share(uint64_t model, uint64_t max_bytes)
{
	clkv_share_options o = CLKV_INIT(clkv_share_options);
	clkv_share *share = NULL;
	clkv_error error;
	o.model = model;
	o.max_bytes = max_bytes;
	feed_ok(clkv_share_open(folder, &o, &share, &error), &error, "clkv_share_open");
	return share;
}

static clkv_share_stats stats_of(clkv_share *share)
{
	clkv_share_stats s = CLKV_INIT(clkv_share_stats);
	ck_assert_int_eq(clkv_share_get_stats(share, &s, NULL), CLKV_OK);
	return s;
}

/* Tokens stand for the rows of a stream. */
static void tokens_of(const struct stream *stream, int32_t tokens[FEED_TOKENS])
{
	for (size_t i = 0; i < stream->n; i++)
		tokens[i] = (int32_t)stream->row[i];
}

static void open_feed(struct feed *feed, const char *recipe, size_t sequences)
{
	clkv_cache_options room = feed_room(2500, sequences);
	feed->geometry = feed_usual(2);
	feed->lse = true;
	feed_open(feed, fixture.context, fixture.queue, recipe, &room);
}

static void open_stream(struct feed *feed, const char *recipe, struct stream *stream)
{
	open_feed(feed, recipe, 3);
	stream_open(feed, stream);
	feed_one(feed, stream, 400, CLKV_PROMPT, 1, NULL);
	feed_one(feed, stream, TOKENS - 400, CLKV_PROMPT_END, 2, NULL);
}

static void put(clkv_share *share, const struct feed *feed, const struct stream *stream)
{
	int32_t tokens[FEED_TOKENS];
	clkv_error error;
	tokens_of(stream, tokens);
	feed_ok(clkv_share_put(share, stream->seq, tokens, stream->n, NULL, feed->queue, &error),
	        &error, "clkv_share_put");
}

/* The beginning of tokens 0 .. n - 1 of a stream that a store has, as a stream. */
static size_t get(clkv_share *share, const struct feed *feed, clkv_cache *as,
                  const struct stream *like, size_t n, struct stream *out)
{
	int32_t tokens[FEED_TOKENS];
	clkv_error error;
	size_t matched = 77;
	tokens_of(like, tokens);
	*out = *like;
	feed_ok(clkv_share_get(share, feed->cache, as, tokens, n, feed->queue, &out->seq, &matched,
	                       NULL, &error),
	        &error, "clkv_share_get");
	ck_assert_int_eq(out->seq == NULL, matched == 0);
	out->n = matched;
	if (matched > 0)
		ck_assert_uint_eq(stream_info(out).length, matched);
	return matched;
}

/* ---------------------------------------------------------------- what is found ---- */

/* Another process' cache gets the same bits, and another text what it shares with the first. */
START_TEST(test_texts_are_found)
{
	static struct stream stream, copy;
	struct feed feed = {0}, other = {0};
	struct memory_file a = {0}, b = {0};
	make_folder();
	clkv_share *share = open_share(1, 0);
	open_stream(&feed, recipes[_i], &stream);
	open_feed(&other, recipes[_i], 3);
	ck_assert_uint_eq(get(share, &other, NULL, &stream, TOKENS, &copy), 0);
	put(share, &feed, &stream);
	clkv_share_close(share);
	share = open_share(1, 0);
	ck_assert_uint_eq(get(share, &other, NULL, &stream, TOKENS, &copy), TOKENS);
	memory_save(&feed, &stream, NULL, &a);
	memory_save(&other, &copy, NULL, &b);
	ck_assert_uint_eq(a.n, b.n);
	ck_assert_int_eq(memcmp(a.bytes, b.bytes, a.n), 0);
	stream_close(&copy);
	/* without its last token the text isn't the one that ended there: whole chunks are left */
	size_t part = get(share, &other, NULL, &stream, TOKENS - 1, &copy);
	ck_assert_uint_ge(part, 768);
	ck_assert_uint_le(part, 768 + 5);
	expect_same_prefix(&feed, &copy, &stream);
	stream_close(&copy);
	/* a text that differs from token 600 on shares two chunks */
	stream.row[600] ^= 1;
	part = get(share, &other, NULL, &stream, TOKENS, &copy);
	ck_assert_uint_ge(part, 512);
	ck_assert_uint_le(part, 512 + 5);
	expect_same_prefix(&feed, &copy, &stream);
	stream_close(&copy);
	stream.row[0] ^= 1;
	ck_assert_uint_eq(get(share, &other, NULL, &stream, TOKENS, &copy), 0);
	clkv_share_stats s = stats_of(share);
	ck_assert_uint_eq(s.gets, 4);
	ck_assert_uint_eq(s.refused + s.failures, 0);
	ck_assert_str_eq(s.reason, "");
	clkv_share_close(share);
	memory_close(&a);
	memory_close(&b);
	feed_close(&other);
	feed_close(&feed);
	remove_folder();
}
END_TEST

/* What is there isn't written again; what a longer text adds is. */
START_TEST(test_chunks_are_written_once)
{
	static struct stream stream;
	struct feed feed = {0};
	make_folder();
	clkv_share *share = open_share(1, 0);
	open_stream(&feed, SKIPS, &stream);
	put(share, &feed, &stream);
	ck_assert_uint_eq(stats_of(share).chunks_written, 4); /* 3 and what is left */
	put(share, &feed, &stream);
	ck_assert_uint_eq(stats_of(share).chunks_written, 4);
	feed_one(&feed, &stream, 300, CLKV_DECODE, 3, NULL);
	put(share, &feed, &stream);
	ck_assert_uint_eq(stats_of(share).chunks_written,
	                  5); /* behind the prompt's end blocks lie elsewhere */
	clkv_share_close(share);
	feed_close(&feed);
	remove_folder();
}
END_TEST

/* What the caller keeps beside a text comes with the whole text alone, also if that ends where a chunk does. */
START_TEST(test_notes)
{
	static const size_t lengths[] = {TOKENS, 512};
	static struct stream stream;
	struct feed feed = {0};
	int32_t tokens[FEED_TOKENS];
	make_folder();
	clkv_share *share = open_share(1, 0);
	open_stream(&feed, "f16", &stream);
	tokens_of(&stream, tokens);
	for (size_t i = 0; i < 2; i++) {
		char text[] = "what came of it", back[sizeof text] = "";
		clkv_share_note note = {.data = text, .size = sizeof text}, got = {.data = back};
		clkv_error error;
		clkv_seq *seq = NULL;
		size_t matched;
		feed_ok(clkv_share_put(share, stream.seq, tokens, lengths[i], &note, feed.queue, &error),
		        &error, "clkv_share_put");
		for (got.room = sizeof back - 1; got.room <= sizeof back; got.room++) {
			feed_ok(clkv_share_get(share, feed.cache, NULL, tokens, lengths[i], feed.queue, &seq,
			                       &matched, &got, &error),
			        &error, "clkv_share_get");
			ck_assert_uint_eq(matched, lengths[i]);
			ck_assert_uint_eq(got.size, sizeof text);
			ck_assert_str_eq(back, got.room < sizeof back ? "" : text);
			clkv_seq_destroy(seq);
		}
		feed_ok(clkv_share_get(share, feed.cache, NULL, tokens, lengths[i] - 1, feed.queue, &seq,
		                       &matched, &got, &error),
		        &error, "clkv_share_get");
		ck_assert_uint_lt(matched, lengths[i]);
		ck_assert_uint_eq(got.size, 0);
		clkv_seq_destroy(seq);
	}
	clkv_share_close(share);
	feed_close(&feed);
	remove_folder();
}
END_TEST

/* The model's number, the recipe and the shape are in each key. */
START_TEST(test_others_find_nothing)
{
	static struct stream stream, copy;
	struct feed feed = {0}, other = {0}, shape = {.geometry = feed_usual(3)};
	clkv_cache_options room = feed_room(2500, 3);
	make_folder();
	clkv_share *share = open_share(1, 0), *model = open_share(2, 0);
	open_stream(&feed, SKIPS, &stream);
	open_feed(&other, "kivi:bits=4 ; window=41,sinks=3,skip=1", 3);
	feed_open(&shape, fixture.context, fixture.queue, SKIPS, &room);
	put(share, &feed, &stream);
	ck_assert_uint_eq(get(model, &feed, NULL, &stream, TOKENS, &copy), 0);
	ck_assert_uint_eq(get(share, &other, NULL, &stream, TOKENS, &copy), 0);
	ck_assert_uint_eq(get(share, &shape, NULL, &stream, TOKENS, &copy), 0);
	clkv_share_close(share);
	clkv_share_close(model);
	feed_close(&shape);
	feed_close(&other);
	feed_close(&feed);
	remove_folder();
}
END_TEST

/* Chunks of another recipe, if they are asked for: decoded, they are a prompt's rows. */
START_TEST(test_another_recipe)
{
	enum { ROW = 2 * 64 };
	static double a[TOKENS * ROW], b[TOKENS * ROW];
	static struct stream stream, copy;
	struct feed feed = {0}, other = {0}, small = {.geometry = feed_usual(2)};
	clkv_cache_options room = feed_room(1, 1);
	make_folder();
	clkv_share *share = open_share(1, 0);
	open_stream(&feed, "q:k=8,v=8 ; window=0", &stream);
	open_feed(&other, "f16", 3);
	feed_open(&small, fixture.context, fixture.queue, "q:k=8,v=8 ; window=0", &room);
	put(share, &feed, &stream);
	ck_assert_uint_eq(get(share, &other, NULL, &stream, TOKENS, &copy), 0);
	ck_assert_uint_eq(get(share, &other, small.cache, &stream, TOKENS, &copy), TOKENS);
	feed_read(&feed, &stream, 1, 0, TOKENS, a, NULL);
	feed_read(&other, &copy, 1, 0, TOKENS, b, NULL);
	for (size_t i = 0; i < TOKENS * ROW;
	     i++) /* rounded to half, half a unit in the last of 11 bits */
		ck_assert_double_le(fabs(a[i] - b[i]), fabs(a[i]) * 0x1p-11);
	clkv_share_close(share);
	feed_close(&small);
	feed_close(&other);
	feed_close(&feed);
	remove_folder();
}
END_TEST

/* ---------------------------------------------------------------- what is refused ---- */

struct listing {
	size_t n, whole;
	uint64_t bytes;
	char key[16][65];
	size_t from[16], to[16];
};

static int note(void *opaque, const clkv_share_entry *e)
{
	struct listing *l = opaque;
	ck_assert_uint_lt(l->n, 16);
	ck_assert_uint_gt(e->bytes, 0);
	if (e->state == CLKV_SHARE_WHOLE) {
		ck_assert_ptr_nonnull(strstr(e->recipe, "kivi:"));
		l->whole++;
	}
	memcpy(l->key[l->n], e->key, sizeof e->key);
	l->from[l->n] = e->from;
	l->to[l->n++] = e->to;
	l->bytes += e->bytes;
	return 0;
}

static struct listing list(clkv_share *share, int verify)
{
	struct listing l = {0};
	clkv_error error;
	feed_ok(clkv_share_list(share, verify, note, &l, &error), &error, "clkv_share_list");
	return l;
}

static void path_of(const char *key, char path[160])
{
	snprintf(path, 160, "%s/%.2s/%s.clkv", folder, key, key);
}

/* The file of the chunk that begins at a token and isn't the last. */
static void find(clkv_share *share, size_t from, char path[160])
{
	struct listing l = list(share, 1);
	for (size_t i = 0; i < l.n; i++)
		if (l.from[i] == from && l.to[i] < TOKENS)
			path_of(l.key[i], path);
}

static long size_of(const char *path)
{
	struct stat s;
	return stat(path, &s) == 0 ? (long)s.st_size : -1;
}

static void change(const char *path, long at, int to)
{
	FILE *f = fopen(path, "r+b");
	ck_assert_ptr_nonnull(f);
	fseek(f, at, SEEK_SET);
	int was = fgetc(f);
	fseek(f, at, SEEK_SET);
	fputc(to < 0 ? was ^ 0x10 : to, f);
	ck_assert_int_eq(fclose(f), 0);
}

/* Makes the checksums of a chunk right, as one who forges does. */
static void reseal(const char *path)
{
	struct share_blob blob = {0};
	struct share_chunk chunk = {.kind = SHARE_CHUNK};
	FILE *f = fopen(path, "rb");
	blob.size = (size_t)size_of(path);
	blob.data = malloc(blob.size);
	ck_assert_uint_eq(fread(blob.data, 1, blob.size, f), blob.size);
	fclose(f);
	memcpy(&chunk.from, blob.data + 16, 4);
	memcpy(&chunk.to, blob.data + 20, 4);
	memcpy(chunk.key.bytes, blob.data + 32, SHARE_KEY_BYTES);
	share_chunk_seal(&chunk, &blob);
	f = fopen(path, "wb");
	ck_assert_uint_eq(fwrite(blob.data, 1, blob.size, f), blob.size);
	fclose(f);
	share_blob_free(&blob);
}

/* Ways to spoil the second chunk; whether the store drops it. */
enum spoil {
	HEAD,
	FILE_BYTE,
	SHORT,
	EMPTY,
	ANOTHERS,
	NEWER,
	FORGED,
	FORGED_RECIPE,
	LONGER,
	LARGE,
	SPOILS
};

static void spoil(clkv_share *share, enum spoil how, const char *path)
{
	char other[160], command[400];
	long size = size_of(path);
	switch (how) {
	case HEAD:
		change(path, 20, -1);
		break;
	case FILE_BYTE:
		change(path, size - 100, -1);
		break;
	case SHORT:
		ck_assert_int_eq(truncate(path, size - 1), 0);
		break;
	case EMPTY:
		ck_assert_int_eq(truncate(path, 0), 0);
		break;
	case ANOTHERS:
		find(share, 0, other);
		snprintf(command, sizeof command, "cp '%s' '%s'", other, path);
		ck_assert_int_eq(system(command), 0);
		break;
	case NEWER:
		change(path, 8, 2);
		break;
	case FORGED: /* right by the store's checksums; the file's own tell */
		change(path, size - 100, -1);
		reseal(path);
		break;
	case FORGED_RECIPE:
		change(path, SHARE_CHUNK_HEAD + 48, 'K');
		reseal(path);
		break;
	case LONGER: /* bytes behind the file's end */
		ck_assert_int_eq(truncate(path, size + 7), 0);
		reseal(path);
		break;
	case LARGE:
		ck_assert_int_eq(truncate(path, (257l << 20)), 0);
		break;
	default:
		ck_abort();
	}
}

START_TEST(test_spoiled_chunks_are_missing)
{
	static struct stream stream, copy;
	struct feed feed = {0};
	char path[160] = "";
	enum spoil how = (enum spoil)_i;
	make_folder();
	clkv_share *share = open_share(1, 0);
	open_stream(&feed, SKIPS, &stream);
	put(share, &feed, &stream);
	find(share, 259, path);
	spoil(share, how, path);
	uint64_t before = feed_stats(&feed).used_sealed;
	ck_assert_uint_eq(get(share, &feed, NULL, &stream, TOKENS, &copy), 259);
	expect_same_prefix(&feed, &copy, &stream);
	stream_close(&copy);
	ck_assert_uint_eq(feed_stats(&feed).used_sealed, before);
	clkv_share_stats s = stats_of(share);
	ck_assert_uint_gt(strlen(s.reason), 10);
	bool stays = how == NEWER || how == LARGE;
	ck_assert_uint_eq(s.refused, !stays);
	ck_assert_int_eq(size_of(path) >= 0, stays);
	/* written anew, it is found again; what another version wrote stays as it is */
	if (!stays) {
		put(share, &feed, &stream);
		ck_assert_uint_eq(get(share, &feed, NULL, &stream, TOKENS, &copy), TOKENS);
		stream_close(&copy);
	}
	clkv_share_close(share);
	feed_close(&feed);
	remove_folder();
}
END_TEST

START_TEST(test_a_folder_is_bounded)
{
	static struct stream stream, copy;
	struct feed feed = {0};
	clkv_error error;
	size_t removed = 0;
	make_folder();
	clkv_share *share = open_share(1, 0);
	open_stream(&feed, SKIPS, &stream);
	put(share, &feed, &stream);
	struct listing all = list(share, 1);
	ck_assert_uint_eq(all.n, 4);
	ck_assert_uint_eq(all.whole, 4);
	/* a text's end goes before its beginning */
	feed_ok(clkv_share_evict(share, all.bytes * 6 / 10, &removed, &error), &error,
	        "clkv_share_evict");
	ck_assert_uint_gt(removed, 0);
	struct listing left = list(share, 1);
	ck_assert_uint_eq(left.n, 4 - removed);
	ck_assert_uint_le(left.bytes, all.bytes * 6 / 10);
	ck_assert_uint_ge(get(share, &feed, NULL, &stream, TOKENS, &copy), 259);
	stream_close(&copy);
	clkv_share_close(share);
	/* and as it's written to */
	share = open_share(1, all.bytes / 2);
	put(share, &feed, &stream);
	ck_assert_uint_gt(stats_of(share).evicted, 0);
	ck_assert_uint_le(list(share, 0).bytes, all.bytes / 2);
	clkv_share_close(share);
	feed_close(&feed);
	remove_folder();
}
END_TEST

/* A disk without room, and a folder in which nothing can be made: the put fails by name, and nothing half is left. */
START_TEST(test_no_room_to_write)
{
	static struct stream stream, copy;
	struct feed feed = {0};
	int32_t tokens[FEED_TOKENS];
	clkv_error error;
	char path[160] = "";
	make_folder();
	clkv_share *share = open_share(1, 0);
	open_stream(&feed, SKIPS, &stream);
	tokens_of(&stream, tokens);
	struct rlimit was, small = {1000, RLIM_INFINITY};
	getrlimit(RLIMIT_FSIZE, &was);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	clkv_status status =
		clkv_share_put(share, stream.seq, tokens, TOKENS, NULL, feed.queue, &error);
	setrlimit(RLIMIT_FSIZE, &was);
	ck_assert_int_eq(status, CLKV_ERROR_IO);
	ck_assert_ptr_nonnull(strstr(error.text, folder));
	ck_assert_uint_eq(list(share, 0).n, 0);
	ck_assert_uint_eq(stats_of(share).failures, 1);
	ck_assert_uint_eq(get(share, &feed, NULL, &stream, TOKENS, &copy), 0);
	put(share, &feed, &stream);
	find(share, 259, path);
	*strrchr(path, '/') = '\0';
	clkv_share_close(share);
	remove_folder();
	ck_assert_int_eq(mkdir(folder, 0777), 0);
	FILE *f = fopen(path, "w"); /* a file where a folder must be */
	ck_assert_ptr_nonnull(f);
	fclose(f);
	share = open_share(1, 0);
	ck_assert_int_eq(clkv_share_put(share, stream.seq, tokens, TOKENS, NULL, feed.queue, &error),
	                 CLKV_ERROR_IO);
	clkv_share_close(share);
	feed_close(&feed);
	remove_folder();
}
END_TEST

START_TEST(test_bad_calls)
{
	static struct stream stream, selected, copy;
	struct feed feed = {0}, selects = {0}, one = {0};
	int32_t tokens[FEED_TOKENS] = {0};
	clkv_error error;
	clkv_share *share = NULL, *none = NULL;
	clkv_seq *seq = NULL;
	size_t matched;
	static const struct {
		const char *url;
		clkv_status status;
	} urls[] = {
		{"", CLKV_ERROR_INVALID_ARGUMENT},      {"file:", CLKV_ERROR_INVALID_ARGUMENT},
		{"ftp://host", CLKV_ERROR_UNSUPPORTED}, {"/dev/null", CLKV_ERROR_IO},
		{"/no/such/folder", CLKV_ERROR_IO},     {NULL, CLKV_ERROR_INVALID_ARGUMENT},
	};
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		ck_assert_int_eq(clkv_share_open(urls[i].url, NULL, &none, &error), urls[i].status);
		ck_assert_ptr_null(none);
		ck_assert_int_eq(error.status, urls[i].status);
	}
	make_folder();
	share = open_share(1, 0);
	open_stream(&feed, SKIPS, &stream);
	ck_assert_int_eq(
		clkv_share_put(share, stream.seq, tokens, TOKENS + 1, NULL, feed.queue, &error),
		CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_share_put(share, NULL, tokens, 1, NULL, feed.queue, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(
		clkv_share_get(share, feed.cache, NULL, NULL, 1, feed.queue, &seq, &matched, NULL, &error),
		CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_share_remove(share, "abc", &error), CLKV_ERROR_INVALID_ARGUMENT);
	open_feed(&selects, "streaming:budget=96 ; window=32", 3);
	stream_open(&selects, &selected);
	ck_assert_int_eq(clkv_share_put(share, selected.seq, tokens, 0, NULL, feed.queue, &error),
	                 CLKV_ERROR_UNSUPPORTED);
	/* no sequence more than the one that is made */
	put(share, &feed, &stream);
	open_feed(&one, SKIPS, 1);
	tokens_of(&stream, tokens);
	ck_assert_int_eq(clkv_share_get(share, one.cache, NULL, tokens, TOKENS, feed.queue, &seq,
	                                &matched, NULL, &error),
	                 CLKV_ERROR_POOL_FULL);
	ck_assert_ptr_null(seq);
	ck_assert_uint_eq(feed_stats(&one).sequences, 0);
	ck_assert_uint_eq(get(share, &feed, NULL, &stream, 0, &copy), 0);
	clkv_share_close(share);
	clkv_share_close(NULL);
	feed_close(&one);
	feed_close(&selects);
	feed_close(&feed);
	remove_folder();
}
END_TEST

/* A store that sees whether the cache took anything while it was asked. */
static struct {
	void *of;
	const struct feed *feed;
	uint64_t taken, calls;
} watched;

static clkv_status watched_get(void *self, const struct share_key *keys, size_t n,
                               share_take_fn take, void *opaque, clkv_error *error)
{
	(void)self;
	uint64_t before = feed_stats(watched.feed).tokens;
	clkv_status status = share_folder.get(watched.of, keys, n, take, opaque, error);
	watched.taken += feed_stats(watched.feed).tokens - before;
	watched.calls++;
	return status;
}

/* While chunks come to the device, the store isn't held: other threads ask it meanwhile. */
START_TEST(test_loading_does_not_hold_the_store)
{
	struct feed feed = {0};
	struct stream stream, copy;
	make_folder();
	open_stream(&feed, SKIPS, &stream);
	clkv_share *share = open_share(1, 0);
	put(share, &feed, &stream);
	const struct share_backend *folder_backend = share->backend;
	struct share_backend watching = *folder_backend;
	watching.get = watched_get;
	watched.of = share->self;
	watched.feed = &feed;
	share->backend = &watching;
	ck_assert_uint_eq(get(share, &feed, NULL, &stream, TOKENS, &copy), TOKENS);
	ck_assert_uint_gt(watched.calls, 0);
	ck_assert_uint_eq(watched.taken, 0);
	share->backend = folder_backend;
	clkv_share_close(share);
	feed_close(&feed);
	remove_folder();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("share");
	TCase *t = fixture_case(s, "found", 120);
	tcase_add_loop_test(t, test_texts_are_found, 0, (int)RECIPES);
	tcase_add_test(t, test_chunks_are_written_once);
	tcase_add_test(t, test_notes);
	tcase_add_test(t, test_others_find_nothing);
	tcase_add_test(t, test_another_recipe);
	tcase_add_test(t, test_loading_does_not_hold_the_store);
	t = fixture_case(s, "refused", 120);
	tcase_add_loop_test(t, test_spoiled_chunks_are_missing, 0, SPOILS);
	tcase_add_test(t, test_a_folder_is_bounded);
	tcase_add_test(t, test_no_room_to_write);
	tcase_add_test(t, test_bad_calls);
	return fixture_run(s);
}
