/* SPDX-License-Identifier: MIT */
/** \file snapshot_head.c \brief The header, and whether it can be believed. */
#include "snapshot/snapshot_head.h"

#include "plan/projection.h"
#include "recipe/recipe.h"
#include "snapshot/snapshot_state.h"

#include <string.h>

/* Counts a range's sealed pages, and notes whether one isn't full; returns the number of the first. The last layer seals if
 * any does; all that do seal alike. */
static uint32_t count_pages(const clkv_seq *seq, struct clkv__snapshot_head *head)
{
	const clkv_cache *cache = seq->cache;
	const uint32_t bt = (uint32_t)cache->plan.general.block;
	const uint32_t *row = &cache->tables.mirror[clkv__seq_row(seq, cache->shape.layers - 1, 0)];
	uint32_t first = 0, i = 0;
	while (first < row[ABI_ROW_SEALED] && row[ABI_ROW_ENTRY(first) + ABI_ENTRY_POS] < head->from)
		first++;
	for (i = first; i < row[ABI_ROW_SEALED]; i++) {
		uint32_t pos = row[ABI_ROW_ENTRY(i) + ABI_ENTRY_POS];
		if (pos >= head->length)
			break;
		if (row[ABI_ROW_ENTRY(i) + ABI_ENTRY_COUNT] < bt || head->length - pos < bt)
			head->left_partial = true;
	}
	head->blocks = i - first;
	return first;
}

/* Of a range with pages, or behind some, the tail begins where these end; else where the sequence's does. */
static uint32_t tail_of(const clkv_seq *seq, const struct clkv__range *range)
{
	uint32_t tail = seq->tail < range->to ? seq->tail : range->to;
	bool sealing = !seq->cache->plan.sealing.dense;
	return sealing && tail < range->from ? range->from : tail;
}

uint32_t clkv__head_of(const clkv_seq *seq, const struct clkv__range *range,
                       struct clkv__snapshot_head *head)
{
	const clkv_cache *cache = seq->cache;
	const struct clkv__shape *shape = &cache->shape;
	*head = (struct clkv__snapshot_head){
		.layers = (uint32_t)shape->layers,
		.kv_heads = (uint32_t)shape->streams,
		.dk = (uint32_t)shape->dk,
		.dv = (uint32_t)shape->dv,
		.from = range->from,
		.length = range->to,
		.tail = tail_of(seq, range),
		.rotated = clkv__projection_given(&cache->plan) != CLKV__GIVEN_NOTHING,
		.rotation = cache->given,
		.parts = range->state ? clkv__state_of(seq) : 0,
	};
	head->attended = head->parts & CLKV__HEAD_QUERIES && seq->attended == seq->length;
	memcpy(head->recipe, cache->recipe, sizeof head->recipe);
	if (!(head->parts & CLKV__HEAD_CHOICE))
		return count_pages(seq, head);
	head->blocks = seq->kept.entries;
	return 0;
}

void clkv__head_of_all(const clkv_seq *seq, const struct clkv__range *range,
                       struct clkv__snapshot_head *head)
{
	const clkv_cache *cache = seq->cache;
	const struct clkv__shape *shape = &cache->shape;
	*head = (struct clkv__snapshot_head){
		.layers = (uint32_t)clkv__cache_layers(cache),
		.kv_heads = (uint32_t)shape->streams,
		.dk = (uint32_t)shape->dk,
		.dv = (uint32_t)shape->dv,
		.from = range->from,
		.length = range->to,
		.bands = (uint32_t)cache->whole->bands.n,
	};
	memcpy(head->recipe, cache->whole->recipe, sizeof head->recipe);
	for (; seq && range->state; seq = seq->next_band)
		head->stateful |= clkv__state_of(seq) != 0;
}

static uint32_t version_of(const struct clkv__snapshot_head *head)
{
	if (head->from > 0)
		return head->bands > 0 ? CLKV__SNAPSHOT_RANGE_BANDS : CLKV__SNAPSHOT_RANGE;
	if (head->stateful)
		return CLKV__SNAPSHOT_STATE_BANDS;
	if (head->parts)
		return CLKV__SNAPSHOT_STATE;
	return head->bands > 0 ? CLKV__SNAPSHOT_BANDS : CLKV__SNAPSHOT_VERSION;
}

