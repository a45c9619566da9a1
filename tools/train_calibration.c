/* SPDX-License-Identifier: MIT */
/**
 * \file    train_calibration.c
 * \brief   Statistics of the texts' queries; then for each delta steps and codes, layer by layer.
 */
#include "calibrator.h"

#include "calibration_fit.h"
#include "output_gram.h"
#include "progress.h"
#include "turn_back.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RUN = 8, MOST_SAMPLES = 65536 };

static const float k_factors[TOKEN_CLASSES] = {0.5f, 0.8f, 1.3f};
static const float v_factors[TOKEN_CLASSES] = {0.4f, 0.8f, 1.4f};

/* Of what K and V may cost together, V's part is best a little larger. */
static const double v_part = 1.2;

static int compare_floats(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

/* The first tokens would spoil a mean. */
static double median_norm(struct calibrator *t, size_t layer)
{
	float *norms = t->norms + layer * t->tokens;
	qsort(norms, t->tokens, sizeof *norms, compare_floats);
	return (double)norms[t->tokens / 2];
}

/* ---------------------------------------------------------------- a head ---- */

static size_t n_sums(size_t dim)
{
	return (6 + dim) * dim;
}

/* The sums of a head by its number among all layers' heads, which begin as 0. */
static struct head_sums *lay_sums(const struct calibrator *t, size_t number)
{
	const size_t dim = t->dim;
	double *at = t->sum_floats + number * n_sums(dim);
	t->sums[number] = (struct head_sums){
		.stats = {.dim = dim, .first = at, .weighed = at + dim, .second = at + 2 * dim},
		.key_mean = at + (2 + dim) * dim,
		.value_mean = at + (3 + dim) * dim,
		.key_reach = at + (4 + dim) * dim,
		.plain_mean = at + (5 + dim) * dim,
	};
	return &t->sums[number];
}

static void add_means(const struct calibrator *t, size_t head, const struct text *text,
                      struct head_sums *sums)
{
	for (size_t i = CALIBRATION_SINKS; i < text->in.n; i++)
		for (size_t c = 0; c < t->dim; c++) {
			sums->key_mean[c] += (double)calibrator_key(t, head, text->first + i)[c];
			sums->plain_mean[c] += (double)calibrator_plain(t, head, text->first + i)[c];
			sums->value_mean[c] += (double)calibrator_value(t, head, text->first + i)[c];
		}
}

/* Of the rows that means are of. */
static void add_reach(const struct calibrator *t, size_t head, const struct text *text,
                      struct head_sums *sums)
{
	for (size_t i = CALIBRATION_SINKS; i < text->in.n; i++)
		for (size_t c = 0; c < t->dim; c++) {
			const double key = (double)calibrator_plain(t, head, text->first + i)[c],
						 value = (double)calibrator_value(t, head, text->first + i)[c];
			sums->key_reach[c] = fmax(sums->key_reach[c], fabs(key - sums->plain_mean[c]));
			sums->value_reach = fmax(sums->value_reach, fabs(value - sums->value_mean[c]));
		}
}

static void gather_head(const struct calibrator *t, size_t layer, size_t head,
                        struct head_sums *sums)
{
	const double tokens = (double)(t->tokens - t->n_texts * CALIBRATION_SINKS);
	memset(t->key_costs, 0, t->tokens * sizeof *t->key_costs);
	memset(t->value_costs, 0, t->tokens * sizeof *t->value_costs);
	for (size_t i = 0; i < t->n_texts; i++) {
		const struct text *text = &t->texts[i];
		const struct head_rows rows = calibrator_rows(t, layer, head, text);
		head_stats_add(&sums->stats, &rows, t->scratch);
		add_means(t, head, text, sums);
	}
	for (size_t c = 0; c < t->dim; c++) {
		sums->key_mean[c] /= tokens;
		sums->plain_mean[c] /= tokens;
		sums->value_mean[c] /= tokens;
	}
	for (size_t i = 0; i < t->n_texts; i++)
		add_reach(t, head, &t->texts[i], sums);
}

static double traces_of(const struct calibrator *t, size_t head)
{
	double sum = 0;
	for (size_t g = head * t->group; g < (head + 1) * t->group; g++)
		for (size_t c = 0; c < t->dim; c++)
			sum += (double)t->gram[(g * t->dim + c) * t->dim + c];
	return sum;
}

/* Arrays of a head lie behind each other in `floats`, of all heads of each kind. */
struct head_calibration calibrator_arrays(const struct calibrator *t, size_t head)
{
	const size_t heads = t->layers * t->heads, dim = t->dim, all = heads * dim;
	float *f = t->floats;
	return (struct head_calibration){
		.dim = dim,
		.turned = t->turned,
		.k_step = f + head * dim,
		.k_mean = f + all + head * dim,
		.k_ask = f + 2 * all + head * dim,
		.k_square = f + 3 * all + head * dim,
		.v_mean = f + 4 * all + head * dim,
		.k_error = f + 5 * all + head * TOKEN_CLASSES * dim,
		.threshold = f + (5 + TOKEN_CLASSES) * all + head * (TOKEN_CLASSES - 1),
		.v_step = f + (5 + TOKEN_CLASSES) * all + heads * (TOKEN_CLASSES - 1) + head,
		.k_factor = k_factors,
		.v_factor = v_factors,
	};
}

/* The first token behind those that each query of a text may find sealed. */
static size_t fit_end(const struct text *text)
{
	return text->in.n / 2 - CALIBRATION_WINDOW;
}

static size_t n_floats(const struct calibrator *t)
{
	return t->layers * t->heads * ((5 + TOKEN_CLASSES) * t->dim + TOKEN_CLASSES);
}

/* K's errors and V's count the same, whatever their sums. A token that nobody attends to costs something too. */
static void note_costs(const struct calibrator *t, size_t number, const struct head_stats *stats)
{
	const double least = 1e-9 / (double)t->n_fit;
	double *to = t->fit_costs + number * t->n_fit;
	for (size_t i = 0; i < t->n_texts; i++) {
		const struct text *text = &t->texts[i];
		for (size_t j = CALIBRATION_SINKS; j < fit_end(text); j++, to++) {
			const size_t token = text->first + j;
			*to = least;
			if (stats->noise > 0)
				*to += t->key_costs[token] / stats->noise;
			if (stats->spread > 0)
				*to += t->value_costs[token] / stats->spread;
		}
	}
}

static void fit_head(const struct calibrator *t, size_t number, size_t head,
                     struct head_calibration *h)
{
	float *to = t->fit_keys;
	for (size_t i = 0; i < t->n_texts; i++) {
		const struct text *text = &t->texts[i];
		const size_t n = (fit_end(text) - CALIBRATION_SINKS) * t->dim;
		memcpy(to, calibrator_key(t, head, text->first + CALIBRATION_SINKS), n * sizeof *to);
		to += n;
	}
	head_fit(h, t->fit_keys, t->fit_costs + number * t->n_fit, t->n_fit, t->fit_scratch);
}

/* Classes of tokens, and the codes of whole runs behind each text's sinks. */
static void code_head(const struct calibrator *t, size_t number, size_t head,
                      struct head_calibration *h)
{
	size_t counts[TOKEN_CLASSES] = {0};
	memset(t->errors, 0, TOKEN_CLASSES * t->dim * sizeof *t->errors);
	for (size_t i = 0; i < t->n_texts; i++) {
		const struct text *text = &t->texts[i];
		head_score(h, calibrator_key(t, head, text->first + CALIBRATION_SINKS), text->coded,
		           t->scores + text->code);
	}
	head_set_thresholds(h, t->scores, t->samples, t->sorted);
	for (size_t i = 0; i < t->n_texts; i++) {
		const struct text *text = &t->texts[i];
		const size_t from = text->first + CALIBRATION_SINKS;
		const struct head_codes codes = calibrator_codes(t, number, text);
		head_encode(h, calibrator_plain(t, head, from), calibrator_value(t, head, from),
		            t->scores + text->code, text->coded, &codes, t->errors, counts);
	}
	head_set_errors(h, t->errors, counts);
}

/* What no delta changes. */
static bool gather_layer(struct calibrator *t, size_t layer, struct tool_error *error)
{
	t->middles[layer] = median_norm(t, layer);
	if (!calibrator_read(t, layer, error))
		return false;
	if (!output_grams(t->session->model, layer, t->gram))
		return tool_fail(error, "out of memory");
	for (size_t h = 0; h < t->heads; h++) {
		const size_t number = layer * t->heads + h;
		struct head_sums *sums = lay_sums(t, number);
		gather_head(t, layer, h, sums);
		sums->traces = traces_of(t, h);
		note_costs(t, number, &sums->stats);
	}
	return true;
}

struct head_calibration calibrator_head(const struct calibrator *t, size_t layer, size_t h,
                                        float delta)
{
	const size_t number = layer * t->heads + h;
	const struct head_sums *sums = &t->sums[number];
	const struct head_measure m = {
		.k_delta = (double)delta * t->shares[2 * number],
		.v_delta = v_part * (double)delta * t->shares[2 * number + 1],
		.norm = t->middles[layer],
		.traces = sums->traces,
		.scale = (float)(1 / sqrt((double)t->dim)),
		.key_mean = sums->key_mean,
		.plain_mean = sums->plain_mean,
		.value_mean = sums->value_mean,
		.key_reach = sums->key_reach,
		.value_reach = sums->value_reach,
	};
	struct head_calibration head = calibrator_arrays(t, number);
	head_calibrate(&sums->stats, &m, &head);
	fit_head(t, number, h, &head);
	code_head(t, number, h, &head);
	return head;
}

/* ---------------------------------------------------------------- all of it ---- */

/* Channels, neighbours, from the first on: pairs that RoPE turns by more than a quarter of a circle within the context. Slower ones
 * hardly leave their mean. */
static size_t turned_channels(const struct model *m, const double *frequencies)
{
	const double quarter = acos(-1.0) / 2;
	int n = 0;
	while (n < m->rope_dims / 2 && frequencies[n] * (double)m->context > quarter)
		n++;
	return 2 * (size_t)n;
}

static bool reserve(struct calibrator *t, bool before, struct tool_error *error)
{
	const size_t rows = t->heads * t->tokens * t->dim, longest = calibrator_longest(t);
	const size_t heads = t->layers * t->heads, samples = heads * t->dim * t->samples;
	t->norms = calloc(t->layers * t->tokens, sizeof(float));
	t->keys = calloc(rows, sizeof(float));
	t->values = calloc(rows, sizeof(float));
	t->plain = calloc(rows, sizeof(float));
	t->frequencies = calloc(t->dim, sizeof(double));
	t->gram = calloc(calibrator_query_row(t) * t->dim, sizeof(float));
	t->scores = calloc(t->samples, sizeof(float));
	t->sorted = calloc(t->samples, sizeof(float));
	t->scratch = calloc((1 + t->group) * longest + 2 * t->dim, sizeof(float));
	t->key_costs = calloc(t->tokens, sizeof(double));
	t->value_costs = calloc(t->tokens, sizeof(double));
	t->fit_keys = calloc(t->n_fit * t->dim, sizeof(float));
	t->fit_costs = calloc(heads * t->n_fit, sizeof(double));
	t->fit_scratch = calloc(fit_doubles(t->dim, t->n_fit), sizeof(double));
	t->middles = calloc(t->layers, sizeof(double));
	t->shares = calloc(2 * heads, sizeof(double));
	t->sums = calloc(heads, sizeof *t->sums);
	t->sum_floats = calloc(heads * n_sums(t->dim), sizeof(double));
	t->errors = calloc(TOKEN_CLASSES * t->dim, sizeof(double));
	t->floats = calloc(n_floats(t), sizeof(float));
	t->k_sample = calloc(samples, 1);
	t->v_sample = calloc(samples, 1);
	if (!t->norms || !t->keys || !t->values || !t->plain || !t->frequencies || !t->gram ||
	    !t->scores || !t->sorted || !t->scratch || !t->key_costs || !t->value_costs ||
	    !t->fit_keys || !t->fit_costs || !t->fit_scratch || !t->middles || !t->shares || !t->sums ||
	    !t->sum_floats || !t->errors || !t->floats || !t->k_sample || !t->v_sample)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < 2 * heads; i++)
		t->shares[i] = 1;
	turn_frequencies(t->session->model, t->frequencies);
	t->turned = before ? turned_channels(t->session->model, t->frequencies) : 0;
	return kept_rows_open(t->session, longest, &t->kept, error);
}

