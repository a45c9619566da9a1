/* SPDX-License-Identifier: MIT */
/* seal_affine: encodes tokens of half blocks as one sealed block of integers per (job, stream, layer).
 * Source: KIVI, arXiv 2402.02750, and plain block quantization; affine_block.clh draws the block.
 * Grid: (LANES * jobs, STREAMS, layers). Each lane encodes whole units or vectors of them; no local memory.
 * Numbers: scale = (max - min) / (2^BITS - 1), rounded to half; code = rint((x - min) / scale as stored), clamped, so
 * |x - decoded| <= scale / 2, and at the ends of the range up to the rounding of the scale more. A constant unit has
 * scale 0 and decodes to its minimum. Symmetric: scale = max |x| / (2^(BITS-1) - 1), codes 1 .. 2^BITS - 1.
 * Tokens that a partial block lacks enter no range; their codes are 0. */
#include "affine_block.clh"
#include "halves.clh"
#include "planes.clh"

/* The tokens of a job: `from` tokens into half block a, going on in block b. */
struct source {
	__global const half *a, *b;
	int from, count;
};

/* VEC tokens of channel c of K, from token t of the job on. */
INLINE floatv load_k(const struct source s, int c, int t)
{
	int at = s.from + t;
	if (at + VEC <= BT)
		return load_halves(s.a + c * BT + at);
	if (at >= BT)
		return load_halves(s.b + c * BT + at - BT);
	float x[VEC]; /* the one vector that straddles the two blocks */
	for (int i = 0; i < VEC; i++)
		x[i] =
			at + i < BT ? vload_half(c * BT + at + i, s.a) : vload_half(c * BT + at + i - BT, s.b);
	return LOADV(x);
}

/* VEC channels of token t of V, from channel d on. */
INLINE floatv load_v(const struct source s, int t, int d)
{
	int at = s.from + t;
	return at < BT ? LOADV_HALF(s.a + DK * BT + at * DV + d)
	               : LOADV_HALF(s.b + DK * BT + (at - BT) * DV + d);
}

/* Scale and minimum of a range, as they are stored. */
INLINE void range_params(const int bits, const int symmetric, floatv low, floatv high,
                         floatv *scale, floatv *minimum)
{
	*minimum = symmetric ? (floatv)(0.0f) : low;
	*scale = symmetric ? fmax(fabs(low), fabs(high)) / (floatv)((1 << (bits - 1)) - 1)
	                   : (high - low) / (floatv)((1 << bits) - 1);
}

INLINE intv encode(const int bits, const int symmetric, floatv x, floatv scale, floatv minimum)
{
	const float middle = symmetric ? (float)(1 << (bits - 1)) : 0.0f;
	floatv code = scale > 0.0f ? rint((x - minimum) / scale) + middle : (floatv)(middle);
	return TO_INTV(clamp(code, symmetric ? 1.0f : 0.0f, (float)((1 << bits) - 1)));
}

/* Stores scales and minimums of VEC units at unit u and reads them back: codes are made for what is stored. */
INLINE void store_params(__global half *params, const int units, const int symmetric, int u,
                         floatv *scale, floatv *minimum)
{
	STOREV_HALF(*scale, params + u);
	*scale = LOADV_HALF(params + u);
	if (symmetric)
		return;
	STOREV_HALF(*minimum, params + units + u);
	*minimum = LOADV_HALF(params + units + u);
}

INLINE void store_param1(__global half *params, const int units, const int symmetric, int u,
                         float *scale, float *minimum)
{
	vstore_half_rte(*scale, u, params);
	*scale = vload_half(u, params);
	if (symmetric)
		return;
	vstore_half_rte(*minimum, units + u, params);
	*minimum = vload_half(units + u, params);
}

INLINE void range1(const int bits, const int symmetric, float low, float high, float *scale,
                   float *minimum)
{
	*minimum = symmetric ? 0.0f : low;
	*scale = symmetric ? fmax(fabs(low), fabs(high)) / (float)((1 << (bits - 1)) - 1)
	                   : (high - low) / (float)((1 << bits) - 1);
}

/* ---- K: rows are channels, columns tokens ---- */