/* A range's first token. */
static clkv_status put_from(struct clkv__snapshot_out *out, const struct clkv__snapshot_head *head,
                            clkv_error *error)
{
	unsigned char bytes[4];
	if (head->from == 0)
		return CLKV_OK;
	clkv__put32(bytes, head->from);
	return clkv__snapshot_put(out, bytes, sizeof bytes, error);
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
		[CLKV__HEAD_VERSION] = version_of(head),
		[CLKV__HEAD_RECIPE] = (uint32_t)recipe,
		[CLKV__HEAD_LAYERS] = head->layers,
		[CLKV__HEAD_KV_HEADS] = head->kv_heads,
		[CLKV__HEAD_DIM_K] = head->dk,
		[CLKV__HEAD_DIM_V] = head->dv,
		[CLKV__HEAD_LENGTH] = head->length,
		[CLKV__HEAD_TAIL] = head->tail,
		[CLKV__HEAD_BLOCKS] = head->bands > 0 ? head->bands : head->blocks,
		[CLKV__HEAD_FLAGS] = (head->left_partial ? CLKV__HEAD_LEFT_PARTIAL : 0) |
	                         (head->rotated ? CLKV__HEAD_ROTATION : 0) | head->parts |
	                         (head->attended ? CLKV__HEAD_ATTENDED : 0),
	};
	memcpy(bytes, CLKV__SNAPSHOT_MAGIC, CLKV__MAGIC_BYTES);
	for (size_t i = 0; i < CLKV__HEAD_WORDS; i++)
		clkv__put32(bytes + CLKV__MAGIC_BYTES + 4 * i, words[i]);
	CLKV_TRY(clkv__snapshot_put(out, bytes, sizeof bytes, error));
	CLKV_TRY(clkv__snapshot_put(out, head->recipe, recipe, error));
	CLKV_TRY(put_from(out, head, error));
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
	if (words[CLKV__HEAD_VERSION] < CLKV__SNAPSHOT_VERSION ||
	    words[CLKV__HEAD_VERSION] > CLKV__SNAPSHOT_STATE_BANDS)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "the snapshot has version %u; this library reads %d to %d",
		          words[CLKV__HEAD_VERSION], CLKV__SNAPSHOT_VERSION, CLKV__SNAPSHOT_STATE_BANDS);
	CLKV_TRY(clkv__snapshot_get(in, bytes + first, sizeof bytes - first, error));
	for (size_t i = 1; i < CLKV__HEAD_WORDS; i++)
		words[i] = clkv__get32(bytes + CLKV__MAGIC_BYTES + 4 * i);
	return CLKV_OK;
}

