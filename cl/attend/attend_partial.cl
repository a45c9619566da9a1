/* SPDX-License-Identifier: MIT */
/* attend_partial: a tile of query rows against one split of their sequence's blocks, read in coded form.
 * Source: online softmax (FlashAttention, arXiv 2205.14135), split over the sequence (Flash-Decoding).
 * Grid: (LANES * work records, STREAMS * (G / HT)). Local: NQ * (DK + DV + BT + ...) floats.
 * q        caller's tensor [rows][Q_HEADS][DK]
 * part_acc [record][DV] unnormalised sums | part_ml [record][2] maximum of logit * log2(e), sum of exp2
 * projections  of latents, where sealed blocks hold them: their factors; of sums of atoms: dictionaries
 * window   a row at position p sees tokens p - window + 1 .. p; 0: all up to p
 * alpha    of the weights of slots that stand for several tokens
 * weights  left_weights.clh, of the item's rows from left_first on, if left_rows isn't 0
 * Numbers: scores and sums in f32, one running maximum per query. Passes per block: scores, softmax, sums. */
#include "attend.clh"
#include "attend_args.clh"
#include "expanded_keys.clh"
#include "latents.clh"
#include "left_weights.clh"
#include "outliers.clh"
#include "pruned_scores.clh"
#include "pruned_sums.clh"
#include "weigh_slots.clh"

#ifndef LEAVES
#define LEAVES 0 /* 1: where it's told to, it leaves the weights of each row behind */
#endif
/* Outliers, whose sums come beside those of codes, planes of as many bits as a token's codes have, keys that are made whole, and V
 * with a scale per channel and group, whose sums are apart until the group ends. */
#if EXPANDS || HAS_OUTLIERS || K_CODEC == ABI_CODEC_QAQ ||                                         \
	(V_CODEC == ABI_CODEC_AFFINE && V_AXIS == ABI_AXIS_CHANNEL)
#define ATTEND_GROUP_SIZE GROUP_SIZE_WIDE
#else
#define ATTEND_GROUP_SIZE GROUP_SIZE
#endif

__kernel ATTEND_GROUP_SIZE void attend_partial(ARGS(ATTEND_PARTIAL_ARGS))
{
	__local float queries[NQ * DK], sums[NQ * DV], scores[NQ * BT], scratch[SHARE_SCRATCH];
	__local float m[NQ], l[NQ], shrink[NQ], folded_k[FOLDED_K], folded_v[FOLDED_V];
	__local uchar codes[DECODED] __attribute__((aligned(16)));
	__local float latents[LATENT_SUMS]; /* sums of blocks that hold latents */
	__local float kept[KEPT], tile[RECOVERED] __attribute__((aligned(64)));
	__local float factors[FACTORS], amplitudes[ALL_AMPLITUDES] __attribute__((aligned(64)));
#if EXPANDS
	__local float expanded[EXPANDED] __attribute__((aligned(64))); /* keys of a block, made whole */
#endif
	__local ushort starts[STARTS];
	const struct pruning pruning = {kept, tile, factors, amplitudes, starts};
	__global const uint *job = plan + work + (uint)get_group_id(0) * ABI_WORK_WORDS;
	__global const uint *item = plan + items + job[ABI_WORK_ITEM] * ABI_ITEM_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1) / (G / HT);
	const uint head = stream * G + (uint)get_group_id(1) % (G / HT) * HT;
	const uint cap = item[ABI_ITEM_CAP], n_rows = job[ABI_WORK_ROWS];
	const uint row0 = item[ABI_ITEM_ROW] + job[ABI_WORK_ROW], q_row = row0 + item[ABI_ITEM_GAP];
	const uint position = item[ABI_ITEM_LEN] + job[ABI_WORK_ROW], end = position + n_rows;
	__global const uint *row = table_row(tables, item[ABI_ITEM_SLAB], cap, layer, stream);
	__global const uint *codebook = head_tables(code_tables, layer, stream);
	__global const float *dictionary = head_dictionary(projections, first_projection + stream);
	const struct view see = {
		.row = row,
		.cap = cap,
		.n_sealed = dense ? 0 : row[ABI_ROW_SEALED],
		.sinks = dense ? 0 : item[ABI_ITEM_SINKS],
		.tail = dense ? 0 : item[ABI_ITEM_TAIL],
		.end = end,
	};
	const uint n = view_blocks(see);
#if LEAVES
	const struct left_weights left = {weights, places, left_rows};
	const uint part = stream * (G / HT) + (uint)get_group_id(1) % (G / HT);
	const uint left_row0 = job[ABI_WORK_ROW] - left_first;
