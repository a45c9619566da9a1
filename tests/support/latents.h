/* SPDX-License-Identifier: MIT */
/** \file latents.h \brief Caches whose sealed blocks hold latents, and what stands for the rows of a prompt. */
#ifndef TEST_LATENTS_H
#define TEST_LATENTS_H

#include "../ref/ref_rope.h"
#include "factors.h"

enum { LATENTS_TOKENS = 150, LATENTS_MOST = LATENTS_TOKENS * 4 * 48, LATENTS_WIDEST = 8 * 48 };

/** What a prompt's rows of a layer were and became, [LATENTS_TOKENS][KV heads][dim] of K and of V. */
struct latents_rows {
	double given[2][LATENTS_MOST], read[2][LATENTS_MOST];
};

/** A cache for these factors, or NULL: for those that the recipe asks for. */
void latents_open(struct feed *feed, const clkv_geometry *geometry, const char *recipe,
                  const struct factors *factors);

/** A prompt of LATENTS_TOKENS that nobody attends to, all of it sealed. */
void latents_seal(struct feed *feed, struct stream *stream);

void latents_read(const struct feed *feed, const struct stream *stream, int layer,
                  struct latents_rows *rows);

/** A head's channels turned to a position; by one with a sign, -0.0 too, back from it. rope NULL: they stay. */
void latents_turn(const struct ref_rope *rope, double position, double *x);

/** One side of a model whose heads, of one layer or several, have latents together. */
struct latents_side {
	int v;                       /**< 0: K, 1: V */
	size_t heads, dim;           /**< of a layer; of a head */
	size_t each, share;          /**< heads of a group in each layer; layers */
	size_t rank;                 /**< latents of a group that are kept */
	const int *order;            /**< [layers][heads]; NULL: as they come */
	const float *down, *up;      /**< [groups][width][width] of all layers */
	const struct ref_rope *rope; /**< latents are of rows in front of it; NULL: as they come */
};

/** Rows of layers first .. first + share - 1 read as what their groups' latents stand for: halves of rows and latents, sums in
 *  single precision within 2^-16 of their terms' magnitudes, turns of 2^-22 among them. */
void latents_expect_rows(const struct latents_side *side, size_t first,
                         const struct latents_rows *rows);

/** Leads a prompt of 200 tokens through a file and on: pages go as they are to `same`, of the same recipe and factors, and again
 *  to `smaller`, of another block size; `other` refuses them in these words; forks share them, what is cut is gone, and tokens leave
 *  from the middle. */
void latents_expect_life(struct feed *feed, struct feed *same, struct feed *smaller,
                         struct feed *other, const char *text);

#endif
