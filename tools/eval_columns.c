/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_columns.c
 * \brief   What the tables of clkv-eval show, on the screen and on its page.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "eval.h"

static const struct eval_column perplexity[] = {
	EVAL_COLUMN("ppl", 9, 4, false, ppl),
	EVAL_COLUMN("delta %", 8, 2, true, delta_pct),
	EVAL_COLUMN("KL", 8, 4, false, kl_mean),
	EVAL_COLUMN("top-1", 7, 3, false, top1_agree),
	EVAL_COLUMN("B/token", 9, 0, false, bytes_per_token),
	EVAL_COLUMN("ratio", 6, 2, false, ratio),
	EVAL_COLUMN("tokens/s", 9, 1, false, decode_tokens_per_s),
};

/* Behind several windows: no speed, as the recipes advance together, but how far the means may be off. */
static const struct eval_column judge[] = {
	EVAL_COLUMN("delta %", 8, 2, true, delta_pct),
	EVAL_COLUMN("from", 7, 2, true, delta_low),
	EVAL_COLUMN("to", 7, 2, true, delta_high),
	EVAL_COLUMN("KL", 8, 5, false, kl_mean),
	EVAL_COLUMN("from", 8, 5, false, kl_low),
	EVAL_COLUMN("to", 8, 5, false, kl_high),
	EVAL_COLUMN("median", 8, 5, false, kl_median),
	EVAL_COLUMN("99 %", 8, 4, false, kl_q99),
	EVAL_COLUMN("top-1", 6, 3, false, top1_agree),
	EVAL_COLUMN("bits", 6, 2, false, bits_per_value),
	EVAL_COLUMN("ratio", 6, 2, false, ratio),
	EVAL_COLUMN("greedy", 7, 1, false, greedy), /* the last: left out without --greedy */
};

static const struct eval_column attention[] = {
	EVAL_COLUMN("error", 8, 4, false, attention_error),
	EVAL_COLUMN("mass", 8, 4, false, mass),
	EVAL_COLUMN("B/token", 9, 0, false, bytes_per_token),
	EVAL_COLUMN("ratio", 6, 2, false, ratio),
};

static const struct eval_column retrieval[] = {
	EVAL_COLUMN("right", 6, 3, false, retrieval.exact),
	EVAL_COLUMN("known", 6, 3, false, retrieval.known),
	EVAL_COLUMN("apart", 6, 3, false, retrieval.apart),
	EVAL_COLUMN("likelier", 8, 3, false, retrieval.accuracy),
	EVAL_COLUMN("margin", 7, 2, false, retrieval.margin),
	EVAL_COLUMN("loss", 8, 4, true, retrieval.loss),
	EVAL_COLUMN("from", 8, 4, true, retrieval.loss_low),
	EVAL_COLUMN("to", 8, 4, true, retrieval.loss_high),
	EVAL_COLUMN("B/token", 9, 0, false, bytes_per_token),
	EVAL_COLUMN("ratio", 6, 2, false, ratio),
	EVAL_COLUMN("later", 6, 3, false, retrieval.later), /* the last: of several turns alone */
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

const struct eval_column *eval_columns(const struct eval_options *options, size_t *n)
{
	const bool retrieves = eval_retrieves(options), judges = eval_judges(options);
	*n = retrieves            ? COUNT(retrieval) - (options->task != TASK_TURNS)
	     : options->attention ? COUNT(attention)
	     : judges             ? COUNT(judge) - (options->greedy == 0)
	                          : COUNT(perplexity);
	return retrieves ? retrieval : options->attention ? attention : judges ? judge : perplexity;
}

void eval_cell(const struct eval_column *column, const struct eval_result *r, char *text)
{
	double value;
	memcpy(&value, (const char *)r + column->offset, sizeof value);
	/* what broke the model may be beyond any width */
	int digits = isfinite(value) && fabs(value) >= 1e15 ? -1 : column->digits;
	if (digits < 0)
		(void)snprintf(text, EVAL_CELL_BYTES, "%g", value);
	else
		(void)snprintf(text, EVAL_CELL_BYTES, column->is_signed ? "%+.*f" : "%.*f", digits, value);
}

void eval_title(const struct eval_options *o, const struct eval_result *results, char *text)
{
	char generated[48] = "";
	if (o->generated > 0)
		(void)snprintf(generated, sizeof generated, " and %zu generated", o->generated);
	if (eval_retrieves(o))
		(void)snprintf(text, EVAL_TITLE_BYTES,
		               "%s in %zu tokens: %zu of %zu questions count, which f16 answers right",
		               task_name(o->task), results->retrieval.context, results->retrieval.counted,
		               results->retrieval.asked);
	else if (o->attention)
		(void)snprintf(text, EVAL_TITLE_BYTES,
		               "prompt %zu tokens, attention of %zu tokens compared", o->contexts[0],
		               o->tokens);
	else if (eval_judges(o))
		(void)snprintf(text, EVAL_TITLE_BYTES,
		               "prompt %zu tokens, %zu tokens scored in %zu windows, perplexity %.3f",
		               o->contexts[0], results->scored, results->scored / o->tokens,
		               results->ppl_ref);
	else
		(void)snprintf(text, EVAL_TITLE_BYTES,
		               "prompt %zu tokens%s, %zu tokens scored, %.0f prompt tokens/s",
		               o->contexts[0], generated, o->tokens, results->prefill_tokens_per_s);
}
