/* SPDX-License-Identifier: MIT */
/** \file sizes.c \brief The arithmetic of memory: blocks, tables, plans. */
#include "store/sizes.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/struct_io.h"
#include "codec/code_tables.h"
#include "plan/calibration_image.h"
#include "plan/projection.h"
#include "recall/recall.h"
#include "shape/rope.h"
#include "store/block_table.h"
#include "store/pages.h"
#include "store/sizes_place.h"
#include "store/sizes_recall.h"
#include "store/sizes_select.h"
#include "store/sizes_token.h"
#include "store/staging.h"

/* Tokens and rows are counted in 32 bits on the device, with room for sums. */
#define MAX_TOKENS ((size_t)CLKV__MAX_TOKENS)
#define MAX_SEQUENCES ((size_t)1 << 16)

static uint64_t b4(uint64_t words)
{
	return words * 4;
}

static clkv_status check_count(const char *name, size_t value, size_t max, clkv_error *error)
{
	if (value == 0 || value > max)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "cache options: %s is %zu; allowed: 1 to %zu",
		          name, value, max);
	return CLKV_OK;
}

static clkv_status read_options(const clkv_cache_options *options, clkv_cache_options *o,
                                struct clkv__sizes *s, clkv_error *error)
{
	CLKV_TRY(clkv__struct_read(o, sizeof *o, options, "clkv_cache_options", error));
	CLKV_TRY(check_count("max_tokens", o->max_tokens, MAX_TOKENS, error));
	if (o->max_step_tokens == 0)
		o->max_step_tokens = o->max_tokens < 512 ? o->max_tokens : 512;
	if (o->max_sequences == 0)
		o->max_sequences = 1;
	if (o->max_seq_tokens == 0)
		o->max_seq_tokens = o->max_tokens;
	CLKV_TRY(check_count("max_step_tokens", o->max_step_tokens, o->max_tokens, error));
	CLKV_TRY(check_count("max_sequences", o->max_sequences, MAX_SEQUENCES, error));
	CLKV_TRY(check_count("max_seq_tokens", o->max_seq_tokens, o->max_tokens, error));
	s->max_tokens = (uint32_t)o->max_tokens;
	s->max_step_tokens = (uint32_t)o->max_step_tokens;
	s->max_sequences = (uint32_t)o->max_sequences;
	s->max_seq_tokens = (uint32_t)o->max_seq_tokens;
	if (o->max_open_tokens > o->max_tokens)
		o->max_open_tokens = o->max_tokens;
	s->max_open_tokens = (uint32_t)(o->max_open_tokens ? o->max_open_tokens : o->max_tokens);
	return CLKV_OK;
}

/* One sequence must be able to go on: to the end of a step with all that it may leave in half. */
static clkv_status check_open(const struct clkv__plan *plan, const struct clkv__sizes *s,
                              clkv_error *error)
{
	const struct clkv__general *g = &plan->general;
	uint64_t least = (uint64_t)g->window + (uint64_t)g->sinks + clkv__plan_batch(plan, true) - 1 +
	                 s->max_step_tokens;
	least = least < s->max_tokens ? least : s->max_tokens;
	if (!plan->sealing.dense && s->max_open_tokens < least)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "cache options: max_open_tokens is %u; allowed: %llu (window %d, sinks %d, %u "
		          "that wait to be "
		          "sealed together, and max_step_tokens %u) and up, or 0",
		          s->max_open_tokens, (unsigned long long)least, g->window, g->sinks,
		          clkv__plan_batch(plan, true) - 1, s->max_step_tokens);
	return CLKV_OK;
}

/* Tokens behind the sinks that a sequence which selects has in half: its window, but all slots until these are full, if
 * kept tokens aren't encoded. */
static uint32_t most_window(const struct clkv__plan *plan, const struct clkv__sizes *s)
{
	struct clkv__quota q = clkv__sizes_quota(plan, s);
	bool fits = !clkv__select_is_open(&plan->select) && clkv__plan_plain(plan);
	return q.window + (fits ? q.kept + q.merged : 0);
}

/* Blocks in half of one stream of a layer that seals. A sequence keeps its sinks and fewer than
 * window + block tokens behind them, in blocks cut at multiples of the block size; a step adds its
 * rows, and copies of blocks that forks share: one alone has none. It can't be more than if nothing were sealed, nor than
 * max_open_tokens, of which each sequence's sinks and tail begin and end within blocks. */
