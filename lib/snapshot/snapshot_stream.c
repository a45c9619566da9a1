/* SPDX-License-Identifier: MIT */
/** \file snapshot_stream.c \brief Bytes, checksums and records, in and out. */
#include "snapshot/snapshot_stream.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- out ---- */

static clkv_status put_bytes(struct clkv__snapshot_out *out, const void *data, size_t size,
                             clkv_error *error)
{
	size_t taken = size > 0 ? out->write(out->opaque, data, size) : 0;
	if (taken != size)
		CLKV_FAIL(error, CLKV_ERROR_IO,
		          "the write function took %zu of %zu bytes, behind %" PRIu64 " others", taken,
		          size, out->bytes);
	out->bytes += size;
	return CLKV_OK;
}

clkv_status clkv__snapshot_put(struct clkv__snapshot_out *out, const void *data, size_t size,
                               clkv_error *error)
{
	out->hash = clkv__hash(out->hash, data, size);
	return put_bytes(out, data, size, error);
}

clkv_status clkv__snapshot_put_checksum(struct clkv__snapshot_out *out, clkv_error *error)
{
	unsigned char sum[CLKV__CHECKSUM_BYTES];
	clkv__put_le(sum, out->hash, CLKV__CHECKSUM_BYTES);
	return put_bytes(out, sum, sizeof sum, error);
}

clkv_status clkv__snapshot_put_record(struct clkv__snapshot_out *out,
                                      const struct clkv__record *record, const void *data,
                                      clkv_error *error)
{
	const uint32_t words[CLKV__RECORD_BYTES / 4] = {
		record->kind,  record->layer, record->head,  record->pos,
		record->count, record->flags, record->bytes, 0,
	};
	unsigned char head[CLKV__RECORD_BYTES];
	for (size_t i = 0; i < CLKV__RECORD_BYTES / 4; i++)
		clkv__put32(head + 4 * i, words[i]);
	CLKV_TRY(clkv__snapshot_put(out, head, sizeof head, error));
	CLKV_TRY(clkv__snapshot_put(out, data, record->bytes, error));
	return clkv__snapshot_put_checksum(out, error);
}

/* ---------------------------------------------------------------- in ---- */

/* What error texts call a record, and how far its words tell it from others: its layer, its head and token too. */
static const struct name {
	const char *text;
	bool layer, token;
} names[CLKV__RECORD_KINDS] = {
	{"header", false, false},
	[CLKV__RECORD_CODEC] = {"codec's section", false, false},
	[CLKV__RECORD_SEALED] = {"page", true, true},
	[CLKV__RECORD_HALF] = {"open tokens", true, true},
	[CLKV__RECORD_END] = {"end mark", false, false},
	[CLKV__RECORD_CHOICE] = {"list of kept tokens", false, false},
	[CLKV__RECORD_MERGED] = {"merged slots", true, true},
	[CLKV__RECORD_SEGMENTS] = {"list of segments", false, false},
	[CLKV__RECORD_BOOK] = {"codebooks", true, false},
	[CLKV__RECORD_INDEX] = {"index", true, true},
	[CLKV__RECORD_QUERIES] = {"newest queries", true, false},
};

/* "the page of layer 3, head 1, token 64" and the like. */
static void name_part(const struct clkv__record *part, char *text, size_t n)
{
	const struct name *name = &names[part->kind < CLKV__RECORD_KINDS ? part->kind : 0];
	if (name->token)
		snprintf(text, n, "%s of layer %u, head %u, token %u", name->text, part->layer, part->head,
		         part->pos);
	else if (name->layer)
		snprintf(text, n, "%s of layer %u", name->text, part->layer);
	else
		snprintf(text, n, "%s", name->text);
}

clkv_status clkv__snapshot_damaged(const struct clkv__snapshot_in *in, clkv_error *error,
                                   const char *format, ...)
{
	char part[80], why[128];
	va_list args;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	name_part(&in->part, part, sizeof part);
	return clkv__error_set(error, CLKV_ERROR_CORRUPT,
	                       "the snapshot is damaged in its %s (before byte %" PRIu64 "): %s", part,
	                       in->bytes - (in->n_ahead - in->at_ahead), why);
}

