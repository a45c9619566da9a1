/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_report.c
 * \brief   Results as JSON lines for scripts, or as a table for people.
 */
#include <math.h>
#include <stdio.h>

#include "eval.h"
#include "json_string.h"

/* JSON has no infinity and no NaN: a recipe that breaks the model gets a null. */
static void print_number(const char *name, double value)
{
	if (isfinite(value))
		(void)printf(", \"%s\": %.6g", name, value);
	else
		(void)printf(", \"%s\": null", name);
}

static void print_json(const struct eval *eval, const struct eval_result *r)
{
	(void)fputs("{\"recipe\": ", stdout);
	json_string_print(r->recipe);
	(void)printf(", \"context\": %zu, \"tokens\": %zu", eval->options->context,
	             eval->options->tokens);
	if (eval->options->generated > 0)
		(void)printf(", \"generated\": %zu", eval->options->generated);
	print_number("ppl", r->ppl);
	print_number("ppl_ref", r->ppl_ref);
	print_number("delta_pct", r->delta_pct);
	print_number("kl_mean", r->kl_mean);
	print_number("top1_agree", r->top1_agree);
	print_number("bytes_per_token", r->bytes_per_token);
	(void)printf(", \"bytes_f16_per_token\": %zu", session_f16_bytes(&eval->session));
	print_number("ratio", r->ratio);
	print_number("decode_tokens_per_s", r->decode_tokens_per_s);
	print_number("prefill_tokens_per_s", r->prefill_tokens_per_s);
	(void)fputs(", \"device\": ", stdout);
	json_string_print(eval->session.device.name);
	(void)puts("}");
}

static void print_attention_json(const struct eval *eval, const struct eval_result *r)
{
	(void)fputs("{\"recipe\": ", stdout);
	json_string_print(r->recipe);
	(void)printf(", \"context\": %zu, \"tokens\": %zu", eval->options->context,
	             eval->options->tokens);
	print_number("attention_error", r->attention_error);
	print_number("mass", r->mass);
	print_number("bytes_per_token", r->bytes_per_token);
	(void)printf(", \"bytes_f16_per_token\": %zu", session_f16_bytes(&eval->session));
	print_number("ratio", r->ratio);
	(void)fputs(", \"device\": ", stdout);
	json_string_print(eval->session.device.name);
	(void)puts("}");
}

static void print_needle_json(const struct eval *eval, const struct eval_result *r)
{
	(void)fputs("{\"task\": \"needle\", \"recipe\": ", stdout);
	json_string_print(r->recipe);
	(void)printf(", \"context\": %zu, \"trials\": %zu", eval->options->context, r->trials);
	print_number("accuracy", r->accuracy);
	print_number("margin", r->margin);
	print_number("bytes_per_token", r->bytes_per_token);
	print_number("ratio", r->ratio);
	(void)puts("}");
}

static void print_row(const struct eval_options *o, const struct eval_result *r, int name_width)
{
	size_t n;
	char cell[EVAL_CELL_BYTES];
	const struct eval_column *columns = eval_columns(o, &n);
	(void)printf("%-*s", name_width, r == NULL ? "recipe" : r->recipe);
	for (size_t i = 0; i < n; i++) {
		if (r != NULL)
			eval_cell(&columns[i], r, cell);
		(void)printf(" %*s", columns[i].width, r == NULL ? columns[i].title : cell);
	}
	(void)putchar('\n');
}

static void print_table(const struct eval *eval, const struct eval_result *results)
{
	const struct eval_options *o = eval->options;
	const int name_width = o->attention ? 48 : 36;
	char title[EVAL_TITLE_BYTES];
	eval_title(o, results, title);
	(void)printf("%s, %s\n%s\n\n", o->model, eval->session.device.name, title);
	print_row(o, NULL, name_width);
	for (size_t i = 0; i < o->n_recipes; i++)
		print_row(o, &results[i], name_width);
}

void eval_print(const struct eval *eval, const struct eval_result *results)
{
	const struct eval_options *o = eval->options;
	if (!o->json) {
		print_table(eval, results);
		return;
	}
	for (size_t i = 0; i < o->n_recipes; i++)
		(o->needle      ? print_needle_json
		 : o->attention ? print_attention_json
		                : print_json)(eval, &results[i]);
}
