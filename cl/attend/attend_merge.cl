/* SPDX-License-Identifier: MIT */
/* attend_merge: combines the partial records of each row and query head into the caller's output; where stages want to
 * know the newest queries, leaves them in `seen` (abi.clh).
 * Source: log-sum-exp merge of split attention (Flash-Decoding).
 * Grid: (LANES * rows from first_row on, Q_HEADS). Local: DV floats.
 * part_acc [record][DV] | part_ml [record][2]: maximum of logit * log2(e), sum of exp2(logit - maximum)
 * lse [n_rows][Q_HEADS] natural log | sinks [Q_HEADS] natural logits that take mass and have no value
 * Numbers: f32; records that saw no token have maximum -inf and sum 0, and add nothing. */
#include "attend_args.clh"
#include "keep_query.clh"
#include "project.clh"

#define LOG2_E 1.44269504088896340736f
#define LN_2 0.69314718055994530942f

__kernel GROUP_SIZE void attend_merge(ARGS(ATTEND_MERGE_ARGS))
{
	__local float x[DV];
	uint row = first_row + (uint)get_group_id(0), head = (uint)get_group_id(1);
	__global const uint *item =
		plan + plan[rows + row * ABI_NEW_WORDS + ABI_NEW_ITEM] * ABI_ITEM_WORDS;
	const uint at = row + item[ABI_ITEM_GAP]; /* in the caller's tensors */
	uint first = plan[rows + row * ABI_NEW_WORDS + ABI_NEW_PART];
	uint splits = plan[rows + row * ABI_NEW_WORDS + ABI_NEW_SPLITS];
	float sink = has_sinks ? sinks[sinks_offset + head] * LOG2_E : -INFINITY, top = sink;
	for (uint s = 0; s < splits; s++)
		top = fmax(top, part_ml[((ulong)(first + s) * Q_HEADS + head) * 2]);
	float sum = has_sinks ? exp2(sink - top) : 0.0f;
	for (int d = LANE; d < DV; d += LANES)
		x[d] = 0.0f;
	for (uint s = 0; s < splits; s++) {
		ulong record = (ulong)(first + s) * Q_HEADS + head;
		if (part_ml[record * 2] == -INFINITY)
			continue;
		float weight = exp2(part_ml[record * 2] - top);
		sum += weight * part_ml[record * 2 + 1];
		for (int d = LANE; d < DV; d += LANES)
			x[d] = fma(weight, part_acc[record * DV + d], x[d]);
	}
	SYNC();
	unproject_value(x, projections, first_projection + head / (Q_HEADS / STREAMS));
	float scale = 1.0f / sum;
	for (int d = LANE; d < DV; d += LANES)
		tensor_store(out, out_dtype,
		             out_offset + at * out_token_stride + head * out_head_stride + d, x[d] * scale);
#if OBSERVE || KEEP_ALL
	const uint position = item[ABI_ITEM_LEN] + row - item[ABI_ITEM_ROW];
	const struct kept_query k = {
		q,    q_dtype,  q_offset + at * q_token_stride + head * q_head_stride,
		head, position, top + log2(sum)};
	keep_row(k, item, row, seen, all_rows, most_rows, layers, layer, turns, magnitude);
#endif
	if (!has_lse)
		return;
	if (LANE == 0)
		lse[lse_offset + (ulong)at * Q_HEADS + head] = (top + log2(sum)) * LN_2;
}