#endif
	const uint split = job[ABI_WORK_SPLIT] & 0xffff, splits = job[ABI_WORK_SPLIT] >> 16;

	for (int u = 0; u < NQ; u++) {
		uint r = (uint)u / HT;
		ulong at = q_offset + (q_row + r) * q_token_stride + (head + (uint)u % HT) * q_head_stride;
		load_query(q, q_dtype, at, r<n_rows, softcap> 0.0f ? scale : scale * LOG2_E, position + r,
		           turns, magnitude, projections, first_projection + stream, queries + u * DK);
	}
#if EXPANDS
	order_queries(queries, kept);
	start_turns(turns, expanded + (DK + EXPAND_ROWS) * BT);
	const struct expansion group = {projections, first_projection + stream, stream, turns,
	                                magnitude};
#elif LATENTS
	fold_queries(NQ, queries, projections, first_projection + stream, kept);
#endif
#if LATENTS
	for (int i = LANE; i < LATENT_SUMS; i += LANES)
		latents[i] = 0.0f;
#endif
	sum_groups(LATENTS ? kept : queries, folded_k);
	start_queries(codebook, dictionary, !(softcap > 0.0f), queries, folded_k, folded_v);
	start_sums(sums, m, l);
	SYNC();
	const uint first = (uint)((ulong)n * split / splits),
			   last = (uint)((ulong)n * (split + 1) / splits);
	struct block next = view_block(see, MIN_OF(first, n - 1));
	__global const uchar *last_sealed = 0;
	const uint key = draw_key(layer, stream);
	for (uint i = first; i < last; i++) {
		const struct block b = next;
		__global const uchar *block = pool + b.at;
		next = view_block(see, MIN_OF(i + 1, n - 1));
		const long ahead = (long)(next.at - b.at);
		/* of slots positions say nothing of the block as a whole */
		const bool whole = STATE_BYTES ? !b.listed : true;
		if (window && whole && b.hi + window <= position + 1) { /* behind every row's window */
#if LEAVES
			if (left_rows > 0)
				leave_weights(left, i, part, left_row0, scores, 0);
#endif
			continue;
		}
#if EXPANDS
		(void)pruning, (void)last_sealed, (void)key;
		expanded_scores(b, i, see, pool, ahead, group, queries, kept, expanded, scores);
#else
		block_scores(b, block, last_sealed, key, ahead, codebook, queries, pruning, folded_k,
		             scores, codes, scratch);
#endif
		last_sealed = b.sealed ? block : last_sealed;
		SYNC();
#if STATE_BYTES
		weigh_slots(b, block, position, window, softcap, alpha, scores);
		SYNC();
		soften(b, position, b.listed ? 0 : window, b.listed ? 0.0f : softcap, scores, m, l, shrink,
		       scratch);
#else
		soften(b, position, window, softcap, scores, m, l, shrink, scratch);
#endif
		SYNC();
#if LEAVES
		if (left_rows > 0)
			leave_weights(left, i, part, left_row0, scores, m);
#endif
#if LATENTS
		shrink_sums(b.sealed ? 1 : VALUE_HEADS, NQ, b.sealed ? DV : RANK_V, shrink,
		            b.sealed ? sums : latents);
#endif
		for (int j = 0; j < (b.sealed ? VALUE_HEADS : 1); j++) {
			if (VALUE_HEADS > 1 && b.sealed)
				block =
					pool +
					member_at(see, stream,
				              value_member(projections, first_projection + stream, stream, j), i);
			block_sums(b.sealed, block, b.flags, ahead, codebook, dictionary, scores, shrink,
			           folded_v, LATENTS && b.sealed ? latents + j * NQ * RANK_V : sums, codes,
			           tile, scratch);
			SYNC();
		}
	}
	end_sums(codebook, dictionary, folded_v, sums);
	SYNC();
#if LATENTS
	for (int j = 0; j < VALUE_HEADS; j++)
		expand_sums(NQ, latents + j * NQ * RANK_V,
		            value_rows(projections, first_projection + stream) + j * RANK_V * DV, sums);
#endif
	for (int u = 0; u < (int)n_rows * HT; u++) {
		uint record = plan[rows + (row0 + (uint)u / HT) * ABI_NEW_WORDS + ABI_NEW_PART] + split;
		store_part(sums, m, l, u, (ulong)record * Q_HEADS + head + (uint)u % HT, part_acc, part_ml);
	}
}
