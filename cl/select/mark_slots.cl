/* SPDX-License-Identifier: MIT */
/* mark_slots: the last of a selection: what is sealed anew gets the state that was gathered with it, dropped slots in
 * blocks that stay are nobody's any more, and the others get their new scores.
 * Grid: (LANES * (jobs or blocks), STREAMS, layers): jobs > 0: of jobs; else of the view's blocks.
 * selected: 0, if there is no choice, only scores. by_rank: a candidate's score is its rank, else that of its place; only the
 * latter changes what stays in half. */
#include "candidates.clh"
#include "select_args.clh"
#include "source.clh"

INLINE void copy_state(__global uchar *pool, __global const uint *dst)
{
	if (dst[ABI_DST_COUNT] == 0)
		return;
	__global const uint *from =
		(__global const uint *)slot_weights(pool + block_at(dst[ABI_DST_SOURCE]));
	__global uint *to = (__global uint *)slot_weights(pool + block_at(dst[ABI_DST_ADDR]));
	for (int i = LANE; i < STATE_BYTES / 4; i += LANES)
		to[i] = from[i];
}

__kernel GROUP_SIZE void mark_slots(ARGS(MARK_SLOTS_ARGS))
{
	const uint i = (uint)get_group_id(0), stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	if (jobs) {
		copy_state(pool, plan + job_dst(plan + i * ABI_SEAL_WORDS, layer, stream));
		return;
	}
	const ulong h = layer * STREAMS + stream, head = h * places;
	CANDIDATES(c, layer, stream);
	const struct view see = {table, cap, c.n_sealed, sinks, tail, end};
	if (i >= view_blocks(see))
		return;
	const struct block b = view_block(see, i);
	__global const uchar *block = pool + b.at;
	/* candidates lie in the order of their places: those of this block follow each other */
	const uint all = selected && b.listed ? found[h * FOUND_WORDS(cap) + FOUND_ALL] : 0;
	uint at = 0, last = all;
	while (at < last) {
		const uint middle = (at + last) / 2;
		if (order[head + middle] < i * BT)
			at = middle + 1;
		else
			last = middle;
	}
	/* a half block that holds sinks and tail both is another group's too: each writes the tokens that it scored */
	if (!by_rank)
		for (uint t = LANE; t < BT; t += LANES) {
			if (b.first + t < b.lo || b.first + t >= b.hi)
				continue;
			slot_scores(block)[t] = scores[head + i * BT + t];
			((__global uint *)slot_traces(block))[t] = traces[head + i * BT + t];
		}
	for (uint j = at + LANE; j < all && order[head + j] < (i + 1) * BT; j += LANES) {
		const uint t = order[head + j] % BT;
		if (by_rank)
			slot_scores(block)[t] = ranks[head + j];
		if (keep[head + j] != ABI_SLOT_KEPT)
			slot_weights(block)[t] = -INFINITY;
	}
}
