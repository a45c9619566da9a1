/* SPDX-License-Identifier: MIT */
/**
 * \file    train_dictionary.h
 * \brief   Dictionaries of K and V of a model, from texts.
 */
#ifndef TRAIN_DICTIONARY_H
#define TRAIN_DICTIONARY_H

#include "dictionary_prompt.h"
#include "text_rows.h"

/** What dictionaries are made of. */
struct dictionary_sources {
	const char *recipe; /**< with csr: as many atoms, pairs and chunks */
	const struct text_input *texts;
	size_t n_texts; /**< the prompt, if there is one, is the last */
	struct prompt_atoms
		prompt; /**< of the recipe's atoms, those of the prompt's own rows; others are fitted to the texts before it */
};

/** Runs the texts through the model and writes a file of factors that are dictionaries, for caches with the recipe's csr. A recipe of
 *  fewer atoms takes the first ones, and so fewer of the prompt. */
bool train_dictionary(struct session *session, const struct dictionary_sources *from,
                      const char *path, struct tool_error *error);

#endif
