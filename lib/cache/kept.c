/* SPDX-License-Identifier: MIT */
/** \file kept.c \brief What a head has kept, for those who look: clkv_seq_get_kept, clkv_cache_observes. */
#include "attend/launch.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/struct_io.h"
#include "step/step.h"
#include "store/cache.h"

#include <math.h>
#include <string.h>

size_t clkv_cache_observes(const clkv_cache *cache)
{
	size_t most = 0;
	for (; cache; cache = cache->next_band) {
		const struct clkv__select *s = &cache->plan.select;
		size_t rows = clkv__weighs(s) && !clkv__select_rereads(s)
		                  ? SIZE_MAX
		                  : (size_t)clkv__plan_observe(&cache->plan);
		most = rows > most ? rows : most;
	}
	return most;
}

int clkv_cache_weighs(const clkv_cache *cache)
{
	while (cache && !clkv__plan_weigher(&cache->plan))
		cache = cache->next_band;
	return cache != NULL;
}

int clkv_cache_rereads(const clkv_cache *cache)
{
	while (cache && !clkv__select_rereads(&cache->plan.select))
		cache = cache->next_band;
	return cache != NULL;
}

/* The slots of one head as they lie there, dead ones among them. */
struct slots {
	uint32_t n;
	uint32_t *state; /* [n][ABI_STATE_WORDS]: weight, score, position, traces; floats' bits */
	float *k, *v;
};

static void free_slots(const clkv_cache *cache, struct slots *s)
{
	clkv__free(&cache->context->allocator, s->state);
	clkv__free(&cache->context->allocator, s->k);
	clkv__free(&cache->context->allocator, s->v);
}

/* State of the slots of all entries of a row. */
static clkv_status read_state(clkv_cache *cache, struct clkv__chain *chain, int layer, uint32_t row,
                              struct slots *s, clkv_error *error)
{
	const struct clkv__tables *t = &cache->tables;
	uint32_t bt = (uint32_t)cache->plan.general.block, block[ABI_STATE_WORDS * 128], at = 0;
	for (uint32_t i = 0; i < clkv__tables_get(t, row + ABI_ROW_SEALED); i++) {
		uint32_t entry = row + ABI_ROW_ENTRY(i);
		size_t address = clkv__tables_get(t, entry + ABI_ENTRY_ADDR);
		CLKV_TRY(clkv__chain_read_now(chain, cache->pool.layers[layer].mem, address * ABI_UNIT,
		                              ABI_STATE_BYTES(bt), block, error));
		for (uint32_t j = 0; j < clkv__tables_get(t, entry + ABI_ENTRY_COUNT); j++, at++)
			for (uint32_t w = 0; w < ABI_STATE_WORDS; w++)
				s->state[ABI_STATE_WORDS * at + w] = block[w * bt + j];
	}
	return CLKV_OK;
}

static clkv_status read_values(clkv_seq *seq, struct clkv__chain *chain, int layer, int head,
                               struct slots *s, bool is_k, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	size_t dim = (size_t)(is_k ? cache->shape.dk : cache->shape.dv);
	float *to = is_k ? s->k : s->v;
	cl_int code;
	if (s->n == 0)
		return CLKV_OK;
	clkv_tensor tensor = {.dtype = CLKV_F32, .token_stride = dim};
	tensor.mem =
		clCreateBuffer(cache->context->cl, CL_MEM_READ_WRITE, s->n * dim * sizeof *to, NULL, &code);
	CLKV_CL_CODE(error, code, "clCreateBuffer");
	clkv_status status = clkv__launch_read_slots(
		seq, chain, layer, head, s->n, is_k ? &tensor : NULL, is_k ? NULL : &tensor, error);
	if (status == CLKV_OK)
		status = clkv__chain_read_now(chain, tensor.mem, 0, s->n * dim * sizeof *to, to, error);
	clReleaseMemObject(tensor.mem);
	return status;
}

