/* SPDX-License-Identifier: MIT */
/** \file latent_ranks.c \brief Ranks in sixteens: vectors of all widths, and eights of codes that share bytes, come out even. */
#include "stage/latent_ranks.h"

#include "base/error.h"

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
