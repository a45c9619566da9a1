/* SPDX-License-Identifier: MIT */
/** \file shape.h \brief A checked geometry, with its defaults filled in. */
#ifndef CLKV__SHAPE_H
#define CLKV__SHAPE_H

#include "shape/banding.h"

#include <clkv.h>

struct clkv__shape {
	int layers, q_heads, streams /* KV heads */, g /* q_heads / streams */, dk, dv;
	float scale, softcap;
	const int *window; /**< [layers] or NULL */
	clkv_rope rope;    /**< with its defaults filled in; all 0 if there is none */
	const struct clkv__banding
		*bands; /**< of which this is one; NULL: these are all of the model's layers */
	int band;
};

/** Checks every field and names the one that is wrong. window and rope.factors are borrowed, not copied. */
clkv_status clkv__shape_read(const clkv_geometry *geometry, struct clkv__shape *shape,
                             clkv_error *error);

/** The model's number of a layer, for error texts. */
static inline int clkv__shape_layer(const struct clkv__shape *shape, int layer)
{
	return shape->bands ? clkv__band_layer(shape->bands, shape->band, layer) : layer;
}

/** The geometry that clkv__shape_read makes this shape of; its arrays are the shape's. */
clkv_geometry clkv__shape_geometry(const struct clkv__shape *shape);

#endif
