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

#include "attend/launch_select.h"
#include "base/alloc.h"
#include "base/error.h"
#include "select/budget.h"
#include "step/seal.h"
#include "step/seal_runs.h"
#include "store/sizes_select.h"

/* What the tables of one (layer, KV head) will be. */
struct change {
	uint32_t kept;  /* tokens, all */
	uint32_t stays; /* entries in front of this one stay, but for those without a kept slot */
	uint32_t first; /* number of the kept tokens behind them */
	uint32_t blocks;
};

/* One item's selection. */
struct work {
	struct clkv_step *step;
	clkv_seq *seq; /* until it is entered */
	struct clkv__leaving leaving;
	struct clkv__scoring by;
	struct clkv__quota quota;
	bool scores, selects; /* tokens are weighed by rows; some leave the window */
	bool done;            /* all marks are enqueued; else how many launches of them are */
	uint32_t marked;
	uint32_t n_heads, merged_blocks, most_blocks, counted;
	bool first, ends, shares; /* nothing was kept before; a prompt ends; its slots are shared out */
	uint32_t *found, *quotas, *bounds, *spots, *addresses; /* [heads][..] */
	struct change *changes;
};

#define NO_ITEM SIZE_MAX

/* Those of a step's items. */
struct clkv__works {
	size_t n, chosen; /* whose choice the work buffers hold, or NO_ITEM */
	struct work work[];
};

static size_t n_heads(const clkv_cache *cache)
{
	return (size_t)(cache->shape.layers * cache->shape.streams);
}

/* Tokens of which a share of a sequence of `end` tokens is a share: those of its prompts, and of a short text all. */
static uint32_t counted_of(const clkv_seq *seq, clkv_phase phase, uint32_t end)
{
	bool grows = seq->kept.selected && phase == CLKV_DECODE;
	return clkv__select_counts(grows ? seq->kept.counted : 0, end);
}

static struct clkv__quota quota_of(const clkv_cache *cache, uint32_t counted)
{
	const struct clkv__general *g = &cache->plan.general;
	return clkv__select_quota(&cache->plan.select, (uint32_t)g->sinks, (uint32_t)g->window,
	                          counted);
}

/* What leaves the window of an item whose sequence gets `end` tokens. */
static struct clkv__leaving leaving_of(const clkv_cache *cache, const struct clkv__step_item *item,
                                       uint32_t end, const struct clkv__quota *q)
{
	const struct clkv__select *s = &cache->plan.select;
	clkv_seq *seq = item->seq;
	uint32_t bt = (uint32_t)cache->plan.general.block, sinks = clkv__sinks(cache, end);
	uint32_t tail = seq->tail > sinks ? seq->tail : sinks;
	uint32_t all = q->sinks + q->window + q->kept + q->merged;
	bool fits = !clkv__select_is_open(s) && end <= all && !seq->kept.selected &&
	            clkv__plan_plain(&cache->plan);
	bool waits = item->phase == CLKV_PROMPT && cache->plan.general.seal == 1;
	struct clkv__leaving l = {
		.seq = seq,
		.slab = seq->slab,
		.open = seq->kept.merged_blocks,
		.sinks = sinks,
		.tail = tail,
		.from = tail,
		.end = end,
	};
	l.blocks = clkv__selected_blocks(seq, end);
	if (!fits && !waits && end > tail && end - tail > q->window) {
		l.n = end - tail - q->window;
		l.n = item->phase == CLKV_PROMPT_END ? l.n : l.n / bt * bt;
	}
	return l;
}

void clkv__select_needs(const clkv_cache *cache, const struct clkv__step_item *item,
                        uint64_t *sealed, uint64_t *half)
{
	uint32_t bt = (uint32_t)cache->plan.general.block, end = item->seq->length + item->n_new;
	struct clkv__quota q = quota_of(cache, counted_of(item->seq, item->phase, end));
	struct clkv__leaving l = leaving_of(cache, item, end, &q);
	const struct clkv__select *s = &cache->plan.select;
	bool open = clkv__select_is_open(s) || s->kind == ABI_SELECT_RUNS;
	uint32_t most = open || q.kept > l.n ? l.n : q.kept;
	*sealed += l.n > 0 ? (most + bt - 1) / bt : 0;
	*half += l.n > 0 ? (q.merged + bt - 1) / bt : 0;
}

