/* SPDX-License-Identifier: MIT */
/* merge_runs: gathered slots that stand for a run of tokens get the mean of their keys and of their values, weighed by a
 * Gaussian of each key's distance to that of the pivot, which was gathered. Its variance is the mean squared distance.
 * Source: KVMerger, arXiv 2407.08454 (the notes' steps 4 and 5, and their choice of sigma).
 * Grid: (LANES * jobs, STREAMS, layers), of gather_slots. Local: LANES floats. candidates.clh draws the buffers, runs.clh
 * work. Members lie in half.
 * Numbers: f32, rounded to half at the end. */
#include "candidates.clh"
#include "lanes.clh"
#include "runs.clh"
#include "select_args.clh"
#include "source.clh"

#define VARIANCE_LEAST 1e-6f

/* Of channel 0 of a candidate; the others follow at BT. */
INLINE __global const half *member_k(const struct candidates c, uint place)
{
	return (__global const half *)place_block(c, place) + place % BT;
}

INLINE __global const half *member_v(const struct candidates c, uint place)
{
	return (__global const half *)place_block(c, place) + DK * BT + place % BT * DV;
}

INLINE float distance_of(__global const half *a, __global const half *b)
{
	float sum = 0.0f;
	for (int i = 0; i < DK; i++) {
		const float x = vload_half(i * BT, a) - vload_half(i * BT, b);
		sum = fma(x, x, sum);
	}
	return sum;
}

/* What candidates first .. end - 1 weigh, [end] in weights: their sum. */
INLINE float weigh_run(const struct candidates c, __global const uint *order, uint pivot,
                       uint first, uint end, __global float *weights, __local float *scratch)
{
	float mine = 0.0f, sum = 0.0f;
	for (uint i = first + LANE; i < end; i += LANES) {
		weights[i] = distance_of(member_k(c, order[pivot]), member_k(c, order[i]));
		mine += weights[i];
	}
	const float variance = MAX_OF(lanes_sum(mine, scratch) / (float)(end - first), VARIANCE_LEAST);
	for (uint i = first + LANE; i < end; i += LANES) {
		weights[i] = exp(-weights[i] / (2.0f * variance));
		sum += weights[i];
	}
	SYNC_GLOBAL();
	return lanes_sum(sum, scratch);
}

/* The means of a run's rows to slot t of a staged block. */
INLINE void store_means(const struct candidates c, __global const uint *order, uint first, uint end,
                        __global const float *weights, float sum, __global half *block, uint t)
{
	for (uint u = LANE; u < DK + DV; u += LANES) {
		float mean = 0.0f;
		for (uint i = first; i < end; i++) {
			const float x = u < DK ? vload_half(u * BT, member_k(c, order[i]))
			                       : vload_half(u - DK, member_v(c, order[i]));
			mean = fma(x, weights[i], mean);
		}
		vstore_half_rte(mean / sum, u < DK ? u * BT + t : DK * BT + t * DV + (u - DK), block);
	}
}

__kernel GROUP_SIZE void merge_runs(ARGS(MERGE_RUNS_ARGS))
{
	__local float scratch[LANES];
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const ulong h = layer * STREAMS + stream, head = h * places;
	__global const uint *job = jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	__global const uint *dst = jobs + job_dst(job, layer, stream);
	__global const uint *mine = found + h * FOUND_WORDS(cap), *firsts = run_firsts(work, h, places);
	CANDIDATES(c, layer, stream);
	__global float *weights = run_cosines(work, h, places);
	__global uchar *to = pool + block_at(dst[ABI_DST_SOURCE]);
	for (uint t = 0; t < dst[ABI_DST_COUNT]; t++) {
		const uint k = dst[ABI_DST_FIRST] + t, first = firsts[k];
		const uint end = k + 1 < mine[FOUND_KEPT] ? firsts[k + 1] : mine[FOUND_ALL];
		if (end - first < 2)
			continue;
		const float sum =
			weigh_run(c, order + head, chosen[head + k], first, end, weights, scratch);
		store_means(c, order + head, first, end, weights, sum, (__global half *)to, t);
		float score = -INFINITY;
		for (uint i = first; i < end; i++)
			score = fmax(score, by_rank ? ranks[head + i] : scores[head + order[head + i]]);
		if (LANE == 0) {
			slot_weights(to)[t] = log2((float)(end - first));
			slot_scores(to)[t] = score;
			slot_positions(to)[t] = new_position(c, order[head + end - 1]);
		}
	}
}
