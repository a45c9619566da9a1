/* SPDX-License-Identifier: MIT */
/** \file step_commit.c \brief Ends a step: seals, drops rejected rows, frees. */
#include "base/alloc.h"
#include "base/error.h"
#include "place/place.h"
#include "step/seal.h"
#include "step/seal_select.h"
#include "step/step_probe.h"
#include "store/cache.h"

static clkv_status check_commit(const struct clkv_step *step, const size_t *n_kept,
                                clkv_error *error)
{
	for (const struct clkv_step *s = step; s; s = s->next_band)
		for (int l = 0; l < s->cache->shape.layers; l++)
			if (s->layers[l] != CLKV__LAYER_APPENDED)
				CLKV_FAIL(error, CLKV_ERROR_INVALID_STATE,
				          "layer %d was not appended: every layer must be, or abort the step",
				          clkv__shape_layer(&s->cache->shape, l));
	for (size_t i = 0; n_kept && i < step->n_items; i++) {
		uint32_t n = clkv__item_adds(&step->items[i]);
		uint32_t least = step->items[i].phase == CLKV_PROMPT_END ? n : 0;
		if (n_kept[i] > n || n_kept[i] < least)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "n_kept[%zu] is %zu; allowed: %u to %u",
			          i, n_kept[i], least, n);
	}
	return CLKV_OK;
}

/* How far the newest row was attended with in all layers that seal; rows that go again have displaced its query. */
static uint32_t attended_to(const struct clkv_step *step, const struct clkv__step_item *item,
                            uint32_t kept)
{
	const clkv_seq *seq = item->seq;
	if (clkv__item_adds(item) == 0)
		return seq->attended;
	for (int l = step->cache->plan.general.skip; l < step->cache->shape.layers; l++)
		if (!step->attended[l])
			return 0;
	return kept == item->n_new ? seq->length + kept : 0;
}

/* Host state of one item after the device's work is enqueued. */
static void finish_item(const struct clkv_step *step, const struct clkv__step_item *item,
                        uint32_t kept)
{
	clkv_cache *cache = step->cache;
	clkv_seq *seq = item->seq;
	seq->attended = attended_to(step, item, kept);
	uint32_t reserved = clkv__blocks_of(cache, seq->length + item->n_new);
	seq->length += kept;
	seq->reread = item->phase == CLKV_REREAD ? seq->length : seq->reread;
	clkv__seq_release_half(seq, clkv__blocks_of(cache, seq->length), reserved, false);
	/* Blocks before the tail and behind the sinks are wholly sealed. */
	uint32_t bt = (uint32_t)cache->plan.general.block;
	uint32_t slid = clkv__plan_slid(&cache->plan, seq->length);
	if (slid > seq->tail) {
		clkv__seq_release_half(seq, seq->tail / bt, slid / bt, false);
		seq->tail = slid;
	}
	uint32_t first = clkv__blocks_of(cache, clkv__sinks(cache, seq->length));
	if (!cache->plan.sealing.dense && seq->tail / bt > first)
		clkv__seq_release_half(seq, first, seq->tail / bt, true);
}

static struct clkv__step_figures figures_of(clkv_cache *cache)
{
	return (struct clkv__step_figures){clkv__code_tables_progress(&cache->code_tables),
	                                   cache->values_checked, cache->place->moved.to_host};
}

static void go_back(clkv_cache *cache, const struct clkv__step_figures *before)
{
	clkv__code_tables_go_back(&cache->code_tables, &before->codes);
	cache->values_checked = before->checked;
	cache->place->moved.to_host = before->to_host;
}

static bool selects(const struct clkv_step *step)
{
	return clkv__selects(&step->cache->plan.select);
}

/* All of a band that can fail and be undone. */
static clkv_status prepare(struct clkv_step *step, const uint32_t *kept, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	uint64_t start = clkv__meter_now(&cache->meter);
	step->before = figures_of(cache);
	clkv_status status =
		selects(step) ? clkv__select(step, kept, error) : clkv__seal(step, kept, error);
	if (status != CLKV_OK)
		go_back(cache, &step->before);
	cache->meter.host_ns += clkv__meter_now(&cache->meter) - start;
	return status;
}

static void undo(struct clkv_step *step)
{
	if (selects(step))
		clkv__select_undo(step->cache);
	else
		clkv__seal_undo(step);
	go_back(step->cache, &step->before);
}

/* The first mark may fail, and all is undone; behind it there is no way back. */
static clkv_status mark_all(struct clkv_step *step, clkv_error *error)
{
	bool marked = false;
	for (; step; step = step->next_band)
		if (selects(step)) {
			CLKV_TRY(clkv__select_mark(step, marked, error));
			marked = marked || clkv__select_is_marked(step->cache);
		}
	return CLKV_OK;
}

static void enter(struct clkv_step *step, const uint32_t *kept)
{
	clkv_cache *cache = step->cache;
	uint64_t start = clkv__meter_now(&cache->meter);
	clkv__step_keep(step);
	if (selects(step))
		clkv__select_enter(cache);
	else
		clkv__seal_enter(step, kept);
	for (size_t i = 0; i < step->n_items; i++)
		finish_item(step, &step->items[i], kept[i]);
	cache->steps++;
	/* A figure: that it can't be read is no reason to fail a step that is done. */
	(void)clkv__counters_read(&cache->counters, &step->chain, NULL);
	clkv__step_close(step);
	cache->meter.host_ns += clkv__meter_now(&cache->meter) - start;
}

/* All items of all bands together: as long as something can fail, their sequences stay as they are. */
static clkv_status commit(struct clkv_step *step, const uint32_t *kept, clkv_error *error)
{
	clkv_status status = CLKV_OK;
	struct clkv_step *s = step, *end;
	for (; s && status == CLKV_OK; s = status == CLKV_OK ? s->next_band : s)
		status = prepare(s, kept, error);
	end = s; /* what is behind has nothing to undo */
	if (status == CLKV_OK)
		status = mark_all(step, error);
	for (s = step; s != end; s = s->next_band)
		if (status == CLKV_OK)
			enter(s, kept);
		else
			undo(s);
	return status;
}

static clkv_status commit_probes(struct clkv_step *step, const size_t *n_kept, clkv_error *error)
{
	clkv_status status = CLKV_OK;
	for (; step && status == CLKV_OK; step = step->next_band)
		status = clkv__probe_commit(step, n_kept, error);
	return status;
}

static clkv_status commit_rows(struct clkv_step *step, const size_t *n_kept, clkv_error *error)
{
	const clkv_allocator *a = &step->cache->context->allocator;
	uint32_t *kept = clkv__calloc(a, step->n_items, sizeof *kept);
	if (!kept)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu items", step->n_items);
	for (size_t i = 0; i < step->n_items; i++)
		kept[i] = n_kept ? (uint32_t)n_kept[i] : clkv__item_adds(&step->items[i]);
	clkv_status status = commit(step, kept, error);
	clkv__free(a, kept);
	return status;
}

clkv_status clkv_step_commit(clkv_step *step, const size_t *n_kept, clkv_error *error)
{
	clkv__error_clear(error);
	if (!step || !step->open)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "step is %s", step ? "not open" : "NULL");
	clkv_cache *cache = step->cache;
	if (!step->probes)
		CLKV_TRY(check_commit(step, n_kept, error));
	clkv__cache_lock(cache);
	clkv_status status = (step->probes ? commit_probes : commit_rows)(step, n_kept, error);
	clkv__cache_unlock(cache);
	return status;
}
