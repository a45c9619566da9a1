/* SPDX-License-Identifier: MIT */
/** \file cache.h \brief A cache and its sequences: what the rest of the library shares. */
#ifndef CLKV__CACHE_H
#define CLKV__CACHE_H

#include "codec/code_tables.h"
#include "device/queue.h"
#include "store/block_table.h"
#include "store/counters.h"
#include "store/index.h"
#include "store/pool.h"
#include "store/row_cache.h"
#include "store/seen.h"
#include "store/selection.h"
#include "store/staging.h"
#include "tune/tuning.h"

#include <pthread.h>

/** Tokens [0, min(sinks, length)) and [tail, length) lie in half blocks, the others in sealed ones;
 *  half block number j holds tokens j * BT and on. Layers that never seal keep all in half, and tail is 0; or, where they slide, from
 *  tail on. */
struct clkv_seq {
	clkv_cache *cache;
	clkv_seq *next, *previous;
	clkv_seq *next_band; /**< the same tokens in the cache of the next band */
	uint32_t slab;       /**< first word of its tables */
	uint32_t length;
	uint32_t tail;
	uint32_t seen;                 /**< where its newest queries are kept, or CLKV__NO_SLOT */
	uint32_t book;                 /**< its codebook, or CLKV__NO_SLOT */
	struct clkv__kept_counts kept; /**< where tokens are selected */
	bool left_partial; /**< a sealed block isn't full: a prompt's end or a cut left it */
	uint32_t
		attended; /**< its length when the newest row was attended with in all layers that seal */
	uint32_t reread; /**< its length when rows of CLKV_REREAD last read it; cut with it */
	bool in_step;
	bool goes; /**< was destroyed inside a step: it goes when that ends */
};

/** What a cache is for: those on the way to or from a file lack indexes, and kernels that they won't launch. */
enum clkv__cache_use {
	CLKV__CACHE_ATTENDS,
	CLKV__CACHE_SEALS, /**< rows are appended and sealed, and go to a file */
	CLKV__CACHE_READS /**< blocks come from a file and are read: no kernel is built before the file has
	                        proved itself, so clkv__kernels_build_any is the caller's to call */
};

struct clkv__kernels;
struct clkv__place;

/** What the first of several bands knows of all. */
struct clkv__whole {
	struct clkv__banding bands;
	char recipe[CLKV__RECIPE_TEXT]; /**< of all bands, in full, with its layers by number */
	int window[CLKV__MAX_LAYERS];   /**< of all layers, if the geometry has windows */
	bool has_windows;
};

/** Has one recipe. Where layers have several, it's the cache of a band; the caller knows that of the first, and functions
 *  that the caller calls go on to the next ones. */
struct clkv_cache {
	clkv_context *context;
	clkv_cache *next_band;
	struct clkv__whole *whole; /**< of the first of several bands, else NULL */
	enum clkv__cache_use use;
	pthread_mutex_t mutex; /**< guards everything below but the open step */
	struct clkv__shape shape;
	int *window;    /**< the shape's, copied */
	float *factors; /**< those of its rope, copied */
	struct clkv__plan plan;
	char recipe[CLKV__RECIPE_TEXT]; /**< in full, with what the stages chose */
	struct clkv__tuning tuning;     /**< in force: of the kernels and of cut */
	char refused[256];              /**< tunings that the device refused, with the reason; or "" */
	struct clkv__cut cut;
	struct clkv__sizes sizes;
	struct clkv__pool pool;
	struct clkv__tables tables;
	struct clkv__code_tables code_tables;
	struct clkv__stagings staging;
	cl_mem plan_mem, jobs_mem, pairs_mem, part_acc, part_ml;
	cl_mem histograms; /**< [layers][2][ABI_SYMBOLS], or NULL if blocks have one size */
	cl_mem sections;   /**< [jobs][layers][streams] what pruned blocks begin with, or NULL */
	cl_mem turns;      /**< of the rope: [dims / 2] ulong, or NULL if there is none */
	cl_mem
		projections; /**< [layers][streams] matrices or steps (project.clh), or NULL if none are given */
	cl_mem calibration; /**< code tables that came with steps (calibration_image.h), or NULL */
	uint64_t given;     /**< what tells these from others: of the file that they came from */
	struct clkv__seen seen;
	struct clkv__selection selection;
	struct clkv__index index;
	struct clkv__row_cache rows; /**< that the device keeps of blocks in host memory */
	float loaded_scale[2];       /**< the largest of K's and V's blocks that came with snapshots */
	uint64_t values_checked;     /**< by the recipe's verify=1 */
	struct clkv__counters counters;
	clkv_seq *sequences;
	uint32_t n_sequences;
	/* What is built on top; each belongs to its folder. */
	struct clkv__place *place;
	struct clkv__kernels *kernels;
	struct clkv_step *step; /**< the only one; open or not */
	/* The queue of the last command, and an event behind it: another queue waits for it. */
	cl_command_queue last_queue;
	cl_event last_event;
	uint64_t steps;
	struct clkv__meter meter;
};

/** Sinks of a sequence of this length. */
static inline uint32_t clkv__sinks(const clkv_cache *cache, uint32_t length)
{
	return clkv__plan_sinks(&cache->plan, length);
}

/** What a head of a layer that seals stores. */
static inline const struct clkv__variant *clkv__cache_head(const clkv_cache *cache, int layer,
                                                           int stream)
{
	return clkv__plan_head(&cache->plan, cache->shape.streams, layer, stream);
}

/** Layers of the model. */
static inline int clkv__cache_layers(const clkv_cache *cache)
{
	return cache->whole ? cache->whole->bands.layers : cache->shape.layers;
}

