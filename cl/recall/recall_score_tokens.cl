/* SPDX-License-Identifier: MIT */
/* recall_score_tokens: the products of each query head of a decoded row with the keys of all sealed tokens, whatever
 * their codec is: the oracle of what recall can reach.
 * Grid: (LANES * sealed blocks, STREAMS * (G / HT), rows). Local: as attend_partial without sums.
 * scores [row][Q_HEADS][max_units]: the units of a segment are its tokens */
#include "attend.clh"
#include "pruned_scores.clh"
#include "recall_args.clh"
#include "segment.clh"

#ifndef PROBED
#define PROBED 0 /* 1: q is what recall_probe.cl has made: f32 rows of these lists, turned */
#endif

__kernel GROUP_SIZE void recall_score_tokens(ARGS(RECALL_SCORE_TOKENS_ARGS))
{
	__local float queries[NQ * DK], tile_scores[NQ * BT], scratch[SHARE_SCRATCH],
		folded_k[FOLDED_K];
	__local uchar codes[DECODED] __attribute__((aligned(16)));
	__local float kept[KEPT], tile[RECOVERED] __attribute__((aligned(64)));
	__local float factors[FACTORS], amplitudes[ALL_AMPLITUDES] __attribute__((aligned(64)));
	__local ushort starts[STARTS];
	const struct pruning pruning = {kept, tile, factors, amplitudes, starts};
	const uint r = (uint)get_group_id(2), entry = (uint)get_group_id(0);
	const uint stream = first_stream + (uint)get_group_id(1) / (G / HT);
	const uint head = stream * G + (uint)get_group_id(1) % (G / HT) * HT;
	__global const uint *job = plan + work + r * ABI_ASK_WORDS;
	__global const uint *item = plan + items + job[ABI_ASK_ITEM] * ABI_ITEM_WORDS;
	const struct view see = {
		.row = table_row(tables, item[ABI_ITEM_SLAB], item[ABI_ITEM_CAP], layer, stream),
		.cap = item[ABI_ITEM_CAP],
		.n_sealed = entry + 1,
		.sinks = 0,
		.tail = 0,
		.end = 0,
	};
	if (entry >= see.row[ABI_ROW_SEALED])
		return;
	const struct block b = view_block(see, entry);
	for (int u = 0; u < NQ; u++) {
#if PROBED
		__local float *query = queries + u * DK;
		for (int c = LANE; c < DK; c += LANES)
			query[c] = tensor_load(q, q_dtype,
			                       q_offset + r * q_token_stride + (head + u) * q_head_stride + c);
		SYNC();
		project_query(query, projections, first_projection + stream);
#else
		load_query(q, q_dtype,
		           q_offset + (job[ABI_ASK_ROW] + item[ABI_ITEM_GAP]) * q_token_stride +
		               (head + u) * q_head_stride,
		           true, 1.0f, item[ABI_ITEM_LEN] + job[ABI_ASK_ROW] - item[ABI_ITEM_ROW], turns,
		           magnitude, projections, first_projection + stream, queries + u * DK);
#endif
	}
	sum_groups(queries, folded_k);
	SYNC();
	block_scores(b, pool + b.at, 0, draw_key(layer, stream), 0, code_tables, queries, pruning,
	             folded_k, tile_scores, codes, scratch);
	SYNC();
	const uint list = item[ABI_ITEM_SLAB] + segments, ordinal = entry * BT;
	for (uint i = 0; i < n_segments(tables, list); i++) {
		__global const uint *w = tables + list + ABI_SEGS_HEAD + i * ABI_SEG_WORDS;
		const uint first = w[ABI_SEG_FIRST], tokens = w[ABI_SEG_TOKENS];
		if (ordinal < first || ordinal >= first + tokens)
			continue;
		__global float *to =
			scores + ((ulong)r * Q_HEADS + head) * max_units + w[ABI_SEG_START] + (ordinal - first);
		for (int u = LANE; u < NQ * BT; u += LANES)
			if (ordinal - first + (uint)(u % BT) < tokens)
				to[(ulong)(u / BT) * max_units + u % BT] = tile_scores[u];
	}
}