static clkv_status check_attended(const struct clkv_step *step, bool selects, clkv_error *error)
{
	const clkv_cache *cache = step->cache;
	const struct clkv__select *s = &cache->plan.select;
	bool wanted = clkv__weighs(s) || (s->score == ABI_SCORE_SEEN && selects);
	for (int l = cache->plan.general.skip; wanted && l < cache->shape.layers; l++)
		if (!step->attended[l])
			CLKV_FAIL(error, CLKV_ERROR_INVALID_STATE,
			          "layer %d was appended, but not attended with: stage '%s' chooses tokens by "
			          "attention",
			          l, s->stage);
	return CLKV_OK;
}

/* The rows by which tokens are scored: those of this step, or the newest. */
static struct clkv__scoring scoring_of(const struct work *w, uint32_t row, uint32_t n_kept)
{
	const clkv_cache *cache = w->step->cache;
	uint32_t observe = (uint32_t)clkv__plan_observe(&cache->plan), end = w->leaving.end;
	uint32_t n = observe < end ? observe : end;
	if (clkv__weighs(&cache->plan.select))
		return (struct clkv__scoring){
			cache->selection.rows, cache->sizes.max_step_tokens, row, n_kept, w->seq->length, 0};
	return (struct clkv__scoring){
		cache->seen.mem, observe, observe ? (end - n) % observe : 0, n, end - n, w->seq->seen};
}

static clkv_status read_floats(const clkv_cache *cache, cl_mem mem, size_t head, size_t n,
                               float *to, clkv_error *error)
{
	struct clkv__chain *chain = (struct clkv__chain *)&cache->step.chain;
	return clkv__chain_read_now(chain, mem, head * cache->sizes.places * sizeof *to, n * sizeof *to,
	                            to, error);
}

/* A layer's slots to the heads with the best scores. */
static clkv_status share_heads(struct work *w, float *scores, int layer, clkv_error *error)
{
	clkv_cache *cache = w->step->cache;
	size_t streams = (size_t)cache->shape.streams, n = w->leaving.n, kept[CLKV__MAX_LIST];
	size_t first = (size_t)layer * streams;
	for (size_t i = 0; i < streams; i++)
		CLKV_TRY(read_floats(cache, cache->selection.ranks, first + i, n, scores + i * n, error));
	CLKV_TRY(clkv__budget_heads(&cache->context->allocator, scores, streams, n, w->quota.kept,
	                            cache->plan.select.least, kept, error));
	for (size_t i = 0; i < streams; i++)
		w->quotas[first + i] = (uint32_t)kept[i];
	return CLKV_OK;
}

/* The newest tokens of a layer that leave its attention almost as it was. */
static clkv_status share_energy(struct work *w, float *scores, int layer, clkv_error *error)
{
	clkv_cache *cache = w->step->cache;
	const struct clkv__leaving *l = &w->leaving;
	uint32_t bt = (uint32_t)cache->plan.general.block, sinks = l->sinks;
	size_t streams = (size_t)cache->shape.streams, places = l->blocks * bt, newest;
	size_t at = (clkv__blocks_of(cache, sinks) - l->tail / bt) * (size_t)bt;
	for (size_t i = 0; i < streams; i++) { /* from places to tokens in the order of time */
		float *mine = scores + i * l->end, *all = scores + streams * l->end;
		CLKV_TRY(read_floats(cache, cache->selection.scores, (size_t)layer * streams + i, places,
		                     all, error));
		for (uint32_t p = 0; p < l->end; p++)
			mine[p] = all[p < sinks ? p : at + p];
	}
	CLKV_TRY(clkv__budget_energy(&cache->context->allocator, scores, streams, l->end, sinks,
	                             cache->plan.select.tau, &newest, error));
	for (size_t i = 0; i < streams; i++)
		w->quotas[(size_t)layer * streams + i] =
			newest > w->quota.window ? (uint32_t)newest - w->quota.window : 0;
	return CLKV_OK;
}

