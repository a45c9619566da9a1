/* SPDX-License-Identifier: MIT */
/* merge_slots: what a (layer, stream) drops joins its merged slots, token by token in the order of time: the nearest one
 * becomes the weighted mean of both, and stands for both.
 * Source: ZeroMerge, arXiv 2503.10714 ; its code. Slots open with the first tokens that are left over (INIT first), with the
 * means of even runs of them (contig), or with those that weigh most, whom the others then join (best). Best goes on while a
 * sequence grows: a token that weighs more than the lightest slot takes its place, and that one joins its nearest. Else the
 * slots of a conversation would for ever be those of its first words.
 * masses: weights of tokens in means, if these are by mass (weigh_dropped.cl): a slot's score is then their sum.
 * merged: slots, which lie in so many blocks.
 * Grid: (LANES, STREAMS, layers). Local: LISTED rows of K or V in f32, what the codec wants, 2 * LANES + 5 * LISTED + DK words.
 * work   of each (layer, stream) ABI_MERGE_FLOATS: keys [DK][most], values [most][DV], then [most] each of weights, scores, norms,
 *        positions
 * spots  uint [layers][STREAMS][merged_blocks]: the half blocks that will hold the slots, in units
 * Numbers: sums of one commit in f32, rounded to half at its end; weights are whole numbers. */
#include "candidate_rows.clh"
#include "select_args.clh"

#ifndef NEAR
#define NEAR ABI_NEAR_COSINE
#endif
#ifndef INIT
#define INIT ABI_INIT_FIRST
#endif
#ifndef MEAN
#define MEAN ABI_MEAN_COUNT
#endif
#ifndef SCORE_SUM
#define SCORE_SUM 0 /* 1: the score of a slot is the sum of its tokens', not the largest */
#endif
#define REPLACES (INIT == ABI_INIT_BEST && MEAN == ABI_MEAN_MASS)
/* the first component that is true */
#if VEC == 1
#define FIRST_OF(x) 0
#else
#define FIRST_OF(x) ((int)HMIN(TO_FLOATV((x) ? IOTA : (intv)(VEC))))
#endif

/* The slots of one (layer, stream) while tokens join them. */
struct slots {
	__global float *keys, *values, *weights, *scores, *norms;
	__global uint *positions;
	int most; /* room for slots: whole blocks */
};

INLINE struct slots slots_at(__global float *work, ulong head, int most)
{
	struct slots s;
	s.most = most;
	s.keys = work + head * ABI_MERGE_FLOATS((ulong)most, DK, DV);
	s.values = s.keys + DK * most;
	s.weights = s.values + most * DV;
	s.scores = s.weights + most;
	s.norms = s.scores + most;
	s.positions = (__global uint *)(s.norms + most);
	return s;
}

/* A token that joins: how many it stands for, what it weighs in a mean. */
struct joining {
	uint position;
	float weight, score, mass;
};

INLINE float whole_weight(float log_weight)
{
	return rint(exp2(log_weight));
}

/* The slots as they are, or none. scores: of their places, if this step's rows count, or 0. */
INLINE void load_slots(const struct candidates c, const struct slots s,
                       __global const float *scores)
{
	for (int j = LANE; j < s.most; j += LANES) {
		const bool there = (uint)(j / BT) < c.open;
		__global const uchar *block =
			there ? c.pool + block_at(c.row[ABI_ROW_ENTRY(j / BT) + ABI_ENTRY_ADDR]) : c.pool;
		__global const half *k = (__global const half *)block + j % BT,
							*v = (__global const half *)block + DK * BT + j % BT * DV;
		float norm = 0.0f;
		for (int i = 0; i < DK; i++) {
			const float x = there ? vload_half(i * BT, k) : 0.0f;
			s.keys[i * s.most + j] = x;
			norm = fma(x, x, norm);
		}
		for (int i = 0; i < DV; i++)
			s.values[j * DV + i] = there ? vload_half(i, v) : 0.0f;
		s.weights[j] = there ? whole_weight(slot_weights(block)[j % BT]) : 0.0f;
		s.scores[j] = !there ? 0.0f : scores ? scores[j] : slot_scores(block)[j % BT];
		s.positions[j] = there ? slot_positions(block)[j % BT] : 0;
		s.norms[j] = norm;
	}
	SYNC_GLOBAL();
}

/* How near key x [DK] is to slots j .. j + VEC - 1; those that stand for nothing are infinitely far. */
INLINE floatv nearness(const struct slots s, __local const float *x, int j)
{
	floatv dot = 0.0f;
	for (int c = 0; c < DK; c++)
		dot = fma((floatv)(x[c]), LOADV(s.keys + c * s.most + j), dot);
	const floatv norm = LOADV(s.norms + j);
	if (NEAR == ABI_NEAR_COSINE)
		dot = norm > (floatv)(0.0f) ? dot * rsqrt(norm) : (floatv)(0.0f);
	if (NEAR == ABI_NEAR_L2)
		dot = 2.0f * dot - norm;
	return LOADV(s.weights + j) > (floatv)(0.0f) ? dot : (floatv)(-INFINITY);
}

