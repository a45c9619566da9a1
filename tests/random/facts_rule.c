/* SPDX-License-Identifier: MIT */
/** \file facts_rule.c \brief From keys of stages that select to the reference's rule. */
#include "facts_rule.h"

#include <string.h>

static enum ref_group group_of(const char *stage)
{
	if (facts_is(stage, "gqa", "mean"))
		return REF_GROUP_MEAN;
	return facts_is(stage, "gqa", "max") ? REF_GROUP_MAX : REF_GROUP_SUM;
}

static bool read_streaming(const char *stage, struct ref_select *r)
{
	(void)stage;
	r->score = REF_PLACE;
	r->tail = 1.0;
	return true;
}

static bool read_h2o(const char *stage, struct ref_select *r)
{
	r->score = REF_MASS;
	r->tail = facts_number(stage, "recent", 0);
	return true;
}

static bool read_l2norm(const char *stage, struct ref_select *r)
{
	(void)stage;
	r->score = REF_NORM;
	return true;
}

static bool read_snapkv(const char *stage, struct ref_select *r)
{
	r->score = REF_SEEN;
	r->rows = facts_is(stage, "agg", "max") ? REF_ROWS_MAX : REF_ROWS_SUM;
	r->pool = (size_t)facts_number(stage, "pool", 1);
	r->pool_max = facts_is(stage, "pooling", "max");
	return true;
}

/* Its window is made of the rows that judge. */
static bool read_morphkv(const char *stage, struct ref_select *r)
{
	r->score = REF_SEEN;
	r->old = true;
	r->rows = facts_is(stage, "agg", "max") ? REF_ROWS_MAX : REF_ROWS_SUM;
	return r->window == r->observe;
}

static bool read_expected(const char *stage, struct ref_select *r)
{
	static const struct ref_rope rope = {.dims = 16, .base = 10000.0, .attn_factor = 1.0};
	r->score = REF_EXPECTED;
	r->rope = &rope; /* geometry.c */
	r->ahead = (size_t)facts_number(stage, "ahead", 512);
	r->spread = facts_number(stage, "spread", 1) == 1;
	r->lengths = facts_number(stage, "lengths", 1) == 1;
	return true;
}

static bool read_corm(const char *stage, struct ref_select *r)
{
	(void)stage;
	r->score = REF_SEEN;
	r->rows = REF_ROWS_ABOVE;
	r->above = true;
	return true;
}

static bool read_zeromerge(const char *stage, struct ref_select *r)
{
	r->score = REF_MASS;
	r->tail = facts_number(stage, "tail", 0);
	r->residual = facts_number(stage, "residual", 0);
	r->alpha = facts_number(stage, "alpha", 1);
	r->init = facts_is(stage, "init", "contig") ? REF_CONTIG : REF_FIRST;
	r->metric = facts_is(stage, "metric", "dot")  ? REF_NEAR_DOT
	            : facts_is(stage, "metric", "l2") ? REF_NEAR_L2
	                                              : REF_NEAR_COSINE;
	r->any = facts_is(stage, "evict", "any");
	r->score_sum = facts_is(stage, "score_merge", "sum");
	return r->observe == 0 && facts_number(stage, "peak", 0) == 0 &&
	       facts_is(stage, "mean", "count") && facts_is(stage, "mass", "sum") &&
	       facts_is(stage, "alloc", "uniform") &&
	       (r->residual == 0 || !facts_is(stage, "init", "best"));
}

static const struct {
	const char *name;
	bool (*read)(const char *stage, struct ref_select *r);
} rules[] = {
	{"streaming", read_streaming}, {"h2o", read_h2o},           {"l2norm", read_l2norm},
	{"snapkv", read_snapkv},       {"corm", read_corm},         {"morphkv", read_morphkv},
	{"zeromerge", read_zeromerge}, {"expected", read_expected},
};

/* One stage, and no share of a prompt, which may have a floor. */
static bool is_plain(const char *text, const struct facts *f)
{
	return f->selects && f->single && !strchr(text, '|') &&
	       (f->budget > 0 || facts_stage(text, "corm"));
}

void facts_read_rule(const char *text, struct facts *f)
{
	struct ref_select *r = &f->rule.rule;
	if (!is_plain(text, f))
		return;
	*r = (struct ref_select){.budget = (double)f->budget, .window = f->window, .sinks = f->sinks};
	r->block = f->block;
	r->chunk = !f->at_end;
	r->observe = (size_t)facts_number(text, "obs", 0);
	r->lambda = facts_number(text, "lambda", 1);
	r->group = group_of(text);
	r->any = true;
	f->rule.skip = (int)f->skip;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (facts_stage(text, rules[i].name))
			f->ruled = rules[i].read(text, r);
}
