/* SPDX-License-Identifier: MIT */
/* bounded_verify: decodes the blocks of a seal job and compares every value with the promise made for it.
 * Grid: (LANES * jobs, STREAMS, layers). Local: the codes of a side and its units.
 * counters: values beyond bound * (1 + 1e-5) + 1e-7; bound = part * range / 2, or the absolute one. */
#include "bounded_units.clh"
#include "seal_args.clh"
#include "sealed_value.clh"

/* Row `row` and column `col` of a side, as it is read. */
INLINE float value_of(const struct bounded s, const struct source src, __global const uchar *page,
                      uint flags, __local const uchar *codes, int row, int col)
{
	__global const uchar *block = page + PRUNE_BYTES;
	const int token = s.is_k ? col : row, unit = s.one ? 0 : row;
	int c = s.is_k ? row : col;
#if K_PRUNE == ABI_PRUNE_CHANNELS
	c = s.is_k ? src.list[row] : col;
#endif
	if (IS_EXACT(flags, token))
		return vload_half(c, exact_token(s, block, token));
#if K_PRUNE == ABI_PRUNE_TOKENS
	if (s.is_k) {
		const int before = (int)values_before(page, row, col);
		row = before / BT;
		col = before % BT;
	}
#endif
	return bounded_value(s, block, flags, codes, row, col, unit);
}

/* Whether the block has the value, and what stands for another needs no check. */
INLINE bool is_stored(const struct bounded s, const struct source src, int row, int col)
{
#if K_PRUNE == ABI_PRUNE_TOKENS
	return !s.is_k || !is_lacking(src.section, row, col);
#else
	return true;
#endif
}

INLINE uint verify_side(const struct bounded s, const struct source src, const struct workspace w,
                        __global const uchar *page, uint flags, __global const uint *code_tables)
{
	uint broken = 0;
	make_units(s, src, w);
	open_side(s, page + PRUNE_BYTES, flags, code_tables, w.codes);
	for (int row = LANE; row < s.units_rows; row += LANES) {
		const float part = as_float(s.step) * 0.5f;
		const float bound = (s.absolute ? part : part * w.ranges[row]) * 1.00001f + 1e-7f;
		for (int c = 0; c < s.cols; c += VEC) {
			float values[VEC];
			STOREV(load_value(s, src, row, c), values);
			for (int i = 0; i < VEC; i++)
				if ((s.is_k ? c + i : row) < src.count && is_stored(s, src, row, c + i))
					broken += !(fabs(value_of(s, src, page, flags, w.codes, row, c + i) -
					                 values[i]) <= bound);
		}
	}
	SYNC();
	return broken;
}

__kernel GROUP_SIZE void bounded_verify(ARGS(BOUNDED_VERIFY_ARGS))
{
	WORKSPACE(w);
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct source src = kept_source(pool, tables, job, sections, layer, stream, w.list);
	if (!makes_block(src))
		return;
	__global const uint *dst = plan + jobs + job_dst(job, layer, stream);
	__global const uchar *page = pool + block_at(dst[ABI_DST_ADDR]);
	const uint flags = dst[ABI_DST_FLAGS];
	const struct bounded k = K_BOUNDED, v = V_BOUNDED;
	const uint broken = verify_side(k, src, w, page, flags, code_tables) +
	                    verify_side(v, src, w, page, flags, code_tables);
	if (broken)
		atomic_add(counters + ABI_COUNTER_BROKEN, broken);
}
