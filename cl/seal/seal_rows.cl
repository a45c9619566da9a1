/* SPDX-License-Identifier: MIT */
/* seal_rows: copies tokens of half blocks to a sealed block of rows per (job, stream, layer): codec_rows.clh draws it.
 * Grid: (LANES * jobs, STREAMS, layers). Tokens that a partial block lacks are zeros. */
#include "seal_args.clh"
#include "source.clh"

__kernel GROUP_SIZE void seal_rows(ARGS(SEAL_BLOCK_ARGS))
{
	__local uchar list[ROW_LIST];
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct source s = kept_source(pool, tables, job, sections, layer, stream, list);
	if (!makes_block(s))
		return;
	__global half *k =
		(__global half *)(pool + block_at(plan[jobs + job_dst(job, layer, stream) + ABI_DST_ADDR]));
	__global half *v = k + BT * DK;
	for (int i = LANE; i < BT * DK; i += LANES)
		vstore_half(i / DK < s.count ? load_k1(s, i % DK, i / DK) : 0.0f, i, k);
	for (int i = LANE; i < BT * (DV / VEC); i += LANES) {
		const int t = i / (DV / VEC), d = i % (DV / VEC) * VEC;
		STOREV_HALF(t < s.count ? load_v(s, t, d) : (floatv)(0.0f), v + t * DV + d);
	}
}
