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
	for (int l = 0; l < step->cache->shape.layers; l++)
		if (step->layers[l] != CLKV__LAYER_APPENDED)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_STATE,
			          "layer %d was not appended: every layer must be, or abort the step", l);
	for (size_t i = 0; n_kept && i < step->n_items; i++) {
		uint32_t n = step->items[i].n_new;
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
	if (item->n_new == 0)
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
	clkv__seq_release_half(seq, clkv__blocks_of(cache, seq->length), reserved, false);
	/* Blocks before the tail and behind the sinks are wholly sealed. */
	uint32_t bt = (uint32_t)cache->plan.general.block;
	uint32_t first = clkv__blocks_of(cache, clkv__sinks(cache, seq->length));
	if (!cache->plan.sealing.dense && seq->tail / bt > first)
		clkv__seq_release_half(seq, first, seq->tail / bt, true);
}

/* Figures that sealing counts, so that a commit that fails counts nothing. */
struct figures {
	struct clkv__code_progress codes;
	uint64_t checked, to_host;
};

static struct figures figures_of(clkv_cache *cache)
{
	return (struct figures){clkv__code_tables_progress(&cache->code_tables), cache->values_checked,
	                        cache->place->moved.to_host};
}

static void go_back(clkv_cache *cache, const struct figures *before)
{
	clkv__code_tables_go_back(&cache->code_tables, &before->codes);
	cache->values_checked = before->checked;
	cache->place->moved.to_host = before->to_host;
}

/* All items together: as long as something can fail, their sequences stay as they are. */
static clkv_status commit(struct clkv_step *step, const size_t *n_kept, uint32_t *kept,
                          clkv_error *error)
{
	clkv_cache *cache = step->cache;
	const struct figures before = figures_of(cache);
	bool selects = clkv__selects(&cache->plan.select);
	for (size_t i = 0; i < step->n_items; i++)
		kept[i] = n_kept ? (uint32_t)n_kept[i] : step->items[i].n_new;
	clkv_status status = selects ? clkv__select(step, kept, error) : clkv__seal(step, kept, error);
	if (status != CLKV_OK) {
		go_back(cache, &before);
		return status;
	}
	clkv__step_keep(step);
	if (selects)
		clkv__select_enter(cache);
	for (size_t i = 0; i < step->n_items; i++)
		finish_item(step, &step->items[i], kept[i]);
	cache->steps++;
	/* A figure: that it can't be read is no reason to fail a step that is done. */
	(void)clkv__counters_read(&cache->counters, &step->chain, NULL);
	clkv__step_close(step);
	return CLKV_OK;
}

clkv_status clkv_step_commit(clkv_step *step, const size_t *n_kept, clkv_error *error)
{
	clkv__error_clear(error);
	if (!step || !step->open)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "step is %s", step ? "not open" : "NULL");
	clkv_cache *cache = step->cache;
	if (step->probes) {
		pthread_mutex_lock(&cache->mutex);
		clkv_status ended = clkv__probe_commit(step, n_kept, error);
		pthread_mutex_unlock(&cache->mutex);
		return ended;
	}
	CLKV_TRY(check_commit(step, n_kept, error));
	uint32_t *kept = clkv__calloc(&cache->context->allocator, step->n_items, sizeof *kept);
	if (!kept)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu items", step->n_items);
	pthread_mutex_lock(&cache->mutex);
	uint64_t start = clkv__meter_now(&cache->meter);
	clkv_status status = commit(step, n_kept, kept, error);
	cache->meter.host_ns += clkv__meter_now(&cache->meter) - start;
	pthread_mutex_unlock(&cache->mutex);
	clkv__free(&cache->context->allocator, kept);
	return status;
}
