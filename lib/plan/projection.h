/* SPDX-License-Identifier: MIT */
/** \file projection.h \brief How K, V and q are turned before they are stored: kinds as rows, and what kernels must know of them. */
#ifndef CLKV__PROJECTION_H
#define CLKV__PROJECTION_H

#include "base/macros.h"

/** What recipes call a kind (ABI_PROJECT_*). */
const char *clkv__projection_name(int kind);

/** The macros of cl/base/project.clh. */
void clkv__projection_macros(int kind, clkv__macros *m);

#endif
