/* SPDX-License-Identifier: MIT */
/* place_rows: puts recalled rows that came from host memory into their slots: copies, nothing is rounded.
 * Source: the cache of recalled tokens of ClusterKV, arXiv 2412.03213.
 * Grid: (LANES * ceil(n / ROWS)).
 * arrived uint4 [n][1 + ROW_WORDS]: the slot's number among those of the layer, K [DK] half, V [DV] half
 * slots   units of the pool: where the layer's slots begin, as blocks of codec_rows.clh: slot s is row s % BT of block
 *         s / BT */
#include "place_args.clh"
#include "table.clh"

#define ROWS ABI_PLACE_ROWS
#define K_WORDS (DK / 8) /* of 16 bytes; head sizes are multiples of 16 */
#define V_WORDS (DV / 8)
#define ROW_WORDS (K_WORDS + V_WORDS)

__kernel GROUP_SIZE void place_rows(ARGS(PLACE_ROWS_ARGS))
{
	const uint first = (uint)get_group_id(0) * ROWS, end = MIN_OF(first + ROWS, n);
	for (uint u = first * ROW_WORDS + (uint)LANE; u < end * ROW_WORDS; u += LANES) {
		const uint c = u % ROW_WORDS;
		__global const uint4 *record = arrived + (ulong)(u / ROW_WORDS) * (1 + ROW_WORDS);
		const uint slot = record[0].x, t = slot % BT;
		__global uint4 *block =
			(__global uint4 *)(pool + unit_bytes(slots)) + (ulong)(slot / BT) * (BT * ROW_WORDS);
		block[c < K_WORDS ? t * K_WORDS + c : BT * K_WORDS + t * V_WORDS + c - K_WORDS] =
			record[1 + c];
	}
}
