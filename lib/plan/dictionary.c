/* SPDX-License-Identifier: MIT */
/** \file dictionary.c \brief A checked file of factors held against what recipes make of it. */
#include "plan/dictionary.h"

#include "base/error.h"
#include "base/little_endian.h"
#include "plan/factors.h"
#include "plan/group_factors.h"

#include <math.h>

static void raise(int *rank, int band)
{
	*rank = band > *rank ? band : *rank;
}

/* A file has factors of one kind of groups. */
static void add_groups(struct clkv__factors_use *use, const struct clkv__groups *groups)
{
	if (use->latents)
		use->mixed |= !clkv__groups_same(&use->groups, groups);
	use->groups = *groups;
	use->latents = true;
}

void clkv__factors_use_add(struct clkv__factors_use *use, const struct clkv__variant *band)
{
	raise(&use->ranks.k, band->latents.k);
	raise(&use->ranks.v, band->latents.v);
	if (band->project == ABI_PROJECT_LATENTS)
		add_groups(use, &band->groups);
	use->atoms |= band->project == ABI_PROJECT_ATOMS;
	use->mixed |= use->latents && use->atoms && !clkv__groups_own(&use->groups);
	if (band->project != ABI_PROJECT_ATOMS)
		return;
	use->chunks[0] |= 1u << band->spec.sparse.k.chunks;
	use->chunks[1] |= 1u << band->spec.sparse.v.chunks;
}

static clkv_status check_latents(const struct clkv__shape *s, const struct clkv__latents *ranks,
                                 clkv_error *error)
{
	bool k = ranks->k > s->dk;
	if (k || ranks->v > s->dv)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "the factors file's rank_%c is %d, which makes it a dictionary for csr; allowed "
		          "with lowrank and cskv: up to the head size, %d",
		          k ? 'k' : 'v', k ? ranks->k : ranks->v, k ? s->dk : s->dv);
	return CLKV_OK;
}

/* One side of a head in a file: A [dim][atoms], B [atoms][dim]. */
struct side {
	const unsigned char *at;
	char name;
	int dim, atoms;
};

static double product(const struct side *s, int atom, int from, int to)
{
	const unsigned char *b = s->at + 4 * (size_t)(s->dim * s->atoms);
	double sum = 0;
	for (int c = from; c < to; c++)
		sum += (double)clkv__get_float(s->at + 4 * (size_t)(c * s->atoms + atom)) *
		       (double)clkv__get_float(b + 4 * (size_t)(atom * s->dim + c));
	return sum;
}

static clkv_status check_atoms(const struct side *s, int chunks, int layer, int head,
                               clkv_error *error)
{
	for (int i = 0; i < chunks * s->atoms; i++) {
		int chunk = i / s->atoms, atom = i % s->atoms, dim = s->dim / chunks;
		double x = product(s, atom, chunk * dim, (chunk + 1) * dim);
		if (fabs(x - 1) > CLKV__ATOM_SLACK)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
			          "the factors file is no dictionary of %d chunks of %c: layer %d, KV head %d, "
			          "chunk %d, column and row %d have the product %g; allowed: 1",
			          chunks, s->name, layer, head, chunk, atom, x);
	}
	return CLKV_OK;
}

/* A side of all heads, for each number of chunks that recipes have. */
static clkv_status check_side(const struct clkv__shape *shape, struct side s, unsigned chunks,
                              size_t head_bytes, clkv_error *error)
{
	for (int h = 0; h < shape->layers * shape->streams; h++, s.at += head_bytes)
		for (int n = 1; chunks >> n; n++)
			if (chunks >> n & 1)
				CLKV_TRY(check_atoms(&s, n, h / shape->streams, h % shape->streams, error));
	return CLKV_OK;
}

/* Which kind of file it must be, before any word of it is read. */
static clkv_status check_kind(const struct clkv__factors_use *use, const void *file, size_t size,
                              clkv_error *error)
{
	const struct clkv__groups *g = &use->groups;
	bool own = !use->latents || clkv__groups_own(g), group = clkv__is_group_factors(file, size);
	if (use->mixed)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "the recipe's layers ask for factors of different groups of heads, and a cache "
		          "takes one file; allowed: layers of the same groups, with keys on the same side "
		          "of RoPE, and other recipes without factors");
	if (own && group)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "the factors file is of groups of heads, or of keys in front of RoPE; allowed "
		          "with this recipe: one of each head's own rows, keys behind RoPE, as clkv-train "
		          "--for lowrank or csr makes it");
	if (!own && file && !group)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "the factors file isn't one of groups of heads; allowed with this recipe: one of "
		          "%d heads of K and %d of V in %d layers, keys %s RoPE, as clkv-train --for lorc, "
		          "recalkv or clla makes it",
		          g->k, g->v, clkv__groups_layers(g), g->before ? "in front of" : "behind");
	return CLKV_OK;
}

clkv_status clkv__factors_use_check(const struct clkv__shape *shape,
                                    const struct clkv__factors_use *use, const void *file,
                                    size_t size, uint64_t model, clkv_error *error)
{
	CLKV_TRY(check_kind(use, file, size, error));
	if (clkv__is_group_factors(file, size))
		return clkv__group_factors_check(shape, &use->ranks, &use->groups, file, size, model,
		                                 error);
	CLKV_TRY(clkv__factors_check(shape, &use->ranks, file, size, model, error));
	const struct clkv__latents ranks = clkv__factors_ranks(file);
	const unsigned char *at = clkv__factors_first(file);
	size_t k = 8 * (size_t)(shape->dk * ranks.k), v = 8 * (size_t)(shape->dv * ranks.v);
	if (use->latents)
		CLKV_TRY(check_latents(shape, &ranks, error));
	const struct side sides[] = {{at, 'K', shape->dk, ranks.k}, {at + k, 'V', shape->dv, ranks.v}};
	for (int i = 0; i < 2; i++)
		CLKV_TRY(check_side(shape, sides[i], use->chunks[i], k + v, error));
	return CLKV_OK;
}