/* All layers' slots so that each keeps the same share of its scores. */
static clkv_status share_curve(struct work *w, float *scores, size_t *kept, clkv_error *error)
{
	clkv_cache *cache = w->step->cache;
	size_t skip = (size_t)cache->plan.general.skip, n = w->leaving.n;
	size_t layers = (size_t)cache->shape.layers - skip, streams = (size_t)cache->shape.streams;
	for (size_t l = 0; l < layers; l++) /* all heads' are their mean */
		CLKV_TRY(read_floats(cache, cache->selection.ranks, (skip + l) * streams, n, scores + l * n,
		                     error));
	CLKV_TRY(clkv__budget_curve(&cache->context->allocator, scores, layers, n,
	                            layers * w->quota.kept, kept, error));
	for (size_t i = 0; i < layers * streams; i++)
		w->quotas[skip * streams + i] = (uint32_t)kept[i / streams];
	return CLKV_OK;
}

/* Quotas that depend on the scores of more than one head. */
static clkv_status share(struct work *w, clkv_error *error)
{
	clkv_cache *cache = w->step->cache;
	int rule = cache->plan.select.rule, skip = cache->plan.general.skip;
	size_t streams = (size_t)cache->shape.streams, layers = (size_t)cache->shape.layers;
	size_t rows = rule == CLKV__BUDGET_CURVE ? layers : streams + 1;
	size_t n = (w->leaving.blocks + 1) * (size_t)cache->plan.general.block;
	size_t bytes = rows * n * sizeof(float) + layers * sizeof(size_t);
	float *scores = clkv__calloc(&cache->context->allocator, 1, bytes);
	clkv_status status = CLKV_OK;
	if (!scores)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu scores", rows * n);
	if (rule == CLKV__BUDGET_CURVE) {
		/* the counts behind the scores: a multiple of 64 floats in front keeps them aligned */
		status = share_curve(w, scores, (size_t *)(void *)(scores + rows * n), error);
	} else {
		for (int l = skip; l < cache->shape.layers && status == CLKV_OK; l++)
			status = rule == CLKV__BUDGET_HEADS ? share_heads(w, scores, l, error)
			                                    : share_energy(w, scores, l, error);
	}
	clkv__free(&cache->context->allocator, scores);
	return status;
}

static clkv_status write_quotas(const struct work *w, clkv_error *error)
{
	return clkv__chain_write_now(&w->step->chain, w->step->cache->selection.quotas, 0,
	                             w->n_heads * sizeof *w->quotas, w->quotas, error);
}

/* What a head may keep once slots were shared out: what it has, and what each head's even part has grown by. */
static uint32_t own_quota(const struct work *w, uint32_t head)
{
	const struct clkv__kept_counts *kept = &w->seq->kept;
	uint32_t more = w->quota.kept > kept->quota.kept ? w->quota.kept - kept->quota.kept : 0;
	return kept->live[head] + more;
}

/* How many tokens each head keeps. */
static clkv_status set_quotas(struct work *w, clkv_error *error)
{
	clkv_cache *cache = w->step->cache;
	int rule = cache->plan.select.rule;
	for (uint32_t h = 0; h < w->n_heads; h++)
		w->quotas[h] = rule == CLKV__BUDGET_ENERGY ? UINT32_MAX
		               : w->seq->kept.shared       ? own_quota(w, h)
		                                           : w->quota.kept;
	w->shares = clkv__select_compares(&cache->plan.select) && w->first && w->ends &&
	            (rule == CLKV__BUDGET_ENERGY || w->leaving.n > w->quota.kept);
	if (w->shares)
		CLKV_TRY(share(w, error));
	return write_quotas(w, error);
}

/* Words of one head in `found`: candidates.clh. */
static uint32_t found_words(const clkv_cache *cache)
{
	return cache->sizes.cap + 2;
}

