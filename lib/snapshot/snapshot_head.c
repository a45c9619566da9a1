/* SPDX-License-Identifier: MIT */
/** \file snapshot_head.c \brief The header, and whether it can be believed. */
#include "snapshot/snapshot_head.h"

#include "plan/projection.h"
#include "recipe/recipe.h"

#include <string.h>

void clkv__head_of(const clkv_seq *seq, struct clkv__snapshot_head *head)
{
	const clkv_cache *cache = seq->cache;
	const struct clkv__shape *shape = &cache->shape;
	*head = (struct clkv__snapshot_head){
		.layers = (uint32_t)shape->layers,
		.kv_heads = (uint32_t)shape->streams,
		.dk = (uint32_t)shape->dk,
		.dv = (uint32_t)shape->dv,
		.length = seq->length,
		.tail = seq->tail,
		.left_partial = seq->left_partial,
		.rotated = clkv__projection_given(&cache->plan) != CLKV__GIVEN_NOTHING,
		.rotation = cache->given,
	};
	/* The last layer seals if any does; all that do seal alike. */
	uint32_t row = clkv__seq_row(seq, shape->layers - 1, 0);
	head->blocks = clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED);
	memcpy(head->recipe, cache->recipe, sizeof head->recipe);
}

void clkv__head_of_all(const clkv_seq *seq, struct clkv__snapshot_head *head)
{
	const clkv_cache *cache = seq->cache;
	const struct clkv__shape *shape = &cache->shape;
	*head = (struct clkv__snapshot_head){
		.layers = (uint32_t)clkv__cache_layers(cache),
		.kv_heads = (uint32_t)shape->streams,
		.dk = (uint32_t)shape->dk,
		.dv = (uint32_t)shape->dv,
		.length = seq->length,
		.bands = (uint32_t)cache->whole->bands.n,
	};
	memcpy(head->recipe, cache->whole->recipe, sizeof head->recipe);
}

/* The number of the matrices by which rows were turned, where a file gave them. */
static clkv_status put_rotation(struct clkv__snapshot_out *out,
                                const struct clkv__snapshot_head *head, clkv_error *error)
{
	unsigned char bytes[8];
	if (!head->rotated)
		return CLKV_OK;
	clkv__put_le(bytes, head->rotation, 8);
	return clkv__snapshot_put(out, bytes, sizeof bytes, error);
}

clkv_status clkv__head_put(struct clkv__snapshot_out *out, const struct clkv__snapshot_head *head,
                           clkv_error *error)
{
	unsigned char bytes[CLKV__MAGIC_BYTES + 4 * CLKV__HEAD_WORDS];
	size_t recipe = strlen(head->recipe);
	const uint32_t words[CLKV__HEAD_WORDS] = {
		[CLKV__HEAD_VERSION] = head->bands > 0 ? CLKV__SNAPSHOT_BANDS : CLKV__SNAPSHOT_VERSION,
		[CLKV__HEAD_RECIPE] = (uint32_t)recipe,
		[CLKV__HEAD_LAYERS] = head->layers,
		[CLKV__HEAD_KV_HEADS] = head->kv_heads,
		[CLKV__HEAD_DIM_K] = head->dk,
		[CLKV__HEAD_DIM_V] = head->dv,
		[CLKV__HEAD_LENGTH] = head->length,
		[CLKV__HEAD_TAIL] = head->tail,
		[CLKV__HEAD_BLOCKS] = head->bands > 0 ? head->bands : head->blocks,
		[CLKV__HEAD_FLAGS] = (head->left_partial ? CLKV__HEAD_LEFT_PARTIAL : 0) |
	                         (head->rotated ? CLKV__HEAD_ROTATION : 0),
	};
	memcpy(bytes, CLKV__SNAPSHOT_MAGIC, CLKV__MAGIC_BYTES);
	for (size_t i = 0; i < CLKV__HEAD_WORDS; i++)
		clkv__put32(bytes + CLKV__MAGIC_BYTES + 4 * i, words[i]);
	CLKV_TRY(clkv__snapshot_put(out, bytes, sizeof bytes, error));
	CLKV_TRY(clkv__snapshot_put(out, head->recipe, recipe, error));
	CLKV_TRY(put_rotation(out, head, error));
	return clkv__snapshot_put_checksum(out, error);
}

