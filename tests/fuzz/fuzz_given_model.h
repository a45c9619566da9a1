/* SPDX-License-Identifier: MIT */
/** \file fuzz_given_model.h \brief The model that files of fuzz_rotation, fuzz_calibration and fuzz_factors are for, and
 *  make_seeds makes them for. */
#ifndef FUZZ_GIVEN_MODEL_H
#define FUZZ_GIVEN_MODEL_H

#include <clkv.h>

/** K and V have other sizes, so that one can't be taken for the other. */
enum { FUZZ_GIVEN_LAYERS = 2, FUZZ_GIVEN_DK = 16, FUZZ_GIVEN_DV = 32 };
/** Its number in the files of each kind. */
enum { FUZZ_CALIBRATION_MODEL = 0, FUZZ_FACTORS_MODEL = 0, FUZZ_ROTATION_MODEL = 7 };

/** And with several heads, of which files of fuzz_group_factors have groups. */
enum { FUZZ_GROUP_HEADS = 4, FUZZ_GROUP_K = 2, FUZZ_GROUP_V = 4 };

static inline clkv_geometry fuzz_given_geometry(void)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = FUZZ_GIVEN_LAYERS;
	g.q_heads = 1;
	g.kv_heads = 1;
	g.head_dim_k = FUZZ_GIVEN_DK;
	g.head_dim_v = FUZZ_GIVEN_DV;
	g.rope.kind = CLKV_ROPE_HALVES;
	return g;
}

static inline clkv_geometry fuzz_group_geometry(void)
{
	clkv_geometry g = fuzz_given_geometry();
	g.q_heads = g.kv_heads = FUZZ_GROUP_HEADS;
	return g;
}

#endif
