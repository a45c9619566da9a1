/* SPDX-License-Identifier: MIT */
/**
 * \file    calibration_probe.h
 * \brief   How far a model's output goes off when one layer's keys or values are others: asked of the model itself.
 */
#ifndef CALIBRATION_PROBE_H
#define CALIBRATION_PROBE_H

#include "session.h"
#include "text_rows.h"

/** A text behind whose first tokens the next ones are scored, and what the model says of them. */
struct calibration_probe {
	struct session *session;
	const struct text_input *text;
	const struct engine_stream *source; /**< holds the text's rows */
	size_t context, scored;
	struct engine_stream stream;
	float *reference, *logits; /**< [scored][vocabulary] */
	double *log_sums;          /**< [scored], of the reference */
};

/** Asks with the source's own rows. context + scored are at most what the text has. calibration_probe_close() frees it, also after a
 *  failure. */
bool calibration_probe_open(struct calibration_probe *probe, struct session *session,
                            const struct text_input *text, const struct engine_stream *source,
                            size_t context, size_t scored, struct tool_error *error);

/** *divergence: that of the scored tokens' distributions when a layer's first `context` rows are these, nats per token. */
bool calibration_probe_ask(struct calibration_probe *probe, const struct layer_rows *changed,
                           double *divergence, struct tool_error *error);

void calibration_probe_close(struct calibration_probe *probe);

#endif
