/* SPDX-License-Identifier: MIT */
/**
 * \file    selected.h
 * \brief   Follows sequences whose tokens are selected: each KV head by the reference, row by row and commit by commit.
 *
 * What a commit left is compared, then taken over from the device: its halves, codes and scores are the ground of the
 * next commit, so errors don't add up and a bound counts for one commit. A choice that rounding may make another way is
 * taken over if it's one of those it may make.
 */
#ifndef TEST_SELECTED_H
#define TEST_SELECTED_H

#include "../ref/ref_rope.h"
#include "../ref/ref_select.h"
#include "feed.h"

/** A recipe and what it means. */
struct selected_case {
	const char *recipe;
	struct ref_select rule;
	int skip;
	unsigned others; /**< bits of layers that have another recipe */
	bool codes;      /**< kept tokens are encoded: attention's bound is that of codes */
	double loose; /**< relative L2 error that a kept row gets with a commit; 0: it stays as it is */
	double
		approx; /**< relative error beyond rounding of what attention reads, as of keys rotated in single precision */
	const struct ref_rope *rope; /**< by the library */
};

/** Of one sequence. */
struct selected {
	const struct selected_case *c;
	const struct feed *feed;
	struct ref_head *heads; /**< [layers][kv_heads] */
	double *sinks;          /**< [q_heads] */
};

/** What was compared. */
struct selected_figures {
	size_t rows;                  /**< of a query head */
	size_t choices;               /**< of a KV head */
	size_t dropped;               /**< tokens that they dropped */
	size_t unsure;                /**< choices that rounding may make another way */
	size_t merges, unsure_merges; /**< commits that merge; whose slots rounding may change */
};

/** feed_normal in whole quarters up to 2: products and sums of them are exact in single precision, and halves hold them. */
double selected_quarters(uint64_t row, int layer, enum feed_side side, size_t head, size_t d);

/** A case's cache with lse, and a sequence of its own. options may be NULL. */
void selected_cache(struct feed *feed, const struct selected_case *c,
                    const clkv_cache_options *options);

void selected_open(struct selected *s, const struct selected_case *c, const struct feed *feed);
void selected_close(struct selected *s);
void selected_fork(const struct selected *from, struct selected *to);
/** Cuts both the stream and what follows it. */
void selected_truncate(struct selected *s, struct stream *stream, size_t n);

/** feed_step; every row's output and lse is compared, and what each head has kept. s [n_items]; figures may be NULL. */
void selected_step(struct feed *feed, struct feed_item *items, struct selected *const *s,
                   size_t n_items, struct selected_figures *figures);
void selected_one(struct feed *feed, struct stream *stream, struct selected *s, size_t n,
                  clkv_phase phase, uint64_t seed, struct selected_figures *figures);
/** The same, a step for each of n rows. */
void selected_each(struct feed *feed, struct stream *stream, struct selected *s, size_t n,
                   uint64_t seed, struct selected_figures *figures);

/** Steps of a caller who has rows and queries as values: a layer's n new rows as stored, k and v [n][kv_heads][dim]; row i
 *  of them was attended with, q [q_heads][dk]; the step was committed, and all is compared; or aborted. */
void selected_append(struct selected *s, int layer, size_t n, const double *k, const double *v);
void selected_attend(struct selected *s, int layer, size_t i, const double *q);
void selected_commit(struct selected *s, const struct stream *stream, size_t n, clkv_phase phase,
                     struct selected_figures *figures);
void selected_abort(struct selected *s);

/** Compares what every head keeps now. */
void selected_check(struct selected *s, const struct stream *stream,
                    struct selected_figures *figures);

/** What the device says of a head. */
struct selected_kept {
	clkv_kept kept;
	size_t dk, dv;
};

void selected_read(const struct feed *feed, const struct stream *stream, int layer, size_t head,
                   struct selected_kept *x);
void selected_free(struct selected_kept *x);
/** Whether a token is among those that are kept or open. */
bool selected_has(const struct feed *feed, const struct stream *stream, int layer, size_t head,
                  size_t position);
/** Both sequences keep the same, bit for bit (scores: up to limit, relatively), in all layers from `skip` on. */
void selected_same(const struct feed *feed, const struct stream *a, const struct stream *b,
                   int skip, double limit);

/** Enough choices left something out and were sure: else a test has tested little. */
void selected_expect(const struct selected_figures *f, bool merges);

#endif
