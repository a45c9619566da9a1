/* SPDX-License-Identifier: MIT */
/* prune_tokens: the channels of K that each token of seal jobs keeps, and what will stand for the others.
 * Source: SparK, arXiv 2508.15212; FIT: the best product of a factor per channel and one per token, and REFINE more
 * rounds in which a channel's saliency is what it would lose: strength * |magnitude - fill|.
 * Grid: (LANES * jobs, STREAMS, layers). Each lane takes VEC tokens at a time. sections: prune_block.clh.
 * Numbers: f32; saliency = strength * magnitude (or * its square), the K_KEPT largest, ties to the lower channel.
 * Amplitudes and factors are rounded to half; zero has the sign +. */
#include "abi.clh"
#include "prune_args.clh"

#ifndef K_PRUNE
#define K_PRUNE ABI_PRUNE_TOKENS
#define K_KEPT (DK / 2)
#define RECOVER ABI_RECOVER_FIT
#endif
#include "prune_block.clh"
#include "source.clh"
#include "strength.clh"

#ifndef SALIENCY_SQ
#define SALIENCY_SQ 0
#endif
#ifndef REFINE
#define REFINE 0
#endif
#define MASK_WORDS (DK * BT / 32)
#define SIGN_WORDS ((DK - K_LEAST) * BT / 32 + 1)
#define Q_FLOOR 0.01f /* of the mean strength: a channel that no query uses would get a huge fill */

/* Lanes share the words of a mask; one lane has them to itself. */
#if LANES == 1
#define SET_BITS(word, bits) (*(word) |= (bits))
#else
#define SET_BITS(word, bits) atomic_or(word, bits)
#endif

struct state {
	__local float *strength, *factors; /* [DK] */
	__local float *amplitudes;         /* [BT], of FIT */
	__local uint *mask;                /* [DK][BT / 32] */
};

INLINE float strength_floored(const struct state p, int c)
{
	return MAX_OF(p.strength[c], Q_FLOOR);
}

/* What a pruned channel would get: FIT's fill of tokens t and on. */
INLINE floatv fitted(const struct state p, int c, int t)
{
	return LOADV(p.amplitudes + t) * p.factors[c];
}

INLINE floatv saliency(const struct state p, floatv magnitude, int c)
{
	return p.strength[c] * (SALIENCY_SQ ? magnitude * magnitude : magnitude);
}

/* As select needs it in round number `round`. */
INLINE floatv loss(const struct state p, const struct source s, int c, int t, int round)
{
	const floatv magnitude = fabs(load_k(s, c, t));
	return round == 0 ? saliency(p, magnitude, c)
	                  : p.strength[c] * fabs(magnitude - fitted(p, c, t));
}

INLINE intv is_kept(const struct state p, int c, int t)
{
	const uint bits = p.mask[(c * BT + t) / 32] >> t % 32;
	return ((intv)((int)bits) >> IOTA & 1) != 0;
}

/* ---- selection: the K_KEPT largest of a token, found bit by bit; floats >= 0 have the order of their bits ---- */

#if LANES == 1
#define LOSS(c) losses[c]
#else
#define LOSS(c) loss(p, s, c, t, round)
#endif

/* The bits of the want-th largest. */
INLINE intv least_of(const struct state p, const struct source s, int t, int round, intv want,
                     const floatv *losses)
{
	intv least = 0;
	for (int bit = 30; bit >= 0; bit--) {
		const intv trial = least | (1 << bit);
		intv n = 0;
		for (int c = 0; c < DK; c++)
			n += AS_INTV(LOSS(c)) >= trial ? (intv)(1) : (intv)(0);
		least = n >= want ? trial : least;
	}
	return least;
}

/* How many channels a token keeps. Grouped: SparK's classes, by how many of the largest it takes to exceed 0.99 of the
 * sum: up to a fifth of the channels keeps a tenth of them, up to two fifths three, and so on. */
INLINE intv wanted(const struct state p, const struct source s, int t, int round,
                   const floatv *losses)
{
#if GROUPED
	floatv all = 0.0f;
	intv want = DK * 9 / 10;
	for (int c = 0; c < DK; c++)
		all += LOSS(c);
	for (int fifth = 4; fifth > 0; fifth--) {
		const int n = DK * fifth / 5 + 1;
		const intv least = least_of(p, s, t, round, (intv)(n), losses);
		floatv sum = 0.0f, above = 0.0f;
		for (int c = 0; c < DK; c++) {
			const intv is = AS_INTV(LOSS(c)) > least;
			sum += is ? LOSS(c) : (floatv)(0.0f);
			above += is ? (floatv)(1.0f) : (floatv)(0.0f);
		}
		sum = fma((float)n - above, AS_FLOATV(least), sum);
		want = sum > 0.99f * all ? (intv)(DK * (2 * fifth - 1) / 10) : want;
	}
	return want;
#else
	return K_KEPT;
#endif
}

