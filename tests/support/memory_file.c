/* SPDX-License-Identifier: MIT */
/** \file memory_file.c \brief Snapshots in memory. */
#include "memory_file.h"

#include "base/hash.h"
#include "base/little_endian.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

size_t memory_write(void *opaque, const void *data, size_t size)
{
	struct memory_file *f = opaque;
	ck_assert_uint_gt(size, 0);
	if (++f->calls == f->fails)
		return size / 2;
	while (f->n + size > f->room) {
		f->room = f->room * 2 + 4096;
		f->bytes = realloc(f->bytes, f->room);
		ck_assert_ptr_nonnull(f->bytes);
	}
	memcpy(f->bytes + f->n, data, size);
	f->n += size;
	return size;
}

size_t memory_read(void *opaque, void *data, size_t size)
{
	struct memory_file *f = opaque;
	size_t n = size < f->n - f->at ? size : f->n - f->at;
	ck_assert_uint_gt(size, 0);
	if (++f->calls == f->fails)
		return 0;
	if (f->chunk && n > f->chunk)
		n = f->chunk;
	if (n > 0)
		memcpy(data, f->bytes + f->at, n);
	f->at += n;
	return n;
}

void memory_close(struct memory_file *file)
{
	free(file->bytes);
	*file = (struct memory_file){0};
}

void memory_sign(struct memory_file *file)
{
	clkv__put_le(file->bytes + file->n - 8, clkv__hash(CLKV__HASH_START, file->bytes, file->n - 8),
	             8);
}

void memory_save(const struct feed *feed, const struct stream *from, const char *recipe,
                 struct memory_file *file)
{
	clkv_error error;
	file->n = file->at = file->calls = 0;
	feed_ok(clkv_seq_save(from->seq, recipe, feed->queue, memory_write, file, &error), &error,
	        "clkv_seq_save");
}

void memory_load(const struct feed *feed, struct memory_file *file, const struct stream *from,
                 struct stream *to)
{
	clkv_error error;
	file->at = file->calls = 0;
	to->n = from->n;
	memcpy(to->row, from->row, sizeof to->row);
	feed_ok(clkv_seq_load(feed->cache, feed->queue, memory_read, file, &to->seq, &error), &error,
	        "clkv_seq_load");
	ck_assert_uint_eq(stream_info(to).length, from->n);
}

clkv_status memory_refused(const struct feed *feed, struct memory_file *file, clkv_error *error)
{
	clkv_error own;
	clkv_error *e = error ? error : &own;
	clkv_seq *seq = NULL;
	clkv_stats before = feed_stats(feed), after;
	file->at = file->calls = 0;
	clkv_status status = clkv_seq_load(feed->cache, feed->queue, memory_read, file, &seq, e);
	after = feed_stats(feed);
	ck_assert_msg(status != CLKV_OK, "a bad snapshot of %zu bytes was loaded", file->n);
	ck_assert_ptr_null(seq);
	ck_assert_int_eq(e->status, status);
	ck_assert_uint_gt(strlen(e->text), 10);
	ck_assert_uint_eq(after.used_sealed, before.used_sealed);
	ck_assert_uint_eq(after.used_open, before.used_open);
	ck_assert_uint_eq(after.used_tables, before.used_tables);
	ck_assert_uint_eq(after.sequences, before.sequences);
	ck_assert_uint_eq(after.tokens, before.tokens);
	return status;
}

void memory_expect_refused(const struct feed *feed, struct memory_file *file, const char *text)
{
	clkv_error error;
	ck_assert_int_eq(memory_refused(feed, file, &error), CLKV_ERROR_UNSUPPORTED);
	ck_assert_msg(strstr(error.text, text) != NULL, "no '%s' in: %s", text, error.text);
}

void memory_expect_same_pieces(struct feed *feed)
{
	static struct stream whole, parts, fork;
	struct memory_file a = {0}, b = {0};
	stream_open(feed, &whole);
	stream_open(feed, &parts);
	feed_one(feed, &whole, 300, CLKV_PROMPT_END, 1, NULL);
	feed_one(feed, &parts, 128, CLKV_PROMPT, 1, NULL);
	feed_one(feed, &parts, 64, CLKV_PROMPT, 1, NULL);
	stream_fork(feed, &parts, &fork);
	feed_one(feed, &fork, 108, CLKV_PROMPT_END, 1, NULL);
	memory_save(feed, &whole, NULL, &a);
	memory_save(feed, &fork, NULL, &b);
	ck_assert_uint_eq(a.n, b.n);
	ck_assert_int_eq(memcmp(a.bytes, b.bytes, a.n), 0);
	memory_close(&a);
	memory_close(&b);
}
