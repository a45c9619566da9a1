/* SPDX-License-Identifier: MIT */
/** \file blocks.c \brief Which calls on a cache may block. */
#include "attend/kernels.h"
#include "program/build.h"
#include "store/cache.h"

/* Whether a kernel may still meet a compiler at its first launch. */
static bool has_unbuilt(const clkv_cache *cache)
{
	for (const struct clkv__kernel *k = cache->kernels->first; k; k = k->next)
		if (!clkv__program_is_built(cache->context, k->program))
			return true;
	return false;
}

/* Why a call waits for the device; NULL: it doesn't. */
static const char *device_reason(const clkv_cache *cache, clkv_call call)
{
	const struct clkv__sizes *s = &cache->sizes;
	switch (call) {
	case CLKV_CALL_STEP_ATTEND:
		return s->moves ? "rows of generation recall tokens from host memory" : NULL;
	case CLKV_CALL_STEP_COMMIT:
	case CLKV_CALL_SEQ_END_PROMPT:
		return clkv__selects(&cache->plan.select) ? "commits that select read what each head keeps"
		       : s->sized ? "a commit that seals reads how large its blocks get"
		       : s->moves ? "a commit that seals waits for blocks on their way to the host"
		                  : NULL;
	case CLKV_CALL_SEQ_READ:
	case CLKV_CALL_SEQ_REMOVE:
	case CLKV_CALL_SEQ_GET_KEPT:
	case CLKV_CALL_SEQ_SAVE:
	case CLKV_CALL_SEQ_LOAD:
	case CLKV_CALL_SEQ_SAVE_CODEBOOK:
	case CLKV_CALL_SEQ_SAVE_RANGE:
	case CLKV_CALL_SEQ_LOAD_RANGE:
		return "data comes from the device or goes there before it returns";
	case CLKV_CALL_CACHE_DESTROY:
		return "what was enqueued ends first";
	default:
		return NULL;
	}
}

/* Why it waits for a compiler. */
static const char *compiler_reason(const clkv_cache *cache, clkv_call call)
{
	switch (call) {
	case CLKV_CALL_SEQ_SAVE:
	case CLKV_CALL_SEQ_LOAD:
	case CLKV_CALL_SEQ_LOAD_RANGE:
		return "another recipe's kernels are built on the way";
	case CLKV_CALL_STEP_BEGIN:
	case CLKV_CALL_STEP_APPEND:
	case CLKV_CALL_STEP_OBSERVE:
	case CLKV_CALL_STEP_ATTEND:
	case CLKV_CALL_STEP_COMMIT:
	case CLKV_CALL_SEQ_READ:
	case CLKV_CALL_SEQ_GET_KEPT:
	case CLKV_CALL_SEQ_END_PROMPT:
	case CLKV_CALL_SEQ_REMOVE:
	case CLKV_CALL_CACHE_WARM:
		return has_unbuilt(cache) ? "a kernel is built when it is needed first" : NULL;
	case CLKV_CALL_STEP_ABORT:
	case CLKV_CALL_CACHE_DESTROY:
	case CLKV_CALL_SEQ_SAVE_CODEBOOK:
	case CLKV_CALL_SEQ_SAVE_RANGE:
		break;
	}
	return NULL; /* no call of the list blocks for a compiler beside those above */
}

unsigned clkv_cache_blocks(const clkv_cache *cache, clkv_call call, const char **why)
{
	const char *device = NULL, *compiler = NULL;
	for (; cache; cache = cache->next_band) {
		device = device ? device : device_reason(cache, call);
		compiler = compiler ? compiler : compiler_reason(cache, call);
	}
	if (why)
		*why = device ? device : compiler ? compiler : "";
	return (device ? CLKV_BLOCKS_DEVICE : 0u) | (compiler ? CLKV_BLOCKS_COMPILER : 0u);
}

const char *clkv_call_string(clkv_call call)
{
	switch (call) {
#define CLKV_X(name, value, text)                                                                  \
	case name:                                                                                     \
		return text;
		CLKV_CALL_LIST(CLKV_X)
#undef CLKV_X
	}
	return "unknown call";
}
