/* SPDX-License-Identifier: MIT */
/* score_weights: as score_rows, of all rows of a step, by the weights that attention has left of them (left_weights.clh): nothing
 * is multiplied again. A launch takes the rows of one launch of attention, and goes on where the one before has ended (began).
 * Grid: (LANES * blocks, STREAMS, 1). Local: BT * (TR + 3) + TR * G floats.
 * queries  as for score_rows.cl, of which the log-sum-exps are read
 * weights  of n rows: the first of them, number `first` of the step, is row 0 there
 * scores, traces  as score_rows.cl writes them
 * end      behind the last position of the item, whose other rows come later
 * Numbers: weights as attention used them, rounded to half (2^-11); sums in f32. */
#include "added_rows.clh"
#include "left_weights.clh"
#include "select_args.clh"

#define FACTORS_ROOM ((TR * G + VEC - 1) / VEC * VEC)

/* factors [part][TR][HT]: what makes a tile's weights of a block final. lse [n][Q_HEADS] of the launch's rows. All lanes call it; it
 * ends with a barrier. */
INLINE void final_factors(const struct left_weights left, __global const float *lse, uint n, uint i,
                          uint stream, uint r0, __local float *factors)
{
	for (int u = LANE; u < FACTORS_ROOM; u += LANES) {
		const int part = MIN_OF(u / NQ, G / HT - 1), r = u % NQ / HT, h = u % HT;
		const bool there = u < TR * G && r0 + r < n;
		__global const float *bases = left_bases(left, i, stream * (G / HT) + part, r0);
		const float base = there ? bases[r * HT + h] : -INFINITY;
		const float sum = lse[(there ? r0 + r : 0) * Q_HEADS + stream * G + part * HT + h];
		factors[u] = MIN_OF(base - sum, 0.0f) - LEFT_UP;
	}
	SYNC();
	for (int u = LANE * VEC; u < FACTORS_ROOM; u += LANES * VEC)
		STOREV(exp2_below(LOADV(factors + u)), factors + u);
	SYNC();
}

/* best [TR][BT]: the tile's weights, those of all heads reduced to one. What a factor of 0 stands before was never written. */
INLINE void weigh_left(const struct left_weights left, uint i, uint stream, uint r0,
                       __local const float *factors, __local float *best)
{
	for (int part = 0; part < G / HT; part++) {
		__global const half *tile = left_tile(left, i, stream * (G / HT) + part, r0);
		for (int u = LANE * VEC; u < TR * BT; u += LANES * VEC) {
			const int r = u / BT, t = u % BT;
			floatv all = part ? LOADV(best + u) : (floatv)(0.0f);
			for (int h = 0; h < HT; h++) {
				const float factor = factors[(part * TR + r) * HT + h];
				const floatv x = LOADV_HALF(tile + (r * HT + h) * BT + t) * factor;
				if (factor > 0.0f)
					all = reduce_heads(all, MIN_OF(x, (floatv)(1.0f)));
			}
			STOREV(all, best + u);
		}
	}
}

__kernel GROUP_SIZE void score_weights(ARGS(SCORE_WEIGHTS_ARGS))
{
	__local float best[TR * BT], total[BT], factors[FACTORS_ROOM];
	__local float peak[TRACES], recent[TRACES];
	const struct added added = {total, peak, recent, best};
	const struct left_weights left = {weights, places, left_rows};
	const uint i = (uint)get_group_id(0), stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	__global const uint *row = table_row(tables, slab, cap, layer, stream);
	const struct asked a =
		asked_of(queries, at, many, first, n, position, layers, layer, 0, 0, stream);
	const struct view see = {row, cap, row[ABI_ROW_SEALED], sinks, tail, end};
	if (i >= view_blocks(see))
		return;
	const struct block b = view_block(see, i);
	__global float *out = scores + (ulong)(layer * STREAMS + stream) * places + i * BT;
	__global half *trace = traces + 2 * (out - scores);
	if (began)
		resume_added(added, out, trace);
	else
		start_added(added, pool + b.at, 1);
	SYNC();
	__global const float *lse = asked_lse(a) + (ulong)(layer * many + first) * Q_HEADS;
	/* a tile before that ends in front of the block: attention didn't see it */
	const uint ahead = b.listed || b.first < position ? 0 : b.first - position;
	for (uint r0 = ahead / TR * TR; r0 < n; r0 += TR) {
		final_factors(left, lse, n, i, stream, r0, factors);
		weigh_left(left, i, stream, r0, factors, best);
		SYNC();
		add_rows(a, r0, lambda, added);
		SYNC();
	}
	store_added(added, out, trace);
}
