/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_report.c
 * \brief   Results as a table for people.
 */
#include <stdio.h>

#include "eval_ranks.h"

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

/* Each recipe beside the next better one. */
static void print_ranks(const struct eval_options *o, const struct eval_result *results,
                        int name_width)
{
	size_t order[EVAL_MOST_RECIPES];
	char cell[EVAL_CELL_BYTES];
	eval_rank(results, o->n_recipes, order);
	(void)printf("\n" EVAL_RANKS_TITLE "\n%-*s", name_width, "recipe");
	for (size_t c = 0; c < EVAL_RANK_COLUMNS; c++)
		(void)printf(" %9s", eval_rank_columns[c].title);
	(void)putchar('\n');
	for (size_t n = 0; n < o->n_recipes; n++) {
		(void)printf("%-*s", name_width, results[order[n]].recipe);
		for (size_t c = 0; c < EVAL_RANK_COLUMNS; c++) {
			eval_rank_cell(results, order, n, c, cell);
			(void)printf(" %9s", cell);
		}
		(void)putchar('\n');
	}
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
	if (eval_ranks(o))
		print_ranks(o, results, name_width);
}

void eval_print(const struct eval *eval, const struct eval_result *results)
{
	const struct eval_options *o = eval->options;
	if (!o->json) {
		print_table(eval, results);
		return;
	}
	for (size_t i = 0; i < o->n_recipes * eval_parts(o); i++)
		eval_json_print(eval, results + i / o->n_recipes * o->n_recipes, i % o->n_recipes);
}