/* The slot of the largest value among those that lanes found, of several the first. All lanes call it. */
INLINE int first_of_lanes(float best, int at, __local float *bests, __local int *which)
{
	bests[LANE] = best;
	which[LANE] = at;
	SYNC();
	for (int i = 0; i < LANES; i++)
		if (bests[i] > best || (bests[i] == best && which[i] < at)) {
			best = bests[i];
			at = which[i];
		}
	SYNC();
	return at;
}

/* The slot that a key is nearest to, of several the first. All lanes call it. */
INLINE int nearest(const struct slots s, __local const float *x, int used, __local float *near,
                   __local int *which)
{
	float best = -INFINITY;
	int at = 0;
	for (int j = LANE * VEC; j < used; j += LANES * VEC) {
		const floatv x_near = nearness(s, x, j);
		const float top = HMAX(x_near);
		if (top > best) {
			best = top;
			at = j + FIRST_OF(x_near >= (floatv)(top));
		}
	}
	return first_of_lanes(best, at, near, which);
}

/* The mean when x joins with its part of it. What is all of the slot leaves nothing of what lay there: far larger numbers would
 * round it. */
INLINE float mean_of(float old, float x, float part)
{
	return part < 1.0f ? fma(x - old, part, old) : x;
}

/* A token with key x joins slot j: returns its part in the mean. All lanes call it. */
INLINE float join_key(const struct slots s, int j, const struct joining t, __local const float *x,
                      __local float *scratch)
{
	const float weight = s.weights[j] + t.weight, mass = s.scores[j] + t.mass;
	const bool by_mass = MEAN == ABI_MEAN_MASS && mass > 0.0f;
	const float part = by_mass ? t.mass / mass : t.weight / weight;
	float norm = 0.0f;
	SYNC_GLOBAL();
	for (int c = LANE; c < DK; c += LANES) {
		const float mean = mean_of(s.keys[c * s.most + j], x[c], part);
		s.keys[c * s.most + j] = mean;
		norm = fma(mean, mean, norm);
	}
	scratch[LANE] = norm;
	SYNC();
	if (LANE == 0) {
		for (int i = 1; i < LANES; i++)
			norm += scratch[i];
		s.norms[j] = norm;
		s.scores[j] = MEAN == ABI_MEAN_MASS ? mass
		              : SCORE_SUM           ? s.scores[j] + t.score
		              : s.weights[j] > 0.0f ? fmax(s.scores[j], t.score)
		                                    : t.score;
		s.positions[j] = MAX_OF(s.positions[j], t.position);
		s.weights[j] = weight;
	}
	SYNC_GLOBAL();
	return part;
}

/* The slot of least score, of several the first. All lanes call it. */
INLINE int lightest(const struct slots s, int used, __local float *near, __local int *which)
{
	float score = INFINITY;
	int at = 0;
	for (int j = LANE; j < used; j += LANES)
		if (s.scores[j] < score) {
			score = s.scores[j];
			at = j;
		}
	return first_of_lanes(-score, at, near, which);
}

/* Slot j, whose key goes to key [DK], stands for nothing any more; its values stay for whom they join. All lanes call it. */
INLINE struct joining empty_slot(const struct slots s, int j, __local float *key)
{
	const struct joining was = {s.positions[j], s.weights[j], s.scores[j], s.scores[j]};
	for (int c = LANE; c < DK; c += LANES)
		key[c] = s.keys[c * s.most + j];
	SYNC_GLOBAL();
	if (LANE == 0) {
		s.weights[j] = s.scores[j] = s.norms[j] = 0.0f;
		s.positions[j] = 0;
	}
	SYNC_GLOBAL();
	return was;
}

/* Where token number d of n dropped ones goes, of a sequence that has no slots yet: its run. */
INLINE int run_of(uint d, uint n, uint merged)
{
	const uint length = n / merged, longer = n % merged, edge = longer * (length + 1);
	return n <= merged ? (int)d : (int)(d < edge ? d / (length + 1) : longer + (d - edge) / length);
}

