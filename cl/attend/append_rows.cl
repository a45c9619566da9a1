/* SPDX-License-Identifier: MIT */
/* append_rows: stores a step's new rows of one layer in the half blocks of their sequences.
 * Grid: (LANES * ceil(n_rows / ROWS), STREAMS). Local: ROWS rows of max(DK, DV) floats, at most 17.4 KB.
 * k, v  caller's tensors [n_rows][STREAMS][DK], [DV], rows of an item where its gap says | half block: K [DK][BT], then V [BT][DV]
 * K that comes before RoPE is rotated first, unless it is `stored`: read from a cache.
 * Numbers: rounded to nearest half. NaN becomes 0, what half can't hold +-65504; both are counted, in what was given
 * and in what a rotation made of it.
 * Rows of one block are taken together: K lies there by channels, and is stored VEC tokens at a time. */
#include "attend_args.clh"
#include "project.clh"
#include "rope.clh"
#include "rows.clh"
#include "slots.clh"

/* n rows of one stream: mem's elements first + row * stride + channel. */
struct rows {
	__global const uchar *mem;
	uint dtype;
	ulong first, stride;
	int n;
	ulong ahead; /* elements from here to the rows that come next */
};

/* Rows r and on of the stream whose rows begin at element `first`; others come `ahead` rows on. */
INLINE struct rows rows_at(__global const uchar *mem, uint dtype, ulong first, ulong stride, uint r,
                           uint n, ulong ahead)
{
	const struct rows rows = {mem, dtype, first + r * stride, stride, (int)n, ahead * stride};
	return rows;
}

/* VEC channels of a row, from channel d on. */
INLINE floatv take(const struct rows rows, int row, int d, intv *replaced)
{
	const ulong at = rows.first + (ulong)row * rows.stride + d;
	FETCH(rows.mem + ((at + rows.ahead) << (rows.dtype == ABI_F32 ? 2 : 1)));
	return limit(load_elements(rows.mem, rows.dtype, at), replaced);
}

INLINE void take_tile(const struct rows rows, const int dim, const bool turned,
                      __local floatv *tile, intv *replaced)
{
	for (int u = LANE; u < rows.n * (dim / VEC); u += LANES) {
		const int row = u / (dim / VEC), i = u % (dim / VEC);
		const floatv x = take(rows, row, i * VEC, replaced);
		tile[row * TILE_ROW(dim) + i] = turned ? turn_vector(x) : x;
	}
	SYNC();
	if (turned)
		turn_rows(tile, dim, rows.n, replaced);
}

/* Rotates a tile of K by RoPE, then turns it; the limit comes before each, and behind them. */
INLINE void rotate_tile(__local floatv *tile, int n, int position, __global const ulong *turns,
                        float magnitude, uint stored, intv *replaced)
{
	if (!stored)
		rope_rows((__local float *)tile, TILE_ROW(DK) * VEC, n, position, turns, magnitude);
	for (int u = LANE; u < n * (DK / VEC); u += LANES) {
		__local floatv *x = tile + u / (DK / VEC) * TILE_ROW(DK) + u % (DK / VEC);
		const floatv rotated = limit(*x, replaced);
		*x = PROJECT_K == ABI_PROJECT_HADAMARD ? turn_vector(rotated) : rotated;
	}
	SYNC();
	if (PROJECT_K == ABI_PROJECT_HADAMARD)
		turn_rows(tile, DK, n, replaced);
}

/* Turns n rows of a tile by what their head has; the limit behind it, as a turned value can be larger. */
INLINE void project_tile(__local floatv *tile, const int dim, const bool key, int n,
                         __global const float *projections, uint head, intv *replaced)
{
	for (int row = 0; row < n; row++) {
		__local float *x = (__local float *)(tile + row * TILE_ROW(dim));
		if (key)
			project_key(x, projections, head);
		else
			project_value(x, projections, head);
	}
	for (int u = LANE; u < n * (dim / VEC); u += LANES) {
		__local floatv *x = tile + u / (dim / VEC) * TILE_ROW(dim) + u % (dim / VEC);
		*x = limit(*x, replaced);
	}
	SYNC();
}

