/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_expected.c
 * \brief   Expected Attention: the tokens to which queries of the next positions are expected to attend.
 *
 * Source: arXiv 2510.00636. Unlike the original, queries are those of the newest tokens, as the caller hands them in, not
 * made anew from all hidden states; a value's length stands for that of its projection; newest tokens are kept; and the
 * budget also holds while the sequence grows. gqa=max: in place of the mean, as in DefensiveKV, arXiv 2510.13334.
 */
#include "base/error.h"
#include "stage/select_keys.h"

struct expected_options {
	float budget;
	int obs, ahead, spread, lengths, gqa;
};

#define AT(field) offsetof(struct expected_options, field)

static const struct clkv__key expected_keys[] = {
	BUDGET_KEY(AT(budget), 512),
	JUDGES_KEY(AT(obs), 1, 256, "newest queries whose mean and covariance those to come have"),
	{"ahead", CLKV__KEY_INT, AT(ahead), 1, 1 << 16, NULL, 512,
     "positions to come over which their rotation is averaged"},
	{"spread", CLKV__KEY_INT, AT(spread), 0, 1, NULL, 1, "1: the variance of logits counts"},
	{"lengths", CLKV__KEY_INT, AT(lengths), 0, 1, NULL, 1, "1: scores are times a value's length"},
	REDUCE_KEY(AT(gqa), ABI_GROUP_MEAN),
};

static clkv_status plan_expected(const void *options, const struct clkv__shape *shape,
                                 struct clkv__plan *plan, struct clkv__variant *variant,
                                 clkv_error *error)
{
	const struct expected_options *o = options;
	(void)variant;
	if (shape->rope.kind == CLKV_ROPE_NONE)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'expected' turns queries to positions to come, but the geometry's "
		          "rope.kind is 0: the library must know the model's RoPE; allowed: 1 or 2");
	plan->select = (struct clkv__select){
		.stage = "expected",
		.kind = ABI_SELECT_BEST,
		.score = ABI_SCORE_EXPECTED,
		.observe = o->obs,
		.ahead = o->ahead,
		.spread = o->spread == 1,
		.lengths = o->lengths == 1,
		.group = o->gqa,
		.pool = 1,
		.rule = CLKV__BUDGET_FIXED,
		.budget = o->budget,
		.any = true,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_expected = {
	.name = "expected",
	.brief = "tokens to which queries of the next positions are expected to attend",
	.source = "Expected Attention, arXiv 2510.00636",
	.kind = CLKV__SELECT,
	.keys = expected_keys,
	.n_keys = sizeof expected_keys / sizeof expected_keys[0],
	.window = 32,
	.sinks = 4,
	.prompt = true,
	.plan = plan_expected,
};
