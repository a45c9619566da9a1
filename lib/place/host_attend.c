/* SPDX-License-Identifier: MIT */
/**
 * \file    host_attend.c
 * \brief   Partial attention in plain C: f32 as on the device, CHUNK rows at a time, one running maximum per query.
 *
 * Rows are widened to f32 once for all query heads of their KV head. Sums run over eight lanes, which compilers keep in
 * a vector.
 */
#include "place/host_attend.h"

#include "base/error.h"
#include "place/place.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 32, LANES = 8, MOST_DIM = 256, MOST_GROUP = 64 };

#define LOG2_E 1.44269504088896340736f

/* A half that is a number, subnormal or not: the product moves its exponent. */
static float widen(uint16_t half)
{
	uint32_t bits = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16;
	float x;
	memcpy(&x, &bits, sizeof x);
	x *= 0x1p112f;
	memcpy(&bits, &x, sizeof bits);
	bits |= sign;
	memcpy(&x, &bits, sizeof x);
	return x;
}

static void widen_row(const unsigned char *from, int n, float *to)
{
	for (int i = 0; i < n; i++) {
		uint16_t half;
		memcpy(&half, from + 2 * i, sizeof half);
		to[i] = widen(half);
	}
}

/* n values of a caller's type. */
static void convert(clkv_dtype dtype, const unsigned char *from, int n, float *to)
{
	if (dtype == CLKV_F32)
		memcpy(to, from, (size_t)n * sizeof *to);
	else if (dtype == CLKV_F16)
		widen_row(from, n, to);
	for (int i = 0; dtype == CLKV_BF16 && i < n; i++) {
		uint16_t high;
		memcpy(&high, from + 2 * i, sizeof high);
		uint32_t bits = (uint32_t)high << 16;
		memcpy(&to[i], &bits, sizeof bits);
	}
}

