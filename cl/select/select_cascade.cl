/* SPDX-License-Identifier: MIT */
/* select_cascade: which candidates a (layer, stream) keeps in its rings. Tokens that leave the window, ring 0, are carried
 * into ring 1 in the order of time. Ring i takes what is carried while it isn't full, and else at every 2^i-th token, when
 * its oldest is carried on to ring i + 1; at the others the carried token takes the place of its newest one if its score is
 * no less. What is carried out of the last ring is dropped.
 * Source: arXiv 2406.17808 (the notes' step 2).
 * Kept tokens lie in the order of time and a ring fills before the next one begins: so what each ring holds follows from
 * their number, and nothing of it is stored.
 * Grid: (LANES, STREAMS, layers), one item walks. quota uint [layers][STREAMS]: slots in all these rings, `size` in each,
 * in the last one what is left. n: candidates that leave the window, the first of them `behind` tokens behind the sinks.
 * candidates.clh draws the buffers; chosen holds the rings behind each other while they are walked. */
#include "chosen.clh"
#include "select_args.clh"

#ifndef CASCADES
#define CASCADES 4 /* the window is one of them */
#endif
#define RINGS (CASCADES > 1 ? CASCADES - 1 : 1)

/* A ring of so many slots, of which `count` are full, from `oldest` on. */
struct ring {
	__global uint *slots;
	uint room, oldest, count;
};

/* Rings with the newest of `old` candidates, each with those before the next one's. */
INLINE void open_rings(struct ring *rings, __global uint *slots, uint old, uint all, uint quota,
                       uint size)
{
	uint left = MIN_OF(quota, all); /* there is never more to hold */
	for (int i = 0; i < RINGS; i++) {
		const uint room = i == RINGS - 1 ? left : MIN_OF(size, left), count = MIN_OF(room, old);
		const struct ring ring = {slots, room, 0, count};
		for (uint j = 0; j < count; j++)
			slots[j] = old - count + j;
		rings[i] = ring;
		slots += room;
		left -= room;
		old -= count;
	}
}

INLINE __global uint *ring_slot(const struct ring r, uint i)
{
	const uint at = r.oldest + i;
	return r.slots + (at >= r.room ? at - r.room : at);
}

/* A token goes through the rings, the u-th one behind the sinks. */
INLINE void carry(struct ring *rings, uint token, uint u, __global const float *ranks)
{
	for (int i = 0; i < RINGS; i++) {
		struct ring *r = rings + i;
		if (r->count < r->room) {
			*ring_slot(*r, r->count) = token;
			r->count++;
			return;
		}
		if (r->room == 0)
			continue;
		if (u & ((2u << i) - 1)) {
			__global uint *newest = ring_slot(*r, r->room - 1);
			*newest = ranks[token] >= ranks[*newest] ? token : *newest;
			return;
		}
		__global uint *oldest = ring_slot(*r, 0);
		const uint next = *oldest;
		*oldest = token;
		r->oldest = r->oldest + 1 == r->room ? 0 : r->oldest + 1;
		token = next;
	}
}

__kernel GROUP_SIZE void select_cascade(ARGS(SELECT_CASCADE_ARGS))
{
	__local uint scratch[LANES];
	const ulong head =
		(first_layer + (uint)get_group_id(2)) * STREAMS + first_stream + (uint)get_group_id(1);
	__global uint *mine = found + head * FOUND_WORDS(cap), *slots = chosen + head * places;
	__global uchar *kept = keep + head * places;
	const uint all = mine[FOUND_ALL];
	for (uint i = LANE; i < all; i += LANES)
		kept[i] = ABI_SLOT_DROPPED;
	SYNC_GLOBAL();
	if (LANE == 0) {
		struct ring rings[RINGS];
		open_rings(rings, slots, all - n, all, quotas[head], size);
		for (uint i = 0; i < n; i++)
			carry(rings, all - n + i, behind + i, ranks + head * places);
		for (int i = 0; i < RINGS; i++)
			for (uint j = 0; j < rings[i].count; j++)
				kept[*ring_slot(rings[i], j)] = ABI_SLOT_KEPT;
	}
	SYNC_GLOBAL();
	list_chosen(order + head * places, kept, all, cap, slots, mine, scratch);
}
