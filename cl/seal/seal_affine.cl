/* SPDX-License-Identifier: MIT */
/* seal_affine: encodes tokens of half blocks as one sealed block of integers per (job, stream, layer).
 * Source: KIVI, arXiv 2402.02750, and plain block quantization; affine_block.clh draws the block.
 * Grid: (LANES * jobs, STREAMS, layers). Each lane encodes whole units or vectors of them. Local: K's codes where each
 * token has its own channels, a byte each: they are packed before they become planes.
 * Numbers: scale = (max - min) / (2^BITS - 1), rounded to half, a subnormal one upwards; code = rint((x - min) / scale as stored), clamped, so
 * |x - decoded| <= scale / 2, and at the ends of the range up to the rounding of the scale more. A constant unit has
 * scale 0 and decodes to its minimum. Symmetric: scale = max |x| / (2^(BITS-1) - 1), codes 1 .. 2^BITS - 1.
 * Tokens that a partial block lacks enter no range; their codes are 0. */
#include "affine_block.clh"
#include "pack.clh"
#include "planes.clh"
#include "source.clh"

/* A side of a block, rows x cols values: K [K_CHANNELS][BT], V [BT][DV]. Constants: loops over them unroll. */
struct side {
	int is_k, whole; /* whole: all its values are there */
	int bits, symmetric, rows, cols, group, groups, units;
};

#define PACKS_K (K_PRUNE == ABI_PRUNE_TOKENS)
#define K_SIDE(whole)                                                                              \
	{                                                                                              \
		1, (whole) && !PACKS_K, K_BITS, K_SYM, K_CHANNELS, BT, K_GROUP, K_GROUPS, K_UNITS          \
	}
#define V_SIDE(whole)                                                                              \
	{                                                                                              \
		0, whole, V_BITS, V_SYM, BT, DV, V_GROUP, V_GROUPS, V_UNITS                                \
	}

INLINE floatv load(const struct side side, const struct source s, int row, int col)
{
	return side.is_k ? load_row(s, row, col) : load_v(s, row, col);
}

/* Which of the values at (row, col .. col + VEC - 1) are there: of tokens of the job that keep them. */
INLINE intv there(const struct side side, const struct source s, int row, int col)
{
	return side.is_k ? there_row(s, row, col) : there_v(s, row);
}

/* ---- units: ranges and parameters ---- */

struct range {
	floatv low, high;
};

#define NO_RANGE                                                                                   \
	{                                                                                              \
		INFINITY, -INFINITY                                                                        \
	}

INLINE struct range widen(const struct side side, const struct source s, int row, int col,
                          struct range r)
{
	const floatv x = load(side, s, row, col);
	const intv in = there(side, s, row, col);
	const floatv low = MIN_OF(r.low, x), high = MAX_OF(r.high, x);
	r.low = side.whole || in ? low : r.low;
	r.high = side.whole || in ? high : r.high;
	return r;
}

/* What a unit's values are coded with: scale and minimum as they are stored. */
struct params {
	floatv scale, minimum, inverse;
};

/* Stores VEC scales and returns them as they are stored. A subnormal half has few bits: rounded down it would leave the
 * ends of the range out of reach by many times its step, so it's rounded up. */
INLINE floatv store_scales(floatv scale, __global half *at)
{
	STOREV_HALF(scale, at);
	floatv stored = LOADV_HALF(at);
	stored += stored < scale && scale < 0x1p-14f ? (floatv)(0x1p-24f) : (floatv)(0.0f);
	STOREV_HALF(stored, at);
	return stored;
}

/* Makes and stores the parameters of VEC units from unit u on. */
INLINE struct params make_params(const struct side side, __global half *at, int u, struct range r)
{
	const intv some = r.low <= r.high;
	const floatv low = some ? r.low : (floatv)(0.0f), high = some ? r.high : (floatv)(0.0f);
	const floatv largest = MAX_OF(-low, high);
	struct params p;
	p.scale = side.symmetric ? largest / (float)((1 << (side.bits - 1)) - 1)
	                         : (high - low) / (float)((1 << side.bits) - 1);
	p.minimum = 0.0f;
	p.scale = store_scales(p.scale, at + u);
	if (!side.symmetric) {
		STOREV_HALF(low, at + side.units + u);
		p.minimum = low; /* a half already */
	}
	p.inverse = p.scale > 0.0f ? 1.0f / p.scale : (floatv)(0.0f);
	return p;
}