/* Tokens t and on of K [DK][BT]: squares of VEC tokens and VEC channels, then the tokens that are left. */
INLINE void store_k(__local const floatv *tile, int n, __global half *k, int t)
{
	for (int u = LANE; u < ROWS / VEC * (DK / VEC); u += LANES) {
		const int row = u % (ROWS / VEC) * VEC, i = u / (ROWS / VEC);
		floatv x[VEC];
		if (row + VEC > n)
			continue;
#pragma unroll
		for (int j = 0; j < VEC; j++)
			x[j] = tile[(row + j) * TILE_ROW(DK) + i];
		transpose(x);
#pragma unroll
		for (int j = 0; j < VEC; j++)
			store_halves(x[j], k + (i * VEC + j) * BT + t + row);
	}
	for (int u = n / VEC * VEC * DK + LANE; u < n * DK; u += LANES) {
		const int row = u / DK, c = u % DK;
		vstore_half_rte(((__local const float *)(tile + row * TILE_ROW(DK)))[c], c * BT + t + row,
		                k);
	}
	SYNC();
}

/* Tokens t and on of V [BT][DV]. */
INLINE void store_v(const struct rows rows, __local floatv *tile, __global half *v, int t,
                    __global const float *projections, uint head, intv *replaced)
{
	if (PROJECT_V)
		take_tile(rows, DV, PROJECT_V == ABI_PROJECT_HADAMARD, tile, replaced);
	if (IS_GIVEN(PROJECT_V))
		project_tile(tile, DV, false, rows.n, projections, head, replaced);
	for (int u = LANE; u < rows.n * (DV / VEC); u += LANES) {
		const int row = u / (DV / VEC), i = u % (DV / VEC);
		STOREV_HALF(PROJECT_V ? tile[row * TILE_ROW(DV) + i] : take(rows, row, i * VEC, replaced),
		            v + (t + row) * DV + i * VEC);
	}
	if (PROJECT_V)
		SYNC();
}

__kernel GROUP_SIZE void append_rows(ARGS(APPEND_ROWS_ARGS))
{
	__local floatv tile[ROWS * TILE_ROW(DK > DV ? DK : DV)];
	const uint stream = (uint)get_group_id(1), first = (uint)get_group_id(0) * ROWS,
			   end = MIN_OF(n_rows, first + ROWS), head = first_projection + stream;
	intv replaced = 0;
	for (uint r = first; r < end;) {
		__global const uint *item =
			plan + items + plan[rows + r * ABI_NEW_WORDS + ABI_NEW_ITEM] * ABI_ITEM_WORDS;
		const uint cap = item[ABI_ITEM_CAP], of_item = r - item[ABI_ITEM_ROW],
				   token = item[ABI_ITEM_LEN] + of_item, t = token % BT;
		__global const uint *row = table_row(tables, item[ABI_ITEM_SLAB], cap, layer, stream);
		__global half *block = (__global half *)(pool + half_block(row, cap, token / BT));
		/* as many as follow each other in this block */
		const uint left = MIN_OF(end - r, item[ABI_ITEM_NEW] - of_item), n = MIN_OF(left, BT - t);
		const uint at = r + item[ABI_ITEM_GAP];
		const ulong ahead = of_item + ROWS + n <= item[ABI_ITEM_NEW] ? ROWS : 0;
		const struct rows new_k =
			rows_at(k, k_dtype, k_offset + stream * k_head_stride, k_token_stride, at, n, ahead);
		const struct rows new_v =
			rows_at(v, v_dtype, v_offset + stream * v_head_stride, v_token_stride, at, n, ahead);
		for (int c = LANE; c < DK; c += LANES) /* each channel has a line of its own */
			FETCH(block + c * BT + t);
		take_tile(new_k, DK, ROPE_BY_LIBRARY ? false : PROJECT_K == ABI_PROJECT_HADAMARD, tile,
		          &replaced);
		if (ROPE_BY_LIBRARY)
			rotate_tile(tile, (int)n, (int)token, turns, magnitude, stored, &replaced);
		if (IS_GIVEN(PROJECT_K))
			project_tile(tile, DK, true, (int)n, projections, head, &replaced);
		store_k(tile, (int)n, block, (int)t);
		store_v(new_v, tile, block + DK * BT, (int)t, projections, head, &replaced);
		for (uint i = LANE; STATE_BYTES && i < n; i += LANES) {
			slot_scores((__global const uchar *)block)[t + i] = 0.0f;
			((__global uint *)slot_traces((__global const uchar *)block))[t + i] = 0;
		}
		r += n;
	}
	const float many = HSUM(TO_FLOATV(replaced)); /* 3 * ROWS * (DK + DV) at most: exact */
	if (many > 0.0f)
		atomic_add(counters + ABI_COUNTER_NOT_FINITE, (uint)many);
}