size_t calibrator_turned(const struct calibrator *t)
{
	return t->turned;
}

void calibrator_close(struct calibrator *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n_texts && t->texts != NULL; i++) {
		session_stream_close(&t->texts[i].stream);
		free(t->texts[i].queries);
	}
	kept_rows_close(&t->kept);
	calibrator_close_costs(t);
	free(t->texts);
	free(t->norms);
	free(t->keys);
	free(t->values);
	free(t->plain);
	free(t->frequencies);
	free(t->gram);
	free(t->scores);
	free(t->sorted);
	free(t->scratch);
	free(t->key_costs);
	free(t->value_costs);
	free(t->fit_keys);
	free(t->fit_costs);
	free(t->fit_scratch);
	free(t->middles);
	free(t->shares);
	free(t->sums);
	free(t->sum_floats);
	free(t->errors);
	free(t->floats);
	free(t->k_sample);
	free(t->v_sample);
	free(t);
}

/* Of each text the place among all texts' tokens, and among all texts' codes. */
static bool lay_out(struct calibrator *t, const struct text_input *texts, struct tool_error *error)
{
	t->texts = calloc(t->n_texts, sizeof *t->texts);
	if (t->texts == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < t->n_texts; i++) {
		struct text *text = &t->texts[i];
		const size_t coded = (texts[i].n - CALIBRATION_SINKS) / RUN * RUN;
		const size_t room = MOST_SAMPLES - t->samples;
		text->in = texts[i];
		text->first = t->tokens;
		text->code = t->samples;
		text->coded = coded < room ? coded : room;
		t->tokens += text->in.n;
		t->n_fit += fit_end(text) - CALIBRATION_SINKS;
		t->samples += text->coded;
	}
	return true;
}

