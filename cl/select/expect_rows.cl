/* SPDX-License-Identifier: MIT */
/* expect_rows: the logarithm of the weight that each query head is expected to give each token of a sequence, before shares
 * are taken: E exp(q . k) of normally distributed logits is exp(mean + variance / 2). Both are of the logits of the newest
 * queries at the mean of the next positions (expect_queries.cl): their variance is k^T C k with these queries' covariance C.
 * Source: Expected Attention, arXiv 2510.00636, section 3.
 * Grid: (LANES * blocks, STREAMS, layers), block i of the view of attend_partial. Local: NQ * (DK + BT) + 3 * HT * BT floats
 * and what the codec wants.
 * queries  whose rows were attended with: score_rows.cl | expected float [layers][Q_HEADS][n][DK]
 * logs     float [layers][Q_HEADS][places], in powers of 2: slot t of block i at i * BT + t
 * window   of the layers: a token that m of the next AHEAD positions see counts m / AHEAD; 0: they see all
 * Numbers: f32; sums are of differences from the first row, so that a variance loses nothing to a large mean. A softcap is
 * left out, and so is what places that hold no candidate get. */
#include "asked_rows.clh"
#include "pruned_scores.clh"
#include "select_args.clh"
#include "slots.clh"

#ifndef AHEAD
#define AHEAD 512
#endif
#define LN_2 0.69314718055994530942f
#ifndef VARIANCE
#define VARIANCE 1 /* 0: without the variance */
#endif

/* rows [NQ][DK]: tiles of expected queries, scaled. Ends with a barrier. */
INLINE void load_expected(__global const float *expected, uint n, uint r0, uint head, float factor,
                          const struct asked a, __local float *rows)
{
	for (int u = LANE; u < NQ * DK; u += LANES) {
		const uint r = r0 + u / DK / HT, h = head + u / DK % HT;
		rows[u] = r < n ? expected[((ulong)h * n + r) * DK + u % DK] * factor : 0.0f;
	}
	SYNC();
	for (int u = 0; u < NQ; u++)
		project_key(rows + u * DK, a.projections, a.projection);
}

/* base, sum, squares [HT][BT]: logits of a tile of rows join those before, of which there are `count`; returns how many
 * there are then. */
INLINE uint add_logits(const struct asked a, uint r0, uint count, __local const float *logits,
                       __local float *base, __local float *sum, __local float *squares)
{
	uint seen = count;
	for (uint r = 0; r < TR && r0 + r < a.n; r++) {
		if (!was_asked(a, r0 + r))
			continue;
		for (int u = LANE * VEC; u < HT * BT; u += LANES * VEC) {
			const floatv x = LOADV(logits + r * HT * BT + u);
			if (seen == 0)
				STOREV(x, base + u);
			const floatv apart = seen == 0 ? (floatv)(0.0f) : x - LOADV(base + u);
			STOREV(seen == 0 ? apart : LOADV(sum + u) + apart, sum + u);
			STOREV(seen == 0 ? apart : fma(apart, apart, LOADV(squares + u)), squares + u);
		}
		seen++;
	}
	return seen;
}

/* log2 of the share of the next positions that see a token. */
INLINE float log_seen(uint position, uint end, uint window)
{
	if (window == 0 || position + window >= end + AHEAD)
		return 0.0f;
	return position + window > end ? log2((float)(position + window - end) / AHEAD) : -INFINITY;
}

__kernel GROUP_SIZE void expect_rows(ARGS(EXPECT_ROWS_ARGS))
{
	__local float rows[NQ * DK], logits[NQ * BT], scratch[SHARE_SCRATCH], folded_k[FOLDED_K];
	__local float base[HT * BT], sum[HT * BT], squares[HT * BT];
	__local uchar codes[DECODED] __attribute__((aligned(16)));
	__local float kept[KEPT], tile[RECOVERED] __attribute__((aligned(64)));
	__local float factors[FACTORS], amplitudes[ALL_AMPLITUDES] __attribute__((aligned(64)));
	__local ushort starts[STARTS];
	const struct pruning pruning = {kept, tile, factors, amplitudes, starts};
	const uint i = (uint)get_group_id(0), stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2), end = position + n;
	__global const uint *row = table_row(tables, slab, cap, layer, stream);
	const struct asked a = asked_of(queries, at, many, first, n, position, layers, layer,
	                                projections, first_projection, stream);
	const struct view see = {row, cap, row[ABI_ROW_SEALED], sinks, tail, end};
	if (i >= view_blocks(see))
		return;
	const struct block b = view_block(see, i);
	__global const uchar *block = pool + b.at;
	for (int h0 = 0; h0 < G; h0 += HT) {
		const uint head = stream * G + h0;
		uint count = 0;
		for (uint r0 = 0; r0 < n; r0 += TR) {
			load_expected(expected + (ulong)layer * Q_HEADS * n * DK, n, r0, head, scale * LOG2_E,
			              a, rows);
			sum_groups(rows, folded_k);
			SYNC();
			block_scores(b, block, 0, draw_key(layer, stream), 0, code_tables, rows, pruning,
			             folded_k, logits, codes, scratch);
			SYNC();
			count = add_logits(a, r0, count, logits, base, sum, squares);
			SYNC();
		}
		const float part = 1.0f / MAX_OF(count, 1u);
		for (int u = LANE; u < HT * BT; u += LANES) {
			const int t = u % BT;
			const float mean = sum[u] * part, variance = fma(-mean, mean, squares[u] * part);
			const uint p = b.listed ? slot_positions(block)[t] : b.first + t;
			logs[(ulong)(layer * Q_HEADS + head + u / BT) * places + i * BT + t] =
				count == 0
					? 0.0f
					: base[u] + mean + (VARIANCE ? 0.5f * LN_2 * MAX_OF(variance, 0.0f) : 0.0f) +
						  log_seen(p, end, window);
		}
		SYNC();
	}
}