/* Magic and version come first and alone: nothing more is known of another version. */
static clkv_status get_words(struct clkv__snapshot_in *in, uint32_t *words, clkv_error *error)
{
	unsigned char bytes[CLKV__MAGIC_BYTES + 4 * CLKV__HEAD_WORDS];
	const size_t first = CLKV__MAGIC_BYTES + 4;
	CLKV_TRY(clkv__snapshot_get(in, bytes, first, error));
	if (memcmp(bytes, CLKV__SNAPSHOT_MAGIC, CLKV__MAGIC_BYTES) != 0)
		CLKV_FAIL(error, CLKV_ERROR_CORRUPT, "this is no snapshot: it doesn't begin like one");
	words[CLKV__HEAD_VERSION] = clkv__get32(bytes + CLKV__MAGIC_BYTES);
	if (words[CLKV__HEAD_VERSION] != CLKV__SNAPSHOT_VERSION &&
	    words[CLKV__HEAD_VERSION] != CLKV__SNAPSHOT_BANDS)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "the snapshot has version %u; this library reads %d and %d",
		          words[CLKV__HEAD_VERSION], CLKV__SNAPSHOT_VERSION, CLKV__SNAPSHOT_BANDS);
	CLKV_TRY(clkv__snapshot_get(in, bytes + first, sizeof bytes - first, error));
	for (size_t i = 1; i < CLKV__HEAD_WORDS; i++)
		words[i] = clkv__get32(bytes + CLKV__MAGIC_BYTES + 4 * i);
	return CLKV_OK;
}

static clkv_status get_rotation(struct clkv__snapshot_in *in, struct clkv__snapshot_head *head,
                                clkv_error *error)
{
	unsigned char bytes[8];
	if (!head->rotated)
		return CLKV_OK;
	CLKV_TRY(clkv__snapshot_get(in, bytes, sizeof bytes, error));
	head->rotation = clkv__get_le(bytes, 8);
	return CLKV_OK;
}

clkv_status clkv__head_get(struct clkv__snapshot_in *in, struct clkv__snapshot_head *head,
                           clkv_error *error)
{
	uint32_t words[CLKV__HEAD_WORDS];
	struct clkv__snapshot_head h = {.recipe = ""};
	CLKV_TRY(get_words(in, words, error));
	if (words[CLKV__HEAD_RECIPE] == 0 || words[CLKV__HEAD_RECIPE] >= sizeof h.recipe)
		return clkv__snapshot_damaged(in, error, "its recipe has %u characters",
		                              words[CLKV__HEAD_RECIPE]);
	CLKV_TRY(clkv__snapshot_get(in, h.recipe, words[CLKV__HEAD_RECIPE], error));
	h.rotated = words[CLKV__HEAD_FLAGS] & CLKV__HEAD_ROTATION;
	CLKV_TRY(get_rotation(in, &h, error));
	CLKV_TRY(clkv__snapshot_get_checksum(in, error));
	if (strlen(h.recipe) != words[CLKV__HEAD_RECIPE])
		return clkv__snapshot_damaged(in, error, "its recipe holds a zero byte");
	if (words[CLKV__HEAD_FLAGS] & ~(CLKV__HEAD_LEFT_PARTIAL | CLKV__HEAD_ROTATION))
		return clkv__snapshot_damaged(in, error, "its flags are %u", words[CLKV__HEAD_FLAGS]);
	h.layers = words[CLKV__HEAD_LAYERS];
	h.kv_heads = words[CLKV__HEAD_KV_HEADS];
	h.dk = words[CLKV__HEAD_DIM_K];
	h.dv = words[CLKV__HEAD_DIM_V];
	h.length = words[CLKV__HEAD_LENGTH];
	h.tail = words[CLKV__HEAD_TAIL];
	h.blocks = words[CLKV__HEAD_BLOCKS];
	h.left_partial = words[CLKV__HEAD_FLAGS] & CLKV__HEAD_LEFT_PARTIAL;
	if (words[CLKV__HEAD_VERSION] == CLKV__SNAPSHOT_BANDS) {
		if (h.tail > 0 || h.left_partial || h.rotated || h.blocks == 0 ||
		    h.blocks > CLKV__MAX_BANDS)
			return clkv__snapshot_damaged(in, error, "it has %u recipes", h.blocks);
		h.bands = h.blocks;
		h.blocks = 0;
	}
	*head = h;
	return CLKV_OK;
}

