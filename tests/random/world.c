/* SPDX-License-Identifier: MIT */
/** \file world.c \brief Opens, counts and empties a cache under test. */
#include "world.h"

#include "../support/each.h"
#include "../support/factors.h"
#include "../support/inject.h"
#include "../support/random.h"
#include "../support/rotation.h"
#include "geometry.h"
#include "model.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t world_below(struct world *w, size_t n)
{
	return random_below(random_next(&w->random), n);
}

bool world_one_in(struct world *w, size_t n)
{
	return world_below(w, n) == 0;
}

size_t world_between(struct world *w, size_t least, size_t most)
{
	return least + world_below(w, most - least + 1);
}

void world_trace(const struct world *w, const char *format, ...)
{
	va_list list;
	if (!w->run->trace)
		return;
	fprintf(stderr, "%5zu %-8s ", w->progress->operation, w->progress->name);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "\n");
}

cl_command_queue world_queue(struct world *w)
{
	return w->queues[world_below(w, w->n_queues)];
}

struct tensor_layout world_layout(struct world *w)
{
	struct tensor_layout layout = {.dtype = (clkv_dtype)world_below(w, 3)};
	if (world_one_in(w, 2))
		layout.offset = world_below(w, 40);
	if (world_one_in(w, 2))
		layout.head_gap = world_below(w, 6);
	if (world_one_in(w, 2))
		layout.token_gap = world_below(w, 9);
	layout.host = world_one_in(w, 4);
	layout.skew = 4 * world_below(w, 20);
	return layout;
}

size_t world_band(const struct world *w, int layer)
{
	size_t i = 0;
	while (i + 1 < w->n_bands && !facts_have(&w->facts[i], layer))
		i++;
	return i;
}

const struct facts *world_facts(const struct world *w, int layer)
{
	return &w->facts[world_band(w, layer)];
}

size_t world_dim(const struct world *w, enum side side)
{
	return (size_t)(side == SIDE_K ? w->geometry.head_dim_k : w->geometry.head_dim_v);
}

size_t world_row(const struct world *w, enum side side)
{
	return (size_t)w->geometry.kv_heads * world_dim(w, side);
}

/* ---------------------------------------------------------------- opening ---- */

static void open_queues(struct world *w, cl_command_queue first)
{
	cl_int code;
	cl_context context = clkv_context_cl(w->context);
	cl_device_id device = clkv_context_device(w->context);
	w->queues[w->n_queues++] = first;
	for (int i = 0; i < 2; i++) {
		cl_command_queue_properties order = i ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0;
		cl_command_queue queue = clCreateCommandQueue(context, device, order, &code);
		if (code == CL_SUCCESS)
			w->queues[w->n_queues++] = queue;
	}
}

/* Room for a few hundred tokens, so that pools fill up. */
static void draw_options(struct world *w)
{
	w->options = (clkv_cache_options)CLKV_INIT(clkv_cache_options);
	w->options.max_sequences = world_between(w, 2, WORLD_SEQS);
	w->options.max_tokens = world_between(w, 300, w->some.recalls ? 1600 : 900);
	w->options.max_step_tokens = world_between(w, 60, 260);
	w->options.seed = w->run->seed;
}

static bool refuse(struct world *w, const clkv_error *error)
{
	w->progress->impossible = true;
	snprintf(w->progress->reason, sizeof w->progress->reason, "%s", error->text);
	return false;
}

/* Layers that slide and keep no more than their window are beyond the model: check_bands.c has them. */
static bool sum_bands(struct world *w, clkv_error *error)
{
	for (size_t i = 0; i < w->n_bands; i++) {
		const struct facts *f = &w->facts[i];
		w->some.selects |= f->selects;
		w->some.recalls |= f->recalls;
		w->some.prunes |= f->prunes;
		w->some.rereads |= f->rereads;
		w->some.ruled |= f->ruled;
		w->some.dense |= f->dense;
	}
	snprintf(error->text, sizeof error->text, "layers that slide beside others");
	return w->n_bands == 1 || !w->geometry.window || !w->some.dense;
}