static uint64_t open_blocks(const struct clkv__plan *plan, const struct clkv__sizes *s)
{
	const struct clkv__general *g = &plan->general;
	uint64_t bt = (uint64_t)g->block, q = s->max_sequences, step = s->max_step_tokens;
	uint64_t all = s->max_tokens / bt + q;
	uint64_t waiting = clkv__plan_batch(plan, true); /* sealed together: block, without recall */
	bool selects = clkv__selects(&plan->select);
	uint64_t behind = (selects ? most_window(plan, s) : (uint64_t)g->window) + waiting - 1;
	uint64_t sinks = clkv__ceil_div((uint64_t)g->sinks, bt);
	uint64_t with_step = q * (clkv__ceil_div(behind, bt) + 2 + sinks) + step / bt;
	if (q == 1 && !selects) /* n tokens in a row lie in ceil((n - 1) / bt) + 1 blocks at most */
		with_step = clkv__ceil_div(behind + step - 1, bt) + 1 + sinks;
	uint64_t blocks = g->seal == 1 || with_step > all ? all : with_step;
	uint64_t most = s->max_open_tokens / bt + 3 * q;
	return s->max_open_tokens < s->max_tokens && most < blocks ? most : blocks;
}

/* Blocks in half of one stream of a layer that never seals. Where layers slide, a sequence keeps fewer than window + block
 * tokens, in blocks cut at multiples of the block size, and in a step a copy of one that a fork shares. */
static uint64_t dense_blocks(const struct clkv__plan *plan, const struct clkv__sizes *s)
{
	uint64_t bt = (uint64_t)plan->general.block, q = s->max_sequences, all = s->max_tokens / bt + q;
	uint64_t slides =
		q * (clkv__ceil_div(plan->slides, bt) + 4) + clkv__ceil_div(s->max_step_tokens, bt);
	return plan->slides > 0 && slides < all ? slides : all;
}

uint64_t clkv__sizes_sealed(const struct clkv__shape *shape, const struct clkv__plan *plan,
                            const struct clkv__sizes *s, int layer)
{
	uint64_t per_stream = s->sealed_slots / (uint32_t)shape->streams;
	uint64_t units = per_stream * clkv__plan_units(plan, shape->streams, layer);
	/* where blocks may be larger than their share, one of the largest size fits all the same */
	return units + (plan->layer_units[layer] ? s->sealed_units : 0);
}

static uint64_t sealed_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                             const struct clkv__sizes *s, int layer)
{
	uint64_t guard = s->paged ? CLKV__GUARD_UNITS : 0;
	return (clkv__sizes_sealed(shape, plan, s, layer) + guard) * ABI_UNIT;
}

uint64_t clkv__sizes_layer(const struct clkv__shape *shape, const struct clkv__plan *plan,
                           const struct clkv__sizes *s, int layer)
{
	if (clkv__layer_is_dense(plan, layer))
		return s->dense_layer_bytes;
	uint64_t open = ((uint64_t)s->open_slots + s->staged_blocks) * s->half_units * ABI_UNIT;
	return open + (s->moves ? clkv__landing_bytes(s) + clkv__row_slot_bytes(shape, s)
	                        : sealed_bytes(shape, plan, s, layer));
}

static clkv_status pool_sizes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                              struct clkv__sizes *s, clkv_error *error)
{
	uint64_t bt = (uint64_t)plan->general.block, streams = (uint64_t)shape->streams;
	uint64_t all = (s->max_tokens / bt + s->max_sequences) * streams;
	uint64_t open = open_blocks(plan, s) * streams;
	if (all > UINT32_MAX / 2)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "cache options: max_tokens (%u) and max_sequences (%u) need too many blocks",
		          s->max_tokens, s->max_sequences);
	s->half_units =
		(clkv__half_block_bytes(shape, plan->general.block) + clkv__plan_state(plan)) / ABI_UNIT;
	uint64_t dense = dense_blocks(plan, s) * streams;
	s->dense_slots = (uint32_t)dense;
	s->dense_layer_bytes = dense * s->half_units * ABI_UNIT;
	if (plan->sealing.dense)
		return CLKV_OK;
	for (int i = 0; i <= plan->n_more; i++) {
		uint32_t units = clkv__plan_sealing(plan, i)->layout.units;
		s->sealed_units = units > s->sealed_units ? units : s->sealed_units;
	}
	s->sized = plan->sealing.layout.sized;
	s->paged = s->sized || plan->n_more > 0;
	s->open_slots = (uint32_t)open;
	/* Only the first prompt of a sequence leaves a block that isn't full. */
	s->sealed_slots = (uint32_t)all;
	if (clkv__selects(&plan->select))
		clkv__sizes_kept(shape, plan, s);
	if (s->paged && (uint64_t)s->sealed_slots * s->sealed_units >= (uint64_t)1 << 31)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "cache options: max_tokens (%u) needs sealed blocks of 128 GiB in a layer",
		          s->max_tokens);
	return CLKV_OK;
}