/* A function such as read(2) may bring less than it was asked for: only 0 is the end. */
static clkv_status fetch(struct clkv__snapshot_in *in, void *data, size_t size, clkv_error *error)
{
	for (size_t at = 0; at < size;) {
		size_t n = in->read(in->opaque, (char *)data + at, size - at);
		if (n > size - at)
			CLKV_FAIL(error, CLKV_ERROR_IO, "the read function returned %zu of %zu bytes", n,
			          size - at);
		if (n == 0)
			return clkv__snapshot_damaged(in, error, "it ends here");
		at += n;
		in->bytes += n;
	}
	return CLKV_OK;
}

/* What was fetched ahead comes first. */
static clkv_status get_bytes(struct clkv__snapshot_in *in, void *data, size_t size,
                             clkv_error *error)
{
	size_t left = in->n_ahead - in->at_ahead, n = size < left ? size : left;
	if (n > 0)
		memcpy(data, in->ahead + in->at_ahead, n);
	in->at_ahead += n;
	return fetch(in, (char *)data + n, size - n, error);
}

clkv_status clkv__snapshot_ahead(struct clkv__snapshot_in *in, size_t n,
                                 const clkv_allocator *allocator, clkv_error *error)
{
	in->ahead = clkv__calloc(allocator, n > 0 ? n : 1, 1);
	if (!in->ahead)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
		          "no host memory for a snapshot's first %zu bytes", n);
	CLKV_TRY(fetch(in, in->ahead, n, error));
	in->n_ahead = n;
	return CLKV_OK;
}

void clkv__snapshot_forget(struct clkv__snapshot_in *in, const clkv_allocator *allocator)
{
	clkv__free(allocator, in->ahead);
	in->ahead = NULL;
	in->n_ahead = in->at_ahead = 0;
}

clkv_status clkv__snapshot_get(struct clkv__snapshot_in *in, void *data, size_t size,
                               clkv_error *error)
{
	CLKV_TRY(get_bytes(in, data, size, error));
	in->hash = clkv__hash(in->hash, data, size);
	return CLKV_OK;
}

clkv_status clkv__snapshot_pass(struct clkv__snapshot_in *in, size_t size, clkv_error *error)
{
	unsigned char bytes[1024];
	for (size_t n; size > 0; size -= n) {
		n = size < sizeof bytes ? size : sizeof bytes;
		CLKV_TRY(clkv__snapshot_get(in, bytes, n, error));
	}
	return CLKV_OK;
}

clkv_status clkv__snapshot_get_checksum(struct clkv__snapshot_in *in, clkv_error *error)
{
	unsigned char sum[CLKV__CHECKSUM_BYTES];
	CLKV_TRY(get_bytes(in, sum, sizeof sum, error));
	if (clkv__get_le(sum, CLKV__CHECKSUM_BYTES) != in->hash)
		return clkv__snapshot_damaged(in, error, "its checksum is wrong");
	return CLKV_OK;
}

clkv_status clkv__snapshot_get_record(struct clkv__snapshot_in *in, struct clkv__record *record,
                                      clkv_error *error)
{
	unsigned char head[CLKV__RECORD_BYTES];
	in->part = *record;
	CLKV_TRY(clkv__snapshot_get(in, head, sizeof head, error));
	const struct clkv__record got = {
		clkv__get32(head),      clkv__get32(head + 4),  clkv__get32(head + 8),
		clkv__get32(head + 12), clkv__get32(head + 16), clkv__get32(head + 20),
		clkv__get32(head + 24),
	};
	if (got.kind != record->kind || got.layer != record->layer || got.head != record->head ||
	    got.pos != record->pos || (record->count && got.count != record->count) ||
	    clkv__get32(head + 28) != 0)
		return clkv__snapshot_damaged(
			in, error, "kind %u of layer %u, head %u, %u tokens from %u on stands there", got.kind,
			got.layer, got.head, got.count, got.pos);
	*record = got;
	return CLKV_OK;
}
