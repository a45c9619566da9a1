/* SPDX-License-Identifier: MIT */
/**
 * \file    usual.h
 * \brief   What engines commonly ask for: clkv-tune measures it, clkv-info shows the tunings in force.
 */
#ifndef USUAL_H
#define USUAL_H

#include <stddef.h>

static const char *const usual_recipes[] = {"f16", "kivi:bits=4", "kivi:bits=2"};

static const struct {
	size_t head_dim, q_heads, kv_heads;
} usual_shapes[] = {{64, 9, 3}, {128, 32, 8}, {128, 8, 8}};

enum {
	USUAL_RECIPES = sizeof usual_recipes / sizeof usual_recipes[0],
	USUAL_SHAPES = sizeof usual_shapes / sizeof usual_shapes[0]
};

#endif
