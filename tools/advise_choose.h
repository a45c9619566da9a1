/* SPDX-License-Identifier: MIT */
/**
 * \file    advise_choose.h
 * \brief   The choice among measured recipes: what is within a limit, the cheapest of it, the hull of all.
 */
#ifndef ADVISE_CHOOSE_H
#define ADVISE_CHOOSE_H

#include <stddef.h>

#include "tool_error.h"

enum advise_kind { ADVISE_NO_LIMIT, ADVISE_KL, ADVISE_LOSS, ADVISE_BYTES };

struct advise_limit {
	enum advise_kind kind;
	double most; /**< KL: nats per token; loss: percent of perplexity; bytes: per token */
};

/** What a choice looks at; NaN: not measured, or the recipe breaks the model. */
struct advise_offer {
	double bytes;              /**< per token */
	double kl;                 /**< mean */
	double kl_high, loss_high; /**< upper ends of 95 % intervals; loss in percent */
};

/** Whether all of the interval of what the limit is on lies below it, ends included. */
bool advise_within(const struct advise_offer *offer, const struct advise_limit *limit);

/** Of those within the limit the one of the fewest bytes, of a limit on bytes that of the least KL; of equal ones the first.
 *  n: there is none. */
size_t advise_choose(const struct advise_offer *offers, size_t n, const struct advise_limit *limit);

/** Measures a step; false with *error on failure. */
typedef bool (*advise_look_fn)(void *opaque, size_t step, bool *within, struct tool_error *error);

/** Looks for the first step of a ladder that is within, as if all before it weren't and all behind it were, in at most
 *  log2(n) rounded up looks; the last of the n >= 1 steps is within and not looked at. Whatever the looks say, *found is a step
 *  that was within when it was looked at, or the last, and no step before it was. */
bool advise_bisect(size_t n, advise_look_fn look, void *opaque, size_t *found,
                   struct tool_error *error);

/** Marks the lower hull of the offers as plots have it, both axes logarithmic. False without memory. */
bool advise_mark_hull(const struct advise_offer *offers, size_t n, bool *on_hull);

#endif
