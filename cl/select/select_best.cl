/* SPDX-License-Identifier: MIT */
/* select_best: which candidates a (layer, stream) keeps: its `quota` with the largest scores, the later of equals; or all
 * whose score is above 0 (ABOVE). A radix select, digit by digit from the top: the choice of a full sort.
 * Grid: (LANES, STREAMS, layers). Local: 2048 + LANES uint. quota uint [layers][STREAMS].
 * newest: 1, if the last candidate is kept in any case; it counts. candidates.clh draws the buffers. */
#include "chosen.clh"
#include "select_args.clh"

#ifndef ABOVE
#define ABOVE 0
#endif

__kernel GROUP_SIZE void select_best(ARGS(SELECT_BEST_ARGS))
{
	__local uint scratch[LANES];
	const ulong head =
		(first_layer + (uint)get_group_id(2)) * STREAMS + first_stream + (uint)get_group_id(1);
	__global uint *mine = found + head * FOUND_WORDS(cap);
	__global const float *r = ranks + head * places;
	__global uchar *kept = keep + head * places;
	const uint all = mine[FOUND_ALL], quota = MIN_OF(quotas[head], all);
	/* the newest stands apart, if it is kept in any case */
	const uint n = newest && quota > 0 ? all - 1 : all;
#if ABOVE
	for (uint i = LANE; i < n; i += LANES)
		kept[i] = r[i] > 0.0f ? ABI_SLOT_KEPT : ABI_SLOT_DROPPED;
#else
	__local uint bins[BINS];
	keep_largest(r, n, quota - (all - n), kept, bins, scratch);
#endif
	for (uint i = n + LANE; i < all; i += LANES)
		kept[i] = ABI_SLOT_KEPT;
	SYNC_GLOBAL();
	list_chosen(order + head * places, kept, all, cap, chosen + head * places, mine, scratch);
}
