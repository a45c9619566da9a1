/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_prune.h
 * \brief   Pruned channels of K from their definition, in double precision. Sources: ThinK, arXiv 2407.21018;
 *          SparK, arXiv 2508.15212.
 *
 * The strength of a channel is what the newest queries of a group make of it, scaled to mean 1 (ref_qagg).
 * Channels: those of largest strength^2 * sum of k^2 over the tokens, the same for all.
 * Tokens: each keeps its largest saliencies, strength * |k| or strength * k^2. What it lacks becomes
 * sign * a * m: a of the token, m of the channel, both rounded to half.
 *
 * The device has single precision. Where that may decide otherwise (two channels next to each other at the
 * edge of what is kept) a function says so and a test leaves the tokens out; where a value may round to another
 * half, it has a range. A tie that is exact in both goes to the lower channel in both.
 */
#ifndef REF_PRUNE_H
#define REF_PRUNE_H

#include <stdbool.h>
#include <stddef.h>

/** Relative: what differs by less is next to a tie. Strengths and saliencies are sums of up to a few hundred
 *  terms >= 0 in single precision, off by a few of its ulps (2^-24 = 6e-8) in practice. */
#define REF_PRUNE_TIE 1e-6

enum ref_qagg {
	REF_QAGG_MEAN, /**< of the heads; then the norm over the window */
	REF_QAGG_RMS,  /**< root of the sum of squares over heads and window */
	REF_QAGG_ABS,  /**< sum of magnitudes */
	REF_QAGG_NORM  /**< sum over heads of the norm over the window */
};

enum ref_recover {
	REF_RECOVER_ZERO,
	REF_RECOVER_CONST,
	REF_RECOVER_SIGNMAG,
	REF_RECOVER_MEAN,
	REF_RECOVER_FIT
};

struct ref_spark {
	size_t kept;
	enum ref_recover recover;
	bool squared; /**< saliency = strength * k^2 */
	double fill;  /**< of REF_RECOVER_CONST */
	int refine;   /**< of REF_RECOVER_FIT */
};

/** One value of a pruned block. */
struct ref_pruned {
	bool kept;
	double value;     /**< K^, with all roundings */
	double low, high; /**< it lies between: amplitudes may round either way next to a tie */
};

/** q [rows][heads][dim] of one group; strength [dim]. No rows: all 1. */
void ref_strength(enum ref_qagg qagg, size_t rows, size_t heads, size_t dim, const double *q,
                  double *strength);

/** k [n_tokens][dim]; kept [dim] gets n_kept channels. False if single precision may choose others. */
bool ref_think(size_t n_kept, size_t n_tokens, size_t dim, const double *k, const double *strength,
               bool *kept);

/** The same from the norm of the matrix of all products of a query and a key in one channel. */
double ref_think_score(size_t rows, size_t heads, size_t n_tokens, size_t dim, const double *q,
                       const double *k, size_t channel);

/** The tokens of one block, k and values [n_tokens][dim]. sure [n_tokens]: false where single precision may
 *  choose other channels. Returns false if that moves factors, which all tokens of a block share. */
bool ref_spark(const struct ref_spark *s, size_t n_tokens, size_t dim, const double *k,
               const double *strength, bool *sure, struct ref_pruned *values);

#endif