clkv_status clkv__head_geometry(const struct clkv__snapshot_head *head,
                                const struct clkv__shape *shape, clkv_error *error)
{
	if (head->layers != (uint32_t)shape->layers || head->kv_heads != (uint32_t)shape->streams ||
	    head->dk != (uint32_t)shape->dk || head->dv != (uint32_t)shape->dv)
		CLKV_FAIL(
			error, CLKV_ERROR_UNSUPPORTED,
			"the snapshot has %u layers, %u KV heads of %u (K) and %u (V); the cache has %d, %d, "
			"%d and %d",
			head->layers, head->kv_heads, head->dk, head->dv, shape->layers, shape->streams,
			shape->dk, shape->dv);
	return CLKV_OK;
}

/* Tokens behind the last sealed one: a step plans its sealing for no more than a recipe leaves open. */
static uint32_t open_tokens(const struct clkv__snapshot_head *head, const struct clkv__plan *plan)
{
	uint32_t sinks = clkv__plan_sinks(plan, head->length);
	return head->length - (head->tail > sinks ? head->tail : sinks);
}

static bool leaves_open(const struct clkv__plan *plan, uint32_t tokens)
{
	const struct clkv__general *g = &plan->general;
	return plan->sealing.dense || g->seal == 1 ||
	       tokens < (uint32_t)g->window + clkv__plan_batch(plan, true);
}

/* Numbers that no step could have made would break what later steps rely on. */
static const char *doubt(const struct clkv__snapshot_head *head, const struct clkv__plan *plan)
{
	uint32_t sinks = clkv__plan_sinks(plan, head->length), bt = (uint32_t)plan->general.block;
	uint32_t sealed = head->tail > sinks ? head->tail - sinks : 0;
	if (head->length > CLKV__MAX_TOKENS)
		return "it is longer than any sequence";
	if (head->tail > head->length)
		return "its tail begins behind its end";
	if (plan->sealing.dense && (head->tail > 0 || head->blocks > 0))
		return "its recipe seals nothing";
	if (head->blocks > sealed || head->blocks < (sealed + bt - 1) / bt)
		return "it has too few or too many sealed pages";
	if (!leaves_open(plan, open_tokens(head, plan)))
		return "it has more open tokens than its recipe leaves";
	return NULL;
}

clkv_status clkv__head_check(const struct clkv__snapshot_in *in,
                             const struct clkv__snapshot_head *head,
                             const struct clkv__shape *shape, struct clkv__plan *plan,
                             clkv_error *error)
{
	struct clkv__recipe recipe;
	clkv_error why = {.position = -1};
	CLKV_TRY(clkv__head_geometry(head, shape, error));
	clkv_status status = clkv__recipe_parse(head->recipe, &recipe, &why);
	if (status == CLKV_OK)
		status = clkv__recipe_plan(&recipe, shape, plan, &why);
	if (status != CLKV_OK)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED, "the snapshot's recipe isn't known here: %s",
		          why.text);
	if (head->rotated != (clkv__projection_given(plan) != CLKV__GIVEN_NOTHING))
		return clkv__snapshot_damaged(in, error, "its recipe and its flags differ on a rotation");
	const char *text = doubt(head, plan);
	return text ? clkv__snapshot_damaged(in, error, "%s", text) : CLKV_OK;
}

