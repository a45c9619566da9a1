/* SPDX-License-Identifier: MIT */
/** \file select_kinds.c \brief The rows of choices, rules and scores; a new kind is a row here. */
#include "select/select_kinds.h"

#include "select/select.h"

static bool runs_are_open(const struct clkv__select *s)
{
	return s->similar > 0;
}

/* cl/select/runs.clh */
static uint64_t runs_bytes(uint64_t heads, uint64_t places)
{
	return heads * places * 8;
}

static const struct clkv__choice choices[] = {
	[ABI_SELECT_NONE] = {.bounded = true},
	[ABI_SELECT_BEST] =
		{
			.kernels = {[CLKV__CHOICE_CHOOSES] = {"select_best.cl", "select_best"}},
			.bounded = true,
		},
	[ABI_SELECT_CASCADE] =
		{
			.kernels = {[CLKV__CHOICE_CHOOSES] = {"select_cascade.cl", "select_cascade"}},
			.bounded = true,
			.rings = true,
		},
	[ABI_SELECT_RUNS] =
		{
			.kernels = {[CLKV__CHOICE_COMPARES] = {"key_cosines.cl", "key_cosines"},
                        [CLKV__CHOICE_SPARES] = {"select_alone.cl", "select_alone"},
                        [CLKV__CHOICE_JOINS] = {"merge_runs.cl", "merge_runs"},
                        [CLKV__CHOICE_CHOOSES] = {"select_runs.cl", "select_runs"}},
			.adds = true,
			.open = runs_are_open,
			.work_bytes = runs_bytes,
		},
};

static const struct clkv__rule rules[] = {
	[CLKV__BUDGET_FIXED] = {.bounded = true},
	[CLKV__BUDGET_ALL] = {.compares = true},
	[CLKV__BUDGET_HEADS] = {.bounded = true, .pooled = true, .compares = true},
	[CLKV__BUDGET_CURVE] = {.compares = true},
	[CLKV__BUDGET_ENERGY] = {.compares = true, .open = true, .unlimited = true},
	[CLKV__BUDGET_ABOVE] = {.open = true, .above = true},
};

static const struct clkv__score scores[] = {
	[ABI_SCORE_PLACE] = {0},
	[ABI_SCORE_NORM] = {0},
	[ABI_SCORE_MASS] =
		{
			.attention = true,
			.each = true,
			.lse = true,
			.rows = {"score_rows.cl", "score_rows"},
		},
	[ABI_SCORE_SEEN] =
		{
			.attention = true,
			.lse = true,
			.rows = {"score_rows.cl", "score_rows"},
		},
	[ABI_SCORE_REREAD] =
		{
			.attention = true,
			.each = true,
			.reread = true,
			.lse = true,
			.rows = {"score_rows.cl", "score_rows"},
		},
	[ABI_SCORE_EXPECTED] =
		{
			.attention = true,
			.turns = {"expect_queries.cl", "expect_queries"},
			.rows = {"expect_rows.cl", "expect_rows"},
			.shares = {"expect_shares.cl", "expect_shares"},
		},
};

const struct clkv__choice *clkv__choice_of(const struct clkv__select *s)
{
	return &choices[s->kind];
}

const struct clkv__rule *clkv__rule_of(const struct clkv__select *s)
{
	return &rules[s->rule];
}

const struct clkv__score *clkv__score_of(const struct clkv__select *s)
{
	return &scores[s->score];
}
