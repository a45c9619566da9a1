/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_plot.c
 * \brief   Quality against bytes per token, or bits per value of several windows, drawn by gnuplot.
 *
 * Points are numbers of a key that stands beside the plot; their colour is the family, the stages of
 * the recipe without their keys. Sizes are pixels of PNG and units of SVG alike.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "eval.h"
#include "plot_family.h"
#include "plot_labels.h"
#include "plot_ticks.h"

/* The plot, the room around it, and a line of the key. */
enum {
	PLOT_WIDTH = 600,
	PLOT_HEIGHT = 480,
	LEFT = 90,
	BELOW = 60,
	ABOVE = 50,
	KEY_WIDTH = 520,
	KEY_LINE = 20,
	WIDTH = LEFT + PLOT_WIDTH + KEY_WIDTH
};

/* Characters of a recipe that fit into the key. */
#define KEY_CHARACTERS 42

/* Okabe and Ito's colours, which people who see fewer colours tell apart, and greys. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
                                      "#56b4e9", "#000000", "#999999", "#8c510a", "#5e3c99"};
/* gnuplot's open circle, square, triangles and diamond; the filled ones follow each. */
static const int shapes[] = {6, 4, 8, 10, 12};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct range {
	double low, high;
};

struct plot {
	FILE *gnuplot;
	const struct eval_options *options;
	const struct eval_result *results;
	size_t n;
	struct range x, y;                       /* logarithms, but for y of retrieval tasks */
	double floor;                            /* where what loses nothing is drawn, as y */
	int height;                              /* of the picture */
	double mark;                             /* gnuplot's size of a mark 9 pixels wide */
	struct plot_point at[EVAL_MOST_RECIPES]; /* pixels from the plot's lower left; NaN: not drawn */
	size_t hull[EVAL_MOST_RECIPES], n_hull;
};

/* A string in gnuplot's single quotes: nothing is special in them but the quote, which is doubled.
 */
static void print_quoted(FILE *gnuplot, const char *text)
{
	(void)fputc('\'', gnuplot);
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			(void)fputc('\'', gnuplot);
		(void)fputc((unsigned char)*text < 0x20 ? ' ' : *text, gnuplot);
	}
	(void)fputc('\'', gnuplot);
}

static double loss(const struct plot *p, size_t i)
{
	const struct eval_result *r = &p->results[i];
	return p->options->attention ? r->attention_error : r->kl_mean;
}

/* What the point's x stands for. */
static double cost(const struct plot *p, size_t i)
{
	const struct eval_result *r = &p->results[i];
	return eval_judges(p->options) ? r->bits_per_value : r->bytes_per_token;
}

/* The point's y; minus infinity when nothing is lost, which a logarithm can't show. */
static double height_of(const struct plot *p, size_t i)
{
	if (eval_retrieves(p->options))
		return p->results[i].retrieval.exact;
	return plot_loss_height(loss(p, i));
}

static void widen(struct range *range, double value)
{
	if (!isfinite(value))
		return;
	range->low = fmin(range->low, value);
	range->high = fmax(range->high, value);
}

/* Room of 5 percent at each side, and at least that of a factor of 2. */
static void round_range(struct range *range)
{
	double room = fmax((range->high - range->low) / 20, 0.05);
	range->low -= room;
	range->high += room;
}

static void find_ranges(struct plot *p)
{
	p->x = p->y = (struct range){INFINITY, -INFINITY};
	for (size_t i = 0; i < p->n; i++) {
		widen(&p->x, log10(cost(p, i)));
		widen(&p->y, height_of(p, i));
	}
	if (eval_retrieves(p->options))
		p->y = (struct range){0, 1};
	if (!isfinite(p->y.low)) /* only the exact one */
		p->y = (struct range){-4, -3};
	p->floor = plot_loss_floor(p->y.low, p->y.high);
	if (!eval_retrieves(p->options))
		p->y.low = p->floor;
	round_range(&p->x);
	round_range(&p->y);
}

/* The hull is that of the points as they are drawn: one on the line of 0 ends it. */
static void find_points(struct plot *p)
{
	struct plot_point costs[EVAL_MOST_RECIPES];
	size_t work[EVAL_MOST_RECIPES];
	for (size_t i = 0; i < p->n; i++) {
		double x = log10(cost(p, i));
		double y = height_of(p, i);
		y = isinf(y) && y < 0 ? p->floor : y;
		p->at[i] = (struct plot_point){(x - p->x.low) / (p->x.high - p->x.low) * PLOT_WIDTH,
		                               (y - p->y.low) / (p->y.high - p->y.low) * PLOT_HEIGHT};
		costs[i] =
			(struct plot_point){p->at[i].x, eval_retrieves(p->options) ? -p->at[i].y : p->at[i].y};
	}
	p->n_hull = plot_lower_hull(costs, p->n, p->hull, work);
}

static bool is_drawn(const struct plot *p, size_t i)
{
	return isfinite(p->at[i].x) && isfinite(p->at[i].y);
}

