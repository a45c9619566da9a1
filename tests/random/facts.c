/* SPDX-License-Identifier: MIT */
/** \file facts.c \brief Recipes read as a person would read them. */
#include "facts.h"

#include "facts_rule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A stage's text: its name up to the next '|' or ';'. NULL: the recipe has no such stage. */
const char *facts_stage(const char *text, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = text; *at; at++) {
		bool begins = at == text || (at[-1] == ' ' && at > text + 1 && at[-2] == '|');
		if (begins && strncmp(at, name, n) == 0 && strchr(": ", at[n]))
			return at;
	}
	return NULL;
}

/* The value of a key in a stage's text, or NULL. */
const char *facts_value(const char *stage, const char *key)
{
	size_t n = strlen(key);
	for (const char *at = stage; *at && !strchr("|;", *at); at++)
		if ((*at == ':' || *at == ',') && strncmp(at + 1, key, n) == 0 && at[n + 1] == '=')
			return at + n + 2;
	return NULL;
}

double facts_number(const char *stage, const char *key, double otherwise)
{
	const char *value = facts_value(stage, key);
	return value ? strtod(value, NULL) : otherwise;
}

bool facts_is(const char *stage, const char *key, const char *word)
{
	const char *value = facts_value(stage, key);
	return value && strncmp(value, word, strlen(word)) == 0;
}

static void read_general(const char *text, struct facts *f)
{
	/* ' ' stands where a stage has its ':' */
	static char general[128];
	const char *at = strchr(text, ';');
	strncpy(general, at ? at + 1 : "", sizeof general - 1);
	general[0] = ':';
	f->window = (size_t)facts_number(general, "window", 0);
	f->sinks = (size_t)facts_number(general, "sinks", 0);
	f->block = (size_t)facts_number(general, "block", 64);
	f->skip = (size_t)facts_number(general, "skip", 0);
	f->at_end = facts_is(general, "seal", "prompt");
}

static struct side_facts affine(double bits, double group, bool by_channel, bool symmetric)
{
	struct side_facts s = {.kind = bits < 16 ? CODE_AFFINE : CODE_HALF};
	s.affine = (struct ref_affine){.bits = (int)bits,
	                               .axis = by_channel ? REF_CHANNEL : REF_TOKEN,
	                               .group = (int)group,
	                               .symmetric = symmetric};
	return s;
}

static void read_kivi(const char *stage, struct facts *f)
{
	double bits = facts_number(stage, "bits", 4), group = facts_number(stage, "group", 32);
	f->side[0] = affine(facts_number(stage, "k", bits), group, true, false);
	f->side[1] = affine(facts_number(stage, "v", bits), group, false, false);
}

static void read_kitty(const char *stage, struct facts *f)
{
	double group = facts_number(stage, "group", 32);
	f->side[0] = affine(2, group, true, false);
	f->side[0].kind = CODE_KITTY;
	f->side[0].boost = facts_number(stage, "boost", 0.1);
	f->side[1] = affine(2, group, false, false);
}

/* Its levels, as stage_kvquant.c has them. */
static struct side_facts uneven(const char *stage, const char *key, bool by_channel,
                                const struct facts *f)
{
	static const double cut[2][5] = {{0, 0, 0.15, 0.03, 0}, {0, 0, 0.25, 0.1, 0.03}},
						bend[2][5] = {{0, 0, 0.1, 0.3, 0.3},
	                                  {0, 0, 0, 0.2, 0.2}}; /* V, K; by bits */
	int bits = (int)facts_number(stage, key, facts_number(stage, "bits", 3));
	bool even = facts_is(stage, "levels", "uniform");
	return (struct side_facts){
		.kind = CODE_OUTLIERS,
		.outliers = {.bits = bits,
	                 .axis = by_channel ? REF_CHANNEL : REF_TOKEN,
	                 .group = (int)facts_number(stage, "group", 64),
	                 .cut = even ? 0 : cut[by_channel][bits],
	                 .bend = even ? 0 : bend[by_channel][bits],
	                 .share = facts_number(stage, "outliers", 0.01),
	                 .block = f->block},
	};
}

static void read_kvquant(const char *stage, struct facts *f)
{
	f->side[0] = uneven(stage, "k", true, f);
	f->side[1] = uneven(stage, "v", false, f);
}

static void read_q(const char *stage, struct facts *f)
{
	double group = facts_number(stage, "group", 32);
	bool symmetric = facts_number(stage, "sym", 0) > 0;
	f->side[0] =
		affine(facts_number(stage, "k", 8), group, facts_is(stage, "axis_k", "channel"), symmetric);
	f->side[1] =
		affine(facts_number(stage, "v", 4), group, facts_is(stage, "axis_v", "channel"), symmetric);
	f->side[0].affine.cut = 1.0 - rint(1000.0 * facts_number(stage, "clip_k", 1)) / 1000.0;
	f->side[1].affine.cut = 1.0 - rint(1000.0 * facts_number(stage, "clip_v", 1)) / 1000.0;
	f->turned = facts_is(stage, "rot", "hadamard") || facts_is(stage, "rot", "file");
}