/* rint((x - minimum) / scale), clamped, in the low bits. The quotient is made from the inverse and its remainder, and
 * is the nearest float if the inverse is; adding 1.5 * 2^23 rounds to an integer. */
INLINE intv encode(const struct side side, floatv x, floatv scale, floatv minimum, floatv inverse)
{
	const int half_way = 1 << (side.bits - 1);
	const float top = (float)(side.symmetric ? half_way - 1 : (1 << side.bits) - 1);
	if (!side.symmetric)
		x -= minimum;
	floatv q = x * inverse;
	q = fma(fma(-q, scale, x), inverse, q);
	q = MIN_OF(q, (floatv)(top));
	if (side.symmetric)
		q = MAX_OF(q, (floatv)(-top));
	q += 12582912.0f + (float)(side.symmetric ? half_way : 0);
	return AS_INTV(q) & ((1 << side.bits) - 1);
}

/* Where a side's codes go: to planes, or to bytes that will be packed. */
struct codes {
	__global uchar *planes;
	__local uchar *bytes;   /* [DK][BT] */
	__local ushort *starts; /* [STARTS] */
};

INLINE void store_codes(const struct side side, const struct codes to, int row, int col,
                        const intv *x)
{
	if (!(PACKS_K && side.is_k)) {
		planes_store8(side.bits, to.planes, side.rows, side.cols, row, col, x);
		return;
	}
#pragma unroll
	for (int i = 0; i < 8; i++)
		STOREV_BYTES(x[i], to.bytes + (row + i) * side.cols + col);
}

/* ---- units along a row: K by channels, V by tokens ---- */

#define ALONG_ROWS MAX_OF(VEC, 8)

/* Of VEC vectors one of their ranges: component i is that of vector i. */
INLINE struct range ranges_of(const struct range *r)
{
	struct range x[VEC];
#pragma unroll
	for (int i = 0; i < VEC; i++)
		x[i] = r[i];
#if VEC > 1
#pragma unroll
	for (int n = VEC / 2; n > 0; n /= 2)
#pragma unroll
		for (int i = 0; i < n; i++) {
			floatv even, odd;
			even.lo = x[2 * i].low.even;
			even.hi = x[2 * i + 1].low.even;
			odd.lo = x[2 * i].low.odd;
			odd.hi = x[2 * i + 1].low.odd;
			const floatv low = MIN_OF(even, odd);
			even.lo = x[2 * i].high.even;
			even.hi = x[2 * i + 1].high.even;
			odd.lo = x[2 * i].high.odd;
			odd.hi = x[2 * i + 1].high.odd;
			x[i].low = low;
			x[i].high = MAX_OF(even, odd);
		}
#endif
	return x[0];
}

union per_row {
	floatv v[ALONG_ROWS / VEC];
	float f[ALONG_ROWS];
};

/* One group of columns of ALONG_ROWS rows. */
INLINE void seal_along(const struct side side, const struct source s, __global half *params,
                       const struct codes codes, int row, int g)
{
	const int c0 = g * side.group, c1 = MIN_OF(side.cols, c0 + side.group);
	union per_row scale, minimum, inverse;
#pragma unroll
	for (int i = 0; i < ALONG_ROWS; i += VEC) {
		struct range r[VEC];
#pragma unroll
		for (int j = 0; j < VEC; j++) {
			struct range x = NO_RANGE;
			for (int c = c0; c < c1; c += VEC)
				x = widen(side, s, row + i + j, c, x);
			r[j] = x;
		}
		const struct params p = make_params(side, params, g * side.rows + row + i, ranges_of(r));
		scale.v[i / VEC] = p.scale;
		minimum.v[i / VEC] = p.minimum;
		inverse.v[i / VEC] = p.inverse;
	}
#pragma unroll
	for (int i = 0; i < ALONG_ROWS; i += 8)
		for (int c = c0; c < c1; c += VEC) {
			intv x[8];
#pragma unroll
			for (int j = 0; j < 8; j++) {
				const intv code =
					encode(side, load(side, s, row + i + j, c), (floatv)(scale.f[i + j]),
				           (floatv)(minimum.f[i + j]), (floatv)(inverse.f[i + j]));
				x[j] = side.whole || there(side, s, row + i + j, c) ? code : (intv)(0);
			}
			store_codes(side, codes, row + i, c, x);
		}
}

