/* SPDX-License-Identifier: MIT */
/* select_runs: runs of tokens that leave the window, whose neighbours' keys are alike. The one with the largest score, of
 * equals the latest, is kept and stands for all; what was kept before stays as it is.
 * Source: KVMerger, arXiv 2407.08454 (the notes' steps 2 and 3).
 * Grid: (LANES, STREAMS, layers). n: tokens that leave the window, the last candidates. candidates.clh draws the buffers, runs.clh
 * bounds and work. keep: what select_alone has found of new tokens, then of all candidates. */
#include "chosen.clh"
#include "runs.clh"
#include "select_args.clh"

/* Whether new token i begins a run. */
INLINE bool begins(uint i, __global const float *cosines, __global const uchar *alone, float least)
{
	return i == 0 || alone[i] == ABI_SLOT_KEPT || alone[i - 1] == ABI_SLOT_KEPT ||
	       cosines[i - 1] < least;
}

/* Where runs begin: what was kept before is its own, then those of n new tokens; returns how many there are. */
INLINE uint find_runs(__global uint *firsts, uint old, uint n, __global const float *cosines,
                      __global const uchar *alone, float least, __local uint *scratch)
{
	uint mine = 0;
	for (uint i = lane_begin(n); i < lane_end(n); i++)
		mine += begins(i, cosines, alone, least);
	uint at = old + lanes_before(mine, scratch);
	for (uint i = lane_begin(n); i < lane_end(n); i++)
		if (begins(i, cosines, alone, least))
			firsts[at++] = old + i;
	for (uint i = LANE; i < old; i += LANES)
		firsts[i] = i;
	scratch[LANE] = at;
	SYNC_GLOBAL();
	return scratch[LANES - 1];
}

__kernel GROUP_SIZE void select_runs(ARGS(SELECT_RUNS_ARGS))
{
	__local uint scratch[LANES];
	const ulong head =
		(first_layer + (uint)get_group_id(2)) * STREAMS + first_stream + (uint)get_group_id(1);
	__global uint *mine = found + head * FOUND_WORDS(cap), *firsts = run_firsts(work, head, places);
	__global const float *r = ranks + head * places;
	__global uchar *kept = keep + head * places;
	const uint all = mine[FOUND_ALL];
	const uint many = find_runs(firsts, all - n, n, run_cosines(work, head, places), kept,
	                            as_float(bounds[2 * head + 1]), scratch);
	for (uint i = LANE; i < all; i += LANES)
		kept[i] = ABI_SLOT_DROPPED;
	SYNC_GLOBAL();
	for (uint k = LANE; k < many; k += LANES) {
		const uint end = k + 1 < many ? firsts[k + 1] : all;
		uint pivot = firsts[k];
		for (uint i = pivot + 1; i < end; i++)
			pivot = r[i] >= r[pivot] ? i : pivot;
		kept[pivot] = ABI_SLOT_KEPT;
	}
	SYNC_GLOBAL();
	list_chosen(order + head * places, kept, all, cap, chosen + head * places, mine, scratch);
}
