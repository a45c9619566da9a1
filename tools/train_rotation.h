/* SPDX-License-Identifier: MIT */
/**
 * \file    train_rotation.h
 * \brief   Rotations of K and V from what a text's queries ask for.
 */
#ifndef TRAIN_ROTATION_H
#define TRAIN_ROTATION_H

#include "session.h"

/** Runs n tokens through the model and writes a rotation file, for caches with rot=file. */
bool train_rotation(struct session *session, const int32_t *ids, size_t n, const char *path,
                    struct tool_error *error);

/** R = U H P [dim][dim] of a metric [dim][dim], symmetric, which becomes its eigenvectors. */
bool rotation_of(size_t dim, double *metric, float *r, struct tool_error *error);

#endif