/* One token group of eight channels. */
INLINE void seal_k_channels(const struct source s, __global half *params, __global uchar *codes,
                            int c, int g)
{
	float scale[8], minimum[8];
#pragma unroll
	for (int j = 0; j < 8; j++) {
		floatv low = INFINITY, high = -INFINITY;
		for (int t = g * K_GROUP; t < (g + 1) * K_GROUP; t += VEC) {
			floatv x = load_k(s, c + j, t);
			intv there = IOTA + t < (intv)(s.count);
			low = fmin(low, there ? x : (floatv)(INFINITY));
			high = fmax(high, there ? x : (floatv)(-INFINITY));
		}
		bool any = g * K_GROUP < s.count;
		range1(K_BITS, K_SYM, any ? HMIN(low) : 0.0f, any ? HMAX(high) : 0.0f, &scale[j],
		       &minimum[j]);
		store_param1(params, K_UNITS, K_SYM, g * DK + c + j, &scale[j], &minimum[j]);
	}
	for (int t = g * K_GROUP; t < (g + 1) * K_GROUP; t += VEC) {
		intv x[8];
#pragma unroll
		for (int j = 0; j < 8; j++)
			x[j] = IOTA + t < (intv)(s.count) ? encode(K_BITS, K_SYM, load_k(s, c + j, t),
			                                           (floatv)(scale[j]), (floatv)(minimum[j]))
			                                  : (intv)(0);
		planes_store8(K_BITS, codes, DK, BT, c, t, x);
	}
}

/* One channel group of VEC tokens. */
INLINE void seal_k_tokens(const struct source s, __global half *params, __global uchar *codes,
                          int t, int g)
{
	const int c1 = MIN_OF(DK, (g + 1) * K_GROUP);
	floatv low = INFINITY, high = -INFINITY, scale, minimum;
	for (int c = g * K_GROUP; c < c1; c++) {
		floatv x = load_k(s, c, t);
		low = fmin(low, x);
		high = fmax(high, x);
	}
	intv there = IOTA + t < (intv)(s.count);
	low = there ? low : (floatv)(0.0f);
	high = there ? high : (floatv)(0.0f);
	range_params(K_BITS, K_SYM, low, high, &scale, &minimum);
	store_params(params, K_UNITS, K_SYM, g * BT + t, &scale, &minimum);
	for (int c = g * K_GROUP; c < c1; c += 8) {
		intv x[8];
#pragma unroll
		for (int j = 0; j < 8; j++)
			x[j] = there ? encode(K_BITS, K_SYM, load_k(s, c + j, t), scale, minimum) : (intv)(0);
		planes_store8(K_BITS, codes, DK, BT, c, t, x);
	}
}

INLINE void seal_k(const struct source s, __global uchar *block)
{
	__global half *params = (__global half *)(block + K_PARAMS_OFF);
	__global uchar *codes = block + K_CODES_OFF;
#if K_BITS == 16
	for (int i = LANE; i < DK * (BT / VEC); i += LANES) {
		int c = i / (BT / VEC), t = i % (BT / VEC) * VEC;
		floatv x = IOTA + t < (intv)(s.count) ? load_k(s, c, t) : (floatv)(0.0f);
		STOREV_HALF(x, (__global half *)codes + c * BT + t);
	}
#elif K_AXIS == ABI_AXIS_CHANNEL
	for (int i = LANE; i < DK / 8 * K_GROUPS; i += LANES)
		seal_k_channels(s, params, codes, i / K_GROUPS * 8, i % K_GROUPS);
#else
	for (int i = LANE; i < BT / VEC * K_GROUPS; i += LANES)
		seal_k_tokens(s, params, codes, i % (BT / VEC) * VEC, i / (BT / VEC));
#endif
}

/* ---- V: rows are tokens, columns channels ---- */