/* From which entry on a head's kept tokens are gathered anew: the last that leaves not too many blocks. */
static void plan_head(const struct work *w, int layer, int stream)
{
	const clkv_cache *cache = w->step->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block,
			 h = (uint32_t)(layer * cache->shape.streams + stream);
	const uint32_t *found = w->found + h * found_words(cache), *of = found + 2;
	uint32_t row = clkv__seq_row(w->seq, layer, stream), open = w->seq->kept.merged_blocks;
	uint32_t n = clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED), alive = 0, before = 0;
	struct change *c = &w->changes[h];
	*c = (struct change){.kept = found[1]};
	uint32_t most = clkv__kept_blocks(c->kept, bt);
	for (uint32_t e = open; e < n; e++) {
		alive += of[e] > 0;
		before += of[e];
	}
	for (c->stays = n; c->stays > open && alive + (c->kept - before + bt - 1) / bt > most;
	     c->stays--) {
		alive -= of[c->stays - 1] > 0;
		before -= of[c->stays - 1];
	}
	c->first = before;
	c->blocks = (c->kept - before + bt - 1) / bt;
}

static void plan_heads(struct work *w)
{
	const clkv_cache *cache = w->step->cache;
	w->most_blocks = 0;
	for (int l = cache->plan.general.skip; l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++) {
			plan_head(w, l, s);
			uint32_t blocks = w->changes[l * cache->shape.streams + s].blocks;
			w->most_blocks = blocks > w->most_blocks ? blocks : w->most_blocks;
		}
}

/* Some head dropped a token, and there are slots for it. */
static bool merges(const struct work *w)
{
	const clkv_cache *cache = w->step->cache;
	uint32_t skip = (uint32_t)(cache->plan.general.skip * cache->shape.streams);
	for (uint32_t h = skip; h < w->n_heads && w->quota.merged > 0; h++)
		if (w->found[h * found_words(cache)] > w->changes[h].kept)
			return true;
	return false;
}

/* New half blocks for merged slots; those of before stay as they are until all is done. */
static clkv_status take_spots(struct work *w, clkv_error *error)
{
	clkv_cache *cache = w->step->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block, streams = (uint32_t)cache->shape.streams;
	uint32_t wanted = (w->quota.merged + bt - 1) / bt;
	w->merged_blocks = w->seq->kept.merged_blocks;
	if (!merges(w))
		return CLKV_OK;
	if (w->merged_blocks < wanted)
		w->merged_blocks = wanted;
	w->spots = clkv__calloc(&cache->context->allocator, (size_t)w->n_heads * w->merged_blocks,
	                        sizeof *w->spots);
	if (!w->spots)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %u merged blocks",
		          w->merged_blocks);
	uint32_t n = w->n_heads * w->merged_blocks,
			 skip = (uint32_t)cache->plan.general.skip * streams * w->merged_blocks;
	for (uint32_t i = 0; i < n; i++)
		w->spots[i] = CLKV__NO_SLOT;
	for (uint32_t i = skip; i < n; i++) {
		int layer = (int)(i / w->merged_blocks / streams);
		w->spots[i] = clkv__slots_take(&cache->pool.layers[layer].open);
		if (w->spots[i] == CLKV__NO_SLOT)
			return clkv__seal_fail_full(cache, layer, error);
	}
	CLKV_TRY(clkv__chain_write_now(&w->step->chain, cache->selection.spots, 0, n * sizeof *w->spots,
	                               w->spots, error));
	return clkv__launch_merge(cache, &w->leaving, w->quota.merged, w->merged_blocks, error);
}