clkv_status clkv__head_check_given(const struct clkv__snapshot_head *head,
                                   const struct clkv__plan *plan, const clkv_cache *cache,
                                   clkv_error *error)
{
	enum clkv__given given = clkv__projection_given(plan);
	const char *name = clkv__given_name(given);
	if (given == CLKV__GIVEN_NOTHING)
		return CLKV_OK;
	if (clkv__projection_given(&cache->plan) != given)
		CLKV_FAIL(
			error, CLKV_ERROR_UNSUPPORTED,
			"the snapshot's rows were turned by the %s file %016llx; allowed: a cache with %s "
			"and that file",
			name, (unsigned long long)head->rotation, clkv__given_asked(given));
	if (head->rotation != cache->given)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "the snapshot's rows were turned by the %s file %016llx; allowed: the cache's, "
		          "%016llx",
		          name, (unsigned long long)head->rotation, (unsigned long long)cache->given);
	const struct clkv__latents *ranks = &plan->sealing.latents, *own = &cache->plan.sealing.latents;
	if (ranks->k != own->k || ranks->v != own->v)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "the snapshot's latents have ranks %d and %d; allowed: the cache's, %d and %d",
		          ranks->k, ranks->v, own->k, own->v);
	return CLKV_OK;
}

/* A sealed page with its record, at least. */
static uint64_t least_page(const struct clkv__snapshot_head *head, const struct clkv__plan *plan,
                           uint32_t layer, uint32_t stream)
{
	const struct clkv__codec_layout *l =
		&clkv__plan_head(plan, (int)head->kv_heads, (int)layer, (int)stream)->layout;
	uint32_t units = l->sized ? 1 : l->units;
	return CLKV__RECORD_BYTES + (uint64_t)units * ABI_UNIT + CLKV__CHECKSUM_BYTES;
}

uint64_t clkv__head_least(const struct clkv__snapshot_head *head, const struct clkv__plan *plan)
{
	const uint64_t record = CLKV__RECORD_BYTES + CLKV__CHECKSUM_BYTES;
	uint64_t token = 2 * ((uint64_t)head->dk + head->dv), bytes = record; /* the end's */
	for (uint32_t l = 0; l < head->layers; l++) {
		bool dense = clkv__layer_is_dense(plan, (int)l);
		uint64_t half = head->length;
		if (!dense)
			half = clkv__plan_sinks(plan, head->length) + open_tokens(head, plan);
		for (uint32_t s = 0; s < head->kv_heads; s++) {
			bytes += half * token + (half > 0 ? record : 0);
			bytes += dense ? 0 : head->blocks * least_page(head, plan, l, s);
		}
	}
	return bytes;
}

/* The stages of two recipes, in canonical form, are the same. */
static bool same_stages(const char *a, const char *b)
{
	size_t n = strcspn(a, ";");
	return n == strcspn(b, ";") && memcmp(a, b, n) == 0;
}

bool clkv__head_fits(const struct clkv__snapshot_head *head, const struct clkv__plan *plan,
                     const clkv_cache *cache)
{
	const struct clkv__general *a = &plan->general, *b = &cache->plan.general;
	char text[CLKV__RECIPE_TEXT];
	/* The file's text may be another version's: keys may have come since. */
	if (clkv_recipe_print(head->recipe, text, sizeof text, NULL) != CLKV_OK)
		return false;
	/* Indexes aren't in files: tokens that are to be recalled are sealed anew. */
	return cache->sizes.segs == 0 && same_stages(text, cache->recipe) && a->block == b->block &&
	       plan->sealing.dense == cache->plan.sealing.dense &&
	       (plan->sealing.dense || (a->sinks == b->sinks && a->skip == b->skip)) &&
	       leaves_open(&cache->plan, open_tokens(head, plan));
}
