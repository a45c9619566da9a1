/* SPDX-License-Identifier: MIT */
/* merge_parts: combines attention over disjoint parts of a context, each with its log-sum-exp.
 * Source: log-sum-exp merge of split attention (Flash-Decoding).
 * Grid: (LANES * rows, heads). Row r of part p is row p * rows + r.
 * parts [n_parts * rows][heads][dim] | part_lse [n_parts][rows][heads] natural log, -inf: the part saw no token and isn't read
 * sinks [heads] natural logits that take mass and have no value, once | out [rows][heads][dim] | lse [rows][heads]
 * Numbers: f32; where no part saw a token out is 0 and lse -inf. */
#include "attend_args.clh"
#include "tensor.clh"

/* A part's share of what all weigh, `top` being the largest logarithm. */
INLINE float share_of(float part, float top)
{
	return part == -INFINITY ? 0.0f : exp(part - top);
}

__kernel GROUP_SIZE void merge_parts(ARGS(MERGE_PARTS_ARGS))
{
	const uint row = (uint)get_group_id(0), head = (uint)get_group_id(1);
	const ulong at = (ulong)row * heads + head, each = (ulong)rows * heads;
	part_lse += part_lse_offset + at;
	const float sink = has_sinks ? sinks[sinks_offset + head] : -INFINITY;
	float top = sink;
	for (uint p = 0; p < n_parts; p++)
		top = fmax(top, part_lse[p * each]);
	float sum = share_of(sink, top);
	for (uint p = 0; p < n_parts; p++)
		sum += share_of(part_lse[p * each], top);
	const float scale = sum > 0.0f ? 1.0f / sum : 0.0f;
	for (uint d0 = (uint)LANE * VEC; d0 < dim; d0 += LANES * VEC) {
		float x[VEC];
		for (uint i = 0; i < VEC; i++)
			x[i] = 0.0f;
		for (uint p = 0; p < n_parts; p++) {
			const float share = share_of(part_lse[p * each], top) * scale;
			const ulong first = parts_offset + (p * (ulong)rows + row) * parts_token_stride +
			                    head * parts_head_stride + d0;
			if (share == 0.0f)
				continue;
			for (uint i = 0; i < VEC && d0 + i < dim; i++)
				x[i] = fma(share, tensor_load(parts, parts_dtype, first + i), x[i]);
		}
		const ulong to = out_offset + row * out_token_stride + head * out_head_stride + d0;
		for (uint i = 0; i < VEC && d0 + i < dim; i++)
			tensor_store(out, out_dtype, to + i, x[i]);
	}
	if (!has_lse)
		return;
	if (LANE == 0)
		lse[lse_offset + at] = top + log(sum);
}
