/* SPDX-License-Identifier: MIT */
/* index_points: the keys of tokens that are about to be sealed, where they still lie in half blocks, in tiles of
 * ABI_POINTS tokens for the kernels that make an index: abi.clh draws them.
 * Grid: (LANES * tiles, STREAMS, layers). build: of all (layer, stream) of the launch, `stride` bytes each
 * Tokens from, from + step, ...; those of the last tile behind token number n are zeros. */
#include "recall_args.clh"
#include "rope.clh"
#include "table.clh"

#ifndef DISTANCE
#define DISTANCE 0 /* not 0: keys as they were before RoPE (recall_score.cl) */
#endif

/* Turns a token's key back to position 0; column i of to [DK][ABI_POINTS]. */
INLINE void unrotate(__global half *to, int i, int position, __global const ulong *turns,
                     float factor)
{
	for (int pair = 0; pair < ROPE_DIMS / 2; pair++) {
		const float2 turn = rope_turn(turns, pair, -position) * factor;
		const int first = ROPE_FIRST(pair) * ABI_POINTS + i,
				  second = ROPE_SECOND(pair) * ABI_POINTS + i;
		const float a = vload_half(first, to), b = vload_half(second, to);
		vstore_half_rte(TURNED_FIRST(a, b, turn.x, turn.y), first, to);
		vstore_half_rte(TURNED_SECOND(a, b, turn.x, turn.y), second, to);
	}
}

__kernel GROUP_SIZE void index_points(ARGS(INDEX_POINTS_ARGS))
{
	const uint stream = (uint)get_group_id(1), layer = first_layer + (uint)get_group_id(2),
			   t0 = (uint)get_group_id(0) * ABI_POINTS;
	__global const uint *row = table_row(tables, slab, cap, layer, stream);
	__global half *to =
		(__global half *)(build + ((ulong)get_group_id(2) * STREAMS + stream) * stride) +
		(ulong)t0 * DK;
	for (int i = LANE; i < ABI_POINTS; i += LANES) {
		const uint position = from + (t0 + (uint)i) * step;
		const bool there = t0 + (uint)i < n;
		__global const half *k =
			(__global const half *)(pool + (there ? half_block(row, cap, position / BT) : 0));
		for (int d = 0; d < DK; d++)
			vstore_half(there ? vload_half(d * BT + position % BT, k) : 0.0f, d * ABI_POINTS + i,
			            to);
		if (DISTANCE > 0)
			unrotate(to, i, (int)position, turns, 1.0f / magnitude);
	}
}
