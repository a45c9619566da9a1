/* SPDX-License-Identifier: MIT */
/* prune_values: the channels of V that each token of seal jobs keeps: those of largest magnitude, and what will stand
 * for the others: its sign times the mean magnitude of what the token lacks, or as `recover` says.
 * Source: SparK, arXiv 2508.15212, which weighs channels by variances too; magnitudes with signs lose half as much as
 * the mean that it puts in their place.
 * Grid: (LANES * jobs, STREAMS, layers). A lane takes a token at a time. sections: prune_block.clh.
 * Numbers: magnitudes as stored, ties to the lower channel; the mean in f32, rounded to half. */
#include "prune_args.clh"
#include "prune_block.clh"
#include "source.clh"

/* The V_KEPT-th largest magnitude of a row, as the bits of a half: they have the order of magnitudes. */
INLINE int least_kept(__global const ushort *row)
{
	int least = 0;
	for (int bit = 14; bit >= 0; bit--) {
		const int trial = least | 1 << bit;
		floatv n = 0.0f;
		for (int d = 0; d < DV; d += VEC)
			n +=
				(LOADV_SHORTS(row + d) & 0x7fff) >= (intv)(trial) ? (floatv)(1.0f) : (floatv)(0.0f);
		least = HSUM(n) >= (float)V_KEPT ? trial : least;
	}
	return least;
}

INLINE void prune_rows(const struct source s, __global uchar *section)
{
	for (int t = LANE; t < BT; t += LANES) {
		__global const ushort *row = (__global const ushort *)row_of_v(s, t < s.count ? t : 0);
		__global uchar *mask = section + K_SECTION + t * (DV / 8);
		__global uchar *signs = section + V_SIGNS_OFF + t * (V_LACK / 8);
		const int least = least_kept(row);
		int equals = V_KEPT, lacking = 0;
		uint bits = 0, below = 0;
		float sum = 0.0f;
		for (int d = 0; d < DV; d++)
			equals -= (row[d] & 0x7fff) > least;
		for (int d = 0; d < DV; d++) {
			const int magnitude = row[d] & 0x7fff;
			const bool kept = magnitude > least || (magnitude == least && equals-- > 0);
			bits |= (uint)kept << d % 8;
			if (!kept) {
				sum += fabs(vload_half(d, (__global const half *)row));
				below |= (uint)(row[d] > 0x8000) << lacking % 8;
				lacking++;
			}
			if (HAS_SIGNS && !kept && lacking % 8 == 0) {
				signs[lacking / 8 - 1] = (uchar)below;
				below = 0;
			}
			if (d % 8 == 7) {
				mask[d / 8] = (uchar)bits;
				bits = 0;
			}
		}
		if (V_HAS_AMPLITUDES)
			vstore_half_rte(sum / (float)V_LACK, t, (__global half *)(section + V_AMPLITUDES_OFF));
	}
}

__kernel GROUP_SIZE void prune_values(ARGS(PRUNE_VALUES_ARGS))
{
	const uint number = (uint)get_group_id(0), stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	__global const uint *job = plan + jobs + number * ABI_SEAL_WORDS;
	prune_rows(job_source(pool, tables, job, layer, stream),
	           sections + section_of(number, layer, stream));
}
