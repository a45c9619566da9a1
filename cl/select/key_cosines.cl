/* SPDX-License-Identifier: MIT */
/* key_cosines: how alike the keys of neighbours are among the n tokens that leave the window.
 * Source: KVMerger, arXiv 2407.08454 (the notes' step 2).
 * Grid: (LANES * blocks of BT tokens, STREAMS, layers). candidates.clh draws the first buffers.
 * work  of each (layer, stream) cosines float [places], of token i and the next one; runs uint [places]: select_runs.cl
 * Numbers: f32; at most 1, which equal keys have exactly; of a key of zeros 0. */
#include "candidates.clh"
#include "runs.clh"
#include "select_args.clh"

INLINE float key_cosine(__global const half *a, __global const half *b)
{
	float dot = 0.0f, aa = 0.0f, bb = 0.0f;
	for (int i = 0; i < DK; i++) {
		const float x = vload_half(i * BT, a), y = vload_half(i * BT, b);
		dot = fma(x, y, dot);
		aa = fma(x, x, aa);
		bb = fma(y, y, bb);
	}
	if (aa == 0.0f || bb == 0.0f)
		return 0.0f;
	return dot == aa && dot == bb ? 1.0f : fmin(dot / sqrt(aa * bb), 1.0f);
}

__kernel GROUP_SIZE void key_cosines(ARGS(KEY_COSINES_ARGS))
{
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const uint i0 = (uint)get_group_id(0) * BT;
	CANDIDATES(c, layer, stream);
	__global float *cosines = run_cosines(work, layer * STREAMS + stream, places);
	for (uint i = i0 + LANE; i < i0 + BT && i + 1 < n; i += LANES) {
		const uint a = place_at(c, old_slots(c) + i), b = place_at(c, old_slots(c) + i + 1);
		cosines[i] = key_cosine((__global const half *)place_block(c, a) + a % BT,
		                        (__global const half *)place_block(c, b) + b % BT);
	}
}
