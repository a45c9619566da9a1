/* SPDX-License-Identifier: MIT */
/* gather_slots: copies kept tokens to half blocks that codecs then seal: of each job and (layer, stream) the tokens from
 * number ABI_DST_FIRST of the chosen ones on, with their state.
 * Grid: (LANES * jobs, STREAMS, layers). Local: LISTED rows of K or V in f32 and what the codec wants.
 * Numbers: what lies in half is copied; what was sealed is decoded and rounded to half. */
#include "candidate_rows.clh"
#include "select_args.clh"
#include "source.clh"

__kernel GROUP_SIZE void gather_slots(ARGS(GATHER_SLOTS_ARGS))
{
	__local float rows[LISTED_ROOM];
	__local uint list[LISTED];
	__local uchar codes[SEALED_CODES] __attribute__((aligned(16)));
	__local float factors[FACTORS], amplitudes[ALL_AMPLITUDES] __attribute__((aligned(64)));
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const ulong head = (ulong)(layer * STREAMS + stream) * places;
	__global const uint *job = jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	__global const uint *dst = jobs + job_dst(job, layer, stream);
	CANDIDATES(c, layer, stream);
	const struct reading reading = {pool,  table,   code_tables, draw_key(layer, stream),
	                                codes, factors, amplitudes,  0};
	const uint first = dst[ABI_DST_FIRST];
	const int count = (int)dst[ABI_DST_COUNT];
	__global uchar *to = pool + block_at(dst[ABI_DST_SOURCE]);
	__global half *k = (__global half *)to, *v = k + DK * BT;
	for (int t0 = 0; t0 < count; t0 += LISTED) {
		const int many = MIN_OF(LISTED, count - t0);
		for (int i = LANE; i < many; i += LANES)
			list[i] = chosen[head + first + t0 + i];
		SYNC();
		load_candidates(c, reading, 1, order + head, list, many, rows);
		for (int u = LANE; u < many * DK; u += LANES)
			vstore_half_rte(rows[u % many * LISTED_ROW(DK) + u / many],
			                u / many * BT + t0 + u % many, k);
		SYNC();
		load_candidates(c, reading, 0, order + head, list, many, rows);
		for (int u = LANE; u < many * DV; u += LANES)
			vstore_half_rte(rows[u / DV * LISTED_ROW(DV) + u % DV], t0 * DV + u, v);
		for (int i = LANE; i < many; i += LANES) {
			const uint place = order[head + list[i]], t = place % BT;
			__global const uchar *from = place_block(c, place);
			slot_weights(to)[t0 + i] = is_old(c, place) ? slot_weights(from)[t] : 0.0f;
			slot_scores(to)[t0 + i] = by_rank ? ranks[head + list[i]] : scores[head + place];
			((__global uint *)slot_traces(to))[t0 + i] = traces[head + place];
			slot_positions(to)[t0 + i] =
				is_old(c, place) ? slot_positions(from)[t] : new_position(c, place);
		}
		SYNC();
	}
}
