/* SPDX-License-Identifier: MIT */
/** \file kernels.c \brief Builds a cache's kernels: the macros of its shape, recipe and device. */
#include "attend/kernels.h"

#include "base/alloc.h"
#include "base/error.h"
#include "device/context.h"
#include "plan/projection.h"
#include "program/build.h"
#include "shape/rope.h"
#include "store/cache.h"

#include <string.h>

static void shape_macros(const clkv_cache *cache, const struct clkv__variant *variant,
                         clkv__macros *m)
{
	const struct clkv__shape *s = &cache->shape;
	clkv__macros_init(m);
	clkv__macros_int(m, "LANES", (int)cache->tuning.lanes);
	clkv__macros_int(m, "VEC", (int)cache->tuning.vec);
	clkv__macros_int(m, "BT", cache->plan.general.block);
	clkv__macros_int(m, "DK", s->dk);
	clkv__macros_int(m, "DV", s->dv);
	clkv__macros_int(m, "G", s->g);
	clkv__macros_int(m, "STREAMS", s->streams);
	clkv__macros_int(m, "Q_HEADS", s->q_heads);
	clkv__projection_macros(variant, s, m);
	if (clkv__selects(&cache->plan.select))
		clkv__macros_int(m, "STATE_BYTES", (int)clkv__plan_state(&cache->plan));
	clkv__prune_macros(&variant->prune, s, clkv__plan_section(&cache->plan), m);
	if (variant->codec && variant->codec->bands && clkv__recalls(&cache->plan.recall) &&
	    !clkv__prunes(&variant->prune))
		clkv__macros_int(m, "K_BAND", ABI_BAND);
	if (!variant->dense && clkv__plan_judges(&cache->plan)) {
		clkv__macros_int(m, "LAYERS", s->layers);
		clkv__macros_int(m, "SECTION_ROOM", (int)clkv__plan_section(&cache->plan));
	}
	if (!variant->dense && !clkv__prunes_k(&variant->prune) && clkv__plan_observe(&cache->plan) > 0)
		clkv__macros_int(m, "OBSERVE", clkv__plan_observe(&cache->plan));
}

static void codec_macros(const clkv_cache *cache, const struct clkv__variant *variant,
                         clkv__macros *m)
{
	/* Where nothing is sealed, the kernels are built for sealed blocks in half, and see none. */
	const union clkv__codec_spec half = {
		.affine = {{.bits = 16, .group = 16}, {.bits = 16, .group = 16}}};
	const struct clkv__codec *codec = variant->codec ? variant->codec : &clkv__codec_affine;
	struct clkv__codec_layout layout = variant->layout;
	if (!variant->codec)
		layout.v_params = layout.v_codes =
			(uint32_t)(2 * cache->shape.dk * cache->plan.general.block);
	codec->macros(variant->codec ? &variant->spec : &half, &layout, m);
}

/* A cache whose kernels are being planned. */
struct builder {
	clkv_cache *cache;
};

static clkv_status plan(struct builder *b, const char *file, const char *name,
                        const clkv__macros *macros, struct clkv__kernel *k, clkv_error *error)
{
	struct clkv__kernels *all = b->cache->kernels;
	CLKV_TRY(clkv__program_find(b->cache->context, file, macros, &k->program, error));
	k->name = name;
	k->early = b->cache->tuning.lanes > 1;
	*(all->first ? &all->last->next : &all->first) = k;
	all->last = k;
	return CLKV_OK;
}

/* One whose tile has as many queries as the tuning says. */
static clkv_status plan_tile(struct builder *b, const char *file, const char *name,
                             const clkv__macros *macros, struct clkv__kernel *k, clkv_error *error)
{
	CLKV_TRY(plan(b, file, name, macros, k, error));
	k->early = true;
	return CLKV_OK;
}

/* Kernels of keys that are stored already are the same whoever rotated them, but for those that turn latents. */
static clkv__macros with_rope(const clkv_cache *cache, const struct clkv__variant *variant,
                              const clkv__macros *base)
{
	clkv__macros m = *base;
	clkv__rope_macros(&cache->shape.rope, clkv__groups_turn(&variant->groups, &cache->shape), &m);
	return m;
}

