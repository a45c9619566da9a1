/* SPDX-License-Identifier: MIT */
/** \file given.c \brief Rows that were given, against rows that are read. */
#include "given.h"

#include "../ref/ref_half.h"
#include "../ref/ref_huffman.h"
#include "each.h"
#include "random.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

const struct given_codec given_11 = {
	{REF_UNIT_CHANNEL, 0.1, 0}, {REF_UNIT_TOKEN, 0.1, 0}, 0, 0, 64};
const struct given_codec given_16 = {
	{REF_UNIT_CHANNEL, 0.0667, 0}, {REF_UNIT_TOKEN, 0.0667, 0}, 0, 0, 64};

static double *new_doubles(size_t n)
{
	double *values = calloc(n + 1, sizeof *values);
	ck_assert_ptr_nonnull(values);
	return values;
}

double given_uniform(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	uint64_t place = random_mix(row, (uint64_t)layer * 4u + (uint64_t)side);
	return random_uniform(random_mix(place, head * 1024u + d));
}

double given_low(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return pow(given_uniform(row, layer, side, head, d), 16.0);
}

double given_high(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return 1.0 - given_low(row, layer, side, head, d);
}

void given_open(struct given *g, const struct given_codec *codec)
{
	*g = (struct given){.codec = *codec};
	ref_seal_open(&g->seal, codec->window, 0, codec->block, false);
}

void given_close(struct given *g)
{
	for (int layer = 0; layer < FEED_LAYERS; layer++)
		for (int side = 0; side < 2; side++)
			free(g->rows[layer][side]);
	*g = (struct given){.codec = g->codec};
}

static size_t row_size(const struct feed *feed, enum feed_side side)
{
	return feed_heads(feed, side) * feed_dim(feed, side);
}

void given_rows(struct given *g, const struct feed *feed, const struct stream *stream, size_t n)
{
	for (int layer = 0; layer < feed->geometry.layers; layer++)
		for (int side = FEED_K; side <= FEED_V; side++) {
			size_t row = row_size(feed, (enum feed_side)side), from = stream->n * row;
			double *all = realloc(g->rows[layer][side], (from + n * row) * sizeof *all);
			ck_assert_ptr_nonnull(all);
			feed_rows(feed, layer, (enum feed_side)side, stream->row + stream->n, n, all + from);
			for (size_t i = 0; i < n * row; i++)
				all[from + i] = ref_stored(all[from + i]);
			g->rows[layer][side] = all;
		}
}

void given_kept(struct given *g, const struct stream *stream, size_t n, clkv_phase phase)
{
	ref_seal_commit(&g->seal, n, (enum ref_phase)phase);
	ck_assert_uint_eq(stream_info(stream).length, g->seal.length);
	ck_assert_uint_eq(stream_info(stream).sealed, ref_seal_sealed(&g->seal));
}

void given_feed(struct given *g, struct feed *feed, struct stream *stream, feed_value value,
                size_t n, clkv_phase phase, uint64_t seed)
{
	struct feed_item item = {.stream = stream, .n = n, .phase = phase, .seed = seed};
	clkv_error error;
	feed->value = value;
	clkv_step *step = feed_begin(feed, &item, 1, NULL);
	given_rows(g, feed, stream, n);
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "clkv_step_commit");
	feed_kept(&item, 1);
	given_kept(g, stream, n, phase);
}

/* s has 8 bits and a code 8, so their product is exact in single precision and the sum rounds once. A
 * quotient next to a tie may go either way: OpenCL divides within 2.5 units in the last place. */
static bool is_code(const struct ref_bounded_value *v, double s, double x, double got)
{
	double exact = s > 0.0 ? (x - v->m) / s : 0.0, slack = 1e-6 + 2.5 * 0x1p-23 * exact;
	return got == (double)(float)(v->m + s * rint(exact - slack)) ||
	       got == (double)(float)(v->m + s * rint(exact + slack));
}

struct side {
	const struct ref_bounded *codec;
	enum feed_side side;
	int layer;
	size_t heads, dim;
	const double *given, *read; /* [tokens][heads][dim] */
	struct given_sealed *sum;
};

static void check_value(const struct side *s, const struct ref_bounded_value *v, bool in_half,
                        size_t token, size_t head, size_t d)
{
	size_t at = (token * s->heads + head) * s->dim + d;
	double x = s->given[at], got = s->read[at];
	const char *name = s->side == FEED_K ? "K" : "V";
	if (in_half) {
		EACH_MSG(got == x, "layer %d, %s, token %zu, head %zu, channel %zu: %.9g for %.9g",
		         s->layer, name, token, head, d, got, x);
		return;
	}
	/* the promise, with room for the product of rel and range and for the read's own rounding */
	double allowed = v->promise * (1.0 + 1e-5) + 1e-7 + 0x1p-24 * fabs(got);
	EACH_MSG(fabs(got - x) <= allowed,
	         "layer %d, %s, token %zu, head %zu, channel %zu: %.9g for %.9g, allowed +-%g",
	         s->layer, name, token, head, d, got, x, allowed);
	EACH_MSG(is_code(v, v->s, x, got) || is_code(v, v->s_low, x, got) ||
	             is_code(v, v->s_high, x, got),
	         "layer %d, %s, token %zu, head %zu, channel %zu: %.9g for %.9g isn't %.9g + %.9g * %d",
	         s->layer, name, token, head, d, got, x, v->m, v->s, v->code);
}

