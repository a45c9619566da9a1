/* SPDX-License-Identifier: MIT */
/**
 * \file    remove.c
 * \brief   Takes tokens out of the middle of a sequence; those behind move forward, and their keys turn with them.
 *
 * What is left is made in a sequence of its own: a fork that is cut where the gap begins, to which the rows behind it are
 * appended, decoded and turned. So the old one is whole until the new one is, forks of it never notice, and all that
 * sealing does (codes, indexes) is done as ever. A turn by the difference of positions is one angle for each pair of
 * channels: the host makes it in double, and rows come to it a block's worth at a time.
 */
#include "attend/kernels.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "cache/beside.h"
#include "shape/rope.h"
#include "step/step_layer.h"
#include "store/cache.h"

#include <math.h>
#include <string.h>

/* Rows on their way: of all of the model's layers, [layers][n][streams][dim] f32. */
struct moving {
	clkv_seq *from, *to;
	cl_command_queue queue;
	size_t most; /* rows at a time */
	float *k, *v;
	size_t k_layer, v_layer; /* floats of a layer */
	float cosine[CLKV__ROPE_MOST], sine[CLKV__ROPE_MOST];
};

/* How far pair i turns back by so many positions. */
static void set_turns(struct moving *m, size_t positions)
{
	const clkv_rope *rope = &m->from->cache->shape.rope;
	cl_ulong turns[CLKV__ROPE_MOST];
	if (rope->kind == CLKV_ROPE_NONE)
		return;
	clkv__rope_turns(rope, turns);
	for (int i = 0; i < rope->dims / 2; i++) {
		/* 2^-64 of a turn, back: the product wraps around where the circle does */
		double angle = (double)(int64_t)(turns[i] * -(cl_ulong)positions) * 0x1p-63 * acos(-1.0);
		m->cosine[i] = (float)cos(angle);
		m->sine[i] = (float)sin(angle);
	}
}

static void turn_head(const struct moving *m, float *head)
{
	const clkv_rope *rope = &m->from->cache->shape.rope;
	for (int i = 0; rope->kind != CLKV_ROPE_NONE && i < rope->dims / 2; i++) {
		float *x, *y;
		clkv__rope_pair(rope, i, head, &x, &y);
		const float a = *x, b = *y;
		*x = a * m->cosine[i] - b * m->sine[i];
		*y = b * m->cosine[i] + a * m->sine[i];
	}
}

/* Rows first .. first + n - 1 of all layers, decoded, their keys turned. */
static clkv_status take_rows(struct moving *m, size_t first, size_t n, clkv_error *error)
{
	const struct clkv__shape *shape = &m->from->cache->shape;
	for (int l = 0; l < clkv__cache_layers(m->from->cache); l++) {
		float *keys = m->k + (size_t)l * m->k_layer;
		const clkv_tensor k = {.host = keys}, v = {.host = m->v + (size_t)l * m->v_layer};
		CLKV_TRY(clkv_seq_read(m->from, l, first, n, &k, &v, m->queue, error));
		for (size_t h = 0; h < n * (size_t)shape->streams; h++)
			turn_head(m, keys + h * (size_t)shape->dk);
	}
	return CLKV_OK;
}

/* A pass of generation, which seals what leaves the window. */
static clkv_status put_rows(struct moving *m, size_t n, clkv_error *error)
{
	clkv_step *step = NULL;
	const clkv_step_item item = {m->to, n, CLKV_DECODE};
	CLKV_TRY(clkv_step_begin(m->to->cache, &item, 1, m->queue, &step, error));
	clkv_status status = CLKV_OK;
	for (int l = 0; l < clkv__cache_layers(m->to->cache) && status == CLKV_OK; l++) {
		const clkv_tensor k = {.host = m->k + (size_t)l * m->k_layer};
		const clkv_tensor v = {.host = m->v + (size_t)l * m->v_layer};
		status = clkv__append_stored(step, l, &k, &v, NULL, error);
	}
	if (status == CLKV_OK)
		status = clkv_step_commit(step, NULL, error);
	if (status != CLKV_OK)
		clkv_step_abort(step);
	/* the next rows come to the same memory */
	clkv_status finished = clkv__cl_check(error, clFinish(m->queue), "clFinish");
	return status != CLKV_OK ? status : finished;
}

