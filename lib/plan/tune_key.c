/* SPDX-License-Identifier: MIT */
/** \file tune_key.c \brief Writes the key of a cache's tuning. */
#include "plan/tune_key.h"

#include <stdio.h>
#include <string.h>

void clkv__tune_key(const struct clkv__shape *shape, const struct clkv__plan *plan,
                    char key[CLKV__TUNE_KEY])
{
	char codec[64] = "half", pruned[32];
	const struct clkv__variant *v = &plan->sealing;
	if (!v->dense) {
		int n = snprintf(codec, sizeof codec, "%s:", v->codec->name);
		v->codec->label(&v->spec, codec + n, sizeof codec - (size_t)n);
		clkv__prune_label(&v->prune, pruned, sizeof pruned);
		strncat(codec, pruned, sizeof codec - strlen(codec) - 1);
		if (clkv__plan_latents(plan)) {
			snprintf(pruned, sizeof pruned, "-r%dx%d", v->latents.k, v->latents.v);
			strncat(codec, pruned, sizeof codec - strlen(codec) - 1);
			if (!clkv__groups_own(&v->groups)) {
				snprintf(pruned, sizeof pruned, "-h%dx%d%s", v->groups.k, v->groups.v,
				         v->groups.before ? "b" : "");
				strncat(codec, pruned, sizeof codec - strlen(codec) - 1);
			}
			if (clkv__groups_layers(&v->groups) > 1) {
				snprintf(pruned, sizeof pruned, "-l%d", v->groups.share);
				strncat(codec, pruned, sizeof codec - strlen(codec) - 1);
			}
		}
	}
	snprintf(key, CLKV__TUNE_KEY, "%s/bt%d/dk%d/dv%d/g%d", codec, plan->general.block, shape->dk,
	         shape->dv, shape->g);
}

bool clkv__tune_key_is_valid(const char *key)
{
	size_t n = strlen(key);
	return n > 0 && n < CLKV__TUNE_KEY &&
	       strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:,/._-") == n;
}
