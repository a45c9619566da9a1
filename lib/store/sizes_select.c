/* SPDX-License-Identifier: MIT */
/** \file sizes_select.c \brief The arithmetic of what selection keeps and works with. */
#include "store/sizes_select.h"

#include "base/checked.h"

/* Of weights that attention leaves: work-groups for each that fills the device, so that few of them wait for the last one, and the
 * most bytes. */
enum { LEFT_GROUPS = 1, LEFT_BYTES = 64 << 20 };

struct clkv__quota clkv__sizes_quota(const struct clkv__plan *plan, const struct clkv__sizes *s)
{
	return clkv__select_quota(&plan->select, (uint32_t)plan->general.sinks,
	                          (uint32_t)plan->general.window, s->max_seq_tokens);
}

/* Sequences of one step. */
static uint64_t items(const struct clkv__sizes *s)
{
	return s->max_sequences < s->max_step_tokens ? s->max_sequences : s->max_step_tokens;
}

/* Blocks of one stream for the kept tokens of all sequences. */
static uint64_t kept_blocks(const struct clkv__shape *shape, const struct clkv__plan *plan,
                            const struct clkv__sizes *s, uint64_t all)
{
	const struct clkv__select *p = &plan->select;
	uint64_t bt = (uint64_t)plan->general.block, q = s->max_sequences;
	uint64_t heads = clkv__rule_of(p)->pooled ? (uint64_t)shape->streams : 1;
	struct clkv__quota most = clkv__sizes_quota(plan, s);
	uint64_t one = clkv__kept_blocks((uint32_t)(most.kept * heads), (uint32_t)bt);
	if (clkv__select_bound(p, most.kept, shape->streams) == UINT32_MAX)
		return all + all / 4 + 2 * q;
	/* of shares, all sequences together can't have more than that of all tokens, or what each has at least */
	uint64_t floor =
		clkv__select_floor((uint32_t)plan->general.sinks, (uint32_t)plan->general.window);
	uint64_t shared =
		(uint64_t)((double)p->budget * s->max_tokens * (double)heads) + q * floor * heads;
	uint64_t blocks = q * one;
	if (p->budget <= 1.0f && clkv__kept_blocks((uint32_t)shared, (uint32_t)bt) + 3 * q < blocks)
		blocks = clkv__kept_blocks((uint32_t)shared, (uint32_t)bt) + 3 * q;
	/* while those of all items of a step are gathered anew, they lie there twice */
	uint64_t anew = items(s) * clkv__ceil_div(most.kept * heads, bt);
	if (p->budget <= 1.0f && clkv__ceil_div(shared, bt) + items(s) < anew)
		anew = clkv__ceil_div(shared, bt) + items(s);
	return blocks + anew + 1;
}

void clkv__sizes_kept(const struct clkv__shape *shape, const struct clkv__plan *plan,
                      struct clkv__sizes *s)
{
	uint64_t bt = (uint64_t)plan->general.block, streams = (uint64_t)shape->streams;
	s->merged_blocks = (uint32_t)clkv__ceil_div(clkv__sizes_quota(plan, s).merged, bt);
	s->sealed_slots = (uint32_t)(kept_blocks(shape, plan, s, s->sealed_slots / streams) * streams);
	s->open_slots += (s->max_sequences + (uint32_t)items(s)) * s->merged_blocks * (uint32_t)streams;
}

uint32_t clkv__sizes_entries(const struct clkv__shape *shape, const struct clkv__plan *plan,
                             const struct clkv__sizes *s)
{
	const struct clkv__select *p = &plan->select;
	uint32_t kept = clkv__select_bound(p, clkv__sizes_quota(plan, s).kept, shape->streams);
	uint32_t entries = s->cap;
	if (kept != UINT32_MAX)
		entries = s->merged_blocks + clkv__kept_blocks(kept, (uint32_t)plan->general.block);
	return entries < s->cap ? entries : s->cap;
}

/* Rows of one launch of attention that leave their weights: as many as fill the device, if there is room; too few for that: none,
 * and commits make logits anew, in work-groups of all blocks. */
static void left_sizes(const struct clkv__shape *shape, const struct clkv__cut *cut, uint32_t bt,
                       struct clkv__sizes *s)
{
	const uint64_t tile = (uint64_t)cut->tile_rows;
	const uint64_t groups = (uint64_t)(shape->q_heads / cut->tile_heads); /* of a tile */
	const uint64_t row = (uint64_t)s->places / bt * (2 * bt + 4) * (uint64_t)shape->q_heads;
	uint64_t tiles = clkv__ceil_div((uint64_t)cut->target_groups * LEFT_GROUPS, groups);
	uint64_t all = clkv__ceil_div(s->max_step_tokens, tile), fit = LEFT_BYTES / (row * tile);
	tiles = tiles < all ? tiles : all;
	if (tile == 1 || tile > s->max_step_tokens ||
	    (fit < tiles && 2 * fit * groups < cut->target_groups))
		return;
	s->left_rows = (uint32_t)((fit < tiles ? fit : tiles) * tile);
	s->left_bytes = s->left_rows * row;
}

void clkv__sizes_selection(const struct clkv__shape *shape, const struct clkv__plan *plan,
                           const struct clkv__cut *cut, struct clkv__sizes *s)
{
	uint64_t heads = (uint64_t)(shape->layers * shape->streams);
	uint32_t bt = (uint32_t)plan->general.block, open = s->open_slots / (uint32_t)shape->streams;
	uint32_t most = s->max_seq_tokens / bt + 4;
	s->staged_blocks = CLKV__STAGED_JOBS * (uint32_t)shape->streams;
	s->places = (clkv__sizes_entries(shape, plan, s) + (open < most ? open : most) + 2) * bt;
	s->merge_bytes =
		heads * 4 *
		ABI_MERGE_FLOATS((uint64_t)s->merged_blocks * bt, (uint64_t)shape->dk, (uint64_t)shape->dv);
	if (plan->select.old)
		s->sums_bytes =
			(uint64_t)shape->layers * (uint64_t)shape->q_heads * (uint64_t)plan->select.observe * 4;
	if (clkv__select_expects(&plan->select)) {
		uint64_t q_heads = (uint64_t)shape->layers * (uint64_t)shape->q_heads;
		s->rows_bytes = q_heads * (uint64_t)plan->select.observe * (uint64_t)shape->dk * 4;
		s->sums_bytes = q_heads * s->places * 4;
	}
	if (clkv__choice_of(&plan->select)->work_bytes)
		s->merge_bytes = clkv__choice_of(&plan->select)->work_bytes(heads, s->places);
	if (!clkv__weighs(&plan->select))
		return;
	s->rows_bytes = ABI_SEEN_BYTES((uint64_t)shape->layers, (uint64_t)s->max_step_tokens,
	                               (uint64_t)shape->q_heads, (uint64_t)shape->dk);
	left_sizes(shape, cut, bt, s);
}

uint64_t clkv__sizes_select_scratch(const struct clkv__shape *shape, const struct clkv__sizes *s)
{
	uint64_t heads = (uint64_t)(shape->layers * shape->streams);
	uint64_t place = s->left_rows > 0 ? 33 : 25; /* bytes */
	return s->rows_bytes + s->sums_bytes + s->left_bytes +
	       heads * (s->places * place + (s->cap + 4) * 4ul) + s->merge_bytes +
	       heads * s->merged_blocks * 4;
}