static bool on_hull(const struct plot *p, size_t i)
{
	for (size_t k = 0; k < p->n_hull; k++) {
		if (p->hull[k] == i)
			return true;
	}
	return false;
}

static void print_axes(const struct plot *p)
{
	FILE *g = p->gnuplot;
	const char *quality = eval_retrieves(p->options) ? "right answers"
	                      : p->options->attention
	                          ? "error of attention, relative"
	                          : "KL divergence from the exact cache, nats per token";
	(void)fprintf(g, "set lmargin at screen %g\nset rmargin at screen %g\n", LEFT / (double)WIDTH,
	              (LEFT + PLOT_WIDTH) / (double)WIDTH);
	(void)fprintf(g, "set bmargin at screen %g\nset tmargin at screen %g\n",
	              (p->height - ABOVE - PLOT_HEIGHT) / (double)p->height,
	              (p->height - ABOVE) / (double)p->height);
	(void)fprintf(g, "set xlabel '%s'\nset ylabel '%s'\n",
	              eval_judges(p->options) ? "bits per value, everything counted"
	                                      : "bytes per token, all layers",
	              quality);
	(void)fputs("set grid lc rgb '#dddddd' lw 1\nunset key\nset logscale x\n", g);
	(void)fprintf(g, "set xrange [%.10g:%.10g]\n", pow(10, p->x.low), pow(10, p->x.high));
	plot_ticks_print(g, 'x', p->x.low, p->x.high);
	if (eval_retrieves(p->options)) {
		(void)fprintf(g, "set yrange [%.10g:%.10g]\n", p->y.low, p->y.high);
		return;
	}
	(void)fprintf(g, "set logscale y\nset yrange [%.10g:%.10g]\n", pow(10, p->y.low),
	              pow(10, p->y.high));
	plot_ticks_print(g, 'y', p->floor + 0.1, p->y.high);
	(void)fprintf(g, "set ytics add ('0' %.10g)\n", pow(10, p->floor));
}

/* The size of a picture and its font, which both terminals take alike. */
static void print_terminal(struct plot *p, const char *path)
{
	size_t length = strlen(path);
	bool is_svg = length >= 4 && strcmp(path + length - 4, ".svg") == 0;
	p->mark = is_svg ? 0.9 : 1.3;
	(void)fprintf(p->gnuplot, "set terminal %s noenhanced size %d,%d font 'sans,%d'%s\nset output ",
	              is_svg ? "svg" : "pngcairo", WIDTH, p->height, is_svg ? 13 : 10,
	              is_svg ? " background rgb 'white'" : "");
	print_quoted(p->gnuplot, path);
	(void)fputc('\n', p->gnuplot);
}

/* A mark of the family of recipe i, filled if it lies on the hull, at a place in words of gnuplot.
 */
static void print_mark(const struct plot *p, size_t i, const char *system, double x, double y)
{
	size_t family = plot_family(p->options->recipes, i);
	int shape = shapes[family / COUNT(colours) % COUNT(shapes)] + (on_hull(p, i) ? 1 : 0);
	(void)fprintf(p->gnuplot, "set label '' at %s %.6g,%.6g point pt %d ps %g lw 1.5 lc rgb '%s'\n",
	              system, x, y, shape, p->mark, colours[family % COUNT(colours)]);
}

static void print_text(const struct plot *p, const char *text, const char *where,
                       struct plot_point at, const char *colour)
{
	(void)fputs("set label ", p->gnuplot);
	print_quoted(p->gnuplot, text);
	(void)fprintf(p->gnuplot, " at %s %.6g,%.6g %s tc rgb '%s'\n",
	              strcmp(where, "plot") == 0 ? "graph" : "screen", at.x, at.y,
	              strcmp(where, "plot") == 0 ? "center" : where, colour);
}

static void print_line(const struct plot *p, struct plot_point from, struct plot_point to,
                       const char *style)
{
	(void)fprintf(p->gnuplot, "set arrow from graph %.6g,%.6g to graph %.6g,%.6g nohead back %s\n",
	              from.x / PLOT_WIDTH, from.y / PLOT_HEIGHT, to.x / PLOT_WIDTH, to.y / PLOT_HEIGHT,
	              style);
}

static void print_hull(const struct plot *p)
{
	for (size_t k = 1; k < p->n_hull; k++)
		print_line(p, p->at[p->hull[k - 1]], p->at[p->hull[k]], "lw 1.5 dt 2 lc rgb '#444444'");
}

