/* SPDX-License-Identifier: MIT */
/** \file plan_variants.c \brief From what stages want to blocks, one kind for each number of kept channels. */
#include "plan/plan_variants.h"

#include "base/error.h"
#include "plan/projection.h"

#include <string.h>

/* Kept channels rounded up: to what the stage wants, and to eights where codes of K share bytes. A block that keeps
 * all channels isn't pruned. */
static void round_kept(struct clkv__variant *v, int dk)
{
	struct clkv__prune *p = &v->prune;
	int eights = v->codec && v->codec->codes(&v->spec, 0) && !p->grouped ? 8 : 1;
	int align = p->align > eights ? p->align : eights;
	p->kept = (p->kept + align - 1) / align * align;
	if (p->kept >= dk)
		p->kind = ABI_PRUNE_NONE;
}

/* What can't follow a stage that prunes. */
static clkv_status check_pruned(const struct clkv__variant *v, clkv_error *error)
{
	if (clkv__prunes(&v->prune) && v->project)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "rot=%s can't come behind a stage that prunes channels: it mixes them",
		          clkv__projection_name(v->project));
	if (v->prune.grouped && v->codec->codes(&v->spec, 0))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "codes of K can't come behind mode=group, whose tokens keep different numbers of "
		          "channels; allowed: mode=ratio, or a stage that leaves K in half (q:k=16)");
	if (v->prune.lacking_v > 0 && v->codec->codes(&v->spec, 1))
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"codes of V can't come behind a stage that prunes its channels; allowed: values=1, "
			"or a stage that leaves V in half (q:v=16)");
	return CLKV_OK;
}

/* What can't come with rows that are stored in steps. */
static clkv_status check_steps(const struct clkv__variant *v, const struct clkv__plan *p,
                               clkv_error *error)
{
	if (v->project == ABI_PROJECT_STEPS && clkv__recalls(&p->recall))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "clusterkv, a2ats, pages and topk can't follow 'qtc': they compare keys as the "
		          "model has them, and qtc stores them in its steps; allowed: kvcomp, kivi or q "
		          "before them");
	return CLKV_OK;
}

/* What can't come with latents. */
static clkv_status check_latents(const struct clkv__variant *v, const struct clkv__plan *p,
                                 clkv_error *error)
{
	if (clkv__prunes(&v->prune))
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"lowrank, lorc, recalkv, clla and cskv can't follow a stage that prunes channels: "
			"latents have no "
			"channels to leave out; allowed: a lower rank");
	if (clkv__selects(&p->select))
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"lowrank, lorc, recalkv, clla and cskv can't follow '%s': it judges sealed tokens by "
			"all channels, and "
			"moves them to other blocks; allowed: kivi, q or kvcomp there",
			p->select.stage);
	if (clkv__recalls(&p->recall))
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"clusterkv, a2ats, pages and topk can't follow lowrank, lorc, recalkv, clla or cskv: "
			"they read single "
			"tokens with all channels; allowed: kvcomp, kivi or q before them");
	if (p->place.host && clkv__groups_layers(&v->groups) > 1)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"'place' can't follow latents that several layers share: each reads blocks of the "
			"others; allowed: share=1");
	if (v->codec != &clkv__codec_affine)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "codec '%s' can't follow lowrank, lorc, recalkv or clla: it stores rows of all "
		          "channels; allowed: kivi, q "
		          "with rot=none, or nothing",
		          v->codec->name);
	return CLKV_OK;
}

/* What can't come with sums of atoms. */
static clkv_status check_atoms(const struct clkv__variant *v, const struct clkv__plan *p,
                               clkv_error *error)
{
	if (clkv__prunes(&v->prune))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "csr can't follow a stage that prunes channels: atoms have all of them; allowed: "
		          "fewer pairs");
	if (clkv__selects(&p->select))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "csr can't follow '%s': it judges sealed tokens by single channels, and moves "
		          "them to other blocks; allowed: kivi, q or kvcomp there",
		          p->select.stage);
	if (clkv__recalls(&p->recall))
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"clusterkv, a2ats, pages and topk can't follow csr: they read single tokens, and a "
			"dictionary pays for many; allowed: kvcomp, kivi or q before them");
	return CLKV_OK;
}

