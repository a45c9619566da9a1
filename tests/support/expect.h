/* SPDX-License-Identifier: MIT */
/**
 * \file    expect.h
 * \brief   Compares what steps returned with the reference, and with each other.
 */
#ifndef TEST_EXPECT_H
#define TEST_EXPECT_H

#include "feed.h"

/** What attention must equal. */
enum expect_over {
	EXPECT_GIVEN,  /**< dense attention over the rows as given, rounded to half */
	EXPECT_DECODED /**< attention over the rows that clkv_seq_read returns */
};

/** Feeds n rows to the stream and checks each row's output (and lse) of each layer: within limit of
 *  the reference in relative L2 error, and within the derived bound in every component.
 *  EXPECT_DECODED reads the new rows after the commit: n must be at most the window. */
void expect_rows(struct feed *feed, struct stream *stream, size_t n, clkv_phase phase,
                 uint64_t seed, enum expect_over over, double limit);

/** A new stream's prompt of 150 tokens, more than 100 of which are sealed; rows of generation and of a prompt behind it attend
 *  as to the rows that are read, within BOUND_ATTEND_CODES. */
void expect_attends_as_read(struct feed *feed);

/** Attention of row `row` (a number) at position pos of a layer, by the reference: out [q_heads][dv],
 *  lse [q_heads]; k, v [tokens][kv_heads][dim]. Returns the largest bound on a component's error. */
double expect_reference(const struct feed *feed, int layer, uint64_t row, size_t pos,
                        const double *k, const double *v, bool codes, double *out, double *lse);

/** The recipe can't be had for this geometry: the error has a position in it and each of n words. */
void expect_refused(clkv_context *context, const clkv_geometry *geometry, const char *recipe,
                    const char *const *words, size_t n);

/** Relative L2 difference of two results, lse included; both from steps of the same rows. */
double expect_difference(const struct feed *feed, const struct feed_result *a,
                         const struct feed_result *b);

/** The same for rows [a_from, a_from + n) of a and [b_from, b_from + n) of b. */
double expect_rows_difference(const struct feed *feed, const struct feed_result *a, size_t a_from,
                              const struct feed_result *b, size_t b_from, size_t n);

/** Every row reads back as the half of what was given, bit for bit. */
void expect_given(const struct feed *feed, const struct stream *stream);

/** Both streams decode to the same bits, in all layers; or as far as the first one goes. */
void expect_same_cache(const struct feed *feed, const struct stream *a, const struct stream *b);
void expect_same_prefix(const struct feed *feed, const struct stream *a, const struct stream *b);

/** No sequence is left, and none of its memory. */
void expect_nothing_used(const struct feed *feed);

#endif
