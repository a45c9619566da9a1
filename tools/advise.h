/* SPDX-License-Identifier: MIT */
/**
 * \file    advise.h
 * \brief   What the files of clkv-advise share.
 */
#ifndef ADVISE_H
#define ADVISE_H

#include "advise_budget.h"
#include "advise_choose.h"
#include "advise_warn.h"
#include "eval.h"
#include "train_calibration.h"

enum { ADVISE_MOST_TRAINING = 16, ADVISE_RECIPE_BYTES = 4096, ADVISE_LABEL_BYTES = 96 };

struct advise_options {
	const char *model, *device, *text, *json, *plot, *out;
	const char *training[ADVISE_MOST_TRAINING]; /**< none: the first part of the text */
	size_t n_training, training_tokens;         /**< training_tokens: of each, at most */
	struct advise_limit limit;
	size_t context, tokens, windows; /**< judged: prompt, scored in each window, windows */
	size_t length;                   /**< tokens at which a recipe's bytes are compared */
	size_t sinks, window;            /**< in half under every recipe */
	bool quick, budget;
	bool behind; /**< calibrate keys as RoPE leaves them */
	enum engine_products products;
};

/** A candidate as the table has it: stages without what stays in half, and how its calibration is made. */
struct advise_row {
	const char *stages;
	float delta; /**< of the calibration; 0: it takes none */
	bool quick;  /**< a step of the short ladder */
};

/** The table; *n rows, of which the last is f16. */
const struct advise_row *advise_rows(size_t *n);

/** Scored tokens that are fed in one pass. */
enum { ADVISE_ROWS = 32 };

/** Lengths at which the bytes of a sequence are told. */
enum { ADVISE_LENGTHS = 3 };
extern const size_t advise_lengths[ADVISE_LENGTHS];

/** A candidate of this run. */
struct advise_point {
	char recipe[ADVISE_RECIPE_BYTES], label[ADVISE_LABEL_BYTES];
	float delta;
	struct given_files given;        /**< its calibration */
	double bytes;                    /**< per token at options->length tokens */
	double bytes_at[ADVISE_LENGTHS]; /**< of a sequence */
	size_t place;                    /**< among the candidates as they were surveyed */
	bool measured, on_hull;
	size_t
		rival; /**< place + 1 of what has the same bits for all layers, if this one shares them out; else 0 */
	struct eval_pair against;  /**< what it has more than its rival */
	struct eval_result result; /**< bytes_per_token, bits_per_value and ratio at options->length */
};

struct advise {
	const struct advise_options *options;
	struct eval eval; /**< the session and the judged text, which is its only one */
	int32_t *trained[ADVISE_MOST_TRAINING]; /**< tokens of texts to calibrate on, to be freed */
	struct advise_point points[EVAL_MOST_RECIPES]; /**< by bytes, ascending, once surveyed */
	size_t n;
	struct advise_survey survey;
	struct advise_warnings warnings;
	bool shared;   /**< calibrations share bits out among heads */
	bool before;   /**< ... and have some keys as in front of RoPE */
	size_t chosen; /**< n: none is within the limit */
};

/** Fills the points with what this device and model can run; what they can't is a warning. */
bool advise_list(struct advise *advise, struct tool_error *error);

/** Makes the calibrations that points take, from `texts`: bits shared out unless it's the quick form. */
bool advise_calibrate(struct advise *advise, const struct text_input *texts, size_t n_texts,
                      struct tool_error *error);

/** Adds candidates that share a codec's bits out by layer, and K against V, and those with the same bits for all, by what each
 *  layer's codes cost alone on a text that isn't judged. codecs [n]: of budget_codecs. */
bool advise_share(struct advise *advise, const struct text_input *text,
                  const struct budget_codec *codecs, size_t n, struct tool_error *error);

/** Gives every candidate one prompt: its bytes, what it does to each head's attention, what keys and values are like; then
 *  sorts the points by bytes. */
bool advise_look(struct advise *advise, struct tool_error *error);

/** The bytes of a sequence of n_tokens under a recipe. What a codec makes of blocks that have their own size is taken to be
 *  what it made of the prompt in `stream`. */
bool advise_bytes_at(const struct session *session, const char *recipe,
                     const struct given_files *given, const struct engine_stream *stream,
                     size_t n_tokens, double *bytes, struct tool_error *error);

/** Judges the recipes of other options than the run's, on the run's texts. results [options->n_recipes], as of eval_judge. */
bool advise_judge(struct eval *eval, const struct eval_options *options,
                  struct eval_result *results, struct tool_error *error);

/** Measures the candidates that the limit asks for, and chooses. */
bool advise_search(struct advise *advise, struct tool_error *error);

/** The curve, the advice, bytes at lengths, warnings and command lines, for people. */
void advise_print(const struct advise *advise);

/** The same as one object of JSON. */
bool advise_write_json(const struct advise *advise, const char *path, struct tool_error *error);

/** Draws the curve. */
bool advise_draw(const struct advise *advise, const char *path, struct tool_error *error);

/** The candidate that has the same bits for all layers as one whose rival isn't 0. */
const struct advise_point *advise_rival(const struct advise *advise,
                                        const struct advise_point *point);

/** Whether the advice needs the calibration file. */
bool advise_needs_calibration(const struct advise *advise);

#endif
