/* SPDX-License-Identifier: MIT */
/* weigh_dropped: how much each candidate weighs in the mean of a merged slot: its attention so far and, above all, that of
 * the newest rows; and with which dropped tokens merged slots begin (SEEDS): those that weigh most.
 * Grid: (LANES, STREAMS, layers). Local: 2048 + LANES uint. masses float [layers][STREAMS][places], by candidate.
 * recent: what the newest rows' weights count beside all others'. merged: slots that are to begin; 0: there are some, which
 * all that is dropped joins. candidates.clh draws the buffers; traces: score_rows.cl. */
#include "candidates.clh"
#include "radix.clh"
#include "select_args.clh"

#ifndef SCORE
#define SCORE ABI_SCORE_MASS
#endif
#ifndef SEEDS
#define SEEDS 0
#endif

__kernel GROUP_SIZE void weigh_dropped(ARGS(WEIGH_DROPPED_ARGS))
{
	__local uint bins[BINS], scratch[LANES];
	const ulong h = (first_layer + (uint)get_group_id(2)) * STREAMS + first_stream +
	                (uint)get_group_id(1),
				head = h * places;
	const uint n = found[h * FOUND_WORDS(cap) + FOUND_ALL],
			   dropped = n - found[h * FOUND_WORDS(cap) + FOUND_KEPT];
	__global float *mine = masses + head;
	for (uint i = LANE; i < n; i += LANES) {
		const ulong place = head + order[head + i];
		const float x = SCORE == ABI_SCORE_MASS
		                    ? fma(vload_half(2 * place + 1, traces), recent, scores[place])
		                    : ranks[head + i];
		/* seeds are chosen among those that are dropped: nothing weighs less than 0 */
		mine[i] = keep[head + i] == ABI_SLOT_KEPT ? -1.0f : fmax(x, 0.0f);
	}
	SYNC_GLOBAL();
	if (!SEEDS || merged == 0)
		return;
	uint ties = MIN_OF(merged, MAX_OF(dropped, 1)), equal = 0;
	const uint last = last_key(mine, n, &ties, bins), begin = lane_begin(n), end = lane_end(n);
	for (uint i = begin; i < end; i++)
		equal += key_of(mine[i]) == last;
	const uint before = lanes_before(equal, scratch);
	uint left = ties > before ? ties - before : 0;
	for (uint i = begin; i < end; i++) {
		const uint key = key_of(mine[i]);
		const bool tie = key == last && left > 0;
		left -= tie;
		if (keep[head + i] == ABI_SLOT_DROPPED && (key > last || tie))
			keep[head + i] = ABI_SLOT_SEED;
	}
}