static bool gather(struct calibrator *t, const struct text_input *texts, bool before,
                   struct tool_error *error)
{
	if (!lay_out(t, texts, error) || !reserve(t, before, error))
		return false;
	for (size_t i = 0; i < t->n_texts; i++)
		if (!calibrator_run(t, &t->texts[i], error))
			return false;
	for (size_t l = 0; l < t->layers; l++) {
		if (!gather_layer(t, l, error))
			return false;
		progress_show("statistics", l + 1, t->layers);
	}
	return true;
}

bool calibrator_open(struct session *session, const struct text_input *texts, size_t n_texts,
                     bool before, struct calibrator **out, struct tool_error *error)
{
	const struct model *m = session->model;
	struct calibrator *t = malloc(sizeof *t);
	if (t == NULL)
		return tool_fail(error, "out of memory");
	*t = (struct calibrator){
		.session = session,
		.n_texts = n_texts,
		.layers = (size_t)m->n_layers,
		.heads = (size_t)m->kv_heads,
		.group = (size_t)(m->q_heads / m->kv_heads),
		.dim = (size_t)m->head_dim,
	};
	bool done = gather(t, texts, before, error);
	progress_clear();
	if (!done)
		calibrator_close(t);
	*out = done ? t : NULL;
	return done;
}

bool calibrator_make(struct calibrator *t, float delta, struct given_file *file,
                     struct calibration_bits *bits, struct tool_error *error)
{
	*file = (struct given_file){NULL, 0};
	bool done = calibrator_set_shares(t, delta, error);
	for (size_t l = 0; l < t->layers && done; l++) {
		done = calibrator_read(t, l, error);
		for (size_t h = 0; h < t->heads && done; h++)
			(void)calibrator_head(t, l, h, delta);
		progress_show("steps and codes", l + 1, t->layers);
	}
	done = done && calibrator_write(t, file, error);
	if (done)
		*bits = calibrator_all_bits(t);
	progress_clear();
	return done;
}
