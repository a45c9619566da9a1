/* SPDX-License-Identifier: MIT */
/** \file choose.c \brief Choices by their kind; a new one is a row here. */
#include "step/choose.h"

#include "attend/launch_choice.h"
#include "step/seal_runs.h"

static clkv_status choose_best(struct clkv__work *w, bool again, clkv_error *error)
{
	(void)again;
	return clkv__launch_best(w->cache, w->chain, !w->first && !w->cache->plan.select.any, error);
}

static clkv_status choose_cascade(struct clkv__work *w, bool again, clkv_error *error)
{
	(void)again;
	return clkv__launch_cascade(w->cache, w->chain, &w->leaving, &w->quota, error);
}

static const struct clkv__chooser choosers[] = {
	[ABI_SELECT_BEST] = {choose_best, NULL},
	[ABI_SELECT_CASCADE] = {choose_cascade, NULL},
	[ABI_SELECT_RUNS] = {clkv__seal_runs, clkv__seal_runs_note},
};

const struct clkv__chooser *clkv__chooser_of(const clkv_cache *cache)
{
	return &choosers[cache->plan.select.kind];
}
