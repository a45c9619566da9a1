/* SPDX-License-Identifier: MIT */
/* seal_affine: encodes tokens of half blocks as one sealed block of integers per (job, stream, layer).
 * Source: KIVI, arXiv 2402.02750, and plain block quantization; affine_block.clh draws the block.
 * Grid: (LANES * jobs, STREAMS, layers). Each lane encodes whole units or vectors of them. Local: K's codes where each
 * token has its own channels, a byte each: they are packed before they become planes.
 * Numbers: scale = (max - min) / (2^BITS - 1), rounded to half, a subnormal one upwards; code = rint((x - min) / scale as
 * stored), clamped, so |x - decoded| <= scale / 2, and at the ends of the range up to the rounding of the scale more. A
 * constant unit has scale 0 and decodes to its minimum. Symmetric: scale = max |x| / (2^(BITS-1) - 1), codes 1 .. 2^BITS - 1.
 * Of latents (latents.clh) each value is worked out as it is asked for, twice: once for its unit's range; those of keys of
 * groups, and in front of RoPE, before (latent_keys.clh).
 * Tokens that a partial block lacks enter no range; their codes are 0. */
#include "affine_units.clh"
#include "latent_keys.clh"
#include "seal_args.clh"

__kernel GROUP_SIZE_WIDE void seal_affine(ARGS(SEAL_BLOCK_ARGS))
{
	__local uchar list[ROW_LIST], bytes[PACKS_K ? K_BITS < 16 ? DK * BT : 1 : 1];
	__local ushort starts[STARTS];
#if LATENTS
	__local float keys[LATENT_KEYS] __attribute__((aligned(64)));
	__local ulong places[LATENT_PLACES];
#endif
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	struct source s = kept_source(pool, tables, job, sections, layer, stream, list);
#if LATENTS
	s.key_latents = key_latents(projections, layer * STREAMS + stream);
	s.value_latents = value_latents(projections, layer * STREAMS + stream);
	s.keys = keys;
	s.pool = pool;
	s.places = places;
	place_values(pool, tables, job, layer, stream, projections, places);
	SYNC();
#endif
#if EXPANDS
	make_key_latents(pool, tables, job, layer, stream, projections, turns, magnitude, keys);
#endif
	if (!makes_block(s))
		return;
	__global uchar *block =
		pool + block_at(plan[jobs + job_dst(job, layer, stream) + ABI_DST_ADDR]);
	store_section(s, block);
#if !PACKS_K /* which has barriers */
	if (s.count == BT) {
		seal_block(1, K_BITS, s, 0, bytes, starts, block + PRUNE_BYTES);
		return;
	}
#endif
	seal_block(0, K_BITS, s, 0, bytes, starts, block + PRUNE_BYTES);
}
