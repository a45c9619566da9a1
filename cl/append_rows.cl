/* SPDX-License-Identifier: MIT */
/* append_rows: stores a step's new rows of one layer in the half blocks of their sequences.
 * Grid: (LANES * ceil(n_rows / ROWS), STREAMS). Local: DK or DV floats.
 * k, v  caller's tensors [n_rows][STREAMS][DK], [DV] | half block: K [DK][BT], then V [BT][DV]
 * Numbers: rounded to nearest half. NaN becomes 0, what half can't hold +-65504; both are counted, in what was given
 * and in what a rotation made of it. */
#include "hadamard.clh"
#include "table.clh"
#include "tensor.clh"

#ifndef DK
#define DK 64 /* head size of K */
#endif
#ifndef DV
#define DV 64 /* head size of V */
#endif
#ifndef ROWS
#define ROWS 16 /* rows of a work-group */
#endif
#ifndef ROT_K
#define ROT_K 0 /* 1: K is turned by a Hadamard matrix */
#endif
#ifndef ROT_V
#define ROT_V 0
#endif
#define LARGEST_HALF 65504.0f

/* Brings values into the range of half; returns how many had to be replaced. */
INLINE uint limit_row(const int dim, __local float *x)
{
	uint replaced = 0;
	for (int i = LANE; i < dim; i += LANES) {
		bool good = fabs(x[i]) <= LARGEST_HALF; /* false for a NaN */
		replaced += good ? 0 : 1;
		x[i] = good ? x[i] : isnan(x[i]) ? 0.0f : copysign(LARGEST_HALF, x[i]);
	}
	SYNC();
	return replaced;
}

/* A row of the caller's into x [dim], turned if the codec wants it: a turned value can be sqrt(dim) times as large. */
INLINE uint take_row(__global const uchar *mem, uint dtype, ulong at, const int dim,
                     const int turned, __local float *x)
{
	for (int i = LANE; i < dim; i += LANES)
		x[i] = tensor_load(mem, dtype, at + i);
	uint replaced = limit_row(dim, x);
	if (turned) {
		hadamard(x, dim);
		replaced += limit_row(dim, x);
	}
	return replaced;
}

__kernel GROUP_SIZE void append_rows(__global uchar *pool, __global const uint *tables,
                                     __global const uint *plan, __global uint *counters,
                                     __global const uchar *k, uint k_dtype, ulong k_offset,
                                     ulong k_token_stride, ulong k_head_stride,
                                     __global const uchar *v, uint v_dtype, ulong v_offset,
                                     ulong v_token_stride, ulong v_head_stride, uint items,
                                     uint rows, uint layer, uint n_rows)
{
	__local float x[DK > DV ? DK : DV];
	uint stream = (uint)get_group_id(1), first = (uint)get_group_id(0) * ROWS, replaced = 0;
	for (uint r = first; r < MIN_OF(n_rows, first + ROWS); r++) {
		__global const uint *item =
			plan + items + plan[rows + r * ABI_NEW_WORDS + ABI_NEW_ITEM] * ABI_ITEM_WORDS;
		uint cap = item[ABI_ITEM_CAP], token = item[ABI_ITEM_LEN] + r - item[ABI_ITEM_ROW],
			 t = token % BT;
		__global const uint *row = table_row(tables, item[ABI_ITEM_SLAB], cap, layer, stream);
		__global half *block = (__global half *)(pool + half_block(row, cap, token / BT));
		replaced += take_row(k, k_dtype, k_offset + r * k_token_stride + stream * k_head_stride, DK,
		                     ROT_K, x);
		for (int c = LANE; c < DK; c += LANES)
			vstore_half_rte(x[c], c * BT + t, block);
		SYNC();
		replaced += take_row(v, v_dtype, v_offset + r * v_token_stride + stream * v_head_stride, DV,
		                     ROT_V, x);
		for (int d = LANE * VEC; d < DV; d += LANES * VEC)
			STOREV_HALF(LOADV(x + d), block + DK * BT + t * DV + d);
		SYNC();
	}
	if (replaced > 0)
		atomic_add(counters + ABI_COUNTER_NOT_FINITE, replaced);
}