bool world_open(struct world *w, const struct run_case *run, struct progress *progress,
                clkv_context *context, cl_command_queue queue)
{
	clkv_error error = {.text = ""};
	*w = (struct world){.run = run, .progress = progress, .context = context};
	w->random = random_mix(run->seed, 16);
	ck_assert_msg(geometry_read(run->geometry, &w->geometry, w->window), "no geometry: '%s'",
	              run->geometry);
	w->n_bands = facts_read(run->recipe, w->geometry.layers, w->facts, &error);
	if (w->n_bands == 0 || !sum_bands(w, &error))
		return refuse(w, &error);
	/* else removal turns keys, which the model doesn't: check_remove.c does */
	if (!strstr(run->recipe, "expected"))
		w->geometry.rope = (clkv_rope){.kind = CLKV_ROPE_NONE};
	draw_options(w);
	struct memory_file rotation = {0};
	struct factors factors = {0};
	clkv_cache_options options = w->options;
	if (strstr(run->recipe, "rot=file")) {
		rotation = rotation_file(&w->geometry, ROTATION_HADAMARD, 0);
		options.rotation = rotation.bytes;
		options.rotation_size = rotation.n;
	}
	const bool atoms = strstr(run->recipe, "csr");
	snprintf(error.text, sizeof error.text, "one file of factors for latents and for atoms");
	if (atoms && factors_latents_are_asked(run->recipe))
		return refuse(w, &error);
	if (factors_are_asked(run->recipe)) {
		size_t dk = atoms ? 16 : world_dim(w, SIDE_K), dv = atoms ? 16 : world_dim(w, SIDE_V);
		struct factors_groups groups;
		const bool grouped = !atoms && factors_groups_of(&w->geometry, run->recipe, &groups);
		if (grouped && (size_t)w->geometry.layers % groups.share == 0)
			factors_make_groups(&factors, &w->geometry, FACTORS_PART, &groups,
			                    groups.share * groups.heads_k * dk,
			                    groups.share * groups.heads_v * dv, 0);
		else
			factors_make(&factors, &w->geometry, FACTORS_PART, dk, dv, 0);
		options.factors = factors.file.bytes;
		options.factors_size = factors.file.n;
	}
	clkv_status status =
		clkv_cache_create(context, &w->geometry, run->recipe, &options, &w->cache, &error);
	memory_close(&rotation);
	factors_free(&factors);
	if (status == CLKV_ERROR_INVALID_RECIPE || status == CLKV_ERROR_UNSUPPORTED)
		return refuse(w, &error);
	ck_assert_msg(status == CLKV_OK, "clkv_cache_create: %s: %s", clkv_status_string(status),
	              error.text);
	w->feed = (struct feed){.context = context, .queue = queue, .cache = w->cache};
	w->feed.geometry = w->geometry;
	w->feed.value = feed_normal;
	w->stream = calloc(1, sizeof *w->stream);
	ck_assert_ptr_nonnull(w->stream);
	w->observes = clkv_cache_observes(w->cache);
	open_queues(w, queue);
	return true;
}

/* ---------------------------------------------------------------- checks ---- */

static void check_bytes(const clkv_stats *s)
{
	EACH_MSG(
		s->used_sealed <= s->allocated.sealed && s->used_open <= s->allocated.open &&
			s->used_tables <= s->allocated.tables,
		"more is used than there is: sealed %llu of %llu, open %llu of %llu, tables %llu of %llu",
		(unsigned long long)s->used_sealed, (unsigned long long)s->allocated.sealed,
		(unsigned long long)s->used_open, (unsigned long long)s->allocated.open,
		(unsigned long long)s->used_tables, (unsigned long long)s->allocated.tables);
	EACH_MSG(s->used_code_tables <= s->allocated.code_tables, "%llu bytes of code tables, of %llu",
	         (unsigned long long)s->used_code_tables, (unsigned long long)s->allocated.code_tables);
	EACH_MSG(s->used_host <= s->allocated.host_sealed, "%llu bytes of the host's are used, of %llu",
	         (unsigned long long)s->used_host, (unsigned long long)s->allocated.host_sealed);
	EACH_MSG(s->used_index <= s->allocated.index, "%llu bytes of indexes are used, of %llu",
	         (unsigned long long)s->used_index, (unsigned long long)s->allocated.index);
	EACH_MSG(s->not_finite == 0, "%llu values weren't finite", (unsigned long long)s->not_finite);
}

static void check_bounds(const struct world *w)
{
	double broken, checked;
	if (clkv_cache_figure(w->cache, "kvcomp.values_broken", &broken, NULL) != CLKV_OK)
		return;
	ck_assert_int_eq(clkv_cache_figure(w->cache, "kvcomp.values_checked", &checked, NULL), CLKV_OK);
	EACH_MSG(broken == 0, "%g of %g values are beyond their bound", broken, checked);
}

void world_check(struct world *w)
{
	clkv_stats stats = CLKV_INIT(clkv_stats);
	uint64_t tokens = 0;
	ck_assert_int_eq(clkv_cache_stats(w->cache, &stats, NULL), CLKV_OK);
	for (size_t i = 0; i < w->n_models; i++) {
		model_check_info(w, &w->models[i]);
		tokens += w->models[i].n;
	}
	EACH_MSG(stats.sequences == w->n_models, "%llu sequences instead of %zu",
	         (unsigned long long)stats.sequences, w->n_models);
	EACH_MSG(stats.tokens == tokens, "%llu tokens instead of %llu",
	         (unsigned long long)stats.tokens, (unsigned long long)tokens);
	check_bytes(&stats);
	check_bounds(w);
}

void world_empty(struct world *w)
{
	clkv_stats stats = CLKV_INIT(clkv_stats);
	while (w->n_models > 0)
		model_drop(w, w->n_models - 1);
	ck_assert_int_eq(clkv_cache_stats(w->cache, &stats, NULL), CLKV_OK);
	EACH_MSG(stats.used_sealed == 0 && stats.used_open == 0 && stats.used_tables == 0 &&
	             stats.used_host == 0 && stats.used_index == 0 && stats.tokens == 0,
	         "with no sequence %llu sealed bytes, %llu open, %llu of tables, "
	         "%llu of the host and %llu tokens are in use",
	         (unsigned long long)stats.used_sealed, (unsigned long long)stats.used_open,
	         (unsigned long long)stats.used_tables, (unsigned long long)stats.used_host,
	         (unsigned long long)stats.tokens);
	w->scattered = false;
}

void world_close(struct world *w)
{
	world_empty(w);
	clkv_cache_destroy(w->cache);
	free(w->stream);
	for (size_t i = 1; i < w->n_queues; i++)
		clReleaseCommandQueue(w->queues[i]);
	ck_assert_msg(inject_device_bytes() == 0, "%llu bytes of device memory were not freed",
	              (unsigned long long)inject_device_bytes());
}
