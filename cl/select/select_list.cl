/* SPDX-License-Identifier: MIT */
/* select_list: the candidates of a commit in the order of time, with their scores.
 * Sources of scores: attention (score_rows.cl); minus the norm of the key (arXiv 2406.11430); the position.
 * Grid: (LANES, STREAMS, layers). candidates.clh draws the buffers. */
#include "candidates.clh"
#include "radix.clh"
#include "select_args.clh"

#ifndef SCORE
#define SCORE ABI_SCORE_MASS
#endif

INLINE float score_at(const struct candidates c, uint place, __global const float *scores)
{
#if SCORE == ABI_SCORE_NORM
	__global const uchar *block = place_block(c, place);
	const uint t = place % BT;
	float sum = 0.0f;
	if (is_old(c, place))
		return slot_scores(block)[t];
	for (int i = 0; i < DK; i++) {
		const float x = vload_half(i * BT + t, (__global const half *)block);
		sum = fma(x, x, sum);
	}
	return -sqrt(sum);
#elif SCORE == ABI_SCORE_PLACE
	return (float)(is_old(c, place) ? slot_positions(place_block(c, place))[place % BT]
	                                : new_position(c, place));
#elif SCORE == ABI_SCORE_EXPECTED
	return 0.0f; /* expect_shares.cl makes it */
#else
	return scores[place];
#endif
}

__kernel GROUP_SIZE void select_list(ARGS(SELECT_LIST_ARGS))
{
	__local uint scratch[LANES];
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const ulong head = layer * STREAMS + stream;
	CANDIDATES(c, layer, stream);
	const uint all = old_slots(c) + n;
	uint live = 0;
	for (uint i = lane_begin(all); i < lane_end(all); i++)
		live += is_live(c, place_at(c, i));
	uint at = lanes_before(live, scratch);
	if (LANE == LANES - 1)
		found[head * FOUND_WORDS(cap) + FOUND_ALL] = at + live;
	for (uint i = lane_begin(all); i < lane_end(all); i++) {
		const uint place = place_at(c, i);
		if (!is_live(c, place))
			continue;
		order[head * places + at] = place;
		ranks[head * places + at] = score_at(c, place, scores + head * places);
		at++;
	}
}
