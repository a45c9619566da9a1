/* SPDX-License-Identifier: MIT */
/**
 * \file    calibrator_share.c
 * \brief   What each head's codes cost at several steps, what a layer's errors do to the model, and who gets the bits.
 *
 * What codes do to the output of their layer is worked out for each head, at steps that serve all deltas; what that is worth differs by
 * layer, and by the kind of errors that K's and V's codes make there: the model says it, once for K and once for V of each layer. It
 * is asked at one step for all of them: small errors make a divergence that grows with their square, as costs do, so what one has of
 * the other is the model's and the text's, not the step's.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibration_costs.h"
#include "calibration_probe.h"
#include "calibrator.h"
#include "output_gram.h"
#include "progress.h"
#include "turn_back.h"

/* Levels below twice the least delta, as factors on it; coarser ones, to four times the most, lie about twofold apart. */
enum { FINE = 3 };
static const double fine[FINE] = {0.3, 0.6, 1.1};

/* Times the deltas' geometric mean, where the model is asked: errors must stand out, and yet be small. */
static const double probed = 2;

/* Of all texts, tokens that are scored of each probe; of a text at most a quarter, behind a context of at most so many, of which
 * the newest stay as they are. Layers differ by factors of ten and more: a tenth of an error here matters little. */
enum { SCORED = 384, CONTEXT = 896, OPEN = 64 };

/* Divergences below it are rounding. */
static const double least_divergence = 1e-6;

/* Rows [tokens][heads][dim] of a text's context in one layer, as they are and as codes have them. */
struct probed_rows {
	float *keys, *values, *coded_keys, *coded_values;
};

struct sharing {
	struct calibrator *t;
	size_t probed;                    /* the level at which the model is asked */
	struct calibration_probe *probes; /* [n_texts] */
	struct probed_rows *rows;         /* [n_texts] */
	struct coded_rows coded;          /* of the longest text */
	float *scratch;
};

static size_t scored_of(const struct calibrator *t, const struct text *text)
{
	const size_t even = SCORED / t->n_texts, quarter = text->in.n / 4;
	const size_t scored = even < quarter ? even : quarter;
	return scored > 0 ? scored : 1;
}

static size_t context_of(const struct calibrator *t, const struct text *text)
{
	const size_t room = text->in.n - scored_of(t, text);
	return room < CONTEXT ? room : CONTEXT;
}

static bool open_rows(const struct calibrator *t, const struct text *text, struct probed_rows *rows)
{
	const size_t floats = context_of(t, text) * t->heads * t->dim;
	rows->keys = calloc(floats, sizeof(float));
	rows->values = calloc(floats, sizeof(float));
	rows->coded_keys = calloc(floats, sizeof(float));
	rows->coded_values = calloc(floats, sizeof(float));
	return rows->keys && rows->values && rows->coded_keys && rows->coded_values;
}

static size_t count_units(const struct calibrator *t)
{
	return 2 * t->layers * t->heads;
}

/* range: the most delta over the least. */
static bool open_costs(struct calibrator *t, float least, double range, struct tool_error *error)
{
	struct cost_curves *c = &t->costs;
	const size_t coarse = (size_t)lround(log2(2 * range));
	c->least = least;
	c->levels = FINE + coarse + 1;
	c->points = calloc(count_units(t) * c->levels, sizeof *c->points);
	c->factors = calloc(c->levels, sizeof *c->factors);
	if (c->points == NULL || c->factors == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < FINE; i++)
		c->factors[i] = fine[i];
	for (size_t i = 0; i <= coarse; i++)
		c->factors[FINE + i] = 2 * pow(2 * range, (double)i / (double)coarse);
	return true;
}

void calibrator_close_costs(struct calibrator *t)
{
	free(t->costs.points);
	free(t->costs.factors);
	t->costs = (struct cost_curves){0};
	for (size_t i = 0; i < count_units(t) && t->shares != NULL; i++)
		t->shares[i] = 1;
}

