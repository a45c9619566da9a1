/* SPDX-License-Identifier: MIT */
/* index_pages: the bounds of the keys of each page: of each channel the largest and the smallest value.
 * Source: Quest, arXiv 2406.10774, section 3.
 * Grid: (LANES * tiles of pages, STREAMS, layers). build: index_points; n tokens
 * index: half [tile][2][DK][ABI_TILE], the largest first; zeros for what only fills the last tile. */
#include "recall_args.clh"
#include "segment.clh"

__kernel GROUP_SIZE void index_pages(ARGS(INDEX_PAGES_ARGS))
{
	const uint tile = (uint)get_group_id(0), stream = (uint)get_group_id(1),
			   head = (uint)get_group_id(2) * STREAMS + stream;
	__global const half *k = (__global const half *)(build + head * stride);
	__global half *to =
		(__global half *)(index + ((ulong)address + (ulong)(layer * STREAMS + head) * seg_stride) *
	                                  ABI_UNIT) +
		(ulong)tile * REPS_OF_TILE;
	for (int i = LANE; i < DK * UT; i += LANES) {
		const int d = i / UT, u = i % UT;
		const uint begin = MIN_OF((tile * UT + u) * PAGE, n), end = MIN_OF(begin + PAGE, n);
		float most = begin < end ? -INFINITY : 0.0f, least = -most;
		for (uint t = begin; t < end; t++) {
			const float x = vload_half((t / ABI_POINTS * DK + d) * ABI_POINTS + t % ABI_POINTS, k);
			most = fmax(most, x);
			least = fmin(least, x);
		}
		vstore_half(most, i, to);
		vstore_half(least, DK * UT + i, to);
	}
}