/* One channel group of eight tokens. */
INLINE void seal_v_tokens(const struct source s, __global half *params, __global uchar *codes,
                          int t, int g)
{
	const int d1 = MIN_OF(DV, (g + 1) * V_GROUP);
	float scale[8], minimum[8];
#pragma unroll
	for (int j = 0; j < 8; j++) {
		floatv low = INFINITY, high = -INFINITY;
		for (int d = g * V_GROUP; d < d1 && t + j < s.count; d += VEC) {
			floatv x = load_v(s, t + j, d);
			low = fmin(low, x);
			high = fmax(high, x);
		}
		bool there = t + j < s.count;
		range1(V_BITS, V_SYM, there ? HMIN(low) : 0.0f, there ? HMAX(high) : 0.0f, &scale[j],
		       &minimum[j]);
		store_param1(params, V_UNITS, V_SYM, g * BT + t + j, &scale[j], &minimum[j]);
	}
	for (int d = g * V_GROUP; d < d1; d += VEC) {
		intv x[8];
#pragma unroll
		for (int j = 0; j < 8; j++)
			x[j] = t + j < s.count ? encode(V_BITS, V_SYM, load_v(s, t + j, d), (floatv)(scale[j]),
			                                (floatv)(minimum[j]))
			                       : (intv)(0);
		planes_store8(V_BITS, codes, BT, DV, t, d, x);
	}
}

/* One token group of VEC channels. */
INLINE void seal_v_channels(const struct source s, __global half *params, __global uchar *codes,
                            int d, int g)
{
	floatv low = INFINITY, high = -INFINITY, scale, minimum;
	for (int t = g * V_GROUP; t < MIN_OF(s.count, (g + 1) * V_GROUP); t++) {
		floatv x = load_v(s, t, d);
		low = fmin(low, x);
		high = fmax(high, x);
	}
	bool any = g * V_GROUP < s.count;
	range_params(V_BITS, V_SYM, any ? low : (floatv)(0.0f), any ? high : (floatv)(0.0f), &scale,
	             &minimum);
	store_params(params, V_UNITS, V_SYM, g * DV + d, &scale, &minimum);
	for (int t = g * V_GROUP; t < (g + 1) * V_GROUP; t += 8) {
		intv x[8];
#pragma unroll
		for (int j = 0; j < 8; j++)
			x[j] = t + j < s.count ? encode(V_BITS, V_SYM, load_v(s, t + j, d), scale, minimum)
			                       : (intv)(0);
		planes_store8(V_BITS, codes, BT, DV, t, d, x);
	}
}

INLINE void seal_v(const struct source s, __global uchar *block)
{
	__global half *params = (__global half *)(block + V_PARAMS_OFF);
	__global uchar *codes = block + V_CODES_OFF;
#if V_BITS == 16
	for (int i = LANE; i < BT * (DV / VEC); i += LANES) {
		int t = i / (DV / VEC), d = i % (DV / VEC) * VEC;
		STOREV_HALF(t < s.count ? load_v(s, t, d) : (floatv)(0.0f),
		            (__global half *)codes + t * DV + d);
	}
#elif V_AXIS == ABI_AXIS_TOKEN
	for (int i = LANE; i < BT / 8 * V_GROUPS; i += LANES)
		seal_v_tokens(s, params, codes, i / V_GROUPS * 8, i % V_GROUPS);
#else
	for (int i = LANE; i < DV / VEC * V_GROUPS; i += LANES)
		seal_v_channels(s, params, codes, i % (DV / VEC) * VEC, i / (DV / VEC));
#endif
}

__kernel GROUP_SIZE void seal_affine(__global uchar *pool, __global const uint *tables,
                                     __global const uint *plan, uint jobs, uint first_layer)
{
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	uint stream = (uint)get_group_id(1), layer = first_layer + (uint)get_group_id(2),
		 cap = job[ABI_SEAL_CAP];
	__global const uint *row = table_row(tables, job[ABI_SEAL_SLAB], cap, layer, stream);
	uint from = job[ABI_SEAL_FROM];
	struct source s;
	s.from = (int)(from % BT);
	s.count = (int)job[ABI_SEAL_COUNT];
	s.a = (__global const half *)(pool + half_block(row, cap, from / BT));
	/* the second block exists only if tokens lie in it */
	s.b = s.from + s.count > BT
	          ? (__global const half *)(pool + half_block(row, cap, from / BT + 1))
	          : s.a;
	__global uchar *block =
		pool + unit_bytes(plan[jobs + job[ABI_SEAL_DST] + layer * STREAMS + stream]);
	seal_k(s, block);
	seal_v(s, block);
}
