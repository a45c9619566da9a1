/* SPDX-License-Identifier: MIT */
/* observe_rows: leaves the queries of a step's rows where attend_merge does, of a caller who attends by other means.
 * Grid: (LANES * n_rows, Q_HEADS). Local: none.
 * q    caller's tensor [n_rows][Q_HEADS][DK] | lse [n_rows][Q_HEADS] natural log of the sum of exp(logit)
 * Numbers: queries are rounded to half, as attend_merge does. */
#include "attend_args.clh"
#include "keep_query.clh"

#define LOG2_E 1.44269504088896340736f

__kernel GROUP_SIZE void observe_rows(ARGS(OBSERVE_ROWS_ARGS))
{
#if OBSERVE || KEEP_ALL
	const uint row = (uint)get_group_id(0), head = (uint)get_group_id(1);
	__global const uint *item =
		plan + plan[rows + row * ABI_NEW_WORDS + ABI_NEW_ITEM] * ABI_ITEM_WORDS;
	const uint at = row + item[ABI_ITEM_GAP]; /* in the caller's tensors */
	const struct kept_query k = {q,
	                             q_dtype,
	                             q_offset + at * q_token_stride + head * q_head_stride,
	                             head,
	                             item[ABI_ITEM_LEN] + row - item[ABI_ITEM_ROW],
	                             has_lse ? lse[lse_offset + (ulong)at * Q_HEADS + head] * LOG2_E
	                                     : 0.0f};
	keep_row(k, item, row, seen, all_rows, most_rows, layers, layer, turns, magnitude);
#endif
}