static float dot(const float *a, const float *b, int n)
{
	float sum[LANES] = {0};
	for (int i = 0; i < n; i += LANES)
		for (int j = 0; j < LANES; j++)
			sum[j] += a[i + j] * b[i + j];
	return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* One KV head's queries against a list of its tokens. */
struct head {
	const clkv_seq *seq;
	int layer, stream;
	const uint32_t *list;
	const float *queries; /* [g][dk], scaled */
	float *ml, *acc;      /* [g][2], [g][dv] */
};

static const unsigned char *row_of(const struct head *h, uint32_t ordinal, int is_v)
{
	const clkv_cache *cache = h->seq->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block, t = ordinal % bt;
	size_t dk = 2 * (size_t)cache->shape.dk, dv = 2 * (size_t)cache->shape.dv;
	const unsigned char *page = clkv__place_page(h->seq, h->layer, h->stream, ordinal / bt);
	return page + (is_v ? bt * dk + t * dv : t * dk);
}

/* Logits * log2(e) of n rows. */
static void score(const struct head *h, const uint32_t *tokens, int n, float scores[][CHUNK])
{
	const struct clkv__shape *shape = &h->seq->cache->shape;
	float k[MOST_DIM];
	for (int t = 0; t < n; t++) {
		widen_row(row_of(h, tokens[t], 0), shape->dk, k);
		for (int g = 0; g < shape->g; g++) {
			float s = dot(h->queries + g * shape->dk, k, shape->dk);
			if (shape->softcap > 0)
				s = shape->softcap * LOG2_E * tanhf(s / shape->softcap);
			scores[g][t] = s;
		}
	}
}

/* Scores become weights; sums so far shrink to the new maximum. */
static void soften(const struct head *h, int n, float scores[][CHUNK])
{
	const struct clkv__shape *shape = &h->seq->cache->shape;
	for (int g = 0; g < shape->g; g++) {
		float *ml = h->ml + 2 * g, *acc = h->acc + g * shape->dv, top = ml[0], sum = 0;
		for (int t = 0; t < n; t++)
			top = fmaxf(top, scores[g][t]);
		float shrink = exp2f(ml[0] - top);
		for (int t = 0; t < n; t++) {
			scores[g][t] = exp2f(scores[g][t] - top);
			sum += scores[g][t];
		}
		ml[0] = top;
		ml[1] = ml[1] * shrink + sum;
		for (int d = 0; d < shape->dv; d++)
			acc[d] *= shrink;
	}
}

static void add_values(const struct head *h, const uint32_t *tokens, int n, float scores[][CHUNK])
{
	const struct clkv__shape *shape = &h->seq->cache->shape;
	float v[MOST_DIM];
	for (int t = 0; t < n; t++) {
		widen_row(row_of(h, tokens[t], 1), shape->dv, v);
		for (int g = 0; g < shape->g; g++) {
			float *acc = h->acc + g * shape->dv, weight = scores[g][t];
			for (int d = 0; d < shape->dv; d++)
				acc[d] += weight * v[d];
		}
	}
}

static void attend_head(const struct head *h)
{
	const struct clkv__shape *shape = &h->seq->cache->shape;
	float scores[MOST_GROUP][CHUNK];
	memset(h->acc, 0, (size_t)shape->g * (size_t)shape->dv * sizeof *h->acc);
	for (int g = 0; g < shape->g; g++) {
		h->ml[2 * g] = -INFINITY;
		h->ml[2 * g + 1] = 0;
	}
	for (uint32_t i = 0; i < h->list[0]; i += CHUNK) {
		uint32_t rest = h->list[0] - i;
		int n = rest < CHUNK ? (int)rest : CHUNK;
		score(h, h->list + 1 + i, n, scores);
		soften(h, n, scores);
		add_values(h, h->list + 1 + i, n, scores);
	}
}

/* The queries of one row of the caller's: in one piece if they lie behind each other. */
static clkv_status read_row(clkv_cache *cache, struct clkv__chain *chain, const clkv_tensor *q,
                            uint32_t row, clkv_error *error)
{
	size_t dk = (size_t)cache->shape.dk, heads = (size_t)cache->shape.q_heads;
	size_t element = q->dtype == CLKV_F32 ? 4 : 2, at = q->offset + row * q->token_stride;
	size_t together = q->head_stride == dk ? heads : 1;
	for (size_t h = 0; h < heads; h += together)
		CLKV_TRY(clkv__chain_read_now(chain, q->mem, (at + h * q->head_stride) * element,
		                              together * dk * element,
		                              cache->place->given + h * dk * element, error));
	return CLKV_OK;
}

clkv_status clkv__place_queries(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__ask_list *list, const clkv_tensor *q,
                                clkv_error *error)
{
	const struct clkv__shape *shape = &cache->shape;
	const int n = shape->q_heads * shape->dk;
	const float scale = shape->softcap > 0 ? shape->scale : shape->scale * LOG2_E;
	for (uint32_t i = 0; i < list->n; i++) {
		float *to = cache->place->queries + i * (size_t)n;
		CLKV_TRY(read_row(cache, chain, q, list->asks[i].row, error));
		convert(q->dtype, cache->place->given, n, to);
		for (int j = 0; shape->rope.by_library && j < shape->q_heads; j++)
			clkv__rope_rotate(&shape->rope, cache->place->turns, list->asks[i].position,
			                  to + j * shape->dk);
		for (int j = 0; j < n; j++)
			to[j] *= scale;
	}
	return CLKV_OK;
}

/* The records of one row, which lie behind each other in both buffers. */
static clkv_status send(clkv_cache *cache, struct clkv__chain *chain, const float *sums,
                        uint32_t part, clkv_error *error)
{
	size_t heads = (size_t)cache->shape.q_heads, dv = (size_t)cache->shape.dv, at = part * heads;
	CLKV_TRY(clkv__chain_write(chain, cache->part_ml, at * 2 * sizeof *sums,
	                           heads * 2 * sizeof *sums, sums, NULL, error));
	return clkv__chain_write(chain, cache->part_acc, at * dv * sizeof *sums,
	                         heads * dv * sizeof *sums, sums + heads * 2, NULL, error);
}

clkv_status clkv__place_attend(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__ask_list *list, int layer, clkv_error *error)
{
	const struct clkv__shape *shape = &cache->shape;
	const size_t heads = (size_t)shape->q_heads, row = heads * (2 + (size_t)shape->dv);
	struct clkv__moved moved = {0};
	for (uint32_t i = 0; i < list->n; i++) {
		const struct clkv__ask *ask = &list->asks[i];
		float *sums = cache->place->sums + i * row;
		for (int s = 0; s < shape->streams; s++) {
			const size_t g0 = (size_t)(s * shape->g);
			const struct head h = {
				.seq = ask->seq,
				.layer = layer,
				.stream = s,
				.list = clkv__place_list(cache, i, s),
				.queries = cache->place->queries + (i * heads + g0) * (size_t)shape->dk,
				.ml = sums + 2 * g0,
				.acc = sums + 2 * heads + g0 * (size_t)shape->dv,
			};
			attend_head(&h);
			moved.asked += h.list[0];
		}
		CLKV_TRY(send(cache, chain, sums, ask->part, error));
		moved.to_device += row * sizeof *sums;
	}
	clkv__place_count(cache, &moved);
	return CLKV_OK;
}
