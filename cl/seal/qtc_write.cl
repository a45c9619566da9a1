/* SPDX-License-Identifier: MIT */
/* qtc_write: encodes a seal job's blocks, in the steps of a calibration, into the pages that the host has found for their
 * sizes.
 * Grid: (LANES * jobs, STREAMS, layers). Local: the codes of a side, classes of tokens, lengths of lanes.
 * plan: of (layer, stream) the words at the job's dst say where the block goes, and its flags.
 * A byte belongs to one lane; its neighbours may be written at the same time. */
#include "qtc_side.clh"
#include "seal_args.clh"

INLINE void write_half_keys(const struct source src, __global half *values)
{
	for (int u = LANE; u < DK * (BT / VEC); u += LANES) {
		const int c = u / (BT / VEC), t = u % (BT / VEC) * VEC;
		STOREV_HALF(there_k(src, t) ? load_k(src, c, t) : (floatv)(0.0f), values + c * BT + t);
	}
}

INLINE void write_half_values(const struct source src, __global half *values)
{
	for (int u = LANE; u < BT * (DV / VEC); u += LANES) {
		const int t = u / (DV / VEC), d = u % (DV / VEC) * VEC;
		STOREV_HALF(t < src.count ? load_v(src, t, d) : (floatv)(0.0f), values + t * DV + d);
	}
}

__kernel GROUP_SIZE void qtc_write(ARGS(WRITE_BLOCK_ARGS))
{
	QTC_ROOM(room);
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct source src = job_source(pool, tables, job, layer, stream);
	__global const uint *head = qtc_head(code_tables, layer, stream);
	__global const uint *dst = plan + jobs + job_dst(job, layer, stream);
	__global uchar *block = pool + block_at(dst[ABI_DST_ADDR]);
	const uint flags = dst[ABI_DST_FLAGS];
	const struct qtc k = K_QTC, v = V_QTC;
	judge_tokens(src, head, room);
	for (int i = LANE; i < BT / 4; i += LANES) {
		__local const uchar *of = room.numbers + 4 * i;
		block[i] = (uchar)(of[0] | of[1] << 2 | of[2] << 4 | of[3] << 6);
	}
	if (ABI_FLAGS_K(flags) == ABI_TABLE_HALF) {
		write_half_keys(src, (__global half *)(block + QTC_PAYLOAD_OFF));
	} else {
		code_keys(src, head, room);
		write_side(k, head, room, block, flags);
	}
#if LANES > 1
	barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE); /* V's place is read from K's lanes */
#endif
	if (ABI_FLAGS_V(flags) == ABI_TABLE_HALF) {
		write_half_values(src, (__global half *)(block + qtc_payload(v, block, flags)));
	} else {
		code_values(src, head, room);
		write_side(v, head, room, block, flags);
	}
}
