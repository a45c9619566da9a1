/* SPDX-License-Identifier: MIT */
/* recall_score: what each unit of a sequence's segments promises to each query head of a decoded row.
 * Sources: ClusterKV, arXiv 2412.03213 (query . centroid); A2ATS, arXiv 2502.12665 (query . codebook entry);
 * Quest, arXiv 2406.10774 (the largest product that a page's bounds allow).
 * Grid: (LANES * ceil(tiles / TILES), STREAMS * (G / HT), rows). Local: (NQ * (DK * 2 + UT)) floats.
 * q       caller's tensor [rows][Q_HEADS][DK] | scores [row][Q_HEADS][max_units], of units that fill a tile anything
 * Numbers: f32, no scale: only their order counts. DISTANCE: windowed RoPE (A2ATS, section 3.2): every key is scored as if
 * it lay that far behind the query. */
#include "project.clh"
#include "recall_args.clh"
#include "rope.clh"
#include "segment.clh"
#include "tensor.clh"

#ifndef DISTANCE
#define DISTANCE 0 /* not 0: at which keys are scored, which are as they were before RoPE */
#endif
#ifndef PROBED
#define PROBED 0 /* 1: q is what recall_probe.cl has made: f32 rows of these lists, turned */
#endif
#undef BT
#define BT ABI_TILE /* representatives are scored as the tokens of a block in half are */
#include "codec_half.clh"

#ifndef Q_HEADS
#define Q_HEADS (G * STREAMS) /* query heads */
#endif
#define TILES ABI_SCORE_TILES

INLINE void store_scores(__local const float *tile, __global float *scores, uint max_units)
{
	for (int i = LANE; i < NQ * (UT / VEC); i += LANES) {
		const int q = i / (UT / VEC), u = i % (UT / VEC) * VEC;
		STOREV(LOADV(tile + q * UT + u), scores + (ulong)q * max_units + u);
	}
}

#if INDEX == ABI_INDEX_PAGES
/* The parts of a query above and below zero meet the largest and the smallest values. */
INLINE void score_tile(__global const half *reps, long ahead, __local float *queries,
                       __local float *below, __local float *scores)
{
	k_scores_half(reps, DK, ahead, queries, scores);
	SYNC();
	k_scores_half(reps + DK * UT, DK, ahead, queries + NQ * DK, below);
	SYNC();
	for (int i = LANE * VEC; i < NQ * UT; i += LANES * VEC)
		STOREV(LOADV(scores + i) + LOADV(below + i), scores + i);
}
#define QUERY_PARTS 2
#else
INLINE void score_tile(__global const half *reps, long ahead, __local float *queries,
                       __local float *below, __local float *scores)
{
	k_scores_half(reps, DK, ahead, queries, scores);
}
#define QUERY_PARTS 1
#endif

__kernel GROUP_SIZE void recall_score(ARGS(RECALL_SCORE_ARGS))
{
	__local float queries[QUERY_PARTS * NQ * DK], tile[NQ * UT],
		below[QUERY_PARTS == 2 ? NQ * UT : 1];
	const uint r = (uint)get_group_id(2), stream = (uint)get_group_id(1) / (G / HT);
	const uint head = stream * G + (uint)get_group_id(1) % (G / HT) * HT;
	__global const uint *job = plan + work + r * ABI_ASK_WORDS;
	__global const uint *item = plan + items + job[ABI_ASK_ITEM] * ABI_ITEM_WORDS;
	const uint list = item[ABI_ITEM_SLAB] + segments, n = n_segments(tables, list);
	const uint t0 = (uint)get_group_id(0) * TILES, t1 = t0 + TILES;
	if (t0 * UT >= all_units(tables, list, n))
		return;
	for (int i = LANE; i < NQ * DK; i += LANES)
		queries[i] = tensor_load(
			q, q_dtype,
			q_offset + (PROBED ? r : job[ABI_ASK_ROW] + item[ABI_ITEM_GAP]) * q_token_stride +
				(head + i / DK) * q_head_stride + i % DK);
	SYNC();
#if (ROPE_BY_LIBRARY || DISTANCE > 0) && !PROBED
	/* from where the query is to where it shall be */
	const int position = (int)(item[ABI_ITEM_LEN] + job[ABI_ASK_ROW] - item[ABI_ITEM_ROW]);
	for (int u = 0; u < NQ; u++)
		rope_head(queries + u * DK,
		          (DISTANCE > 0 ? DISTANCE : position) - (ROPE_BY_LIBRARY ? 0 : position), turns,
		          1.0f);
#endif
	for (int u = 0; u < NQ; u++)
		project_key(queries + u * DK, projections, first_projection + stream);
#if QUERY_PARTS == 2
	for (int i = LANE; i < NQ * DK; i += LANES) {
		queries[NQ * DK + i] = fmin(queries[i], 0.0f);
		queries[i] = fmax(queries[i], 0.0f);
	}
	SYNC();
#endif
	for (uint i = 0; i < n; i++) {
		const struct segment s = segment_at(index, tables, list, i, layer * STREAMS + stream);
		const uint begin = s.start / UT, end = begin + tiles_of(s.units);
		__global const half *reps =
			INDEX == ABI_INDEX_CODES
				? (__global const half *)(codebooks + unit_bytes(item[ABI_ITEM_BOOK])) +
					  (ulong)(layer * STREAMS + stream) * BOOK_HALVES
				: s.reps;
		for (uint t = MAX_OF(begin, t0); t < MIN_OF(end, t1); t++) {
			score_tile(reps + (t - begin) * (QUERY_PARTS * DK * UT),
			           t + 1 < end ? QUERY_PARTS * DK * UT * 2 : 0, queries, below, tile);
			SYNC();
			store_scores(tile, scores + ((ulong)r * Q_HEADS + head) * max_units + t * UT,
			             max_units);
			SYNC();
		}
	}
}
