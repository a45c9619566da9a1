/* SPDX-License-Identifier: MIT */
/* score_rows: what rows of queries that attention has left behind (abi.clh) weigh each token of a sequence: the softmax
 * weights of their heads and rows, reduced to one number. All rows of a step, on top of what earlier ones gave (H2O,
 * arXiv 2306.14048; ZeroMerge, arXiv 2503.10714), or the newest ones (SnapKV, arXiv 2404.14469; CORM, arXiv 2404.15949).
 * Grid: (LANES * blocks, STREAMS, layers), block i of the view of attend_partial. Local: NQ * (DK + BT) + BT * (TR + 1)
 * floats and what the codec wants.
 * queries  rows as attend_merge keeps them, `many` of them from unit `at` on; those asked for are first, first + 1, ... modulo many
 * scores   float [layers][STREAMS][places]: slot t of block i at i * BT + t
 * traces   half [layers][STREAMS][places][2]: the largest weight of a row, the sum of the newest rows' weights, each row's
 *          shrinking by 1 - 1 / ABI_RECENT with each behind it
 * sums     of score_sums.cl, if weights are among candidates alone
 * lambda   what the weights of a row shrink by with each row behind it; add: to the scores in the blocks' state
 * Numbers: logits anew in f32 from queries rounded to half, weights by the log-sum-exp that attention found. */
#include "added_rows.clh"
#include "asked_rows.clh"
#include "pruned_scores.clh"
#include "select_args.clh"
#include "weigh_slots.clh"

#ifndef OLD
#define OLD 0 /* 1: weights are shares of what candidates have together (score_sums.cl) */
#endif

/* best [TR][BT]: the weights of HT heads in a tile of rows, reduced to those of heads before. */
INLINE void weigh_tile(const struct block b, const struct asked a, uint r0, int first_heads,
                       uint window, float softcap, __local const float *scores,
                       __local const float *lse, __local float *best)
{
	for (int u = LANE * VEC; u < TR * BT; u += LANES * VEC) {
		const int r = u / BT, t = u % BT;
		const struct span see = visible(b, a.position + r0 + r, b.listed ? 0 : window);
		floatv all = first_heads ? (floatv)(0.0f) : LOADV(best + u);
		for (int h = 0; h < HT; h++) {
			floatv s = LOADV(scores + (r * HT + h) * BT + t);
			if (!b.listed) /* the others were masked with their weights */
				s = mask_scores(s, t, see, softcap);
			/* rounding may bring a token that has all the weight above it */
			s = MIN_OF(s - lse[r * HT + h], (floatv)(0.0f));
			all = reduce_heads(all, exp2_below(s));
		}
		STOREV(all, best + u);
	}
}

__kernel GROUP_SIZE void score_rows(ARGS(SCORE_ROWS_ARGS))
{
	__local float rows[NQ * DK], logits[NQ * BT], scratch[SHARE_SCRATCH];
	__local float lse[NQ], folded_k[FOLDED_K], best[TR * BT], total[BT];
	__local float peak[TRACES], recent[TRACES];
	__local uchar codes[DECODED] __attribute__((aligned(16)));
	__local float kept[KEPT], tile[RECOVERED] __attribute__((aligned(64)));
	__local float factors[FACTORS], amplitudes[ALL_AMPLITUDES] __attribute__((aligned(64)));
	__local ushort starts[STARTS];
	const struct pruning pruning = {kept, tile, factors, amplitudes, starts};
	const struct added added = {total, peak, recent, best};
	const uint i = (uint)get_group_id(0), stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	__global const uint *row = table_row(tables, slab, cap, layer, stream);
	const struct asked a = asked_of(queries, at, many, first, n, position, layers, layer,
	                                projections, first_projection, stream);
	const struct view see = {row, cap, row[ABI_ROW_SEALED], sinks, tail, position + n};
	if (i >= view_blocks(see))
		return;
	const struct block b = view_block(see, i);
	__global const uchar *block = pool + b.at;
	__global float *out = scores + (ulong)(layer * STREAMS + stream) * places + i * BT;
	__global half *trace = traces + 2 * (out - scores);
	start_added(added, block, add);
	SYNC();
	for (uint r0 = 0; r0 < n; r0 += TR) {
		for (int h0 = 0; h0 < G; h0 += HT) {
			for (int u = 0; u < NQ; u++) {
				const uint r = r0 + u / HT, h = h0 + u % HT;
				float sum = load_kept(a, r, stream * G + h, softcap > 0.0f ? scale : scale * LOG2_E,
				                      rows + u * DK);
				if (OLD && sum < INFINITY)
					sum = sums[((ulong)(layer * STREAMS + stream) * n + r) * G + h];
				if (LANE == 0)
					lse[u] = sum;
			}
			SYNC();
			sum_groups(rows, folded_k);
			SYNC();
			block_scores(b, block, 0, draw_key(layer, stream), 0, code_tables, rows, pruning,
			             folded_k, logits, codes, scratch);
			SYNC();
			weigh_slots(b, block, position + r0, window, softcap, alpha, logits);
			SYNC();
			weigh_tile(b, a, r0, h0 == 0, window, softcap, logits, lse, best);
			SYNC();
		}
		add_rows(a, r0, lambda, added);
		SYNC();
	}
	store_added(added, out, trace);
}
