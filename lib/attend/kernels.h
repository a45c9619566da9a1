/* SPDX-License-Identifier: MIT */
/** \file kernels.h \brief The kernels of a cache, planned for its shape and recipe. */
#ifndef CLKV__KERNELS_H
#define CLKV__KERNELS_H

#include "device/queue.h"
#include "plan/plan.h"

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
	struct clkv__kernel judge;               /**< none: the codec looks at no queries */
	struct clkv__kernel count, size, verify; /**< of blocks that have their own size */
	struct clkv__kernel prune, prune_v;      /**< none: all channels of K, of V are kept */
	struct clkv__kernel recall, score;       /**< none: nothing is recalled; nor by its keys */
	struct clkv__kernel score_rows, score_sums, gather,
		merge_slots; /**< none: no tokens are selected; nor by attention; nor merged */
	struct clkv__kernel score_row; /**< of a single row; none: rows weigh no tokens */
};

/** Kernels of an index, which don't depend on what blocks are made of. */
struct clkv__recall_kernels {
	struct clkv__kernel points, metric,
		build; /**< keys in tiles; what errors mean; the index; or NULL */
	struct clkv__kernel score, select, list;
	struct clkv__kernel probe, budget; /**< none: each row and layer chooses for itself */
	struct clkv__kernel place;         /**< none: no rows come from host memory to slots */
};

/** Kernels of selection that look at no values. */
struct clkv__select_kernels {
	struct clkv__kernel list, mark;
	struct clkv__kernel choice[CLKV__CHOICE_ROLES]; /**< those that the kind of choice has */
	struct clkv__kernel pool, mean,
		mix; /**< none: scores are tokens' and heads' own, and attention's alone */
	struct clkv__kernel turns, shares; /**< none: queries judge as they are, by weights */
	struct clkv__kernel weigh;         /**< none: merged tokens count alike */
	struct clkv__kernel weights;       /**< none: attention leaves none */
};

struct clkv__kernels {
	struct clkv__select_kernels select;
	struct clkv__recall_kernels recall;
	struct clkv__variant_kernels sealing[CLKV__MAX_VARIANTS], dense; /**< by clkv__plan_which */
	struct clkv__kernel table_update;
	struct clkv__kernel *first, *last; /**< of the list of all that are planned */
};

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
void clkv__kernels_free(clkv_cache *cache);

#endif
