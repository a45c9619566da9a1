/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_json.c
 * \brief   Results as lines of JSON for scripts.
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
		json_string_print(stdout, r->text != NULL ? r->text : o->texts[0]);
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

/* Each pair of a part's recipes stands once: at the later one. */
static void print_against_json(const struct eval_result *results, size_t recipe)
{
	(void)fputs(", \"against\": [", stdout);
	for (size_t k = 0; k < recipe; k++) {
		const struct eval_pair *p = &results[recipe].against[k];
		(void)fputs(k > 0 ? ", {\"recipe\": " : "{\"recipe\": ", stdout);
		json_string_print(stdout, results[k].recipe);
		print_number("kl", p->kl);
		print_number("kl_low", p->kl_range.low);
		print_number("kl_high", p->kl_range.high);
		print_number("loss", p->loss);
		print_number("loss_low", p->loss_range.low);
		print_number("loss_high", p->loss_range.high);
		(void)putchar('}');
	}
	(void)putchar(']');
}

static void print_json(const struct eval *eval, const struct eval_result *results, size_t recipe)
{
	const struct eval_result *r = &results[recipe];
	(void)fputs("{\"recipe\": ", stdout);
	json_string_print(stdout, r->recipe);
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
	print_against_json(results, recipe);
	print_number("bytes_per_token", r->bytes_per_token);
	(void)printf(", \"bytes_f16_per_token\": %zu", session_f16_bytes(&eval->session));
	print_number("ratio", r->ratio);
	print_number("bits_per_value", r->bits_per_value);
	if (!eval_judges(eval->options))
		print_number("decode_tokens_per_s", r->decode_tokens_per_s);
	print_number("prefill_tokens_per_s", r->prefill_tokens_per_s);
	(void)fputs(", \"device\": ", stdout);
	json_string_print(stdout, eval->session.device.name);
	(void)puts("}");
}

static void print_attention_json(const struct eval *eval, const struct eval_result *r)
{
	(void)fputs("{\"recipe\": ", stdout);
	json_string_print(stdout, r->recipe);
	(void)printf(", \"context\": %zu, \"tokens\": %zu", eval->options->contexts[0],
	             eval->options->tokens);
	print_number("attention_error", r->attention_error);
	print_number("mass", r->mass);
	print_number("bytes_per_token", r->bytes_per_token);
	(void)printf(", \"bytes_f16_per_token\": %zu", session_f16_bytes(&eval->session));
	print_number("ratio", r->ratio);
	(void)fputs(", \"device\": ", stdout);
	json_string_print(stdout, eval->session.device.name);
	(void)puts("}");
}

static void print_retrieval_json(const struct eval *eval, const struct eval_result *r)
{
	const struct eval_options *o = eval->options;
	const struct eval_retrieval *t = &r->retrieval;
	(void)printf("{\"task\": \"%s\", \"recipe\": ", task_name(o->task));
	json_string_print(stdout, r->recipe);
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
	json_string_print(stdout, eval->session.device.name);
	(void)puts("}");
}

void eval_json_print(const struct eval *eval, const struct eval_result *results, size_t recipe)
{
	if (eval_retrieves(eval->options))
		print_retrieval_json(eval, &results[recipe]);
	else if (eval->options->attention)
		print_attention_json(eval, &results[recipe]);
	else
		print_json(eval, results, recipe);
}
