/* SPDX-License-Identifier: MIT */
/** \file leaving.c \brief When tokens leave the window, and how many. */
#include "store/leaving.h"

uint32_t clkv__leaving_first(const struct clkv__plan *plan, const struct clkv__filling *f,
                             uint32_t end)
{
	uint32_t sinks = clkv__plan_sinks(plan, end);
	return f->tail > sinks ? f->tail : sinks;
}

/* Whether a step of this phase seals nothing, whatever has left the window. */
static bool seals_nothing(const struct clkv__plan *plan, clkv_phase phase)
{
	return phase == CLKV_REREAD || (phase == CLKV_PROMPT && plan->general.seal == 1);
}

static uint64_t places_of(const struct clkv__plan *plan, uint32_t n)
{
	uint32_t bt = (uint32_t)plan->general.block, parts = clkv__recall_parts(&plan->recall, n);
	uint64_t places = 0;
	for (uint32_t i = 0; i < parts; i++)
		places += clkv__recall_places(&plan->recall, clkv__recall_part(n, bt, parts, i));
	return places;
}

bool clkv__leaving_fits(const struct clkv__plan *plan, const struct clkv__sizes *sizes,
                        const struct clkv__filling *f, uint32_t n)
{
	return f->segments + clkv__recall_parts(&plan->recall, n) <= sizes->segs &&
	       f->places + places_of(plan, n) <= sizes->max_places;
}

uint32_t clkv__leaving_count(const struct clkv__plan *plan, const struct clkv__sizes *sizes,
                             const struct clkv__filling *f, clkv_phase phase, uint32_t n_new)
{
	uint32_t end = f->length + n_new, first = clkv__leaving_first(plan, f, end);
	uint32_t window = (uint32_t)plan->general.window, batch = clkv__plan_batch(plan, false);
	if (plan->sealing.dense || seals_nothing(plan, phase) || end - first <= window)
		return 0;
	uint32_t n = end - first - window;
	bool exact = phase == CLKV_PROMPT_END && !f->partial;
	n = exact ? n : n / batch * batch;
	/* too few for a segment, or one segment too many: attention goes on to see them all */
	if (clkv__recalls(&plan->recall) &&
	    (n < clkv__plan_batch(plan, f->segments == 0) || !clkv__leaving_fits(plan, sizes, f, n)))
		return 0;
	return n;
}

uint32_t clkv__leaving_counts(const struct clkv__filling *f, clkv_phase phase, uint32_t end)
{
	bool grows = f->selected && phase == CLKV_DECODE;
	return clkv__select_counts(grows ? f->counted : 0, end);
}

static struct clkv__quota quota_of(const struct clkv__plan *plan, const struct clkv__filling *f,
                                   clkv_phase phase, uint32_t end)
{
	const struct clkv__general *g = &plan->general;
	return clkv__select_quota(&plan->select, (uint32_t)g->sinks, (uint32_t)g->window,
	                          clkv__leaving_counts(f, phase, end));
}

/* Whether `end` tokens have a slot each, and need no codes. */
static bool fits_slots(const struct clkv__plan *plan, const struct clkv__filling *f,
                       const struct clkv__quota *q, uint32_t end)
{
	return !clkv__select_is_open(&plan->select) && !f->selected && clkv__plan_plain(plan) &&
	       end <= q->sinks + q->window + q->kept + q->merged;
}

uint32_t clkv__leaving_window(const struct clkv__plan *plan, const struct clkv__filling *f,
                              clkv_phase phase, uint32_t n_new, struct clkv__quota *quota)
{
	uint32_t end = f->length + n_new, first = clkv__leaving_first(plan, f, end);
	uint32_t bt = (uint32_t)plan->general.block;
	*quota = quota_of(plan, f, phase, end);
	if (fits_slots(plan, f, quota, end) || seals_nothing(plan, phase) ||
	    end - first <= quota->window)
		return 0;
	uint32_t n = end - first - quota->window;
	return phase == CLKV_PROMPT_END ? n : n / bt * bt;
}

uint32_t clkv__leaving_commit(const struct clkv__plan *plan, const struct clkv__sizes *sizes,
                              struct clkv__filling *f, clkv_phase phase, uint32_t n_new)
{
	uint32_t n = clkv__leaving_count(plan, sizes, f, phase, n_new);
	f->length += n_new;
	if (n == 0)
		return 0;
	f->tail = clkv__leaving_first(plan, f, f->length) + n;
	f->partial = f->partial || n % (uint32_t)plan->general.block > 0;
	if (clkv__recalls(&plan->recall)) {
		f->segments += clkv__recall_parts(&plan->recall, n);
		f->places += (uint32_t)places_of(plan, n);
	}
	return n;
}

/* The length at which a row of generation lets a selection drop something: slots may grow with the text. */
static uint32_t selects_at(const struct clkv__plan *plan, const struct clkv__sizes *sizes,
                           const struct clkv__filling *f)
{
	struct clkv__filling at = *f;
	struct clkv__quota q;
	bool all = plan->select.budget == 1.0f && !clkv__select_is_open(&plan->select);
	if (all && !f->selected && clkv__plan_plain(plan))
		return 0; /* a share that is the whole */
	while (at.length < sizes->max_seq_tokens &&
	       clkv__leaving_window(plan, &at, CLKV_DECODE, 1, &q) == 0) {
		uint32_t end = at.length + 1, first = clkv__leaving_first(plan, &at, end);
		uint32_t slots = q.sinks + q.window + q.kept + q.merged;
		uint32_t least = first + q.window + (uint32_t)plan->general.block - 1;
		uint32_t next = fits_slots(plan, &at, &q, end) && slots > least ? slots : least;
		at.length = next > end ? next : end;
	}
	return at.length + 1;
}

static clkv_waits waits_select(const struct clkv__plan *plan, const struct clkv__sizes *sizes,
                               const struct clkv__filling *f, uint32_t *seals_at)
{
	struct clkv__quota q;
	*seals_at = selects_at(plan, sizes, f);
	if (clkv__leaving_window(plan, f, CLKV_DECODE, 0, &q) > 0)
		return CLKV_WAITS_PROMPT_END;
	return fits_slots(plan, f, &q, f->length) ? CLKV_WAITS_BUDGET : CLKV_WAITS_WINDOW;
}

clkv_waits clkv__leaving_waits(const struct clkv__plan *plan, const struct clkv__sizes *sizes,
                               const struct clkv__filling *f, uint32_t *seals_at)
{
	*seals_at = 0;
	if (plan->sealing.dense)
		return CLKV_WAITS_NEVER;
	if (clkv__selects(&plan->select))
		return waits_select(plan, sizes, f, seals_at);
	uint32_t window = (uint32_t)plan->general.window, sinks = (uint32_t)plan->general.sinks;
	uint32_t first = f->tail > sinks ? f->tail : sinks;
	uint32_t batch = clkv__plan_batch(plan, f->segments == 0);
	uint32_t n = f->length > first + window ? f->length - first - window : 0;
	if (clkv__recalls(&plan->recall) && !clkv__leaving_fits(plan, sizes, f, n > batch ? n : batch))
		return CLKV_WAITS_ROOM;
	*seals_at = first + window + batch;
	if (n >= batch)
		return CLKV_WAITS_PROMPT_END;
	return n > 0 && clkv__recalls(&plan->recall) ? CLKV_WAITS_INDEX : CLKV_WAITS_WINDOW;
}