static clkv_status table_sizes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                               struct clkv__sizes *s, clkv_error *error)
{
	uint64_t cap = clkv__ceil_div(s->max_seq_tokens, (uint64_t)plan->general.block) + 2;
	cap += s->merged_blocks;
	if (clkv__selects(&plan->select))
		cap += cap / 4 + 4; /* some are half empty */
	cap = (cap + 3) & ~(uint64_t)3;
	uint64_t row = ABI_ROW_WORDS(cap);
	uint64_t rows = row * (uint64_t)shape->layers * (uint64_t)shape->streams, slab = rows;
	if (s->segs > 0)
		slab += ABI_SEGS_WORDS((uint64_t)s->segs);
	if (slab * s->max_sequences > UINT32_MAX)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"cache options: max_sequences (%u) of max_seq_tokens (%u) need tables above 16 GiB",
			s->max_sequences, s->max_seq_tokens);
	s->cap = (uint32_t)cap;
	s->row_words = (uint32_t)row;
	s->slab_words = (uint32_t)slab;
	s->segs_word = (uint32_t)rows;
	return CLKV_OK;
}

static void step_sizes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                       const struct clkv__cut *cut, struct clkv__sizes *s)
{
	uint32_t bt = (uint32_t)plan->general.block, rows = s->max_step_tokens;
	uint32_t items = s->max_sequences < rows ? s->max_sequences : rows;
	uint32_t streams = (uint32_t)shape->streams;
	uint32_t extra = cut->target_groups / streams + 1; /* work-groups beyond one per tile */
	/* rows that add nothing are items of their own */
	s->plan_words = rows * (ABI_ITEM_WORDS + ABI_NEW_WORDS) + (rows + extra) * ABI_WORK_WORDS;
	if (s->segs > 0)
		s->plan_words += rows * ABI_ASK_WORDS;
	s->part_rows = rows + (extra + items) * (uint32_t)cut->tile_rows;
	if (s->moves && clkv__host_attends(&plan->place)) { /* the host's records */
		s->plan_words += rows * ABI_WORK_WORDS;
		s->part_rows += rows;
	}
	uint64_t open = (uint64_t)s->open_slots / streams * bt;
	uint32_t most = open < s->max_tokens ? (uint32_t)open : s->max_tokens;
	uint32_t sealable = plan->general.seal == 1 ? most : rows;
	uint32_t waiting = clkv__plan_batch(plan, true) / bt;
	s->max_jobs = plan->sealing.dense ? 0 : sealable / bt + (1 + waiting) * items;
	/* kept tokens are gathered and sealed in batches; merged slots and others take the same buffer */
	if (clkv__selects(&plan->select) && s->max_jobs > CLKV__STAGED_JOBS)
		s->max_jobs = CLKV__STAGED_JOBS;
	s->jobs_words =
		s->max_jobs * (ABI_SEAL_WORDS + ABI_DST_WORDS * (uint32_t)shape->layers * streams);
	if (s->jobs_words == 0)
		s->jobs_words = 1; /* OpenCL has no empty buffers */
	s->section_bytes =
		(uint64_t)s->max_jobs * (uint64_t)shape->layers * streams * clkv__plan_section(plan);
	uint64_t seen = ABI_SEEN_BYTES((uint64_t)shape->layers, (uint64_t)clkv__plan_observe(plan),
	                               (uint64_t)shape->q_heads, (uint64_t)shape->dk);
	s->seen_units = (uint32_t)clkv__ceil_div(seen, ABI_UNIT);
	s->turns_bytes = clkv__rope_bytes(&shape->rope);
	s->projections_bytes = clkv__projection_bytes(plan, shape);
	if (clkv__projection_given(plan) == CLKV__GIVEN_CALIBRATION)
		s->calibration_bytes = b4(clkv__calibration_words(shape));
	s->update_pairs = 4096;
	/* of jobs whose blocks leave, a landing zone's number goes to the device at a time */
	uint32_t jobs = s->moves && s->max_jobs > s->landing ? s->jobs_words / s->max_jobs * s->landing
	                                                     : s->jobs_words;
	uint32_t words = s->plan_words > jobs ? s->plan_words : jobs;
	s->staging_words = words > 2 * s->update_pairs ? words : 2 * s->update_pairs;
	uint64_t rows_of_tables = (uint64_t)shape->layers * streams;
	s->journal_entries = (rows / bt + 2 * (uint64_t)items) * rows_of_tables;
	if (s->places > 0) /* whatever forks share */
		s->journal_entries += (uint64_t)items * (s->places / bt) * rows_of_tables;
}

