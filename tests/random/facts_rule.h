/* SPDX-License-Identifier: MIT */
/** \file facts_rule.h \brief The rule by which a recipe selects tokens, as far as the reference has it. */
#ifndef RANDOM_FACTS_RULE_H
#define RANDOM_FACTS_RULE_H

#include "facts.h"

/** Sets ruled, and the rule, if the recipe is one stage whose rule the reference has. The rest of f is read already. */
void facts_read_rule(const char *text, struct facts *f);

/** The text of a stage, or NULL; the value of a key in it, or NULL; as a number; whether it begins with a word. */
const char *facts_stage(const char *text, const char *name);
const char *facts_value(const char *stage, const char *key);
double facts_number(const char *stage, const char *key, double otherwise);
bool facts_is(const char *stage, const char *key, const char *word);

#endif
