/* SPDX-License-Identifier: MIT */
/* index_clusters: k-means of the keys of a segment, and its list of members: one work-group per (stream, layer).
 * Sources: ClusterKV, arXiv 2412.03213, section 4.1 (cosine, centroids are means of the raw keys); A2ATS, arXiv
 * 2502.12665, section 3.3 (distances as queries see them: index_metric.cl); Lloyd's algorithm.
 * Grid: (LANES, STREAMS, layers). build: index_points of n tokens | reps: where the representatives lie, as uchar
 * offsets `reps_at + head * reps_stride`, half [tile][DK][ABI_TILE] | index: ends and members of the segment (abi.clh)
 * iterations: 0 labels by the representatives that are there. lists: whether ends and members are written.
 * Numbers: f32; centroids are rounded to half before keys are labelled by them, so the stored ones are nearest. Sums run
 * in the order of tokens, ties go to the lower number: the same bits on every device that rounds as IEEE 754 says. */
#include "index_build.clh"
#include "recall_args.clh"
#include "segment.clh"

#ifndef METRIC
#define METRIC ABI_METRIC_COSINE
#endif
#define WIDE (LANES == 1 ? 2 : 1) /* vectors of tokens that a lane labels at a time */

/* A number drawn by its place alone, so that every device and grid draws the same. */
INLINE uint draw(uint seed, uint i)
{
	uint x = seed * 0x9e3779b9u + i * 0x85ebca6bu + 1;
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

INLINE int place_of_rep(uint c, int d)
{
	return (int)((c / UT * DK + d) * UT + c % UT);
}

/* Row d of the metric times x [DK]. */
INLINE float metric_row(const struct build b, int d, __global const float *x)
{
	floatv sum = 0.0f;
	for (int e = 0; e < DK; e += VEC)
		sum = fma(LOADV(b.metric + d * DK + e), LOADV(x + e), sum);
	return HSUM(sum);
}

/* Rounds a centroid to what is stored, and makes of it what keys are compared with: the key k is nearest to the centroid
 * c whose k . near + bias is largest; of cosines near is c / |c|, of distances c, or the metric times c, and bias
 * -c . near / 2. One lane does all of it. */
INLINE void set_centroid(const struct build b, uint c, __global half *reps, bool store)
{
	__global float *mine = b.centroids + c * DK;
	float norm = 0.0f, product = 0.0f;
	for (int d = 0; d < DK; d++) {
		if (store)
			vstore_half_rte(mine[d], place_of_rep(c, d), reps);
		mine[d] = vload_half(place_of_rep(c, d), reps);
		norm = fma(mine[d], mine[d], norm);
	}
	const float factor = METRIC == ABI_METRIC_COSINE ? 1.0f / (sqrt(norm) + 1e-8f) : 1.0f;
	for (int d = 0; d < DK; d++) {
		const float x = METRIC == ABI_METRIC_QUERY ? metric_row(b, d, mine) : mine[d] * factor;
		b.near[(c / NEAR * DK + d) * NEAR + c % NEAR] = x;
		product = fma(mine[d], x, product);
	}
	b.bias[c] = METRIC == ABI_METRIC_COSINE ? 0.0f : -0.5f * product;
}

/* What the error of a key would be if its centroid were zero. */
INLINE void set_norms(const struct build b)
{
	const uint padded = (b.n + PT - 1) / PT * PT;
	for (uint t = LANE * VEC; t < padded; t += LANES * VEC) {
		__global const half *k = b.points + t / PT * DK * PT + t % PT;
		floatv norm = 0.0f;
		for (int d = 0; d < DK; d++) {
			floatv x = LOADV_HALF(k + d * PT), y = x;
#if METRIC == ABI_METRIC_QUERY
			y = 0.0f;
			for (int e = 0; e < DK; e++)
				y = fma(LOADV_HALF(k + e * PT), (floatv)(b.metric[d * DK + e]), y);
#endif
			norm = fma(x, y, norm);
		}
		STOREV(norm, b.norms + t);
	}
}

/* The first centroids: a token drawn from each of c parts of the segment, so no token twice. */
INLINE void seed_centroids(const struct build b, uint seed)
{
	for (uint c = LANE; c < b.c; c += LANES) {
		const uint first = (uint)((ulong)b.n * c / b.c), end = (uint)((ulong)b.n * (c + 1) / b.c);
		const uint t = first + (end > first ? draw(seed, c) % (end - first) : 0);
		for (int d = 0; d < DK; d++)
			b.centroids[c * DK + d] = point(b, MIN_OF(t, b.n - 1), d);
	}
	SYNC_GLOBAL();
}

/* Labels a lane's tokens t and on by the nearest centroid; the error is what reseeding looks at. */
INLINE void label_tokens(const struct build b, uint t, __local uint *changed)
{
	__global const half *k = b.points + t / PT * DK * PT + t % PT;
	floatv best[WIDE];
	intv label[WIDE];
#pragma unroll
	for (int j = 0; j < WIDE; j++) {
		best[j] = -INFINITY;
		label[j] = 0;
	}
	for (uint c0 = 0; c0 < b.c_padded; c0 += NEAR) {
		__global const float *near = b.near + c0 * DK;
		floatv s[NEAR][WIDE];
#pragma unroll
		for (int i = 0; i < NEAR; i++)
#pragma unroll
			for (int j = 0; j < WIDE; j++)
				s[i][j] = b.bias[c0 + i];
		for (int d = 0; d < DK; d++) {
#pragma unroll
			for (int j = 0; j < WIDE; j++) {
				const floatv x = LOADV_HALF(k + d * PT + j * VEC);
#pragma unroll
				for (int i = 0; i < NEAR; i++)
					s[i][j] = fma(x, (floatv)(near[d * NEAR + i]), s[i][j]);
			}
		}
#pragma unroll
		for (int i = 0; i < NEAR; i++)
#pragma unroll
			for (int j = 0; j < WIDE; j++) {
				const intv nearer = s[i][j] > best[j];
				best[j] = nearer ? s[i][j] : best[j];
				label[j] = nearer ? (intv)((int)c0 + i) : label[j];
			}
	}
#pragma unroll
	for (int j = 0; j < WIDE; j++) {
		int labels[VEC];
		float bests[VEC];
		STOREV(label[j], labels);
		STOREV(best[j], bests);
		for (int i = 0; i < VEC; i++) {
			const uint at = t + j * VEC + i;
			const float norm = b.norms[at];
			if (b.labels[at] != (uint)labels[i])
				*changed = 1;
			b.labels[at] = (uint)labels[i];
			b.errors[at] = METRIC == ABI_METRIC_COSINE ? 1.0f - bests[i] * rsqrt(norm + 1e-16f)
			                                           : norm - 2.0f * bests[i];
		}
	}
}

/* All tokens; true if a label is another than before. */
INLINE bool label_all(const struct build b, __local uint *changed)
{
	const uint padded = (b.n + PT - 1) / PT * PT;
	if (LANE == 0)
		*changed = 0;
	SYNC();
	for (uint t = LANE * WIDE * VEC; t < padded; t += LANES * WIDE * VEC)
		label_tokens(b, t, changed);
	SYNC_GLOBAL();
	for (uint c = LANE; c < b.c; c += LANES)
		b.counts[c] = 0;
	SYNC_GLOBAL();
	for (uint t = LANE; t < b.n; t += LANES)
#if LANES > 1
		atomic_inc(b.counts + b.labels[t]);
#else
		b.counts[b.labels[t]]++;
#endif
	SYNC_GLOBAL();
	return *changed;
}

/* The token that its centroid fits worst becomes the centroid of each cluster that has none; at most 32 in a round. */
INLINE void reseed(const struct build b)
{
	if (LANE == 0) {
		int left = 32;
		for (uint c = 0; c < b.c && left > 0; c++) {
			uint worst = 0;
			if (b.counts[c] > 0)
				continue;
			for (uint t = 1; t < b.n; t++)
				worst = b.errors[t] > b.errors[worst] ? t : worst;
			if (b.errors[worst] <= 1e-6f)
				break;
			b.errors[worst] = 0.0f;
			for (int d = 0; d < DK; d++)
				b.centroids[c * DK + d] = point(b, worst, d);
			left--;
		}
	}
	SYNC_GLOBAL();
}

/* Adds channel d of a tile's tokens to their centroids, in the order of tokens. */
INLINE void add_points(const struct build b, uint t0, int d)
{
	const uint n = MIN_OF(b.n - t0, (uint)PT);
#if LANES == 1
	float x[PT]; /* halves become floats faster as vectors */
	for (int i = 0; i < PT; i += VEC)
		STOREV(LOADV_HALF(b.points + (t0 * DK + (uint)d * PT) + i), x + i);
	for (uint i = 0; i < n; i++)
		b.centroids[b.labels[t0 + i] * DK + d] += x[i];
#else
	for (uint i = 0; i < n; i++)
		b.centroids[b.labels[t0 + i] * DK + d] += point(b, t0 + i, d);
#endif
}

/* Centroids become the means of their tokens; those without keep their place. */
INLINE void average(const struct build b)
{
	for (uint c = 0; c < b.c; c++)
		if (b.counts[c] > 0)
			for (int d = LANE; d < DK; d += LANES)
				b.centroids[c * DK + d] = 0.0f;
	for (uint t0 = 0; t0 < b.n; t0 += PT)
		for (int d = LANE; d < DK; d += LANES)
			add_points(b, t0, d);
	for (uint c = 0; c < b.c; c++)
		if (b.counts[c] > 0)
			for (int d = LANE; d < DK; d += LANES)
				b.centroids[c * DK + d] /= (float)b.counts[c];
	SYNC_GLOBAL();
}

INLINE void set_all(const struct build b, __global half *reps, bool store)
{
	for (uint c = LANE; c < b.c_padded; c += LANES) {
		if (c < b.c) {
			set_centroid(b, c, reps, store);
			continue;
		}
		b.bias[c] = -INFINITY; /* never the nearest */
		for (int d = 0; d < DK; d++)
			b.near[(c / NEAR * DK + d) * NEAR + c % NEAR] = 0.0f;
	}
	SYNC_GLOBAL();
}

/* Where each cluster's members end, and the members, newest first. */
INLINE void write_lists(const struct build b, __global ushort *ends)
{
	const uint padded = tiles_of(b.c) * UT;
	__global ushort *members = ends + padded;
	if (LANE == 0) {
		uint end = 0;
		for (uint c = 0; c < b.c; c++) {
			const uint begin = end;
			end += b.counts[c];
			ends[c] = (ushort)end;
			b.counts[c] = begin;
		}
		for (uint c = b.c; c < padded; c++)
			ends[c] = (ushort)end;
		for (uint t = b.n; t-- > 0;)
			members[b.counts[b.labels[t]]++] = (ushort)t;
	}
}

__kernel GROUP_SIZE void index_clusters(ARGS(INDEX_CLUSTERS_ARGS))
{
	__local uint changed;
	const uint head = (uint)get_group_id(2) * STREAMS + (uint)get_group_id(1);
	const ulong row = layer * STREAMS + head;
	const struct build b = build_at(build + head * stride, n, c);
	__global half *centroids =
		(__global half *)(reps + ((ulong)reps_at + row * reps_stride) * ABI_UNIT);
	set_norms(b);
	for (uint t = LANE; t < (n + PT - 1) / PT * PT; t += LANES)
		b.labels[t] = 0;
	if (iterations > 0) {
		for (uint i = b.c * DK + LANE; i < tiles_of(b.c) * UT * DK; i += LANES)
			vstore_half(0.0f, place_of_rep(i / DK, (int)(i % DK)), centroids);
		seed_centroids(b, seed);
	}
	SYNC_GLOBAL();
	set_all(b, centroids, iterations > 0);
	label_all(b, &changed);
	for (uint i = 0; i < iterations; i++) {
		reseed(b);
		average(b);
		set_all(b, centroids, true);
		if (!label_all(b, &changed))
			break;
	}
	if (lists)
		write_lists(b, (__global ushort *)(index + ((ulong)address + row * seg_stride) * ABI_UNIT) +
		                   (INDEX == ABI_INDEX_CLUSTERS ? tiles_of(c) * REPS_OF_TILE : 0));
}
