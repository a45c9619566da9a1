/* SPDX-License-Identifier: MIT */
/* table_update: applies n pairs (word, value) to the block tables.
 * Grid: n, rounded up to the local size. pairs [n][2] from word `offset` on. */
#include "args.clh"
__kernel void table_update(ARGS(TABLE_UPDATE_ARGS))
{
	uint i = (uint)get_global_id(0);
	if (i < n)
		tables[pairs[offset + 2 * i]] = pairs[offset + 2 * i + 1];
}