static size_t exact_tokens(const struct given *g, size_t from, size_t count)
{
	size_t n = from == 0 ? g->codec.exact : 0;
	return n < count ? n : count;
}

/* One head's codes and values of count tokens; true if they're in half. */
static bool check_tokens(const struct side *s, size_t from, size_t count, size_t head)
{
	size_t n = count * s->dim;
	double *x = new_doubles(n);
	struct ref_bounded_value *values = calloc(n + 1, sizeof *values);
	ck_assert_ptr_nonnull(values);
	for (size_t i = 0; i < n; i++)
		x[i] = s->given[((from + i / s->dim) * s->heads + head) * s->dim + i % s->dim];
	bool in_half = count > 0 && !ref_bounded_encode(s->codec, count, s->dim, x, values);
	for (size_t i = 0; i < n; i++) {
		check_value(s, &values[i], in_half, from + i / s->dim, head, i % s->dim);
		if (in_half)
			continue;
		s->sum->step[s->side] = fmax(s->sum->step[s->side], fmax(values[i].s, values[i].s_high));
		s->sum->step_low[s->side] = fmax(s->sum->step_low[s->side], values[i].s_low);
	}
	free(x);
	free(values);
	return in_half;
}

static void check_block(const struct side *s, size_t exact, size_t from, size_t count)
{
	const struct ref_bounded_value none = {0};
	for (size_t h = 0; h < s->heads; h++) {
		for (size_t i = 0; i < exact * s->dim; i++)
			check_value(s, &none, true, from + i / s->dim, h, i % s->dim);
		bool in_half = check_tokens(s, from + exact, count - exact, h);
		s->sum->values += count * s->dim;
		s->sum->in_half += (in_half ? count : exact) * s->dim;
	}
}

static void check_side(const struct given *g, const struct feed *feed, const struct stream *stream,
                       int layer, enum feed_side side, struct given_sealed *sum)
{
	size_t row = row_size(feed, side);
	double *read = new_doubles(stream->n * row);
	const double *given = g->rows[layer][side];
	struct side s = {
		.codec = side == FEED_K ? &g->codec.k : &g->codec.v, .side = side, .layer = layer};
	s.heads = feed_heads(feed, side);
	s.dim = feed_dim(feed, side);
	s.given = given;
	s.read = read;
	s.sum = sum;
	feed_read(feed, stream, layer, 0, stream->n, side == FEED_K ? read : NULL,
	          side == FEED_V ? read : NULL);
	for (size_t b = 0; b < g->seal.n_blocks; b++)
		check_block(&s, exact_tokens(g, g->seal.blocks[b].from, g->seal.blocks[b].count),
		            g->seal.blocks[b].from, g->seal.blocks[b].count);
	for (size_t t = 0; t < stream->n; t++)
		for (size_t i = 0; t >= g->seal.tail && i < row; i++)
			EACH_MSG(read[t * row + i] == given[t * row + i],
			         "token %zu isn't sealed, element %zu reads %g for %g", t, i, read[t * row + i],
			         given[t * row + i]);
	free(read);
}

struct given_sealed given_check(const struct given *g, const struct feed *feed,
                                const struct stream *stream)
{
	struct given_sealed sum = {.tokens = ref_seal_sealed(&g->seal)};
	for (int layer = 0; layer < feed->geometry.layers; layer++) {
		check_side(g, feed, stream, layer, FEED_K, &sum);
		check_side(g, feed, stream, layer, FEED_V, &sum);
	}
	return sum;
}

/* ---------------------------------------------------------------- sizes ---- */

struct table {
	size_t n; /* symbols */
	int lengths[REF_HUFFMAN_SYMBOLS];
};

/* The codes of one side of one head's block, [token][dim]. */
static void encode_block(const struct given *g, const struct feed *feed, int layer,
                         enum feed_side side, size_t head, size_t block, int *codes)
{
	size_t heads = feed_heads(feed, side), dim = feed_dim(feed, side), n = g->seal.block * dim;
	const double *rows = g->rows[layer][side] + g->seal.blocks[block].from * heads * dim;
	double *x = new_doubles(n);
	struct ref_bounded_value *values = calloc(n, sizeof *values);
	ck_assert_ptr_nonnull(values);
	ck_assert(g->seal.blocks[block].count == g->seal.block && g->codec.exact == 0);
	for (size_t i = 0; i < n; i++)
		x[i] = rows[(i / dim * heads + head) * dim + i % dim];
	ck_assert(ref_bounded_encode(side == FEED_K ? &g->codec.k : &g->codec.v, g->seal.block, dim, x,
	                             values));
	for (size_t i = 0; i < n; i++)
		codes[i] = values[i].code;
	free(x);
	free(values);
}

