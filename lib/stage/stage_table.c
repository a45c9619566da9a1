/* SPDX-License-Identifier: MIT */
/** \file stage_table.c \brief All stages of stage_list.h. */
#include "stage/stage.h"

#define ROW(name) &clkv__stage_##name,

const struct clkv__stage *const clkv__stages[] = {CLKV__STAGES(ROW)};
const size_t clkv__n_stages = sizeof clkv__stages / sizeof clkv__stages[0];
