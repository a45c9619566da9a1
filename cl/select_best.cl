/* SPDX-License-Identifier: MIT */
/* select_best: which candidates a (layer, stream) keeps: its `quota` with the largest scores, the later of equals; or all
 * whose score is above 0 (ABOVE). A radix select, digit by digit from the top: the choice of a full sort.
 * Grid: (LANES, STREAMS, layers). Local: 2048 + LANES uint. quota uint [layers][STREAMS].
 * newest: 1, if the last candidate is kept in any case; it counts. candidates.clh draws the buffers. */
#include "candidates.clh"
#include "radix.clh"

#ifndef ABOVE
#define ABOVE 0
#endif

__kernel GROUP_SIZE void select_best(__global const uint *order, __global const float *ranks,
                                     __global uchar *keep, __global uint *chosen,
                                     __global uint *found, __global const uint *quotas, uint newest,
                                     uint cap, uint places, uint first_layer, uint first_stream)
{
	__local uint bins[BINS], scratch[LANES];
	const ulong head =
		(first_layer + (uint)get_group_id(2)) * STREAMS + first_stream + (uint)get_group_id(1);
	__global uint *mine = found + head * FOUND_WORDS(cap);
	__global const float *r = ranks + head * places;
	__global const uint *at = order + head * places;
	__global uchar *kept = keep + head * places;
	const uint all = mine[FOUND_ALL], quota = MIN_OF(quotas[head], all);
	/* the newest stands apart, if it is kept in any case */
	const uint n = newest && quota > 0 ? all - 1 : all, want = quota - (all - n);
	const bool some = !ABOVE && want > 0 && want < n;
	uint ties = some ? want : 1, equal = 0, equals = 0, takes = 0;
	const uint last = last_key(r, n, &ties, bins);
	const uint begin = lane_begin(n), end = lane_end(n);
	for (uint i = begin; i < end; i++)
		equal += key_of(r[i]) == last;
	const uint before = lanes_before(equal, scratch);
	scratch[LANE] = equal;
	SYNC();
	for (int i = 0; i < LANES; i++)
		equals += scratch[i];
	SYNC();
	/* of equals the first are too many */
	uint skip = equals > ties ? equals - ties : 0;
	skip = skip > before ? skip - before : 0;
	for (uint i = begin; i < end; i++) {
		const uint key = key_of(r[i]);
		bool take = ABOVE ? r[i] > 0.0f : some ? key >= last : want > 0;
		if (some && key == last && skip > 0) {
			skip--;
			take = false;
		}
		kept[i] = take ? ABI_SLOT_KEPT : ABI_SLOT_DROPPED;
		takes += take;
	}
	for (uint i = n + LANE; i < all; i += LANES)
		kept[i] = ABI_SLOT_KEPT;
	uint rank = lanes_before(takes, scratch);
	for (uint i = begin; i < end; i++)
		if (kept[i] == ABI_SLOT_KEPT)
			chosen[head * places + rank++] = i;
	if (LANE == LANES - 1) {
		if (n < all)
			chosen[head * places + rank++] = n;
		mine[FOUND_KEPT] = rank;
	}
	for (uint e = LANE; e < cap; e += LANES)
		mine[FOUND_ENTRY + e] = 0;
	SYNC_GLOBAL();
	for (uint i = LANE; i < all; i += LANES)
		if (kept[i] == ABI_SLOT_KEPT && at[i] / BT < cap)
			atomic_add((volatile __global uint *)mine + FOUND_ENTRY + at[i] / BT, 1u);
}
