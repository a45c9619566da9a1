/* SPDX-License-Identifier: MIT */
/** \file stage_table.c \brief All stages; a new one is a line here. */
#include "stage/stage.h"

const struct clkv__stage *const clkv__stages[] = {
	&clkv__stage_f16,   &clkv__stage_kivi,  &clkv__stage_q,         &clkv__stage_kvcomp,
	&clkv__stage_think, &clkv__stage_spark, &clkv__stage_clusterkv, &clkv__stage_a2ats,
	&clkv__stage_pages, &clkv__stage_topk,  &clkv__stage_place,
};
const size_t clkv__n_stages = sizeof clkv__stages / sizeof clkv__stages[0];
