/* SPDX-License-Identifier: MIT */
/* bounded_count: histograms of the codes that a seal job will have, from which code tables are made.
 * Grid: (LANES * jobs, STREAMS, layers). Local: the codes of a side, its units, a histogram.
 * histograms [layers][2][ABI_SYMBOLS] uint, of K and V; begins as zeros. Sums are whole numbers: no order matters. */
#include "bounded_units.clh"
#include "seal_args.clh"

INLINE void count_side(const struct bounded s, const struct source src, const struct workspace w,
                       __local uint *counts, __global uint *histogram)
{
	make_units(s, src, w);
	make_codes(s, src, w);
	clear_counts(counts);
	if (largest_code(s, w) < (float)s.symbols)
		count_codes(s, src, w, false, counts);
	for (int i = LANE; i < s.symbols; i += LANES)
		if (counts[i])
			atomic_add(histogram + i, counts[i]);
	SYNC();
}

__kernel GROUP_SIZE void bounded_count(ARGS(BOUNDED_COUNT_ARGS))
{
	WORKSPACE(w);
	__local uint counts[ABI_SYMBOLS];
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint layer = first_layer + (uint)get_group_id(2);
	const struct source src = kept_source(pool, tables, job, sections, layer,
	                                      first_stream + (uint)get_group_id(1), w.list);
	if (!makes_block(src))
		return;
	const struct bounded k = K_BOUNDED, v = V_BOUNDED;
	count_side(k, src, w, counts, histograms + layer * 2 * ABI_SYMBOLS);
	count_side(v, src, w, counts, histograms + (layer * 2 + 1) * ABI_SYMBOLS);
}
