/* SPDX-License-Identifier: MIT */
/** \file launch_index.h \brief Launches of what makes indexes and of what recalls by them. */
#ifndef CLKV__LAUNCH_INDEX_H
#define CLKV__LAUNCH_INDEX_H

#include "store/cache.h"
#include "store/pass.h"

/** Tokens from, from + step, ... of a sequence, n of them, in half blocks. */
struct clkv__index_job {
	const clkv_seq *seq;
	uint32_t from, n, step;
	uint32_t end; /**< tokens of the sequence behind this commit */
	const struct clkv__segment
		*segment;  /**< whose index is written; NULL: only a codebook is trained */
	uint32_t book; /**< the codebook, where there are codes */
	bool trains;   /**< representatives are made, else they are there */
};

/** All layers and KV heads of it. */
clkv_status clkv__launch_index(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__index_job *job, clkv_error *error);

/** Attention of the pass's rows that recall, in one layer, up to their partial records. */
clkv_status clkv__launch_recall(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__pass *pass, int layer, const clkv_tensor *q,
                                cl_uint n_wait, const cl_event *wait, clkv_error *error);

#endif
