/* SPDX-License-Identifier: MIT */
/* bounded_write: encodes a seal job's blocks into the pages that the host has found for their sizes.
 * Grid: (LANES * jobs, STREAMS, layers). Local: the codes of a side, its units, lengths of lanes.
 * plan: of (layer, stream) the words at the job's dst say where the block goes, and its flags.
 * A byte belongs to one lane; its neighbours may be written at the same time. */
#include "bounded_units.clh"
#include "planes.clh"
#include "seal_args.clh"

INLINE void write_units(const struct bounded s, const struct workspace w, __global uchar *block)
{
	__global ushort *scales = (__global ushort *)(block + s.params);
	for (int i = LANE; i < s.units; i += LANES) {
		scales[i] = (ushort)(as_uint(w.scales[i]) >> 16);
		vstore_half(w.minimums[i], s.units + i, (__global half *)scales);
	}
}

struct __attribute__((packed)) unaligned_word {
	uint bits;
};

/* Appends the codes of a lane to its stream at `out`; returns its length in bytes. Nothing behind them is written. */
INLINE uint write_lane(const struct bounded s, __global const uint *encode,
                       const struct workspace w, int lane, __global uchar *out)
{
	ulong bits = 0;
	uint n = 0, bytes = 0;
	for (int c = lane * s.lane_cols; c < (lane + 1) * s.lane_cols; c++)
		for (int row = 0; row < s.rows; row++) {
			const uint code = encode[w.codes[row * s.cols + c]];
			bits |= (ulong)(code & 0xffff) << n;
			n += code >> 16;
			if (n >= 32) {
				((__global struct unaligned_word *)(out + bytes))->bits = (uint)bits;
				bits >>= 32;
				n -= 32;
				bytes += 4;
			}
		}
	for (; n > 0; n -= MIN_OF(n, 8u), bits >>= 8)
		out[bytes++] = (uchar)bits;
	return bytes;
}

INLINE void write_length(const struct bounded s, __global uchar *block, int lane, uint bytes)
{
	__global uchar *index = block + s.index;
	if (long_lanes(s))
		((__global ushort *)index)[lane] = (ushort)bytes;
	else
		index[lane] = (uchar)bytes;
}

#if LANES == 1
INLINE void write_lanes(const struct bounded s, const struct workspace w,
                        __global const uint *encode, __global uchar *block, uint payload,
                        __local uint *lengths)
{
	for (int lane = 0; lane < n_lanes(s); lane++) {
		const uint bytes = write_lane(s, encode, w, lane, block + payload);
		write_length(s, block, lane, bytes);
		payload += bytes;
	}
}
#else
/* A lane begins where those before it end: their lengths are added up first. */
INLINE void write_lanes(const struct bounded s, const struct workspace w,
                        __global const uint *encode, __global uchar *block, uint payload,
                        __local uint *lengths)
{
	for (int lane = LANE; lane < n_lanes(s); lane += LANES) {
		lengths[lane] = lane_bytes(s, encode, w, lane);
		write_length(s, block, lane, lengths[lane]);
	}
	SYNC();
	int before = 0;
	for (int lane = LANE; lane < n_lanes(s); lane += LANES) {
		for (; before < lane; before++)
			payload += lengths[before];
		write_lane(s, encode, w, lane, block + payload);
	}
	SYNC();
}
#endif

INLINE void write_packed(const struct bounded s, uint bits, const struct workspace w,
                         __global uchar *planes)
{
	const int band = BAND_OF(s);
	switch (bits) {
	case 2:
		planes_of_bytes(2, w.codes, s.rows, s.cols, band, planes);
		break;
	case 3:
		planes_of_bytes(3, w.codes, s.rows, s.cols, band, planes);
		break;
	case 4:
		planes_of_bytes(4, w.codes, s.rows, s.cols, band, planes);
		break;
	case 5:
		planes_of_bytes(5, w.codes, s.rows, s.cols, band, planes);
		break;
	case 6:
		planes_of_bytes(6, w.codes, s.rows, s.cols, band, planes);
		break;
	default:
		planes_of_bytes(8, w.codes, s.rows, s.cols, band, planes);
		break;
	}
}

INLINE void write_half(const struct bounded s, const struct source src, const struct workspace w,
                       __global half *values)
{
#if K_PRUNE == ABI_PRUNE_TOKENS
	if (s.is_k) {
		pack_halves(src, w.starts, values);
		return;
	}
#endif
	for (int u = LANE; u < s.rows * (s.cols / VEC); u += LANES) {
		const int row = u / (s.cols / VEC), col = u % (s.cols / VEC) * VEC;
		const floatv x = load_value(s, src, row, col);
		const intv in = s.is_k ? there_k(src, col) : there_v(src, row);
		STOREV_HALF(in ? x : (floatv)(0.0f), values + row * s.cols + col);
	}
}

/* The first tokens of a sequence; its first job begins a half block. */
INLINE void write_exact(const struct source src, __global ushort *values)
{
	__global const ushort *from = (__global const ushort *)src.a;
	for (int i = LANE; i < EXACT * DK; i += LANES)
		values[i] = from[i % DK * BT + i / DK];
	for (int i = LANE; i < EXACT * DV; i += LANES)
		values[EXACT * DK + i] = from[DK * BT + i];
}

INLINE void write_side(const struct bounded s, const struct source src, const struct workspace w,
                       __global const uint *code_tables, uint flags, __global uchar *block,
                       uint payload, __local uint *lengths)
{
	const uint table = side_table(s, flags);
	make_units(s, src, w);
	write_units(s, w, block);
	if (table == ABI_TABLE_HALF) {
		write_half(s, src, w, (__global half *)(block + payload));
		return;
	}
	make_codes(s, src, w);
	if (ENTROPY == ABI_ENTROPY_PACK)
		write_packed(s, table, w, block + payload);
	else
		write_lanes(s, w, encoder(s, code_tables, table), block, payload, lengths);
}

__kernel GROUP_SIZE void bounded_write(ARGS(WRITE_BLOCK_ARGS))
{
	WORKSPACE(w);
	__local uint lengths[MOST_LANES];
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct source src = kept_source(pool, tables, job, sections, layer, stream, w.list);
	if (!makes_block(src))
		return;
	__global const uint *dst = plan + jobs + job_dst(job, layer, stream);
	__global uchar *page = pool + block_at(dst[ABI_DST_ADDR]), *block = page + PRUNE_BYTES;
	const uint flags = dst[ABI_DST_FLAGS];
	const struct bounded k = K_BOUNDED, v = V_BOUNDED;
	store_section(src, page);
	if (flags & ABI_FLAG_EXACT)
		write_exact(src, (__global ushort *)(block + PAYLOAD_OFF));
	write_side(k, src, w, code_tables, flags, block, payload_of(k, block, flags), lengths);
#if LANES > 1
	barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE); /* V's place is read from K's lanes */
#endif
	write_side(v, src, w, code_tables, flags, block, payload_of(v, block, flags), lengths);
}
