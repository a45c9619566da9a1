/* SPDX-License-Identifier: MIT */
/** \file advise_report.c \brief The advice as a table and as sentences; the curve as a picture. */
#include <stdio.h>
#include <stdlib.h>

#include "advise.h"
#include "shell_word.h"

static const struct eval_column columns[] = {
	EVAL_COLUMN("B/token", 8, 0, false, bytes_per_token),
	EVAL_COLUMN("bits", 6, 2, false, bits_per_value),
	EVAL_COLUMN("ratio", 6, 2, false, ratio),
	EVAL_COLUMN("KL", 8, 5, false, kl_mean),
	EVAL_COLUMN("from", 8, 5, false, kl_low),
	EVAL_COLUMN("to", 8, 5, false, kl_high),
	EVAL_COLUMN("loss %", 7, 2, true, delta_pct),
	EVAL_COLUMN("from", 7, 2, true, delta_low),
	EVAL_COLUMN("to", 7, 2, true, delta_high),
	EVAL_COLUMN("top-1", 6, 3, false, top1_agree),
};

enum { N_COLUMNS = sizeof columns / sizeof columns[0], NAME_WIDTH = 30, SIZE_COLUMNS = 3 };

static void print_point(const struct advise *a, size_t i)
{
	const struct advise_point *p = &a->points[i];
	struct eval_result r = p->result;
	char cell[EVAL_CELL_BYTES];
	/* what wasn't measured has bytes all the same */
	const double f16 = (double)session_f16_bytes(&a->eval.session);
	r.bytes_per_token = p->bytes;
	r.ratio = f16 / p->bytes;
	r.bits_per_value = 16.0 * p->bytes / f16;
	(void)printf("%c%c %-*s", i == a->chosen ? '>' : ' ', p->on_hull ? '*' : ' ', NAME_WIDTH,
	             p->label);
	for (size_t c = 0; c < (p->measured ? N_COLUMNS : SIZE_COLUMNS); c++) {
		eval_cell(&columns[c], &r, cell);
		(void)printf(" %*s", columns[c].width, cell);
	}
	(void)puts(p->measured ? "" : "  not measured");
}

static void print_curve(const struct advise *a)
{
	const struct advise_options *o = a->options;
	(void)printf("%s, %s\n", o->model, a->eval.session.device.name);
	(void)printf("%s: prompt %zu tokens, %zu scored in %zu window%s; intervals of 95 %%\n", o->text,
	             o->context, o->tokens * o->windows, o->windows, o->windows > 1 ? "s" : "");
	(void)printf(
		"all but f16: sinks=%zu, window=%zu; bytes per token at %zu tokens; * on the lower "
		"hull, > advised\n\n",
		o->sinks, o->window, o->length);
	(void)printf("   %-*s", NAME_WIDTH, "recipe");
	for (size_t c = 0; c < N_COLUMNS; c++)
		(void)printf(" %*s", columns[c].width, columns[c].title);
	(void)putchar('\n');
	for (size_t i = 0; i < a->n; i++)
		print_point(a, i);
}

static void print_limit(const struct advise_limit *limit)
{
	if (limit->kind == ADVISE_KL)
		(void)printf("fewest bytes within a divergence of %g nats", limit->most);
	else if (limit->kind == ADVISE_LOSS)
		(void)printf("fewest bytes within a loss of %g %%", limit->most);
	else
		(void)printf("least divergence within %g bytes per token", limit->most);
}

/* What shared its bits out, beside the same bits for all. */
static void print_rivals(const struct advise *a)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct advise_point *p = &a->points[i];
		const struct eval_pair *d = &p->against;
		if (p->rival == 0 || !p->measured)
			continue;
		const struct advise_point *r = advise_rival(a, p);
		(void)printf("\n%s: %+.1f %% bytes and %+.5f nats (%+.5f to %+.5f) against '%s'\n    %s\n",
		             p->label, 100 * (p->bytes / r->bytes - 1), d->kl, d->kl_range.low,
		             d->kl_range.high, r->label, p->recipe);
	}
}

static void print_sizes(const struct advise *a, const struct advise_point *p)
{
	const double f16 = (double)session_f16_bytes(&a->eval.session), mib = 1024.0 * 1024.0;
	(void)printf("\nbytes of a sequence  tokens        MiB    of f16's\n");
	for (size_t l = 0; l < ADVISE_LENGTHS; l++)
		(void)printf("                    %7zu %10.2f  1 / %.2f\n", advise_lengths[l],
		             p->bytes_at[l] / mib, f16 * (double)advise_lengths[l] / p->bytes_at[l]);
}

static void print_recipe_words(const struct advise *a, const struct advise_point *p)
{
	(void)fputs(" --recipe ", stdout);
	shell_word_print(stdout, p->recipe);
	if (advise_needs_calibration(a)) {
		(void)fputs(" --calibration ", stdout);
		shell_word_print(stdout, a->options->out);
	}
}

static void print_commands(const struct advise *a, const struct advise_point *p)
{
	const struct advise_options *o = a->options;
	(void)fputs("\nuse it:\n    clkv-generate --model ", stdout);
	shell_word_print(stdout, o->model);
	print_recipe_words(a, p);
	(void)fputs(" --prompt 'Once upon a time'\n    clkv-eval --model ", stdout);
	shell_word_print(stdout, o->model);
	(void)fputs(" --text ", stdout);
	shell_word_print(stdout, o->text);
	(void)printf(" --offset %zu --context %zu --tokens %zu --windows %zu --stride %zu --rows %d",
	             (size_t)(a->eval.texts[0].ids - a->eval.texts[0].all), o->context, o->tokens,
	             o->windows, o->tokens, ADVISE_ROWS);
	print_recipe_words(a, p);
	(void)putchar('\n');
}

static void print_advice(const struct advise *a)
{
	const struct advise_point *p = &a->points[a->chosen];
	(void)fputs("\nadvice, the ", stdout);
	print_limit(&a->options->limit);
	(void)printf(": %s\n", p->recipe);
	if (advise_needs_calibration(a))
		(void)printf("with the calibration in %s, of delta %g: %s, keys %s RoPE\n", a->options->out,
		             (double)p->delta, a->shared ? "bits shared out" : "one step for all heads",
		             a->before ? "in front of" : "behind");
	print_sizes(a, p);
	print_commands(a, p);
}

static void print_warnings(const struct advise_warnings *w)
{
	for (size_t i = 0; i < w->n; i++)
		(void)printf("%swarning: %s\n", i == 0 ? "\n" : "", w->text[i]);
	if (w->left_out > 0)
		(void)printf("and %zu warnings more\n", w->left_out);
}

void advise_print(const struct advise *a)
{
	print_curve(a);
	print_rivals(a);
	print_warnings(&a->warnings);
	if (a->chosen < a->n)
		print_advice(a);
}

bool advise_draw(const struct advise *a, const char *path, struct tool_error *error)
{
	struct eval_options options = *a->eval.options;
	struct eval_result *results = calloc(a->n, sizeof *results);
	if (results == NULL)
		return tool_fail(error, "out of memory");
	options.n_recipes = 0;
	for (size_t i = 0; i < a->n; i++) {
		if (!a->points[i].measured)
			continue;
		options.recipes[options.n_recipes] = a->points[i].recipe;
		results[options.n_recipes++] = a->points[i].result;
	}
	bool done = eval_plot(&options, results, path, error);
	free(results);
	return done;
}
