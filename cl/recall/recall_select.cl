/* SPDX-License-Identifier: MIT */
/* recall_select: how many members of each unit a query head (grouped: a KV head) of a decoded row attends to: those of
 * the best units until there are `budget` tokens; of the last unit the newest. Equal scores: the unit with the lower
 * number. So the choice is that of a full sort: a radix select, digit by digit from the top, of which the first looks at
 * all units and the others at those that share the digits above, as long as these are few.
 * Sources: ClusterKV, arXiv 2412.03213, section 4 (whole clusters, the last one cut); A2ATS, arXiv 2502.12665 (per query
 * head); grouped: the sum of the shares that it has in the softmax of each head.
 * Grid: (LANES * heads, rows). Local: 2048 + 2 * FEW + LANES uint.
 * scores float [row][Q_HEADS][max_units] | takes ushort [row][heads][max_units], of all units of the sequence */
#include "radix.clh"
#include "recall_args.clh"
#include "segment.clh"
#include "softmax.clh"

#ifndef Q_HEADS
#define Q_HEADS (G * STREAMS) /* query heads */
#endif
#ifndef GROUPED_CHOICE
#define GROUPED_CHOICE 0 /* 1: one choice for all query heads of a KV head */
#endif
#ifndef LAYER_BUDGETS
#define LAYER_BUDGETS 0 /* 1: a row's budget is that of recall_budget.cl */
#endif
#define FEW 512 /* units that share a digit: more are looked for again */

/* Where the head's units are. */
struct choice {
	__global const uchar *index;
	__global const uint *tables;
	uint list, n, row; /* the sequence's segments; (layer, stream) */
	__global float *scores;
};

INLINE struct segment segment_of(const struct choice c, uint i)
{
	return segment_at(c.index, c.tables, c.list, i, c.row);
}

#if GROUPED_CHOICE
/* Sum or maximum over the lanes, known to all. */
INLINE float lanes_reduce(float x, const bool maximum, __local uint *scratch)
{
#if LANES > 1
	__local float *all = (__local float *)scratch;
	all[LANE] = x;
	SYNC();
	for (int i = 0; i < LANES; i++)
		x = i == 0 ? all[0] : maximum ? fmax(x, all[i]) : x + all[i];
	SYNC();
#endif
	return x;
}

/* Each head's scores become shares of its softmax; their sum takes the place of the first head's. Segments
 * begin at multiples of ABI_TILE, so vectors don't straddle them; what fills a tile is no unit. */
INLINE void share_scores(const struct choice c, uint max_units, float scale, __local uint *scratch)
{
	const float factor = scale * LOG2_E;
	for (int g = 0; g < G; g++) {
		__global float *s = c.scores + (ulong)g * max_units;
		float top = -INFINITY;
		floatv sum = 0.0f;
		for (uint i = 0; i < c.n; i++) {
			const struct segment seg = segment_of(c, i);
			for (uint u = LANE; u < seg.units; u += LANES)
				top = fmax(top, s[seg.start + u] * factor);
		}
		top = lanes_reduce(top, true, scratch);
		SYNC_GLOBAL(); /* what a lane has read others write */
		for (uint i = 0; i < c.n; i++) {
			const struct segment seg = segment_of(c, i);
			for (uint u = LANE * VEC; u < seg.units; u += LANES * VEC) {
				__global float *at = s + seg.start + u;
				const intv there = IOTA + (intv)((int)u) < (intv)((int)seg.units);
				const floatv x = exp2_below(MIN_OF(LOADV(at) * factor - top, (floatv)(0.0f)));
				const floatv e = there ? x : (floatv)(0.0f);
				STOREV(e, at);
				sum += e;
			}
		}
		const float part = 1.0f / lanes_reduce(HSUM(sum), false, scratch);
		for (uint i = 0; i < c.n; i++) {
			const struct segment seg = segment_of(c, i);
			for (uint u = LANE * VEC; u < seg.units; u += LANES * VEC) {
				const floatv share = LOADV(s + seg.start + u) * part;
				__global float *to = c.scores + seg.start + u;
				STOREV(g == 0 ? share : LOADV(to) + share, to);
			}
		}
		SYNC_GLOBAL();
	}
}
#endif

