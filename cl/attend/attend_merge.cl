/* SPDX-License-Identifier: MIT */
/* attend_merge: combines the partial records of each row and query head into the caller's output; where stages want to
 * know the newest queries, leaves them in `seen` (abi.clh).
 * Source: log-sum-exp merge of split attention (Flash-Decoding).
 * Grid: (LANES * n_rows, Q_HEADS). Local: DV floats.
 * part_acc [record][DV] | part_ml [record][2]: maximum of logit * log2(e), sum of exp2(logit - maximum)
 * lse [n_rows][Q_HEADS] natural log | sinks [Q_HEADS] natural logits that take mass and have no value
 * Numbers: f32; records that saw no token have maximum -inf and sum 0, and add nothing. */
#include "hadamard.clh"
#include "rope.clh"
#include "table.clh"
#include "tensor.clh"

#ifndef Q_HEADS
#define Q_HEADS 1 /* query heads */
#endif
#ifndef ROT_V
#define ROT_V 0 /* 1: V is turned by a Hadamard matrix, which is undone here */
#endif
#ifndef OBSERVE
#define OBSERVE 0 /* newest queries of a sequence that are kept */
#endif
#ifndef KEEP_ALL
#define KEEP_ALL 0 /* 1: until the commit those of all rows of the step are */
#endif
#define LOG2_E 1.44269504088896340736f
#define LN_2 0.69314718055994530942f

#if OBSERVE || KEEP_ALL
/* Channel c of a query, rotated if it comes before RoPE: keys are, and queries are judged beside them. */
INLINE float observed(__global const uchar *q, uint dtype, ulong at, int c, uint position,
                      __global const ulong *turns, float magnitude)
{
	const float x = tensor_load(q, dtype, at + c);
	if (!ROPE_BY_LIBRARY || c >= ROPE_DIMS)
		return x;
	const int i = ROPE_PAIR(c), first = ROPE_FIRST(i), second = ROPE_SECOND(i);
	const float2 turn = rope_turn(turns, i, (int)position) * magnitude;
	const float y = tensor_load(q, dtype, at + (c == first ? second : first));
	return c == first ? x * turn.x - y * turn.y : y * turn.y + x * turn.x;
}

/* A row's query of one head, its position, and the log-sum-exp of its logits in powers of 2. */
struct kept_query {
	__global const uchar *q;
	uint dtype;
	ulong at;
	uint head, position;
	float lse;
};

/* Keeps it as row number `row` of `many` (abi.clh). */
INLINE void keep_query(const struct kept_query k, __global uchar *seen, uint many, uint row,
                       uint layers, uint layer, __global const ulong *turns, float magnitude)
{
	const ulong i = (ulong)(layer * many + row) * Q_HEADS + k.head;
	__global half *to = (__global half *)(seen + layers * many * 4) + i * DK;
	for (int c = LANE; c < DK; c += LANES) {
		const float x = observed(k.q, k.dtype, k.at, c, k.position, turns, magnitude);
		vstore_half_rte(x == x ? clamp(x, -65504.0f, 65504.0f) : 0.0f, c, to);
	}
	if (LANE != 0)
		return;
	((__global float *)(seen + ABI_SEEN_LSE(layers, many, Q_HEADS, DK)))[i] = k.lse;
	if (k.head == 0)
		((__global uint *)seen)[layer * many + row] = k.position + 1;
}
#endif

__kernel GROUP_SIZE void
attend_merge(__global const uint *plan, __global const float *part_acc,
             __global const float *part_ml, __global uchar *out, uint out_dtype, ulong out_offset,
             ulong out_token_stride, ulong out_head_stride, __global float *lse, ulong lse_offset,
             uint has_lse, __global const float *sinks, ulong sinks_offset, uint has_sinks,
             uint rows, __global const uchar *q, uint q_dtype, ulong q_offset, ulong q_token_stride,
             ulong q_head_stride, __global uchar *seen, uint layers, uint layer,
             __global const ulong *turns, float magnitude, __global uchar *all_rows, uint most_rows)
{
	__local float x[DV];
	uint row = (uint)get_group_id(0), head = (uint)get_group_id(1);
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
	if (ROT_V)
		hadamard(x, DV);
	float scale = 1.0f / sum;
	for (int d = LANE; d < DV; d += LANES)
		tensor_store(out, out_dtype,
		             out_offset + row * out_token_stride + head * out_head_stride + d,
		             x[d] * scale);
#if OBSERVE || KEEP_ALL
	__global const uint *item =
		plan + plan[rows + row * ABI_NEW_WORDS + ABI_NEW_ITEM] * ABI_ITEM_WORDS;
	const uint of_item = row - item[ABI_ITEM_ROW], position = item[ABI_ITEM_LEN] + of_item;
	const struct kept_query k = {
		q,    q_dtype,  q_offset + row * q_token_stride + head * q_head_stride,
		head, position, top + log2(sum)};
	if (OBSERVE && of_item + OBSERVE >= item[ABI_ITEM_NEW]) /* one of the newest of its item */
		keep_query(k, seen + unit_bytes(item[ABI_ITEM_SEEN]), MAX_OF(OBSERVE, 1),
		           position % MAX_OF(OBSERVE, 1), layers, layer, turns, magnitude);
	if (KEEP_ALL)
		keep_query(k, all_rows, most_rows, row, layers, layer, turns, magnitude);
#endif
	if (!has_lse)
		return;
	if (LANE == 0)
		lse[lse_offset + (ulong)row * Q_HEADS + head] = (top + log2(sum)) * LN_2;
}
