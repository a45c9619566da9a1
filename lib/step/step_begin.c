/* SPDX-License-Identifier: MIT */
/** \file step_begin.c \brief Checks a step, reserves all that it can need, sends its plan. */
#include "base/error.h"
#include "step/seal.h"
#include "step/seal_select.h"
#include "step/step_probe.h"
#include "store/cache.h"

#include <string.h>

static clkv_status check_item(const clkv_cache *cache, const clkv_step_item *items, size_t i,
                              clkv_error *error)
{
	const clkv_step_item *item = &items[i];
	if (!item->seq || item->seq->cache != cache)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "item %zu: seq is %s", i,
		          item->seq ? "of another cache" : "NULL");
	for (size_t j = 0; j < i; j++)
		if (items[j].seq == item->seq)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "item %zu: its seq is item %zu's", i, j);
	if (item->phase < CLKV_DECODE || item->phase > CLKV_REREAD)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "item %zu: phase is %d; allowed: decode, prompt, prompt's end, probe, reread", i,
		          (int)item->phase);
	if (item->phase == CLKV_REREAD && item->seq->length == 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "item %zu: its sequence is empty; allowed: CLKV_REREAD of one with tokens", i);
	if (item->n_tokens == 0 || item->n_tokens > cache->sizes.max_step_tokens)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "item %zu: n_tokens is %zu; allowed: 1 to max_step_tokens (%u)", i,
		          item->n_tokens, cache->sizes.max_step_tokens);
	if (item->phase != CLKV_PROBE &&
	    item->n_tokens > cache->sizes.max_seq_tokens - item->seq->length)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
		          "item %zu: %u tokens and %zu new ones; allowed: max_seq_tokens (%u)", i,
		          item->seq->length, item->n_tokens, cache->sizes.max_seq_tokens);
	return CLKV_OK;
}

/* Rows that see all of what is sealed can't where it isn't on the device. */
static clkv_status check_place(const clkv_cache *cache, const clkv_step_item *items, size_t i,
                               clkv_error *error)
{
	const clkv_step_item *item = &items[i];
	const clkv_seq *seq = clkv__seq_in(item->seq, cache);
	bool recalls = item->phase == CLKV_DECODE && clkv__segments(seq) > 0;
	if (cache->sizes.moves && clkv__seq_sealed(seq) > 0 && !recalls)
		CLKV_FAIL(
			error, CLKV_ERROR_UNSUPPORTED,
			"item %zu: a %s attends to all %u sealed tokens of its sequence, which place:host "
			"has "
			"moved to host memory; allowed: phase decode, which recalls some of them; via=map",
			i, item->phase == CLKV_PROBE ? "probe" : "prompt", clkv__seq_sealed(seq));
	return CLKV_OK;
}

static clkv_status check_items(const clkv_cache *cache, const clkv_step_item *items, size_t n_items,
                               clkv_error *error)
{
	size_t rows = 0;
	if (!items || n_items == 0 || n_items > cache->sizes.max_sequences)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "%zu items; allowed: 1 to max_sequences (%u), not NULL", n_items,
		          cache->sizes.max_sequences);
	for (size_t i = 0; i < n_items; i++) {
		CLKV_TRY(check_item(cache, items, i, error));
		for (const clkv_cache *c = cache; c; c = c->next_band)
			CLKV_TRY(check_place(c, items, i, error));
		rows += items[i].n_tokens;
	}
	if (rows > cache->sizes.max_step_tokens)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "the items have %zu new rows; allowed: max_step_tokens (%u)", rows,
		          cache->sizes.max_step_tokens);
	return CLKV_OK;
}