/* A codec that judges by fewer queries than a stage that chooses by them: the ring has as many as the stage wants. */
static clkv_status check_judged(const struct clkv__variant *v, const struct clkv__plan *p,
                                clkv_error *error)
{
	const int most = p->select.observe > 0 ? p->select.observe : p->recall.observe;
	const int rows = v->codec->observe ? v->codec->observe(&v->spec) : 0;
	if (most > 0 && rows > most)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"stage '%s' looks at the %d newest queries, the one that chooses tokens at %d, and "
			"the same are kept for both; allowed: n up to %d, or a larger obs there",
			v->codec->name, rows, most, most);
	return CLKV_OK;
}

/* What a codec stores of a row: what prunings leave of its channels, or its latents. */
static struct clkv__kept kept_of(const struct clkv__variant *v, const struct clkv__shape *shape)
{
	const struct clkv__latents *l = &v->latents;
	if (v->project == ABI_PROJECT_LATENTS)
		return (struct clkv__kept){l->k, l->k, l->v};
	return clkv__prune_kept(&v->prune, shape);
}

/* Grouped blocks have their own size: V first, whose place is known, then what tokens keep of K, then signs. */
static void group(const struct clkv__variant *v, const struct clkv__shape *shape, int block,
                  struct clkv__codec_layout *l)
{
	uint32_t bt = (uint32_t)block, dk = (uint32_t)shape->dk, k = 2 * bt * (uint32_t)l->kept.k_rows;
	uint32_t least = (uint32_t)clkv__prune_least(&v->prune, shape->dk) * 2 * bt;
	uint32_t v_end = l->units * ABI_UNIT - l->v_params;
	l->v_codes -= l->v_params;
	l->v_params = 0;
	l->k_codes = l->payload = v_end;
	l->sized = true;
	l->flat = true;
	l->units = clkv__align_up(l->section + v_end + k + bt * dk / 8, ABI_UNIT) / ABI_UNIT;
	l->least_units = (l->section + v_end + least) / ABI_UNIT;
}

/* Local memory of attention on latents: folded or ordered queries, and sums of the group; a block's keys that are made whole, 16
 * latents at a time, and turns (cl/attend/expanded_keys.clh). */
static void add_latents(const struct clkv__variant *v, const struct clkv__shape *shape, int block,
                        struct clkv__codec_layout *l)
{
	l->query_floats += shape->dk + v->groups.v * clkv__groups_layers(&v->groups) * l->kept.v_cols;
	if (clkv__groups_expand(&v->groups))
		l->decoded_bytes += 4 * (uint32_t)((shape->dk + 16) * block + shape->dk);
}

/* What a sealed block of the variant is made of, once all stages have said what they want. */
static clkv_status layout(struct clkv__variant *v, const struct clkv__shape *shape,
                          const struct clkv__plan *p, clkv_error *error)
{
	const int block = p->general.block;
	const uint32_t state = clkv__plan_state(p) / ABI_UNIT;
	struct clkv__codec_layout *l = &v->layout;
	if (v->project == ABI_PROJECT_LATENTS)
		CLKV_TRY(check_latents(v, p, error));
	if (v->project == ABI_PROJECT_ATOMS)
		CLKV_TRY(check_atoms(v, p, error));
	CLKV_TRY(check_pruned(v, error));
	CLKV_TRY(check_steps(v, p, error));
	CLKV_TRY(check_judged(v, p, error));
	struct clkv__kept kept = kept_of(v, shape);
	CLKV_TRY(v->codec->layout(&v->spec, shape, kept, block, l, error));
	l->kept = kept;
	if (v->project == ABI_PROJECT_LATENTS) /* folded queries, and sums */
		add_latents(v, shape, block, l);
	l->section = clkv__prune_bytes(&v->prune, shape, block);
	l->section_room += clkv__prune_room(&v->prune, shape, block);
	if (v->prune.grouped) {
		group(v, shape, block, l);
	} else {
		l->units += clkv__align_up(l->section, ABI_UNIT) / ABI_UNIT;
		l->least_units += l->section / ABI_UNIT;
	}
	l->units += state;
	l->least_units += state;
	return CLKV_OK;
}

/* A block that is pruned, or whose tokens were selected or are recalled, needs a codec, if only one that leaves values
 * in half. */
