/* SPDX-License-Identifier: MIT */
/** \file fuzz_recipes.h \brief The caches that snapshots are loaded into by fuzz_snapshot, and made in by make_seeds. */
#ifndef FUZZ_RECIPES_H
#define FUZZ_RECIPES_H

#include <clkv.h>
#include <stdlib.h>
#include <string.h>

static const char *const fuzz_recipes[] = {
	"f16 ; block=32",
	"kivi:bits=4,group=16 ; window=8,block=32,sinks=2",
	"q:k=5,v=3,group=16 ; window=4,block=32,seal=prompt",
	"kvcomp:entropy=huffman ; window=0,block=32",
	"kvcomp:entropy=pack ; window=0,block=32",
	"think:keep=0.5 ; window=8,block=32",
	"spark:keep=0.5 | kivi:bits=4,group=16 ; window=8,block=32,skip=1",
	"kitty:boost=0.25,group=16 ; window=8,block=32",
	"q:k=4,v=4,group=16,rot=file ; window=8,block=32,sinks=2",
	"expected:budget=40,obs=8 ; window=8,block=32,sinks=2",
	"layers=0: f16 ; block=32 ; 1-: kivi:bits=4,group=16 ; window=8,block=32,sinks=2",
	"layers=0: kvcomp:entropy=huffman ; window=0,block=32 ; 1-: kitty:group=16 ; window=8,block=32",
	"layers=0: think:keep=0.5 ; window=8,block=32 ; 1: q:k=4,v=4,group=16,rot=file ; window=0",
	"kivi:bits=2,group=16 | clusterkv:recall=16,per=8,every=128 ; window=0,block=32,sinks=0",
	"kivi:bits=2,group=16 | a2ats:recall=16,codes=32,every=128 ; window=0,block=32,sinks=0",
	"zeromerge:budget=60,residual=0.25 | kivi:bits=2,group=16 ; window=8,block=32,sinks=2",
	"snapkv:budget=40,obs=8 ; window=8,block=32,sinks=2",
	"csr:atoms=16,pairs=3,chunks_v=1 ; window=8,block=32,sinks=2",
	"qaq:n=3,bmin=0 ; window=8,block=32,sinks=2",
	"kvzip:budget=40 ; window=8,block=32,sinks=2",
};

enum { FUZZ_RECIPES = sizeof fuzz_recipes / sizeof fuzz_recipes[0] };
/** Those from here on are of caches that attend, which alone have indexes and newest queries. */
enum { FUZZ_ATTENDS = 13 };
enum { FUZZ_TOKENS = 256, FUZZ_LAYERS = 2, FUZZ_DIM = 16, FUZZ_MATRIX = FUZZ_DIM * FUZZ_DIM };

static inline clkv_geometry fuzz_geometry(void)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = FUZZ_LAYERS;
	g.q_heads = 1;
	g.kv_heads = 1;
	g.head_dim_k = FUZZ_DIM;
	g.head_dim_v = FUZZ_DIM;
	g.rope.kind = CLKV_ROPE_HALVES; /* which expected asks for */
	return g;
}

/** A file of matrices. */
struct fuzz_given_file {
	size_t n;
	unsigned char bytes[4 * FUZZ_LAYERS * FUZZ_MATRIX * 4 + 128];
};

/** A rotation and a dictionary. */
struct fuzz_matrices {
	struct fuzz_given_file rotation, dictionary;
};

static inline size_t fuzz_keep(void *opaque, const void *data, size_t size)
{
	struct fuzz_given_file *f = opaque;
	if (size > sizeof f->bytes - f->n)
		return 0;
	memcpy(f->bytes + f->n, data, size);
	f->n += size;
	return size;
}

/** Rows are mirrored at the vector of ones: 1 - 2 / dim and -2 / dim, which are exact. Atoms are the channels. */
static inline void fuzz_make_matrices(struct fuzz_matrices *m)
{
	float r[FUZZ_LAYERS * FUZZ_MATRIX], one[FUZZ_LAYERS * FUZZ_MATRIX];
	clkv_geometry g = fuzz_geometry();
	clkv_factors factors = CLKV_INIT(clkv_factors);
	*m = (struct fuzz_matrices){{0}, {0}};
	for (size_t i = 0; i < FUZZ_LAYERS * FUZZ_MATRIX; i++)
		r[i] = (one[i] = i % FUZZ_MATRIX % (FUZZ_DIM + 1) == 0 ? 1.0f : 0.0f) - 2.0f / FUZZ_DIM;
	factors.rank_k = factors.rank_v = FUZZ_DIM;
	factors.k_down = factors.k_up = factors.v_down = factors.v_up = one;
	if (clkv_rotation_write(&g, 0, r, r, fuzz_keep, &m->rotation, NULL) != CLKV_OK ||
	    clkv_factors_write(&g, 0, &factors, fuzz_keep, &m->dictionary, NULL) != CLKV_OK)
		abort();
}

/** With the matrices, for recipes that ask for them. */
static inline clkv_cache_options fuzz_options(const char *recipe, const struct fuzz_matrices *m)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = FUZZ_TOKENS;
	o.max_sequences = 2;
	if (strstr(recipe, "rot=file")) {
		o.rotation = m->rotation.bytes;
		o.rotation_size = m->rotation.n;
	}
	if (strstr(recipe, "csr")) {
		o.factors = m->dictionary.bytes;
		o.factors_size = m->dictionary.n;
	}
	return o;
}

#endif
