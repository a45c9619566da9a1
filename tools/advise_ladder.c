/* SPDX-License-Identifier: MIT */
/** \file advise_ladder.c \brief The candidates. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advise.h"
#include "train_calibration.h"

/* Codecs from nearly exact to what breaks most models; of qtc steps over which the bytes halve more than once, closest where most limits
 * are. The short ladder has what lies on the lower hull of models that were measured. */
static const struct advise_row rows[] = {
	{.stages = "qtc", .delta = 0.0034F, .quick = true},
	{.stages = "qtc", .delta = 0.0028F},
	{.stages = "qtc", .delta = 0.0022F, .quick = true},
	{.stages = "qtc", .delta = 0.0018F},
	{.stages = "qtc", .delta = 0.0016F},
	{.stages = "qtc", .delta = 0.0014F, .quick = true},
	{.stages = "qtc", .delta = 0.001F},
	{.stages = "qtc", .delta = 0.0007F, .quick = true},
	{.stages = "kvquant:bits=2"},
	{.stages = "kvquant:bits=3"},
	{.stages = "kvquant:bits=4"},
	{.stages = "kivi:bits=2"},
	{.stages = "kivi:bits=3"},
	{.stages = "kivi:bits=4", .quick = true},
	{.stages = "kvcomp:rel_k=0.2,rel_v=0.2"},
	{.stages = "kvcomp"},
	{.stages = "kvcomp:rel_k=0.1,rel_v=0.1"},
	{.stages = "kvcomp:rel_k=0.05,rel_v=0.05"},
	{.stages = "q:k=4,v=4"},
	{.stages = "q:k=4,v=4,rot=hadamard"},
	{.stages = "q:k=8,v=8", .quick = true},
	{.stages = "f16", .quick = true},
};

const size_t advise_lengths[ADVISE_LENGTHS] = {4096, 32768, 131072};

const struct advise_row *advise_rows(size_t *n)
{
	*n = sizeof rows / sizeof rows[0];
	return rows;
}

static void name(struct advise_point *p, const struct advise_row *row,
                 const struct advise_options *o)
{
	*p = (struct advise_point){.delta = row->delta};
	if (strcmp(row->stages, "f16") == 0)
		(void)snprintf(p->recipe, sizeof p->recipe, "f16");
	else
		(void)snprintf(p->recipe, sizeof p->recipe, "%s ; sinks=%zu, window=%zu", row->stages,
		               o->sinks, o->window);
	if (row->delta > 0)
		(void)snprintf(p->label, sizeof p->label, "%s, delta %g", row->stages, (double)row->delta);
	else
		(void)snprintf(p->label, sizeof p->label, "%s", row->stages);
}

bool advise_list(struct advise *a, struct tool_error *error)
{
	const struct session *session = &a->eval.session;
	const clkv_geometry geometry = engine_geometry(session->model);
	size_t n;
	const struct advise_row *row = advise_rows(&n);
	for (; n > 0; n--, row++) {
		struct advise_point *p = &a->points[a->n];
		clkv_error cause = {0};
		if (a->options->quick && !row->quick)
			continue;
		name(p, row, a->options);
		clkv_status status = clkv_recipe_check(session->context, &geometry, p->recipe, &cause);
		if (status == CLKV_OK)
			a->n++;
		else if (status == CLKV_ERROR_UNSUPPORTED)
			advise_warn(&a->warnings, "'%s' is left out: %s", p->label, cause.text);
		else
			return tool_fail_clkv(error, p->recipe, &cause);
	}
	return true;
}

/* Ends of the points' deltas; none: 0. */
struct deltas {
	float least, most;
};

static struct deltas find_deltas(const struct advise *a)
{
	struct deltas d = {0, 0};
	for (size_t i = 0; i < a->n; i++) {
		const float delta = a->points[i].delta;
		if (delta <= 0)
			continue;
		d.least = d.least > 0 ? fminf(d.least, delta) : delta;
		d.most = fmaxf(d.most, delta);
	}
	return d;
}

/* What the texts say is gathered once, and what the model says of layers asked once, for all steps. */
bool advise_calibrate(struct advise *a, const struct text_input *texts, size_t n_texts,
                      struct tool_error *error)
{
	const struct deltas deltas = find_deltas(a);
	struct calibrator *calibrator;
	struct calibration_bits bits;
	if (deltas.most <= 0)
		return true;
	if (!calibrator_open(&a->eval.session, texts, n_texts, !a->options->behind, &calibrator, error))
		return false;
	a->shared = !a->options->quick;
	a->before = calibrator_turned(calibrator) > 0;
	bool done = !a->shared || calibrator_share(calibrator, deltas.least, deltas.most, error);
	for (size_t i = 0; i < a->n && done; i++)
		done = a->points[i].delta <= 0 ||
		       calibrator_make(calibrator, a->points[i].delta, &a->points[i].given.calibration,
		                       &bits, error);
	calibrator_close(calibrator);
	return done;
}
