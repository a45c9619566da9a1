/* SPDX-License-Identifier: MIT */
/** \file kernels.h \brief The kernels of a cache, built for its shape and recipe, and their launches. */
#ifndef CLKV__KERNELS_H
#define CLKV__KERNELS_H

#include "device/queue.h"
#include "recipe/recipe_plan.h"

#include <clkv.h>
#include <stdbool.h>

struct clkv__program;

/** A kernel of a cache: planned when the cache is created, made then or when it's first launched. */
struct clkv__kernel {
	struct clkv__kernel *next;     /**< of the cache, in the order in which they are planned */
	struct clkv__program *program; /**< none: the cache has no such kernel */
	struct clkv__program
		*plain; /**< what to take if the device refuses program; NULL: nothing else */
	const char *name;
	bool early; /**< made with the cache, as its tuning may be refused on its account */
	cl_kernel made;
};

/** Kernels of the layers of one variant. */
struct clkv__variant_kernels {
	struct clkv__kernel append, attend_row, attend_tile, merge, seal, read;
	struct clkv__kernel observe;             /**< none: no stage looks at queries */
	struct clkv__kernel count, size, verify; /**< of blocks that have their own size */
	struct clkv__kernel prune, prune_v;      /**< none: all channels of K, of V are kept */
	struct clkv__kernel recall, score;       /**< none: nothing is recalled; nor by its keys */
	struct clkv__kernel score_rows, score_sums, gather,
		merge_slots; /**< none: no tokens are selected; nor by attention; nor merged */
};

/** Kernels of an index, which don't depend on what blocks are made of. */
struct clkv__recall_kernels {
	struct clkv__kernel points, metric,
		build; /**< keys in tiles; what errors mean; the index; or NULL */
	struct clkv__kernel score, select, list;
	struct clkv__kernel place; /**< none: no rows come from host memory to slots */
};

/** Kernels of selection that look at no values. */
struct clkv__select_kernels {
	struct clkv__kernel list, choose, mark;
	struct clkv__kernel cosines, alone, merge_runs; /**< none: no runs become one slot */
	struct clkv__kernel pool, mean,
		mix; /**< none: scores are tokens' and heads' own, and attention's alone */
	struct clkv__kernel weigh; /**< none: merged tokens count alike */
};

struct clkv__kernels {
	struct clkv__select_kernels select;
	struct clkv__recall_kernels recall;
	struct clkv__variant_kernels sealing[CLKV__MAX_VARIANTS], dense; /**< by clkv__plan_which */
	struct clkv__kernel table_update;
	struct clkv__kernel *first, *last; /**< of the list of all that are planned */
};

/** KV heads of a layer, from `first` on, that store the same. */
struct clkv__span clkv__span_of(const clkv_cache *cache, int layer, int first);

/** Plans a cache's kernels by its tuning and makes those that a device may refuse: all, where work-groups have
 *  several lanes; with one lane, those whose tiles the tuning sizes. So nothing is refused in the middle of a step that
 *  another tuning would have saved. The others are made when they are first launched. *refused names in a word
 *  what the device doesn't take about them, or is NULL: only then another tuning may do. error may not be NULL. */
clkv_status clkv__kernels_build(clkv_cache *cache, const char **refused, clkv_error *error);

/** Makes a kernel unless it's made. Errors: those of clkv__program_build, OPENCL, and BUILD where the device has no
 *  room for it; why names it in a word (may be NULL). */
clkv_status clkv__kernel_make(clkv_cache *cache, struct clkv__kernel *kernel, const char **why,
                              clkv_error *error);

/** Makes those planned as early, their programs built in parallel. Errors: as above, of the first that can't be made. */
clkv_status clkv__kernels_make_early(clkv_cache *cache, const char **why, clkv_error *error);
void clkv__kernels_free(struct clkv__kernels *kernels);

/** Heads that one launch serves: neighbouring layers and KV heads that store the same. */
struct clkv__span {
	int first_layer, n_layers, first_stream, n_streams;
	int which; /**< clkv__plan_which */
};

/** Launches. Each enqueues one kernel (attend: one or two and the merge) on the chain. stored: k comes from
 *  a cache, so it is rotated if keys are. */
clkv_status clkv__launch_append(clkv_cache *cache, struct clkv__chain *chain, int layer,
                                cl_uint n_rows, const clkv_tensor *k, const clkv_tensor *v,
                                bool stored, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                clkv_error *error);
clkv_status clkv__launch_attend(clkv_cache *cache, struct clkv__chain *chain, int layer,
                                const clkv_attend_args *args, cl_uint n_wait, const cl_event *wait,
                                cl_event *done, clkv_error *error);
/** Leaves the queries of a step's rows where stages look. Nothing is enqueued if none does; done gets an event all the
 *  same. */
clkv_status clkv__launch_observe(clkv_cache *cache, struct clkv__chain *chain, int layer,
                                 const clkv_observe_args *args, cl_uint n_wait,
                                 const cl_event *wait, cl_event *done, clkv_error *error);
/** Of the seal jobs in jobs_mem, in layers that share a buffer: the channels that they keep; blocks of one
 *  size; histograms; sizes; blocks in their pages; the check of their values. */
clkv_status clkv__launch_prune(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
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
