/* SPDX-License-Identifier: MIT */
/** \file staging.c \brief Host buffers taken in turn, each once its last write is done. */
#include "store/staging.h"

#include "base/alloc.h"
#include "base/error.h"

clkv_status clkv__stagings_init(struct clkv__stagings *all, const clkv_allocator *allocator,
                                size_t words, clkv_error *error)
{
	for (unsigned i = 0; i < CLKV__STAGING; i++) {
		all->turns[i].words = clkv__calloc(allocator, words, sizeof(uint32_t));
		if (!all->turns[i].words)
			CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory to stage %zu words", words);
	}
	return CLKV_OK;
}

void clkv__stagings_free(struct clkv__stagings *all, const clkv_allocator *allocator)
{
	for (unsigned i = 0; i < CLKV__STAGING; i++) {
		if (all->turns[i].done) {
			clWaitForEvents(1, &all->turns[i].done);
			clReleaseEvent(all->turns[i].done);
		}
		clkv__free(allocator, all->turns[i].words);
	}
	*all = (struct clkv__stagings){0};
}

clkv_status clkv__staging_next(struct clkv__stagings *all, struct clkv__staging **out,
                               clkv_error *error)
{
	struct clkv__staging *s = &all->turns[all->next];
	if (s->done) {
		/* Four writes ago: done long since, unless the device is that far behind. */
		CLKV_CL(error, clWaitForEvents(1, &s->done));
		clReleaseEvent(s->done);
		s->done = NULL;
	}
	all->next = (all->next + 1) % CLKV__STAGING;
	*out = s;
	return CLKV_OK;
}

clkv_status clkv__staging_write(struct clkv__staging *staging, struct clkv__chain *chain,
                                cl_mem mem, size_t n_words, clkv_error *error)
{
	return clkv__chain_write(chain, mem, 0, n_words * sizeof(uint32_t), staging->words,
	                         &staging->done, error);
}