/* Jobs number first and on: records, then destinations, of heads that have such a block. */
static uint32_t put_jobs(const struct work *w, uint32_t first, uint32_t n, uint32_t *words)
{
	const clkv_cache *cache = w->step->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block, streams = (uint32_t)cache->shape.streams;
	uint32_t *dst = words + n * ABI_SEAL_WORDS;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t *job = words + i * ABI_SEAL_WORDS;
		job[ABI_SEAL_SLAB] = w->seq->slab;
		job[ABI_SEAL_CAP] = cache->sizes.cap;
		job[ABI_SEAL_FROM] =
			1; /* what codecs do with a sequence's first tokens is not for what is chosen */
		job[ABI_SEAL_COUNT] = bt;
		job[ABI_SEAL_DST] = (uint32_t)(dst - words);
		job[ABI_SEAL_SEEN] = w->seq->seen;
		job[ABI_SEAL_END] = w->leaving.end;
		job[ABI_SEAL_MASK] = i == 0 ? n : 0;
		job[ABI_SEAL_AT] = i * ABI_SEAL_WORDS;
		for (uint32_t h = 0; h < w->n_heads; h++, dst += ABI_DST_WORDS) {
			const struct change *c = &w->changes[h];
			const struct clkv__layer_pool *pool = &cache->pool.layers[h / streams];
			uint32_t at = (first + i) * bt, left = c->kept - c->first;
			dst[ABI_DST_ADDR] = CLKV__NO_SLOT;
			dst[ABI_DST_FLAGS] = 0;
			dst[ABI_DST_SOURCE] =
				pool->staged + (i * streams + h % streams) * cache->sizes.half_units;
			dst[ABI_DST_COUNT] = first + i >= c->blocks ? 0 : left - at < bt ? left - at : bt;
			dst[ABI_DST_FIRST] = c->first + at;
		}
	}
	return (uint32_t)(dst - words);
}

/* What became of the jobs: address and flags of each head's block. */
static void note_blocks(struct work *w, uint32_t first, uint32_t n, const uint32_t *words)
{
	const uint32_t *dst = words + n * ABI_SEAL_WORDS;
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t h = 0; h < w->n_heads; h++, dst += ABI_DST_WORDS) {
			uint32_t *to = w->addresses + ((size_t)(first + i) * w->n_heads + h) * 2;
			to[0] = dst[ABI_DST_ADDR];
			to[1] = dst[ABI_DST_FLAGS];
		}
}

/* Gathers and seals all new blocks, some jobs at a time. */
static clkv_status seal_all(struct work *w, clkv_error *error)
{
	struct clkv_step *step = w->step;
	clkv_cache *cache = step->cache;
	uint32_t batch =
		cache->sizes.max_jobs < CLKV__STAGED_JOBS ? cache->sizes.max_jobs : CLKV__STAGED_JOBS;
	for (uint32_t first = 0, n; first < w->most_blocks; first += n) {
		struct clkv__staging *staging;
		n = w->most_blocks - first < batch ? w->most_blocks - first : batch;
		CLKV_TRY(clkv__staging_next(step, &staging, error));
		uint32_t n_words = put_jobs(w, first, n, staging->words);
		clkv_status status = clkv__seal_encode(step, staging, n, n_words, error);
		note_blocks(w, first, n, staging->words);
		CLKV_TRY(status);
		CLKV_TRY(clkv__launch_states(cache, &w->leaving, n, error));
	}
	return CLKV_OK;
}

/* Frees blocks that a selection has taken for nothing. */
static void release_taken(struct work *w)
{
	clkv_cache *cache = w->step->cache;
	uint32_t streams = (uint32_t)cache->shape.streams;
	for (uint32_t i = 0; w->spots && i < w->n_heads * w->merged_blocks; i++)
		if (w->spots[i] != CLKV__NO_SLOT)
			clkv__slots_release(&cache->pool.layers[i / w->merged_blocks / streams].open,
			                    w->spots[i]);
	for (size_t i = 0; w->addresses && i < (size_t)w->most_blocks * w->n_heads; i++)
		if (w->addresses[2 * i] != CLKV__NO_SLOT &&
		    clkv__sealed_release(&cache->pool, (int)(i % w->n_heads / streams),
		                         w->addresses[2 * i]))
			clkv__code_tables_drop(&cache->code_tables, w->addresses[2 * i + 1]);
}

/* Entries of a row as they will be. */
struct entries {
	struct clkv__tables *tables;
	uint32_t row, n, slots;
};

