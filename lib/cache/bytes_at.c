/* SPDX-License-Identifier: MIT */
/** \file bytes_at.c \brief What sequences of a length would take of a cache that isn't made. */
#include "base/error.h"
#include "base/struct_io.h"
#include "cache/demand.h"
#include "store/used.h"

static clkv_status check_counts(const struct clkv__sizes *s, size_t n, size_t m, clkv_error *error)
{
	if (m == 0 || m > s->max_sequences)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "n_sequences is %zu; allowed: 1 to max_sequences (%u)", m, s->max_sequences);
	if (n > s->max_seq_tokens || n * m > s->max_tokens)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "%zu sequences of %zu tokens; allowed: max_seq_tokens (%u) of one, max_tokens "
		          "(%u) of all",
		          m, n, s->max_seq_tokens, s->max_tokens);
	return CLKV_OK;
}

/* Half blocks of layers that seal are fewer than those of all tokens. */
static clkv_status check_open(const struct clkv__resolved *r, const struct clkv__sizes *s,
                              const struct clkv__used *one, size_t m, clkv_error *error)
{
	uint64_t half = ((uint64_t)one->half + one->merged) * (uint64_t)r->shape.streams * m;
	if (!r->plan.sealing.dense && half > s->open_slots)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
		          "%zu sequences of %u tokens have %llu half blocks in a layer; allowed: %u, or "
		          "another seal, max_step_tokens or max_open_tokens",
		          m, one->filling.length, (unsigned long long)half, s->open_slots);
	return CLKV_OK;
}

static void add(clkv_bytes_used *sum, const clkv_bytes_used *band)
{
	sum->exact &= band->exact;
	sum->device += band->device;
	sum->sealed += band->sealed;
	sum->open += band->open;
	sum->tables += band->tables;
	sum->index += band->index;
	sum->host += band->host;
	sum->sequence += band->sequence;
	sum->sequence_host += band->sequence_host;
	if (band->sealed_tokens > sum->sealed_tokens)
		sum->sealed_tokens = band->sealed_tokens;
}

static clkv_status add_band(const struct clkv__demand *d, size_t n, size_t m, bool sealed,
                            clkv_bytes_used *sum, clkv_error *error)
{
	const struct clkv__resolved *r = &d->resolved;
	clkv_bytes_used used;
	CLKV_TRY(check_counts(&d->sizes, n, m, error));
	struct clkv__used one = clkv__used_at(&r->shape, &r->plan, &d->sizes, (uint32_t)n, sealed);
	CLKV_TRY(check_open(r, &d->sizes, &one, m, error));
	clkv__used_bytes(&r->shape, &r->plan, &d->sizes, &one, (uint32_t)m, &used);
	add(sum, &used);
	return CLKV_OK;
}

clkv_status clkv_bytes_at(clkv_context *context, const clkv_geometry *geometry, const char *recipe,
                          const clkv_cache_options *options, size_t n_tokens, size_t n_sequences,
                          int sealed, clkv_bytes_used *bytes, clkv_error *error)
{
	struct clkv__division division;
	struct clkv__demand d;
	clkv_bytes_used sum = {.struct_size = sizeof sum, .exact = 1};
	clkv__error_clear(error);
	if (!context)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "context is NULL");
	CLKV_TRY(clkv__divide(geometry, recipe, &division, error));
	for (int i = 0; i < division.bands.n; i++) {
		CLKV_TRY(clkv__demand_band(context, &division, recipe, options, i, CLKV__CACHE_ATTENDS, &d,
		                           error));
		CLKV_TRY(add_band(&d, n_tokens, n_sequences, sealed != 0, &sum, error));
	}
	return clkv__struct_write(bytes, &sum, sizeof sum, "clkv_bytes_used", error);
}
