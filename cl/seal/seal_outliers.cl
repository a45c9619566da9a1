/* SPDX-License-Identifier: MIT */
/* seal_outliers: encodes tokens of half blocks as one sealed block per (job, stream, layer): integers in units along rows, K per
 * channel and V per token, but the N values of a side that lie farthest from their units' means as they are.
 * Source: KVQuant, arXiv 2401.18079; affine_block.clh and outliers.clh draw the block.
 * Grid: (LANES * jobs, STREAMS, layers). Each lane looks at vectors of values, then encodes whole units. Local: a bit for each value
 * of a side, places of its outliers.
 * Numbers: units are those of seal_affine.cl, of what is no outlier; a value has the level nearest to it (levels.clh). */
#include "choose_outliers.clh"
#include "seal_args.clh"

__kernel GROUP_SIZE_WIDE void seal_outliers(ARGS(SEAL_BLOCK_ARGS))
{
	__local uchar list[ROW_LIST], mask[MASK_BYTES];
	__local ushort found[MOST_OUTLIERS];
	__local int total;
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	struct source s = kept_source(pool, tables, job, sections, layer, stream, list);
	s.outliers = mask;
	if (makes_block(s)) {
		__global uchar *block =
			pool + block_at(plan[jobs + job_dst(job, layer, stream) + ABI_DST_ADDR]);
		__global half *k_params = (__global half *)(block + K_PARAMS_OFF),
					  *v_params = (__global half *)(block + V_PARAMS_OFF);
		const struct side k = K_SIDE(0, K_BITS), v = V_SIDE(0);
		const struct codes k_codes = codes_in(block + K_CODES_OFF),
						   v_codes = codes_in(block + V_CODES_OFF);
		const struct outliers k_list = K_LIST, v_list = V_LIST;
		const struct choice choice = {mask, found, &total};
		choose_outliers(k, s, k_list, choice, k_params, block);
		seal_side(k, 1, s, k_params, k_codes);
		SYNC();
		choose_outliers(v, s, v_list, choice, v_params, block);
		seal_side(v, 1, s, v_params, v_codes);
		JOIN();
	}
}
