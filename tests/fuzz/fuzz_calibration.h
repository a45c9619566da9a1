/* SPDX-License-Identifier: MIT */
/** \file fuzz_calibration.h \brief The model that fuzz_calibration's files are for, and make_seeds makes them for. */
#ifndef FUZZ_CALIBRATION_H
#define FUZZ_CALIBRATION_H

#include <clkv.h>

/** K and V have other sizes, so that one can't be taken for the other. */
enum { FUZZ_CALIBRATION_LAYERS = 2, FUZZ_CALIBRATION_DK = 16, FUZZ_CALIBRATION_DV = 32 };
enum { FUZZ_CALIBRATION_MODEL = 0 };

static inline clkv_geometry fuzz_calibration_geometry(void)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = FUZZ_CALIBRATION_LAYERS;
	g.q_heads = 1;
	g.kv_heads = 1;
	g.head_dim_k = FUZZ_CALIBRATION_DK;
	g.head_dim_v = FUZZ_CALIBRATION_DV;
	g.rope.kind = CLKV_ROPE_HALVES;
	return g;
}

#endif