static clkv_status get_memory(struct moving *m, clkv_error *error)
{
	const clkv_cache *cache = m->from->cache;
	const struct clkv__shape *shape = &cache->shape;
	size_t layers = (size_t)clkv__cache_layers(cache);
	size_t block = (size_t)cache->plan.general.block, steps = cache->sizes.max_step_tokens;
	m->most = block < steps ? block : steps;
	m->k_layer = m->most * (size_t)shape->streams * (size_t)shape->dk;
	m->v_layer = m->most * (size_t)shape->streams * (size_t)shape->dv;
	m->k =
		clkv__calloc(&cache->context->allocator, layers, (m->k_layer + m->v_layer) * sizeof *m->k);
	if (!m->k)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu rows of %zu layers",
		          m->most, layers);
	m->v = m->k + layers * m->k_layer;
	return CLKV_OK;
}

static clkv_status move_rows(clkv_seq *from, clkv_seq *to, size_t first, cl_command_queue queue,
                             clkv_error *error)
{
	struct moving m = {.from = from, .to = to, .queue = queue};
	clkv_status status = CLKV_OK;
	CLKV_TRY(get_memory(&m, error));
	set_turns(&m, first - to->length);
	for (size_t n; first < from->length && status == CLKV_OK; first += n) {
		n = from->length - first < m.most ? from->length - first : m.most;
		status = take_rows(&m, first, n, error);
		if (status == CLKV_OK)
			status = put_rows(&m, n, error);
	}
	clkv__free(&from->cache->context->allocator, m.k);
	return status;
}

/* Queries lie rotated by the positions that their tokens had, and channels that were left out can't be turned. */
static clkv_status check_recipe(const clkv_cache *cache, clkv_error *error)
{
	bool looks = clkv__plan_observes(&cache->plan) || clkv__weighs(&cache->plan.select);
	/* latents of keys in front of RoPE don't know positions */
	bool before = cache->plan.sealing.groups.before;
	if (looks || (!clkv__plan_plain_channels(&cache->plan) && !before))
		CLKV_FAIL(
			error, CLKV_ERROR_UNSUPPORTED,
			"stage '%.*s' %s of tokens at the positions that they had; allowed: to remove the "
			"newest tokens, and recipes without such a stage",
			(int)strcspn(cache->recipe, ": |;"), cache->recipe,
			looks ? "looks at queries" : "leaves out channels");
	return CLKV_OK;
}

static clkv_status check(const clkv_seq *seq, size_t from, size_t to, clkv_error *error)
{
	if (!seq)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "seq is NULL");
	if (from > to || to > seq->length)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "tokens %zu to %zu; allowed: from <= to <= %u", from, to, seq->length);
	return CLKV_OK;
}

/* Behind min_length every row is there to be moved. */
static clkv_status check_middle(const clkv_seq *seq, size_t from, clkv_error *error)
{
	uint32_t least = clkv__seq_least(seq);
	for (const clkv_cache *c = seq->cache; c; c = c->next_band)
		CLKV_TRY(check_recipe(c, error));
	if (from < least)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "from is %zu: of the tokens before %u only some were kept; allowed: %u and up",
		          from, least, least);
	return CLKV_OK;
}

clkv_status clkv_seq_remove(clkv_seq *seq, size_t from, size_t to, cl_command_queue queue,
                            clkv_error *error)
{
	clkv_seq *left = NULL;
	clkv__error_clear(error);
	CLKV_TRY(check(seq, from, to, error));
	if (from == to)
		return CLKV_OK;
	if (to == seq->length)
		return clkv_seq_truncate(seq, from, error);
	CLKV_TRY(check_middle(seq, from, error));
	CLKV_TRY(clkv__seq_fork_beside(seq, &left, error));
	clkv_status status = clkv_seq_truncate(left, from, error);
	if (status == CLKV_OK)
		status = move_rows(seq, left, to, queue, error);
	if (status == CLKV_OK)
		clkv__seq_swap_all(seq, left);
	clkv_seq_destroy(left);
	return status;
}
