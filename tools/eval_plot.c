/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_plot.c
 * \brief   Quality against bytes per token, drawn by gnuplot.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "eval.h"

/* A string in gnuplot's single quotes: nothing is special in them but the quote, which is doubled.
 */
static void print_quoted(FILE *gnuplot, const char *text)
{
	(void)fputc('\'', gnuplot);
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			(void)fputc('\'', gnuplot);
		(void)fputc(*text == '\n' ? ' ' : *text, gnuplot);
	}
	(void)fputc('\'', gnuplot);
}

/* A cell of the inline data, in double quotes. */
static void print_cell(FILE *gnuplot, const char *text)
{
	(void)fputc('"', gnuplot);
	for (; *text != '\0'; text++)
		(void)fputc(*text == '"' || *text == '\n' ? ' ' : *text, gnuplot);
	(void)fputs("\"\n", gnuplot);
}

static void print_script(FILE *gnuplot, const struct eval *eval, const struct eval_result *results,
                         const char *path)
{
	const struct eval_options *options = eval->options;
	const char *quality = options->needle ? "accuracy" : "change of perplexity, %";
	(void)fputs("set terminal pngcairo noenhanced size 1000,640\nset output ", gnuplot);
	print_quoted(gnuplot, path);
	(void)fprintf(gnuplot, "\nset title 'prompt of %zu tokens'\nset xlabel 'bytes per token'\n",
	              options->context);
	(void)fprintf(gnuplot, "set ylabel '%s'\nset logscale x 2\nset grid\nunset key\n", quality);
	(void)fputs("set offsets graph 0.1, graph 0.25, graph 0.1, graph 0.1\n$data << EOD\n", gnuplot);
	for (size_t i = 0; i < options->n_recipes; i++) {
		const struct eval_result *r = &results[i];
		(void)fprintf(gnuplot, "%.6g %.6g ", r->bytes_per_token,
		              options->needle ? r->accuracy : r->delta_pct);
		print_cell(gnuplot, r->recipe);
	}
	(void)fputs("EOD\nplot $data using 1:2 with points pt 7 ps 1.4, "
	            "$data using 1:2:3 with labels left offset 1,0.4\n",
	            gnuplot);
}

bool eval_plot(const struct eval *eval, const struct eval_result *results, const char *path,
               struct tool_error *error)
{
	FILE *gnuplot = popen("gnuplot", "w");
	if (gnuplot == NULL)
		return tool_fail(error, "can't start gnuplot: %s", strerror(errno));
	print_script(gnuplot, eval, results, path);
	int status = pclose(gnuplot);
	if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return tool_fail(error,
		                 "gnuplot could not draw '%s'; is gnuplot installed and the folder "
		                 "writable?",
		                 path);
	return true;
}
