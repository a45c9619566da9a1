/* SPDX-License-Identifier: MIT */
/* score_pool: the scores of candidates become those of their surroundings in time: the mean of POOL, which counts zeros
 * beyond the ends, or the largest (SnapKV, arXiv 2404.14469, section 4.2).
 * Grid: (LANES, STREAMS, layers). candidates.clh draws the buffers; chosen is room for the old scores. */
#include "candidates.clh"
#include "select_args.clh"

#ifndef POOL
#define POOL 5 /* tokens, odd */
#endif
#ifndef POOL_MAX
#define POOL_MAX 0
#endif

__kernel GROUP_SIZE void score_pool(ARGS(SCORE_POOL_ARGS))
{
	const ulong head =
		(first_layer + (uint)get_group_id(2)) * STREAMS + first_stream + (uint)get_group_id(1);
	const uint n = found[head * FOUND_WORDS(cap) + FOUND_ALL];
	__global float *mine = ranks + head * places, *old = (__global float *)chosen + head * places;
	for (uint i = LANE; i < n; i += LANES)
		old[i] = mine[i];
	SYNC_GLOBAL();
	for (uint i = LANE; i < n; i += LANES) {
		const uint from = i > POOL / 2 ? i - POOL / 2 : 0, to = MIN_OF(n, i + POOL / 2 + 1);
		float x = POOL_MAX ? -INFINITY : 0.0f;
		for (uint j = from; j < to; j++)
			x = POOL_MAX ? fmax(x, old[j]) : x + old[j] / POOL;
		mine[i] = x;
	}
}
