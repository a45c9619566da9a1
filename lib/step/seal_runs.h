/* SPDX-License-Identifier: MIT */
/** \file seal_runs.h \brief How alike neighbours must be to become one slot. */
#ifndef CLKV__SEAL_RUNS_H
#define CLKV__SEAL_RUNS_H

#include "attend/launch_select.h"
#include "store/cache.h"

/** Of a commit. */
struct clkv__runs {
	const struct clkv__leaving *leaving;
	const struct clkv__quota *quota;
	const uint32_t *quotas; /**< [layers][streams] what each head keeps of a prompt */
	bool prompt;            /**< ends, and nothing was kept before: what is found stays */
};

/** Finds the runs of each head, whose candidates are listed, and what is chosen. bounds [layers][streams][2] gets what
 *  cl/select/runs.clh draws. */
clkv_status clkv__seal_runs(clkv_cache *cache, struct clkv__chain *chain,
                            const struct clkv__runs *runs, uint32_t *bounds, clkv_error *error);

/** Makes the same choice again, by the bounds that it has found. */
clkv_status clkv__seal_runs_again(clkv_cache *cache, struct clkv__chain *chain,
                                  const struct clkv__leaving *leaving, const uint32_t *bounds,
                                  clkv_error *error);

/** Of a commit that has succeeded: what a prompt's end has found is its sequence's from now on. */
void clkv__seal_runs_note(clkv_cache *cache, const struct clkv__runs *runs, const uint32_t *bounds);

#endif
