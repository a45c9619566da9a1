/* SPDX-License-Identifier: MIT */
/** \file stage_f16.c \brief No compression: every token stays in half. */
#include "stage/stage.h"

static clkv_status plan_f16(const void *options, const struct clkv__shape *shape,
                            struct clkv__plan *plan, struct clkv__variant *variant,
                            clkv_error *error)
{
	(void)options, (void)shape, (void)plan, (void)error;
	variant->codec = NULL; /* nothing to seal into */
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_f16 = {
	.name = "f16",
	.brief = "no compression: the baseline, and the proof that the path is exact",
	.source = "-",
	.kind = CLKV__ENCODE,
	.plan = plan_f16,
};
