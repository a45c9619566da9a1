/* SPDX-License-Identifier: MIT */
/* bounded_size: how many bytes the codes of a seal job's blocks will take, and by which table.
 * Grid: (LANES * jobs, STREAMS, layers). Local: the codes of a side, its units, a histogram, lengths of lanes.
 * plan      of (layer, stream) the words at the job's dst get the size of K and of V: ABI_SIZE_BYTES, ABI_SIZE_TABLE
 * live_k, v which tables may be taken, a bit each; the flat one always may
 * counters  the largest bound so far, scale / 2, of K and V */
#include "bounded_units.clh"
#include "seal_args.clh"

/* The live table with which the counted codes take the fewest bits; of equals the first. */
INLINE uint cheapest(const struct bounded s, __global const uint *code_tables, uint live,
                     __local const uint *counts, __local uint *costs)
{
	for (int t = LANE; t < ABI_TABLES; t += LANES) {
		__global const uint *encode = encoder(s, code_tables, (uint)t);
		uint bits = 0;
		for (int i = 0; i < s.symbols && (live >> t & 1); i++)
			bits += counts[i] * (encode[i] >> 16);
		costs[t] = live >> t & 1 ? bits : 0xffffffffu;
	}
	SYNC();
	uint best = ABI_TABLE_FLAT;
	for (uint t = 0; t < ABI_TABLES; t++)
		if (costs[t] < costs[best])
			best = t;
	SYNC();
	return best;
}

/* Bytes of all lanes by a table. */
INLINE uint lanes_bytes(const struct bounded s, __global const uint *encode,
                        const struct workspace w, __local uint *lengths)
{
	for (int lane = LANE; lane < n_lanes(s); lane += LANES)
		lengths[lane] = lane_bytes(s, encode, w, lane);
	SYNC();
	uint bytes = 0;
	for (int lane = 0; lane < n_lanes(s); lane++)
		bytes += lengths[lane];
	SYNC();
	return bytes;
}

INLINE uint size_streams(const struct bounded s, const struct source src, const struct workspace w,
                         __global const uint *code_tables, uint live, __local uint *counts,
                         __local uint *lengths)
{
	make_codes(s, src, w);
	clear_counts(counts);
	count_codes(s, src, w, true, counts);
	uint table = cheapest(s, code_tables, live | 1u << ABI_TABLE_FLAT, counts, lengths);
	uint bytes = lanes_bytes(s, encoder(s, code_tables, table), w, lengths);
	const uint flat = (uint)(n_lanes(s) * ((s.rows * s.lane_cols * flat_bits(s.symbols) + 7) / 8));
	if (bytes >= flat) {
		table = ABI_TABLE_FLAT;
		bytes = flat;
	}
	return bytes | table << 24;
}

INLINE uint size_side(const struct bounded s, const struct source src, const struct workspace w,
                      __global const uint *code_tables, uint live, __local uint *counts,
                      __local uint *lengths, __global uint *bound)
{
	make_units(s, src, w);
	const float most = largest_code(s, w);
	if (most >= (float)s.symbols)
		return (uint)(s.rows * s.cols * 2) | (uint)ABI_TABLE_HALF << 24;
	if (LANE == 0) /* floats above 0 have the order of their bits */
		atomic_max(bound, as_uint(largest_of(w.scales, s.units_rows) * 0.5f));
	if (ENTROPY == ABI_ENTROPY_PACK) {
		const uint bits = (uint)flat_bits((int)most + 1), width = bits < 2    ? 2
		                                                          : bits == 7 ? 8
		                                                                      : bits;
		return packed_bytes(s, width) | width << 24;
	}
	return size_streams(s, src, w, code_tables, live, counts, lengths);
}

__kernel GROUP_SIZE void bounded_size(ARGS(SIZE_BLOCK_ARGS))
{
	WORKSPACE(w);
	__local uint counts[ABI_SYMBOLS], lengths[MOST_LANES > ABI_TABLES ? MOST_LANES : ABI_TABLES];
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct source src = kept_source(pool, tables, job, sections, layer, stream, w.list);
	if (!makes_block(src))
		return;
	const struct bounded k = K_BOUNDED, v = V_BOUNDED;
	const uint k_size =
		size_side(k, src, w, code_tables, live_k, counts, lengths, counters + ABI_COUNTER_BOUND_K);
	SYNC();
	const uint v_size =
		size_side(v, src, w, code_tables, live_v, counts, lengths, counters + ABI_COUNTER_BOUND_V);
	if (LANE == 0) {
		__global uint *dst = plan + jobs + job_dst(job, layer, stream);
		dst[0] = k_size;
		dst[1] = v_size;
	}
}
