/* SPDX-License-Identifier: MIT */
/** \file component_classes.c \brief Lloyd's algorithm over entropies, which are numbers: a class is an interval of them. */
#include "plan/component_classes.h"

#include "base/alloc.h"
#include "base/entropy.h"
#include "base/error.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = ABI_COMPONENT_CLASSES, ROUNDS = 100 };

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Sorts numbers and leaves each once; returns how many there are then. */
static size_t sort_distinct(double *x, size_t n)
{
	size_t kept = 0;
	qsort(x, n, sizeof *x, compare_doubles);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || x[i] > x[kept - 1])
			x[kept++] = x[i];
	return kept;
}

/* Of rising centres the nearest, the lower one of two as near. */
static int nearest(const double *centre, double x)
{
	int class = 0;
	while (class < CLASSES - 1 && x - centre[class] > centre[class + 1] - x)
		class ++;
	return class;
}

/* A class without entropies keeps its centre. Returns whether any moved. */
static bool move_centres(const double *entropy, size_t n, double *centre)
{
	double sum[CLASSES] = {0}, count[CLASSES] = {0};
	bool moved = false;
	for (size_t i = 0; i < n; i++) {
		int class = nearest(centre, entropy[i]);
		sum[class] += entropy[i];
		count[class] += 1;
	}
	for (int i = 0; i < CLASSES; i++) {
		double mean = count[i] > 0 ? sum[i] / count[i] : centre[i];
		moved = moved || mean != centre[i];
		centre[i] = mean;
	}
	return moved;
}

/* Centres begin at even ranks of the entropies that differ. distinct: room for n. */
static void find_centres(const double *entropy, size_t n, double *distinct, double *centre)
{
	memcpy(distinct, entropy, n * sizeof *distinct);
	size_t n_distinct = sort_distinct(distinct, n);
	for (size_t i = 0; i < CLASSES; i++)
		centre[i] = distinct[(2 * i + 1) * n_distinct / (2 * CLASSES)];
	int rounds = 0;
	while (move_centres(entropy, n, centre) && rounds < ROUNDS)
		rounds++;
}

/* The sample of a class, one component behind the other; returns how many codes. */
static size_t gather(const struct clkv__samples *s, const uint8_t *classes, int class,
                     int8_t *gathered)
{
	size_t n = 0;
	for (size_t i = 0; i < s->components; i++) {
		if (classes[i] != class)
			continue;
		memcpy(gathered + n, s->codes + i * s->tokens, s->tokens);
		n += s->tokens;
	}
	return n;
}

static size_t largest_class(const struct clkv__samples *s, const uint8_t *classes)
{
	size_t counts[CLASSES] = {0}, most = 0;
	for (size_t i = 0; i < s->components; i++)
		counts[classes[i]]++;
	for (int i = 0; i < CLASSES; i++)
		most = counts[i] > most ? counts[i] : most;
	return most;
}

static clkv_status learn_dictionaries(const struct clkv__samples *s, const uint8_t *classes,
                                      const clkv_allocator *allocator,
                                      struct clkv__phrases *dictionaries, clkv_error *error)
{
	int8_t *gathered = clkv__calloc(allocator, largest_class(s, classes), s->tokens);
	clkv_status status = CLKV_OK;
	if (!gathered)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for a class of components");
	for (int i = 0; i < CLASSES && status == CLKV_OK; i++) {
		size_t n = gather(s, classes, i, gathered);
		status = clkv__phrases_learn(gathered, n, allocator, dictionaries + i, error);
	}
	clkv__free(allocator, gathered);
	return status;
}

/* A component of a head. */
struct component {
	size_t number;
	double entropy;
};

static int compare_components(const void *a, const void *b)
{
	const struct component *x = a, *y = b;
	if (x->entropy != y->entropy)
		return x->entropy < y->entropy ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

/* Sorts a head's components; entropies of those that will have one class become their mean. */
static void sort_head(const struct clkv__samples *s, size_t first, struct component *of,
                      double *means)
{
	for (size_t i = 0; i < s->head; i++) {
		size_t number = first + i;
		of[i] = (struct component){number, clkv__entropy(s->codes + number * s->tokens, s->tokens)};
	}
	qsort(of, s->head, sizeof *of, compare_components);
	for (size_t i = 0; i < s->head; i++)
		means[i / ABI_QTC_ALIKE] += of[i].entropy / ABI_QTC_ALIKE;
}

static clkv_status classify(const struct clkv__samples *s, const clkv_allocator *allocator,
                            uint8_t *classes, clkv_error *error)
{
	size_t n = s->components / ABI_QTC_ALIKE;
	struct component *of = clkv__calloc(allocator, s->components, sizeof *of);
	double centre[CLASSES], *entropy = of ? clkv__calloc(allocator, 2 * n, sizeof *entropy) : NULL;
	if (!entropy) {
		clkv__free(allocator, of);
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu entropies",
		          s->components);
	}
	for (size_t i = 0; i < s->components; i += s->head)
		sort_head(s, i, of + i, entropy + i / ABI_QTC_ALIKE);
	find_centres(entropy, n, entropy + n, centre);
	for (size_t i = 0; i < s->components; i++)
		classes[of[i].number] = (uint8_t)nearest(centre, entropy[i / ABI_QTC_ALIKE]);
	clkv__free(allocator, of);
	clkv__free(allocator, entropy);
	return CLKV_OK;
}

clkv_status clkv__component_classes(const struct clkv__samples *samples,
                                    const clkv_allocator *allocator, uint8_t *classes,
                                    struct clkv__phrases *dictionaries, clkv_error *error)
{
	CLKV_TRY(classify(samples, allocator, classes, error));
	return learn_dictionaries(samples, classes, allocator, dictionaries, error);
}