/* ---- units across rows: K by tokens, V by channels ---- */

/* One group of rows of VEC columns. */
INLINE void seal_across(const struct side side, const struct source s, __global half *params,
                        const struct codes codes, int col, int g)
{
	const int r1 = MIN_OF(side.rows, (g + 1) * side.group);
	struct range range = NO_RANGE;
	for (int row = g * side.group; row < r1; row++)
		range = widen(side, s, row, col, range);
	const struct params p = make_params(side, params, g * side.cols + col, range);
	for (int row = g * side.group; row < r1; row += 8) {
		intv x[8];
#pragma unroll
		for (int j = 0; j < 8; j++) {
			const intv code =
				encode(side, load(side, s, row + j, col), p.scale, p.minimum, p.inverse);
			x[j] = side.whole || there(side, s, row + j, col) ? code : (intv)(0);
		}
		store_codes(side, codes, row, col, x);
	}
}

/* ---- sides ---- */

INLINE void seal_side(const struct side side, const int along, const struct source s,
                      __global half *params, const struct codes codes)
{
	const int packs = side.is_k ? PACKS_K : V_KEPT < DV;
	if (side.bits == 16 && packs) {
		if (side.is_k)
			pack_halves(s, codes.starts, (__global half *)codes.planes);
		else
			pack_values(s, (__global half *)codes.planes);
	} else if (side.bits == 16) {
		for (int i = LANE; i < side.rows * (side.cols / VEC); i += LANES) {
			const int row = i / (side.cols / VEC), col = i % (side.cols / VEC) * VEC;
			const floatv x = load(side, s, row, col);
			STOREV_HALF(there(side, s, row, col) ? x : (floatv)(0.0f),
			            (__global half *)codes.planes + row * side.cols + col);
		}
	} else if (along) {
		for (int i = LANE; i < side.rows / ALONG_ROWS * side.groups; i += LANES)
			seal_along(side, s, params, codes, i / side.groups * ALONG_ROWS, i % side.groups);
	} else {
		for (int i = LANE; i < side.cols / VEC * side.groups; i += LANES)
			seal_across(side, s, params, codes, i % (side.cols / VEC) * VEC, i / (side.cols / VEC));
	}
}

INLINE void seal_block(const int whole, const struct source s, __local uchar *bytes,
                       __local ushort *starts, __global uchar *block)
{
	const struct side k = K_SIDE(whole), v = V_SIDE(whole);
	const struct codes k_codes = {block + K_CODES_OFF, bytes, starts},
					   v_codes = {block + V_CODES_OFF, bytes, starts};
	seal_side(k, K_AXIS == ABI_AXIS_CHANNEL, s, (__global half *)(block + K_PARAMS_OFF), k_codes);
#if K_PRUNE == ABI_PRUNE_TOKENS
	if (K_BITS < 16) {
		SYNC();
		pack_codes(s.section, starts, bytes);
		planes_of_bytes(K_BITS, bytes, K_ROWS, BT, k_codes.planes);
	}
#endif
	if (GROUPED)
		append_signs(s, block + K_CODES_OFF);
	seal_side(v, V_AXIS == ABI_AXIS_TOKEN, s, (__global half *)(block + V_PARAMS_OFF), v_codes);
}

__kernel GROUP_SIZE void seal_affine(__global uchar *pool, __global const uint *tables,
                                     __global const uint *plan, __global const uchar *sections,
                                     uint jobs, uint first_layer, uint first_stream)
{
	__local uchar list[ROW_LIST], bytes[PACKS_K ? K_BITS < 16 ? DK * BT : 1 : 1];
	__local ushort starts[STARTS];
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct source s = kept_source(pool, tables, job, sections, layer, stream, list);
	if (!makes_block(s))
		return;
	__global uchar *block =
		pool + block_at(plan[jobs + job_dst(job, layer, stream) + ABI_DST_ADDR]);
	store_section(s, block);
#if !PACKS_K /* which has barriers */
	if (s.count == BT) {
		seal_block(1, s, bytes, starts, block + PRUNE_BYTES);
		return;
	}
#endif
	seal_block(0, s, bytes, starts, block + PRUNE_BYTES);
}
