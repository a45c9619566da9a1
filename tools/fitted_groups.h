/* SPDX-License-Identifier: MIT */
/** \file fitted_groups.h \brief Room for the factors of groups of a model's heads, while they are made. */
#ifndef FITTED_GROUPS_H
#define FITTED_GROUPS_H

#include "model.h"

#include <clkv.h>

/** Factors of full rank: of K of each layer's groups of heads_k heads, of V of all heads. */
struct fitted_groups {
	size_t layers, heads, dim, heads_k;
	int *order; /**< [layers][heads], of K */
	float *k_down, *k_up, *v_down, *v_up;
};

/** heads_k divides the model's heads. */
bool fitted_groups_open(const struct model *model, size_t heads_k, struct fitted_groups *f,
                        struct tool_error *error);
void fitted_groups_close(struct fitted_groups *f);

/** Where the factors of a group of K of a layer, of V of a layer begin. */
size_t fitted_groups_k(const struct fitted_groups *f, size_t layer, size_t group);
size_t fitted_groups_v(const struct fitted_groups *f, size_t layer);

bool fitted_groups_save(const struct fitted_groups *f, const struct model *model, const char *path,
                        struct tool_error *error);

#endif