/* Whether a CPU's vector of units, from u of the segment on, lies below a score. False for the last units if they fill none: what
 * fills a tile may be anything, and a maximum with a NaN forgets what came before it. */
INLINE bool all_below(const struct choice c, const struct segment s, uint u, float score)
{
#if LANES == 1
	return u % VEC == 0 && u + VEC <= s.units && HMAX(LOADV(c.scores + s.start + u)) < score;
#else
	return false;
#endif
}

/* Adds the sizes of all units to the bins of their digit, if the digits above it are `prefix`. Of the first digit (above: 32)
 * bins below that at which `left` tokens run out may lack some: it only rises as more units come, so vectors below it are
 * passed over. */
INLINE void count_digits(const struct choice c, uint prefix, int above, int shift, uint mask,
                         uint left, __local uint *bins)
{
	float least = score_of(above == 32 ? 0 : prefix << above);
	for (uint i = 0; i < c.n; i++) {
		const struct segment s = segment_of(c, i);
		uint rest = left;
		for (uint u = LANE; u < s.units; u += LANES) {
			if (all_below(c, s, u, least)) {
				u += VEC - 1;
				continue;
			}
			const uint key = key_of(c.scores[s.start + u]);
			if (above == 32 || key >> above == prefix)
				add_to(bins + (key >> shift & mask), unit_end(s, u) - unit_begin(s, u));
		}
		if (LANES == 1 && above == 32 && (i & (i + 1)) == 0)
			least = score_of(find_digit(bins, mask, &rest) << shift);
	}
}

/* Takes units above the first digit, not those below it; lists those that share it and returns how many they are: the
 * list [FEW][2] of numbers and keys holds as many as it can. */
INLINE uint take_sure(const struct choice c, uint digit, __global ushort *takes, __local uint *few,
                      __local uint *n_few)
{
	if (LANE == 0)
		*n_few = 0;
	SYNC();
	const float least = score_of(digit << 21);
	for (uint i = 0; i < c.n; i++) {
		const struct segment s = segment_of(c, i);
		for (uint u = LANE; u < s.units; u += LANES) {
			if (all_below(c, s, u, least)) {
				for (int j = 0; j < VEC; j++)
					takes[s.start + u + j] = 0;
				u += VEC - 1;
				continue;
			}
			const uint key = key_of(c.scores[s.start + u]), d = key >> 21;
			takes[s.start + u] = (ushort)(d > digit ? unit_end(s, u) - unit_begin(s, u) : 0);
			if (d != digit)
				continue;
#if LANES > 1
			const uint at = atomic_inc(n_few);
#else
			const uint at = (*n_few)++;
#endif
			if (at < FEW) {
				few[2 * at] = i << 16 | u;
				few[2 * at + 1] = key;
			}
		}
	}
	SYNC_GLOBAL(); /* of takes other lanes write some again */
	return *n_few;
}

INLINE uint size_of(const struct choice c, uint i, uint u)
{
	const struct segment s = segment_of(c, i);
	return unit_end(s, u) - unit_begin(s, u);
}

/* Of few units with the same first digit: those above the key at which the budget runs out, then those at it in the
 * order of their numbers. */
