/* SPDX-License-Identifier: MIT */
/**
 * \file    sizes.h
 * \brief   How much of everything a cache needs: read by the estimate and by the allocator alike.
 */
#ifndef CLKV__SIZES_H
#define CLKV__SIZES_H

#include "plan/plan.h"
#include "shape/shape.h"

#include <clkv.h>
#include <stdint.h>

/** No cache holds more. */
#define CLKV__MAX_TOKENS (1u << 28)

/** How attention is cut into work-groups on this device. */
struct clkv__cut {
	int tile_rows;          /**< query rows per work-group in prefill */
	int tile_heads;         /**< query heads of a group per work-group; divides G */
	uint32_t target_groups; /**< work-groups that fill the device */
	uint32_t min_blocks;    /**< blocks that a split walks at least, if there are so many */
};

/** Units behind the blocks of a layer of sized blocks: a stream is read in pieces of 8 bytes, and one
 *  whose lengths a damaged page has wrong ends here at the latest. */
#define CLKV__GUARD_UNITS 512

struct clkv__sizes {
	uint32_t max_tokens, max_step_tokens, max_sequences, max_seq_tokens, max_open_tokens;
	/* pool */
	uint32_t half_units, sealed_units; /**< of one block; sealed: the largest */
	bool sized;                        /**< only the device knows how large a sealed block is */
	bool paged;                        /**< sealed blocks of a layer differ in size */
	uint32_t dense_slots;              /**< half blocks of a layer that never seals */
	uint32_t open_slots, sealed_slots; /**< blocks of a layer that seals, all streams */
	uint64_t dense_layer_bytes;
	/* where tokens are selected */
	uint32_t places;        /**< slots of all blocks that a sequence's head sees, at most */
	uint32_t merged_blocks; /**< of merged slots of a head */
	uint32_t staged_blocks; /**< half blocks of a layer in which kept tokens wait to be sealed */
	uint64_t sums_bytes;    /**< sums over candidates of the newest rows' weights; 0: none */
	uint64_t merge_bytes;   /**< work space of merging, all heads */
	uint64_t rows_bytes;    /**< queries of a step's rows; 0: none are kept */
	uint32_t left_rows;     /**< rows whose weights attention leaves at a time; 0: of none */
	uint64_t left_bytes;    /**< these weights */
	/* where sealed blocks leave the device */
	bool moves;
	uint32_t landing;        /**< seal jobs whose blocks a layer takes before they leave */
	uint32_t landing_blocks; /**< the same in blocks of all KV heads */
	uint32_t
		row_slots; /**< slots of recalled rows of a sequence's (layer, KV head): a multiple of the block; 0: none */
	/* tables */
	uint32_t cap, row_words, slab_words;
	uint32_t segs_word; /**< where a slab's list of segments begins */
	uint32_t segs;      /**< segments of a sequence, at most; 0: nothing is recalled */
	/* recall */
	uint32_t index_heads; /**< (layer, stream) that have an index */
	uint32_t index_units; /**< of all segments of all sequences */
	uint32_t book_units;  /**< of a sequence's codebooks; 0: it has none */
	uint32_t books;       /**< codebooks of that size: one for each sequence, or one for all */
	uint32_t max_places;  /**< units of a sequence, with those that fill tiles */
	uint32_t asks;        /**< rows that recall in one go */
	uint64_t probe_bytes, budget_bytes; /**< of rows that recall by one query, or by entropies */
	uint32_t listed;                    /**< tokens that are recalled for a KV head, at most */
	uint64_t build_bytes;  /**< work space of one (layer, stream) while its index is made */
	uint32_t build_layers; /**< layers whose indexes are made in one go */
	/* step */
	uint32_t plan_words;        /**< items, row records, work records */
	uint32_t jobs_words;        /**< seal jobs with their destinations */
	uint32_t update_pairs;      /**< table updates of one launch */
	uint64_t section_bytes;     /**< what pruned blocks begin with, of all jobs of a commit */
	uint32_t seen_units;        /**< the newest queries of a sequence; 0: no stage wants them */
	size_t turns_bytes;         /**< of the rope; 0: there is none */
	uint64_t projections_bytes; /**< matrices or steps that rows are turned by; 0: none are given */
	uint64_t calibration_bytes; /**< code tables that come with steps */
	uint32_t part_rows;         /**< row records times splits; each has q_heads partial records */
	uint32_t max_jobs;          /**< seal jobs of one commit */
	uint32_t staging_words;     /**< of one host staging buffer */
	uint64_t journal_entries;   /**< table words that one step can change */
	clkv_bytes bytes;
};

/** Refuses numbers of the options that are absurd or don't fit each other. */
clkv_status clkv__sizes_compute(const struct clkv__shape *shape, const struct clkv__plan *plan,
                                const clkv_cache_options *options, const struct clkv__cut *cut,
                                struct clkv__sizes *sizes, clkv_error *error);

/** Units that all sealed blocks of a layer that seals may take, and its bytes with those of its half blocks. */
uint64_t clkv__sizes_sealed(const struct clkv__shape *shape, const struct clkv__plan *plan,
                            const struct clkv__sizes *sizes, int layer);
uint64_t clkv__sizes_layer(const struct clkv__shape *shape, const struct clkv__plan *plan,
                           const struct clkv__sizes *sizes, int layer);

/** The word of a sequence's slab where the row of (layer, stream) begins. */
static inline uint32_t clkv__row_word(const struct clkv__sizes *sizes,
                                      const struct clkv__shape *shape, int layer, int stream)
{
	return (uint32_t)(layer * shape->streams + stream) * sizes->row_words;
}

#endif
