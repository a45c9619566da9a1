/* SPDX-License-Identifier: MIT */
/** \file step.c \brief What the parts of a step share: its memory, undoing, ending. */
#include "step/step.h"

#include "attend/tables_send.h"
#include "base/alloc.h"
#include "base/error.h"
#include "step/seal_select.h"
#include "store/cache.h"

clkv_status clkv__step_init(struct clkv_step *step, clkv_cache *cache, clkv_error *error)
{
	const clkv_allocator *a = &cache->context->allocator;
	const struct clkv__sizes *s = &cache->sizes;
	size_t items = s->max_sequences < s->max_step_tokens ? s->max_sequences : s->max_step_tokens;
	*step = (struct clkv_step){.cache = cache};
	step->items = clkv__calloc(a, items, sizeof *step->items);
	step->layers = clkv__calloc(a, (size_t)cache->shape.layers, 1);
	step->attended = clkv__calloc(a, (size_t)cache->shape.layers, 1);
	step->journal = clkv__calloc(a, (size_t)s->journal_entries, sizeof *step->journal);
	if (s->asks > 0)
		step->pass.lists =
			clkv__calloc(a, s->moves ? s->max_step_tokens : s->max_step_tokens / s->asks + 1,
		                 sizeof *step->pass.lists);
	if (s->moves)
		step->pass.asks = clkv__calloc(a, s->max_step_tokens, sizeof *step->pass.asks);
	bool ok = (step->pass.lists || s->asks == 0) && step->items && step->layers && step->attended &&
	          step->journal && (step->pass.asks || !s->moves);
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
	clkv__free(a, step->pass.lists);
	clkv__free(a, step->pass.asks);
	clkv__free(a, step->items);
	clkv__free(a, step->layers);
	clkv__free(a, step->attended);
	clkv__free(a, step->journal);
	*step = (struct clkv_step){0};
}

clkv_status clkv__step_send_tables(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error)
{
	CLKV_TRY(clkv__select_settle(cache, chain, error));
	return clkv__tables_send(cache, chain, error);
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