/* Rows of items in the caller's tensors: none belongs to two. *end: rows that these have. */
static clkv_status check_rows(const clkv_step_item *items, const size_t *first_rows, size_t n_items,
                              uint32_t *end, clkv_error *error)
{
	size_t packed = 0, last = 0;
	for (size_t i = 0; i < n_items; packed += items[i++].n_tokens) {
		size_t first = first_rows ? first_rows[i] : packed, n = items[i].n_tokens;
		if (first > UINT32_MAX - n)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
			          "first_rows[%zu] is %zu; allowed: 0 to %zu", i, first, UINT32_MAX - n);
		for (size_t j = 0; first_rows && j < i; j++)
			if (first < first_rows[j] + items[j].n_tokens && first_rows[j] < first + n)
				CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
				          "first_rows[%zu] is %zu: its %zu rows and item %zu's %zu rows from %zu "
				          "overlap",
				          i, first, n, j, items[j].n_tokens, first_rows[j]);
		last = first + n > last ? first + n : last;
	}
	*end = (uint32_t)last;
	return CLKV_OK;
}

static void take_items(struct clkv_step *step, const clkv_step_item *items,
                       const size_t *first_rows, size_t n_items)
{
	step->n_items = n_items;
	step->pass.n_rows = 0;
	for (size_t i = 0; i < n_items; i++) {
		step->items[i] = (struct clkv__step_item){
			.seq = clkv__seq_in(items[i].seq, step->cache),
			.length = items[i].seq->length,
			.n_new = (uint32_t)items[i].n_tokens,
			.row = step->pass.n_rows,
			.gap = first_rows ? (uint32_t)first_rows[i] - step->pass.n_rows : 0,
			.phase = items[i].phase,
		};
		step->pass.n_rows += (uint32_t)items[i].n_tokens;
	}
	for (int l = 0; l < step->cache->shape.layers; l++)
		step->layers[l] = CLKV__LAYER_NEW;
}

/* Half blocks that an item writes to: those of its new rows; where rows weigh tokens, all. Without rows: none. */
static void item_blocks(const clkv_cache *cache, const struct clkv__step_item *item, uint32_t *from,
                        uint32_t *to)
{
	bool weighs = clkv__select_by(&cache->plan.select, item->phase);
	*from = weighs ? 0 : item->seq->length / (uint32_t)cache->plan.general.block;
	*to = item->n_new > 0 ? clkv__blocks_of(cache, item->seq->length + item->n_new) : *from;
}

static clkv_status fail_full(const clkv_cache *cache, const char *kind, int layer,
                             clkv_error *error)
{
	CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
	          "no %s block is left in layer %d (%u sequences): destroy or truncate sequences, or "
	          "create the cache with more max_tokens%s",
	          kind, clkv__shape_layer(&cache->shape, layer), cache->n_sequences,
	          kind[0] == 'h' ? " or max_open_tokens" : "");
}

/* Writes down what a table word is before it changes. */
static void note_change(clkv_cache *cache, uint32_t word, int layer, bool sealed)
{
	struct clkv__tables *t = &cache->tables;
	t->journal[t->n_changes++] =
		(struct clkv__change){word, clkv__tables_get(t, word), (uint32_t)layer, sealed};
}

/* Gives block j of a row a slot that only this sequence uses: a new one, or a copy of a shared one. */
static clkv_status own_block(struct clkv_step *step, int layer, uint32_t word, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	struct clkv__slots *open = &cache->pool.layers[layer].open;
	uint32_t before = clkv__tables_get(&cache->tables, word);
	if (before != CLKV__NO_SLOT && clkv__slots_refs(open, before) == 1)
		return CLKV_OK;
	uint32_t address = clkv__slots_take(open);
	if (address == CLKV__NO_SLOT)
		return fail_full(cache, "half", layer, error);
	note_change(cache, word, layer, false);
	clkv__tables_set(&cache->tables, word, address);
	return CLKV_OK;
}

