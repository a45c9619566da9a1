/* SPDX-License-Identifier: MIT */
/**
 * \file    world.h
 * \brief   A cache, and a model of all that it must hold; what every random operation works on.
 *
 * A model remembers the rows that its sequence was given, as they are stored, and what was read back last. So after each
 * operation a check can say what must have stayed, bit for bit, and how far what was encoded anew may lie from what was given.
 */
#ifndef RANDOM_WORLD_H
#define RANDOM_WORLD_H

#include "facts.h"

#include "../support/tensor.h"

#include <clkv.h>
#include <stdbool.h>
#include <stdint.h>

#define WORLD_LAYERS 4
#define WORLD_SEQS 6
#define WORLD_QUEUES 3

enum side { SIDE_K, SIDE_V };

/** What a run is drawn from; two runs of the same are the same, operation by operation. */
struct run_case {
	const char *recipe, *geometry;
	uint64_t seed;
	size_t steps;   /**< operations */
	bool trace;     /**< every operation is printed */
	bool inject;    /**< OpenCL calls and allocations fail now and then */
	double seconds; /**< no operation begins later; 0: no limit */
};

/** What runs tell the program that started them, whose memory they share. */
struct progress {
	size_t operation; /**< number of the current one */
	char name[32];    /**< and what it is */
	uint64_t done;    /**< operations, of all runs */
	uint64_t steps;   /**< of these, steps that were committed */
	uint64_t rows;    /**< rows of a query head that were compared */
	uint64_t unsure;  /**< of these, those that could only be bounded */
	uint64_t full;    /**< operations that found the pool full */
	uint64_t failed;  /**< failures injected that struck */
	uint64_t choices; /**< of tokens to keep, which the reference made too */
	uint64_t ties;    /**< of these, those that rounding may make another way */
	uint64_t sealed;  /**< values compared with a codec's bound */
	bool impossible;  /**< the recipe can't be had for this geometry */
	char reason[256];
};

/** What a KV head of a recipe that selects has kept. */
struct head_kept {
	size_t n, tail;
	uint32_t *positions;
	float *weights, *k, *v;
};

/** What one recipe of a cache has made of a sequence. */
struct band {
	size_t
		tail; /**< tokens before it, sinks aside, are sealed; of recipes that select, have left the window */
	bool partial; /**< a prompt's end has left a short block: later ones seal whole blocks */
	bool maybe;   /**< ... or may have: what was cut off, or loaded, held it or not */
	struct recalled recalled; /**< segments, of recipes that recall */
	struct selected rule;     /**< heads by the reference, of recipes whose rule it has */
	bool
		lost; /**< ... which a failed call has left behind: nobody knows what the device has seen */
};

struct model {
	clkv_seq *seq;
	size_t n;                       /**< tokens */
	size_t most;                    /**< that it ever had since it was empty */
	double *given[WORLD_LAYERS][2]; /**< [n][kv_heads][dim], as stored */
	double
		*read[WORLD_LAYERS][2]; /**< the same, as read back last; rows that can't be read are 0 */
	struct band bands[FACTS_BANDS];
	struct head_kept *kept; /**< [layers][kv_heads], of layers that select */
};

struct world {
	const struct run_case *run;
	struct progress *progress;
	struct facts facts[FACTS_BANDS]; /**< of each recipe that the cache has */
	size_t n_bands;
	struct facts some; /**< of its booleans those that hold of any of them */
	clkv_geometry geometry;
	int window[WORLD_LAYERS];
	clkv_context *context;
	clkv_cache *cache;
	clkv_cache_options options;
	struct feed feed;      /**< the cache, for what tests/support has of it */
	struct stream *stream; /**< and one of its sequences */
	cl_command_queue queues[WORLD_QUEUES];
	size_t n_queues;
	struct model models[WORLD_SEQS];
	size_t n_models;
	size_t observes;
	uint64_t random;
	enum { UNARMED, ARMED_ALLOC, ARMED_CALL } armed; /**< what may fail in the next call */
	bool scattered; /**< blocks may be partly used or shared: the pool may be full early */
};

/** Which recipe a layer has, and what it says. */
size_t world_band(const struct world *w, int layer);
const struct facts *world_facts(const struct world *w, int layer);

/** The next random number: below n; true once in n times; between least and most. */
size_t world_below(struct world *w, size_t n);
bool world_one_in(struct world *w, size_t n);
size_t world_between(struct world *w, size_t least, size_t most);
/** A line about the operation, if the run is traced. */
void world_trace(const struct world *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

cl_command_queue world_queue(struct world *w);
struct tensor_layout world_layout(struct world *w);

size_t world_dim(const struct world *w, enum side side);
/** Doubles of a token: of all KV heads. */
size_t world_row(const struct world *w, enum side side);

/** Opens the run's cache. False: the recipe and the geometry don't go together, and progress says why. */
bool world_open(struct world *w, const struct run_case *run, struct progress *progress,
                clkv_context *context, cl_command_queue queue);
/** Destroys all sequences, whose bytes must be free again, and the cache. */
void world_close(struct world *w);
/** Destroys all sequences; the cache must be as new. */
void world_empty(struct world *w);

/** Lengths, counts and bytes against the model: what the library says of itself. */
void world_check(struct world *w);

#endif
