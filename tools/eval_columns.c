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

#define COLUMN(title, width, digits, is_signed, member)                                            \
	{                                                                                              \
		title, width, digits, is_signed, offsetof(struct eval_result, member)                      \
	}

static const struct eval_column perplexity[] = {
	COLUMN("ppl", 9, 4, false, ppl),
	COLUMN("delta %", 8, 2, true, delta_pct),
	COLUMN("KL", 8, 4, false, kl_mean),
	COLUMN("top-1", 7, 3, false, top1_agree),
	COLUMN("B/token", 9, 0, false, bytes_per_token),
	COLUMN("ratio", 6, 2, false, ratio),
	COLUMN("tokens/s", 9, 1, false, decode_tokens_per_s),
};

static const struct eval_column attention[] = {
	COLUMN("error", 8, 4, false, attention_error),
	COLUMN("mass", 8, 4, false, mass),
	COLUMN("B/token", 9, 0, false, bytes_per_token),
	COLUMN("ratio", 6, 2, false, ratio),
};

static const struct eval_column needle[] = {
	COLUMN("accuracy", 9, 3, false, accuracy),
	COLUMN("margin", 8, 2, false, margin),
	COLUMN("B/token", 9, 0, false, bytes_per_token),
	COLUMN("ratio", 6, 2, false, ratio),
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

const struct eval_column *eval_columns(const struct eval_options *options, size_t *n)
{
	*n = options->needle      ? COUNT(needle)
	     : options->attention ? COUNT(attention)
	                          : COUNT(perplexity);
	return options->needle ? needle : options->attention ? attention : perplexity;
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
	if (o->needle)
		(void)snprintf(text, EVAL_TITLE_BYTES, "needles in %zu tokens, %zu trials", o->context,
		               results[0].trials);
	else if (o->attention)
		(void)snprintf(text, EVAL_TITLE_BYTES,
		               "prompt %zu tokens, attention of %zu tokens compared", o->context,
		               o->tokens);
	else
		(void)snprintf(text, EVAL_TITLE_BYTES,
		               "prompt %zu tokens%s, %zu tokens scored, %.0f prompt tokens/s", o->context,
		               generated, o->tokens, results[0].prefill_tokens_per_s);
}