static void put_entry(struct entries *e, uint32_t address, uint32_t count, uint32_t flags)
{
	uint32_t at = e->row + ABI_ROW_ENTRY(e->n);
	clkv__tables_set(e->tables, at + ABI_ENTRY_ADDR, address);
	clkv__tables_set(e->tables, at + ABI_ENTRY_POS, e->slots);
	clkv__tables_set(e->tables, at + ABI_ENTRY_COUNT, count);
	clkv__tables_set(e->tables, at + ABI_ENTRY_FLAGS, flags);
	e->slots += count;
	e->n++;
}

/* Entries that stay, [n][3] words: address, tokens, flags; the others are freed. Returns how many. */
static uint32_t take_staying(const struct work *w, int layer, uint32_t row, const struct change *c,
                             const uint32_t *of, uint32_t *staying)
{
	clkv_cache *cache = w->step->cache;
	const struct clkv__tables *t = &cache->tables;
	uint32_t open = w->seq->kept.merged_blocks, kept = 0;
	for (uint32_t i = 0; i < clkv__tables_get(t, row + ABI_ROW_SEALED); i++) {
		uint32_t entry = row + ABI_ROW_ENTRY(i), *to = staying + 3 * kept;
		if (i < open ? w->spots != NULL : i >= c->stays || of[i] == 0) {
			clkv__seq_release_entry(cache, layer, entry);
			continue;
		}
		to[0] = clkv__tables_get(t, entry + ABI_ENTRY_ADDR);
		to[1] = clkv__tables_get(t, entry + ABI_ENTRY_COUNT);
		to[2] = clkv__tables_get(t, entry + ABI_ENTRY_FLAGS);
		kept++;
	}
	return kept;
}

/* The new entries of one head, and what it no longer needs is freed. Returns how many they are. */
static uint32_t enter_head(struct work *w, int layer, int stream)
{
	clkv_cache *cache = w->step->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block,
			 h = (uint32_t)(layer * cache->shape.streams + stream);
	const uint32_t *of = w->found + h * found_words(cache) + 2;
	const struct change *c = &w->changes[h];
	struct entries e = {&cache->tables, clkv__seq_row(w->seq, layer, stream), 0, 0};
	uint32_t *staying = w->addresses + (size_t)w->most_blocks * w->n_heads * 2;
	uint32_t n = take_staying(w, layer, e.row, c, of, staying), left = w->quota.merged;
	for (uint32_t i = 0; w->spots && i < w->merged_blocks; i++, left -= left < bt ? left : bt)
		put_entry(&e, w->spots[h * w->merged_blocks + i], left < bt ? left : bt, ABI_FLAG_OPEN);
	for (uint32_t i = 0; i < n; i++)
		put_entry(&e, staying[i * 3], staying[i * 3 + 1], staying[i * 3 + 2]);
	left = c->kept - c->first;
	for (uint32_t i = 0; i < c->blocks; i++, left -= left < bt ? left : bt) {
		const uint32_t *to = w->addresses + ((size_t)i * w->n_heads + h) * 2;
		put_entry(&e, to[0], left < bt ? left : bt, to[1]);
	}
	clkv__tables_set(e.tables, e.row + ABI_ROW_SEALED, e.n);
	w->seq->kept.live[h] = c->kept;
	return e.n;
}

static struct clkv__runs runs_of(const struct work *w)
{
	return (struct clkv__runs){&w->leaving, &w->quota, w->quotas, w->first && w->ends};
}

static void enter(struct work *w)
{
	clkv_cache *cache = w->step->cache;
	clkv_seq *seq = w->seq;
	uint32_t most = 0;
	for (int l = cache->plan.general.skip; l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++) {
			uint32_t n = enter_head(w, l, s);
			most = n > most ? n : most;
		}
	seq->kept.merged_blocks = w->merged_blocks;
	seq->kept.entries = most;
	seq->kept.quota = w->quota;
	seq->kept.counted = w->counted;
	seq->kept.shared = seq->kept.shared || w->shares;
	seq->kept.selected = true;
	seq->tail = w->leaving.from + w->leaving.n;
	if (cache->plan.select.kind == ABI_SELECT_RUNS) {
		const struct clkv__runs runs = runs_of(w);
		clkv__seal_runs_note(cache, &runs, w->bounds);
	}
}

