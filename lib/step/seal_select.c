/* SPDX-License-Identifier: MIT */
/**
 * \file    seal_select.c
 * \brief   Tokens that leave a window: scored, chosen, merged, gathered, sealed.
 *
 * The device scores and chooses; the host waits for how many tokens each head keeps of each block, finds places, and the
 * device gathers what has to move. A head's blocks are gathered anew from the first on at which that pays: until then
 * dropped slots of sealed blocks are only marked.
 *
 * All items of a step change together. First new blocks of all of them are made, beside those that they have. Then slots
 * are marked in place; as the work buffers hold one item's choice, those of the others are made again. Once a mark is
 * enqueued there is no way back, so what fails behind it is owed: it's made up for before anything else that the device
 * is asked to do. Last the host's tables change.
 */
#include "step/seal_select.h"

#include "attend/launch_weights.h"
#include "base/alloc.h"
#include "base/error.h"
#include "step/choose.h"
#include "step/select_work.h"
#include "store/leaving.h"

#define NO_ITEM SIZE_MAX

/* Those of a step's items. */
struct clkv__works {
	size_t n, chosen; /* whose choice the work buffers hold, or NO_ITEM */
	struct clkv__work work[];
};

static size_t n_heads(const clkv_cache *cache)
{
	return (size_t)(cache->shape.layers * cache->shape.streams);
}

/* Whether tokens are judged by rows that read them, and none has read all up to `end`: they stay beside the slots. */
static bool is_unread(const struct clkv__step_item *item, uint32_t end)
{
	return clkv__select_rereads(&item->seq->cache->plan.select) && item->seq->reread < end;
}

/* What leaves the window of an item of which n_new rows are kept, and the slots of its sequence. */
static struct clkv__leaving leaving_of(const clkv_cache *cache, const struct clkv__step_item *item,
                                       uint32_t n_new, struct clkv__quota *q)
{
	clkv_seq *seq = item->seq;
	const struct clkv__filling f = clkv__filling_of(seq);
	uint32_t end = f.length + n_new, tail = clkv__leaving_first(&cache->plan, &f, end);
	struct clkv__leaving l = {
		.seq = seq,
		.slab = seq->slab,
		.open = seq->kept.merged_blocks,
		.sinks = clkv__sinks(cache, end),
		.tail = tail,
		.from = tail,
		.end = end,
	};
	l.n = clkv__leaving_window(&cache->plan, &f, item->phase, n_new, q);
	if (is_unread(item, end))
		q->kept = end; /* all that there are */
	if (item->phase == CLKV_REREAD)
		l.end += item->n_new; /* blocks of rows that go again are scored as others are */
	l.blocks = clkv__selected_blocks(seq, l.end);
	return l;
}

void clkv__select_needs(const clkv_cache *cache, const struct clkv__step_item *item,
                        uint64_t *sealed, uint64_t *half)
{
	struct clkv__quota q;
	struct clkv__leaving l = leaving_of(cache, item, clkv__item_adds(item), &q);
	uint32_t most = clkv__select_most(&cache->plan.select, &q, l.n);
	*sealed += l.n > 0 ? clkv__blocks_of(cache, most) : 0;
	*half += l.n > 0 ? clkv__blocks_of(cache, q.merged) : 0;
}

static clkv_status check_attended(const struct clkv_step *step, const struct clkv__work *w,
                                  clkv_error *error)
{
	const clkv_cache *cache = step->cache;
	const struct clkv__select *s = &cache->plan.select;
	const struct clkv__score *score = clkv__score_of(s);
	bool wanted = w->weighs || (score->attention && !score->reread && w->selects);
	for (int l = cache->plan.general.skip; wanted && l < cache->shape.layers; l++)
		if (!step->attended[l])
			CLKV_FAIL(error, CLKV_ERROR_INVALID_STATE,
			          "layer %d was appended, but not attended with: stage '%s' chooses tokens by "
			          "attention",
			          clkv__shape_layer(&cache->shape, l), s->stage);
	return CLKV_OK;
}

/* A prompt's end that would choose among tokens that no row has read again. */
static clkv_status check_reread(const clkv_cache *cache, const struct clkv__step_item *item,
                                const struct clkv__work *w, clkv_error *error)
{
	const struct clkv__filling f = clkv__filling_of(item->seq);
	struct clkv__quota q;
	uint32_t n = clkv__leaving_window(&cache->plan, &f, item->phase, item->n_new, &q);
	if (w->first && w->ends && n > q.kept && is_unread(item, w->leaving.end))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_STATE,
		          "a prompt of %u tokens ends, of which rows of CLKV_REREAD have read %u: stage "
		          "'%s' judges by them; allowed: clkv_seq_end_prompt once all were read again",
		          w->leaving.end, item->seq->reread, cache->plan.select.stage);
	return CLKV_OK;
}