/* Gives a sealed entry a block that only this sequence uses. */
static clkv_status own_entry(struct clkv_step *step, int layer, uint32_t entry, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	uint32_t word = entry + ABI_ENTRY_ADDR, before = clkv__tables_get(&cache->tables, word);
	uint32_t flags = clkv__tables_get(&cache->tables, entry + ABI_ENTRY_FLAGS);
	if (flags & ABI_FLAG_OPEN)
		return own_block(step, layer, word, error);
	if (clkv__sealed_refs(&cache->pool, layer, before) == 1)
		return CLKV_OK;
	uint32_t units = clkv__sealed_units(&cache->pool, layer, before);
	uint32_t address = clkv__sealed_take(&cache->pool, layer, units);
	if (address == CLKV__NO_SLOT)
		return fail_full(cache, "sealed", layer, error);
	clkv__code_tables_use(&cache->code_tables, flags);
	note_change(cache, word, layer, true);
	clkv__tables_set(&cache->tables, word, address);
	return CLKV_OK;
}

static clkv_status own_row(struct clkv_step *step, const struct clkv__step_item *item, int layer,
                           int stream, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	uint32_t from, to, row = clkv__seq_row(item->seq, layer, stream);
	uint32_t first = item->seq->length / (uint32_t)cache->plan.general.block;
	item_blocks(cache, item, &from, &to);
	for (uint32_t j = from; j < to; j++) {
		uint32_t word = row + ABI_ROW_HALF(cache->sizes.cap, j);
		if (j >= first || clkv__tables_get(&cache->tables, word) != CLKV__NO_SLOT)
			CLKV_TRY(own_block(step, layer, word, error));
	}
	/* the state of slots changes, which forks have each for themselves */
	if (clkv__selects(&cache->plan.select))
		for (uint32_t i = 0; i < clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED); i++)
			CLKV_TRY(own_entry(step, layer, row + ABI_ROW_ENTRY(i), error));
	return CLKV_OK;
}

static clkv_status own_item(struct clkv_step *step, const struct clkv__step_item *item,
                            clkv_error *error)
{
	const struct clkv__shape *shape = &step->cache->shape;
	for (int l = 0; l < shape->layers; l++)
		for (int s = 0; s < shape->streams; s++)
			CLKV_TRY(own_row(step, item, l, s, error));
	return CLKV_OK;
}

/* The least that a block of all KV heads of a layer takes. */
static uint64_t least_units(const clkv_cache *cache, int layer)
{
	uint64_t units = 0;
	for (int s = 0; s < cache->shape.streams; s++) {
		const struct clkv__codec_layout *layout = &clkv__cache_head(cache, layer, s)->layout;
		units += layout->sized ? layout->least_units : layout->units;
	}
	return units;
}

/* Whether blocks of all KV heads of layers up to this one find no room; *need: units that layers before it take of the
 * same pages. */
static bool lacks_sealed(const clkv_cache *cache, int layer, uint64_t blocks, uint64_t *need)
{
	bool shares =
		layer > cache->plan.general.skip && clkv__sealed_shares(&cache->pool, layer - 1, layer);
	*need = (shares ? *need : 0) + blocks * least_units(cache, layer);
	return clkv__sealed_available(&cache->pool, layer) < *need;
}

/* Room for the blocks that commit may seal: while the step is open nothing else takes them. Of blocks that
 * have their own size only the least is known; commit says if it was not enough. */
static clkv_status check_sealed(const struct clkv_step *step, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	uint64_t blocks = 0;
	for (size_t i = 0; i < step->n_items; i++) {
		uint32_t n = clkv__seal_count(cache, &step->items[i], clkv__item_adds(&step->items[i]));
		const clkv_seq *seq = step->items[i].seq;
		uint32_t row = clkv__seq_row(seq, cache->shape.layers - 1, 0);
		if (clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED) + n > cache->sizes.cap)
			CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
			          "item %zu: its sequence has too many partial blocks: it was truncated too "
			          "often below its window",
			          i);
		blocks += n;
	}
	uint64_t need = 0;
	for (int l = 0; l < cache->shape.layers; l++)
		if (!clkv__layer_is_dense(&cache->plan, l) && lacks_sealed(cache, l, blocks, &need))
			return fail_full(cache, "sealed", l, error);
	return CLKV_OK;
}

