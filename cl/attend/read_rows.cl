/* SPDX-License-Identifier: MIT */
/* read_rows: decodes tokens [from, from + n) of one layer of a sequence into the caller's tensors.
 * Grid: (LANES * n, STREAMS). Local: DK or DV floats. For checks and export: plain, not fast.
 * k [n][STREAMS][DK], v [n][STREAMS][DV]; has_k, has_v: which of them are wanted.
 * slots: 1, if slots of entries are meant, in place of positions: where tokens were selected.
 * landing: if not 0, sealed blocks from entry number landed on lie there, by entry and KV head, in block_units each.
 * Numbers: value = minimum + scale * code in f32; turned rows are turned back, latents expanded. */
#include "attend_args.clh"
#include "latents.clh"
#include "project.clh"
#include "sealed_value.clh"
#include "sparse_block.clh"
#include "tensor.clh"

/* Values of sums of atoms need their dictionary. */
#if K_CODEC == ABI_CODEC_SPARSE
#define DICTIONARY_HERE head_dictionary(projections, first_projection + stream)
#define SEALED_K(block, c, t) ((void)fills, sparse_k(block, DICTIONARY_HERE, c, t))
#define SEALED_V(block, t, d) sparse_v(block, DICTIONARY_HERE, t, d)
#else
#define SEALED_K(block, c, t) sealed_k(block, flags, codebook, codes, fills, c, t)
#define SEALED_V(block, t, d) sealed_v(block, flags, codebook, codes, t, d)
#endif

/* Of latents number c of a group's, the block that holds them: that of one of its heads, of the same tokens. */
#define MEMBER_BLOCK(member)                                                                       \
	(pool +                                                                                        \
	 block_at((entry + ((int)(member) - (int)stream) * (int)ABI_ROW_WORDS(cap))[ABI_ENTRY_ADDR]))
#define KEY_BLOCK(c)                                                                               \
	(KEY_HEADS == 1                                                                                \
	     ? block                                                                                   \
	     : MEMBER_BLOCK(key_member(projections, first_projection + stream, stream, (c) / RANK_K)))
#define VALUE_BLOCK(d)                                                                             \
	(VALUE_HEADS == 1 ? block                                                                      \
	                  : MEMBER_BLOCK(value_member(projections, first_projection + stream, stream,  \
	                                              (d) / RANK_V)))

/* The sealed entry that holds a position: entries lie in the order of time. */
INLINE __global const uint *find_entry(__global const uint *row, uint position)
{
	uint low = 0, high = row[ABI_ROW_SEALED];
	while (high - low > 1) {
		uint middle = (low + high) / 2;
		if (row[ABI_ROW_ENTRY(middle) + ABI_ENTRY_POS] <= position)
			low = middle;
		else
			high = middle;
	}
	return row + ABI_ROW_ENTRY(low);
}

__kernel GROUP_SIZE void read_rows(ARGS(READ_ROWS_ARGS))
{
	__local float x[MAX_OF(ROOM_K, ROOM_V)];
	__local uchar codes[SEALED_CODES] __attribute__((aligned(16)));
	__local float factors[FACTORS], amplitudes[ALL_AMPLITUDES] __attribute__((aligned(64)));
	uint i = (uint)get_group_id(0), stream = first_stream + (uint)get_group_id(1),
		 position = from + i;
	__global const uint *row = table_row(tables, slab, cap, layer, stream);
	__global const uint *entry = find_entry(row, position);
	const bool open = slots && entry[ABI_ENTRY_FLAGS] & ABI_FLAG_OPEN;
	const bool in_half = open || (!slots && (dense || position < sinks || position >= tail));
	int t = (int)(in_half && !open ? position % BT : position - entry[ABI_ENTRY_POS]);
	const uint number = (uint)(entry - row - ABI_ROW_HEAD) / ABI_ENTRY_WORDS;
	const uint address = landing ? landing + ((number - landed) * STREAMS + stream) * block_units
	                             : entry[ABI_ENTRY_ADDR];
	__global const uchar *block =
		pool + (in_half && !open ? half_block(row, cap, position / BT) : block_at(address));
	const uint flags = in_half ? 0 : entry[ABI_ENTRY_FLAGS];
	__global const uint *codebook = head_tables(code_tables, layer, stream);
	if (has_k) {
		const struct fills fills = {draw_key(layer, stream), entry[ABI_ENTRY_POS], factors,
		                            amplitudes};
		if (!in_half)
			open_k(block, flags, codebook, codes);
#if K_PRUNE == ABI_PRUNE_TOKENS
		widen_fills(block, factors, amplitudes);
		SYNC();
#endif
		for (int c = LANE; c < (in_half ? DK : KEY_HEADS * RANK_K); c += LANES)
			x[c] = in_half ? vload_half(c * BT + t, (__global const half *)block)
			               : SEALED_K(KEY_BLOCK(c), c % RANK_K, t);
		SYNC();
#if QTC_TURNED
		if (!in_half && ABI_FLAGS_K(flags) != ABI_TABLE_HALF)
			qtc_turn_key(codebook, position, x);
		SYNC();
#endif
#if LATENTS
		expand_key(!in_half, x, projections, first_projection + stream, position, turns, magnitude);
#endif
		unproject_key(x, projections, first_projection + stream);
		for (int c = LANE; c < DK; c += LANES)
			tensor_store(k, k_dtype, k_offset + i * k_token_stride + stream * k_head_stride + c,
			             x[c]);
		SYNC();
	}
	if (has_v) {
		if (!in_half)
			open_v(block, flags, codebook, codes);
		for (int d = LANE; d < (in_half ? DV : VALUE_HEADS * RANK_V); d += LANES)
			x[d] = in_half ? vload_half(DK * BT + t * DV + d, (__global const half *)block)
			               : SEALED_V(VALUE_BLOCK(d), t, d % RANK_V);
		SYNC();
#if LATENTS
		expand_value(!in_half, x, projections, first_projection + stream);
#endif
		unproject_value(x, projections, first_projection + stream);
		for (int d = LANE; d < DV; d += LANES)
			tensor_store(v, v_dtype, v_offset + i * v_token_stride + stream * v_head_stride + d,
			             x[d]);
		JOIN();
	}
}