/* The layer's table, each symbol counted once more than it occurs; returns the mean word's bits. */
static double build_table(const struct given *g, const struct feed *feed, int layer,
                          enum feed_side side, int longest, struct table *table)
{
	uint64_t counts[REF_HUFFMAN_SYMBOLS] = {0}, all = 0;
	double bits = 0.0;
	size_t n = g->seal.block * feed_dim(feed, side);
	int *codes = calloc(n, sizeof *codes);
	ck_assert_ptr_nonnull(codes);
	for (size_t b = 0; b < g->seal.n_blocks; b++)
		for (size_t h = 0; h < feed_heads(feed, side); h++) {
			encode_block(g, feed, layer, side, h, b, codes);
			for (size_t i = 0; i < n; i++)
				counts[codes[i]]++;
		}
	table->n = (size_t)ref_bounded_symbols(side == FEED_K ? &g->codec.k : &g->codec.v);
	for (size_t s = 0; s < table->n; s++)
		counts[s]++;
	ref_huffman(table->n, counts, longest, table->lengths);
	for (size_t s = 0; s < table->n; s++) {
		bits += (double)((counts[s] - 1) * (uint64_t)table->lengths[s]);
		all += counts[s] - 1;
	}
	free(codes);
	return bits / (double)all;
}

/* Bytes of all lanes: neighbouring columns, walked down their rows. K's columns are tokens, V's are
 * channels; codes [token][dim]. */
static size_t lanes_bytes(const struct table *table, const int *codes, enum feed_side side,
                          size_t tokens, size_t dim, size_t lane_codes)
{
	size_t rows = side == FEED_K ? dim : tokens, columns = tokens * dim / rows, bytes = 0;
	size_t joined = lane_codes / rows ? lane_codes / rows : 1;
	for (size_t from = 0; from < columns; from += joined) {
		size_t bits = 0;
		for (size_t c = from; c < from + joined && c < columns; c++)
			for (size_t r = 0; r < rows; r++) {
				size_t at = side == FEED_K ? c * dim + r : r * dim + c;
				bits += (size_t)table->lengths[codes[at]];
			}
		bytes += (bits + 7) / 8;
	}
	return bytes;
}

/* The lanes with the cheapest of the tables, the flat one among them. */
static size_t cheapest(const struct given *g, const struct feed *feed, const struct table *tables,
                       int layer, enum feed_side side, size_t head, size_t block, size_t lane_codes)
{
	size_t dim = feed_dim(feed, side), least = SIZE_MAX;
	int *codes = calloc(g->seal.block * dim, sizeof *codes);
	ck_assert_ptr_nonnull(codes);
	encode_block(g, feed, layer, side, head, block, codes);
	for (int t = 0; t <= feed->geometry.layers; t++) {
		size_t bytes = lanes_bytes(&tables[t], codes, side, g->seal.block, dim, lane_codes);
		least = bytes < least ? bytes : least;
	}
	free(codes);
	return least;
}

static size_t up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

struct given_sizes given_sizes(const struct given *g, const struct feed *feed, int longest,
                               size_t lane_codes)
{
	struct given_sizes sizes = {{0, 0}, 0, 0};
	struct table tables[2][FEED_LAYERS + 1]; /* of the layers, and the flat one */
	int layers = feed->geometry.layers;
	size_t heads = feed_heads(feed, FEED_K), bt = g->seal.block;
	size_t dk = feed_dim(feed, FEED_K), dv = feed_dim(feed, FEED_V);
	for (int side = 0; side < 2; side++) {
		for (int layer = 0; layer < layers; layer++)
			sizes.bits[side] +=
				build_table(g, feed, layer, (enum feed_side)side, longest, &tables[side][layer]) /
				layers;
		struct table *flat = &tables[side][layers];
		flat->n = tables[side][0].n;
		for (size_t s = 0; s < flat->n; s++)
			flat->lengths[s] = ref_huffman_flat(flat->n);
	}
	/* a step and a minimum of 2 bytes each per unit, then a byte per lane */
	size_t head_bytes = 4 * ((g->codec.k.unit == REF_UNIT_CHANNEL ? dk : 1) + bt) +
	                    up(bt * dk, lane_codes) / lane_codes + up(bt * dv, lane_codes) / lane_codes;
	for (int layer = 0; layer < layers; layer++)
		for (size_t b = 0; b < g->seal.n_blocks; b++)
			for (size_t h = 0; h < heads; h++) {
				size_t k = cheapest(g, feed, tables[0], layer, FEED_K, h, b, lane_codes);
				size_t v = cheapest(g, feed, tables[1], layer, FEED_V, h, b, lane_codes);
				sizes.least += (double)up(head_bytes + k + v, 64);
				sizes.most += (double)up(head_bytes + up(k, 16) + v, 64);
			}
	return sizes;
}
