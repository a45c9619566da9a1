/* SPDX-License-Identifier: MIT */
/** \file launch_choice.c \brief Launches of choices that look at scores alone. */
#include "attend/launch_choice.h"

#include "attend/select_args.h"

clkv_status clkv__launch_best(clkv_cache *cache, struct clkv__chain *chain, bool newest,
                              clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_CHOOSES], error);
	put_choice(&a, s);
	put_uint(&a, newest);
	return run_heads(cache, chain, &a, error);
}

clkv_status clkv__launch_cascade(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__leaving *leaving,
                                 const struct clkv__quota *quota, clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_CHOOSES], error);
	uint32_t rings = (uint32_t)cache->plan.select.cascades - 1;
	uint32_t even = rings > 0 ? quota->kept / rings : 0;
	put_choice(&a, &cache->selection);
	put_uint(&a, leaving->n);
	put_uint(&a, leaving->from - leaving->sinks);
	put_uint(&a, even < quota->window ? even : quota->window);
	return run_heads(cache, chain, &a, error);
}
