/* SPDX-License-Identifier: MIT */
/** \file calibration_probe.c \brief The prompt's rows are copied, not computed; the scored tokens are one pass, which isn't kept. */
#include "calibration_probe.h"

#include "logits.h"

#include <stdlib.h>
#include <string.h>

/* Logits [scored][vocabulary] of the tokens behind what the stream holds. */
static bool score(struct calibration_probe *p, float *logits, struct tool_error *error)
{
	struct engine_stream *stream = &p->stream;
	const size_t vocabulary = (size_t)p->session->model->vocabulary,
				 most = engine_max_rows(p->session->engine);
	for (size_t done = 0, n; done < p->scored; done += n) {
		n = p->scored - done < most ? p->scored - done : most;
		const struct engine_pass pass = {
			.streams = &stream,
			.n_streams = 1,
			.tokens = p->text->ids + p->context + done,
			.n_each = n,
			.phase = CLKV_DECODE,
			.want = ENGINE_ALL_LOGITS,
			.logits = logits + done * vocabulary,
		};
		if (!engine_run(p->session->engine, &pass, error))
			return false;
	}
	return true;
}

bool calibration_probe_open(struct calibration_probe *p, struct session *session,
                            const struct text_input *text, const struct engine_stream *source,
                            size_t context, size_t scored, struct tool_error *error)
{
	const size_t vocabulary = (size_t)session->model->vocabulary;
	*p = (struct calibration_probe){
		.session = session,
		.text = text,
		.source = source,
		.context = context,
		.scored = scored,
		.reference = calloc(scored * vocabulary, sizeof(float)),
		.logits = calloc(scored * vocabulary, sizeof(float)),
		.log_sums = calloc(scored, sizeof(double)),
	};
	if (p->reference == NULL || p->logits == NULL || p->log_sums == NULL)
		return tool_fail(error, "out of memory");
	if (!session_stream_open(session, "f16", context + scored, &p->stream, error) ||
	    !engine_copy_rows(session->engine, &p->stream, source, 0, context, CLKV_PROMPT_END,
	                      error) ||
	    !score(p, p->reference, error))
		return false;
	for (size_t i = 0; i < scored; i++)
		p->log_sums[i] = logits_log_sum(p->reference + i * vocabulary, vocabulary);
	return true;
}

bool calibration_probe_ask(struct calibration_probe *p, const struct layer_rows *changed,
                           double *divergence, struct tool_error *error)
{
	const size_t vocabulary = (size_t)p->session->model->vocabulary;
	double sum = 0;
	if (!session_stream_restart(&p->stream, error) ||
	    !engine_copy_changed(p->session->engine, &p->stream, p->source, p->context, changed,
	                         error) ||
	    !score(p, p->logits, error))
		return false;
	for (size_t i = 0; i < p->scored; i++) {
		const float *own = p->logits + i * vocabulary;
		sum += logits_divergence(p->reference + i * vocabulary, p->log_sums[i], own,
		                         logits_log_sum(own, vocabulary), vocabulary);
	}
	*divergence = sum / (double)p->scored;
	return true;
}

void calibration_probe_close(struct calibration_probe *p)
{
	session_stream_close(&p->stream);
	free(p->reference);
	free(p->logits);
	free(p->log_sums);
	*p = (struct calibration_probe){0};
}
