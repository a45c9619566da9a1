/* SPDX-License-Identifier: MIT */
/* seal_kitty: encodes tokens of half blocks as one sealed block per (job, stream, layer): K in two bits per channel, but four
 * in the BOOSTED channels of the largest mean |k|; V in integers per token. kitty_block.clh draws the block.
 * Source: Kitty, arXiv 2511.18643, section 4.
 * Grid: (LANES * jobs, STREAMS, layers). Each lane weighs whole channels, then encodes whole units. Local: a key and a
 * largest code for each channel; K's codes where each token has its own channels.
 * Numbers: sums of |k| are exact in whole numbers, so all forms of the kernel choose alike; of equal channels the first is
 * taken. Units are those of seal_affine.cl, with scale = (max - min) / 15 in boosted channels, / 3 in others. */
#include "affine_units.clh"
#include "kitty_block.clh"
#include "seal_args.clh"

#define LOW_TOP 3
#define BOOSTED_TOP ((1 << BOOSTED_BITS) - 1)

/* Sum of |k| of a channel over the tokens that have it, in 2^-24, of which each half is a multiple. Whole parts of up to
 * 65,504 and rests below 2^24 are summed apart: BT <= 128 of either fit in 31 bits. */
INLINE ulong magnitude(const struct source s, int c)
{
	intv whole = 0, rest = 0;
	for (int t = 0; t < s.count; t += VEC) {
		const floatv x = there_row(s, c, t) ? fabs(load_row(s, c, t)) : (floatv)(0.0f);
		const intv n = TO_INTV(x);
		whole += n;
		rest += TO_INTV((x - TO_FLOATV(n)) * 0x1p24f);
	}
	int wholes[VEC], rests[VEC];
	STOREV(whole, wholes);
	STOREV(rest, rests);
	ulong sum = 0;
	for (int i = 0; i < VEC; i++)
		sum += ((ulong)(uint)wholes[i] << 24) + (uint)rests[i];
	return sum;
}

/* tops [K_CHANNELS]: the largest code of each channel; the list of boosted ones goes into the block, where it may be read
 * after another barrier. keys [K_CHANNELS] tell all channels apart, so exactly BOOSTED are chosen whatever the values are.
 * All lanes call it. */
INLINE void choose_boosted(const struct source s, __local ulong *keys, __local uchar *tops,
                           __global uchar *list)
{
	for (int c = LANE; c < K_CHANNELS; c += LANES)
		keys[c] = magnitude(s, c) << 8 | (ulong)(255 - c);
	SYNC();
	for (int c = LANE; c < K_CHANNELS; c += LANES) {
		int larger = 0;
		for (int i = 0; i < K_CHANNELS; i++)
			larger += keys[i] > keys[c];
		tops[c] = larger < BOOSTED ? BOOSTED_TOP : LOW_TOP;
	}
	SYNC();
	for (int c = LANE; c < K_CHANNELS; c += LANES) {
		int before = 0;
		for (int i = 0; i < c; i++)
			before += tops[i] == BOOSTED_TOP;
		if (tops[c] == BOOSTED_TOP)
			list[before] = (uchar)c;
	}
	for (int i = BOOSTED + LANE; i < BOOST_LIST_BYTES; i += LANES)
		list[i] = 0;
}

/* The codes' high bits of VEC tokens of a boosted channel, made with the parameters that the block has. */
INLINE intv high_bits(const struct source s, __global const uchar *block, int c, int t)
{
	const struct side k = K_SIDE(0, BOOSTED_BITS);
	__global const half *at =
		(__global const half *)(block + K_PARAMS_OFF) + t / K_GROUP * K_CHANNELS + c;
	struct params p;
	p.scale = (floatv)(vload_half(0, at));
	p.minimum = (floatv)(vload_half(K_UNITS, at));
	p.inverse = p.scale > 0.0f ? 1.0f / p.scale : (floatv)(0.0f);
	p.top = (floatv)((float)BOOSTED_TOP);
	const intv code = encode(k, load_row(s, c, t), p);
	return there_row(s, c, t) ? code >> 2 : (intv)(0);
}

INLINE void seal_boost_plane(const struct source s, __global uchar *block)
{
	__global const uchar *list = block + BOOST_LIST_OFF;
	__global uchar *plane = block + BOOST_PLANE_OFF;
	for (int u = LANE; u < BOOSTED / 4 * (BT / VEC); u += LANES) {
		const int row = u / (BT / VEC), t = u % (BT / VEC) * VEC;
		intv bits = 0;
#pragma unroll
		for (int i = 0; i < 4; i++)
			bits |= high_bits(s, block, list[4 * row + i], t) << (2 * i);
		STORE_CODES(bits, plane + row * BT + t);
	}
}

__kernel GROUP_SIZE void seal_kitty(ARGS(SEAL_BLOCK_ARGS))
{
	__local uchar list[ROW_LIST], tops[K_CHANNELS], bytes[PACKS_K ? DK * BT : 1];
	__local ushort starts[STARTS];
	__local ulong keys[K_CHANNELS];
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct source s = kept_source(pool, tables, job, sections, layer, stream, list);
	if (makes_block(s)) {
		__global uchar *page =
			pool + block_at(plan[jobs + job_dst(job, layer, stream) + ABI_DST_ADDR]);
		__global uchar *block = page + PRUNE_BYTES;
		store_section(s, page);
		choose_boosted(s, keys, tops, block + BOOST_LIST_OFF);
		if (!PACKS_K && s.count == BT)
			seal_block(1, BOOSTED_BITS, s, tops, bytes, starts, block);
		else
			seal_block(0, BOOSTED_BITS, s, tops, bytes, starts, block);
		SYNC_GLOBAL();
		seal_boost_plane(s, block);
		JOIN();
	}
}