static void read_kvcomp(const char *stage, struct facts *f)
{
	bool whole = facts_is(stage, "unit_k", "block");
	struct ref_bounded k = {.unit = whole ? REF_UNIT_BLOCK : REF_UNIT_CHANNEL};
	struct ref_bounded v = {.unit = REF_UNIT_TOKEN};
	k.abs = facts_number(stage, "abs_k", 0);
	v.abs = facts_number(stage, "abs_v", 0);
	k.rel = k.abs > 0 ? 0 : facts_number(stage, "rel_k", whole ? 0.05 : 1.0 / 7);
	v.rel = v.abs > 0 ? 0 : facts_number(stage, "rel_v", 1.0 / 7);
	f->side[0] = (struct side_facts){.kind = CODE_BOUNDED, .bounded = k};
	f->side[1] = (struct side_facts){.kind = CODE_BOUNDED, .bounded = v};
	f->exact = (size_t)facts_number(stage, "exact", 1);
}

static void read_qaq(const char *stage, struct facts *f)
{
	struct side_facts s = {.kind = CODE_QAQ};
	s.qaq.outliers = facts_number(stage, "outliers", 0.01);
	s.qaq.bmin = (int)facts_number(stage, "bmin", 2);
	s.qaq.bmax = (int)facts_number(stage, "bmax", 4);
	s.qaq.centred = facts_is(stage, "centre", "mean");
	f->side[0] = f->side[1] = s;
}

/* Latents are the first channels; only the newest tokens can be removed. */
static void read_ranks(const char *stage, double usual, struct facts *f)
{
	f->prunes = true;
	f->side[0].rank = facts_number(stage, "k", usual);
	f->side[1].rank = facts_number(stage, "v", usual);
}

/* Atoms are the first 16 channels, so the sum of a row's largest products is what it has there. */
static void read_csr(const char *stage, struct facts *f)
{
	f->side[0].rank = f->side[1].rank = 16;
	f->side[0].pairs = f->side[1].pairs = (size_t)facts_number(stage, "pairs", 8);
}

/* Codes as kivi has them. */
static void read_cskv(const char *stage, struct facts *f)
{
	double bits = facts_number(stage, "bits", 16), group = facts_number(stage, "group", 32);
	f->side[0] = affine(bits, group, true, false);
	f->side[1] = affine(bits, group, false, false);
	read_ranks(stage, 0.5, f);
}

static void read_prune(const char *stage, struct facts *f)
{
	f->prunes = true;
	f->side[0].pruned = true;
	f->side[0].masked = strncmp(stage, "think", 5) == 0;
	f->side[1].pruned = facts_number(stage, "values", 1) < 1;
}

static void read_select(const char *stage, struct facts *f)
{
	double budget = facts_number(stage, "budget", 0);
	f->selects = true;
	/* slots of kvmerger come on top as the sequence grows */
	f->budget = budget > 1 && strncmp(stage, "kvmerger", 8) != 0 ? (size_t)budget : 0;
	/* what nobody has read again stays beside the budget's slots */
	f->rereads = strncmp(stage, "kvzip", 5) == 0;
	f->budget = f->rereads ? 0 : f->budget;
}

/* Keys that are turned, or turned back to other distances, have other products than those that are read. */
static void read_recall(const char *stage, enum recalled_kind kind, struct facts *f)
{
	struct recalled_case *c = &f->recall;
	f->recalls = true;
	*c = (struct recalled_case){.kind = kind, .window = f->window, .sinks = f->sinks};
	c->block = f->block;
	c->skip = (int)f->skip;
	c->chunk = !f->at_end;
	c->budget = (size_t)facts_number(stage, "recall", 0);
	c->grouped = facts_is(stage, "gqa", "group");
	c->page = (size_t)facts_number(stage, "page", 0);
	c->every = (size_t)facts_number(stage, "every", 0);
	c->most = (size_t)facts_number(stage, "most", 0);
	c->first = 4 * (size_t)facts_number(stage, "codes", 0); /* so many train a codebook */
	c->first = c->first > c->every ? c->first : c->every;
	f->judged = facts_number(stage, "wrope", 0) == 0 && !f->turned && f->at_end;
}

