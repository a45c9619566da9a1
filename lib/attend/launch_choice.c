/* SPDX-License-Identifier: MIT */
/** \file launch_choice.c \brief Launches of choices that look at scores alone. */
#include "attend/launch_choice.h"

#include "attend/select_launch.h"

KERNEL_ARGS(select_best, SELECT_BEST_ARGS)
KERNEL_ARGS(select_cascade, SELECT_CASCADE_ARGS)

clkv_status clkv__launch_best(clkv_cache *cache, struct clkv__chain *chain, bool newest,
                              clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_CHOOSES], error);
	const struct select_best_args given = {
		CHOICE_FIELDS(s),
		.newest = newest,
		HEADS_FIELDS(cache),
	};
	put_select_best(&a, &given);
	return run_heads(cache, chain, &a, error);
}

clkv_status clkv__launch_cascade(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__leaving *leaving,
                                 const struct clkv__quota *quota, clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_CHOOSES], error);
	uint32_t rings = (uint32_t)cache->plan.select.cascades - 1;
	uint32_t even = rings > 0 ? quota->kept / rings : 0;
	const struct select_cascade_args given = {
		CHOICE_FIELDS(&cache->selection),
		.n = leaving->n,
		.behind = leaving->from - leaving->sinks,
		.size = even < quota->window ? even : quota->window,
		HEADS_FIELDS(cache),
	};
	put_select_cascade(&a, &given);
	return run_heads(cache, chain, &a, error);
}