/* The rows by which tokens are scored: those of this step as far as they weigh, or the newest. */
static struct clkv__scoring scoring_of(const struct clkv__work *w, uint32_t row, uint32_t n_rows)
{
	const clkv_cache *cache = w->cache;
	uint32_t observe = (uint32_t)clkv__plan_observe(&cache->plan), end = w->leaving.end;
	uint32_t n = observe < end ? observe : end;
	if (clkv__weighs(&cache->plan.select))
		return (struct clkv__scoring){
			cache->selection.rows, cache->sizes.max_step_tokens, row, n_rows, end - n_rows, 0};
	return (struct clkv__scoring){
		cache->seen.mem, observe, observe ? (end - n) % observe : 0, n, end - n, w->seq->seen};
}

/* Scores of all tokens and, if some leave the window, what is kept of them. Again: as it was found before. */
static clkv_status choose(struct clkv__work *w, bool again, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	if (w->left)
		CLKV_TRY(clkv__launch_weighed(cache, w->chain, error));
	else if (w->scores)
		CLKV_TRY(clkv__launch_score_rows(cache, w->chain, &w->leaving, &w->by, error));
	if (!w->selects)
		return CLKV_OK;
	CLKV_TRY(clkv__launch_candidates(cache, w->chain, &w->leaving, error));
	CLKV_TRY(again ? clkv__select_write_quotas(w, error) : clkv__select_set_quotas(w, error));
	return clkv__chooser_of(cache)->launch(w, again, error);
}

static clkv_status get_memory(struct clkv__work *w, clkv_error *error)
{
	const clkv_cache *cache = w->cache;
	const clkv_allocator *a = &cache->context->allocator;
	size_t heads = w->n_heads;
	w->found = clkv__calloc(a, heads, (clkv__found_words(cache) + 3) * sizeof *w->found);
	w->changes = clkv__calloc(a, heads, sizeof *w->changes);
	if (!w->found || !w->changes)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for the choice of %zu heads",
		          heads);
	w->quotas = w->found + heads * clkv__found_words(cache);
	w->bounds = w->quotas + heads;
	return CLKV_OK;
}

static clkv_status select_tokens(struct clkv__work *w, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	size_t words = (size_t)w->n_heads * clkv__found_words(cache);
	CLKV_TRY(choose(w, false, error));
	CLKV_TRY(clkv__chain_read_now(w->chain, cache->selection.found, 0, words * 4, w->found, error));
	CLKV_TRY(clkv__select_plan(w, error));
	return clkv__select_gather(w, error);
}

static void free_work(struct clkv__work *w)
{
	const clkv_allocator *a = &w->cache->context->allocator;
	clkv__free(a, w->spots);
	clkv__free(a, w->addresses);
	clkv__free(a, w->changes);
	clkv__free(a, w->found);
}

void clkv__select_free(clkv_cache *cache)
{
	struct clkv__works *all = cache->selection.works;
	for (size_t i = 0; all && i < all->n; i++)
		free_work(&all->work[i]);
	clkv__free(&cache->context->allocator, all);
	cache->selection.works = NULL;
}

/* ---- all items of a commit ---- */

/* Whether n rows of an item are all that attention has let weigh tokens, in all layers. */
static bool has_weighed(const struct clkv_step *step, const struct clkv__step_item *item,
                        uint32_t n)
{
	const struct clkv__left_item *left = &step->pass.left;
	bool all = left->works.n > 0 && item == &step->items[left->item] && n == left->n_rows;
	for (int l = step->cache->plan.general.skip; all && l < step->cache->shape.layers; l++)
		all = step->weighed[l];
	return all;
}

static struct clkv__work work_of(struct clkv_step *step, const struct clkv__step_item *item,
                                 uint32_t n_kept)
{
	const clkv_cache *cache = step->cache;
	const struct clkv__filling f = clkv__filling_of(item->seq);
	bool by = clkv__select_by(&cache->plan.select, item->phase);
	uint32_t n_rows = by ? item->phase == CLKV_REREAD ? item->n_new : n_kept : 0;
	struct clkv__work w = {.cache = step->cache,
	                       .chain = &step->chain,
	                       .seq = item->seq,
	                       .n_heads = (uint32_t)n_heads(cache),
	                       .first = !item->seq->kept.selected,
	                       .ends = item->phase == CLKV_PROMPT_END,
	                       .done = true};
	w.counted = clkv__leaving_counts(&f, item->phase, f.length + n_kept);
	w.leaving = leaving_of(cache, item, n_kept, &w.quota);
	w.unread = is_unread(item, item->seq->length + n_kept);
	w.weighs = n_rows > 0;
	w.left = w.weighs && has_weighed(step, item, n_rows);
	if (n_kept == 0 && !w.ends && !w.weighs)
		return w;
	w.selects = w.leaving.n > 0;
	w.scores = w.weighs || (w.selects && clkv__score_of(&cache->plan.select)->attention);
	w.done = !w.weighs && !w.selects;
	if (w.scores)
		w.by = scoring_of(&w, item->row, n_rows);
	return w;
}

