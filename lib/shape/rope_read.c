/* SPDX-License-Identifier: MIT */
/** \file rope_read.c \brief Checks a caller's rope, field by field, and fills in its defaults. */
#include "shape/rope.h"

#include "base/error.h"

#include <math.h>
#include <stdbool.h>

static clkv_status check_int(const char *name, int value, int max, clkv_error *error)
{
	if (value < 0 || value > max)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "geometry: rope.%s is %d; allowed: 0 to %d",
		          name, value, max);
	return CLKV_OK;
}

/* Finite, and min or more; above_min: more. */
static clkv_status check_real(const char *name, float value, float min, bool above_min,
                              clkv_error *error)
{
	if (!isfinite(value) || value < min || (above_min && value == min))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "geometry: rope.%s is %g; allowed: finite numbers %s%g", name, (double)value,
		          above_min ? "above " : "from ", (double)min);
	return CLKV_OK;
}

static clkv_status check_unset(const char *name, bool set, const char *without, clkv_error *error)
{
	if (set)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "geometry: rope.%s is set; allowed: 0 without rope.%s", name, without);
	return CLKV_OK;
}

/* A field that counts for nothing shows that another one was forgotten. */
static clkv_status check_none(const clkv_rope *r, clkv_error *error)
{
	CLKV_TRY(check_unset("by_library", r->by_library != 0, "kind", error));
	CLKV_TRY(check_unset("dims", r->dims != 0, "kind", error));
	CLKV_TRY(check_unset("base", r->base != 0.0f, "kind", error));
	CLKV_TRY(check_unset("factors", r->factors != NULL, "kind", error));
	CLKV_TRY(check_unset("attn_factor", r->attn_factor != 0.0f, "kind", error));
	return check_unset("scaling", r->scaling != 0, "kind", error);
}

static clkv_status check_factors(const clkv_rope *r, clkv_error *error)
{
	for (int i = 0; r->factors && i < r->dims / 2; i++)
		if (!isfinite(r->factors[i]) || r->factors[i] <= 0.0f)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
			          "geometry: rope.factors[%d] is %g; allowed: finite numbers above 0", i,
			          (double)r->factors[i]);
	return CLKV_OK;
}

static clkv_status read_yarn(clkv_rope *r, clkv_error *error)
{
	if (r->scaling != CLKV_ROPE_YARN) {
		CLKV_TRY(check_unset("original", r->original != 0.0f, "scaling by YaRN", error));
		CLKV_TRY(check_unset("beta_fast", r->beta_fast != 0.0f, "scaling by YaRN", error));
		CLKV_TRY(check_unset("beta_slow", r->beta_slow != 0.0f, "scaling by YaRN", error));
		return check_unset("ext_factor", r->ext_factor != 0.0f, "scaling by YaRN", error);
	}
	r->beta_fast = r->beta_fast != 0.0f ? r->beta_fast : 32.0f;
	r->beta_slow = r->beta_slow != 0.0f ? r->beta_slow : 1.0f;
	r->ext_factor = r->ext_factor != 0.0f ? r->ext_factor : 1.0f;
	CLKV_TRY(check_real("original", r->original, 1.0f, false, error));
	CLKV_TRY(check_real("beta_slow", r->beta_slow, 0.0f, true, error));
	CLKV_TRY(check_real("beta_fast", r->beta_fast, r->beta_slow, true, error));
	CLKV_TRY(check_real("ext_factor", r->ext_factor, 0.0f, true, error));
	if (r->ext_factor > 1.0f)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "geometry: rope.ext_factor is %g; allowed: up to 1", (double)r->ext_factor);
	return CLKV_OK;
}

static clkv_status read_scaling(clkv_rope *r, clkv_error *error)
{
	CLKV_TRY(check_int("scaling", r->scaling, CLKV_ROPE_YARN, error));
	if (r->scaling == CLKV_ROPE_UNSCALED)
		CLKV_TRY(check_unset("factor", r->factor != 0.0f, "scaling", error));
	else if (r->scaling == CLKV_ROPE_LINEAR)
		CLKV_TRY(check_real("factor", r->factor, 0.0f, true, error));
	else
		CLKV_TRY(check_real("factor", r->factor, 1.0f, false, error));
	return read_yarn(r, error);
}

clkv_status clkv__rope_read(clkv_rope *rope, int dk, clkv_error *error)
{
	clkv_rope r = *rope;
	CLKV_TRY(check_int("kind", r.kind, CLKV_ROPE_PAIRS, error));
	CLKV_TRY(check_int("by_library", r.by_library, 1, error));
	if (r.kind == CLKV_ROPE_NONE) {
		CLKV_TRY(check_none(&r, error));
		return read_scaling(&r, error);
	}
	if (r.dims < 0 || r.dims > dk || r.dims % 2)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "geometry: rope.dims is %d; allowed: even numbers up to head_dim_k (%d)", r.dims,
		          dk);
	r.dims = r.dims != 0 ? r.dims : dk;
	r.base = r.base != 0.0f ? r.base : 10000.0f;
	r.attn_factor = r.attn_factor != 0.0f ? r.attn_factor : 1.0f;
	CLKV_TRY(check_real("base", r.base, 1.0f, true, error));
	CLKV_TRY(check_real("attn_factor", r.attn_factor, 0.0f, true, error));
	CLKV_TRY(check_factors(&r, error));
	CLKV_TRY(read_scaling(&r, error));
	*rope = r;
	return CLKV_OK;
}
