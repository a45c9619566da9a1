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
	const char *model, *text, *device, *plot, *html, *codebook, *rotation;
	const char *const *argv; /**< NULL behind the last word: the command, for the page */
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

/** A number of a table's row, for people. */
struct eval_column {
	const char *title;
	int width, digits;
	bool is_signed;
	size_t offset; /**< of the double in struct eval_result */
};

/** The columns behind the recipe's name of what was measured; *n of them. */
const struct eval_column *eval_columns(const struct eval_options *options, size_t *n);

/** The number as the table shows it, without blanks before it; text holds EVAL_CELL_BYTES. */
#define EVAL_CELL_BYTES 32
void eval_cell(const struct eval_column *column, const struct eval_result *r, char *text);

/** What the table says above its columns: the prompt and what was scored. text holds
 *  EVAL_TITLE_BYTES. */
#define EVAL_TITLE_BYTES 160
void eval_title(const struct eval_options *options, const struct eval_result *results, char *text);

/** Whether gnuplot can be run: asked before the hours of work whose result it is to draw. */
bool eval_plot_ready(struct tool_error *error);

/** Draws quality against bytes per token through gnuplot: an SVG picture if the path ends in .svg,
 *  else a PNG one. */
bool eval_plot(const struct eval_options *options, const struct eval_result *results,
               const char *path, struct tool_error *error);

/** Writes table, plot, command, device and versions as one page that needs no other file. */
bool eval_html(const struct eval *eval, const struct eval_result *results, const char *path,
               struct tool_error *error);

#endif
