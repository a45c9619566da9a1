/* SPDX-License-Identifier: MIT */
/* seal_sparse: encodes tokens of half blocks as one sealed block of pairs of atom and coefficient per (job, stream, layer), by
 * matching pursuit: the atom whose product with what is left of the row is largest in magnitude, and that is taken off.
 * sparse_block.clh draws the block.
 * Source: CSR, arXiv 2412.11741, with the magnitude of products, and coefficients as they are stored taken off, so that later pairs
 * make up for their rounding. An atom may come again: its coefficients add up.
 * Grid: (LANES * jobs, STREAMS, layers). Lanes share the atoms, for ROWS_AT_ONCE tokens at a time. Local: what is left of those.
 * Numbers: products in f32, over channels in their order, so all forms choose alike; of equal ones the first atom is taken.
 * Coefficients: half, at most 65504; or rint(product / scale), at most 127, with scale = |first product| / 127 rounded to half.
 * Tokens that a partial block lacks are zeros. */
#include "seal_args.clh"
#include "source.clh"
#include "sparse_block.clh"

#if LANES == 1
#define ROWS_AT_ONCE 8
#else
#define ROWS_AT_ONCE 4
#endif
#define MOST_DIM (DK > DV ? DK : DV)

/* Of each token under way: what is left of it, and what each lane found best, then the pair that is taken. */
struct pursuit {
	__local float *left;     /* [ROWS_AT_ONCE][dim of a chunk] */
	__local float *products; /* [ROWS_AT_ONCE][LANES] */
	__local int *atoms;      /* the same */
};

INLINE void load_left(const struct source s, const struct sparse side, const bool is_k, int c0,
                      int t0, const struct pursuit p)
{
	const int dim = CHUNK_DIM(side);
	for (int i = LANE; i < ROWS_AT_ONCE * dim; i += LANES) {
		const int t = t0 + i / dim, c = c0 + i % dim;
		const int at = MIN_OF(t, MAX_OF(s.count - 1, 0));
		const float x = is_k ? load_k1(s, c, at) : vload_half(c, row_of_v(s, at));
		p.left[i] = t < s.count ? x : 0.0f;
	}
	SYNC();
}

/* Products of what is left with a lane's atoms. a [dim][ATOMS] */
INLINE void find_best(const struct sparse side, __global const float *a, const struct pursuit p)
{
	const int dim = CHUNK_DIM(side);
	floatv best[ROWS_AT_ONCE];
	intv at[ROWS_AT_ONCE];
#pragma unroll
	for (int e = 0; e < ROWS_AT_ONCE; e++) {
		best[e] = 0.0f;
		at[e] = 0;
	}
	for (int n = LANE * VEC; n < ATOMS; n += LANES * VEC) {
		floatv x[ROWS_AT_ONCE];
#pragma unroll
		for (int e = 0; e < ROWS_AT_ONCE; e++)
			x[e] = 0.0f;
		for (int c = 0; c < dim; c++) {
			const floatv y = LOADV(a + c * ATOMS + n);
#pragma unroll
			for (int e = 0; e < ROWS_AT_ONCE; e++)
				x[e] = fma((floatv)(p.left[e * dim + c]), y, x[e]);
		}
#pragma unroll
		for (int e = 0; e < ROWS_AT_ONCE; e++) {
			const intv better = fabs(x[e]) > fabs(best[e]);
			best[e] = better ? x[e] : best[e];
			at[e] = better ? IOTA + n : at[e];
		}
	}
#pragma unroll
	for (int e = 0; e < ROWS_AT_ONCE; e++) {
		float of[VEC];
		int which[VEC], i = 0;
		STOREV(best[e], of);
		STOREV(at[e], which);
		for (int j = 1; j < VEC; j++)
			if (fabs(of[j]) > fabs(of[i]) || (fabs(of[j]) == fabs(of[i]) && which[j] < which[i]))
				i = j;
		p.products[e * LANES + LANE] = of[i];
		p.atoms[e * LANES + LANE] = which[i];
	}
	SYNC();
}

