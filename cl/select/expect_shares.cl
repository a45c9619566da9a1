/* SPDX-License-Identifier: MIT */
/* expect_shares: each candidate's score: the share of the expected weights of all candidates that it has, those of a group's
 * heads reduced to one number, times the length of its value: how far it is expected to move what attention returns.
 * Source: Expected Attention, arXiv 2510.00636, section 3, which measures the value behind the output projection.
 * Grid: (LANES, STREAMS, layers). Local: LANES floats. candidates.clh draws the buffers.
 * logs    expect_rows.cl | lengths float [layers][STREAMS][places], by place: of values as they lay in half; kept with a slot in
 * the room of its traces */
#include "candidates.clh"
#include "lanes.clh"
#include "select_args.clh"

#ifndef G
#define G 1 /* query heads of a KV head */
#endif
#ifndef SCORE_GROUP
#define SCORE_GROUP ABI_GROUP_MEAN
#endif
#ifndef LENGTHS
#define LENGTHS 1 /* 0: values don't count */
#endif

INLINE float value_length(const struct candidates c, uint place)
{
	__global const uchar *block = place_block(c, place);
	const uint t = place % BT;
	float sum = 0.0f;
	if (is_old(c, place))
		return ((__global const float *)slot_traces(block))[t];
	for (int d = 0; d < DV; d++) {
		const float x = vload_half(DK * BT + t * DV + d, (__global const half *)block);
		sum = fma(x, x, sum);
	}
	return sqrt(sum);
}

/* The share of a head's candidates joins that of the heads before. */
INLINE void add_shares(__global float *ranks, __global const float *logs,
                       __global const uint *order, uint all, bool first, __local float *scratch)
{
	float top = -INFINITY, sum = 0.0f;
	for (uint i = LANE; i < all; i += LANES)
		top = fmax(top, logs[order[i]]);
	top = lanes_max(top, scratch);
	for (uint i = LANE; i < all; i += LANES)
		sum += top > -INFINITY ? exp2(logs[order[i]] - top) : 0.0f;
	sum = lanes_sum(sum, scratch);
	for (uint i = LANE; i < all; i += LANES) {
		const float share = sum > 0.0f ? exp2(logs[order[i]] - top) / sum : 0.0f;
		const float before = first ? 0.0f : ranks[i];
		ranks[i] = SCORE_GROUP == ABI_GROUP_MAX ? fmax(before, share) : before + share;
	}
}

__kernel GROUP_SIZE void expect_shares(ARGS(EXPECT_SHARES_ARGS))
{
	__local float scratch[LANES];
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const ulong head = layer * STREAMS + stream;
	CANDIDATES(c, layer, stream);
	const uint all = found[head * FOUND_WORDS(cap) + FOUND_ALL];
	__global float *mine = ranks + head * places;
	for (int g = 0; g < G; g++)
		add_shares(mine, logs + (head * G + g) * places, order + head * places, all, g == 0,
		           scratch);
	for (uint i = LANE; i < all; i += LANES) {
		const uint place = order[head * places + i];
		const float length = LENGTHS ? value_length(c, place) : 1.0f;
		lengths[head * places + place] = length;
		mine[i] *= length * (SCORE_GROUP == ABI_GROUP_MEAN ? 1.0f / G : 1.0f);
	}
}
