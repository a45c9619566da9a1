/* SPDX-License-Identifier: MIT */
/**
 * \file    range.c
 * \brief   Tokens of a sequence as a file of their own: where they may begin, and clkv_seq_save_range.
 *
 * Sealed blocks aren't cut at their beginning: a range begins where a block does, in all bands.
 */
#include "base/struct_io.h"
#include "snapshot/snapshot.h"

/* The last place at or before `at` where a range may begin in one band. */
static uint32_t band_start(const clkv_seq *seq, uint32_t at)
{
	const clkv_cache *cache = seq->cache;
	const uint32_t *row = &cache->tables.mirror[clkv__seq_row(seq, cache->shape.layers - 1, 0)];
	const uint32_t sinks = (uint32_t)cache->plan.general.sinks;
	uint32_t start = sinks;
	if (cache->plan.sealing.dense)
		return at;
	if (at < sinks)
		return 0;
	for (uint32_t i = 0; i < row[ABI_ROW_SEALED]; i++) {
		const uint32_t *entry = row + ABI_ROW_ENTRY(i);
		if (entry[ABI_ENTRY_POS] + entry[ABI_ENTRY_COUNT] > at)
			break;
		start = entry[ABI_ENTRY_POS] + entry[ABI_ENTRY_COUNT];
	}
	return start;
}

size_t clkv_seq_range_start(const clkv_seq *seq, size_t at)
{
	if (!seq)
		return 0;
	uint32_t start = at < seq->length ? (uint32_t)at : seq->length;
	for (const clkv_seq *s = seq; s;) {
		uint32_t before = band_start(s, start);
		/* an earlier place must be one of the bands before too */
		s = before < start ? seq : s->next_band;
		start = before;
	}
	return start;
}

static size_t common_divisor(size_t a, size_t b)
{
	while (b > 0) {
		size_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

clkv_status clkv_seq_get_ranges(const clkv_seq *seq, clkv_ranges *ranges, clkv_error *error)
{
	clkv_ranges r = {.every = 1};
	bool any = false;
	clkv__error_clear(error);
	if (!seq || !ranges)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", seq ? "ranges" : "seq");
	for (const clkv_cache *c = seq->cache; c; c = c->next_band) {
		size_t sinks = (size_t)c->plan.general.sinks, block = (size_t)c->plan.general.block;
		CLKV_TRY(clkv__snapshot_check(&c->plan, error));
		if (c->plan.sealing.dense)
			continue;
		if (any && sinks != r.first)
			CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
			          "layers= has recipes with sinks=%zu and sinks=%zu: their blocks begin at no "
			          "common place; allowed: the same sinks for all",
			          r.first, sinks);
		r.first = sinks;
		r.every = r.every / common_divisor(r.every, block) * block;
		any = true;
	}
	return clkv__struct_write(ranges, &r, sizeof r, "clkv_ranges", error);
}

static clkv_status check_range(const clkv_seq *seq, size_t from, size_t to, clkv_error *error)
{
	if (from > to || (from == to && from > 0) || to > seq->length)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "tokens %zu to %zu; allowed: from below to, to at most %u", from, to,
		          seq->length);
	size_t start = clkv_seq_range_start(seq, from);
	if (start != from)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"from is %zu, where no range may begin; allowed: clkv_seq_range_start, %zu is the "
			"last before it",
			from, start);
	return CLKV_OK;
}

clkv_status clkv_seq_save_range(clkv_seq *seq, size_t from, size_t to, cl_command_queue queue,
                                clkv_write_fn write, void *opaque, clkv_error *error)
{
	struct clkv__snapshot_out out = CLKV__SNAPSHOT_STREAM(write, opaque);
	clkv__error_clear(error);
	if (!seq || !write)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", seq ? "write" : "seq");
	CLKV_TRY(clkv__snapshot_check_cache(seq->cache, error));
	CLKV_TRY(check_range(seq, from, to, error));
	const struct clkv__range range = {(uint32_t)from, (uint32_t)to};
	return clkv__snapshot_write_range(seq, &range, queue, &out, error);
}