/* The same where tokens are selected. What a sequence no longer keeps makes room for what it does: only what comes on top
 * of that is missing. */
static clkv_status check_kept(const struct clkv_step *step, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	uint64_t sealed = 0, half = 0, need = 0, streams = (uint64_t)cache->shape.streams;
	for (size_t i = 0; i < step->n_items; i++)
		clkv__select_needs(cache, &step->items[i], &sealed, &half);
	for (int l = cache->plan.general.skip; l < cache->shape.layers; l++) {
		if (lacks_sealed(cache, l, sealed, &need))
			return fail_full(cache, "sealed", l, error);
		if (clkv__slots_available(&cache->pool.layers[l].open) < half * streams)
			return fail_full(cache, "half", l, error);
	}
	return CLKV_OK;
}

static clkv_status reserve(struct clkv_step *step, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	/* Each change may be undone: two notes. */
	CLKV_TRY(clkv__tables_reserve(&cache->tables, 2 * (size_t)cache->sizes.journal_entries, error));
	bool selects = clkv__selects(&cache->plan.select);
	if (!selects)
		CLKV_TRY(check_sealed(step, error));
	for (size_t i = 0; i < step->n_items; i++)
		CLKV_TRY(own_item(step, &step->items[i], error));
	return selects ? check_kept(step, error) : CLKV_OK;
}

/* A block that was shared is copied as it is; the rows behind its end are never read. */
static clkv_status copy_shared(struct clkv_step *step, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	for (size_t i = 0; i < cache->tables.n_changes; i++) {
		const struct clkv__change *c = &cache->tables.journal[i];
		if (c->before == CLKV__NO_SLOT)
			continue;
		uint32_t to = clkv__tables_get(&cache->tables, c->word);
		size_t units = c->sealed ? clkv__sealed_units(&cache->pool, (int)c->layer, to)
		                         : cache->sizes.half_units;
		cl_mem mem = cache->pool.layers[c->layer].mem;
		CLKV_TRY(clkv__chain_copy(&step->chain, mem, (size_t)c->before * ABI_UNIT, mem,
		                          (size_t)to * ABI_UNIT, units * ABI_UNIT, error));
	}
	return CLKV_OK;
}

/* Each item's sequence gets a place of its own for its newest queries, if a stage wants them. */
static clkv_status own_seen(struct clkv_step *step, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	for (size_t i = 0; i < step->n_items && cache->seen.mem; i++)
		if (step->items[i].phase != CLKV_REREAD)
			CLKV_TRY(clkv__seen_own(&cache->seen, &step->chain, &step->items[i].seq->seen, error));
	return CLKV_OK;
}

static clkv_status send(struct clkv_step *step, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	struct clkv__staging *staging;
	if (!step->probes)
		CLKV_TRY(own_seen(step, error));
	CLKV_TRY(clkv__staging_next(&cache->staging, &staging, error));
	uint32_t words = clkv__step_plan(step, staging->words);
	CLKV_TRY(clkv__staging_write(staging, &step->chain, cache->plan_mem, words, error));
	CLKV_TRY(clkv__step_send_tables(cache, &step->chain, error));
	return copy_shared(step, error);
}

/* What was enqueued before a failure may still be on its way: the next step, on whatever queue, waits for it. */
static clkv_status join_and_send(struct clkv_step *step, cl_command_queue queue, clkv_error *error)
{
	CLKV_TRY(clkv__cache_join(step->cache, &step->chain, queue, error));
	clkv_status status = send(step, error);
	if (status != CLKV_OK)
		clkv__cache_leave(step->cache, &step->chain);
	return status;
}

/* What all bands' steps are begun with; checked. */
struct opening {
	const clkv_step_item *items;
	const size_t *first_rows;
	size_t n_items;
	bool probes;
	uint32_t tensor_rows;
	cl_command_queue queue;
};

