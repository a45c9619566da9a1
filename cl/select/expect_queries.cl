/* SPDX-License-Identifier: MIT */
/* expect_queries: the newest queries of a sequence as they would be at the next AHEAD positions, on average: each is turned
 * back from its own position and by the mean of AHEAD turns from `end` on.
 * Source: Expected Attention, arXiv 2510.00636, section 3: queries behind the present one have the distribution of the
 * newest, rotated by the mean of their rotations.
 * Grid: (LANES * n, Q_HEADS, layers). Local: none.
 * queries  abi.clh, from unit `at` on; rows: asked_rows.clh | expected float [layers][Q_HEADS][n][DK]; of a row that was not
 *          attended with zeros
 * Numbers: f32; the mean of turns is a sum of a geometric series, whose rounding is that of a sine's argument. What RoPE
 * multiplies by stays: it would be taken off and put on again. */
#include "asked_rows.clh"
#include "select_args.clh"

#ifndef AHEAD
#define AHEAD 512 /* positions over which turns are averaged */
#endif

/* An angle in half turns, of one in 2^-64 of a full turn. */
INLINE float half_turns(ulong angle)
{
	return (float)(long)angle * 0x1p-63f;
}

/* The mean of a pair's turns by p .. p + AHEAD - 1 positions: sin(AHEAD a) / (AHEAD sin(a)) times the turn by p + (AHEAD - 1) / 2,
 * a being half a position's angle. */
INLINE float2 mean_turn(__global const ulong *turns, int i, uint p)
{
	const long half_step = (long)turns[i] >> 1;
	const float middle = half_turns((ulong)p * turns[i] + (AHEAD - 1) * (ulong)half_step);
	const float whole = sinpi(half_turns(AHEAD * (ulong)half_step));
	const float part = sinpi(half_turns((ulong)half_step));
	const float shrink = part == 0.0f ? 1.0f : whole / (AHEAD * part);
	return (float2)(cospi(middle), sinpi(middle)) * shrink;
}

__kernel GROUP_SIZE void expect_queries(ARGS(EXPECT_QUERIES_ARGS))
{
	const uint r = (uint)get_group_id(0), head = (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct asked a = asked_of(queries, at, many, first, n, position, layers, layer, 0, 0, 0);
	__global float *to = expected + ((ulong)(layer * Q_HEADS + head) * n + r) * DK;
	if (was_asked(a, r)) {
		__global const half *from = asked_query(a, r, head);
		for (int c = ROPE_DIMS + LANE; c < DK; c += LANES)
			to[c] = vload_half(c, from);
		for (int i = LANE; i < ROPE_DIMS / 2; i += LANES) {
			const float2 turn = mean_turn(turns, i, n - r); /* from position + r to position + n */
			const float x = vload_half(ROPE_FIRST(i), from), y = vload_half(ROPE_SECOND(i), from);
			to[ROPE_FIRST(i)] = TURNED_FIRST(x, y, turn.x, turn.y);
			to[ROPE_SECOND(i)] = TURNED_SECOND(x, y, turn.x, turn.y);
		}
	} else {
		for (int c = LANE; c < DK; c += LANES)
			to[c] = 0.0f;
	}
}