static clkv_status plan_attend(struct builder *b, const struct clkv__variant *variant,
                               const clkv__macros *base, int tile_rows, struct clkv__kernel *k,
                               clkv_error *error)
{
	clkv_context *context = b->cache->context;
	const char *file = "attend_partial.cl", *name = "attend_partial";
	clkv__macros m = with_rope(b->cache, variant, base);
	clkv__macros_int(&m, "HT", b->cache->cut.tile_heads);
	clkv__macros_int(&m, "TR", tile_rows);
	if (!variant->dense && tile_rows > 1 && b->cache->sizes.left_rows > 0)
		clkv__macros_int(&m, "LEAVES", 1);
	if (context->subgroups && b->cache->tuning.lanes > 1) {
		CLKV_TRY(clkv__program_find(context, file, &m, &k->plain, error));
		m.std = context->subgroups;
		clkv__macros_int(&m, "SUBGROUPS", 1);
	}
	return plan(b, file, name, &m, k, error);
}

static clkv_status plan_codec(struct builder *b, const struct clkv__variant *variant,
                              const clkv__macros *shape, const clkv__macros *macros,
                              struct clkv__variant_kernels *k, clkv_error *error)
{
	const struct clkv__codec *c = variant->codec;
	CLKV_TRY(plan(b, c->seal.file, c->seal.name, macros, &k->seal, error));
	const struct clkv__kernel_file prune = clkv__prune_kind_of(&variant->prune)->kernel;
	if (prune.file)
		CLKV_TRY(plan(b, prune.file, prune.name, shape, &k->prune, error));
	if (c->judge.file)
		CLKV_TRY(plan(b, c->judge.file, c->judge.name, macros, &k->judge, error));
	if (variant->prune.lacking_v > 0)
		CLKV_TRY(plan(b, "prune_values.cl", "prune_values", shape, &k->prune_v, error));
	if (!variant->layout.sized)
		return CLKV_OK;
	if (!c->size.file)
		return plan(b, "prune_size.cl", "prune_size", macros, &k->size, error);
	CLKV_TRY(plan(b, c->size.file, c->size.name, macros, &k->size, error));
	if (!variant->layout.flat)
		CLKV_TRY(plan(b, c->count.file, c->count.name, macros, &k->count, error));
	if (variant->layout.verify)
		CLKV_TRY(plan(b, c->verify.file, c->verify.name, macros, &k->verify, error));
	return CLKV_OK;
}

static int place_of(const clkv_cache *cache)
{
	const struct clkv__placement *p = &cache->plan.place;
	return clkv__fills_slots(p)    ? ABI_PLACE_SLOTS
	       : clkv__host_attends(p) ? ABI_PLACE_HOST
	                               : ABI_PLACE_BLOCKS;
}

/* One row of all heads that share a group, as in decoding. */
static void row_macros(const struct builder *b, clkv__macros *m)
{
	clkv__macros_int(m, "HT", b->cache->cut.tile_heads);
	clkv__macros_int(m, "TR", 1);
}

/* As many rows as the tuning allows, as in a prompt. */
static void tile_macros(const struct builder *b, clkv__macros *m)
{
	clkv__macros_int(m, "HT", b->cache->cut.tile_heads);
	clkv__macros_int(m, "TR", b->cache->cut.tile_rows);
}

/* What reads single tokens of a variant's blocks. */
static clkv_status plan_listed(struct builder *b, const clkv__macros *codec,
                               struct clkv__variant_kernels *k, clkv_error *error)
{
	clkv__macros m = with_rope(b->cache, &b->cache->plan.sealing, codec);
	row_macros(b, &m);
	clkv__macros_int(&m, "PLACE", place_of(b->cache));
	CLKV_TRY(plan(b, "recall_attend.cl", "recall_attend", &m, &k->recall, error));
	if (!clkv__index_kind_of(&b->cache->plan.recall)->by_keys)
		return CLKV_OK;
	clkv__macros_int(&m, "INDEX", b->cache->plan.recall.kind);
	clkv__macros_int(&m, "PROBED", b->cache->plan.recall.probe);
	return plan(b, "recall_score_tokens.cl", "recall_score_tokens", &m, &k->score, error);
}

/* What reads kept tokens of a variant's blocks, and weighs them. */
static clkv_status plan_selecting(struct builder *b, const clkv__macros *codec,
                                  struct clkv__variant_kernels *k, clkv_error *error)
{
	const struct clkv__select *s = &b->cache->plan.select;
	clkv__macros m = *codec, tile;
	clkv__select_macros(s, &m);
	tile = m;
	tile_macros(b, &tile);
	const struct clkv__kernel_file rows = clkv__score_of(s)->rows;
	if (rows.file)
		CLKV_TRY(plan_tile(b, rows.file, rows.name, &tile, &k->score_rows, error));
	if (s->old)
		CLKV_TRY(plan_tile(b, "score_sums.cl", "score_sums", &tile, &k->score_sums, error));
	row_macros(b, &m);
	if (clkv__weighs(s))
		CLKV_TRY(plan(b, rows.file, rows.name, &m, &k->score_row, error));
	CLKV_TRY(plan(b, "gather_slots.cl", "gather_slots", &m, &k->gather, error));
	if (b->cache->sizes.merged_blocks == 0)
		return CLKV_OK;
	return plan(b, "merge_slots.cl", "merge_slots", &m, &k->merge_slots, error);
}

