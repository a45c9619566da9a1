/* SPDX-License-Identifier: MIT */
/** \file advise_json.c \brief The advice for scripts. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "advise.h"
#include "json_string.h"

/* JSON has no infinity and no NaN: a recipe that breaks the model gets a null. */
static void print_number(FILE *out, const char *name, double value)
{
	if (isfinite(value))
		(void)fprintf(out, ", \"%s\": %.6g", name, value);
	else
		(void)fprintf(out, ", \"%s\": null", name);
}

static void print_string(FILE *out, const char *name, const char *text)
{
	(void)fprintf(out, ", \"%s\": ", name);
	json_string_print(out, text);
}

static void print_measured(FILE *out, const struct eval_result *r)
{
	print_number(out, "kl_mean", r->kl_mean);
	print_number(out, "kl_low", r->kl_low);
	print_number(out, "kl_high", r->kl_high);
	print_number(out, "delta_pct", r->delta_pct);
	print_number(out, "delta_low", r->delta_low);
	print_number(out, "delta_high", r->delta_high);
	print_number(out, "top1_agree", r->top1_agree);
}

static void print_rival(FILE *out, const struct advise_point *rival, const struct eval_pair *pair)
{
	(void)fputs(", \"against\": {\"recipe\": ", out);
	json_string_print(out, rival->recipe);
	print_number(out, "kl", pair->kl);
	print_number(out, "kl_low", pair->kl_range.low);
	print_number(out, "kl_high", pair->kl_range.high);
	(void)putc('}', out);
}

static void print_point(FILE *out, const struct advise *a, const struct advise_point *p)
{
	(void)fputs("{\"recipe\": ", out);
	json_string_print(out, p->recipe);
	if (p->delta > 0)
		print_number(out, "delta", (double)p->delta);
	print_number(out, "bytes_per_token", p->bytes);
	print_number(out, "bits_per_value",
	             16.0 * p->bytes / (double)session_f16_bytes(&a->eval.session));
	(void)fputs(", \"bytes_at\": {", out);
	for (size_t l = 0; l < ADVISE_LENGTHS; l++)
		(void)fprintf(out, "%s\"%zu\": %.0f", l > 0 ? ", " : "", advise_lengths[l], p->bytes_at[l]);
	(void)fprintf(out, "}, \"measured\": %s, \"hull\": %s", p->measured ? "true" : "false",
	              p->on_hull ? "true" : "false");
	if (p->measured)
		print_measured(out, &p->result);
	if (p->measured && p->rival > 0)
		print_rival(out, advise_rival(a, p), &p->against);
	(void)putc('}', out);
}

static void print_limit(FILE *out, const struct advise_limit *limit)
{
	static const char *const names[] = {[ADVISE_NO_LIMIT] = "none",
	                                    [ADVISE_KL] = "kl",
	                                    [ADVISE_LOSS] = "loss",
	                                    [ADVISE_BYTES] = "bytes"};
	(void)fprintf(out, ", \"limit\": {\"%s\": %.6g}", names[limit->kind], limit->most);
}

static void print_advice(FILE *out, const struct advise *a)
{
	if (a->chosen == a->n) {
		(void)fputs(", \"advice\": null", out);
		return;
	}
	(void)fprintf(out, ", \"advice\": {\"candidate\": %zu", a->chosen);
	print_string(out, "recipe", a->points[a->chosen].recipe);
	if (advise_needs_calibration(a)) {
		print_string(out, "calibration", a->options->out);
		(void)fprintf(out, ", \"shared\": %s, \"before_rope\": %s", a->shared ? "true" : "false",
		              a->before ? "true" : "false");
	}
	(void)putc('}', out);
}

static void print_all(FILE *out, const struct advise *a)
{
	const struct advise_options *o = a->options;
	(void)fputs("{\"model\": ", out);
	json_string_print(out, o->model);
	print_string(out, "device", a->eval.session.device.name);
	print_string(out, "text", o->text);
	(void)fprintf(out, ", \"context\": %zu, \"tokens\": %zu, \"windows\": %zu, \"length\": %zu",
	              o->context, o->tokens, o->windows, o->length);
	print_limit(out, &o->limit);
	print_advice(out, a);
	(void)fputs(", \"candidates\": [", out);
	for (size_t i = 0; i < a->n; i++) {
		(void)fputs(i > 0 ? ", " : "", out);
		print_point(out, a, &a->points[i]);
	}
	(void)fputs("], \"warnings\": [", out);
	for (size_t i = 0; i < a->warnings.n; i++) {
		(void)fputs(i > 0 ? ", " : "", out);
		json_string_print(out, a->warnings.text[i]);
	}
	(void)fputs("]}\n", out);
}

bool advise_write_json(const struct advise *a, const char *path, struct tool_error *error)
{
	FILE *out = fopen(path, "w");
	if (out == NULL)
		return tool_fail(error, "can't write '%s': %s", path, strerror(errno));
	print_all(out, a);
	const bool failed = ferror(out) != 0;
	return (fclose(out) == 0 && !failed) ||
	       tool_fail(error, "'%s' can't be written to its end", path);
}
