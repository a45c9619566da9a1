/* SPDX-License-Identifier: MIT */
/** \file cut.c \brief Tiles that fit the device's local memory, splits that fill its units. */
#include "attend/cut.h"

#include "base/error.h"
#include "device/limits.h"

/* A tile has as many queries as the tuning allows: enough to pay for widening a code once, few enough
 * for the registers. The number of a split is kept in 16 bits. */
enum { MAX_TILE_ROWS = 16, MAX_GROUPS = 32768 };

/* Local memory of one query in attend_partial, codecs that fold on both sides: itself and folded, its
 * sums, its scores and folded weights of a block, two sums of minimums, three numbers, and what the codec adds. */
static size_t query_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan)
{
	size_t dk = (size_t)shape->dk, dv = (size_t)shape->dv, bt = (size_t)plan->general.block;
	size_t kept = clkv__prune_kind_of(&plan->sealing.prune)->drops ? dk : 0;
	size_t more = (size_t)plan->sealing.layout.query_floats;
	return sizeof(float) * (2 * dk + kept + dv + 2 * bt + 2 + 3 + more);
}

void clkv__cut_narrow(const struct clkv__plan *plan, struct clkv__tuning *tuning)
{
	for (int i = 0; i <= plan->n_more; i++) {
		const struct clkv__variant *v = clkv__plan_sealing(plan, i);
		bool folds = clkv__prune_kind_of(&v->prune)->drops && v->codec->codes(&v->spec, 0);
		while (folds && v->layout.kept.k_rows % (int)tuning->vec)
			tuning->vec /= 2;
	}
}

/* Rows that are made whole at a time; of K factors, amplitudes, how many values precede each channel, and codes. */
static size_t whole_bytes(const struct clkv__plan *plan, const struct clkv__tuning *tuning, int dk,
                          int dv)
{
	const struct clkv__variant *v = &plan->sealing;
	size_t bt = (size_t)plan->general.block, rows = tuning->lanes == 1 ? 32 : 8;
	size_t tile = 0, rest = 0;
	if (clkv__prune_kind_of(&v->prune)->holes) {
		tile = rows * bt * sizeof(float);
		rest = ((size_t)dk + 4 * bt) * sizeof(float) + (size_t)dk * 2 +
		       (v->codec->codes(&v->spec, 0) ? (size_t)dk * bt + 16 : 0);
	}
	if (v->prune.lacking_v > 0 && rows * (size_t)dv * sizeof(float) > tile)
		tile = rows * (size_t)dv * sizeof(float);
	return tile + rest;
}

/* Blocks of a split. One whose codec has much to do for each takes more on a CPU; a GPU would rather do it at once in many. */
static uint32_t least_blocks(const struct clkv__plan *plan, const struct clkv__tuning *tuning)
{
	uint32_t tokens = tuning->lanes == 1 ? plan->sealing.layout.split_tokens : 0;
	uint32_t blocks = tokens / (uint32_t)plan->general.block;
	return blocks > tuning->min_blocks ? blocks : tuning->min_blocks;
}

clkv_status clkv__cut_choose(const clkv_context *context, const struct clkv__shape *shape,
                             const struct clkv__plan *plan, const struct clkv__tuning *tuning,
                             struct clkv__cut *cut, clkv_error *error)
{
	/* a float per lane for sums over lanes */
	size_t all = sizeof(float) * tuning->lanes + plan->sealing.layout.decoded_bytes +
	             whole_bytes(plan, tuning, shape->dk, shape->dv);
	size_t local = clkv__limits_local_bytes(context, tuning->lanes), one = query_bytes(shape, plan);
	if (local < all + one)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "head sizes %d and %d with block=%d need %zu bytes of local memory and %zu per "
		          "query; device '%s' gives %zu: take a smaller block%s",
		          shape->dk, shape->dv, plan->general.block, all, one, context->info.name, local,
		          plan->sealing.project == ABI_PROJECT_ATOMS ? ", or fewer atoms or chunks" : "");
	int queries = (int)((local - all) / one);
	queries = queries < (int)tuning->queries ? queries : (int)tuning->queries;
	int heads = shape->g;
	while (heads > queries || shape->g % heads)
		heads--;
	int rows = 1;
	while (rows * 2 <= MAX_TILE_ROWS && rows * 2 * heads <= queries)
		rows *= 2;
	uint64_t groups = (uint64_t)context->info.compute_units * tuning->groups;
	*cut = (struct clkv__cut){
		.tile_rows = rows,
		.tile_heads = heads,
		.target_groups = groups < MAX_GROUPS ? (uint32_t)groups : MAX_GROUPS,
		.min_blocks = least_blocks(plan, tuning),
	};
	return CLKV_OK;
}
