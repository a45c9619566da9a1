/* SPDX-License-Identifier: MIT */
/* score_mix: a candidate's share of all their attention so far, and so many times its share of their largest weights: a token
 * that one row once needed badly is as good as one that all look at a little. AGED: attention counts per row that could see
 * the token, so that old ones don't win by age alone.
 * Grid: (LANES, STREAMS, layers). Local: LANES floats. candidates.clh draws the buffers; traces: score_rows.cl. */
#include "candidates.clh"
#include "lanes.clh"
#include "select_args.clh"

#define PRIOR                                                                                      \
	512 /* rows that every token is taken to have been seen by, beside those that could: few say little */

#ifndef AGED
#define AGED 0
#endif

__kernel GROUP_SIZE void score_mix(ARGS(SCORE_MIX_ARGS))
{
	__local float scratch[LANES];
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const ulong head = layer * STREAMS + stream;
	CANDIDATES(c, layer, stream);
	const uint all = found[head * FOUND_WORDS(cap) + FOUND_ALL];
	float mass = 0.0f, peaks = 0.0f;
	for (uint i = LANE; i < all; i += LANES) {
		if (AGED) {
			const uint place = order[head * places + i],
					   position = is_old(c, place)
			                          ? slot_positions(place_block(c, place))[place % BT]
			                          : new_position(c, place);
			ranks[head * places + i] /= (float)(end - position + PRIOR);
		}
		mass += ranks[head * places + i];
		peaks += vload_half(2 * (head * places + order[head * places + i]), traces);
	}
	mass = lanes_sum(mass, scratch);
	peaks = lanes_sum(peaks, scratch);
	mass = mass > 0.0f ? 1.0f / mass : 0.0f;
	peaks = peaks > 0.0f ? peak / peaks : 0.0f;
	for (uint i = LANE; i < all; i += LANES)
		ranks[head * places + i] =
			ranks[head * places + i] * mass +
			vload_half(2 * (head * places + order[head * places + i]), traces) * peaks;
}
