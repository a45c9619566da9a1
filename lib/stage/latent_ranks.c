/* SPDX-License-Identifier: MIT */
/** \file latent_ranks.c \brief Ranks in sixteens: vectors of all widths, and eights of codes that share bytes, come out even. */
#include "stage/latent_ranks.h"

#include "base/error.h"

/* Latents of a group that a kernel which reads rows has room for. */
enum { MOST_LATENTS = 4096 };

clkv_status clkv__latent_rank(const char *stage, char side, float value, int dim, int *rank,
                              clkv_error *error)
{
	int n = value <= 1 ? (int)(value * (float)dim / 16 + 0.5f) * 16 : (int)value;
	n = n == 0 ? 16 : n;
	if (n % 16 != 0 || n > dim)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"stage '%s': the rank of %c is %d; allowed: multiples of 16 up to the head size, %d",
			stage, side - 'a' + 'A', n, dim);
	*rank = n;
	return CLKV_OK;
}

clkv_status clkv__latent_heads(const char *stage, char side, int value,
                               const struct clkv__shape *shape, int *heads, clkv_error *error)
{
	int n = value == 0 ? shape->streams : value;
	if (n < 1 || shape->streams % n)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage '%s': latents of %c of %d KV heads together; allowed: numbers that divide "
		          "the model's %d, or 0, which means all",
		          stage, side - 'a' + 'A', n, shape->streams);
	*heads = n;
	return CLKV_OK;
}

/* Whether the group of a layer of this recipe lies in it as a whole, behind those that skip. */
static bool is_whole(const struct clkv__shape *shape, int skip, int layer, int share)
{
	const int number = clkv__shape_layer(shape, layer);
	const int first = layer - number % share, last = first + share - 1;
	return first >= skip && last < shape->layers &&
	       clkv__shape_layer(shape, first) == number - number % share &&
	       clkv__shape_layer(shape, last) == number - number % share + share - 1;
}

clkv_status clkv__latent_share(const char *stage, int value, const struct clkv__shape *shape,
                               const struct clkv__plan *plan, int *share, clkv_error *error)
{
	const int layers = shape->bands ? shape->bands->layers : shape->layers;
	if (layers % value)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage '%s': latents of %d layers together; allowed: numbers that divide the "
		          "model's %d layers",
		          stage, value, layers);
	for (int l = plan->general.skip; l < shape->layers; l++)
		if (!is_whole(shape, plan->general.skip, l, value))
			CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
			          "stage '%s': layer %d has latents together with others of its %d, which have "
			          "another recipe or are skipped; allowed: layers from one multiple of %d to "
			          "another, and such a skip",
			          stage, clkv__shape_layer(shape, l), value, value);
	*share = value;
	return CLKV_OK;
}

clkv_status clkv__latent_groups_check(const char *stage, const struct clkv__variant *variant,
                                      clkv_error *error)
{
	const int layers = clkv__groups_layers(&variant->groups);
	int k = layers * variant->groups.k * variant->latents.k,
		v = layers * variant->groups.v * variant->latents.v;
	if (k > MOST_LATENTS || v > MOST_LATENTS)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage '%s': a group has %d latents; allowed: up to %d, by a lower rank or fewer "
		          "heads or layers",
		          stage, k > v ? k : v, MOST_LATENTS);
	return CLKV_OK;
}
