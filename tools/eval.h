/* SPDX-License-Identifier: MIT */
/**
 * \file    eval.h
 * \brief   What the files of clkv-eval share.
 */
#ifndef EVAL_H
#define EVAL_H

#include "session.h"

#define EVAL_MOST_RECIPES 64

struct eval_options {
	const char *model, *text, *device, *plot, *codebook;
	const char *recipes[EVAL_MOST_RECIPES];
	size_t n_recipes;
	size_t context, generated, tokens, offset;
	bool json, chunked, needle, attention;
	enum engine_products products;
};

/** What one recipe reached. */
struct eval_result {
	const char *recipe;
	double ppl, ppl_ref, delta_pct, kl_mean, top1_agree;
	double attention_error, mass; /* --attention */
	double bytes_per_token, ratio;
	double decode_tokens_per_s, prefill_tokens_per_s;
	double accuracy, margin; /* needles */
	size_t trials;
};

struct eval {
	const struct eval_options *options;
	struct session session;
	int32_t *ids; /* the text from the offset on */
	size_t n_ids;
};

/** Fill results[n_recipes]. */
bool eval_perplexity(struct eval *eval, struct eval_result *results, struct tool_error *error);
bool eval_needle(struct eval *eval, struct eval_result *results, struct tool_error *error);
bool eval_attention(struct eval *eval, struct eval_result *results, struct tool_error *error);

/** One JSON line per result, or a table. */
void eval_print(const struct eval *eval, const struct eval_result *results);

/** Quality against bytes per token, through gnuplot. */
bool eval_plot(const struct eval *eval, const struct eval_result *results, const char *path,
               struct tool_error *error);

#endif
