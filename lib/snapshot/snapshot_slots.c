/* SPDX-License-Identifier: MIT */
/** \file snapshot_slots.c \brief The states of slots, where tokens were selected (cl/select/slots.clh). */
#include "base/halves.h"
#include "snapshot/snapshot_state.h"

#include <math.h>

enum { WEIGHT, SCORE, POSITION, TRACES };

/* Word `word` of slot i in a block's state: arrays of a word for each slot. */
static size_t place_of(const struct clkv__plan *plan, size_t word, size_t i)
{
	return 4 * (word * (size_t)plan->general.block + i);
}

/* Whether traces are two halves of weights, as kernels of attention leave them, or one float, a value's length. */
static bool traces_are_weights(const struct clkv__select *s)
{
	return clkv__weighs(s) && (s->peak > 0 || clkv__select_weighs_merged(s));
}

static bool traces_are_length(const struct clkv__select *s)
{
	return clkv__select_expects(s) && s->lengths;
}

static bool has_traces(const struct clkv__select *s)
{
	return traces_are_weights(s) || traces_are_length(s);
}

static const char *check_numbers(const struct clkv__select *s, const unsigned char *score,
                                 const unsigned char *traces)
{
	if (isnan(clkv__get_float(score)))
		return "a slot's score is no number";
	if (traces_are_weights(s) && !clkv__halves_finite(traces, 2))
		return "a slot's trace isn't finite";
	if (traces_are_length(s) && !isfinite(clkv__get_float(traces)))
		return "a value's length isn't finite";
	return NULL;
}

void clkv__slots_tidy(const struct clkv__plan *plan, uint32_t count, unsigned char *state)
{
	size_t block = (size_t)plan->general.block, rest = 4 * (block - count);
	for (size_t w = 0; w < ABI_STATE_WORDS; w++)
		memset(state + place_of(plan, w, count), 0, rest);
	if (!has_traces(&plan->select))
		memset(state + place_of(plan, TRACES, 0), 0, 4 * block);
}

static const char *check_slot(const struct clkv__plan *plan, size_t i, uint32_t length,
                              const unsigned char *state, bool *live)
{
	float weight = clkv__get_float(state + place_of(plan, WEIGHT, i));
	*live = weight != -INFINITY;
	if (*live && !(weight >= 0 && exp2f(weight) <= (float)CLKV__MAX_TOKENS))
		return "a slot stands for no number of tokens";
	if (clkv__get32(state + place_of(plan, POSITION, i)) >= length)
		return "a slot is of a token that the sequence doesn't have";
	return check_numbers(&plan->select, state + place_of(plan, SCORE, i),
	                     state + place_of(plan, TRACES, i));
}

const char *clkv__slots_check(const struct clkv__plan *plan, uint32_t count, uint32_t length,
                              const unsigned char *state, uint32_t *live)
{
	*live = 0;
	for (size_t i = 0; i < count; i++) {
		bool stands = false;
		const char *text = check_slot(plan, i, length, state, &stands);
		if (text)
			return text;
		*live += stands;
	}
	return NULL;
}

void clkv__open_states_tidy(const struct clkv__plan *plan, uint32_t n, unsigned char *states)
{
	if (!has_traces(&plan->select))
		memset(states + 4 * (size_t)n, 0, 4 * (size_t)n);
}

const char *clkv__open_states_check(const struct clkv__plan *plan, uint32_t n,
                                    const unsigned char *states)
{
	const char *text = NULL;
	for (size_t i = 0; i < n && !text; i++)
		text = check_numbers(&plan->select, states + 4 * i, states + 4 * (n + i));
	return text;
}