INLINE void take_few(const struct choice c, __local const uint *few, uint n, uint left,
                     __local uint *bins, __global ushort *takes)
{
	uint prefix = few[1] >> 21;
	for (int shift = 10; shift >= 0; shift -= 10) {
		const int above = shift == 10 ? 21 : 10;
		const uint mask = shift == 10 ? 2047 : 1023;
		clear(bins);
		for (uint j = LANE; j < n; j += LANES)
			if (few[2 * j + 1] >> above == prefix)
				add_to(bins + (few[2 * j + 1] >> shift & mask),
				       size_of(c, few[2 * j] >> 16, few[2 * j] & 0xffff));
		SYNC();
		prefix = prefix << (above - shift) | find_digit(bins, mask, &left);
	}
	for (uint j = LANE; j < n; j += LANES) {
		const uint key = few[2 * j + 1], i = few[2 * j] >> 16, u = few[2 * j] & 0xffff;
		uint before = 0;
		if (key < prefix)
			continue;
		for (uint k = 0; key == prefix && k < n; k++)
			if (few[2 * k + 1] == key && few[2 * k] < few[2 * j])
				before += size_of(c, few[2 * k] >> 16, few[2 * k] & 0xffff);
		const uint size = size_of(c, i, u), rest = left > before ? left - before : 0;
		takes[segment_of(c, i).start + u] = (ushort)(key > prefix ? size : MIN_OF(size, rest));
	}
}

/* The same of however many: goes through all units again. */
INLINE void take_many(const struct choice c, uint prefix, uint left, __local uint *bins,
                      __local uint *scratch, __global ushort *takes)
{
	for (int shift = 10; shift >= 0; shift -= 10) {
		const int above = shift == 10 ? 21 : 10;
		const uint mask = shift == 10 ? 2047 : 1023;
		clear(bins);
		count_digits(c, prefix, above, shift, mask, left, bins);
		SYNC();
		prefix = prefix << (above - shift) | find_digit(bins, mask, &left);
	}
	for (uint i = 0; i < c.n; i++) {
		const struct segment s = segment_of(c, i);
		const uint begin = (uint)((ulong)s.units * LANE / LANES),
				   end = (uint)((ulong)s.units * (LANE + 1) / LANES);
		uint equal = 0, all = 0;
		for (uint u = begin; u < end; u++)
			if (key_of(c.scores[s.start + u]) == prefix)
				equal += unit_end(s, u) - unit_begin(s, u);
		const uint before = lanes_before(equal, scratch);
		uint rest = left > before ? left - before : 0;
		for (uint u = begin; u < end; u++) {
			const uint key = key_of(c.scores[s.start + u]),
					   size = unit_end(s, u) - unit_begin(s, u);
			const uint take = key > prefix ? size : key == prefix ? MIN_OF(size, rest) : 0;
			rest -= key == prefix ? take : 0;
			takes[s.start + u] = (ushort)take;
		}
		scratch[LANE] = equal;
		SYNC();
		for (int j = 0; j < LANES; j++)
			all += scratch[j];
		left = left > all ? left - all : 0;
		SYNC();
	}
}

__kernel GROUP_SIZE void recall_select(ARGS(RECALL_SELECT_ARGS))
{
	__local uint bins[BINS], scratch[LANES], few[2 * FEW], n_few;
	const int heads = GROUPED_CHOICE ? STREAMS : Q_HEADS, per = GROUPED_CHOICE ? 1 : G;
	const uint r = (uint)get_group_id(1), head = (uint)get_group_id(0), stream = head / per;
	__global const uint *item =
		plan + items + plan[work + r * ABI_ASK_WORDS + ABI_ASK_ITEM] * ABI_ITEM_WORDS;
	const uint list = item[ABI_ITEM_SLAB] + segments;
	const struct choice c = {index,
	                         tables,
	                         list,
	                         n_segments(tables, list),
	                         layer * STREAMS + stream,
	                         scores + ((ulong)r * Q_HEADS + head * (GROUPED_CHOICE ? G : 1)) *
	                                      max_units};
	__global ushort *mine = takes + ((ulong)r * heads + head) * max_units;
	uint left = LAYER_BUDGETS ? budgets[first_ask + r] : budget;
#if GROUPED_CHOICE
	share_scores(c, max_units, scale, scratch);
#endif
	clear(bins);
	count_digits(c, 0, 32, 21, BINS - 1, left, bins);
	SYNC();
	const uint digit = find_digit(bins, BINS - 1, &left);
	const uint n = take_sure(c, digit, mine, few, &n_few);
	if (n > FEW)
		take_many(c, digit, left, bins, scratch, mine);
	else if (n > 0)
		take_few(c, few, n, left, bins, mine);
}
