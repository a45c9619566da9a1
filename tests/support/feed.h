/* SPDX-License-Identifier: MIT */
/**
 * \file    feed.h
 * \brief   Feeds sequences through the public interface and knows what they were fed.
 *
 * Every row is a function of a number, its layer and its side, so a stream is a list of numbers: a test
 * can drop, fork or repeat rows and say what a cache must then hold.
 */
#ifndef TEST_FEED_H
#define TEST_FEED_H

#include "tensor.h"

#include <clkv.h>
#include <stdbool.h>
#include <stdint.h>

#define FEED_LAYERS 4
#define FEED_TOKENS 2048
#define FEED_ITEMS 8

enum feed_side { FEED_K, FEED_V, FEED_Q };

/** The value of element d of a head's row, before any rounding. */
typedef double (*feed_value)(uint64_t row, int layer, enum feed_side side, size_t head, size_t d);

struct feed_result;

struct feed {
	clkv_context *context;
	cl_command_queue queue;
	clkv_cache *cache;
	clkv_geometry geometry;
	int window[FEED_LAYERS];      /**< of the geometry, if one is set */
	feed_value value;             /**< feed_normal if not set */
	struct tensor_layout in, out; /**< of k, v, q; of the output */
	bool lse;
	bool append_only; /**< no attention: tests of what is stored */
	bool observe;     /**< queries are handed in once more behind attention; lse is needed */
	const struct feed_result *observed; /**< or instead of it, with these log-sum-exps */
	const float *sinks;                 /**< host values [q_heads], or NULL */
	const uint64_t
		*named; /**< numbers of the rows of the next step, of one item; NULL: by its seed */
	const size_t *
		first_rows; /**< of each item in the tensors of a step, rows beside them being NaN; NULL: they follow
	                             each other. Not with observed */
};

struct stream {
	clkv_seq *seq;
	size_t n;
	uint64_t row[FEED_TOKENS];
};

struct feed_item {
	struct stream *stream;
	size_t n;
	clkv_phase phase;
	size_t dropped; /**< rows not kept at commit */
	uint64_t seed;  /**< row i of the stream gets mix(seed, position) */
};

/** What a step returned: out [layer][row][q_heads][dv], lse [layer][row][q_heads]. */
struct feed_result {
	size_t rows, out_row, lse_row; /**< and doubles per row */
	double *out, *lse;
};

/** Independent normal values around a mean of each channel: minimums and zero points matter. */
double feed_normal(uint64_t row, int layer, enum feed_side side, size_t head, size_t d);
/** The same, with channel 5 of K and of V a hundred times as large. */
double feed_outlier(uint64_t row, int layer, enum feed_side side, size_t head, size_t d);

/** Fails the test with the error's text unless status is OK. */
void feed_ok(clkv_status status, const clkv_error *error, const char *what);

/** 6 query heads on 2 of 64 channels: what most tests use, so that its kernels are built once. */
clkv_geometry feed_usual(int layers);
clkv_geometry feed_geometry(int layers, int q_heads, int kv_heads, int dk, int dv);

/** Options of a cache whose steps have 512 tokens at most. */
clkv_cache_options feed_room(size_t tokens, size_t sequences);

/** Creates the cache of feed->geometry. options NULL: room for FEED_TOKENS in FEED_ITEMS sequences. A recipe with rot=file
 *  gets random matrices, always the same, one with qtc a calibration of feed_normal with steps of a half, one with csr a random
 *  dictionary, one with lowrank or cskv random factors of full rank, always the same, unless the options have some. */
void feed_open(struct feed *feed, clkv_context *context, cl_command_queue queue, const char *recipe,
               const clkv_cache_options *options);
void feed_close(struct feed *feed);

void stream_open(struct feed *feed, struct stream *stream);
void stream_close(struct stream *stream);
void stream_fork(struct feed *feed, const struct stream *from, struct stream *to);

size_t feed_dim(const struct feed *feed, enum feed_side side);
size_t feed_heads(const struct feed *feed, enum feed_side side);

/** Rows numbered by row[0 .. n) as given to the library: [n][heads][dim], rounded to the input type. */
void feed_rows(const struct feed *feed, int layer, enum feed_side side, const uint64_t *row,
               size_t n, double *values);

/** Begins a step, appends and attends all layers, commits. The result may be NULL. */
void feed_step(struct feed *feed, struct feed_item *items, size_t n_items,
               struct feed_result *result);
/** feed_step of n rows of one stream that have these numbers. */
void feed_named(struct feed *feed, struct stream *stream, const uint64_t *row, size_t n,
                clkv_phase phase);
/** The same up to the commit. The caller commits and calls feed_kept, or aborts. */
clkv_step *feed_begin(struct feed *feed, struct feed_item *items, size_t n_items,
                      struct feed_result *result);
void feed_kept(struct feed_item *items, size_t n_items);
void feed_result_close(struct feed_result *result);

/** One stream, n rows. */
void feed_one(struct feed *feed, struct stream *stream, size_t n, clkv_phase phase, uint64_t seed,
              struct feed_result *result);

/** Reads decoded rows [from, from + n) of a layer: [n][kv_heads][dim]. Either may be NULL. */
void feed_read(const struct feed *feed, const struct stream *stream, int layer, size_t from,
               size_t n, double *k, double *v);

clkv_seq_info stream_info(const struct stream *stream);
clkv_stats feed_stats(const struct feed *feed);
/** A figure by its name; 0 of a recipe that has no such. */
double feed_figure(const struct feed *feed, const char *name);

/** What clkv_bytes_required says; fails the test if it can't. */
clkv_bytes feed_required(const clkv_context *context, const clkv_geometry *g, const char *recipe,
                         const clkv_cache_options *o);

#endif
