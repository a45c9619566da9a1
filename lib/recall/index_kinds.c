/* SPDX-License-Identifier: MIT */
/** \file index_kinds.c \brief The rows of indexes; a new kind is a row here. */
#include "recall/index_kinds.h"

#include "recall/recall.h"

static uint32_t each_token(const struct clkv__recall *r, uint32_t n)
{
	(void)r;
	return n;
}

static uint32_t pages(const struct clkv__recall *r, uint32_t n)
{
	uint32_t per = (uint32_t)r->per;
	return (n + per - 1) / per;
}

static uint32_t clusters(const struct clkv__recall *r, uint32_t n)
{
	uint32_t n_clusters = n / (uint32_t)r->per;
	return n_clusters > 0 ? n_clusters : 1;
}

static uint32_t codes(const struct clkv__recall *r, uint32_t n)
{
	(void)n;
	return (uint32_t)r->codes;
}

static void page_macros(const struct clkv__recall *r, clkv__macros *m)
{
	clkv__macros_int(m, "PAGE", r->per);
}

static void metric_macros(const struct clkv__recall *r, clkv__macros *m)
{
	clkv__macros_int(m, "METRIC", r->metric);
}

static const struct clkv__index_kind kinds[] = {
	[ABI_INDEX_NONE] = {.units = each_token},
	[ABI_INDEX_TOKENS] = {.units = each_token, .by_keys = true},
	[ABI_INDEX_PAGES] =
		{
			.build = {"index_pages.cl", "index_pages"},
			.units = pages,
			.vectors = 2,
			.macros = page_macros,
		},
	[ABI_INDEX_CLUSTERS] =
		{
			.build = {"index_clusters.cl", "index_clusters"},
			.units = clusters,
			.vectors = 1,
			.members = true,
			.macros = metric_macros,
		},
	[ABI_INDEX_CODES] =
		{
			.build = {"index_clusters.cl", "index_clusters"},
			.units = codes,
			.members = true,
			.book = true,
			.macros = metric_macros,
		},
};

const struct clkv__index_kind *clkv__index_kind_of(const struct clkv__recall *r)
{
	return &kinds[r->kind];
}