INLINE void store_slots(const struct slots s, int used, __global uchar *pool,
                        __global const uint *spots)
{
	for (int j = LANE; j < s.most; j += LANES) {
		__global uchar *block = pool + block_at(spots[j / BT]);
		__global half *k = (__global half *)block + j % BT,
					  *v = (__global half *)block + DK * BT + j % BT * DV;
		const bool there = j < used && s.weights[j] > 0.0f;
		for (int i = 0; i < DK; i++)
			vstore_half_rte(there ? s.keys[i * s.most + j] : 0.0f, i * BT, k);
		for (int i = 0; i < DV; i++)
			vstore_half_rte(there ? s.values[j * DV + i] : 0.0f, i, v);
		slot_weights(block)[j % BT] = there ? log2(s.weights[j]) : -INFINITY;
		slot_scores(block)[j % BT] = s.scores[j];
		slot_positions(block)[j % BT] = s.positions[j];
		((__global uint *)slot_traces(block))[j % BT] = 0;
	}
}

__kernel GROUP_SIZE void merge_slots(ARGS(MERGE_SLOTS_ARGS))
{
	__local float rows[LISTED_ROOM], near[LANES];
	__local int which[LANES], to[LISTED];
	__local uint list[LISTED];
	__local float parts[LISTED], moved_parts[LISTED], key[DK];
	__local int moved[LISTED];
	__local uchar codes[SEALED_CODES] __attribute__((aligned(16)));
	__local float factors[FACTORS], amplitudes[ALL_AMPLITUDES] __attribute__((aligned(64)));
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const ulong h = layer * STREAMS + stream, head = h * places;
	CANDIDATES(c, layer, stream);
	const struct reading reading = {pool,  table,   code_tables, draw_key(layer, stream),
	                                codes, factors, amplitudes,  0};
	const struct slots s = slots_at(work, h, (int)(merged_blocks * BT));
	const uint all = found[h * FOUND_WORDS(cap) + FOUND_ALL],
			   dropped = all - found[h * FOUND_WORDS(cap) + FOUND_KEPT];
	const bool runs = INIT == ABI_INIT_CONTIG && open == 0;
	int used = 0;
	load_slots(c, s, by_rank ? 0 : scores + head);
	for (int j = 0; j < s.most; j++)
		used = s.weights[j] > 0.0f ? j + 1 : used;
	/* seeds first, if there are some */
	for (uint i = 0, d = 0, end = INIT == ABI_INIT_BEST && open == 0 ? 2 * all : all; i < end;) {
		int many = 0;
		const uchar wanted = i + all < end ? ABI_SLOT_SEED : ABI_SLOT_DROPPED;
		const uint base = wanted == ABI_SLOT_DROPPED ? end - all : 0;
		SYNC();
		for (; i < base + all && many < LISTED; i++)
			if (keep[head + i - base] == wanted) { /* the same in all lanes */
				if (LANE == 0)
					list[many] = i - base;
				many++;
			}
		SYNC();
		load_candidates(c, reading, 1, order + head, list, many, rows);
		for (int n = 0; n < many; n++, d++) {
			const uint place = order[head + list[n]];
			const bool old = is_old(c, place);
			__global const uchar *block = place_block(c, place);
			const struct joining t = {
				.position = old ? slot_positions(block)[place % BT] : new_position(c, place),
				.weight = old ? whole_weight(slot_weights(block)[place % BT]) : 1.0f,
				.score = by_rank ? ranks[head + list[n]] : scores[head + place],
				.mass = masses[head + list[n]],
			};
			__local const float *x = rows + n * LISTED_ROW(DK);
			/* not with the first choice, whose slots began with the tokens that weigh most */
			const bool may = REPLACES && open > 0 && used > 1 && used >= (int)merged;
			const int least = may ? lightest(s, used, near, which) : 0;
			const bool replaces = may && s.scores[least] < t.mass;
			int toward = -1;
			float moved_part = 0.0f;
			if (replaces) { /* the same in all lanes */
				const struct joining light = empty_slot(s, least, key);
				toward = nearest(s, key, used, near, which);
				moved_part = join_key(s, toward, light, key, near);
			}
			const int j = runs                 ? run_of(d, dropped, merged)
			              : replaces           ? least
			              : used < (int)merged ? used
			                                   : nearest(s, x, used, near, which);
			used = MAX_OF(used, j + 1);
			const float part = join_key(s, j, t, x, near);
			if (LANE == 0) {
				to[n] = j;
				parts[n] = part;
				moved[n] = toward;
				moved_parts[n] = moved_part;
			}
		}
		SYNC();
		load_candidates(c, reading, 0, order + head, list, many, rows);
		for (int u = LANE; u < DV; u += LANES)
			for (int n = 0; n < many; n++) {
				__global float *v = s.values + to[n] * DV + u;
				if (REPLACES && moved[n] >= 0) {
					__global float *w = s.values + moved[n] * DV + u;
					*w = mean_of(*w, *v, moved_parts[n]);
				}
				*v = mean_of(*v, rows[n * LISTED_ROW(DV) + u], parts[n]);
			}
		SYNC_GLOBAL();
	}
	store_slots(s, used, pool, spots + h * merged_blocks);
}
