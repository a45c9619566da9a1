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

static void print_table(const struct eval *eval, const struct eval_result *results)
{
	const struct eval_options *options = eval->options;
	(void)printf("%s, %s\nprompt %zu tokens, %zu tokens scored, %.0f prompt tokens/s\n\n",
	             options->model, eval->session.device.name, options->context, options->tokens,
	             results[0].prefill_tokens_per_s);
	(void)printf("%-36s %9s %8s %8s %7s %9s %6s %9s\n", "recipe", "ppl", "delta %", "KL", "top-1",
	             "B/token", "ratio", "tokens/s");
	for (size_t i = 0; i < options->n_recipes; i++) {
		const struct eval_result *r = &results[i];
		(void)printf("%-36s %9.4f %+8.2f %8.4f %7.3f %9.0f %6.2f %9.1f\n", r->recipe, r->ppl,
		             r->delta_pct, r->kl_mean, r->top1_agree, r->bytes_per_token, r->ratio,
		             r->decode_tokens_per_s);
	}
}

static void print_attention_table(const struct eval *eval, const struct eval_result *results)
{
	(void)printf("%s, %s\nprompt %zu tokens, attention of %zu tokens compared\n\n",
	             eval->options->model, eval->session.device.name, eval->options->context,
	             eval->options->tokens);
	(void)printf("%-48s %8s %8s %9s %6s\n", "recipe", "error", "mass", "B/token", "ratio");
	for (size_t i = 0; i < eval->options->n_recipes; i++)
		(void)printf("%-48s %8.4f %8.4f %9.0f %6.2f\n", results[i].recipe,
		             results[i].attention_error, results[i].mass, results[i].bytes_per_token,
		             results[i].ratio);
}

static void print_needle_table(const struct eval *eval, const struct eval_result *results)
{
	(void)printf("%s, %s\nneedles in %zu tokens, %zu trials\n\n", eval->options->model,
	             eval->session.device.name, eval->options->context, results[0].trials);
	(void)printf("%-36s %9s %8s %9s %6s\n", "recipe", "accuracy", "margin", "B/token", "ratio");
	for (size_t i = 0; i < eval->options->n_recipes; i++)
		(void)printf("%-36s %9.3f %8.2f %9.0f %6.2f\n", results[i].recipe, results[i].accuracy,
		             results[i].margin, results[i].bytes_per_token, results[i].ratio);
}

void eval_print(const struct eval *eval, const struct eval_result *results)
{
	const struct eval_options *o = eval->options;
	if (!o->json) {
		(o->needle      ? print_needle_table
		 : o->attention ? print_attention_table
		                : print_table)(eval, results);
		return;
	}
	for (size_t i = 0; i < o->n_recipes; i++)
		(o->needle      ? print_needle_json
		 : o->attention ? print_attention_json
		                : print_json)(eval, &results[i]);
}
