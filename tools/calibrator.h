/* SPDX-License-Identifier: MIT */
/**
 * \file    calibrator.h
 * \brief   The insides of struct calibrator, for the files that make it.
 *
 * train_calibration.c works out heads' numbers of what it has gathered, calibrator_rows.c runs the texts and reads their rows,
 * calibrator_share.c shares bits out among heads, calibrator_file.c makes files.
 */
#ifndef CALIBRATOR_H
#define CALIBRATOR_H

#include "calibration_codes.h"
#include "calibration_share.h"
#include "train_calibration.h"

enum { CALIBRATION_QUERIES = 512 }; /* that are looked at, of all texts */

/* A text under way. */
struct text {
	struct text_input in;
	struct engine_stream stream;
	size_t first; /* its first token among all texts' */
	size_t coded; /* tokens behind the sinks that samples have, whole runs */
	size_t code;  /* the first of them among all texts' */
	size_t n_queries, positions[CALIBRATION_QUERIES];
	float *queries; /* [layers][n_queries][q_heads][dim] */
};

/* What texts say of a head. */
struct head_sums {
	struct head_stats stats;
	double *key_mean, *plain_mean, *value_mean, *key_reach; /* [dim] */
	double value_reach, traces;
};

/* What errors of units cost and what their codes take, at steps for all deltas of files. Unit 2 n: K of head n among all layers', 2 n + 1: V. */
struct cost_curves {
	struct share_point *points; /* [units][levels]; NULL: all heads have one step */
	double *factors;            /* [levels] on the least delta, rising */
	size_t levels;
	float least; /* delta */
};

struct calibrator {
	struct session *session;
	struct text *texts;
	size_t n_texts, tokens, samples; /* tokens: of all texts */
	size_t layers, heads, group, dim;
	float *norms; /* [layers][tokens] */
	const struct text *running;
	struct kept_rows kept;
	float *keys, *values; /* [heads][tokens][dim] of a layer */
	float *plain;         /* the keys as they are coded */
	double *frequencies;  /* of RoPE */
	size_t turned; /* channels that are coded as in front of RoPE, neighbours, from the first on */
	float *gram;   /* [heads * group][dim][dim] of a layer */
	float *scores, *sorted, *scratch; /* of a head */
	double *key_costs, *value_costs;  /* [tokens], of a head */
	float *fit_keys; /* [n_fit][dim], of a head: of tokens that all queries may find sealed */
	double *fit_costs, *fit_scratch; /* fit_costs: [layers * heads][n_fit] */
	size_t n_fit;
	double *middles; /* [layers] of the norms */
	double *shares;  /* [layers * heads][2] factors on the steps of K and of V */
	struct cost_curves costs;
	struct head_sums *sums; /* [layers * heads], whose numbers lie in sum_floats */
	double *sum_floats;
	double *errors; /* [TOKEN_CLASSES][dim], of a head */
	float *floats;  /* of what is written */
	signed char *k_sample, *v_sample;
};

static inline size_t calibrator_query_row(const struct calibrator *t)
{
	return t->heads * t->group * t->dim;
}

/* Rows of the layer that was read last. */
static inline float *calibrator_key(const struct calibrator *t, size_t head, size_t token)
{
	return t->keys + (head * t->tokens + token) * t->dim;
}

static inline float *calibrator_value(const struct calibrator *t, size_t head, size_t token)
{
	return t->values + (head * t->tokens + token) * t->dim;
}

/* A key as codes have it. */
static inline float *calibrator_plain(const struct calibrator *t, size_t head, size_t token)
{
	return t->plain + (head * t->tokens + token) * t->dim;
}

/* Tokens of the longest text. */
size_t calibrator_longest(const struct calibrator *t);

/* Where a text's codes of a head go; number: among all layers' heads. */
static inline struct head_codes calibrator_codes(const struct calibrator *t, size_t number,
                                                 const struct text *text)
{
	const size_t at = number * t->dim * t->samples + text->code;
	return (struct head_codes){t->k_sample + at, t->v_sample + at, t->samples};
}

/* The rows of a text and head of the layer that was read last; grams and costs are room that t has. */
struct head_rows calibrator_rows(const struct calibrator *t, size_t layer, size_t head,
                                 const struct text *text);

/* Runs a text, which t->texts has room for; keeps its rows, some of its queries, and norms. */
bool calibrator_run(struct calibrator *t, struct text *text, struct tool_error *error);

/* Reads a layer's rows of all texts. */
bool calibrator_read(struct calibrator *t, size_t layer, struct tool_error *error);

/* Steps, classes and codes of a head of the layer that was read last; number: among all layers' heads. */
struct head_calibration calibrator_head(const struct calibrator *t, size_t layer, size_t head,
                                        float delta);

/* Gives all heads one step, and forgets costs. */
void calibrator_close_costs(struct calibrator *t);

/* Sets the shares for files of this delta, or leaves them where bits aren't shared out. */
bool calibrator_set_shares(struct calibrator *t, float delta, struct tool_error *error);

/* Where the numbers of a head stand, arrays of all heads of each kind behind each other; head: among all layers'. */
struct head_calibration calibrator_arrays(const struct calibrator *t, size_t head);

/* Bits that a channel's codes take: their entropy. channel: among all heads' channels. */
struct channel_bits {
	double k, v;
};

struct channel_bits calibrator_bits(const struct calibrator *t, size_t channel);

/* What all heads' codes take. */
struct calibration_bits calibrator_all_bits(const struct calibrator *t);

/* Makes a file of all heads' numbers as they stand. */
bool calibrator_write(const struct calibrator *t, struct given_file *file,
                      struct tool_error *error);

#endif
