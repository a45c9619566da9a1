/* SPDX-License-Identifier: MIT */
/* qtc_size: how many bytes the codes of a seal job's blocks will take, in the steps of a calibration.
 * Grid: (LANES * jobs, STREAMS, layers). Local: the codes of a side, classes of tokens, lengths of lanes.
 * plan: of (layer, stream) the words at the job's dst get the size of K and of V: ABI_SIZE_BYTES, ABI_SIZE_TABLE */
#include "qtc_side.clh"
#include "seal_args.clh"

__kernel GROUP_SIZE void qtc_size(ARGS(SIZE_BLOCK_ARGS))
{
	QTC_ROOM(room);
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct source src = job_source(pool, tables, job, layer, stream);
	__global const uint *head = qtc_head(code_tables, layer, stream);
	const struct qtc k = K_QTC, v = V_QTC;
	judge_tokens(src, head, room);
	const uint k_size = size_of_side(k, head, room, code_keys(src, head, room));
	SYNC();
	const uint v_size = size_of_side(v, head, room, code_values(src, head, room));
	if (LANE == 0) {
		__global uint *dst = plan + jobs + job_dst(job, layer, stream);
		dst[0] = k_size;
		dst[1] = v_size;
	}
}