/* What chooses, and what else the kind of choice wants. */
static clkv_status plan_choice(struct builder *b, const clkv__macros *m,
                               struct clkv__select_kernels *k, clkv_error *error)
{
	const struct clkv__kernel_file *files = clkv__choice_of(&b->cache->plan.select)->kernels;
	for (int i = 0; i < CLKV__CHOICE_ROLES; i++)
		if (files[i].file)
			CLKV_TRY(plan(b, files[i].file, files[i].name, m, &k->choice[i], error));
	return CLKV_OK;
}

/* What a score wants beside the rows that it holds against blocks. */
static clkv_status plan_score(struct builder *b, const clkv__macros *m,
                              struct clkv__select_kernels *k, clkv_error *error)
{
	const struct clkv__score *score = clkv__score_of(&b->cache->plan.select);
	const struct clkv__kernel_file turns = score->turns, shares = score->shares;
	clkv__macros turning = *m;
	clkv__rope_macros(&b->cache->shape.rope, true, &turning);
	if (turns.file)
		CLKV_TRY(plan(b, turns.file, turns.name, &turning, &k->turns, error));
	return shares.file ? plan(b, shares.file, shares.name, m, &k->shares, error) : CLKV_OK;
}

static clkv_status plan_select(struct builder *b, clkv_error *error)
{
	const struct clkv__select *s = &b->cache->plan.select;
	struct clkv__select_kernels *k = &b->cache->kernels->select;
	const struct clkv__variant plain = {.dense = true};
	clkv__macros m, tile;
	shape_macros(b->cache, &plain, &m);
	clkv__select_macros(s, &m);
	tile = m;
	tile_macros(b, &tile);
	row_macros(b, &m);
	CLKV_TRY(plan(b, "select_list.cl", "select_list", &m, &k->list, error));
	CLKV_TRY(plan_score(b, &m, k, error));
	CLKV_TRY(plan_choice(b, &m, k, error));
	CLKV_TRY(plan(b, "mark_slots.cl", "mark_slots", &m, &k->mark, error));
	if (s->pool > 1)
		CLKV_TRY(plan(b, "score_pool.cl", "score_pool", &m, &k->pool, error));
	if (s->layers)
		CLKV_TRY(plan(b, "score_mean.cl", "score_mean", &m, &k->mean, error));
	if (clkv__select_mixes(s))
		CLKV_TRY(plan(b, "score_mix.cl", "score_mix", &m, &k->mix, error));
	if (b->cache->sizes.left_rows > 0)
		CLKV_TRY(plan(b, "score_weights.cl", "score_weights", &tile, &k->weights, error));
	return clkv__select_weighs_merged(s)
	           ? plan(b, "weigh_dropped.cl", "weigh_dropped", &m, &k->weigh, error)
	           : CLKV_OK;
}

static clkv_status plan_recall(struct builder *b, clkv_error *error)
{
	const struct clkv__recall *r = &b->cache->plan.recall;
	const struct clkv__index_kind *kind = clkv__index_kind_of(r);
	struct clkv__recall_kernels *k = &b->cache->kernels->recall;
	/* not of a codec, but of keys that are turned: so are queries */
	const struct clkv__variant plain = {.dense = true, .project = b->cache->plan.sealing.project};
	clkv__macros m;
	shape_macros(b->cache, &plain, &m);
	clkv__recall_macros(r, &b->cache->shape, &m);
	row_macros(b, &m);
	CLKV_TRY(plan(b, "recall_select.cl", "recall_select", &m, &k->select, error));
	CLKV_TRY(plan(b, "recall_list.cl", "recall_list", &m, &k->list, error));
	if (clkv__fills_slots(&b->cache->plan.place))
		CLKV_TRY(plan(b, "place_rows.cl", "place_rows", &m, &k->place, error));
	if (r->entropy)
		CLKV_TRY(plan(b, "recall_budget.cl", "recall_budget", &m, &k->budget, error));
	clkv__rope_macros(&b->cache->shape.rope, r->distance > 0, &m);
	if (r->probe)
		CLKV_TRY(plan(b, "recall_probe.cl", "recall_probe", &m, &k->probe, error));
	if (kind->by_keys)
		return CLKV_OK;
	CLKV_TRY(plan(b, "recall_score.cl", "recall_score", &m, &k->score, error));
	CLKV_TRY(plan(b, "index_points.cl", "index_points", &m, &k->points, error));
	if (r->observe > 0)
		CLKV_TRY(plan(b, "index_metric.cl", "index_metric", &m, &k->metric, error));
	return plan(b, kind->build.file, kind->build.name, &m, &k->build, error);
}

