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

clkv_status clkv__latent_groups_check(const char *stage, const struct clkv__variant *variant,
                                      clkv_error *error)
{
	int k = variant->groups.k * variant->latents.k, v = variant->groups.v * variant->latents.v;
	if (k > MOST_LATENTS || v > MOST_LATENTS)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage '%s': a group has %d latents; allowed: up to %d, by a lower rank or fewer "
		          "heads",
		          stage, k > v ? k : v, MOST_LATENTS);
	return CLKV_OK;
}