static float as_float(uint32_t bits)
{
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

/* Slots that stand for something, into the caller's arrays as far as there are any. */
static void show(const clkv_cache *cache, const struct slots *s, clkv_kept *out)
{
	size_t dk = (size_t)cache->shape.dk, dv = (size_t)cache->shape.dv;
	out->n = 0;
	for (size_t i = 0; i < s->n; i++) {
		const uint32_t *state = s->state + ABI_STATE_WORDS * i;
		float weight = as_float(state[0]);
		size_t at = out->n;
		if (weight == -INFINITY)
			continue;
		out->n++;
		if (at >= out->room)
			continue;
		if (out->weights)
			out->weights[at] = rintf(exp2f(weight));
		if (out->scores)
			out->scores[at] = as_float(state[1]);
		if (out->positions)
			out->positions[at] = state[2];
		if (out->k)
			memcpy(out->k + at * dk, s->k + i * dk, dk * sizeof *out->k);
		if (out->v)
			memcpy(out->v + at * dv, s->v + i * dv, dv * sizeof *out->v);
	}
}

static size_t count_live(const struct slots *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += as_float(s->state[ABI_STATE_WORDS * i]) != -INFINITY;
	return n;
}

static clkv_status read_slots(clkv_seq *seq, struct clkv__chain *chain, int layer, int head,
                              clkv_kept *out, struct slots *s, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	const clkv_allocator *a = &cache->context->allocator;
	uint32_t row = clkv__seq_row(seq, layer, head);
	size_t dk = (size_t)cache->shape.dk, dv = (size_t)cache->shape.dv;
	bool wanted = out->positions || out->weights || out->scores || out->k || out->v;
	for (uint32_t i = 0; i < clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED); i++)
		s->n += clkv__tables_get(&cache->tables, row + ABI_ROW_ENTRY(i) + ABI_ENTRY_COUNT);
	s->state = clkv__calloc(a, s->n + 1, ABI_STATE_WORDS * sizeof *s->state);
	s->k = out->k ? clkv__calloc(a, s->n + 1, dk * sizeof *s->k) : NULL;
	s->v = out->v ? clkv__calloc(a, s->n + 1, dv * sizeof *s->v) : NULL;
	if (!s->state || (out->k && !s->k) || (out->v && !s->v))
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %u slots", s->n);
	CLKV_TRY(read_state(cache, chain, layer, row, s, error));
	size_t n = count_live(s);
	if (wanted && n > out->room) {
		size_t room = out->room;
		out->n = n;
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "room is %zu; allowed: %zu and up", room, n);
	}
	if (out->k)
		CLKV_TRY(read_values(seq, chain, layer, head, s, true, error));
	if (out->v)
		CLKV_TRY(read_values(seq, chain, layer, head, s, false, error));
	show(cache, s, out);
	return CLKV_OK;
}

static clkv_status get_kept(clkv_seq *seq, int layer, int head, clkv_kept *out,
                            cl_command_queue queue, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	struct clkv__chain chain;
	struct slots s = {0};
	if (cache->step->open)
		CLKV_FAIL(error, CLKV_ERROR_BUSY, "the cache has an open step");
	uint32_t sinks = clkv__sinks(cache, seq->length);
	out->tail = seq->tail > sinks ? seq->tail : sinks;
	CLKV_TRY(clkv__cache_join(cache, &chain, queue, error));
	clkv_status status = clkv__step_send_tables(cache, &chain, error);
	if (status == CLKV_OK)
		status = read_slots(seq, &chain, layer, head, out, &s, error);
	free_slots(cache, &s);
	clkv__cache_leave(cache, &chain);
	return status;
}

/* The sequence in the band of a layer, which becomes its number there, if that band selects tokens. */
static clkv_status find_head(clkv_seq **seq, int *layer, int kv_head, clkv_error *error)
{
	int n = clkv__cache_layers((*seq)->cache), asked = *layer;
	if (asked >= 0 && asked < n)
		*seq = clkv__seq_at(*seq, layer);
	const clkv_cache *cache = (*seq)->cache;
	int skip = cache->plan.general.skip;
	if (!clkv__selects(&cache->plan.select))
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED, "recipe '%.80s' keeps all tokens", cache->recipe);
	if (asked < 0 || asked >= n || *layer < skip)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "layer is %d; allowed: %d to %d, of those before all tokens are kept", asked,
		          clkv__shape_layer(&cache->shape, skip),
		          clkv__shape_layer(&cache->shape, cache->shape.layers - 1));
	if (kv_head < 0 || kv_head >= cache->shape.streams)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "kv_head is %d; allowed: 0 to %d", kv_head,
		          cache->shape.streams - 1);
	return CLKV_OK;
}

clkv_status clkv_seq_get_kept(clkv_seq *seq, int layer, int kv_head, clkv_kept *kept,
                              cl_command_queue queue, clkv_error *error)
{
	clkv__error_clear(error);
	if (!seq || !kept)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", seq ? "kept" : "seq");
	clkv_kept k;
	CLKV_TRY(clkv__struct_read(&k, sizeof k, kept, "clkv_kept", error));
	CLKV_TRY(find_head(&seq, &layer, kv_head, error));
	clkv_cache *cache = seq->cache;
	pthread_mutex_lock(&cache->mutex);
	k.n = 0;
	clkv_status status = get_kept(seq, layer, kv_head, &k, queue, error);
	pthread_mutex_unlock(&cache->mutex);
	clkv_status written = clkv__struct_write(kept, &k, sizeof k, "clkv_kept", error);
	return status != CLKV_OK ? status : written;
}
