/* SPDX-License-Identifier: MIT */
/** \file bench_factors.c \brief Identities as factors. */
#include "bench_factors.h"

#include <stdlib.h>

bool bench_factors(const clkv_geometry *geometry, struct bench_file *file, struct tool_error *error)
{
	clkv_error cause;
	clkv_factors f = CLKV_INIT(clkv_factors);
	const size_t dim = (size_t)geometry->head_dim_k,
				 heads = (size_t)(geometry->layers * geometry->kv_heads);
	float *ones = calloc(heads * dim * dim, sizeof *ones);
	*file = (struct bench_file){0};
	if (ones == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < heads * dim; i++)
		ones[i * dim + i % dim] = 1.0f;
	f.rank_k = f.rank_v = (int)dim;
	f.k_down = f.k_up = f.v_down = f.v_up = ones;
	bool done = clkv_factors_write(geometry, 0, &f, bench_file_append, file, &cause) == CLKV_OK ||
	            tool_fail_clkv(error, "the factors", &cause);
	free(ones);
	return done;
}
