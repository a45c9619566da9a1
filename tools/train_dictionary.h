/* SPDX-License-Identifier: MIT */
/**
 * \file    train_dictionary.h
 * \brief   Dictionaries of K and V of a model, from texts.
 */
#ifndef TRAIN_DICTIONARY_H
#define TRAIN_DICTIONARY_H

#include "text_rows.h"

/** Runs the texts through the model and writes a file of factors that are dictionaries, for caches with the recipe's csr: as many
 *  atoms, pairs and chunks. A recipe of fewer atoms takes the first ones. */
bool train_dictionary(struct session *session, const char *recipe, const struct text_input *texts,
                      size_t n_texts, const char *path, struct tool_error *error);

#endif
