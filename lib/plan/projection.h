/* SPDX-License-Identifier: MIT */
/**
 * \file    projection.h
 * \brief   How K, V and q are turned before they are stored: kinds as rows, and matrices that come in a file.
 *
 * A file of rotations (given_file.h) with CLKV__ROTATION_MAGIC and words of enum clkv__rotation_word holds for each layer and
 * KV head a matrix of K, f32 [head_dim_k][head_dim_k], and one of V, f32 [head_dim_v][head_dim_v]. A row x is stored as
 * x R: R [channel of the model][channel as stored].
 */
#ifndef CLKV__PROJECTION_H
#define CLKV__PROJECTION_H

#include "base/macros.h"
#include "plan/plan.h"

#define CLKV__ROTATION_MAGIC                                                                       \
	"\x89"                                                                                         \
	"CLKR\r\n\x1a"
#define CLKV__ROTATION_VERSION 1

/** R R^T may differ so much from the identity, in each entry. Rounding to f32 makes 2^-23; matrices that were computed in f32
 *  stay below a tenth of it. 128 channels that are all off by it change a logit as rounding keys to half does. */
#define CLKV__ROTATION_SLACK (1.0 / 65536)

enum clkv__rotation_word {
	CLKV__ROTATION_WORD_VERSION,
	CLKV__ROTATION_LAYERS,
	CLKV__ROTATION_KV_HEADS,
	CLKV__ROTATION_DIM_K,
	CLKV__ROTATION_DIM_V,
	CLKV__ROTATION_ROPE, /**< clkv_rope_kind of the keys; 0: nobody said */
	CLKV__ROTATION_WORDS
};

/** Files that come with a cache's options. */
enum clkv__given {
	CLKV__GIVEN_NOTHING,
	CLKV__GIVEN_ROTATION,
	CLKV__GIVEN_CALIBRATION,
	CLKV__GIVEN_FACTORS,
	CLKV__GIVENS
};

/** What a file is called, as the option is. */
const char *clkv__given_name(enum clkv__given given);

/** What recipes that ask for it have. */
const char *clkv__given_asked(enum clkv__given given);

/** What recipes call a kind (ABI_PROJECT_*). */
const char *clkv__projection_name(int kind);

/** Says how a variant's rows are turned; kind: not NONE. Errors: INVALID_RECIPE (a stage before has said it). */
clkv_status clkv__projection_set(struct clkv__variant *variant, int kind, const char *stage,
                                 clkv_error *error);

/** The macros of cl/base/project.clh and latents.clh. */
void clkv__projection_macros(const struct clkv__variant *variant, const struct clkv__shape *shape,
                             clkv__macros *m);

/** The file with what the plan's rows are turned by. */
enum clkv__given clkv__projection_given(const struct clkv__plan *plan);

/** Device bytes of what a file gives, matrices, steps or factors, of all of the shape's layers: files with another `skip` are read by
 *  them too. */
uint64_t clkv__projection_bytes(const struct clkv__plan *plan, const struct clkv__shape *shape);

/** Bytes of a file for this shape. */
uint64_t clkv__rotation_bytes(const struct clkv__shape *shape);

/** Whether data holds matrices for this shape and this model, undamaged and orthogonal (CLKV__ROTATION_SLACK).
 *  Errors: CORRUPT (what is damaged), INVALID_ARGUMENT (there is none; what it is for, and what is asked for). */
clkv_status clkv__rotation_check(const struct clkv__shape *shape, const void *data, size_t size,
                                 uint64_t model, clkv_error *error);

/** From a checked file, of all of the model's layers, to the device's order: those of the shape, clkv__projection_bytes. */
void clkv__rotation_unpack(const struct clkv__shape *shape, const void *data, float *projections);

/** A file of matrices, clkv__rotation_bytes of it: k [layers][streams][dk][dk], v [layers][streams][dv][dv]. */
void clkv__rotation_pack(const struct clkv__shape *shape, const float *k, const float *v,
                         uint64_t model, void *data);

#endif
