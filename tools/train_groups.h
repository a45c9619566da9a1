/* SPDX-License-Identifier: MIT */
/**
 * \file    train_groups.h
 * \brief   Factors of groups of heads and of layers, of keys in front of RoPE, from a model's weights or from texts.
 */
#ifndef TRAIN_GROUPS_H
#define TRAIN_GROUPS_H

#include "text_rows.h"

/** LoRC: writes factors of full rank of all heads of each layer, of the weights alone, and puts the recipe of its ranks,
 *  between these parts of the head size, in `recipe` [size]. Errors: a matrix that is singular, by name. */
bool train_lorc(const struct model *model, float most, float least, const char *path, char *recipe,
                size_t size, struct tool_error *error);

/** ReCalKV: factors of full rank from texts, of keys in groups of `heads` similar heads, or of all if there are fewer, and of all
 *  values. weighed: errors count by what they do to logits and to the layer's output (train_factors.h), else all alike. Errors: heads
 *  that don't divide the model's. */
bool train_recalkv(struct session *session, const struct text_input *texts, size_t n_texts,
                   size_t heads, bool weighed, const char *path, struct tool_error *error);

/** CLLA: factors from texts of `share` layers that follow each other, of latents of the first one's rows; joint: of all their rows.
 *  explained: of the other layers' squares the part that all latents of the first one's rows, and half of them, stand for, of K
 *  and of V; jointly 0. Errors: a share that doesn't divide the model's layers. */
bool train_clla(struct session *session, const struct text_input *texts, size_t n_texts,
                size_t share, bool joint, const char *path, double explained[2][2],
                struct tool_error *error);

#endif
