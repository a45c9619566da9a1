/* SPDX-License-Identifier: MIT */
/** \file factors_save.h \brief Writes trained factors, or dictionaries, of a model to a file. */
#ifndef FACTORS_SAVE_H
#define FACTORS_SAVE_H

#include "model.h"

#include <clkv.h>

/** doing: what an error says was under way. */
bool factors_save(const struct model *model, const clkv_factors *factors, const char *path,
                  const char *doing, struct tool_error *error);

#endif
