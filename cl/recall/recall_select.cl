/* SPDX-License-Identifier: MIT */
/* recall_select: how many members of each unit a query head (grouped: a KV head) of a decoded row attends to: those of
 * the best units until there are `budget` tokens; of the last unit the newest. Equal scores: the unit with the lower
 * number. So the choice is that of a full sort: scores are parted into bins of one width, as they lie close to each other and
 * would share the digits of a float; the few of the bin at which the budget runs out are ranked, many go through a radix select.
 * Sources: ClusterKV, arXiv 2412.03213, section 4 (whole clusters, the last one cut); A2ATS, arXiv 2502.12665 (per query
 * head); grouped: the sum of the shares that it has in the softmax of each head.
 * Grid: (LANES * heads, rows). Local: 2048 + 3 * FEW + LANES uint.
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
#define FEW 128 /* units of a bin that are ranked one by one */

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

#if GROUPED_CHOICE
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

/* The scores' range, in BINS parts. */
struct range {
	float least, factor;
};

/* The bin of a score: none of a higher one is lower. Of a NaN the last one. */
INLINE uint bin_of(const struct range r, float score)
{
	const float x = (score - r.least) * r.factor;
	return x < BINS - 1 ? (uint)MAX_OF(x, 0.0f) : BINS - 1;
}

/* All lanes call it. A NaN may hide a part of the range, whose scores then go to the first or last bin. */
INLINE struct range range_of(const struct choice c, __local uint *scratch)
{
	float least = INFINITY, most = -INFINITY;
	for (uint i = 0; i < c.n; i++) {
		const struct segment s = segment_of(c, i);
		__global const float *x = c.scores + s.start;
		const uint whole = s.units / VEC * VEC;
		floatv low = INFINITY, high = -INFINITY;
		for (uint u = LANE * VEC; u < whole; u += LANES * VEC) {
			const floatv y = LOADV(x + u);
			low = MIN_OF(y, low);
			high = MAX_OF(y, high);
		}
		least = fmin(least, -HMAX(-low));
		most = fmax(most, HMAX(high));
		for (uint u = whole + LANE; u < s.units; u += LANES) {
			least = fmin(least, x[u]);
			most = fmax(most, x[u]);
		}
	}
	struct range r;
	r.least = -lanes_reduce(-least, true, scratch);
	const float width = lanes_reduce(most, true, scratch) - r.least;
	r.factor = width > 0.0f && width < INFINITY ? BINS / width : 0.0f;
	return r;
}

/* Whether a CPU's vector of units, from u of the segment on, lies in lower bins. False for the last units if they fill none: what
 * fills a tile may be anything, and a maximum with a NaN forgets what came before it. */
INLINE bool all_below(const struct choice c, const struct range r, const struct segment s, uint u,
                      uint bin)
{
#if LANES == 1
	return u % VEC == 0 && u + VEC <= s.units &&
	       bin_of(r, HMAX(LOADV(c.scores + s.start + u))) < bin;
#else
	return false;
#endif
}

/* Adds the sizes of all units to their bins. Bins below that at which `left` tokens run out may lack some: it only rises as more
 * units come, so vectors below it are passed over. */
INLINE void count_units(const struct choice c, const struct range r, uint left, __local uint *bins)
{
	uint least = 0;
	for (uint i = 0; i < c.n; i++) {
		const struct segment s = segment_of(c, i);
		uint rest = left;
		for (uint u = LANE; u < s.units; u += LANES) {
			if (all_below(c, r, s, u, least)) {
				u += VEC - 1;
				continue;
			}
			add_to(bins + bin_of(r, c.scores[s.start + u]), unit_end(s, u) - unit_begin(s, u));
		}
		if (LANES == 1 && (i & (i + 1)) == 0)
			least = find_digit(bins, BINS - 1, &rest);
	}
}

/* A unit that may be taken in part. */
struct unit {
	uint number, key, size; /* segment << 16 | unit */
};

