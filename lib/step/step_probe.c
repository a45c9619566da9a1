/* SPDX-License-Identifier: MIT */
/** \file step_probe.c \brief Rows of queries over sequences as they are. */
#include "step/step_probe.h"

#include "base/error.h"
#include "store/cache.h"

clkv_status clkv__probe_check(const clkv_step_item *items, size_t n_items, bool *probes,
                              clkv_error *error)
{
	*probes = items[0].phase == CLKV_PROBE;
	for (size_t i = 0; i < n_items; i++) {
		if ((items[i].phase == CLKV_PROBE) != *probes)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
			          "item %zu: phase is %d; allowed: CLKV_PROBE of all items of a step, or of "
			          "none",
			          i, (int)items[i].phase);
		if (*probes && items[i].seq->length == 0)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
			          "item %zu: its sequence is empty; allowed: CLKV_PROBE of one with tokens", i);
	}
	return CLKV_OK;
}

void clkv__probe_take(struct clkv_step *step, const clkv_step_item *items, const size_t *first_rows,
                      size_t n_items)
{
	step->n_items = 0;
	for (size_t i = 0; i < n_items; i++) {
		uint32_t packed = (uint32_t)step->n_items;
		for (size_t r = 0; r < items[i].n_tokens; r++, step->n_items++)
			step->items[step->n_items] = (struct clkv__step_item){
				.seq = clkv__seq_in(items[i].seq, step->cache),
				.length = items[i].seq->length - 1,
				.n_new = 1,
				.row = (uint32_t)step->n_items,
				.gap = first_rows ? (uint32_t)first_rows[i] - packed : 0,
				.phase = CLKV_PROBE,
			};
	}
	step->pass.n_rows = (uint32_t)step->n_items;
	for (int l = 0; l < step->cache->shape.layers; l++)
		step->layers[l] = CLKV__LAYER_APPENDED;
}

clkv_status clkv__probe_commit(struct clkv_step *step, const size_t *n_kept, clkv_error *error)
{
	if (n_kept)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "n_kept is given, but the rows of CLKV_PROBE add nothing; allowed: NULL");
	step->cache->steps++;
	clkv__step_close(step);
	return CLKV_OK;
}