static void read_stages(const char *text, struct facts *f)
{
	/* what merges comes last, as it does in a recipe */
	static const char *const select[] = {
		"streaming", "h2o",       "snapkv",   "l2norm",    "corm",  "morphkv", "cascade",
		"prefixkv",  "dbudgetkv", "expected", "zeromerge", "kvzip", "kvmerger"};
	static const char *const recall[] = {"topk", "pages", "clusterkv", "a2ats"};
	const char *at;
	if ((at = facts_stage(text, "kivi")))
		read_kivi(at, f);
	if ((at = facts_stage(text, "kitty")))
		read_kitty(at, f);
	if ((at = facts_stage(text, "kvquant")))
		read_kvquant(at, f);
	if ((at = facts_stage(text, "q")))
		read_q(at, f);
	if ((at = facts_stage(text, "kvcomp")))
		read_kvcomp(at, f);
	if ((at = facts_stage(text, "qaq")))
		read_qaq(at, f);
	if ((at = facts_stage(text, "cskv")))
		read_cskv(at, f);
	if ((at = facts_stage(text, "csr")))
		read_csr(at, f);
	if ((at = facts_stage(text, "lowrank")) || (at = facts_stage(text, "lorc")))
		read_ranks(at, facts_number(at, "rank", 0.5), f);
	if ((at = facts_stage(text, "think")) || (at = facts_stage(text, "spark")))
		read_prune(at, f);
	for (size_t i = 0; i < sizeof select / sizeof *select; i++)
		if ((at = facts_stage(text, select[i])))
			read_select(at, f);
	for (size_t i = 0; i < sizeof recall / sizeof *recall; i++)
		if ((at = facts_stage(text, recall[i])))
			read_recall(at, (enum recalled_kind)i, f);
}

/* What a merged slot is worth, and whether all tokens are in one. */
static void read_merging(const char *text, struct facts *f)
{
	const char *zeromerge = facts_stage(text, "zeromerge"),
			   *kvmerger = facts_stage(text, "kvmerger");
	bool codes = f->side[0].kind != CODE_HALF || f->side[1].kind != CODE_HALF;
	f->even = !f->rereads && !facts_stage(text, "cascade") && !facts_stage(text, "prefixkv") &&
	          !kvmerger && !(zeromerge && facts_is(zeromerge, "alloc", "adaptive"));
	f->single = !codes && !f->prunes;
	if (zeromerge) {
		f->alpha = facts_number(zeromerge, "alpha", 1);
		f->conserves = facts_number(zeromerge, "residual", 0.2) > 0;
	}
	if (kvmerger) {
		f->alpha = facts_number(kvmerger, "alpha", 1);
		f->conserves = kvmerger == text;
	}
}

static bool read_one(const char *recipe, unsigned layers, int most, struct facts *f,
                     clkv_error *error)
{
	char text[2048];
	*f = (struct facts){.layers = layers};
	if (clkv_recipe_print(recipe, text, sizeof text, error) != CLKV_OK)
		return false;
	read_general(text, f);
	f->dense = facts_stage(text, "f16") == text || (int)f->skip >= most || layers >> f->skip == 0;
	read_stages(text, f);
	read_merging(text, f);
	facts_read_rule(text, f);
	f->rule.others = ((1u << most) - 1) & ~layers;
	const char *place = facts_stage(text, "place");
	f->moves = place && (facts_is(place, "via", "copy") || facts_is(place, "via", "attend"));
	return true;
}

/* ---------------------------------------------------------------- recipes by layer ---- */

/* Where a part begins: layers in numbers and a colon. NULL: what begins there are keys. */
static const char *part_colon(const char *at)
{
	at += strspn(at, " ");
	const char *colon = at + strspn(at, "0123456789,- ");
	return colon > at && *colon == ':' ? colon : NULL;
}

/* The ';' in front of the next part, or the end. */
static const char *part_end(const char *at)
{
	const char *end = strchr(at, ';');
	while (end && !part_colon(end + 1))
		end = strchr(end + 1, ';');
	return end ? end : at + strlen(at);
}

/* "0,2-3: ..." as bits, of layers that there are. */
static unsigned read_layers(const char *at, int most)
{
	unsigned bits = 0;
	while (*at != ':') {
		char *end;
		long first = strtol(at, &end, 10), last = first;
		if (*end == '-') {
			at = end + 1;
			last = strtol(at, &end, 10);
			last = end == at ? most - 1 : last;
		}
		for (long i = first; i <= last && i < most; i++)
			bits |= 1u << i;
		at = end + strspn(end, ", ");
	}
	return bits;
}

size_t facts_read(const char *recipe, int layers, struct facts *facts, clkv_error *error)
{
	const char *at = recipe + strlen("layers="), *colon;
	size_t n = 0;
	if (strncmp(recipe, "layers=", strlen("layers=")) != 0)
		return read_one(recipe, (1u << layers) - 1, layers, facts, error) ? 1 : 0;
	for (; (colon = part_colon(at)) != NULL && n < FACTS_BANDS; n++) {
		char part[1024] = "";
		const char *end = part_end(colon);
		memcpy(part, colon + 1, (size_t)(end - colon) - 1);
		if (!read_one(part, read_layers(at + strspn(at, " "), layers), layers, &facts[n], error))
			return 0;
		at = *end ? end + 1 : end;
	}
	return n;
}
