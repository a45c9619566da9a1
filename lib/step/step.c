/* SPDX-License-Identifier: MIT */
/** \file step.c \brief What the parts of a step share: its memory, staging, undoing, ending. */
#include "step/step.h"

#include "base/alloc.h"
#include "base/error.h"
#include "step/seal_select.h"
#include "store/cache.h"

clkv_status clkv__step_init(struct clkv_step *step, clkv_cache *cache, clkv_error *error)
{
	const clkv_allocator *a = &cache->context->allocator;
	const struct clkv__sizes *s = &cache->sizes;
	*step = (struct clkv_step){.cache = cache};
	step->items = clkv__calloc(a, s->max_step_tokens, sizeof *step->items);
	step->layers = clkv__calloc(a, (size_t)cache->shape.layers, 1);
	step->attended = clkv__calloc(a, (size_t)cache->shape.layers, 1);
	step->journal = clkv__calloc(a, (size_t)s->journal_entries, sizeof *step->journal);
	if (s->asks > 0)
		step->asks =
			clkv__calloc(a, s->moves ? s->max_step_tokens : s->max_step_tokens / s->asks + 1,
		                 sizeof *step->asks);
	if (s->moves)
		step->asking = clkv__calloc(a, s->max_step_tokens, sizeof *step->asking);
	bool ok = (step->asks || s->asks == 0) && step->items && step->layers && step->attended &&
	          step->journal && (step->asking || !s->moves);
	for (unsigned i = 0; i < CLKV__STAGING; i++) {
		step->staging[i].words = clkv__calloc(a, s->staging_words, sizeof(uint32_t));
		ok = ok && step->staging[i].words;
	}
	if (!ok) {
		clkv__step_free(step);
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for steps of %u rows",
		          s->max_step_tokens);
	}
	return CLKV_OK;
}

void clkv__step_free(struct clkv_step *step)
{
	if (!step->cache)
		return;
	const clkv_allocator *a = &step->cache->context->allocator;
	for (unsigned i = 0; i < CLKV__STAGING; i++) {
		if (step->staging[i].done) {
			clWaitForEvents(1, &step->staging[i].done);
			clReleaseEvent(step->staging[i].done);
		}
		clkv__free(a, step->staging[i].words);
	}
	clkv__free(a, step->asks);
	clkv__free(a, step->asking);
	clkv__free(a, step->items);
	clkv__free(a, step->layers);
	clkv__free(a, step->attended);
	clkv__free(a, step->journal);
	*step = (struct clkv_step){0};
}

clkv_status clkv__staging_next(struct clkv_step *step, struct clkv__staging **out,
                               clkv_error *error)
{
	struct clkv__staging *s = &step->staging[step->turn];
	if (s->done) {
		/* Four writes ago: done long since, unless the device is that far behind. */
		CLKV_CL(error, clWaitForEvents(1, &s->done));
		clReleaseEvent(s->done);
		s->done = NULL;
	}
	step->turn = (step->turn + 1) % CLKV__STAGING;
	*out = s;
	return CLKV_OK;
}

clkv_status clkv__staging_write(struct clkv_step *step, struct clkv__staging *staging, cl_mem mem,
                                size_t n_words, clkv_error *error)
{
	return clkv__chain_write(&step->chain, mem, 0, n_words * sizeof(uint32_t), staging->words,
	                         &staging->done, error);
}

static clkv_status send_batch(struct clkv_step *step, size_t first, size_t n, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	const struct clkv__tables *t = &cache->tables;
	struct clkv__staging *staging;
	CLKV_TRY(clkv__staging_next(step, &staging, error));
	for (size_t i = 0; i < n; i++) {
		staging->words[2 * i] = t->pending[first + i];
		staging->words[2 * i + 1] = t->mirror[t->pending[first + i]];
	}
	CLKV_TRY(clkv__staging_write(step, staging, cache->pairs_mem, 2 * n, error));
	return clkv__launch_table_update(cache, &step->chain, (cl_uint)n, error);
}

clkv_status clkv__step_send_tables(struct clkv_step *step, clkv_error *error)
{
	struct clkv__tables *t = &step->cache->tables;
	size_t batch = step->cache->sizes.update_pairs;
	CLKV_TRY(clkv__select_settle(step->cache, error));
	for (size_t i = 0; i < t->n_pending; i += batch) {
		size_t rest = t->n_pending - i;
		CLKV_TRY(send_batch(step, i, rest < batch ? rest : batch, error));
	}
	t->n_pending = 0;
	return CLKV_OK;
}

static void release_block(clkv_cache *cache, const struct clkv__change *c, uint32_t address)
{
	uint32_t flags = c->word - ABI_ENTRY_ADDR + ABI_ENTRY_FLAGS;
	if (!c->sealed)
		clkv__slots_release(&cache->pool.layers[c->layer].open, address);
	else if (clkv__sealed_release(&cache->pool, (int)c->layer, address))
		clkv__code_tables_drop(&cache->code_tables, cache->tables.mirror[flags]);
}

void clkv__step_undo(struct clkv_step *step)
{
	clkv_cache *cache = step->cache;
	struct clkv__tables *t = &cache->tables;
	while (step->n_changes > 0) {
		const struct clkv__change *c = &step->journal[--step->n_changes];
		release_block(cache, c, t->mirror[c->word]);
		/* Begin reserved notes for both the change and its undoing. */
		clkv__tables_set(t, c->word, c->before);
	}
}

void clkv__step_keep(struct clkv_step *step)
{
	for (size_t i = 0; i < step->n_changes; i++)
		if (step->journal[i].before != CLKV__NO_SLOT)
			release_block(step->cache, &step->journal[i], step->journal[i].before);
	step->n_changes = 0;
}

void clkv__step_close(struct clkv_step *step)
{
	for (size_t i = 0; i < step->n_items; i++)
		step->items[i].seq->in_step = false;
	clkv__cache_leave(step->cache, &step->chain);
	step->n_items = 0;
	step->n_changes = 0;
	step->open = false;
	clkv__seq_drop_gone(step->cache);
}

void clkv_step_abort(clkv_step *step)
{
	if (!step || !step->open)
		return;
	pthread_mutex_lock(&step->cache->mutex);
	clkv__step_undo(step);
	clkv__step_close(step);
	pthread_mutex_unlock(&step->cache->mutex);
}
