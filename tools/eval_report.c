/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_report.c
 * \brief   Results as JSON lines for scripts, or as a table for people.
 */
#include <stdio.h>

#include "eval.h"
#include "json_string.h"

static void print_json(const struct eval *eval, const struct eval_result *r)
{
	(void)fputs("{\"recipe\": ", stdout);
	json_string_print(r->recipe);
	(void)printf(", \"context\": %zu, \"tokens\": %zu, \"ppl\": %.6g, \"ppl_ref\": %.6g, "
				 "\"delta_pct\": %.6g, \"kl_mean\": %.6g, \"top1_agree\": %.6g",
				 eval->options->context, eval->options->tokens, r->ppl, r->ppl_ref, r->delta_pct,
				 r->kl_mean, r->top1_agree);
	(void)printf(", \"bytes_per_token\": %.6g, \"bytes_f16_per_token\": %zu, \"ratio\": %.6g, "
				 "\"decode_tokens_per_s\": %.4g, \"prefill_tokens_per_s\": %.4g, \"device\": ",
				 r->bytes_per_token, session_f16_bytes(&eval->session), r->ratio,
				 r->decode_tokens_per_s, r->prefill_tokens_per_s);
	json_string_print(eval->session.device.name);
	(void)puts("}");
}

static void print_needle_json(const struct eval *eval, const struct eval_result *r)
{
	(void)fputs("{\"task\": \"needle\", \"recipe\": ", stdout);
	json_string_print(r->recipe);
	(void)printf(", \"context\": %zu, \"trials\": %zu, \"accuracy\": %.6g, \"margin\": %.6g, "
				 "\"bytes_per_token\": %.6g, \"ratio\": %.6g}\n",
				 eval->options->context, r->trials, r->accuracy, r->margin, r->bytes_per_token,
				 r->ratio);
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
	bool needle = eval->options->needle;
	if (!eval->options->json) {
		(needle ? print_needle_table : print_table)(eval, results);
		return;
	}
	for (size_t i = 0; i < eval->options->n_recipes; i++)
		(needle ? print_needle_json : print_json)(eval, &results[i]);
}
