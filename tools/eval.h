/* SPDX-License-Identifier: MIT */
/**
 * \file    eval.h
 * \brief   What the files of clkv-eval share.
 */
#ifndef EVAL_H
#define EVAL_H

#include "eval_scores.h"
#include "eval_stats.h"
#include "eval_tally.h"
#include "eval_tasks.h"
#include "session.h"

#define EVAL_MOST_RECIPES 64
#define EVAL_MOST_TEXTS 32
#define EVAL_MOST_CONTEXTS 16

/** How the prompt reaches the caches. */
enum eval_prompt {
	EVAL_PROMPT_EXACT, /**< computed in half, sealed for generation only */
	EVAL_PROMPT_CHUNKED, /**< computed by each recipe; what is sealed depends on the recipe's key seal */
	EVAL_PROMPT_GROWING, /**< fed to each recipe as generated text: sealed as it leaves the window */
};

struct eval_options {
	const char *model, *device, *plot, *html, *resume;
	struct given_paths given;
	const char *texts[EVAL_MOST_TEXTS];
	size_t n_texts;
	const char *const *argv; /**< NULL behind the last word: the command, for the page */
	const char *recipes[EVAL_MOST_RECIPES];
	size_t n_recipes;
	const struct given_files
		*given_of[EVAL_MOST_RECIPES]; /**< NULL: the session's; with resume, key has to tell it */
	const char
		*alone[EVAL_MOST_RECIPES]; /**< what a cache is made by; NULL: the recipe as it stands */
	const char
		*key[EVAL_MOST_RECIPES]; /**< its name with --resume; NULL: the recipe as it stands */
	size_t
		contexts[EVAL_MOST_CONTEXTS]; /**< tokens of prompts; several with a retrieval task alone */
	size_t n_contexts;
	size_t generated, tokens, offset;
	size_t windows,
		stride; /**< of each text: how many, and tokens from the begin of one to that of the next */
	size_t rows;   /**< scored tokens that are fed in one pass */
	size_t greedy; /**< tokens of free generation at most */
	enum eval_task task;
	size_t facts, cases,
		seed; /**< of retrieval tasks: hidden in a prompt, prompts of each length */
	bool json, attention;
	bool untimed; /**< don't measure the speed of generation */
	enum eval_prompt prompt;
	enum engine_products products;
};

/** Ranges of position for which divergence is told apart. */
#define EVAL_POSITIONS 8

/** What one recipe has more than another over the same tokens, and 95 % intervals of these means. */
struct eval_pair {
	double kl, loss; /**< nats per token */
	struct stats_interval kl_range, loss_range;
};

/** What one recipe reached. */
struct eval_result {
	const char *text; /* NULL: all texts together */
	const char *recipe;
	size_t scored; /* tokens, all windows */
	double ppl, ppl_ref, delta_pct, kl_mean, top1_agree;
	double kl_median, kl_q99;
	double kl_low, kl_high, delta_low, delta_high, top1_low, top1_high; /* 95 % */
	double kl_at[EVAL_POSITIONS]; /* mean of the p-th part of each window's scored tokens */
	double greedy;                /* mean number of tokens up to the first that differs */
	double bits_per_value;
	double attention_error, mass; /* --attention */
	double bytes_per_token, ratio;
	double decode_tokens_per_s, prefill_tokens_per_s;
	struct eval_retrieval retrieval;
	struct eval_pair *against; /* [recipes before this one], to be freed; NULL: not compared */
};

struct eval_text {
	int32_t *ids; /* from the offset on */
	size_t n_ids;
	int32_t *all; /* to be freed */
};

struct eval {
	const struct eval_options *options;
	struct session session;
	struct eval_text texts[EVAL_MOST_TEXTS];
	const int32_t *ids; /* of the window that is looked at */
};

/** Tokens that a window takes, the one behind the last that is fed among them. */
size_t eval_window_tokens(const struct eval_options *options);

/** Whether there is more than one window of one text to tell of, or more to tell of it. */
bool eval_judges(const struct eval_options *options);

/** Whether it hides something and asks for it. */
bool eval_retrieves(const struct eval_options *options);

/** Results of a run: of all texts first, then of each if there are several; of retrieval tasks one for each context. */
size_t eval_parts(const struct eval_options *options);

/** Fills results[eval_parts()][n_recipes]. */
bool eval_judge(struct eval *eval, struct eval_result *results, struct tool_error *error);

/** Scores the window at eval->ids under f16 and the wanted recipes: scores[0] is f16's, scores[1 + i] recipe i's, whose
 *  arrays are there. timed: speed of generation too. */
bool eval_perplexity(struct eval *eval, const bool *wanted, bool timed, struct eval_scores *scores,
                     struct tool_error *error);

/** Fills results[eval_parts()][n_recipes]. */
bool eval_retrieve(struct eval *eval, struct eval_result *results, struct tool_error *error);

/** Fills results[n_recipes]. */
bool eval_attention(struct eval *eval, struct eval_result *results, struct tool_error *error);

/** One JSON line per result, or a table. */
void eval_print(const struct eval *eval, const struct eval_result *results);

/** A result as a line of JSON; results: that of the first recipe of its part. */
void eval_json_print(const struct eval *eval, const struct eval_result *results, size_t recipe);

/** A number of a table's row, for people. */
struct eval_column {
	const char *title;
	int width, digits;
	bool is_signed;
	size_t offset; /**< of the double in struct eval_result */
};

/** One of the member that shows so. */
#define EVAL_COLUMN(title, width, digits, is_signed, member)                                       \
	{                                                                                              \
		title, width, digits, is_signed, offsetof(struct eval_result, member)                      \
	}

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