/* Takes units of higher bins, not those of lower ones; lists those of this one and returns how many they are: the list [FEW]
 * holds as many as it can. */
INLINE uint take_sure(const struct choice c, const struct range r, uint bin, __global ushort *takes,
                      __local struct unit *few, __local uint *n_few)
{
	if (LANE == 0)
		*n_few = 0;
	SYNC();
	for (uint i = 0; i < c.n; i++) {
		const struct segment s = segment_of(c, i);
		for (uint u = LANE; u < s.units; u += LANES) {
			if (all_below(c, r, s, u, bin)) {
				for (int j = 0; j < VEC; j++)
					takes[s.start + u + j] = 0;
				u += VEC - 1;
				continue;
			}
			const float score = c.scores[s.start + u];
			const uint b = bin_of(r, score), size = unit_end(s, u) - unit_begin(s, u);
			takes[s.start + u] = (ushort)(b > bin ? size : 0);
			if (b != bin)
				continue;
#if LANES > 1
			const uint at = atomic_inc(n_few);
#else
			const uint at = (*n_few)++;
#endif
			if (at < FEW) {
				few[at].number = i << 16 | u;
				few[at].key = key_of(score);
				few[at].size = size;
			}
		}
	}
	SYNC_GLOBAL(); /* of takes other lanes write some again */
	return *n_few;
}

/* Of few units of a bin: what those of a higher score, or the same one and a lower number, leave of `left`. */
INLINE void take_few(const struct choice c, __local const struct unit *few, uint n, uint left,
                     __global ushort *takes)
{
	for (uint j = LANE; j < n; j += LANES) {
		const struct unit x = few[j];
		uint before = 0;
		for (uint k = 0; k < n; k++)
			if (few[k].key > x.key || (few[k].key == x.key && few[k].number < x.number))
				before += few[k].size;
		takes[segment_of(c, x.number >> 16).start + (x.number & 0xffff)] =
			(ushort)MIN_OF(x.size, left > before ? left - before : 0);
	}
}

/* Adds the sizes of all units whose digits above this one are `prefix` to the bins of their digit. */
INLINE void count_digits(const struct choice c, uint prefix, int digit, __local uint *bins)
{
	for (uint i = 0; i < c.n; i++) {
		const struct segment s = segment_of(c, i);
		for (uint u = LANE; u < s.units; u += LANES) {
			const uint key = key_of(c.scores[s.start + u]);
			if (has_prefix(key, digit, prefix))
				add_to(bins + (key >> DIGIT_SHIFT(digit) & DIGIT_MASK(digit)),
				       unit_end(s, u) - unit_begin(s, u));
		}
	}
}

/* All of the choice, however many units share a bin: the key at which the budget runs out, digit by digit from the top, then
 * units above it, and those at it in the order of their numbers. */
INLINE void take_many(const struct choice c, uint left, __local uint *bins, __local uint *scratch,
                      __global ushort *takes)
{
	uint prefix = 0;
	for (int digit = 0; digit < DIGITS; digit++) {
		clear(bins);
		count_digits(c, prefix, digit, bins);
		SYNC();
		prefix = prefix << DIGIT_BITS(digit) | find_digit(bins, DIGIT_MASK(digit), &left);
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
	__local uint bins[BINS], scratch[LANES], n_few;
	__local struct unit few[FEW];
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
	const uint all = LAYER_BUDGETS ? budgets[first_ask + r] : budget;
#if GROUPED_CHOICE
	share_scores(c, max_units, scale, scratch);
#endif
	const struct range range = range_of(c, scratch);
	uint left = all;
	clear(bins);
	count_units(c, range, left, bins);
	SYNC();
	const uint bin = find_digit(bins, BINS - 1, &left);
	const uint n = take_sure(c, range, bin, mine, few, &n_few);
	if (n > FEW)
		take_many(c, all, bins, scratch, mine);
	else if (n > 0)
		take_few(c, few, n, left, mine);
}
