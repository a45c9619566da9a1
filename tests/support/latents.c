/* SPDX-License-Identifier: MIT */
/** \file latents.c \brief Rows by the formulas of latents, and lives of sequences that have some. */
#include "latents.h"

#include "../ref/ref_half.h"
#include "bounds.h"
#include "each.h"
#include "expect.h"
#include "fixture.h"

#include <math.h>
#include <string.h>

void latents_open(struct feed *feed, const clkv_geometry *geometry, const char *recipe,
                  const struct factors *factors)
{
	clkv_cache_options o = feed_room(600, 3);
	o.factors = factors ? factors->file.bytes : NULL;
	o.factors_size = factors ? factors->file.n : 0;
	*feed = (struct feed){.geometry = *geometry, .lse = true};
	feed_open(feed, fixture.context, fixture.queue, recipe, &o);
}

void latents_seal(struct feed *feed, struct stream *stream)
{
	feed->append_only = true;
	stream_open(feed, stream);
	feed_one(feed, stream, LATENTS_TOKENS, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(stream).sealed, LATENTS_TOKENS);
}

void latents_read(const struct feed *feed, const struct stream *stream, int layer,
                  struct latents_rows *rows)
{
	feed_rows(feed, layer, FEED_K, stream->row, LATENTS_TOKENS, rows->given[0]);
	feed_rows(feed, layer, FEED_V, stream->row, LATENTS_TOKENS, rows->given[1]);
	feed_read(feed, stream, layer, 0, LATENTS_TOKENS, rows->read[0], rows->read[1]);
}

/* ---------------------------------------------------------------- what stands for a row ---- */

void latents_turn(const struct ref_rope *rope, double position, double *x)
{
	double y[LATENTS_WIDEST];
	if (rope == NULL)
		return;
	/* turning back multiplies by the magnitude, too, where it must divide */
	const double square = signbit(position) ? rope->attn_factor * rope->attn_factor : 1;
	for (size_t d = 0; d < rope->dims; d++)
		y[d] = ref_rope(rope, position, d, x[d], x[ref_rope_partner(rope, d)]) / square;
	memcpy(x, y, rope->dims * sizeof *x);
}

/* A turned channel may be off by what its partner is, too. */
static double slack_of(const struct latents_side *s, const double *slack, size_t c)
{
	if (s->rope == NULL || c >= s->rope->dims)
		return slack[c];
	return s->rope->attn_factor * (slack[c] + slack[ref_rope_partner(s->rope, c)]);
}

/* The head of member m of a group, in its layer. */
static size_t member_head(const struct latents_side *s, size_t layer, size_t group, size_t m)
{
	const size_t place = group * s->each + m % s->each;
	return s->order ? (size_t)s->order[layer * s->heads + place] : place;
}

/* want [width] = half(x A) B, and how far each may be off. */
static void expand(const struct latents_side *s, size_t width, size_t at, const double *x,
                   double *want, double *slack)
{
	const float *down = s->down + at, *up = s->up + at;
	for (size_t r = 0; r < s->rank; r++) {
		double z = 0, norm = 0;
		for (size_t c = 0; c < width; c++) {
			const double term = x[c] * (double)down[c * width + r];
			z += term;
			norm += fabs(term);
		}
		for (size_t c = 0; c < width; c++) {
			const double b = (double)up[r * width + c];
			want[c] += ref_half(z) * b;
			slack[c] += fabs(b) * (2 * REF_HALF_EPS * fabs(z) + 0x1p-16 * norm);
		}
	}
}

/* Member m's row of what stands for a group's token. */
static void expect_member(const struct latents_side *s, size_t layer, size_t head, size_t t,
                          const double *read, const double *want, const double *slack)
{
	for (size_t d = 0; d < s->dim; d++)
		EACH_MSG(fabs(read[d] - want[d]) <= slack_of(s, slack, d) + 1e-5,
		         "layer %zu, %c, token %zu, KV head %zu, channel %zu: %g, not %g", layer,
		         s->v ? 'V' : 'K', t, head, d, read[d], want[d]);
}

static void expect_group(const struct latents_side *s, size_t first, size_t group, size_t t,
                         const struct latents_rows *rows)
{
	const size_t members = s->each * s->share, width = members * s->dim;
	const size_t at = (first / s->share * (s->heads / s->each) + group) * width * width;
	double x[LATENTS_WIDEST], want[LATENTS_WIDEST] = {0}, slack[LATENTS_WIDEST] = {0};
	for (size_t m = 0; m < members; m++) {
		const size_t layer = m / s->each, head = member_head(s, first + layer, group, m);
		const double *given = rows[layer].given[s->v] + (t * s->heads + head) * s->dim;
		for (size_t c = 0; c < s->dim; c++)
			x[m * s->dim + c] = ref_half(given[c]);
		latents_turn(s->rope, -(double)t, x + m * s->dim);
	}
	expand(s, width, at, x, want, slack);
	for (size_t m = 0; m < members; m++) {
		const size_t layer = m / s->each, head = member_head(s, first + layer, group, m);
		latents_turn(s->rope, (double)t, want + m * s->dim);
		expect_member(s, first + layer, head, t,
		              rows[layer].read[s->v] + (t * s->heads + head) * s->dim, want + m * s->dim,
		              slack + m * s->dim);
	}
}

void latents_expect_rows(const struct latents_side *s, size_t first,
                         const struct latents_rows *rows)
{
	for (size_t g = 0; g < s->heads / s->each; g++)
		for (size_t t = 0; t < LATENTS_TOKENS; t++)
			expect_group(s, first, g, t, rows);
}

/* ---------------------------------------------------------------- sequences ---- */

void latents_expect_life(struct feed *feed, struct feed *same, struct feed *smaller,
                         struct feed *other, const char *text)
{
	static struct stream stream, loaded, fork;
	struct memory_file file = {0};
	clkv_error error;
	stream_open(feed, &stream);
	feed_one(feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	memory_save(feed, &stream, NULL, &file);
	memory_load(same, &file, &stream, &loaded);
	expect_same_cache(feed, &stream, &loaded);
	expect_rows(same, &loaded, 3, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	memory_expect_refused(other, &file, text);
	memory_load(smaller, &file, &stream, &loaded);
	stream_fork(feed, &stream, &fork);
	ck_assert_int_eq(clkv_seq_truncate(stream.seq, 100, &error), CLKV_OK);
	stream.n = 100;
	expect_rows(feed, &stream, 2, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(feed, &fork, 2, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
	ck_assert_msg(clkv_seq_remove(fork.seq, 10, 50, feed->queue, &error) == CLKV_OK, "%s",
	              error.text);
	stream_close(&stream);
	stream_close(&fork);
	expect_nothing_used(feed);
	memory_close(&file);
}