/** The recipe of all layers, in full. */
static inline const char *clkv__cache_recipe(const clkv_cache *cache)
{
	return cache->whole ? cache->whole->recipe : cache->recipe;
}

/** Turns a layer of the model into its number in its band; returns the band's. */
static inline int clkv__cache_band(const clkv_cache *cache, int *layer)
{
	if (!cache->whole)
		return 0;
	int band = cache->whole->bands.of[*layer];
	*layer = cache->whole->bands.number_in[*layer];
	return band;
}

/** The cache of the band of a layer of the model, which becomes its number there. */
static inline const clkv_cache *clkv__cache_at(const clkv_cache *cache, int *layer)
{
	for (int band = clkv__cache_band(cache, layer); band > 0; band--)
		cache = cache->next_band;
	return cache;
}

/** The sequence in the band of a layer of the model, which becomes its number there. */
static inline clkv_seq *clkv__seq_at(clkv_seq *seq, int *layer)
{
	for (int band = clkv__cache_band(seq->cache, layer); band > 0; band--)
		seq = seq->next_band;
	return seq;
}

/** The sequence in the cache of a band. */
static inline clkv_seq *clkv__seq_in(clkv_seq *seq, const clkv_cache *cache)
{
	while (seq->cache != cache)
		seq = seq->next_band;
	return seq;
}

/** Takes and gives back the mutexes of all bands, in their order. */
void clkv__cache_lock(clkv_cache *cache);
void clkv__cache_unlock(clkv_cache *cache);

/** The geometry of all layers; its arrays are the cache's. */
clkv_geometry clkv__cache_geometry(const clkv_cache *cache);

/** Whether decoded rows of a layer recall: where a row sees only so many tokens, these are few enough. */
static inline bool clkv__layer_recalls(const clkv_cache *cache, int layer)
{
	const int *window = cache->shape.window;
	return cache->sizes.segs > 0 && !clkv__layer_is_dense(&cache->plan, layer) &&
	       !(window && window[layer] > 0);
}

/** The word where the row of (layer, stream) of a sequence begins. */
static inline uint32_t clkv__seq_row(const clkv_seq *seq, int layer, int stream)
{
	return seq->slab + clkv__row_word(&seq->cache->sizes, &seq->cache->shape, layer, stream);
}

static inline uint32_t clkv__blocks_of(const clkv_cache *cache, uint32_t tokens)
{
	uint32_t bt = (uint32_t)cache->plan.general.block;
	return (tokens + bt - 1) / bt;
}

/** Blocks that the last of `end` tokens of a sequence sees in layers that select: of the head that has most. */
static inline uint32_t clkv__selected_blocks(const clkv_seq *seq, uint32_t end)
{
	const clkv_cache *cache = seq->cache;
	uint32_t sinks = clkv__sinks(cache, end), tail = seq->tail > sinks ? seq->tail : sinks;
	return seq->kept.entries + clkv__blocks_of(cache, sinks) + clkv__blocks_of(cache, end) -
	       tail / (uint32_t)cache->plan.general.block;
}

/** Frees half blocks [from, to) of a sequence in the layers that seal, or in all layers. */
void clkv__seq_release_half(clkv_seq *seq, uint32_t from, uint32_t to, bool sealing_only);

/** Drops one sequence's hold on the block of the sealed entry at this word. */
void clkv__seq_release_entry(clkv_cache *cache, int layer, uint32_t entry);

/** A linked sequence with a slab of its own, empty on the host only, and room to note so many words.
 *  The caller holds the mutex. Errors: POOL_FULL, NO_HOST_MEMORY. */
clkv_status clkv__seq_new(clkv_cache *cache, size_t notes, clkv_seq **out, clkv_error *error);

/** Words of a table that sharing all of a sequence changes, at most. */
size_t clkv__seq_notes(const clkv_seq *seq);

/** Makes room for n of them, and for those that an open step may yet need to undo its changes. */
clkv_status clkv__notes_reserve(clkv_cache *cache, size_t n, clkv_error *error);

/** Gives a sequence that holds nothing all that another holds; notes were reserved. The caller holds the mutex. */
void clkv__seq_share(clkv_seq *to, const clkv_seq *from);

/** Drops a sequence's hold on everything but its slab, which another's contents may take then: nothing else may be done
 *  with it. The caller holds the mutex. */
void clkv__seq_let_go(clkv_seq *seq);

/** Exchanges the contents of two sequences of a cache, neither in a step. The caller holds the mutex. */
void clkv__seq_swap(clkv_seq *a, clkv_seq *b);

/** Frees a sequence and its blocks; the caller holds the mutex. */
void clkv__seq_drop(clkv_seq *seq);

/** Frees those that were destroyed inside a step that has ended; the caller holds the mutex. */
void clkv__seq_drop_gone(clkv_cache *cache);

/** Tokens that a cut must leave, in all bands: what was selected can't be undone, nor what has left a sliding window. */
uint32_t clkv__seq_least(const clkv_seq *seq);

/** Tokens of a sequence that lie in sealed blocks of a layer that seals. */
uint32_t clkv__seq_sealed(const clkv_seq *seq);

/** Starts a chain of commands on queue behind everything that the cache has enqueued elsewhere. */
clkv_status clkv__cache_join(clkv_cache *cache, struct clkv__chain *chain, cl_command_queue queue,
                             clkv_error *error);
/** Remembers the chain's end for other queues. */
void clkv__cache_leave(clkv_cache *cache, struct clkv__chain *chain);

#endif
