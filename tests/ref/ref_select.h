/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_select.h
 * \brief   What one KV head keeps of a sequence, from the rules, in double precision: attention over it, scores, the choice
 *          by a full sort, merging. Sources: ZeroMerge, arXiv 2503.10714; and those of the single scores.
 *
 * A head's tokens are a list: merged slots, then sinks, kept tokens and open ones in the order of time. A step appends
 * open tokens, attends with their rows, and ends with a commit or an abort.
 */
#ifndef REF_SELECT_H
#define REF_SELECT_H

#include "ref_attend.h"
#include "ref_rope.h"
#include "ref_seal.h"

#include <stdbool.h>
#include <stddef.h>

enum ref_score { REF_PLACE, REF_NORM, REF_MASS, REF_SEEN, REF_EXPECTED };
enum ref_rows { REF_ROWS_SUM, REF_ROWS_MAX, REF_ROWS_ABOVE };
enum ref_group { REF_GROUP_SUM, REF_GROUP_MEAN, REF_GROUP_MAX };
enum ref_near { REF_NEAR_DOT, REF_NEAR_L2, REF_NEAR_COSINE };
enum ref_init { REF_FIRST, REF_CONTIG };

/** What a recipe asks for. */
struct ref_select {
	enum ref_score score;
	double budget, tail, residual; /**< up to 1: shares; above: slots */
	double lambda, alpha;
	size_t observe;              /**< rows that REF_SEEN and REF_EXPECTED look at */
	const struct ref_rope *rope; /**< REF_EXPECTED: the model's */
	size_t ahead;                /**< positions to come */
	bool spread, lengths;        /**< with variances; times lengths of values */
	enum ref_rows rows;
	enum ref_group group;
	size_t pool; /**< odd; 0 and 1: none */
	bool pool_max;
	bool old;   /**< weights among candidates alone */
	bool above; /**< whatever has a score above 0, not a number of tokens */
	enum ref_near metric;
	enum ref_init init;
	bool any; /**< a token may be dropped when it leaves the window; else it's kept that once */
	bool score_sum; /**< of merged slots */
	size_t sinks, window, block;
	bool chunk; /**< seal=chunk */
	bool codec; /**< kept tokens are encoded, so even a choice of all is made */
};

/** A head's share of slots. */
struct ref_quota {
	size_t slots, sinks, window, kept, merged;
};

/** Of a sequence of so many tokens. */
struct ref_quota ref_select_quota(const struct ref_select *s, size_t tokens);

/** A token, or a merged slot. */
struct ref_slot {
	double *k, *v; /**< owned: [dk + dv] behind k */
	double weight, score;
	double length;   /**< of the value that was appended */
	size_t position; /**< of a merged slot: its newest token's */
	bool merged;
};

/** A row that REF_SEEN or REF_EXPECTED may look at. */
struct ref_row {
	size_t tag; /**< its position + 1; 0: none */
	double *q;  /**< [group][dk], as stored in half */
	double *lse;
};

/** The last choice. */
struct ref_choice {
	size_t n;      /**< candidates; 0: nothing was selected */
	size_t first;  /**< in the list of slots before the choice; the others follow it */
	size_t keep;   /**< how many are to stay; SIZE_MAX: as many as have a score above 0 */
	bool forced;   /**< the last one stays */
	double *score; /**< [n] */
	double *slack; /**< [n] what rounding may make of it */
	bool *kept;    /**< [n] */
	bool ties;     /**< equal scores are equal on the device, too */
	bool sure;     /**< no rounding within the slack changes it */
};

struct ref_head {
	const struct ref_select *s;
	struct ref_attend a;   /**< dk, dv, scale, softcap; the rest doesn't count */
	size_t group;          /**< query heads */
	const double *sinks;   /**< [group] logits without a value, or NULL */
	size_t see;            /**< tokens that a row sees, itself included; 0: all */
	double slack;          /**< relative error of scores by attention on the device */
	double norm_slack;     /**< of norms */
	double expected_slack; /**< of the last scores by expectation */
	size_t n, room, n_merged;
	struct ref_slot *slot; /**< [n]: merged, then by time */
	size_t length, tail;   /**< tokens; the first one behind the sinks that is open */
	bool selected;
	size_t counted;         /**< tokens that shares counted when it chose */
	struct ref_quota quota; /**< by which it chose */
	struct ref_row *row;    /**< [observe] */
	size_t n_new;           /**< of the step */
	double **mass;          /**< [n_new] weights [n] of a row, or NULL: it wasn't attended with */
	struct ref_choice choice;
	bool
		merges_sure; /**< of the last commit: no rounding within the slack sends a token to another slot */
};

/** Empty. a, group, sinks, see and slack are set by the caller after it. */
void ref_head_open(struct ref_head *h, const struct ref_select *s, size_t dk, size_t dv,
                   size_t group);
void ref_head_close(struct ref_head *h);
void ref_head_copy(const struct ref_head *from, struct ref_head *to);

/** Begins a step: n tokens, k [n] and v [n] of these strides, as they are stored. */
void ref_select_append(struct ref_head *h, size_t n, const double *k, size_t k_stride,
                       const double *v, size_t v_stride);

/** Sums of a row's head, and the largest correction of a logit that took part. */
struct ref_select_sums {
	struct ref_attend_sums sums;
	double correction;
	size_t n; /**< slots that it saw */
};

/** Attention of row i of the step, q [group][dk]; out [group][dv], sums [group]. */
void ref_select_row(struct ref_head *h, size_t i, const double *q, double *out,
                    struct ref_select_sums *sums);

/** Drops the step. What REF_SEEN looks at keeps its rows. */
void ref_select_abort(struct ref_head *h);

/** Ends the step with its first n tokens, adds their rows' mass, and chooses: h->choice. */
void ref_select_choose(struct ref_head *h, size_t n, enum ref_phase phase);
/** Drops and merges what h->choice.kept doesn't have; the means become halves. */
void ref_select_apply(struct ref_head *h);
/** What a score by expectation may lose of a value of this length: shares below 2^-126 may be 0 in single precision. */
double ref_select_flushed(const struct ref_head *h, double length);

/** Chooses and applies. */
void ref_select_commit(struct ref_head *h, size_t n, enum ref_phase phase);

/** Whether another choice could be right, too: each score off by no more than its slack. */
bool ref_select_admits(const struct ref_choice *c, const bool *kept);

/** Keeps the first n tokens. False: it can't; some before the first open one are gone. */
bool ref_select_truncate(struct ref_head *h, size_t n);

/** How near a slot's key is to a token's; the nearest has the largest. *error gets what rounding may make of it, per unit
 *  of relative rounding. */
double ref_select_near(enum ref_near metric, size_t dk, const double *token, const double *slot,
                       double *error);

/** k largest of n scores, ties to the later one; the last one in any case if forced. True if no score that is off by its
 *  slack changes that. */
bool ref_select_best(size_t n, const double *score, const double *slack, size_t k, bool forced,
                     bool *kept);

#endif
