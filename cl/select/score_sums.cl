/* SPDX-License-Identifier: MIT */
/* score_sums: the log-sum-exp, in powers of 2, of each row's and head's logits of candidates alone: where tokens are scored by
 * their shares of what these have together (MorphKV, arXiv 2503.00979).
 * Grid: (LANES * ceil(n / TR), STREAMS, layers). Local: as attend_partial without sums of V.
 * queries as for score_rows.cl | sums float [layers][STREAMS][n][G] | candidates are slots of entries that aren't open, and
 * tokens from .. from + leaving - 1. */
#include "asked_rows.clh"
#include "pruned_scores.clh"
#include "select_args.clh"
#include "weigh_slots.clh"

/* The part of a block that candidates are. */
INLINE struct block candidates_of(struct block b, uint from, uint leaving)
{
	b.lo = b.listed ? b.lo : MAX_OF(b.lo, from);
	b.hi = b.listed ? b.hi : MIN_OF(b.hi, from + leaving);
	return b;
}

__kernel GROUP_SIZE void score_sums(ARGS(SCORE_SUMS_ARGS))
{
	__local float rows[NQ * DK], logits[NQ * BT], scratch[SHARE_SCRATCH];
	__local float m[NQ], l[NQ], shrink[NQ], folded_k[FOLDED_K];
	__local uchar codes[DECODED] __attribute__((aligned(16)));
	__local float kept[KEPT], tile[RECOVERED] __attribute__((aligned(64)));
	__local float factors[FACTORS], amplitudes[ALL_AMPLITUDES] __attribute__((aligned(64)));
	__local ushort starts[STARTS];
	const struct pruning pruning = {kept, tile, factors, amplitudes, starts};
	const uint r0 = (uint)get_group_id(0) * TR, stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	__global const uint *row = table_row(tables, slab, cap, layer, stream);
	const struct asked a = asked_of(queries, at, many, first, n, position, layers, layer,
	                                projections, first_projection, stream);
	const struct view see = {row, cap, row[ABI_ROW_SEALED], sinks, tail, position + n};
	const uint blocks = view_blocks(see);
	for (int h0 = 0; h0 < G; h0 += HT) {
		for (int u = 0; u < NQ; u++)
			load_kept(a, r0 + u / HT, stream * G + h0 + u % HT,
			          softcap > 0.0f ? scale : scale * LOG2_E, rows + u * DK);
		for (int u = LANE; u < NQ; u += LANES) {
			m[u] = -INFINITY;
			l[u] = 0.0f;
		}
		SYNC();
		sum_groups(rows, folded_k);
		SYNC();
		for (uint i = 0; i < blocks; i++) {
			const struct block b = candidates_of(view_block(see, i), from, leaving);
			if (b.lo >= b.hi || b.listed != b.sealed)
				continue;
			block_scores(b, pool + b.at, 0, draw_key(layer, stream), 0, code_tables, rows, pruning,
			             folded_k, logits, codes, scratch);
			SYNC();
			weigh_slots(b, pool + b.at, position + r0, window, softcap, alpha, logits);
			SYNC();
			soften(b, position + r0, b.listed ? 0 : window, b.listed ? 0.0f : softcap, logits, m, l,
			       shrink, scratch);
			SYNC();
		}
		for (int u = LANE; u < NQ; u += LANES)
			if (r0 + u / HT < n)
				sums[((ulong)(layer * STREAMS + stream) * n + r0 + u / HT) * G + h0 + u % HT] =
					l[u] > 0.0f ? m[u] + log2(l[u]) : INFINITY;
		SYNC();
	}
}
