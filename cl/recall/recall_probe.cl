/* SPDX-License-Identifier: MIT */
/* recall_probe: the one query by which all rows of an item choose what they recall, for each query head: the sum of theirs,
 * weighted by how far each lies from their mean in units of their variance, its bias: what is unlike the others is what a mean
 * would lose.
 * Source: ActQKV, arXiv 2502.13542: bias of row i: mean over channels of (q_i - mu)^2 / (var + mean(var) / 100); weights are
 * shares of it. Here mu and var are those of the item's rows, and each head has weights of its own.
 * Grid: (LANES * Q_HEADS, rows that recall): the group of an item's first row works for all of them. Local: 4 * DK + LANES
 * floats.
 * q       caller's tensor [rows][Q_HEADS][DK] | probes float [most_rows][Q_HEADS][DK], by the row's number among those that recall:
 *         turned as recall_score.cl would turn queries; behind them the rows' biases [most_rows][Q_HEADS]
 * Numbers: f32, rows in their order; rows that are all alike weigh the same. */
#include "lanes.clh"
#include "recall_args.clh"
#include "rope.clh"
#include "tensor.clh"

#ifndef DISTANCE
#define DISTANCE 0
#endif
#ifndef Q_HEADS
#define Q_HEADS 1 /* query heads */
#endif

/* The rows of an item in the caller's tensor. */
struct item_rows {
	__global const uchar *q;
	uint dtype;
	ulong at, stride;
	uint n, position; /* of the first */
	__global const ulong *turns;
};

/* query [DK]: row i, turned. Ends with a barrier. */
INLINE void load_row(const struct item_rows rows, uint i, __local float *query)
{
	SYNC();
	for (int c = LANE; c < DK; c += LANES)
		query[c] = tensor_load(rows.q, rows.dtype, rows.at + i * rows.stride + c);
	SYNC();
#if ROPE_BY_LIBRARY || DISTANCE > 0
	const int position = (int)(rows.position + i);
	rope_head(query, (DISTANCE > 0 ? DISTANCE : position) - (ROPE_BY_LIBRARY ? 0 : position),
	          rows.turns, 1.0f);
#endif
}

/* mean and var [DK] of all rows; returns a hundredth of the variances' mean. */
INLINE float find_spread(const struct item_rows rows, __local float *query, __local float *mean,
                         __local float *var, __local float *scratch)
{
	const float part = 1.0f / rows.n;
	float sum = 0.0f;
	for (int c = LANE; c < DK; c += LANES)
		mean[c] = var[c] = 0.0f;
	for (uint i = 0; i < rows.n; i++) {
		load_row(rows, i, query);
		for (int c = LANE; c < DK; c += LANES)
			mean[c] = fma(query[c], part, mean[c]);
	}
	for (uint i = 0; i < rows.n; i++) {
		load_row(rows, i, query);
		for (int c = LANE; c < DK; c += LANES) {
			const float apart = query[c] - mean[c];
			var[c] = fma(apart * apart, part, var[c]);
		}
	}
	for (int c = LANE; c < DK; c += LANES)
		sum += var[c];
	return lanes_sum(sum, scratch) / (100.0f * DK);
}

__kernel GROUP_SIZE void recall_probe(ARGS(RECALL_PROBE_ARGS))
{
	__local float query[DK], mean[DK], var[DK], probe[DK], scratch[LANES];
	const uint head = (uint)get_group_id(0), r = (uint)get_group_id(1);
	__global const uint *job = plan + work + r * ABI_ASK_WORDS;
	__global const uint *item = plan + items + job[ABI_ASK_ITEM] * ABI_ITEM_WORDS;
	if (job[ABI_ASK_ROW] != item[ABI_ITEM_ROW])
		return;
	const struct item_rows rows = {
		q,
		q_dtype,
		q_offset + (job[ABI_ASK_ROW] + item[ABI_ITEM_GAP]) * q_token_stride + head * q_head_stride,
		q_token_stride,
		item[ABI_ITEM_NEW],
		item[ABI_ITEM_LEN],
		turns};
	__global float *weights = probes + (ulong)most_rows * Q_HEADS * DK;
	const float more = find_spread(rows, query, mean, var, scratch);
	float all = 0.0f;
	for (uint i = 0; i < rows.n; i++) {
		float bias = 0.0f;
		load_row(rows, i, query);
		for (int c = LANE; c < DK; c += LANES) {
			const float apart = query[c] - mean[c];
			bias += more > 0.0f ? apart * apart / (var[c] + more) : 0.0f;
		}
		bias = lanes_sum(bias, scratch);
		if (LANE == 0)
			weights[(ulong)(r + i) * Q_HEADS + head] = bias;
		all += bias;
	}
	SYNC_GLOBAL();
	for (int c = LANE; c < DK; c += LANES)
		probe[c] = 0.0f;
	for (uint i = 0; i < rows.n; i++) {
		const float weight =
			all > 0.0f ? weights[(ulong)(r + i) * Q_HEADS + head] / all : 1.0f / rows.n;
		load_row(rows, i, query);
		for (int c = LANE; c < DK; c += LANES)
			probe[c] = fma(query[c], weight, probe[c]);
	}
	for (uint i = 0; i < rows.n; i++)
		for (int c = LANE; c < DK; c += LANES)
			probes[((ulong)(r + i) * Q_HEADS + head) * DK + c] = probe[c];
}
