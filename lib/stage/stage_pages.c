/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_pages.c
 * \brief   Pages of tokens that follow each other, recalled by bounds of their keys.
 *
 * Source: Quest, arXiv 2406.10774. The simple method that the others must beat.
 */
#include "stage/recall_keys.h"

struct pages_options {
	int recall, page, gqa, probe, alloc, every, most;
};

#define AT(field) offsetof(struct pages_options, field)

static const struct clkv__key pages_keys[] = {
	RECALL_KEY(AT(recall)),
	{"page", CLKV__KEY_SET, AT(page), 0, 0, "4|8|16|32|64", 16, "tokens of a page"},
	GQA_KEY(AT(gqa), 0),
	PROBE_KEY(AT(probe)),
	ALLOC_KEY(AT(alloc)),
	EVERY_KEY(AT(every)),
	MOST_KEY(AT(most)),
};

static clkv_status plan_pages(const void *options, const struct clkv__shape *shape,
                              struct clkv__plan *plan, struct clkv__variant *variant,
                              clkv_error *error)
{
	const struct pages_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->recall = (struct clkv__recall){
		.kind = ABI_INDEX_PAGES,
		.budget = o->recall,
		.per = o->page,
		.grouped = o->gqa == 1,
		.probe = o->probe == 1,
		.entropy = o->alloc == 1,
		.every = o->every,
		.most = o->most,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_pages = {
	.name = "pages",
	.brief = "recall of pages by the bounds of their keys",
	.source = "Quest, arXiv 2406.10774",
	.kind = CLKV__INDEX,
	.keys = pages_keys,
	.n_keys = sizeof pages_keys / sizeof pages_keys[0],
	.window = RECALL_WINDOW,
	.sinks = RECALL_SINKS,
	.prompt = true,
	.plan = plan_pages,
};