/* Once it's known what stays: places, blocks, tables. */
static clkv_status settle(struct work *w, clkv_error *error)
{
	clkv_cache *cache = w->step->cache;
	const clkv_allocator *a = &cache->context->allocator;
	size_t blocks = (size_t)w->most_blocks * w->n_heads;
	w->addresses = clkv__calloc(a, 2 * blocks + 3 * (size_t)cache->sizes.cap, sizeof *w->addresses);
	if (!w->addresses)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu blocks", blocks);
	for (size_t i = 0; i < blocks; i++)
		w->addresses[2 * i] = CLKV__NO_SLOT;
	CLKV_TRY(take_spots(w, error));
	return seal_all(w, error);
}

static clkv_status check_cap(const struct work *w, clkv_error *error)
{
	const clkv_cache *cache = w->step->cache;
	uint32_t open = w->quota.merged > 0 ? cache->sizes.merged_blocks : 0;
	for (uint32_t h = 0; h < w->n_heads; h++)
		if (open + w->changes[h].stays + w->changes[h].blocks > cache->sizes.cap)
			CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "more entries than a table holds");
	return CLKV_OK;
}

static clkv_status launch_choice(struct work *w, bool again, clkv_error *error)
{
	clkv_cache *cache = w->step->cache;
	switch (cache->plan.select.kind) {
	case ABI_SELECT_CASCADE:
		return clkv__launch_cascade(cache, &w->leaving, &w->quota, error);
	case ABI_SELECT_RUNS: {
		const struct clkv__runs runs = runs_of(w);
		return again ? clkv__seal_runs_again(w->step, &w->leaving, w->bounds, error)
		             : clkv__seal_runs(w->step, &runs, w->bounds, error);
	}
	default:
		return clkv__launch_select(cache, !w->first && !cache->plan.select.any, error);
	}
}

/* Scores of all tokens and, if some leave the window, what is kept of them. Again: as it was found before. */
static clkv_status choose(struct work *w, bool again, clkv_error *error)
{
	clkv_cache *cache = w->step->cache;
	if (w->scores)
		CLKV_TRY(clkv__launch_score_rows(cache, &w->leaving, &w->by, error));
	if (!w->selects)
		return CLKV_OK;
	CLKV_TRY(clkv__launch_candidates(cache, &w->leaving, error));
	CLKV_TRY(again ? write_quotas(w, error) : set_quotas(w, error));
	return launch_choice(w, again, error);
}

static clkv_status get_memory(struct work *w, clkv_error *error)
{
	const clkv_cache *cache = w->step->cache;
	const clkv_allocator *a = &cache->context->allocator;
	size_t heads = w->n_heads;
	w->found = clkv__calloc(a, heads, (found_words(cache) + 3) * sizeof *w->found);
	w->changes = clkv__calloc(a, heads, sizeof *w->changes);
	if (!w->found || !w->changes)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for the choice of %zu heads",
		          heads);
	w->quotas = w->found + heads * found_words(cache);
	w->bounds = w->quotas + heads;
	return CLKV_OK;
}

static clkv_status select_tokens(struct work *w, clkv_error *error)
{
	clkv_cache *cache = w->step->cache;
	size_t words = (size_t)w->n_heads * found_words(cache);
	CLKV_TRY(choose(w, false, error));
	CLKV_TRY(clkv__chain_read_now(&w->step->chain, cache->selection.found, 0, words * 4, w->found,
	                              error));
	plan_heads(w);
	CLKV_TRY(check_cap(w, error));
	return settle(w, error);
}

