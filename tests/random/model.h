/* SPDX-License-Identifier: MIT */
/** \file model.h \brief What one sequence must hold, followed through everything that can happen to it. */
#ifndef RANDOM_MODEL_H
#define RANDOM_MODEL_H

#include "world.h"

/** Adds the model of a sequence that is empty. */
struct model *model_add(struct world *w, clkv_seq *seq);
/** Adds that of a fork, or of what was loaded: the rows are from's. */
struct model *model_add_copy(struct world *w, const struct model *from, clkv_seq *seq);
/** Destroys the sequence and forgets its model; the last one takes its number. */
void model_drop(struct world *w, size_t i);

/** Each model's sequence became what that of from[i] was. */
void model_reorder(struct world *w, const size_t *from);

/** The sequence was cut to n tokens. */
void model_cut(struct world *w, struct model *m, size_t n);

/** Tokens from .. to - 1 went, and those behind were moved in passes of so many rows. */
void model_remove(struct world *w, struct model *m, size_t from, size_t to, size_t most);

/** n rows (0: none, and rows isn't looked at) were kept of a step, k and v [layers][n][kv_heads][dim] as they are stored: what
 *  they sealed is compared with the rule and with what was given, what was there before must be there still. */
void model_commit(struct world *w, struct model *m, size_t n, clkv_phase phase,
                  double *rows[WORLD_LAYERS][2]);

/** The sequence was loaded: same if its bits are those of `from`, else its rows were decoded and sealed anew. */
void model_load(struct world *w, struct model *m, bool other);

/** The stream that stands for a model's sequence, until the next call. */
struct stream *model_stream(struct world *w, const struct model *m);

/** Everything reads as it did: for sequences that nothing was done to, or that a failure must have left alone. */
void model_check(struct world *w, struct model *m);
void model_check_info(struct world *w, struct model *m);

/** Tokens from .. from + n - 1 of one layer were sealed: each value lies within its codec's bound. */
void model_check_sealed(struct world *w, const struct model *m, int layer, size_t from, size_t n);

clkv_seq_info model_info(const struct model *m);
/** The library's own sequence of a recipe's layers, in its list of them: what no public function tells apart. */
clkv_seq *model_band(const struct model *m, size_t band);
/** Sinks that a recipe keeps of the sequence. */
size_t model_sinks(const struct facts *f, const struct model *m);
/** Tokens that the library says are sealed in a recipe's layers; where they are selected, that have left the window. */
size_t model_sealed(const struct world *w, const struct model *m, size_t band);

/** The Walsh-Hadamard transform of rows [n][dim], each in blocks of the largest power of two that divides dim. */
void model_turn(size_t n, size_t dim, double *rows);
/** What rounding may make of a turned row [dim]: any of its channels may become the next half. */
double model_turn_slack(size_t dim, const double *row);

/** Doubles, zeros; fails the run if there is no memory. */
double *model_new(size_t n);

#endif