/* Marks and their numbers; a number that had to go far off is tied to its mark by a line. */
static void print_points(const struct plot *p)
{
	struct plot_point marks[EVAL_MOST_RECIPES];
	struct plot_point centres[EVAL_MOST_RECIPES];
	size_t recipe[EVAL_MOST_RECIPES];
	struct plot_labels labels = {PLOT_WIDTH, PLOT_HEIGHT, 9, 17, 13, marks, 0};
	for (size_t i = 0; i < p->n; i++) {
		if (!is_drawn(p, i))
			continue;
		recipe[labels.n] = i;
		marks[labels.n++] = p->at[i];
	}
	plot_labels_place(&labels, centres);
	for (size_t k = 0; k < labels.n; k++) {
		struct plot_point m = {marks[k].x / PLOT_WIDTH, marks[k].y / PLOT_HEIGHT};
		struct plot_point c = {centres[k].x / PLOT_WIDTH, centres[k].y / PLOT_HEIGHT};
		const char *colour = colours[plot_family(p->options->recipes, recipe[k]) % COUNT(colours)];
		char number[24];
		(void)snprintf(number, sizeof number, "%zu", recipe[k] + 1);
		if (hypot(marks[k].x - centres[k].x, marks[k].y - centres[k].y) > plot_labels_near(&labels))
			print_line(p, marks[k], centres[k], "lc rgb '#999999' lw 0.7");
		print_mark(p, recipe[k], "graph", m.x, m.y);
		print_text(p, number, "plot", c, colour);
	}
}

static struct plot_point in_key(const struct plot *p, int x, size_t line)
{
	return (struct plot_point){(LEFT + PLOT_WIDTH + x) / (double)WIDTH,
	                           1 - (ABOVE + 6 + KEY_LINE * (double)line) / p->height};
}

static void print_key_line(const struct plot *p, size_t i)
{
	const char *recipe = p->results[i].recipe;
	const char *colour = colours[plot_family(p->options->recipes, i) % COUNT(colours)];
	char text[KEY_CHARACTERS + 8];
	struct plot_point mark = in_key(p, 26, i + 1);
	print_mark(p, i, "screen", mark.x, mark.y);
	(void)snprintf(text, sizeof text, "%zu", i + 1);
	print_text(p, text, "right", in_key(p, 58, i + 1), colour);
	(void)snprintf(text, sizeof text, "%.*s%s", KEY_CHARACTERS, recipe,
	               strlen(recipe) > KEY_CHARACTERS ? "..." : "");
	print_text(p, text, "left", in_key(p, 68, i + 1), colour);
	(void)snprintf(text, sizeof text, eval_judges(p->options) ? "%.3f" : "%.0f", cost(p, i));
	print_text(p, text, "right", in_key(p, 430, i + 1), "#000000");
	(void)snprintf(text, sizeof text, "%.3g",
	               eval_retrieves(p->options) ? p->results[i].retrieval.exact : loss(p, i));
	print_text(p, text, "right", in_key(p, 505, i + 1), "#000000");
}

static void print_key(const struct plot *p)
{
	print_text(p, "recipe", "left", in_key(p, 68, 0), "#000000");
	print_text(p, eval_judges(p->options) ? "bits" : "bytes", "right", in_key(p, 430, 0),
	           "#000000");
	print_text(p,
	           eval_retrieves(p->options) ? "right answers"
	           : p->options->attention    ? "error"
	                                      : "KL",
	           "right", in_key(p, 505, 0), "#000000");
	for (size_t i = 0; i < p->n; i++)
		print_key_line(p, i);
	print_text(p,
	           eval_retrieves(p->options) ? "filled and joined: the upper hull"
	                                      : "filled and joined: the lower hull",
	           "left", in_key(p, 68, p->n + 1), "#666666");
}

static void print_script(struct plot *p, const char *path)
{
	char title[EVAL_TITLE_BYTES];
	int key = ABOVE + (int)(p->n + 3) * KEY_LINE;
	p->height = ABOVE + PLOT_HEIGHT + BELOW > key ? ABOVE + PLOT_HEIGHT + BELOW : key;
	find_ranges(p);
	find_points(p);
	eval_title(p->options, p->results, title);
	print_terminal(p, path);
	print_text(p, title, "left", (struct plot_point){LEFT / (double)WIDTH, 1 - 24.0 / p->height},
	           "#000000");
	print_axes(p);
	print_hull(p);
	print_points(p);
	print_key(p);
	/* all is labels and arrows; axes appear when something is plotted, if only beyond them */
	(void)fputs("plot '-' with points\n1e300 1e300\ne\n", p->gnuplot);
}

bool eval_plot_ready(struct tool_error *error)
{
	int status = system("gnuplot --version >/dev/null 2>&1");
	return status == 0 || tool_fail(error, "--plot and --html draw with gnuplot, and there is none "
	                                       "here: install it or leave them out");
}

bool eval_plot(const struct eval_options *options, const struct eval_result *results,
               const char *path, struct tool_error *error)
{
	struct plot plot = {.options = options, .results = results, .n = options->n_recipes};
	plot.gnuplot = popen("exec gnuplot >/dev/null", "w");
	if (plot.gnuplot == NULL)
		return tool_fail(error, "can't start gnuplot: %s", strerror(errno));
	print_script(&plot, path);
	int status = pclose(plot.gnuplot);
	if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return tool_fail(error,
		                 "gnuplot could not draw '%s'; is gnuplot installed and the folder "
		                 "writable?",
		                 path);
	return true;
}
