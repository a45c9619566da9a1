/* SPDX-License-Identifier: MIT */
/* score_mean: where all heads of a layer keep the same tokens, each candidate's score becomes the mean of theirs.
 * Grid: (LANES, 1, layers). candidates.clh draws the buffers. n: the last candidates, which are the same tokens in all heads: no
 * more than those that leave the window, where runs of other length have become slots of each head. */
#include "candidates.clh"
#include "select_args.clh"

/* Of a head's candidates the one that is `back` from their end. */
INLINE __global float *last_rank(__global float *ranks, __global const uint *found, uint cap,
                                 uint places, ulong head, uint back)
{
	return ranks + head * places + found[head * FOUND_WORDS(cap) + FOUND_ALL] - back;
}

__kernel GROUP_SIZE void score_mean(ARGS(SCORE_MEAN_ARGS))
{
	const ulong head = (first_layer + (uint)get_group_id(2)) * STREAMS;
	const uint same = MIN_OF(n, found[head * FOUND_WORDS(cap) + FOUND_ALL]);
	for (uint i = LANE; i < same; i += LANES) {
		float sum = 0.0f;
		for (uint s = 0; s < STREAMS; s++)
			sum += *last_rank(ranks, found, cap, places, head + s, same - i);
		for (uint s = 0; s < STREAMS; s++)
			*last_rank(ranks, found, cap, places, head + s, same - i) = sum / STREAMS;
	}
}