static size_t find_probed(const struct cost_curves *c, double range)
{
	size_t best = 0;
	for (size_t i = 1; i < c->levels; i++)
		if (fabs(log(c->factors[i] / (probed * sqrt(range)))) <
		    fabs(log(c->factors[best] / (probed * sqrt(range)))))
			best = i;
	return best;
}

static bool sharing_open(struct sharing *s, struct calibrator *t, double range,
                         struct tool_error *error)
{
	const size_t longest = calibrator_longest(t);
	*s = (struct sharing){
		.t = t,
		.probed = find_probed(&t->costs, range),
		.probes = calloc(t->n_texts, sizeof *s->probes),
		.rows = calloc(t->n_texts, sizeof *s->rows),
		.coded = {0, calloc(longest * t->dim, sizeof(float)),
	              calloc(longest * t->dim, sizeof(float)), calloc(longest, 1)},
		.scratch = calloc(2 * (longest + t->dim), sizeof(float)),
	};
	if (!s->probes || !s->rows || !s->coded.keys || !s->coded.values || !s->coded.classes ||
	    !s->scratch)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < t->n_texts; i++) {
		const struct text *text = &t->texts[i];
		if (!open_rows(t, text, &s->rows[i]))
			return tool_fail(error, "out of memory");
		if (!calibration_probe_open(&s->probes[i], t->session, &text->in, &text->stream,
		                            context_of(t, text), scored_of(t, text), error))
			return false;
	}
	return true;
}

static void sharing_close(struct sharing *s)
{
	for (size_t i = 0; i < s->t->n_texts; i++) {
		if (s->probes != NULL)
			calibration_probe_close(&s->probes[i]);
		if (s->rows != NULL) {
			free(s->rows[i].keys);
			free(s->rows[i].values);
			free(s->rows[i].coded_keys);
			free(s->rows[i].coded_values);
		}
	}
	free(s->probes);
	free(s->rows);
	free(s->coded.keys);
	free(s->coded.values);
	free(s->coded.classes);
	free(s->scratch);
}

/* Puts a head's rows of a text where the model will be shown them. */
static void place_rows(const struct sharing *s, size_t i, size_t head)
{
	const struct calibrator *t = s->t;
	const struct text *text = &t->texts[i];
	const size_t context = context_of(t, text), dim = t->dim;
	const size_t open = context > OPEN ? context - OPEN : 0;
	for (size_t token = 0; token < context; token++) {
		const float *key = calibrator_key(t, head, text->first + token);
		const float *value = calibrator_value(t, head, text->first + token);
		const size_t at = (token * t->heads + head) * dim, j = token - CALIBRATION_SINKS;
		const bool coded = token >= CALIBRATION_SINKS && token < open && j < s->coded.n;
		for (size_t c = 0; c < dim; c++) {
			s->rows[i].keys[at + c] = key[c];
			s->rows[i].values[at + c] = value[c];
			s->rows[i].coded_keys[at + c] = key[c] + (coded ? s->coded.keys[j * dim + c] : 0);
			s->rows[i].coded_values[at + c] = value[c] + (coded ? s->coded.values[j * dim + c] : 0);
		}
	}
}

/* A head at one level: what its errors do to the layer's output, in lengths of the residual stream, and its bits. */
static void measure_head(struct sharing *s, size_t layer, size_t head, size_t level)
{
	const struct calibrator *t = s->t;
	const size_t number = layer * t->heads + head, dim = t->dim;
	const struct cost_curves *c = &t->costs;
	const struct head_calibration h =
		calibrator_head(t, layer, head, c->least * (float)c->factors[level]);
	const double square = t->middles[layer] * t->middles[layer];
	struct share_point *k = c->points + 2 * number * c->levels + level, *v = k + c->levels;
	struct head_costs costs = {0, 0};
	double queries = 0;
	for (size_t i = 0; i < t->n_texts; i++) {
		const struct text *text = &t->texts[i];
		const struct head_rows rows = calibrator_rows(t, layer, head, text);
		const struct head_codes codes = calibrator_codes(t, number, text);
		s->coded.n = text->coded;
		head_errors(&h, calibrator_plain(t, head, text->first + CALIBRATION_SINKS),
		            rows.values + CALIBRATION_SINKS * dim, t->scores + text->code, &codes,
		            &s->coded);
		/* as attention sees them */
		for (size_t j = 0; j < s->coded.n; j++)
			turn_along(t->session->model, t->frequencies, t->turned, CALIBRATION_SINKS + j,
			           s->coded.keys + j * dim, s->coded.keys + j * dim);
		head_costs_add(&costs, &h, &rows, &s->coded, s->scratch);
		queries += (double)text->n_queries;
		if (level == s->probed)
			place_rows(s, i, head);
	}
	*k = (struct share_point){.cost = costs.k / (queries * square)};
	*v = (struct share_point){.cost = costs.v / (queries * square)};
	for (size_t i = 0; i < dim; i++) {
		const struct channel_bits bits = calibrator_bits(t, number * dim + i);
		k->bits += bits.k;
		v->bits += bits.v;
	}
}

