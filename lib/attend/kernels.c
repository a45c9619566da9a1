/* SPDX-License-Identifier: MIT */
/** \file kernels.c \brief Builds a cache's kernels: the macros of its shape, recipe and device. */
#include "attend/kernels.h"

#include "base/error.h"
#include "program/build.h"
#include "store/cache.h"

static void shape_macros(const clkv_cache *cache, const struct clkv__variant *variant,
                         clkv__macros *m)
{
	const struct clkv__shape *s = &cache->shape;
	clkv__macros_init(m);
	clkv__macros_int(m, "LANES", (int)cache->context->tuning.lanes);
	clkv__macros_int(m, "VEC", (int)cache->context->tuning.vec);
	clkv__macros_int(m, "BT", cache->plan.general.block);
	clkv__macros_int(m, "DK", s->dk);
	clkv__macros_int(m, "DV", s->dv);
	clkv__macros_int(m, "G", s->g);
	clkv__macros_int(m, "STREAMS", s->streams);
	clkv__macros_int(m, "Q_HEADS", s->q_heads);
	clkv__macros_int(m, "ROT_K", variant->rotate);
	clkv__macros_int(m, "ROT_V", variant->rotate);
}

static void codec_macros(const clkv_cache *cache, const struct clkv__variant *variant,
                         clkv__macros *m)
{
	/* Where nothing is sealed, the kernels are built for sealed blocks in half, and see none. */
	const union clkv__codec_spec half = {
		.affine = {{.bits = 16, .group = 16}, {.bits = 16, .group = 16}}};
	const struct clkv__codec *codec = variant->codec ? variant->codec : &clkv__codec_affine;
	struct clkv__codec_layout layout = variant->layout;
	if (!variant->codec)
		layout.v_params = layout.v_codes =
			(uint32_t)(2 * cache->shape.dk * cache->plan.general.block);
	codec->macros(variant->codec ? &variant->spec : &half, &layout, m);
}

static clkv_status build_attend(clkv_cache *cache, const clkv__macros *base, int tile_rows,
                                cl_kernel *out, clkv_error *error)
{
	clkv__macros m = *base;
	clkv__macros_int(&m, "HT", cache->cut.tile_heads);
	clkv__macros_int(&m, "TR", tile_rows);
	return clkv__program_kernel(cache->context, "attend_partial.cl", "attend_partial", &m, out,
	                            error);
}

static clkv_status build_variant(clkv_cache *cache, const struct clkv__variant *variant,
                                 struct clkv__variant_kernels *k, clkv_error *error)
{
	clkv_context *context = cache->context;
	clkv__macros shape, codec;
	shape_macros(cache, variant, &shape);
	codec = shape;
	codec_macros(cache, variant, &codec);
	CLKV_TRY(
		clkv__program_kernel(context, "append_rows.cl", "append_rows", &shape, &k->append, error));
	CLKV_TRY(
		clkv__program_kernel(context, "attend_merge.cl", "attend_merge", &shape, &k->merge, error));
	CLKV_TRY(clkv__program_kernel(context, "read_rows.cl", "read_rows", &codec, &k->read, error));
	CLKV_TRY(build_attend(cache, &codec, 1, &k->attend_row, error));
	CLKV_TRY(build_attend(cache, &codec, cache->cut.tile_rows, &k->attend_tile, error));
	if (variant->codec)
		CLKV_TRY(clkv__program_kernel(context, variant->codec->seal_file,
		                              variant->codec->seal_kernel, &codec, &k->seal, error));
	return CLKV_OK;
}

clkv_status clkv__kernels_build(clkv_cache *cache, clkv_error *error)
{
	struct clkv__kernels *k = &cache->kernels;
	clkv__macros none;
	clkv__macros_init(&none);
	CLKV_TRY(clkv__program_kernel(cache->context, "table_update.cl", "table_update", &none,
	                              &k->table_update, error));
	if (cache->plan.general.skip < cache->shape.layers)
		CLKV_TRY(build_variant(cache, &cache->plan.sealing, &k->sealing, error));
	if (cache->plan.general.skip > 0)
		CLKV_TRY(build_variant(cache, &cache->plan.dense, &k->dense, error));
	return CLKV_OK;
}

static void free_kernel(cl_kernel kernel)
{
	if (kernel)
		clReleaseKernel(kernel);
}

static void free_variant(struct clkv__variant_kernels *k)
{
	free_kernel(k->append);
	free_kernel(k->attend_row);
	free_kernel(k->attend_tile);
	free_kernel(k->merge);
	free_kernel(k->seal);
	free_kernel(k->read);
}

void clkv__kernels_free(struct clkv__kernels *kernels)
{
	free_variant(&kernels->sealing);
	free_variant(&kernels->dense);
	free_kernel(kernels->table_update);
	*kernels = (struct clkv__kernels){0};
}
