/* SPDX-License-Identifier: MIT */
/**
 * \file    plan.h
 * \brief   A recipe applied to a geometry: what each layer stores and how.
 */
#ifndef CLKV__PLAN_H
#define CLKV__PLAN_H

#include "codec/codec.h"
#include "plan/placement.h"
#include "recall/recall.h"
#include "select/select.h"

#include <clkv.h>
#include <stdbool.h>

/** Entries of a list in a recipe; variants of layers and heads that prune differently. */
enum { CLKV__MAX_LIST = 1024, CLKV__MAX_VARIANTS = 8 };

/** Keys behind `;`: they hold for the whole recipe. */
struct clkv__general {
	int window;       /**< tokens that stay in half at the end of a sequence */
	int sinks;        /**< tokens that stay in half at its beginning */
	int block;        /**< tokens of a block */
	int skip;         /**< first layers that stay in half */
	int seal;         /**< 0: chunk by chunk, 1: at the prompt's end; the stages' if not given */
	int budget_bytes; /**< that a KV head's slots may take in a layer, in place of a budget in slots; 0: as the stage says */
};

/** Numbers of a row of K and of V that sealed blocks hold in place of its channels: ranks, multiples of 16; of rows that are sums
 *  of atoms, how many atoms there are. */
struct clkv__latents {
	int k, v;
};

/** Whose rows have latents together: numbers of KV heads, which divide the model's; 0: rows have no latents. Of `share` layers that
 *  follow each other, where it's above 1: those of the model from a multiple of it on. */
struct clkv__groups {
	int k, v;
	bool before; /**< latents are of keys in front of RoPE */
	int share;   /**< layers; 0 and 1: one */
};

/** What the layers of one kind do with their tokens. */
struct clkv__variant {
	bool dense;                      /**< never seals: all tokens stay in half */
	int project;                     /**< ABI_PROJECT_*: how K, V and q are turned */
	struct clkv__latents latents;    /**< if rows have some (ABI_PROJECT_LATENTS, _ATOMS); else 0 */
	struct clkv__groups groups;      /**< and whose */
	struct clkv__prune prune;        /**< channels of K that sealed blocks lack */
	const struct clkv__codec *codec; /**< of sealed blocks; NULL if dense */
	union clkv__codec_spec spec;
	struct clkv__codec_layout layout;
};

/** A key's list of numbers: one for each layer, or for each KV head of each layer. */
struct clkv__list {
	int n; /**< 0: no list, the key's value holds for all */
	float value[CLKV__MAX_LIST];
};

struct clkv__plan {
	struct clkv__general general;
	struct clkv__recall recall;   /**< in layers that seal */
	struct clkv__select select;   /**< of tokens, in layers that seal */
	struct clkv__placement place; /**< of sealed blocks */
	struct clkv__variant
		sealing; /**< of layers skip .. layers - 1; of several, that which keeps least */
	struct clkv__variant dense; /**< of layers 0 .. skip - 1 */
	uint32_t
		slides; /**< of a band that never seals: tokens that its layers see at most, behind which nothing is kept; 0: all
	                    is */
	uint32_t layer_units
		[CLKV__MAX_LIST]; /**< of a block of all KV heads of a layer, as far as a calibration tells how large
	                                           blocks are; 0: as layouts say */
	int n_more;           /**< variants beside `sealing` that keep more channels */
	struct clkv__variant more[CLKV__MAX_VARIANTS - 1];
	bool per_head;                       /**< which[] is by head, else by layer */
	unsigned char which[CLKV__MAX_LIST]; /**< 0: sealing, i: more[i - 1]; all 0 without a list */
};

/** Room for the canonical form of any recipe. */
#define CLKV__RECIPE_TEXT 4096

/** The first token that is kept of a sequence of this length whose layers slide: whole blocks go. A probe is a row at the place of
 *  the last token, whose window begins one token before that of the row to come. */
static inline uint32_t clkv__plan_slid(const struct clkv__plan *plan, uint32_t length)
{
	uint32_t bt = (uint32_t)plan->general.block;
	return plan->slides == 0 || length <= plan->slides ? 0 : (length - plan->slides) / bt * bt;
}

/** Tokens that stay in half at the beginning of a sequence of this length. */
static inline uint32_t clkv__plan_sinks(const struct clkv__plan *plan, uint32_t length)
{
	uint32_t sinks = (uint32_t)plan->general.sinks;
	return sinks < length ? sinks : length;
}

static inline const struct clkv__variant *clkv__plan_layer(const struct clkv__plan *plan, int layer)
{
	return layer < plan->general.skip ? &plan->dense : &plan->sealing;
}

/** Which of the variants that seal a head of a layer has: 0 is `sealing`. */
static inline int clkv__plan_which(const struct clkv__plan *plan, int streams, int layer,
                                   int stream)
{
	return plan->n_more == 0 ? 0 : plan->which[plan->per_head ? layer * streams + stream : layer];
}

static inline const struct clkv__variant *clkv__plan_sealing(const struct clkv__plan *plan,
                                                             int which)
{
	return which == 0 ? &plan->sealing : &plan->more[which - 1];
}

/** Whether sealed blocks hold latents of rows. */
static inline bool clkv__plan_latents(const struct clkv__plan *plan)
{
	return plan->sealing.project == ABI_PROJECT_LATENTS;
}