static clkv_status make_works(struct clkv_step *step, const uint32_t *n_kept, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	struct clkv__works *all = clkv__calloc(&cache->context->allocator, 1,
	                                       sizeof *all + step->n_items * sizeof *all->work);
	if (!all)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu items", step->n_items);
	*all = (struct clkv__works){.n = step->n_items, .chosen = NO_ITEM};
	cache->selection.works = all;
	for (size_t i = 0; i < all->n; i++)
		all->work[i] = work_of(step, &step->items[i], n_kept[i]);
	for (size_t i = 0; i < all->n; i++)
		if (!all->work[i].done) {
			CLKV_TRY(check_attended(step, &all->work[i], error));
			CLKV_TRY(check_reread(cache, &step->items[i], &all->work[i], error));
		}
	return CLKV_OK;
}

/* Notes for the words that entering all of them changes. */
static clkv_status reserve_entries(const struct clkv__works *all, clkv_cache *cache,
                                   clkv_error *error)
{
	size_t words = 0;
	for (size_t i = 0; i < all->n; i++) {
		const struct clkv__work *w = &all->work[i];
		for (uint32_t h = 0; w->selects && h < w->n_heads; h++)
			words += 1 + ABI_ENTRY_WORDS * ((size_t)w->merged_blocks + w->changes[h].stays +
			                                w->changes[h].blocks);
	}
	return clkv__tables_reserve(&cache->tables, words, error);
}

/* New blocks of all items, beside those that they have. */
static clkv_status make_blocks(struct clkv__works *all, clkv_cache *cache, clkv_error *error)
{
	for (size_t i = 0; i < all->n; i++) {
		struct clkv__work *w = &all->work[i];
		if (!w->selects)
			continue;
		CLKV_TRY(get_memory(w, error));
		all->chosen = NO_ITEM;
		CLKV_TRY(select_tokens(w, error));
		all->chosen = i;
	}
	return reserve_entries(all, cache, error);
}

static clkv_status mark_item(struct clkv__works *all, size_t i, struct clkv__chain *chain,
                             clkv_error *error)
{
	struct clkv__work *w = &all->work[i];
	if (w->done)
		return CLKV_OK;
	w->chain = chain;
	if (all->chosen != i) {
		all->chosen = NO_ITEM;
		CLKV_TRY(choose(w, true, error));
		all->chosen = i;
	}
	CLKV_TRY(clkv__launch_mark(w->cache, w->chain, &w->leaving, &w->marked, error));
	w->done = true;
	return CLKV_OK;
}

/* All that is not enqueued yet; the item whose choice is still there first. */
static clkv_status mark_all(struct clkv__works *all, struct clkv__chain *chain, clkv_error *error)
{
	if (all->chosen != NO_ITEM)
		CLKV_TRY(mark_item(all, all->chosen, chain, error));
	for (size_t i = 0; i < all->n; i++)
		CLKV_TRY(mark_item(all, i, chain, error));
	return CLKV_OK;
}

static bool is_marked(const struct clkv__works *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->work[i].marked > 0)
			return true;
	return false;
}

bool clkv__select_is_marked(const clkv_cache *cache)
{
	return cache->selection.works && is_marked(cache->selection.works);
}

void clkv__select_undo(clkv_cache *cache)
{
	struct clkv__works *all = cache->selection.works;
	for (size_t i = 0; all && i < all->n; i++)
		clkv__select_release(&all->work[i]);
	clkv__select_free(cache);
}

clkv_status clkv__select(struct clkv_step *step, const uint32_t *n_kept, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	clkv_status status = make_works(step, n_kept, error);
	if (status == CLKV_OK)
		status = make_blocks(cache->selection.works, cache, error);
	if (status != CLKV_OK)
		clkv__select_undo(cache);
	return status;
}

clkv_status clkv__select_mark(struct clkv_step *step, bool must, clkv_error *error)
{
	struct clkv__works *all = step->cache->selection.works;
	clkv_status status = mark_all(all, &step->chain, error);
	if (status == CLKV_OK || (!must && !is_marked(all)))
		return status;
	clkv__error_clear(error);
	return CLKV_OK;
}

void clkv__select_enter(clkv_cache *cache)
{
	struct clkv__works *all = cache->selection.works;
	bool owes = false;
	for (size_t i = 0; i < all->n; i++) {
		if (all->work[i].selects)
			clkv__select_enter_item(&all->work[i]);
		all->work[i].seq = all->work[i].leaving.seq = NULL;
		owes = owes || !all->work[i].done;
	}
	if (!owes)
		clkv__select_free(cache);
}

clkv_status clkv__select_settle(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error)
{
	if (!cache->selection.works)
		return CLKV_OK;
	CLKV_TRY(mark_all(cache->selection.works, chain, error));
	clkv__select_free(cache);
	return CLKV_OK;
}
