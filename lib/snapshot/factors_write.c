/* SPDX-License-Identifier: MIT */
/** \file factors_write.c \brief clkv_factors_write: factors to a file, for caches whose sealed blocks hold latents. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/struct_io.h"
#include "plan/factors.h"
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

/* Who writes is told at once what a cache would refuse. */
static clkv_status write_checked(const struct clkv__shape *shape, const struct clkv__latents *ranks,
                                 uint64_t model, const void *file, size_t size, clkv_write_fn write,
                                 void *opaque, clkv_error *error)
{
	CLKV_TRY(clkv__factors_check(shape, ranks, file, size, model, error));
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
	clkv_factors f;
	clkv__error_clear(error);
	if (!factors || !write)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", !factors ? "factors" : "write");
	CLKV_TRY(clkv__shape_read(geometry, &shape, error));
	CLKV_TRY(read_factors(factors, &f, error));
	const struct clkv__latents ranks = {f.rank_k, f.rank_v};
	size_t size = (size_t)clkv__factors_bytes(&shape, &ranks);
	void *file = clkv__calloc(&standard, size, 1);
	if (!file)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
		          "no host memory for a factors file of %zu bytes", size);
	clkv__factors_pack(&shape, &ranks, &f, model, file);
	clkv_status status = write_checked(&shape, &ranks, model, file, size, write, opaque, error);
	clkv__free(&standard, file);
	return status;
}
