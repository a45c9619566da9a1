/* SPDX-License-Identifier: MIT */
/**
 * \file    train_groups.h
 * \brief   Factors of groups of heads, of keys in front of RoPE, from a model's weights or from texts.
 */
#ifndef TRAIN_GROUPS_H
#define TRAIN_GROUPS_H

#include "text_rows.h"

/** LoRC: writes factors of full rank of all heads of each layer, of the weights alone, and puts the recipe of its ranks, between these
 *  parts of the head size, in `recipe` [size]. Errors: a matrix that is singular, by name. */
bool train_lorc(const struct model *model, float most, float least, const char *path, char *recipe,
                size_t size, struct tool_error *error);

/** ReCalKV: factors of full rank from texts, of keys in groups of `heads` similar heads, or of all if there are fewer, and of all
 *  values. weighed: errors count by what they do to logits and to the layer's output (train_factors.h), else all alike. Errors: heads
 *  that don't divide the model's. */
bool train_recalkv(struct session *session, const struct text_input *texts, size_t n_texts,
                   size_t heads, bool weighed, const char *path, struct tool_error *error);

#endif
