/* SPDX-License-Identifier: MIT */
/** \file fuzz_recipes.h \brief The caches that snapshots are loaded into by fuzz_snapshot, and made in by make_seeds. */
#ifndef FUZZ_RECIPES_H
#define FUZZ_RECIPES_H

#include <clkv.h>

static const char *const fuzz_recipes[] = {
	"f16 ; block=32",
	"kivi:bits=4,group=16 ; window=8,block=32,sinks=2",
	"q:k=5,v=3,group=16 ; window=4,block=32,seal=prompt",
	"kvcomp:entropy=huffman ; window=0,block=32",
	"kvcomp:entropy=pack ; window=0,block=32",
	"think:keep=0.5 ; window=8,block=32",
	"spark:keep=0.5 | kivi:bits=4,group=16 ; window=8,block=32,skip=1",
};

enum { FUZZ_RECIPES = sizeof fuzz_recipes / sizeof fuzz_recipes[0], FUZZ_TOKENS = 128 };

static inline clkv_geometry fuzz_geometry(void)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = 2;
	g.q_heads = 1;
	g.kv_heads = 1;
	g.head_dim_k = 16;
	g.head_dim_v = 16;
	return g;
}

static inline clkv_cache_options fuzz_options(void)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = FUZZ_TOKENS;
	o.max_sequences = 2;
	return o;
}

#endif