/* Stores a coefficient and returns it as it is stored. scale: that of the chunk, which the first pair makes. */
INLINE float store_coefficient(const struct sparse side, __global uchar *block, int pair, int t,
                               float x)
{
#if COEFFICIENT_BITS == 16
	__global half *to = (__global half *)(block + COEFFICIENTS_AT(side)) + pair * BT + t;
	vstore_half_rte(clamp(x, -65504.0f, 65504.0f), 0, to);
	return vload_half(0, to);
#else
	__global half *scale =
		(__global half *)(block + SCALES_AT(side)) + pair / CHUNK_PAIRS(side) * BT + t;
	if (pair % CHUNK_PAIRS(side) == 0)
		vstore_half_rte(MIN_OF(fabs(x) / 127.0f, 65504.0f), 0, scale);
	const float step = vload_half(0, scale);
	const float code = step > 0.0f ? clamp(rint(x / step), -127.0f, 127.0f) : 0.0f;
	((__global char *)(block + COEFFICIENTS_AT(side)))[pair * BT + t] = (char)code;
	return code * step;
#endif
}

/* The best of all lanes' atoms becomes a token's pair. */
INLINE void take_best(const struct sparse side, __global uchar *block, int pair, int t0,
                      const struct pursuit p)
{
	for (int e = LANE; e < ROWS_AT_ONCE; e += LANES) {
		__local float *x = p.products + e * LANES;
		__local int *n = p.atoms + e * LANES;
		int best = 0;
		for (int i = 1; i < LANES; i++)
			if (fabs(x[i]) > fabs(x[best]) || (fabs(x[i]) == fabs(x[best]) && n[i] < n[best]))
				best = i;
		const int at = pair * BT + t0 + e, atom = n[best];
#if ATOMS > 256
		((__global ushort *)(block + side.at))[at] = (ushort)atom;
#else
		block[side.at + (uint)at] = (uchar)atom;
#endif
		x[0] = store_coefficient(side, block, pair, t0 + e, x[best]);
		n[0] = atom;
	}
	SYNC();
}

/* b: element (channel c of the chunk, atom n) at c * by_channel + n * by_atom */
INLINE void take_off(const struct sparse side, __global const float *b, const int by_channel,
                     const int by_atom, const struct pursuit p)
{
	const int dim = CHUNK_DIM(side);
	for (int i = LANE; i < ROWS_AT_ONCE * dim; i += LANES) {
		const int e = i / dim, c = i % dim;
		p.left[i] = fma(-p.products[e * LANES], b[c * by_channel + p.atoms[e * LANES] * by_atom],
		                p.left[i]);
	}
	SYNC();
}

/* All lanes call it. a [dim of the row][ATOMS]; b: as in take_off, of channels of the row. */
INLINE void seal_side(const struct source s, const struct sparse side, const bool is_k,
                      __global const float *a, __global const float *b, const int by_channel,
                      const int by_atom, const struct pursuit p, __global uchar *block)
{
	for (int chunk = 0; chunk < side.chunks; chunk++) {
		const int c0 = chunk * CHUNK_DIM(side), first = chunk * CHUNK_PAIRS(side);
		for (int t0 = 0; t0 < BT; t0 += ROWS_AT_ONCE) {
			load_left(s, side, is_k, c0, t0, p);
			for (int i = first; i < first + CHUNK_PAIRS(side); i++) {
				find_best(side, a + c0 * ATOMS, p);
				take_best(side, block, i, t0, p);
				take_off(side, b + c0 * by_channel, by_channel, by_atom, p);
			}
		}
	}
}

__kernel GROUP_SIZE_WIDE void seal_sparse(ARGS(SEAL_BLOCK_ARGS))
{
	__local uchar list[ROW_LIST];
	__local float left[ROWS_AT_ONCE * MOST_DIM], products[ROWS_AT_ONCE * LANES];
	__local int atoms[ROWS_AT_ONCE * LANES];
	const struct pursuit p = {left, products, atoms};
	const struct sparse k = K_SPARSE, v = V_SPARSE;
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	__global const float *dictionary = head_dictionary(projections, layer * STREAMS + stream);
	const struct source s = kept_source(pool, tables, job, sections, layer, stream, list);
	__global uchar *block =
		pool + block_at(plan[jobs + job_dst(job, layer, stream) + ABI_DST_ADDR]);
	seal_side(s, k, true, dictionary, key_atoms(dictionary), ATOMS, 1, p, block);
	seal_side(s, v, false, value_choosers(dictionary), value_atoms(dictionary), 1, DV, p, block);
}
