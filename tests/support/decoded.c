/* SPDX-License-Identifier: MIT */
/** \file decoded.c \brief A prompt sealed by one recipe, and read. */
#include "decoded.h"

#include "fixture.h"

const struct decoded_shape decoded_shapes[DECODED_SHAPES] = {
	{6, 2, 64, 64}, {4, 2, 80, 112}, {2, 2, 256, 16}};

clkv_geometry decoded_geometry(int i)
{
	const struct decoded_shape *s = &decoded_shapes[i];
	return feed_geometry(1, s->q_heads, s->kv_heads, s->dk, s->dv);
}

void decode_prompt(struct decoded *d, const char *recipe, clkv_geometry geometry, feed_value value,
                   bool attends)
{
	struct feed feed = {.geometry = geometry, .value = value, .lse = true, .append_only = true};
	static struct stream stream;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, DECODED_TOKENS, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, DECODED_TOKENS);
	d->bytes = stream_info(&stream).bytes;
	feed_rows(&feed, 0, FEED_K, stream.row, DECODED_TOKENS, d->given_k);
	feed_rows(&feed, 0, FEED_V, stream.row, DECODED_TOKENS, d->given_v);
	feed_read(&feed, &stream, 0, 0, DECODED_TOKENS, d->k, d->v);
	feed.append_only = false;
	if (attends)
		feed_one(&feed, &stream, 3, CLKV_DECODE, 2, &d->result);
	feed_close(&feed);
}
