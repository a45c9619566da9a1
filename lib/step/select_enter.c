/* SPDX-License-Identifier: MIT */
/** \file select_enter.c \brief Tables of a sequence as a selection leaves them. */
#include "step/choose.h"
#include "step/select_work.h"

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
static uint32_t take_staying(const struct clkv__work *w, int layer, uint32_t row,
                             const struct clkv__head_change *c, const uint32_t *of,
                             uint32_t *staying)
{
	clkv_cache *cache = w->cache;
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
static uint32_t enter_head(struct clkv__work *w, int layer, int stream)
{
	clkv_cache *cache = w->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block,
			 h = (uint32_t)(layer * cache->shape.streams + stream);
	const uint32_t *of = w->found + h * clkv__found_words(cache) + 2;
	const struct clkv__head_change *c = &w->changes[h];
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

void clkv__select_enter_item(struct clkv__work *w)
{
	clkv_cache *cache = w->cache;
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
	if (clkv__chooser_of(cache)->note)
		clkv__chooser_of(cache)->note(w);
}
