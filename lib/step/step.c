/* SPDX-License-Identifier: MIT */
/** \file step.c \brief What the parts of a step share: its memory, undoing, ending. */
#include "step/step.h"

#include "attend/tables_send.h"
#include "base/alloc.h"
#include "base/error.h"
#include "step/seal_select.h"
#include "store/cache.h"

/* Everything of a step but its first structure. */
static bool take_memory(struct clkv_step *step, const clkv_cache *cache)
{
	const clkv_allocator *a = &cache->context->allocator;
	const struct clkv__sizes *s = &cache->sizes;
	size_t layers = (size_t)cache->shape.layers, asks = s->max_step_tokens;
	size_t lists = s->asks == 0 ? 0 : s->moves ? asks : asks / s->asks + 1;
	step->items = clkv__calloc(a, s->max_step_tokens, sizeof *step->items);
	step->layers = clkv__calloc(a, layers, 1);
	step->attended = clkv__calloc(a, layers, 1);
	step->weighed = clkv__calloc(a, layers, 1);
	if (lists > 0)
		step->pass.lists = clkv__calloc(a, lists, sizeof *step->pass.lists);
	if (s->moves)
		step->pass.asks = clkv__calloc(a, asks, sizeof *step->pass.asks);
	return step->items && step->layers && step->attended && step->weighed &&
	       (step->pass.lists || lists == 0) && (step->pass.asks || !s->moves);
}

clkv_status clkv__step_init(clkv_cache *cache, clkv_error *error)
{
	struct clkv_step *step = clkv__calloc(&cache->context->allocator, 1, sizeof *step);
	if (step)
		step->cache = cache;
	cache->step = step;
	if (!step || !take_memory(step, cache))
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for steps of %u rows",
		          cache->sizes.max_step_tokens);
	return CLKV_OK;
}

void clkv__step_free(clkv_cache *cache)
{
	const clkv_allocator *a = &cache->context->allocator;
	struct clkv_step *step = cache->step;
	if (!step)
		return;
	clkv__free(a, step->pass.lists);
	clkv__free(a, step->pass.asks);
	clkv__free(a, step->items);
	clkv__free(a, step->layers);
	clkv__free(a, step->attended);
	clkv__free(a, step->weighed);
	clkv__free(a, step);
	cache->step = NULL;
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
	while (t->n_changes > 0) {
		const struct clkv__change *c = &t->journal[--t->n_changes];
		release_block(cache, c, t->mirror[c->word]);
		/* Begin reserved notes for both the change and its undoing. */
		clkv__tables_set(t, c->word, c->before);
	}
}

void clkv__step_keep(struct clkv_step *step)
{
	struct clkv__tables *t = &step->cache->tables;
	for (size_t i = 0; i < t->n_changes; i++)
		if (t->journal[i].before != CLKV__NO_SLOT)
			release_block(step->cache, &t->journal[i], t->journal[i].before);
	t->n_changes = 0;
}

void clkv__step_close(struct clkv_step *step)
{
	for (size_t i = 0; i < step->n_items; i++)
		step->items[i].seq->in_step = false;
	clkv__cache_leave(step->cache, &step->chain);
	step->n_items = 0;
	step->cache->tables.n_changes = 0;
	step->open = false;
	clkv__seq_drop_gone(step->cache);
}

void clkv__step_drop(struct clkv_step *step)
{
	clkv__step_undo(step);
	clkv__step_close(step);
}

void clkv_step_abort(clkv_step *step)
{
	if (!step || !step->open)
		return;
	clkv_cache *cache = step->cache;
	clkv__cache_lock(cache);
	for (; step; step = step->next_band)
		clkv__step_drop(step);
	clkv__cache_unlock(cache);
}
