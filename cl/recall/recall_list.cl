/* SPDX-License-Identifier: MIT */
/* recall_list: the tokens that the query heads of a KV head have chosen, as ordinals: the union of the heads' choices.
 * Of a unit each head takes the newest members, so the union is what the head takes that takes most.
 * Grid: (LANES * STREAMS, rows). Local: LANES uint.
 * takes ushort [row][heads][max_units] (recall_select) | list uint [row][STREAMS][1 + room]: how many, then ordinals, of
 * a segment's units in their order. Tokens that were cut off are left out. */
#include "recall_args.clh"
#include "segment.clh"
#include "tile.clh"

#ifndef GROUPED_CHOICE
#define GROUPED_CHOICE 0
#endif

INLINE uint most_taken(__global const ushort *takes, uint u, uint max_units)
{
	uint most = takes[u];
	for (int g = 1; g < (GROUPED_CHOICE ? 1 : G); g++)
		most = MAX_OF(most, (uint)takes[(ulong)g * max_units + u]);
	return most;
}

/* Members of units begin .. end - 1 that are wanted and still there; if `to` isn't NULL they are written. */
INLINE uint list_units(const struct segment s, __global const ushort *takes, uint max_units,
                       uint begin, uint end, __global uint *to)
{
	uint n = 0;
	for (uint u = begin; u < end; u++) {
		const uint take = most_taken(takes, s.start + u, max_units), first = unit_begin(s, u);
		/* pages and tokens: the newest are the last */
		const uint from = HAS_MEMBERS || take == 0 ? first : unit_end(s, u) - take;
		for (uint i = from; i < from + take; i++) {
			const uint token = member_of(s, i);
			if (token < s.kept) {
				if (to)
					to[n] = s.first + token;
				n++;
			}
		}
	}
	return n;
}

__kernel GROUP_SIZE void recall_list(ARGS(RECALL_LIST_ARGS))
{
#if LANES > 1
	__local uint scratch[LANES];
#endif
	const uint r = (uint)get_group_id(1), stream = (uint)get_group_id(0);
	const int per = GROUPED_CHOICE ? 1 : G;
	__global const uint *item =
		plan + items + plan[work + r * ABI_ASK_WORDS + ABI_ASK_ITEM] * ABI_ITEM_WORDS;
	const uint list = item[ABI_ITEM_SLAB] + segments, n = n_segments(tables, list);
	__global const ushort *mine = takes + ((ulong)r * STREAMS + stream) * per * max_units;
	__global uint *to = lists + ((ulong)r * STREAMS + stream) * (1 + room);
	uint count = 0;
	for (uint i = 0; i < n; i++) {
		const struct segment s = segment_at(index, tables, list, i, layer * STREAMS + stream);
		const uint begin = (uint)((ulong)s.units * LANE / LANES),
				   end = (uint)((ulong)s.units * (LANE + 1) / LANES);
#if LANES > 1
		scratch[LANE] = list_units(s, mine, max_units, begin, end, 0);
		SYNC();
		uint before = count;
		for (int j = 0; j < LANES; j++) {
			before += j < LANE ? scratch[j] : 0;
			count += scratch[j];
		}
		list_units(s, mine, max_units, begin, end, to + 1 + before);
		SYNC();
#else
		count += list_units(s, mine, max_units, begin, end, to + 1 + count);
#endif
	}
	if (LANE == 0)
		to[0] = count;
}
