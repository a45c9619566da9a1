/* SPDX-License-Identifier: MIT */
/* qaq_size: how many bytes the codes of a seal job's blocks will take, by the widths of their rows, which lie in sections.
 * Its arguments are those of every kernel that sizes blocks.
 * Grid: (LANES * jobs, STREAMS, layers).
 * plan: of (layer, stream) the words at the job's dst get the size of K and of V: ABI_SIZE_BYTES, ABI_SIZE_TABLE */
#include "qaq_rows.clh"
#include "seal_args.clh"

__kernel GROUP_SIZE void qaq_size(ARGS(SIZE_BLOCK_ARGS))
{
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	__global const uchar *widths = qaq_section(sections, layer, stream);
	const struct qaq k = K_QAQ, v = V_QAQ;
	if (LANE == 0) {
		__global uint *dst = plan + jobs + job_dst(job, layer, stream);
		uint bits_k = 0, bits_v = 0;
		for (int t = 0; t < BT; t++) {
			bits_k += (uint)qaq_bits(k, widths, t);
			bits_v += (uint)qaq_bits(v, widths, t);
		}
		dst[0] = bits_k * (DK / 8) | (uint)ABI_TABLE_FLAT << 24;
		dst[1] = bits_v * (DV / 8) | (uint)ABI_TABLE_FLAT << 24;
	}
}