static void choose_codec(struct clkv__variant *v, const struct clkv__plan *plan)
{
	const struct clkv__affine_side half = {.bits = 16, .group = 16};
	if (v->codec)
		return;
	if (clkv__prunes(&v->prune) || clkv__selects(&plan->select) ||
	    v->project == ABI_PROJECT_LATENTS)
		v->codec = &clkv__codec_affine;
	else if (clkv__recalls(&plan->recall))
		v->codec = &clkv__codec_rows;
	if (v->codec)
		v->spec.affine = (struct clkv__affine_spec){half, half};
}

static clkv_status check_list(const struct clkv__list *keep, bool grouped,
                              const struct clkv__shape *shape, clkv_error *error)
{
	int heads = shape->layers * shape->streams;
	if (grouped)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"key 'keep' is a list, but mode=group chooses for each token; allowed: mode=ratio");
	if (keep->n != shape->layers && keep->n != heads)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "key 'keep' is a list of %d; allowed: one number, %d (one for each layer) or %d "
		          "(one for each KV head of each layer)",
		          keep->n, shape->layers, heads);
	for (int i = 0; i < keep->n; i++)
		if (clkv__prune_round(keep->value[i], shape->dk) == 0)
			CLKV_FAIL(
				error, CLKV_ERROR_INVALID_RECIPE,
				"number %d of 'keep' is %g, which keeps none of %d channels; allowed: %g to 1",
				i + 1, (double)keep->value[i], shape->dk, 0.5 / shape->dk);
	return CLKV_OK;
}

/* The place of a variant among n that ascend by what they keep, where it is put if it is a new one; -1: no room. */
static int place_of(const struct clkv__variant *v, struct clkv__variant *all, int *n)
{
	int at = 0;
	while (at < *n && all[at].prune.kept < v->prune.kept)
		at++;
	if (at < *n && all[at].prune.kept == v->prune.kept)
		return at;
	if (*n == CLKV__MAX_VARIANTS)
		return -1;
	memmove(all + at + 1, all + at, (size_t)(*n - at) * sizeof *all);
	all[at] = *v;
	*n += 1;
	return at;
}

/* The variant of one number of the list. */
static struct clkv__variant variant_of(const struct clkv__variant *base, float keep, int dk)
{
	struct clkv__variant v = *base;
	v.prune.kept = clkv__prune_round(keep, dk);
	round_kept(&v, dk);
	v.prune.kept = v.prune.kept < dk ? v.prune.kept : dk;
	return v;
}

/* A variant for each number of kept channels in the list, ascending; the first is `sealing`. */
static clkv_status plan_list(const struct clkv__list *keep, const struct clkv__shape *shape,
                             struct clkv__plan *p, clkv_error *error)
{
	const struct clkv__variant base = p->sealing;
	struct clkv__variant all[CLKV__MAX_VARIANTS], v;
	int n = 0;
	CLKV_TRY(check_list(keep, base.prune.grouped, shape, error));
	for (int i = 0; i < keep->n; i++) {
		v = variant_of(&base, keep->value[i], shape->dk);
		if (place_of(&v, all, &n) < 0)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
			          "key 'keep': its list means more than %d different numbers of channels",
			          CLKV__MAX_VARIANTS);
	}
	for (int i = 0; i < keep->n; i++) {
		v = variant_of(&base, keep->value[i], shape->dk);
		p->which[i] = (unsigned char)place_of(&v, all, &n);
	}
	p->sealing = all[0];
	p->n_more = n - 1;
	memcpy(p->more, all + 1, (size_t)(n - 1) * sizeof *all);
	p->per_head = keep->n != shape->layers;
	return CLKV_OK;
}

clkv_status clkv__plan_variants(const struct clkv__list *keep, const struct clkv__shape *shape,
                                struct clkv__plan *p, clkv_error *error)
{
	if (keep->n > 0)
		CLKV_TRY(plan_list(keep, shape, p, error));
	else if (clkv__prunes_k(&p->sealing.prune))
		round_kept(&p->sealing, shape->dk);
	choose_codec(&p->sealing, p);
	if (p->sealing.codec)
		CLKV_TRY(layout(&p->sealing, shape, p, error));
	for (int i = 0; i < p->n_more; i++) {
		p->more[i].codec = p->sealing.codec;
		p->more[i].spec = p->sealing.spec;
		CLKV_TRY(layout(&p->more[i], shape, p, error));
	}
	return CLKV_OK;
}
