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

/* What more is told of several windows; of texts, which one it is (null: all of them). */
static void print_judge_json(const struct eval_options *o, const struct eval_result *r)
{
	if (!eval_judges(o))
		return;
	(void)fputs(", \"text\": ", stdout);
	if (r->text != NULL || o->n_texts == 1)
		json_string_print(r->text != NULL ? r->text : o->texts[0]);
	else
		(void)fputs("null", stdout);
	(void)printf(", \"windows\": %zu, \"scored\": %zu", r->scored / o->tokens, r->scored);
	if (o->greedy > 0) {
		print_number("greedy", r->greedy);
		(void)printf(", \"greedy_most\": %zu", o->greedy);
	}
}

static void print_spread_json(const struct eval_result *r)
{
	print_number("delta_low", r->delta_low);
	print_number("delta_high", r->delta_high);
	print_number("kl_low", r->kl_low);
	print_number("kl_high", r->kl_high);
	print_number("kl_median", r->kl_median);
	print_number("kl_q99", r->kl_q99);
	print_number("top1_low", r->top1_low);
	print_number("top1_high", r->top1_high);
	(void)fputs(", \"kl_by_position\": [", stdout);
	for (size_t p = 0; p < EVAL_POSITIONS; p++)
		(void)printf(isfinite(r->kl_at[p]) ? "%s%.6g" : "%snull", p > 0 ? ", " : "", r->kl_at[p]);
	(void)putchar(']');
}

static void print_json(const struct eval *eval, const struct eval_result *r)
{
	(void)fputs("{\"recipe\": ", stdout);
	json_string_print(r->recipe);
	(void)printf(", \"context\": %zu, \"tokens\": %zu", eval->options->contexts[0],
	             eval->options->tokens);
	if (eval->options->generated > 0)
		(void)printf(", \"generated\": %zu", eval->options->generated);
	print_judge_json(eval->options, r);
	print_number("ppl", r->ppl);
	print_number("ppl_ref", r->ppl_ref);
	print_number("delta_pct", r->delta_pct);
	print_number("kl_mean", r->kl_mean);
	print_number("top1_agree", r->top1_agree);
	print_spread_json(r);
	print_number("bytes_per_token", r->bytes_per_token);
	(void)printf(", \"bytes_f16_per_token\": %zu", session_f16_bytes(&eval->session));
	print_number("ratio", r->ratio);
	print_number("bits_per_value", r->bits_per_value);
	if (!eval_judges(eval->options))
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
	(void)printf(", \"context\": %zu, \"tokens\": %zu", eval->options->contexts[0],
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

static void print_retrieval_json(const struct eval *eval, const struct eval_result *r)
{
	const struct eval_options *o = eval->options;
	const struct eval_retrieval *t = &r->retrieval;
	(void)printf("{\"task\": \"%s\", \"recipe\": ", task_name(o->task));
	json_string_print(r->recipe);
	(void)printf(", \"context\": %zu, \"facts\": %zu, \"cases\": %zu, \"seed\": %zu", t->context,
	             o->facts, o->cases, o->seed);
	(void)printf(", \"asked\": %zu, \"trials\": %zu", t->asked, t->counted);
	print_number("exact", t->exact);
	print_number("known", t->known);
	print_number("later", t->later);
	print_number("apart", t->apart);
	print_number("accuracy", t->accuracy);
	print_number("margin", t->margin);
	print_number("loss", t->loss);
	print_number("loss_low", t->loss_low);
	print_number("loss_high", t->loss_high);
	print_number("bytes_per_token", r->bytes_per_token);
	(void)printf(", \"bytes_f16_per_token\": %zu", session_f16_bytes(&eval->session));
	print_number("ratio", r->ratio);
	print_number("bits_per_value", r->bits_per_value);
	(void)fputs(", \"device\": ", stdout);
	json_string_print(eval->session.device.name);
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

/* Divergence by position, a line per recipe: how it grows while a recipe's cache does. */
static void print_positions(const struct eval_options *o, const struct eval_result *results,
                            int name_width)
{
	const size_t begin = o->contexts[0] + o->generated;
	(void)printf("\nKL by position, from token\n%-*s", name_width, "recipe");
	for (size_t p = 0; p < EVAL_POSITIONS; p++)
		(void)printf(" %8zu", begin + p * o->tokens / EVAL_POSITIONS);
	for (size_t i = 0; i < o->n_recipes; i++) {
		(void)printf("\n%-*s", name_width, results[i].recipe);
		for (size_t p = 0; p < EVAL_POSITIONS; p++)
			(void)printf(" %8.5f", results[i].kl_at[p]);
	}
	(void)putchar('\n');
}

/* What a part's rows have in common; nothing where that stands above the table. */
static void print_heading(const struct eval_options *o, const struct eval_result *r)
{
	char title[EVAL_TITLE_BYTES];
	eval_title(o, r, title);
	if (eval_retrieves(o))
		(void)printf("%s\n", title);
	else if (eval_parts(o) > 1)
		(void)printf("%s: perplexity %.3f\n", r->text != NULL ? r->text : "all texts", r->ppl_ref);
}

/* Texts first: what they have in common stands below. */
static void print_parts(const struct eval_options *o, const struct eval_result *results,
                        int name_width)
{
	const size_t n = eval_parts(o), first = eval_retrieves(o) ? 0 : 1;
	for (size_t part = 0; part < n; part++) {
		const struct eval_result *r = results + (first + part) % n * o->n_recipes;
		if (part > 0)
			(void)putchar('\n');
		print_heading(o, r);
		print_row(o, NULL, name_width);
		for (size_t i = 0; i < o->n_recipes; i++)
			print_row(o, &r[i], name_width);
	}
}

static void print_table(const struct eval *eval, const struct eval_result *results)
{
	const struct eval_options *o = eval->options;
	const int name_width = o->attention ? 48 : 36;
	char title[EVAL_TITLE_BYTES] = "";
	if (!eval_retrieves(o)) /* its parts have titles of their own */
		eval_title(o, results, title);
	(void)printf("%s, %s\n%s%s\n", o->model, eval->session.device.name, title,
	             *title != '\0' ? "\n" : "");
	print_parts(o, results, name_width);
	if (eval_judges(o))
		print_positions(o, results, name_width);
}

void eval_print(const struct eval *eval, const struct eval_result *results)
{
	const struct eval_options *o = eval->options;
	if (!o->json) {
		print_table(eval, results);
		return;
	}
	for (size_t i = 0; i < o->n_recipes * eval_parts(o); i++)
		(eval_retrieves(o) ? print_retrieval_json
		 : o->attention    ? print_attention_json
		                   : print_json)(eval, &results[i]);
}
