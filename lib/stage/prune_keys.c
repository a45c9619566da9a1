/* SPDX-License-Identifier: MIT */
/** \file prune_keys.c \brief From a share of channels to their number. */
#include "stage/prune_keys.h"

#include "base/error.h"

clkv_status clkv__kept_channels(const char *stage, const char *key, float keep, int dim, int *kept,
                                clkv_error *error)
{
	*kept = clkv__prune_round(keep, dim);
	if (*kept == 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage '%s': key '%s' is %g, which keeps none of %d channels; allowed: %g to 1",
		          stage, key, (double)keep, dim, 0.5 / dim);
	return CLKV_OK;
}
