/* SPDX-License-Identifier: MIT */
/** \file budget_bytes.c \brief Tells slots by bytes. */
#include "plan/budget_bytes.h"

#include "base/error.h"

/* No selection has more slots. */
enum { MOST_SLOTS = 1 << 20 };

static uint64_t block_bytes(const struct clkv__plan *plan)
{
	uint32_t units = plan->sealing.layout.units;
	for (int i = 0; i < plan->n_more; i++)
		if (plan->more[i].layout.units > units)
			units = plan->more[i].layout.units;
	return (uint64_t)units * ABI_UNIT;
}

uint64_t clkv__budget_bytes(const struct clkv__plan *plan, const struct clkv__shape *shape,
                            uint32_t slots)
{
	const struct clkv__general *g = &plan->general;
	struct clkv__select s = plan->select;
	s.budget = (float)slots;
	struct clkv__quota q =
		clkv__select_quota(&s, (uint32_t)g->sinks, (uint32_t)g->window, MOST_SLOTS);
	uint64_t halves = (uint64_t)q.sinks + q.window + q.merged;
	uint64_t blocks = ((uint64_t)q.kept + (uint32_t)g->block - 1) / (uint32_t)g->block;
	return halves * (clkv__half_block_bytes(shape, 1) + ABI_STATE_BYTES(1)) +
	       blocks * block_bytes(plan);
}

static clkv_status check(const struct clkv__plan *plan, clkv_error *error)
{
	const struct clkv__select *s = &plan->select;
	const int bytes = plan->general.budget_bytes;
	if (!clkv__selects(s))
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"general keys: key 'budget_bytes' is %d, but no stage selects tokens; allowed: with "
			"a stage that has a budget, such as snapkv",
			bytes);
	if (clkv__select_is_open(s))
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"general keys: key 'budget_bytes' is %d, but stage '%s' itself finds out how many "
			"tokens a head keeps; allowed: with a stage that has a budget, such as snapkv",
			bytes, s->stage);
	if (plan->sealing.layout.sized)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"general keys: key 'budget_bytes' is %d, but blocks of codec '%s' have a size of "
			"their own; allowed: key 'budget' of '%s', or codecs whose size is known, such as "
			"kivi",
			bytes, plan->sealing.codec->name, s->stage);
	return CLKV_OK;
}

clkv_status clkv__budget_bytes_apply(struct clkv__plan *plan, const struct clkv__shape *shape,
                                     clkv_error *error)
{
	if (plan->general.budget_bytes == 0)
		return CLKV_OK;
	CLKV_TRY(check(plan, error));
	const uint64_t bytes = (uint64_t)plan->general.budget_bytes;
	/* Bytes grow with slots: [fits, fails) closes on the last that fits. Two are the least that is a number, no share. */
	uint32_t fits = 1, fails = MOST_SLOTS + 1;
	while (fails - fits > 1) {
		uint32_t middle = fits + (fails - fits) / 2;
		if (clkv__budget_bytes(plan, shape, middle) <= bytes)
			fits = middle;
		else
			fails = middle;
	}
	if (fits == 1)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"general keys: key 'budget_bytes' is %llu, less than two slots of stage '%s' take; "
			"allowed: %llu or more",
			(unsigned long long)bytes, plan->select.stage,
			(unsigned long long)clkv__budget_bytes(plan, shape, 2));
	plan->select.budget = (float)fits;
	return CLKV_OK;
}
