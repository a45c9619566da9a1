/* SPDX-License-Identifier: MIT */
/* score_mean: where all heads of a layer keep the same tokens, each candidate's score becomes the mean of theirs.
 * Grid: (LANES, 1, layers). candidates.clh draws the buffers. */
#include "candidates.clh"

__kernel GROUP_SIZE void score_mean(__global float *ranks, __global const uint *found, uint cap,
                                    uint places, uint first_layer)
{
	const ulong head = (first_layer + (uint)get_group_id(2)) * STREAMS;
	const uint n = found[head * FOUND_WORDS(cap) + FOUND_ALL];
	__global float *first = ranks + head * places;
	for (uint i = LANE; i < n; i += LANES) {
		float sum = 0.0f;
		for (uint s = 0; s < STREAMS; s++)
			sum += first[(ulong)s * places + i];
		for (uint s = 0; s < STREAMS; s++)
			first[(ulong)s * places + i] = sum / STREAMS;
	}
}
