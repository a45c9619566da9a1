/* SPDX-License-Identifier: MIT */
/**
 * \file    train_factors.h
 * \brief   Factors of K and V of a model, from texts.
 */
#ifndef TRAIN_FACTORS_H
#define TRAIN_FACTORS_H

#include "text_rows.h"

/** Runs the texts through the model and writes a file of factors of full rank, for caches with lowrank or cskv. */
bool train_factors(struct session *session, const struct text_input *texts, size_t n_texts,
                   const char *path, struct tool_error *error);

#endif