INLINE void select(const struct state p, const struct source s, int t, int round)
{
#if LANES == 1
	floatv losses[DK];
	for (int c = 0; c < DK; c++)
		losses[c] = loss(p, s, c, t, round);
#else
	const floatv *losses = 0;
#endif
	const intv want = wanted(p, s, t, round, losses);
	const intv least = least_of(p, s, t, round, want, losses);
	intv equals = want;
	for (int c = 0; c < DK; c++)
		equals -= AS_INTV(LOSS(c)) > least ? (intv)(1) : (intv)(0);
	const intv there = there_k(s, t);
	for (int c = 0; c < DK; c++) {
		const intv x = AS_INTV(LOSS(c));
		const intv equal = x == least && equals > 0 ? (intv)(1) : (intv)(0);
		const intv kept = there ? (x > least ? (intv)(1) : equal) : (intv)(c < K_LEAST);
		equals -= equal;
		const intv bits = kept << IOTA;
#if VEC == 1
		const uint word = (uint)bits;
#else
		int each[VEC];
		CAT(vstore, VEC)(bits, 0, each);
		uint word = 0;
#pragma unroll
		for (int i = 0; i < VEC; i++)
			word |= (uint)each[i];
#endif
		SET_BITS(p.mask + (c * BT + t) / 32, word << t % 32);
	}
}

/* ---- what stands for pruned channels ---- */

/* The channel's mean magnitude over the tokens that lack it, as it is stored. */
INLINE float mean_lacking(const struct state p, const struct source s, int c)
{
	floatv sum = 0.0f, n = 0.0f;
	for (int t = 0; t < BT; t += VEC) {
		const intv lacks = there_k(s, t) && !is_kept(p, c, t);
		sum += lacks ? fabs(load_k(s, c, t)) : (floatv)(0.0f);
		n += lacks ? (floatv)(1.0f) : (floatv)(0.0f);
	}
	const float all = HSUM(n);
	return all > 0.0f ? HSUM(sum) / all : 0.0f;
}

INLINE float factor_of(const struct state p, const struct source s, int c)
{
	const float x = RECOVER == ABI_RECOVER_FIT ? mean_lacking(p, s, c)
	                : SALIENCY_SQ              ? rsqrt(strength_floored(p, c))
	                                           : 1.0f / strength_floored(p, c);
	ushort rounded;
	vstore_half_rte(MIN_OF(x, 65504.0f), 0, (half *)&rounded);
	return vload_half(0, (const half *)&rounded);
}

/* The best a with a * factor = magnitude over what a token lacks; errors count by the square of the strength. */
INLINE floatv best_amplitude(const struct state p, const struct source s, int t)
{
	floatv above = 0.0f, below = 0.0f;
	for (int c = 0; c < DK; c++) {
		const float q = p.strength[c] * p.strength[c] * p.factors[c];
		const intv kept = is_kept(p, c, t);
		const floatv weight = kept ? (floatv)(0.0f) : (floatv)(q);
		above = fma(weight, fabs(load_k(s, c, t)), above);
		below = fma(weight, (floatv)(p.factors[c]), below);
	}
	return below > 0.0f ? above / below : (floatv)(0.0f);
}

/* Amplitudes of tokens t and on, as many as AMPLITUDES. */
INLINE void amplitudes_of(const struct state p, const struct source s, int t, floatv *a)
{
	floatv lacking = 0.0f, n = 0.0f, all = 0.0f, squares = 0.0f, least = INFINITY;
	if (RECOVER == ABI_RECOVER_FIT) {
		a[0] = best_amplitude(p, s, t);
		return;
	}
	for (int c = 0; c < DK; c++) {
		const floatv magnitude = fabs(load_k(s, c, t)), w = saliency(p, magnitude, c);
		const intv kept = is_kept(p, c, t);
		lacking += kept ? (floatv)(0.0f) : RECOVER == ABI_RECOVER_SIGNMAG ? magnitude : w;
		n += kept ? (floatv)(0.0f) : (floatv)(1.0f);
		least = kept ? MIN_OF(least, w) : least;
		all += w;
		squares = fma(w, w, squares);
	}
	a[0] = lacking / n;
	if (RECOVER == ABI_RECOVER_MEAN && SALIENCY_SQ)
		a[0] = sqrt(a[0]);
	if (RECOVER >= ABI_RECOVER_EXP) {
		a[1] = all / (float)DK;
		a[AMPLITUDES - 1] = least;
	}
	if (RECOVER == ABI_RECOVER_NORMAL)
		a[2] = sqrt(MAX_OF(squares / (float)DK - a[1] * a[1], (floatv)(0.0f)));
}

