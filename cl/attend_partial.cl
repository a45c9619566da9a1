/* SPDX-License-Identifier: MIT */
/* attend_partial: a tile of query rows against one split of their sequence's blocks, read in coded form.
 * Source: online softmax (FlashAttention, arXiv 2205.14135), split over the sequence (Flash-Decoding).
 * Grid: (LANES * work records, STREAMS * (G / HT)). Local: NQ * (DK + DV + BT + ...) floats.
 * q        caller's tensor [rows][Q_HEADS][DK]
 * part_acc [record][DV] unnormalised sums | part_ml [record][2] maximum of logit * log2(e), sum of exp2
 * window   a row at position p sees tokens p - window + 1 .. p; 0: all up to p
 * Numbers: scores and sums in f32, one running maximum per query. Passes per block: scores, softmax, sums. */
#include "codec_affine.clh"
#include "codec_half.clh"
#include "hadamard.clh"
#include "tensor.clh"

#ifndef Q_HEADS
#define Q_HEADS (G * STREAMS) /* query heads */
#endif
#ifndef ROT_K
#define ROT_K 0 /* 1: K is turned by a Hadamard matrix, so q is */
#endif
#define LOG2_E 1.44269504088896340736f

/* Local arrays of the codecs are as small as the codecs allow. */
#define FOLD_K (K_CODEC == ABI_CODEC_AFFINE && K_AXIS == ABI_AXIS_CHANNEL ? NQ * DK : 1)
#define FOLD_V (V_CODEC == ABI_CODEC_AFFINE ? NQ * V_FOLD : 1)

/* Loads a query, turns and scales it; leaves the sums of its segments in sums. */
INLINE void load_query(__global const uchar *q, uint dtype, ulong at, bool there, float factor, __local float *query,
                       __local float *segments)
{
	for (int c = LANE; c < DK; c += LANES)
		query[c] = there ? tensor_load(q, dtype, at + c) * factor : 0.0f;
	SYNC();
	if (ROT_K)
		hadamard(query, DK);
	for (int s = LANE; s < DK / SEGMENT; s += LANES) {
		float z = 0.0f;
		for (int c = 0; c < SEGMENT; c++)
			z += query[s * SEGMENT + c];
		segments[s] = z;
	}
}

/* A block of a split: where it lies, and which positions of it the tile may see. */
struct block {
	bool sealed;
	ulong at;            /* byte in the pool */
	uint first, lo, hi;  /* position of its first token; visible are lo .. hi - 1 */
};

INLINE struct block find_block(__global const uint *row, uint cap, uint i, uint n_sealed, uint sinks, uint tail,
                               uint end)
{
	struct block b;
	uint n_sink = (sinks + BT - 1) / BT;
	b.sealed = i < n_sealed;
	if (b.sealed) {
		__global const uint *entry = row + ABI_ROW_ENTRY(i);
		b.at = unit_bytes(entry[ABI_ENTRY_ADDR]);
		b.first = b.lo = entry[ABI_ENTRY_POS];
		b.hi = b.lo + entry[ABI_ENTRY_COUNT];
		return b;
	}
	/* A half block can hold sinks and tail both: it's walked for each. */
	bool sink = i - n_sealed < n_sink;
	uint j = sink ? i - n_sealed : tail / BT + i - n_sealed - n_sink;
	b.at = half_block(row, cap, j);
	b.first = j * BT;
	b.lo = sink ? 0 : tail;
	b.hi = sink ? sinks : end;
	return b;
}

/* Scores of one query become weights; m and l are its running maximum and sum, alpha what they shrink by. */
INLINE void soften(const struct block b, uint position, uint window, float softcap, __local float *scores,
                   __local float *m, __local float *l, __local float *alpha)
{
	uint hi = MIN_OF(b.hi, position + 1), lo = b.lo;
	if (window && position + 1 > window && position + 1 - window > lo)
		lo = position + 1 - window;
	int from = lo > b.first ? (int)(lo - b.first) : 0, to = hi > b.first ? (int)(hi - b.first) : 0;
	floatv top = -INFINITY;
	for (int t = 0; t < BT; t += VEC) {
		floatv s = LOADV(scores + t);
		if (softcap > 0.0f)
			s = softcap * LOG2_E * tanh(s / softcap);
		intv at = IOTA + t;
		s = at >= from && at < to ? s : (floatv)(-INFINITY);
		STOREV(s, scores + t);
		top = fmax(top, s);
	}
	float next = fmax(*m, HMAX(top)), base = next == -INFINITY ? 0.0f : next;
	floatv sum = 0.0f;
	for (int t = 0; t < BT; t += VEC) {
		floatv e = exp2(LOADV(scores + t) - base);
		STOREV(e, scores + t);
		sum += e;
	}
	*alpha = exp2(*m - base);
	*l = fma(*l, *alpha, HSUM(sum));
	*m = next;
}

