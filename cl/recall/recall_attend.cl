/* SPDX-License-Identifier: MIT */
/* recall_attend: one decoded row against one split of what it attends to: the tokens on its list, then half blocks of the
 * sinks and the tail. As attend_partial otherwise, with the same records.
 * Grid: (LANES * work records, STREAMS * (G / HT)). Local: NQ * (DK + DV + BT + ...) + 16 * max(DK, DV) floats.
 * lists uint [row][STREAMS][1 + room] of ordinals (recall_list), from that of row number first_ask on; where rows come from
 * host memory, of slots, or not looked at: the host's record is the last (abi.clh, PLACE) */
#include "attend.clh"
#include "codec_half.clh"
#include "listed_rows.clh"
#include "recall_args.clh"

__kernel GROUP_SIZE void recall_attend(ARGS(RECALL_ATTEND_ARGS))
{
	__local float queries[NQ * DK], sums[NQ * DV], scores[NQ * BT], scratch[SHARE_SCRATCH];
	__local float m[NQ], l[NQ], alpha[NQ], listed[LISTED_ROOM];
	__local uchar codes[LISTED_CODES] __attribute__((aligned(16)));
	__local float factors[FACTORS], amplitudes[ALL_AMPLITUDES] __attribute__((aligned(64)));
	__global const uint *job = plan + work + (uint)get_group_id(0) * ABI_WORK_WORDS;
	__global const uint *item = plan + items + job[ABI_WORK_ITEM] * ABI_ITEM_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1) / (G / HT);
	const uint head = stream * G + (uint)get_group_id(1) % (G / HT) * HT;
	const uint cap = item[ABI_ITEM_CAP], position = item[ABI_ITEM_LEN] + job[ABI_WORK_ROW];
	const uint row0 = item[ABI_ITEM_ROW] + job[ABI_WORK_ROW];
	__global const uint *record = plan + rows + row0 * ABI_NEW_WORDS;
	__global const uint *list =
		lists + ((ulong)(record[ABI_NEW_ASK] - first_ask) * STREAMS + stream) * (1 + room);
	const uint n_listed = PLACE == ABI_PLACE_HOST ? 0 : list[0],
			   listed_tiles = (n_listed + BT - 1) / BT;
	const struct view see = {
		.row = table_row(tables, item[ABI_ITEM_SLAB], cap, layer, stream),
		.cap = cap,
		.n_sealed = 0,
		.sinks = item[ABI_ITEM_SINKS],
		.tail = item[ABI_ITEM_TAIL],
		.end = position + 1,
	};
	const uint n = listed_tiles + view_blocks(see);
	const uint split = job[ABI_WORK_SPLIT] & 0xffff;
	const uint splits = (job[ABI_WORK_SPLIT] >> 16) - (PLACE == ABI_PLACE_HOST);
	const struct reading reading = {pool,  see.row, code_tables, draw_key(layer, stream),
	                                codes, factors, amplitudes,  slots};
	if (split == splits)
		return;

	for (int u = 0; u < NQ; u++)
		load_query(q, q_dtype,
		           q_offset + (row0 + item[ABI_ITEM_GAP]) * q_token_stride +
		               (head + u) * q_head_stride,
		           true, softcap > 0.0f ? scale : scale * LOG2_E, position, turns, magnitude,
		           projections, first_projection + stream, queries + u * DK);
	start_sums(sums, m, l);
	SYNC();
	const uint first = (uint)((ulong)n * split / splits),
			   last = (uint)((ulong)n * (split + 1) / splits);
	for (uint i = first; i < last; i++) {
		if (i < listed_tiles) {
			__global const uint *tile = list + 1 + i * BT;
			const int many = (int)MIN_OF(n_listed - i * BT, (uint)BT);
			struct block b; /* a list of initial values would be a constant of the program's */
			b.listed = b.sealed = true;
			b.flags = 0;
			b.at = 0;
			b.first = b.lo = 0;
			b.hi = (uint)many;
			listed_scores(reading, tile, many, (int)(n_listed - i * BT), queries, listed, scores);
			soften(b, BT, 0, softcap, scores, m, l, alpha, scratch); /* sees all of the tile */
			SYNC();
			listed_sums(reading, tile, many, scores, alpha, listed, sums);
			continue;
		}
		const struct block b = view_block(see, i - listed_tiles);
		__global const half *block = (__global const half *)(pool + b.at);
		k_scores_half(block, DK, 0, queries, scores);
		SYNC();
		soften(b, position, 0, softcap, scores, m, l, alpha, scratch);
		SYNC();
		v_sum_half(block + DK * BT, DV, 0, scores, alpha, sums);
		SYNC();
	}
	for (int u = 0; u < NQ; u++)
		store_part(sums, m, l, u, (ulong)(record[ABI_NEW_PART] + split) * Q_HEADS + head + (uint)u,
		           part_acc, part_ml);
}
