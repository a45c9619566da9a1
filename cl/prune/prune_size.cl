/* SPDX-License-Identifier: MIT */
/* prune_size: how many bytes the kept values and signs of a seal job's blocks will take, where tokens differ in how many
 * channels they keep. Its arguments are those of every kernel that sizes blocks.
 * Grid: (LANES * jobs, STREAMS, layers).
 * plan: of (layer, stream) the words at the job's dst get the size of K; V's is known, and 0 here. */
#include "prune_block.clh"
#include "seal_args.clh"
#include "source.clh"

__kernel GROUP_SIZE void prune_size(ARGS(SIZE_BLOCK_ARGS))
{
	const uint number = (uint)get_group_id(0), stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	__global const uint *job = plan + jobs + number * ABI_SEAL_WORDS;
	if (LANE == 0) {
		__global uint *dst = plan + jobs + job_dst(job, layer, stream);
		const uint kept = kept_in(sections + section_of(number, layer, stream));
		dst[0] = 2 * kept + (HAS_SIGNS ? ((uint)(DK * BT) - kept + 7) / 8 : 0);
		dst[1] = 0;
	}
}
