/* SPDX-License-Identifier: MIT */
/* prune_channels: the channels of K that the blocks of seal jobs keep, the same for all tokens of a block.
 * Source: ThinK, arXiv 2407.21018, section 3.2: of the products of a channel's queries and keys, the norm.
 * Grid: (LANES * jobs, STREAMS, layers). Local: 2 * DK floats.
 * A group whose job says so makes one mask for it and the jobs behind it, from all their tokens; others take over the
 * mask of their sequence's last sealed block. sections: prune_block.clh.
 * Numbers: f32; K_KEPT largest strength^2 * sum of k^2, ties to the lower channel. */
#include "prune_args.clh"
#include "prune_block.clh"
#include "source.clh"
#include "strength.clh"

/* energy [DK] = the sum of squares of each channel over the tokens of n jobs. */
INLINE void energies(__global const uchar *pool, __global const uint *tables,
                     __global const uint *job, uint n, uint layer, uint stream,
                     __local float *energy)
{
	for (int c = LANE; c < DK; c += LANES) {
		floatv sum = 0.0f;
		for (uint i = 0; i < n; i++) {
			const struct source s =
				job_source(pool, tables, job + i * ABI_SEAL_WORDS, layer, stream);
			for (int t = 0; t < BT; t += VEC) {
				const floatv x = there_k(s, t) ? load_k(s, c, t) : (floatv)(0.0f);
				sum = fma(x, x, sum);
			}
		}
		energy[c] = HSUM(sum);
	}
	SYNC();
}

/* How many channels come before c in the order of scores. */
INLINE int place_of(__local const float *scores, int c)
{
	int n = 0;
	for (int i = 0; i < DK; i++)
		n += scores[i] > scores[c] || (scores[i] == scores[c] && i < c);
	return n;
}

__kernel GROUP_SIZE void prune_channels(ARGS(PRUNE_BLOCK_ARGS))
{
	__local float scores[DK], strength[DK];
	__local uchar chosen[DK];
	const uint number = (uint)get_group_id(0), stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	__global const uint *job = plan + jobs + number * ABI_SEAL_WORDS;
	const uint n = job[ABI_SEAL_MASK];
	if (n == ABI_MASK_OLD) {
		__global const uint *row =
			table_row(tables, job[ABI_SEAL_SLAB], job[ABI_SEAL_CAP], layer, stream);
		__global const uchar *last =
			pool + block_at(row[ABI_ROW_ENTRY(row[ABI_ROW_SEALED] - 1) + ABI_ENTRY_ADDR]);
		for (int i = LANE; i < PRUNE_BYTES; i += LANES)
			sections[section_of(number, layer, stream) + i] = last[i];
		return;
	}
	if (n == 0)
		return;
	strengths(seen_of(seen, job[ABI_SEAL_SEEN], LAYERS, layer, job[ABI_SEAL_END]), stream,
	          strength);
	energies(pool, tables, job, n, layer, stream, scores);
	for (int c = LANE; c < DK; c += LANES)
		scores[c] *= strength[c] * strength[c];
	SYNC();
	for (int c = LANE; c < DK; c += LANES)
		chosen[c] = place_of(scores, c) < K_KEPT;
	SYNC();
	for (int i = LANE; i < PRUNE_BYTES; i += LANES) {
		uchar bits = 0;
		for (int j = 0; j < 8 && i < DK / 8; j++)
			bits |= (uchar)(chosen[i * 8 + j] << j);
		for (uint k = 0; k < n; k++)
			sections[section_of(number + k, layer, stream) + i] = bits;
	}
}