static clkv_status get_from(struct clkv__snapshot_in *in, uint32_t version,
                            struct clkv__snapshot_head *head, clkv_error *error)
{
	unsigned char bytes[4];
	if (version != CLKV__SNAPSHOT_RANGE && version != CLKV__SNAPSHOT_RANGE_BANDS)
		return CLKV_OK;
	CLKV_TRY(clkv__snapshot_get(in, bytes, sizeof bytes, error));
	head->from = clkv__get32(bytes);
	if (head->from == 0)
		return clkv__snapshot_damaged(in, error, "it is a range that begins at token 0");
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

/* Of a header of one recipe: bits that nobody knows, or of another version. */
static bool flags_are_wrong(uint32_t flags, uint32_t version)
{
	uint32_t known = CLKV__HEAD_LEFT_PARTIAL | CLKV__HEAD_ROTATION;
	if (version != CLKV__SNAPSHOT_STATE)
		return flags & ~known;
	bool lost = flags & CLKV__HEAD_ATTENDED && !(flags & CLKV__HEAD_QUERIES);
	return flags & ~(known | CLKV__HEAD_STATE | CLKV__HEAD_ATTENDED) ||
	       !(flags & CLKV__HEAD_STATE) || lost;
}

/* Turns the header of all bands into what it says of them. Returns false if it can't be one. */
static bool read_bands(struct clkv__snapshot_head *h)
{
	if (h->tail > 0 || h->left_partial || h->rotated || h->blocks == 0 ||
	    h->blocks > CLKV__MAX_BANDS)
		return false;
	h->bands = h->blocks;
	h->blocks = 0;
	return true;
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
	CLKV_TRY(get_from(in, words[CLKV__HEAD_VERSION], &h, error));
	CLKV_TRY(get_rotation(in, &h, error));
	CLKV_TRY(clkv__snapshot_get_checksum(in, error));
	if (strlen(h.recipe) != words[CLKV__HEAD_RECIPE])
		return clkv__snapshot_damaged(in, error, "its recipe holds a zero byte");
	if (flags_are_wrong(words[CLKV__HEAD_FLAGS], words[CLKV__HEAD_VERSION]))
		return clkv__snapshot_damaged(in, error, "its flags are %u", words[CLKV__HEAD_FLAGS]);
	h.layers = words[CLKV__HEAD_LAYERS];
	h.kv_heads = words[CLKV__HEAD_KV_HEADS];
	h.dk = words[CLKV__HEAD_DIM_K];
	h.dv = words[CLKV__HEAD_DIM_V];
	h.length = words[CLKV__HEAD_LENGTH];
	h.tail = words[CLKV__HEAD_TAIL];
	h.blocks = words[CLKV__HEAD_BLOCKS];
	h.left_partial = words[CLKV__HEAD_FLAGS] & CLKV__HEAD_LEFT_PARTIAL;
	h.parts = words[CLKV__HEAD_FLAGS] & CLKV__HEAD_STATE;
	h.stateful = words[CLKV__HEAD_VERSION] == CLKV__SNAPSHOT_STATE_BANDS;
	h.attended = words[CLKV__HEAD_FLAGS] & CLKV__HEAD_ATTENDED;
	bool of_all = words[CLKV__HEAD_VERSION] == CLKV__SNAPSHOT_BANDS ||
	              words[CLKV__HEAD_VERSION] == CLKV__SNAPSHOT_RANGE_BANDS ||
	              words[CLKV__HEAD_VERSION] == CLKV__SNAPSHOT_STATE_BANDS;
	if (of_all && !read_bands(&h))
		return clkv__snapshot_damaged(in, error, "it has %u recipes", h.blocks);
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

/* A step plans its sealing for no more of them than a recipe leaves open. */
uint32_t clkv__head_open(const struct clkv__snapshot_head *head, const struct clkv__plan *plan)
{
	uint32_t sinks = clkv__plan_sinks(plan, head->length);
	return head->length - (head->tail > sinks ? head->tail : sinks);
}

static bool leaves_open(const struct clkv__plan *plan, uint32_t tokens)
{
	const struct clkv__general *g = &plan->general;
	/* where tokens are selected, commits take as many jobs as they need, some at a time */
	return plan->sealing.dense || g->seal == 1 || clkv__selects(&plan->select) ||
	       tokens < (uint32_t)g->window + clkv__plan_batch(plan, true);
}

/* The first token that may be sealed. */
static uint32_t first_sealed(const struct clkv__snapshot_head *head, const struct clkv__plan *plan)
{
	uint32_t sinks = clkv__plan_sinks(plan, head->length);
	return head->from > sinks ? head->from : sinks;
}

/* What can't be of a range that doesn't begin at token 0. */
static const char *doubt_from(const struct clkv__snapshot_head *head, const struct clkv__plan *plan)
{
	if (head->from == 0)
		return NULL;
	if (head->from >= head->length)
		return "it begins behind its end";
	if (!plan->sealing.dense &&
	    (head->from < (uint32_t)plan->general.sinks || head->tail < head->from))
		return "it begins within the sinks or behind its tail";
	return NULL;
}

/* Numbers that no step could have made would break what later steps rely on. */
static const char *doubt(const struct clkv__snapshot_head *head, const struct clkv__plan *plan)
{
	uint32_t first = first_sealed(head, plan), bt = (uint32_t)plan->general.block;
	uint32_t sealed = head->tail > first ? head->tail - first : 0;
	const char *text = doubt_from(head, plan);
	if (text)
		return text;
	if (head->length > CLKV__MAX_TOKENS)
		return "it is longer than any sequence";
	if (head->tail > head->length)
		return "its tail begins behind its end";
	if (plan->sealing.dense && (head->tail > 0 || head->blocks > 0))
		return "its recipe seals nothing";
	if (head->parts & CLKV__HEAD_CHOICE)
		return head->tail == 0 && head->blocks > 0 ? "it has kept tokens, but chose from none"
		                                           : NULL;
	if (head->blocks > sealed || head->blocks < (sealed + bt - 1) / bt)
		return "it has too few or too many sealed pages";
	if (!leaves_open(plan, clkv__head_open(head, plan)))
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
	const char *text = clkv__state_doubt(head->parts, plan);
	text = text ? text : doubt(head, plan);
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
	const struct clkv__groups *groups = &plan->sealing.groups, *ours = &cache->plan.sealing.groups;
	if (!clkv__groups_same(groups, ours))
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "the snapshot's latents are of %d heads of K and %d of V in %d layers, keys %s "
		          "RoPE; allowed: the cache's, %d and %d in %d, %s",
		          groups->k, groups->v, clkv__groups_layers(groups),
		          groups->before ? "in front of" : "behind", ours->k, ours->v,
		          clkv__groups_layers(ours), ours->before ? "in front of" : "behind");
	return CLKV_OK;
}

/* The bytes of a record around its contents. */
enum { AROUND = CLKV__RECORD_BYTES + CLKV__CHECKSUM_BYTES };

/* A sealed page with its record, at least or at most. */
static uint64_t bytes_of_page(const struct clkv__snapshot_head *head, const struct clkv__plan *plan,
                              uint32_t layer, uint32_t stream, bool most)
{
	const struct clkv__codec_layout *l =
		&clkv__plan_head(plan, (int)head->kv_heads, (int)layer, (int)stream)->layout;
	uint32_t units = l->sized && !most ? 1 : l->units;
	return AROUND + (uint64_t)units * ABI_UNIT;
}

/* Tokens that a layer has in half. */
static uint32_t half_tokens(const struct clkv__snapshot_head *head, const struct clkv__plan *plan,
                            bool dense)
{
	uint32_t sinks = clkv__plan_sinks(plan, head->length);
	if (dense)
		return head->length - head->from;
	return (head->from < sinks ? sinks - head->from : 0) + clkv__head_open(head, plan);
}

/* Records that hold n tokens in half, at most: sinks and tail may begin and end inside a block. */
static uint64_t half_records(const struct clkv__plan *plan, uint32_t n)
{
	return n > 0 ? n / (uint32_t)plan->general.block + 4 : 0;
}

static uint64_t bytes_of(const struct clkv__snapshot_head *head, const struct clkv__plan *plan,
                         bool most)
{
	uint64_t token = 2 * ((uint64_t)head->dk + head->dv), bytes = AROUND; /* the end's */
	uint32_t blocks = head->parts & CLKV__HEAD_CHOICE ? 0 : head->blocks; /* else heads differ */
	for (uint32_t l = 0; l < head->layers; l++) {
		bool dense = clkv__layer_is_dense(plan, (int)l);
		uint32_t half = half_tokens(head, plan, dense);
		uint64_t records = most ? half_records(plan, half) : half > 0;
		for (uint32_t s = 0; s < head->kv_heads; s++) {
			bytes += half * token + records * AROUND;
			bytes += dense ? 0 : blocks * bytes_of_page(head, plan, l, s, most);
		}
	}
	return bytes;
}

uint64_t clkv__head_least(const struct clkv__snapshot_head *head, const struct clkv__plan *plan)
{
	return bytes_of(head, plan, false);
}

uint64_t clkv__head_most(const struct clkv__snapshot_head *head, const struct clkv__plan *plan)
{
	return bytes_of(head, plan, true) + CLKV__HEAD_BYTES + strlen(head->recipe) + AROUND +
	       CLKV__SECTION_BYTES;
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
	/* Tokens that are to be recalled, of which the file has no index, are sealed anew. */
	if (cache->sizes.segs > 0 && !(head->parts & CLKV__HEAD_INDEX))
		return false;
	/* What was selected depends on window and phases too. */
	if (clkv__selects(&plan->select))
		return strcmp(text, cache->recipe) == 0;
	return same_stages(text, cache->recipe) && a->block == b->block &&
	       plan->sealing.dense == cache->plan.sealing.dense &&
	       (plan->sealing.dense || (a->sinks == b->sinks && a->skip == b->skip)) &&
	       leaves_open(&cache->plan, clkv__head_open(head, plan));
}
