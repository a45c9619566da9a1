/* SPDX-License-Identifier: MIT */
/** \file rotation_write.c \brief clkv_rotation_write: matrices to a file, for caches that turn rows by them. */
#include "base/alloc.h"
#include "base/error.h"
#include "plan/projection.h"
#include "shape/shape.h"

/* Who writes is told at once what a cache would refuse. */
static clkv_status write_checked(const struct clkv__shape *shape, uint64_t model, const void *file,
                                 size_t size, clkv_write_fn write, void *opaque, clkv_error *error)
{
	CLKV_TRY(clkv__rotation_check(shape, file, size, model, error));
	if (write(opaque, file, size) != size)
		CLKV_FAIL(error, CLKV_ERROR_IO, "the rotation file could not be written");
	return CLKV_OK;
}

clkv_status clkv_rotation_write(const clkv_geometry *geometry, uint64_t model, const float *k,
                                const float *v, clkv_write_fn write, void *opaque,
                                clkv_error *error)
{
	const clkv_allocator standard = {0};
	struct clkv__shape shape;
	clkv__error_clear(error);
	if (!k || !v || !write)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", !k ? "k" : !v ? "v" : "write");
	CLKV_TRY(clkv__shape_read(geometry, &shape, error));
	size_t size = (size_t)clkv__rotation_bytes(&shape);
	void *file = clkv__calloc(&standard, size, 1);
	if (!file)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
		          "no host memory for a rotation file of %zu bytes", size);
	clkv__rotation_pack(&shape, k, v, model, file);
	clkv_status status = write_checked(&shape, model, file, size, write, opaque, error);
	clkv__free(&standard, file);
	return status;
}
