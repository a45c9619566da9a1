/* SPDX-License-Identifier: MIT */
/** \file fuzz_rotation.h \brief The model that fuzz_rotation's files are for, and make_seeds makes them for. */
#ifndef FUZZ_ROTATION_H
#define FUZZ_ROTATION_H

#include <clkv.h>

/** K and V have other sizes, so that one can't be taken for the other. */
enum { FUZZ_ROTATION_LAYERS = 2, FUZZ_ROTATION_DK = 16, FUZZ_ROTATION_DV = 32 };
enum { FUZZ_ROTATION_MODEL = 7 };

static inline clkv_geometry fuzz_rotation_geometry(void)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = FUZZ_ROTATION_LAYERS;
	g.q_heads = 1;
	g.kv_heads = 1;
	g.head_dim_k = FUZZ_ROTATION_DK;
	g.head_dim_v = FUZZ_ROTATION_DV;
	g.rope.kind = CLKV_ROPE_HALVES;
	return g;
}

#endif
