/* SPDX-License-Identifier: MIT */
/** \file stage_table.c \brief All stages; a new one is a line here. */
#include "stage/stage.h"

const struct clkv__stage *const clkv__stages[] = {
	&clkv__stage_f16,       &clkv__stage_kivi,     &clkv__stage_q,         &clkv__stage_kvcomp,
	&clkv__stage_think,     &clkv__stage_spark,    &clkv__stage_clusterkv, &clkv__stage_a2ats,
	&clkv__stage_pages,     &clkv__stage_topk,     &clkv__stage_place,     &clkv__stage_zeromerge,
	&clkv__stage_streaming, &clkv__stage_h2o,      &clkv__stage_snapkv,    &clkv__stage_l2norm,
	&clkv__stage_corm,      &clkv__stage_morphkv,  &clkv__stage_cascade,   &clkv__stage_prefixkv,
	&clkv__stage_dbudgetkv, &clkv__stage_kvmerger,
};
const size_t clkv__n_stages = sizeof clkv__stages / sizeof clkv__stages[0];