static clkv_status plan_variant(struct builder *b, const struct clkv__variant *variant,
                                struct clkv__variant_kernels *k, clkv_error *error)
{
	clkv__macros shape, codec, rotating, merging;
	shape_macros(b->cache, variant, &shape);
	rotating = merging = with_rope(b->cache, &(const struct clkv__variant){.dense = true}, &shape);
	codec = shape;
	codec_macros(b->cache, variant, &codec);
	if (clkv__groups_turn(&variant->groups, &b->cache->shape))
		codec = with_rope(b->cache, variant, &codec);
	if (b->cache->use == CLKV__CACHE_READS)
		return plan(b, "read_rows.cl", "read_rows", &codec, &k->read, error);
	CLKV_TRY(plan_attend(b, variant, &codec, b->cache->cut.tile_rows, &k->attend_tile, error));
	k->attend_tile.early |= b->cache->use == CLKV__CACHE_ATTENDS;
	CLKV_TRY(plan_attend(b, variant, &codec, 1, &k->attend_row, error));
	CLKV_TRY(plan(b, "append_rows.cl", "append_rows", &rotating, &k->append, error));
	if (!variant->dense && clkv__weighs(&b->cache->plan.select))
		clkv__macros_int(&merging, "KEEP_ALL", 1);
	CLKV_TRY(plan(b, "attend_merge.cl", "attend_merge", &merging, &k->merge, error));
	if (!variant->dense && clkv__plan_observes(&b->cache->plan))
		CLKV_TRY(plan(b, "observe_rows.cl", "observe_rows", &merging, &k->observe, error));
	CLKV_TRY(plan(b, "read_rows.cl", "read_rows", &codec, &k->read, error));
	if (variant->codec && b->cache->sizes.segs > 0)
		CLKV_TRY(plan_listed(b, &codec, k, error));
	if (variant->codec && clkv__selects(&b->cache->plan.select))
		CLKV_TRY(plan_selecting(b, &codec, k, error));
	return variant->codec ? plan_codec(b, variant, &shape, &codec, k, error) : CLKV_OK;
}

static clkv_status plan_all(struct builder *b, clkv_error *error)
{
	clkv_cache *cache = b->cache;
	struct clkv__kernels *k = cache->kernels;
	clkv__macros none;
	clkv__macros_init(&none);
	if (cache->plan.general.skip < cache->shape.layers)
		for (int i = 0; i <= cache->plan.n_more; i++)
			CLKV_TRY(plan_variant(b, clkv__plan_sealing(&cache->plan, i), &k->sealing[i], error));
	if (cache->plan.general.skip > 0)
		CLKV_TRY(plan_variant(b, &cache->plan.dense, &k->dense, error));
	if (cache->sizes.segs > 0)
		CLKV_TRY(plan_recall(b, error));
	if (clkv__selects(&cache->plan.select))
		CLKV_TRY(plan_select(b, error));
	return plan(b, "table_update.cl", "table_update", &none, &k->table_update, error);
}

clkv_status clkv__kernels_build(clkv_cache *cache, const char **refused, clkv_error *error)
{
	struct builder b = {cache};
	*refused = NULL;
	cache->kernels = clkv__calloc(&cache->context->allocator, 1, sizeof *cache->kernels);
	if (!cache->kernels)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for a cache's kernels");
	CLKV_TRY(plan_all(&b, error));
	return clkv__kernels_make_early(cache, refused, error);
}

void clkv__kernels_free(clkv_cache *cache)
{
	if (!cache->kernels)
		return;
	for (struct clkv__kernel *k = cache->kernels->first; k; k = k->next)
		if (k->made)
			clReleaseKernel(k->made);
	clkv__free(&cache->context->allocator, cache->kernels);
	cache->kernels = NULL;
}
