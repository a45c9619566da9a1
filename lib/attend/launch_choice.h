/* SPDX-License-Identifier: MIT */
/** \file launch_choice.h \brief The launches of each kind of choice, behind those of candidates; quotas are on the device. */
#ifndef CLKV__LAUNCH_CHOICE_H
#define CLKV__LAUNCH_CHOICE_H

#include "attend/launch_select.h"
#include "attend/span.h"

/** Those with the largest scores, by quotas. newest: the last candidate is kept in any case. */
clkv_status clkv__launch_best(clkv_cache *cache, struct clkv__chain *chain, bool newest,
                              clkv_error *error);

/** The same by rings; quota: of the sequence. */
clkv_status clkv__launch_cascade(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__leaving *leaving,
                                 const struct clkv__quota *quota, clkv_error *error);

/** Cosines of neighbours in `work`, and which tokens stay alone in `keep`; then the choice by runs. In place of quotas
 *  there are bounds (cl/select/runs.clh). */
clkv_status clkv__launch_alone(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__leaving *leaving, clkv_error *error);
clkv_status clkv__launch_runs(clkv_cache *cache, struct clkv__chain *chain,
                              const struct clkv__leaving *leaving, clkv_error *error);

/** What joins runs in the half blocks that a struct clkv__gathering says, if the choice has a kernel for it. */
clkv_status clkv__launch_join(clkv_cache *cache, struct clkv__chain *chain, const void *gathering,
                              const struct clkv__span *span, clkv_error *error);

#endif