static void free_work(struct work *w)
{
	const clkv_allocator *a = &w->step->cache->context->allocator;
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

static struct work work_of(struct clkv_step *step, const struct clkv__step_item *item,
                           uint32_t n_kept)
{
	const clkv_cache *cache = step->cache;
	uint32_t end = item->seq->length + n_kept;
	bool weighs = clkv__weighs(&cache->plan.select);
	struct work w = {.step = step,
	                 .seq = item->seq,
	                 .n_heads = (uint32_t)n_heads(cache),
	                 .first = !item->seq->kept.selected,
	                 .ends = item->phase == CLKV_PROMPT_END,
	                 .done = true};
	w.counted = counted_of(item->seq, item->phase, end);
	w.quota = quota_of(cache, w.counted);
	w.leaving = leaving_of(cache, item, end, &w.quota);
	if (n_kept == 0)
		return w;
	w.selects = w.leaving.n > 0;
	w.scores = weighs || (w.selects && cache->plan.select.score == ABI_SCORE_SEEN);
	w.done = !weighs && !w.selects;
	if (w.scores)
		w.by = scoring_of(&w, item->row, n_kept);
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
		if (!all->work[i].done)
			CLKV_TRY(check_attended(step, all->work[i].selects, error));
	return CLKV_OK;
}

/* Notes for the words that entering all of them changes. */
static clkv_status reserve_entries(const struct clkv__works *all, clkv_cache *cache,
                                   clkv_error *error)
{
	size_t words = 0;
	for (size_t i = 0; i < all->n; i++) {
		const struct work *w = &all->work[i];
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
		struct work *w = &all->work[i];
		if (!w->selects)
			continue;
		CLKV_TRY(get_memory(w, error));
		all->chosen = NO_ITEM;
		cache->step.leaving = &w->leaving;
		clkv_status status = select_tokens(w, error);
		cache->step.leaving = NULL;
		CLKV_TRY(status);
		all->chosen = i;
	}
	return reserve_entries(all, cache, error);
}

static clkv_status mark_item(struct clkv__works *all, size_t i, clkv_error *error)
{
	struct work *w = &all->work[i];
	if (w->done)
		return CLKV_OK;
	if (all->chosen != i) {
		all->chosen = NO_ITEM;
		CLKV_TRY(choose(w, true, error));
		all->chosen = i;
	}
	CLKV_TRY(clkv__launch_mark(w->step->cache, &w->leaving, &w->marked, error));
	w->done = true;
	return CLKV_OK;
}

/* All that is not enqueued yet; the item whose choice is still there first. */
static clkv_status mark_all(struct clkv__works *all, clkv_error *error)
{
	if (all->chosen != NO_ITEM)
		CLKV_TRY(mark_item(all, all->chosen, error));
	for (size_t i = 0; i < all->n; i++)
		CLKV_TRY(mark_item(all, i, error));
	return CLKV_OK;
}

static bool is_marked(const struct clkv__works *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->work[i].marked > 0)
			return true;
	return false;
}

clkv_status clkv__select(struct clkv_step *step, const uint32_t *n_kept, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	clkv_status status = make_works(step, n_kept, error);
	struct clkv__works *all = cache->selection.works;
	if (status == CLKV_OK)
		status = make_blocks(all, cache, error);
	if (status == CLKV_OK)
		status = mark_all(all, error);
	if (status == CLKV_OK)
		return status;
	if (all && is_marked(all)) {
		clkv__error_clear(error);
		return CLKV_OK;
	}
	for (size_t i = 0; all && i < all->n; i++)
		release_taken(&all->work[i]);
	clkv__select_free(cache);
	return status;
}

void clkv__select_enter(clkv_cache *cache)
{
	struct clkv__works *all = cache->selection.works;
	bool owes = false;
	for (size_t i = 0; i < all->n; i++) {
		if (all->work[i].selects)
			enter(&all->work[i]);
		all->work[i].seq = all->work[i].leaving.seq = NULL;
		owes = owes || !all->work[i].done;
	}
	if (!owes)
		clkv__select_free(cache);
}

clkv_status clkv__select_settle(clkv_cache *cache, clkv_error *error)
{
	if (!cache->selection.works)
		return CLKV_OK;
	CLKV_TRY(mark_all(cache->selection.works, error));
	clkv__select_free(cache);
	return CLKV_OK;
}
