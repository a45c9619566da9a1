/* SPDX-License-Identifier: MIT */
/** \file factors_write.c \brief clkv_factors_write: factors to a file, for caches whose sealed blocks hold latents. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/struct_io.h"
#include "plan/factors.h"
#include "plan/group_factors.h"
#include "shape/shape.h"

static clkv_status check_rank(const char *name, int rank, clkv_error *error)
{
	if (rank < 1 || rank > CLKV__FACTORS_RANK)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "clkv_factors.%s is %d; allowed: 1 to %d",
		          name, rank, CLKV__FACTORS_RANK);
	return CLKV_OK;
}

static clkv_status read_factors(const clkv_factors *given, clkv_factors *f, clkv_error *error)
{
	CLKV_TRY(clkv__struct_read(f, sizeof *f, given, "clkv_factors", error));
	CLKV_TRY(check_rank("rank_k", f->rank_k, error));
	CLKV_TRY(check_rank("rank_v", f->rank_v, error));
	const char *missing = !f->k_down   ? "k_down"
	                      : !f->k_up   ? "k_up"
	                      : !f->v_down ? "v_down"
	                      : !f->v_up   ? "v_up"
	                                   : NULL;
	if (missing)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "clkv_factors.%s is NULL", missing);
	return CLKV_OK;
}

static clkv_status check_heads(const char *side, int heads, int streams, clkv_error *error)
{
	if (heads < 1 || streams % heads)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"clkv_factors.heads_%s is %d; allowed: numbers that divide the model's %d KV heads",
			side, heads, streams);
	return CLKV_OK;
}

/* Layers of a group. */
static clkv_status check_share(int share, const struct clkv__shape *shape, clkv_error *error)
{
	if (share < 1 || shape->layers % share)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "clkv_factors.share is %d; allowed: numbers that divide the model's %d layers",
		          share, shape->layers);
	return CLKV_OK;
}

static clkv_status check_width(const char *side, int heads, int rank, int dim, clkv_error *error)
{
	if (rank > heads * dim)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "clkv_factors.rank_%s is %d; allowed: 1 to %d, the width of a group of %d heads",
		          side, rank, heads * dim, heads);
	return CLKV_OK;
}

/* The groups that a caller means. Errors: INVALID_ARGUMENT. */
static clkv_status read_groups(const struct clkv__shape *shape, const clkv_factors *f,
                               struct clkv__groups *groups, clkv_error *error)
{
	*groups = (struct clkv__groups){
		.k = f->heads_k != 0 ? f->heads_k : 1,
		.v = f->heads_v != 0 ? f->heads_v : 1,
		.before = f->before_rope == 1,
		.share = f->share != 0 ? f->share : 1,
	};
	if (f->before_rope != 0 && f->before_rope != 1)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "clkv_factors.before_rope is %d; allowed: 0 and 1", f->before_rope);
	CLKV_TRY(check_heads("k", groups->k, shape->streams, error));
	CLKV_TRY(check_heads("v", groups->v, shape->streams, error));
	CLKV_TRY(check_share(groups->share, shape, error));
	if (clkv__groups_own(groups))
		return CLKV_OK;
	CLKV_TRY(check_width("k", groups->share * groups->k, f->rank_k, shape->dk, error));
	return check_width("v", groups->share * groups->v, f->rank_v, shape->dv, error);
}

/* Who writes is told at once what a cache would refuse. */
static clkv_status write_checked(const struct clkv__shape *shape, const struct clkv__latents *ranks,
                                 const struct clkv__groups *groups, uint64_t model,
                                 const void *file, size_t size, clkv_write_fn write, void *opaque,
                                 clkv_error *error)
{
	const struct clkv__latents any = {0, 0};
	if (clkv__groups_own(groups))
		CLKV_TRY(clkv__factors_check(shape, ranks, file, size, model, error));
	else
		CLKV_TRY(clkv__group_factors_check(shape, &any, groups, file, size, model, error));
	if (write(opaque, file, size) != size)
		CLKV_FAIL(error, CLKV_ERROR_IO, "the factors file could not be written");
	return CLKV_OK;
}

clkv_status clkv_factors_write(const clkv_geometry *geometry, uint64_t model,
                               const clkv_factors *factors, clkv_write_fn write, void *opaque,
                               clkv_error *error)
{
	const clkv_allocator standard = {0};
	struct clkv__shape shape;
	struct clkv__groups groups;
	clkv_factors f;
	clkv__error_clear(error);
	if (!factors || !write)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", !factors ? "factors" : "write");
	CLKV_TRY(clkv__shape_read(geometry, &shape, error));
	CLKV_TRY(read_factors(factors, &f, error));
	CLKV_TRY(read_groups(&shape, &f, &groups, error));
	const struct clkv__latents ranks = {f.rank_k, f.rank_v};
	const bool own = clkv__groups_own(&groups);
	size_t size = (size_t)(own ? clkv__factors_bytes(&shape, &ranks)
	                           : clkv__group_factors_bytes(&shape, &ranks, &groups));
	void *file = clkv__calloc(&standard, size, 1);
	if (!file)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
		          "no host memory for a factors file of %zu bytes", size);
	if (own)
		clkv__factors_pack(&shape, &ranks, &f, model, file);
	else
		clkv__group_factors_pack(&shape, &ranks, &groups, &f, model, file);
	clkv_status status =
		write_checked(&shape, &ranks, &groups, model, file, size, write, opaque, error);
	clkv__free(&standard, file);
	return status;
}