static void take(struct clkv_step *step, const struct opening *o)
{
	step->probes = o->probes;
	step->pass.tensor_rows = o->tensor_rows;
	(o->probes ? clkv__probe_take : take_items)(step, o->items, o->first_rows, o->n_items);
}

/* Opens the step of one band. */
static clkv_status open_band(clkv_cache *cache, const struct opening *o, clkv_error *error)
{
	struct clkv_step *step = cache->step;
	uint64_t start = clkv__meter_now(&cache->meter);
	take(step, o);
	cache->tables.n_changes = 0;
	memset(step->attended, 0, (size_t)cache->shape.layers);
	memset(step->weighed, 0, (size_t)cache->shape.layers);
	clkv_status status = o->probes ? CLKV_OK : reserve(step, error);
	if (status == CLKV_OK)
		status = join_and_send(step, o->queue, error);
	if (status != CLKV_OK) {
		clkv__step_undo(step);
		step->n_items = 0;
	}
	for (size_t i = 0; i < step->n_items; i++)
		step->items[i].seq->in_step = true;
	step->open = status == CLKV_OK;
	cache->meter.host_ns += clkv__meter_now(&cache->meter) - start;
	return status;
}

/* Opens the steps of all bands, or none. */
static clkv_status open_all(clkv_cache *cache, const struct opening *o, clkv_error *error)
{
	clkv_status status = CLKV_OK;
	for (clkv_cache *c = cache; c && status == CLKV_OK; c = c->next_band)
		status = open_band(c, o, error);
	for (clkv_cache *c = cache; status != CLKV_OK && c && c->step->open; c = c->next_band)
		clkv__step_drop(c->step);
	return status;
}

static clkv_status check_idle(const clkv_cache *cache, clkv_error *error)
{
	if (cache->step->open)
		CLKV_FAIL(error, CLKV_ERROR_BUSY, "the cache has an open step: commit or abort it first");
	return CLKV_OK;
}

static clkv_status begin(clkv_cache *cache, struct opening *o, clkv_error *error)
{
	CLKV_TRY(check_idle(cache, error));
	CLKV_TRY(check_items(cache, o->items, o->n_items, error));
	CLKV_TRY(check_rows(o->items, o->first_rows, o->n_items, &o->tensor_rows, error));
	CLKV_TRY(clkv__probe_check(o->items, o->n_items, &o->probes, error));
	return open_all(cache, o, error);
}

clkv_status clkv__step_begin_end(clkv_seq *seq, cl_command_queue queue, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	const clkv_step_item item = {seq, 0, CLKV_PROMPT_END};
	const struct opening o = {.items = &item, .n_items = 1, .queue = queue};
	clkv__cache_lock(cache);
	clkv_status status = check_idle(cache, error);
	if (status == CLKV_OK)
		status = open_all(cache, &o, error);
	clkv__cache_unlock(cache);
	return status;
}

clkv_status clkv_step_begin(clkv_cache *cache, const clkv_step_item *items, size_t n_items,
                            cl_command_queue queue, clkv_step **out, clkv_error *error)
{
	return clkv_step_begin_rows(cache, items, NULL, n_items, queue, out, error);
}

clkv_status clkv_step_begin_rows(clkv_cache *cache, const clkv_step_item *items,
                                 const size_t *first_rows, size_t n_items, cl_command_queue queue,
                                 clkv_step **out, clkv_error *error)
{
	clkv__error_clear(error);
	if (!cache || !out)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", cache ? "out" : "cache");
	struct opening o = {
		.items = items, .first_rows = first_rows, .n_items = n_items, .queue = queue};
	clkv__cache_lock(cache);
	clkv_status status = begin(cache, &o, error);
	if (status == CLKV_OK)
		*out = cache->step;
	clkv__cache_unlock(cache);
	return status;
}
