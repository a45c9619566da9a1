/* SPDX-License-Identifier: MIT */
/* select_alone: which tokens that leave the window stay out of runs: those with the largest scores, the later of equals.
 * Source: KVMerger, arXiv 2407.08454 (the notes' step 1).
 * Grid: (LANES, STREAMS, layers). Local: 2048 + LANES uint. n: tokens that leave the window, the last candidates.
 * bounds uint [layers][STREAMS][2]: runs.clh. keep: ABI_SLOT_KEPT of token i, counted from the first new one. */
#include "candidates.clh"
#include "radix.clh"

__kernel GROUP_SIZE void select_alone(__global const float *ranks, __global uchar *keep,
                                      __global const uint *found, __global const uint *bounds,
                                      uint n, uint cap, uint places, uint first_layer,
                                      uint first_stream)
{
	__local uint bins[BINS], scratch[LANES];
	const ulong head =
		(first_layer + (uint)get_group_id(2)) * STREAMS + first_stream + (uint)get_group_id(1);
	const uint all = found[head * FOUND_WORDS(cap) + FOUND_ALL], want = MIN_OF(bounds[2 * head], n);
	__global const float *r = ranks + head * places + (all - n);
	__global uchar *alone = keep + head * places;
	const bool some = want > 0 && want < n;
	uint ties = some ? want : 1, equal = 0, equals = 0;
	const uint last = last_key(r, n, &ties, bins);
	for (uint i = lane_begin(n); i < lane_end(n); i++)
		equal += key_of(r[i]) == last;
	const uint before = lanes_before(equal, scratch);
	scratch[LANE] = equal;
	SYNC();
	for (int i = 0; i < LANES; i++)
		equals += scratch[i];
	/* of equals the first are too many */
	uint skip = equals > ties ? equals - ties : 0;
	skip = skip > before ? skip - before : 0;
	for (uint i = lane_begin(n); i < lane_end(n); i++) {
		const uint key = key_of(r[i]);
		bool take = some ? key >= last : want > 0;
		if (some && key == last && skip > 0) {
			skip--;
			take = false;
		}
		alone[i] = take ? ABI_SLOT_KEPT : ABI_SLOT_DROPPED;
	}
}
