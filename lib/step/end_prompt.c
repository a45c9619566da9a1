/* SPDX-License-Identifier: MIT */
/** \file end_prompt.c \brief The end of a prompt whose rows have all been committed. */
#include "base/error.h"
#include "step/step.h"
#include "store/cache.h"

#include <string.h>

/* As if the rows of one band had come with the prompt's end. */
static void take_as_appended(struct clkv_step *step, const clkv_seq *seq)
{
	size_t layers = (size_t)step->cache->shape.layers;
	/* where all rows weigh tokens, each commit has seen to it that they did */
	bool attended = seq->attended == seq->length || clkv__weighs(&step->cache->plan.select);
	memset(step->layers, CLKV__LAYER_APPENDED, layers);
	memset(step->attended, attended, layers);
}

clkv_status clkv_seq_end_prompt(clkv_seq *seq, cl_command_queue queue, clkv_error *error)
{
	clkv__error_clear(error);
	if (!seq)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "seq is NULL");
	CLKV_TRY(clkv__step_begin_end(seq, queue, error));
	struct clkv_step *step = seq->cache->step;
	for (struct clkv_step *s = step; s; s = s->next_band, seq = seq->next_band)
		take_as_appended(s, seq);
	clkv_status status = clkv_step_commit(step, NULL, error);
	if (status != CLKV_OK)
		clkv_step_abort(step);
	return status;
}