/* Mirrors of the tables, slots' free lists and counts, staging, the journal of a step. */
static uint64_t host_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                           const struct clkv__sizes *s)
{
	uint64_t layers = (uint64_t)shape->layers;
	uint64_t dense = plan->sealing.dense ? layers : (uint64_t)plan->general.skip;
	uint64_t slots = dense * s->dense_slots + (layers - dense) * (uint64_t)s->open_slots;
	uint64_t pages = 0;
	for (int i = (int)dense; i < shape->layers && s->paged; i++)
		pages += clkv__pages_host_bytes((uint32_t)clkv__sizes_sealed(shape, plan, s, i));
	if (!s->paged)
		slots += (layers - dense) * (uint64_t)s->sealed_slots;
	if (s->seen_units > 0)
		slots += s->max_sequences;
	slots += s->books;
	if (s->index_units > 0)
		pages += clkv__pages_host_bytes(s->index_units);
	return b4((uint64_t)s->slab_words * s->max_sequences) + b4(2 * slots) + pages +
	       CLKV__STAGING * b4(s->staging_words) + s->journal_entries * sizeof(struct clkv__change) +
	       clkv__place_host_bytes(shape, plan, s);
}

static void sum_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                      struct clkv__sizes *s)
{
	uint64_t layers = (uint64_t)shape->layers;
	uint64_t dense = plan->sealing.dense ? layers : (uint64_t)plan->general.skip;
	uint64_t sealing = layers - dense;
	clkv_bytes *b = &s->bytes;
	b->struct_size = sizeof *b;
	b->sealed = 0;
	for (int i = (int)dense; i < shape->layers; i++)
		*(plan->place.host ? &b->host_sealed : &b->sealed) += sealed_bytes(shape, plan, s, i);
	b->open = dense * s->dense_layer_bytes +
	          sealing * ((uint64_t)s->open_slots + s->staged_blocks) * s->half_units * ABI_UNIT;
	b->tables = (uint64_t)s->slab_words * s->max_sequences * 4;
	b->scratch =
		((uint64_t)s->plan_words + s->jobs_words + 2 * s->update_pairs + ABI_COUNTERS) * 4 +
		(uint64_t)s->part_rows * (uint64_t)shape->q_heads * (uint64_t)(shape->dv + 2) * 4;
	b->code_tables = clkv__code_tables_bytes(&plan->sealing.layout) + s->calibration_bytes;
	if (s->sized) /* histograms for them */
		b->scratch += layers * 2 * ABI_SYMBOLS * 4;
	if (s->segs > 0)
		b->scratch += clkv__sizes_recall_scratch(shape, s);
	if (s->places > 0)
		b->scratch += clkv__sizes_select_scratch(shape, s);
	b->index = ((uint64_t)s->index_units + (uint64_t)s->book_units * s->books) * ABI_UNIT;
	b->scratch += s->section_bytes + (uint64_t)s->seen_units * ABI_UNIT * s->max_sequences;
	b->scratch += s->turns_bytes;
	b->rotation = s->projections_bytes;
	if (s->moves) {
		b->scratch += clkv__place_device_bytes(shape, plan, s) + sealing * clkv__landing_bytes(s);
		b->recalled = sealing * clkv__row_slot_bytes(shape, s);
	}
	b->device = b->sealed + b->open + b->tables + b->scratch + b->code_tables + b->index +
	            b->recalled + b->rotation;
	b->host = host_bytes(shape, plan, s) + b->host_sealed;
	clkv__sizes_token(shape, plan, s, b);
}

clkv_status clkv__sizes_compute(const struct clkv__shape *shape, const struct clkv__plan *plan,
                                const clkv_cache_options *options, const struct clkv__cut *cut,
                                struct clkv__sizes *sizes, clkv_error *error)
{
	struct clkv__sizes s = {0};
	clkv_cache_options o;
	CLKV_TRY(read_options(options, &o, &s, error));
	CLKV_TRY(pool_sizes(shape, plan, &s, error));
	CLKV_TRY(check_open(plan, &s, error));
	CLKV_TRY(clkv__sizes_recall(shape, plan, &s, error));
	CLKV_TRY(clkv__sizes_place(shape, plan, &s, error));
	CLKV_TRY(table_sizes(shape, plan, &s, error));
	if (clkv__selects(&plan->select))
		clkv__sizes_selection(shape, plan, cut, &s);
	step_sizes(shape, plan, cut, &s);
	sum_bytes(shape, plan, &s);
	*sizes = s;
	return CLKV_OK;
}
