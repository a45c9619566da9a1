/* SPDX-License-Identifier: MIT */
/* select_alone: which tokens that leave the window stay out of runs: those with the largest scores, the later of equals.
 * Source: KVMerger, arXiv 2407.08454 (the notes' step 1).
 * Grid: (LANES, STREAMS, layers). Local: 2048 + LANES uint. n: tokens that leave the window, the last candidates.
 * bounds uint [layers][STREAMS][2]: runs.clh. keep: ABI_SLOT_KEPT of token i, counted from the first new one. */
#include "chosen.clh"
#include "select_args.clh"

__kernel GROUP_SIZE void select_alone(ARGS(SELECT_ALONE_ARGS))
{
	__local uint bins[BINS], scratch[LANES];
	const ulong head =
		(first_layer + (uint)get_group_id(2)) * STREAMS + first_stream + (uint)get_group_id(1);
	const uint all = found[head * FOUND_WORDS(cap) + FOUND_ALL], want = MIN_OF(bounds[2 * head], n);
	keep_largest(ranks + head * places + (all - n), n, want, keep + head * places, bins, scratch);
}