INLINE void store_amplitudes(const struct state p, const struct source s, __global uchar *section)
{
	for (int t = LANE * VEC; t < BT; t += LANES * VEC) {
		floatv a[AMPLITUDES > 0 ? AMPLITUDES : 1];
		const intv there = there_k(s, t);
		amplitudes_of(p, s, t, a);
#pragma unroll
		for (int i = 0; i < AMPLITUDES; i++)
			STOREV_HALF(MIN_OF(there ? a[i] : (floatv)(0.0f), (floatv)(65504.0f)),
			            (__global half *)(section + AMPLITUDES_OFF) + i * BT + t);
	}
}

/* ---- signs ---- */

/* A channel's signs begin where those of the channels before it end. */
INLINE void store_signs(const struct state p, const struct source s, __local uint *signs,
                        __global uchar *section)
{
	for (int i = LANE; i < SIGN_WORDS; i += LANES)
		signs[i] = 0;
	SYNC();
	uint at = 0;
	int before = 0;
	for (int c = LANE; c < DK; c += LANES) {
		for (; before < c; before++)
			for (int i = 0; i < BT / 32; i++)
				at += 32 - popcount(p.mask[before * (BT / 32) + i]);
		for (int t = 0; t < BT; t++) {
			const uint lacks = ~(p.mask[(c * BT + t) / 32] >> t % 32) & 1;
			if (lacks && t < s.count && load_k1(s, c, t) < 0.0f)
				SET_BITS(signs + at / 32, 1u << at % 32);
			at += lacks;
		}
		before = c + 1;
	}
	SYNC();
	for (int i = LANE; i < (DK - K_LEAST) * BT / 8; i += LANES)
		section[SIGNS_OFF + i] = (uchar)(signs[i / 4] >> i % 4 * 8);
}

__kernel GROUP_SIZE_WIDE void prune_tokens(ARGS(PRUNE_BLOCK_ARGS))
{
	__local float strength[DK], factors[DK], amplitudes[BT];
	__local uint mask[MASK_WORDS], signs[SIGN_WORDS];
	const uint number = (uint)get_group_id(0), stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	__global const uint *job = plan + jobs + number * ABI_SEAL_WORDS;
	__global uchar *section = sections + section_of(number, layer, stream);
	const struct source s = job_source(pool, tables, job, layer, stream);
	if (!makes_block(s))
		return;
	const struct state p = {strength, factors, amplitudes, mask};
	strengths(seen_of(seen, job[ABI_SEAL_SEEN], LAYERS, layer, job[ABI_SEAL_END]), stream,
	          strength);
	for (int round = 0; round <= REFINE; round++) {
		for (int i = LANE; i < MASK_WORDS; i += LANES)
			mask[i] = 0;
		SYNC();
		for (int t = LANE * VEC; t < BT; t += LANES * VEC)
			select(p, s, t, round);
		SYNC();
		for (int c = LANE; c < DK && HAS_FACTORS; c += LANES)
			factors[c] = factor_of(p, s, c);
		SYNC();
		for (int t = LANE * VEC; t < (REFINE ? BT : 0); t += LANES * VEC)
			STOREV(best_amplitude(p, s, t), amplitudes + t);
		SYNC();
	}
	for (int i = LANE; i < MASK_WORDS * 4; i += LANES)
		section[i] = (uchar)(mask[i / 4] >> i % 4 * 8);
	if (AMPLITUDES > 0)
		store_amplitudes(p, s, section);
	for (int c = LANE; c < DK && HAS_FACTORS; c += LANES)
		vstore_half_rte(factors[c], c, (__global half *)(section + FACTORS_OFF));
	if (HAS_SIGNS)
		store_signs(p, s, signs, section);
}