/* The model's divergence with the layer's K, or V, as codes have them. */
static bool probe(struct sharing *s, size_t layer, bool values, double *divergence,
                  struct tool_error *error)
{
	double sum = 0, scored = 0;
	for (size_t i = 0; i < s->t->n_texts; i++) {
		const struct probed_rows *r = &s->rows[i];
		const struct layer_rows changed = {(int)layer, values ? r->keys : r->coded_keys,
		                                   values ? r->coded_values : r->values};
		double own;
		if (!calibration_probe_ask(&s->probes[i], &changed, &own, error))
			return false;
		sum += own * (double)s->probes[i].scored;
		scored += (double)s->probes[i].scored;
	}
	*divergence = fmax(sum / scored, least_divergence);
	return true;
}

/* Gives the costs of a layer's K, or V, the model's measure: what diverges where the model was asked. */
static void weigh(struct sharing *s, size_t layer, bool values, double divergence)
{
	const size_t heads = s->t->heads, levels = s->t->costs.levels;
	struct share_point *first = s->t->costs.points + (2 * layer * heads + values) * levels;
	double cost = 0;
	for (size_t h = 0; h < heads; h++)
		cost += first[2 * h * levels + s->probed].cost;
	for (size_t h = 0; h < heads; h++)
		for (size_t i = 0; i < levels && cost > 0; i++)
			first[2 * h * levels + i].cost *= divergence / cost;
}

static bool measure_layer(struct sharing *s, size_t layer, struct tool_error *error)
{
	struct calibrator *t = s->t;
	if (!calibrator_read(t, layer, error))
		return false;
	if (!output_grams(t->session->model, layer, t->gram))
		return tool_fail(error, "out of memory");
	for (size_t level = 0; level < t->costs.levels; level++)
		for (size_t h = 0; h < t->heads; h++)
			measure_head(s, layer, h, level);
	for (int values = 0; values < 2; values++) {
		double divergence;
		if (!probe(s, layer, values != 0, &divergence, error))
			return false;
		weigh(s, layer, values != 0, divergence);
	}
	return true;
}

bool calibrator_share(struct calibrator *t, float least, float most, struct tool_error *error)
{
	const double range = (double)most / (double)least;
	struct sharing s;
	calibrator_close_costs(t);
	bool done = open_costs(t, least, range, error);
	if (done) {
		done = sharing_open(&s, t, range, error);
		for (size_t l = 0; l < t->layers && done; l++) {
			done = measure_layer(&s, l, error);
			progress_show("costs of errors", l + 1, t->layers);
		}
		sharing_close(&s);
	}
	if (!done)
		calibrator_close_costs(t);
	progress_clear();
	return done;
}

bool calibrator_set_shares(struct calibrator *t, float delta, struct tool_error *error)
{
	const struct cost_curves *c = &t->costs;
	if (c->points == NULL)
		return true;
	double *factors = calloc(c->levels, sizeof *factors);
	if (factors == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < c->levels; i++)
		factors[i] = c->factors[i] * ((double)c->least / (double)delta);
	calibration_share(c->points, factors, c->levels, count_units(t), t->shares);
	free(factors);
	return true;
}