__kernel GROUP_SIZE void attend_partial(__global const uchar *pool, __global const uint *tables,
                                        __global const uint *plan, __global const uchar *q, uint q_dtype,
                                        ulong q_offset, ulong q_token_stride, ulong q_head_stride,
                                        __global float *part_acc, __global float *part_ml, uint items, uint rows,
                                        uint work, uint layer, uint dense, uint window, float scale, float softcap)
{
	__local float queries[NQ * DK], sums[NQ * DV], scores[NQ * BT], segments[NQ * (DK / SEGMENT)];
	__local float m[NQ], l[NQ], alpha[NQ], folded_k[FOLD_K], folded_v[FOLD_V];
	__global const uint *job = plan + work + (uint)get_group_id(0) * ABI_WORK_WORDS;
	__global const uint *item = plan + items + job[ABI_WORK_ITEM] * ABI_ITEM_WORDS;
	const uint stream = (uint)get_group_id(1) / (G / HT);
	const uint head = stream * G + (uint)get_group_id(1) % (G / HT) * HT;
	const uint cap = item[ABI_ITEM_CAP], n_rows = job[ABI_WORK_ROWS];
	const uint row0 = item[ABI_ITEM_ROW] + job[ABI_WORK_ROW]; /* of the tile, in q */
	const uint position = item[ABI_ITEM_LEN] + job[ABI_WORK_ROW], end = position + n_rows;
	__global const uint *row = table_row(tables, item[ABI_ITEM_SLAB], cap, layer, stream);
	const uint tail = dense ? 0 : item[ABI_ITEM_TAIL], sinks = dense ? 0 : item[ABI_ITEM_SINKS];
	const uint n_sealed = dense ? 0 : row[ABI_ROW_SEALED];
	const uint n = n_sealed + (sinks + BT - 1) / BT + (end + BT - 1) / BT - tail / BT;
	const uint split = job[ABI_WORK_SPLIT] & 0xffff, splits = job[ABI_WORK_SPLIT] >> 16;

	for (int u = 0; u < NQ; u++) {
		uint r = (uint)u / HT;
		ulong at = q_offset + (row0 + r) * q_token_stride + (head + (uint)u % HT) * q_head_stride;
		load_query(q, q_dtype, at, r < n_rows, softcap > 0.0f ? scale : scale * LOG2_E, queries + u * DK,
		           segments + u * (DK / SEGMENT));
	}
	for (int i = LANE; i < NQ * DV; i += LANES)
		sums[i] = 0.0f;
	for (int u = LANE; u < NQ; u += LANES) {
		m[u] = -INFINITY;
		l[u] = 0.0f;
	}
	SYNC();
	for (uint i = (uint)((ulong)n * split / splits); i < (uint)((ulong)n * (split + 1) / splits); i++) {
		struct block b = find_block(row, cap, i, n_sealed, sinks, tail, end);
		__global const uchar *block = pool + b.at;
		if (window && b.hi + window <= position + 1)
			continue; /* behind every row's window */
		if (!b.sealed)
			k_scores_half((__global const half *)block, queries, scores);
#if K_CODEC == ABI_CODEC_AFFINE
		else
			k_scores_affine(block, queries, folded_k, segments, scores);
#else
		else
			k_scores_half((__global const half *)(block + K_CODES_OFF), queries, scores);
#endif
		SYNC();
		for (int u = LANE; u < NQ; u += LANES)
			soften(b, position + u / HT, window, softcap, scores + u * BT, m + u, l + u, alpha + u);
		SYNC();
		if (!b.sealed)
			v_sum_half((__global const half *)block + DK * BT, scores, alpha, sums);
#if V_CODEC == ABI_CODEC_AFFINE
		else
			v_sum_affine(block, scores, alpha, folded_v, sums);
#else
		else
			v_sum_half((__global const half *)(block + V_CODES_OFF), scores, alpha, sums);
#endif
		SYNC();
	}
	for (int u = 0; u < (int)n_rows * HT; u++) {
		uint part = plan[rows + (row0 + (uint)u / HT) * ABI_NEW_WORDS + ABI_NEW_PART] + split;
		ulong record = (ulong)part * Q_HEADS + head + (uint)u % HT;
		for (int d = LANE * VEC; d < DV; d += LANES * VEC)
			STOREV(LOADV(sums + u * DV + d), part_acc + record * DV + d);
		if (LANE == 0) {
			part_ml[record * 2] = m[u];
			part_ml[record * 2 + 1] = l[u];
		}
	}
}