/** Layers that have latents together. */
static inline int clkv__groups_layers(const struct clkv__groups *g)
{
	return g->share > 1 ? g->share : 1;
}

/** Whether factors are of each head's own rows as the cache has them. */
static inline bool clkv__groups_own(const struct clkv__groups *g)
{
	return g->k <= 1 && g->v <= 1 && !g->before && g->share <= 1;
}

/** Whether no query can take K's factor, so that keys are made whole. */
static inline bool clkv__groups_expand(const struct clkv__groups *g)
{
	return g->k > 1 || g->before || g->share > 1;
}

/** Whether keys are turned back before they become latents. */
static inline bool clkv__groups_turn(const struct clkv__groups *g, const struct clkv__shape *shape)
{
	return g->before && shape->rope.kind != CLKV_ROPE_NONE;
}

static inline bool clkv__groups_same(const struct clkv__groups *a, const struct clkv__groups *b)
{
	return a->k == b->k && a->v == b->v && a->before == b->before &&
	       clkv__groups_layers(a) == clkv__groups_layers(b);
}

/** Whether sealed tokens are stored as they are: no codes, all channels. */
static inline bool clkv__plan_plain(const struct clkv__plan *plan)
{
	const struct clkv__variant *v = &plan->sealing;
	return v->codec && !clkv__plan_latents(plan) && !clkv__prunes(&v->prune) &&
	       !v->codec->codes(&v->spec, 0) && !v->codec->codes(&v->spec, 1);
}

/** Tokens that are sealed together, at least, once they have left the window: a block, or a segment of an index; first:
 *  of a sequence that has no sealed tokens yet. */
static inline uint32_t clkv__plan_batch(const struct clkv__plan *plan, bool first)
{
	const struct clkv__recall *r = &plan->recall;
	if (!clkv__recalls(r))
		return (uint32_t)plan->general.block;
	return first ? clkv__recall_first(r) : (uint32_t)r->every;
}

/** Newest queries of each sequence that are kept on the device, for whatever stage asks for them. */
static inline int clkv__plan_observe(const struct clkv__plan *plan)
{
	if (plan->sealing.dense)
		return 0;
	const struct clkv__codec *codec = plan->sealing.codec;
	int most = clkv__prunes_k(&plan->sealing.prune) ? plan->sealing.prune.observe : 0;
	if (codec && codec->observe && codec->observe(&plan->sealing.spec) > most)
		most = codec->observe(&plan->sealing.spec);
	most = plan->recall.observe > most ? plan->recall.observe : most;
	return plan->select.observe > most ? plan->select.observe : most;
}

/** Whether sealed blocks have all channels of K and V. */
static inline bool clkv__plan_plain_channels(const struct clkv__plan *plan)
{
	return !clkv__prunes(&plan->sealing.prune) && !clkv__plan_latents(plan);
}

/** Whether a stage looks at queries, or at log-sum-exps too, those of rows that attend. */
static inline bool clkv__plan_observes(const struct clkv__plan *plan)
{
	return clkv__plan_observe(plan) > 0 || clkv__weighs(&plan->select);
}

/** Whether a codec judges tokens by what the newest queries gave them. */
static inline bool clkv__plan_judges(const struct clkv__plan *plan)
{
	return !plan->sealing.dense && plan->sealing.codec && plan->sealing.codec->judge.file;
}

/** The stage that weighs tokens, for which rows' log-sum-exps are wanted; NULL: none does. */
static inline const char *clkv__plan_weigher(const struct clkv__plan *plan)
{
	const struct clkv__select *s = &plan->select;
	if (clkv__weighs(s) || (clkv__selects(s) && clkv__score_of(s)->lse && !s->old))
		return s->stage;
	return clkv__plan_judges(plan) ? plan->sealing.codec->name : NULL;
}

/** Bytes that every block begins with: the state of its slots, where tokens are selected. */
static inline uint32_t clkv__plan_state(const struct clkv__plan *plan)
{
	return clkv__selects(&plan->select) ? ABI_STATE_BYTES((uint32_t)plan->general.block) : 0;
}

/** Room for the largest section that pruned blocks begin with. */
static inline uint32_t clkv__plan_section(const struct clkv__plan *plan)
{
	uint32_t most = 0;
	for (int i = 0; i <= plan->n_more; i++)
		if (clkv__plan_sealing(plan, i)->layout.section_room > most)
			most = clkv__plan_sealing(plan, i)->layout.section_room;
	return most;
}

/** What a head of a layer that seals stores. */
static inline const struct clkv__variant *clkv__plan_head(const struct clkv__plan *plan,
                                                          int streams, int layer, int stream)
{
	return clkv__plan_sealing(plan, clkv__plan_which(plan, streams, layer, stream));
}

/** Units that the pool has room for, for a block of all KV heads of a layer that seals. */
static inline uint64_t clkv__plan_units(const struct clkv__plan *plan, int streams, int layer)
{
	uint64_t units = plan->layer_units[layer];
	if (units > 0)
		return units;
	for (int i = 0; i < streams; i++)
		units += clkv__plan_head(plan, streams, layer, i)->layout.units;
	return units;
}

/** Layers that seal nothing: their blocks all stay in half. */
static inline bool clkv__layer_is_dense(const struct clkv__plan *plan, int layer)
{
	return clkv__plan_layer(plan, layer)->dense;
}

#endif
