/* SPDX-License-Identifier: MIT */
/** \file shape.c \brief Checks a caller's geometry and fills in its defaults. */
#include "shape/shape.h"

#include "base/error.h"
#include "base/struct_io.h"
#include "shape/rope.h"

#include <math.h>

/** Largest values that the kernels' index arithmetic and register tiles were made for. */
enum { MAX_LAYERS = 1024, MAX_HEADS = 4096, MAX_GROUP = 64, MAX_DIM = 256, DIM_STEP = 16 };

static clkv_status check_range(const char *name, int value, int min, int max, clkv_error *error)
{
	if (value < min || value > max)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "geometry: %s is %d; allowed: %d to %d", name,
		          value, min, max);
	return CLKV_OK;
}

static clkv_status check_dim(const char *name, int value, clkv_error *error)
{
	if (value < DIM_STEP || value > MAX_DIM || value % DIM_STEP)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "geometry: %s is %d; allowed: multiples of %d up to %d", name, value, DIM_STEP,
		          MAX_DIM);
	return CLKV_OK;
}

static clkv_status check_windows(const clkv_geometry *g, clkv_error *error)
{
	for (int i = 0; g->window && i < g->layers; i++)
		if (g->window[i] < 0)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
			          "geometry: window[%d] is %d; allowed: 0 (all tokens) and up", i,
			          g->window[i]);
	return CLKV_OK;
}

static clkv_status check_heads(const clkv_geometry *g, clkv_error *error)
{
	CLKV_TRY(check_range("layers", g->layers, 1, MAX_LAYERS, error));
	CLKV_TRY(check_range("kv_heads", g->kv_heads, 1, MAX_HEADS, error));
	CLKV_TRY(check_range("q_heads", g->q_heads, 1, MAX_HEADS, error));
	if (g->q_heads % g->kv_heads || g->q_heads / g->kv_heads > MAX_GROUP)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "geometry: q_heads is %d; allowed: 1 to %d times kv_heads (%d)", g->q_heads,
		          MAX_GROUP, g->kv_heads);
	return CLKV_OK;
}

clkv_status clkv__shape_read(const clkv_geometry *geometry, struct clkv__shape *shape,
                             clkv_error *error)
{
	clkv_geometry g;
	CLKV_TRY(clkv__struct_read(&g, sizeof g, geometry, "clkv_geometry", error));
	if (g.head_dim_v == 0)
		g.head_dim_v = g.head_dim_k;
	CLKV_TRY(check_heads(&g, error));
	CLKV_TRY(check_dim("head_dim_k", g.head_dim_k, error));
	CLKV_TRY(check_dim("head_dim_v", g.head_dim_v, error));
	if (!isfinite(g.scale) || !isfinite(g.softcap) || g.softcap < 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "geometry: scale is %g and softcap %g; allowed: finite, softcap 0 or more",
		          (double)g.scale, (double)g.softcap);
	CLKV_TRY(clkv__rope_read(&g.rope, g.head_dim_k, error));
	CLKV_TRY(check_windows(&g, error));
	*shape = (struct clkv__shape){
		.layers = g.layers,
		.q_heads = g.q_heads,
		.streams = g.kv_heads,
		.g = g.q_heads / g.kv_heads,
		.dk = g.head_dim_k,
		.dv = g.head_dim_v,
		.scale = g.scale != 0 ? g.scale : 1.0f / sqrtf((float)g.head_dim_k),
		.softcap = g.softcap,
		.window = g.window,
		.rope = g.rope,
	};
	return CLKV_OK;
}

clkv_geometry clkv__shape_geometry(const struct clkv__shape *shape)
{
	return (clkv_geometry){
		.struct_size = sizeof(clkv_geometry),
		.layers = shape->layers,
		.q_heads = shape->q_heads,
		.kv_heads = shape->streams,
		.head_dim_k = shape->dk,
		.head_dim_v = shape->dv,
		.scale = shape->scale,
		.softcap = shape->softcap,
		.window = shape->window,
		.rope = shape->rope,
	};
}
