/* SPDX-License-Identifier: MIT */
/** \file plan_select.h \brief What a recipe that selects tokens must hold to, once all stages have spoken. */
#ifndef CLKV__PLAN_SELECT_H
#define CLKV__PLAN_SELECT_H

#include "plan/plan.h"

/** Errors: INVALID_RECIPE names the stage that selects, and the key or the other stage that doesn't go with it. */
clkv_status clkv__plan_select(const struct clkv__plan *plan, clkv_error *error);

#endif
