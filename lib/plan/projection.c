/* SPDX-License-Identifier: MIT */
/** \file projection.c \brief The rows of projections; a new kind is a row here. */
#include "plan/projection.h"

#include "../cl/base/abi.clh"

static const char *const names[] = {
	[ABI_PROJECT_NONE] = "none",
	[ABI_PROJECT_HADAMARD] = "hadamard",
};

const char *clkv__projection_name(int kind)
{
	return names[kind];
}

void clkv__projection_macros(int kind, clkv__macros *m)
{
	clkv__macros_int(m, "PROJECT_K", kind);
	clkv__macros_int(m, "PROJECT_V", kind);
}
