/* SPDX-License-Identifier: MIT */
/* index_metric: how queries see the error of a key. The error of a logit q . k is q . e, whose mean square over queries is
 * e . H . e with H the mean of their outer products: distances for k-means that serves logits.
 * Source: A2ATS, arXiv 2502.12665, section 3.3 (the same as k-means of k L, H = L L^T). The queries are the newest of all
 * heads of the group, as they come to attention; the original's lie at a fixed distance (wrope).
 * Grid: (LANES, STREAMS, layers). Local: DK floats. build: index_build.clh; its metric is written
 * Numbers: f32; H is scaled so that its mean eigenvalue is 1, and RIDGE is added to each. No query seen: the identity. */
#include "index_build.clh"
#include "project.clh"
#include "recall_args.clh"
#include "rope.clh"
#include "strength.clh"

#ifndef DISTANCE
#define DISTANCE 0 /* not 0: at which queries lie (recall_score.cl) */
#endif
#define RIDGE 0.01f

/* metric += the outer product of a query */
INLINE void add_query(__local const float *q, __global float *metric)
{
	for (int u = LANE; u < DK * (DK / VEC); u += LANES) {
		const int d = u / (DK / VEC), e = u % (DK / VEC) * VEC;
		STOREV(fma((floatv)(q[d]), LOADV(q + e), LOADV(metric + d * DK + e)), metric + d * DK + e);
	}
	SYNC();
}

__kernel GROUP_SIZE void index_metric(ARGS(INDEX_METRIC_ARGS))
{
	__local float q[DK];
	const uint stream = (uint)get_group_id(1), number = (uint)get_group_id(2);
	const struct build b = build_at(build + (number * STREAMS + stream) * stride, n, c);
	const struct seen s = seen_of(seen, at, layers, layer + number, end);
	for (int i = LANE; i < DK * DK; i += LANES)
		b.metric[i] = 0.0f;
	SYNC_GLOBAL();
	for (int row = 0; row < OBSERVE; row++) {
		if (!is_seen(s, row))
			continue;
		for (int g = 0; g < G; g++) {
			for (int d = LANE; d < DK; d += LANES)
				q[d] = vload_half((row * Q_HEADS + (int)stream * G + g) * DK + d, s.rows);
			SYNC();
			if (DISTANCE > 0)
				rope_head(q, DISTANCE - (int)(s.tags[row] - 1), turns, 1.0f);
			project_key(q, projections, first_projection + number * STREAMS + stream);
			add_query(q, b.metric);
		}
	}
	SYNC_GLOBAL();
	float trace = 0.0f;
	for (int d = 0; d < DK; d++)
		trace += b.metric[d * DK + d];
	SYNC_GLOBAL();
	const float factor = trace > 0.0f ? (float)DK / trace : 0.0f;
	for (int i = LANE; i < DK * DK; i += LANES)
		b.metric[i] =
			b.metric[i] * factor + (i / DK == i % DK ? trace > 0.0f ? RIDGE : 1.0f : 0.0f);
}
