/* SPDX-License-Identifier: MIT */
/**
 * \file    sampler.c
 * \brief   Temperature first, then top-k, then top-p, then a draw: the usual order.
 */
#include "sampler.h"

#include <math.h>
#include <stdlib.h>

#include "logits.h"

struct choice {
	float logit;
	float weight;
	int32_t id;
};

struct sampler {
	struct sampler_options options;
	size_t vocabulary;
	uint64_t state;
	struct choice *choices; /* [vocabulary] */
};

bool sampler_create(const struct sampler_options *options, size_t vocabulary, struct sampler **out,
                    struct tool_error *error)
{
	struct sampler *sampler = calloc(1, sizeof *sampler);
	struct choice *choices = calloc(vocabulary, sizeof *choices);
	if (sampler == NULL || choices == NULL) {
		free(sampler);
		free(choices);
		return tool_fail(error, "out of memory");
	}
	sampler->options = *options;
	sampler->vocabulary = vocabulary;
	sampler->state = options->seed;
	sampler->choices = choices;
	*out = sampler;
	return true;
}

void sampler_destroy(struct sampler *sampler)
{
	if (sampler == NULL)
		return;
	free(sampler->choices);
	free(sampler);
}

/* splitmix64 (Steele et al., 2014): a number from 0 up to 1 */
static double draw_uniform(struct sampler *sampler)
{
	uint64_t z = (sampler->state += 0x9E3779B97F4A7C15U);
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
	z = (z ^ z >> 27) * 0x94D049BB133111EBU;
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static int likelier_first(const void *a, const void *b)
{
	const struct choice *x = a;
	const struct choice *y = b;
	if (x->logit != y->logit)
		return x->logit > y->logit ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

/* Puts a choice into a heap of n whose top is the least likely, in place of that. */
static void replace_top(struct choice *heap, size_t n, struct choice with)
{
	size_t at = 0;
	for (size_t child = 1; child < n; child = 2 * at + 1) {
		if (child + 1 < n && likelier_first(&heap[child], &heap[child + 1]) < 0)
			child++;
		if (likelier_first(&heap[child], &with) < 0)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = with;
}

/* Fills choices with the k likeliest, the likeliest first. Sorting all of a vocabulary would take as long
 * as the rest of a step. */
static void choose(struct sampler *sampler, const float *logits, size_t k)
{
	struct choice *choices = sampler->choices;
	for (size_t i = 0; i < k; i++)
		choices[i] = (struct choice){-INFINITY, 0.0F, INT32_MAX};
	for (size_t i = 0; i < sampler->vocabulary && k < sampler->vocabulary; i++) {
		struct choice next = {logits[i], 0.0F, (int32_t)i};
		if (likelier_first(&next, &choices[0]) < 0)
			replace_top(choices, k, next);
	}
	for (size_t i = 0; i < k && k == sampler->vocabulary; i++)
		choices[i] = (struct choice){logits[i], 0.0F, (int32_t)i};
	qsort(choices, k, sizeof *choices, likelier_first);
}

/* Fills choices, the likeliest first, and returns how many remain. */
static size_t narrow(struct sampler *sampler, const float *logits)
{
	const struct sampler_options *options = &sampler->options;
	size_t n = sampler->vocabulary;
	if (options->top_k > 0 && options->top_k < n)
		n = options->top_k;
	choose(sampler, logits, n);
	double total = 0.0;
	for (size_t i = 0; i < n; i++) {
		float below = sampler->choices[i].logit - sampler->choices[0].logit;
		sampler->choices[i].weight = expf(below / options->temperature);
		total += (double)sampler->choices[i].weight;
	}
	double kept = 0.0;
	for (size_t i = 0; i < n; i++) {
		kept += (double)sampler->choices[i].weight;
		if (kept >= (double)options->top_p * total)
			return i + 1;
	}
	return n;
}

int32_t sampler_draw(struct sampler *sampler, const float *logits)
{
	if (sampler->options.temperature <= 0.0F)
		return (int32_t)logits_best(logits, sampler->vocabulary);
	size_t n = narrow(sampler, logits);
	double total = 0.0;
	for (size_t i = 0; i < n; i++)
		total += (double)sampler->choices[i].weight;
	double at = draw_uniform(sampler) * total;
	for (size_t i = 0; i + 1 < n; i++) {
		at -= (double)sampler->choices[i].weight;
		if (at < 0.0)
			return sampler->choices[i].id;
	}
	return sampler->choices[n - 1].id;
}
