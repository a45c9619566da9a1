/* SPDX-License-Identifier: MIT */
/** \file launch.h \brief Launches of a cache's kernels: of a pass, of seal jobs, of tables, of reading. */
#ifndef CLKV__LAUNCH_H
#define CLKV__LAUNCH_H

#include "attend/span.h"
#include "store/pass.h"

#include <clkv.h>
#include <stdbool.h>

/** Launches. Each enqueues one kernel (attend: one or two and the merge) on the chain. stored: k comes from
 *  a cache, so it is rotated if keys are. */
clkv_status clkv__launch_append(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__pass *pass, int layer, const clkv_tensor *k,
                                const clkv_tensor *v, bool stored, cl_uint n_wait,
                                const cl_event *wait, cl_event *done, clkv_error *error);
clkv_status clkv__launch_attend(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__pass *pass, int layer,
                                const clkv_attend_args *args, cl_uint n_wait, const cl_event *wait,
                                cl_event *done, clkv_error *error);
/** Leaves the queries of a pass's rows where stages look. Nothing is enqueued if none does; done gets an event all the
 *  same. */
clkv_status clkv__launch_observe(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__pass *pass, int layer,
                                 const clkv_observe_args *args, cl_uint n_wait,
                                 const cl_event *wait, cl_event *done, clkv_error *error);
/** Of the seal jobs in jobs_mem, in layers that share a buffer: the channels that they keep; blocks of one
 *  size; histograms; sizes; blocks in their pages; the check of their values. */
clkv_status clkv__launch_prune(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error);
clkv_status clkv__launch_judge(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error);
clkv_status clkv__launch_seal(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                              const struct clkv__span *span, clkv_error *error);
clkv_status clkv__launch_count(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error);
clkv_status clkv__launch_size(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                              const struct clkv__span *span, clkv_error *error);
clkv_status clkv__launch_write(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error);
clkv_status clkv__launch_verify(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                                const struct clkv__span *span, clkv_error *error);
clkv_status clkv__launch_table_update(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_pairs,
                                      clkv_error *error);
clkv_status clkv__launch_read(clkv_seq *seq, struct clkv__chain *chain, int layer, cl_uint from,
                              cl_uint n, const clkv_tensor *k, const clkv_tensor *v,
                              clkv_error *error);
/** The first n slots of the sealed entries of one head, where tokens are selected; tensors with a head stride of 0. */
clkv_status clkv__launch_read_slots(clkv_seq *seq, struct clkv__chain *chain, int layer, int stream,
                                    cl_uint n, const clkv_tensor *k, const clkv_tensor *v,
                                    clkv_error *error);
/** The same; sealed blocks from entry number landed on lie in the layer's landing zone. */
clkv_status clkv__launch_read_landed(clkv_seq *seq, struct clkv__chain *chain, int layer,
                                     cl_uint from, cl_uint n, uint32_t landed, const clkv_tensor *k,
                                     const clkv_tensor *v, clkv_error *error);

#endif
