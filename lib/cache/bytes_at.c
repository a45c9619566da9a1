/* SPDX-License-Identifier: MIT */
/** \file bytes_at.c \brief What sequences of a length would take of a cache that isn't made. */
#include "base/error.h"
#include "base/struct_io.h"
#include "store/options.h"
#include "cache/resolve.h"
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

clkv_status clkv_bytes_at(clkv_context *context, const clkv_geometry *geometry, const char *recipe,
                          const clkv_cache_options *options, size_t n_tokens, size_t n_sequences,
                          int sealed, clkv_bytes_used *bytes, clkv_error *error)
{
	struct clkv__resolved r;
	struct clkv__sizes sizes;
	clkv_cache_options o;
	clkv_bytes_used used;
	clkv__error_clear(error);
	CLKV_TRY(clkv__resolve(context, geometry, recipe, &r, error));
	CLKV_TRY(clkv__options_read(&r.plan, options, &o, error));
	CLKV_TRY(clkv__sizes_compute(&r.shape, &r.plan, options, &r.cut, &sizes, error));
	CLKV_TRY(check_counts(&sizes, n_tokens, n_sequences, error));
	struct clkv__used one =
		clkv__used_at(&r.shape, &r.plan, &sizes, (uint32_t)n_tokens, sealed != 0);
	CLKV_TRY(check_open(&r, &sizes, &one, n_sequences, error));
	clkv__used_bytes(&r.shape, &r.plan, &sizes, &one, (uint32_t)n_sequences, &used);
	return clkv__struct_write(bytes, &used, sizeof used, "clkv_bytes_used", error);
}
