/* SPDX-License-Identifier: MIT */
/** \file ref_merge.c \brief What becomes of tokens that aren't kept: each joins the mean of the nearest ones. */
#include "ref_half.h"
#include "ref_select.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

double ref_select_near(enum ref_near metric, size_t dk, const double *token, const double *slot,
                       double *error)
{
	double dot = 0.0, size = 0.0, apart = 0.0, far = 0.0, squares = 0.0;
	for (size_t d = 0; d < dk; d++) {
		double gap = token[d] - slot[d];
		dot += token[d] * slot[d];
		size += fabs(token[d] * slot[d]);
		apart += gap * gap;
		far += fabs(gap) * (fabs(gap) + fabs(slot[d]));
		squares += slot[d] * slot[d];
	}
	if (metric == REF_NEAR_L2) {
		*error = 2.0 * far;
		return -apart;
	}
	double norm = metric == REF_NEAR_DOT ? 1.0 : sqrt(squares);
	*error = norm > 0.0 ? 2.0 * size / norm : 0.0;
	return norm > 0.0 ? dot / norm : 0.0;
}

/* The nearest of n merged slots that stand for tokens. */
static size_t nearest(struct ref_head *h, const struct ref_slot *slots, size_t n,
                      const struct ref_slot *token, double slack)
{
	size_t best = SIZE_MAX;
	double most = -INFINITY, most_error = 0.0;
	size_t dk = h->a.dk;
	for (size_t j = 0; j < n; j++) {
		double error, near = ref_select_near(h->s->metric, dk, token->k, slots[j].k, &error);
		if (slots[j].weight <= 0.0)
			continue;
		if (best != SIZE_MAX && memcmp(slots[j].k, slots[best].k, dk * sizeof(double)) != 0 &&
		    fabs(near - most) <= slack * (error + most_error))
			h->merges_sure = false;
		if (near > most) {
			best = j;
			most = near;
			most_error = error;
		}
	}
	return best;
}

static void join(struct ref_head *h, struct ref_slot *slot, const struct ref_slot *token)
{
	double sum = slot->weight + token->weight;
	for (size_t d = 0; d < h->a.dk + h->a.dv; d++) /* values lie behind keys */
		slot->k[d] = (token->weight * token->k[d] + slot->weight * slot->k[d]) / sum;
	slot->score = h->s->score_sum ? slot->score + token->score : fmax(slot->score, token->score);
	slot->weight = sum;
	if (token->position > slot->position)
		slot->position = token->position;
}

/* A slot with a token of its own. */
static struct ref_slot copy_slot(const struct ref_head *h, const struct ref_slot *token)
{
	size_t n = h->a.dk + h->a.dv;
	struct ref_slot slot = *token;
	slot.k = calloc(n + 1, sizeof *slot.k);
	if (!slot.k)
		abort();
	slot.v = slot.k + h->a.dk;
	slot.merged = true;
	memcpy(slot.k, token->k, n * sizeof *slot.k);
	return slot;
}

/* Even runs of all of them, the longer ones first; each makes a slot. */
static size_t make_runs(struct ref_head *h, struct ref_slot *slots, size_t runs,
                        const struct ref_slot *tokens, size_t n)
{
	size_t at = 0;
	for (size_t r = 0; r < runs; r++) {
		size_t end = at + n / runs + (r < n % runs ? 1 : 0);
		slots[r] = copy_slot(h, &tokens[at++]);
		while (at < end)
			join(h, &slots[r], &tokens[at++]);
	}
	return runs;
}

/* slots [room] has n of them; returns how many it has behind it. */
static size_t merge(struct ref_head *h, struct ref_slot *slots, size_t n, size_t room,
                    const struct ref_slot *tokens, size_t n_tokens)
{
	/* products of dk terms, and means of up to n_tokens that were rounded three times with each */
	double slack = (double)(h->a.dk + 32 + 3 * n_tokens) * 0x1p-24;
	if (n == 0 && h->s->init == REF_CONTIG && n_tokens > room)
		return make_runs(h, slots, room, tokens, n_tokens);
	for (size_t i = 0; i < n_tokens; i++) {
		if (n < room) {
			slots[n++] = copy_slot(h, &tokens[i]);
			continue;
		}
		size_t j = nearest(h, slots, n, &tokens[i], slack);
		if (j != SIZE_MAX)
			join(h, &slots[j], &tokens[i]);
	}
	return n;
}

void ref_select_apply(struct ref_head *h)
{
	const struct ref_choice *c = &h->choice;
	struct ref_quota q = h->quota;
	size_t room = q.merged > h->n_merged ? q.merged : h->n_merged, n = 0, dropped = 0;
	h->merges_sure = true;
	if (c->n == 0)
		return;
	struct ref_slot *slots = calloc(room + h->n + 1, sizeof *slots);
	struct ref_slot *tokens = calloc(c->n + 1, sizeof *tokens);
	if (!slots || !tokens)
		abort();
	for (size_t i = 0; i < c->n; i++)
		if (!c->kept[i])
			tokens[dropped++] = h->slot[c->first + i];
	memcpy(slots, h->slot, h->n_merged * sizeof *slots);
	n = q.merged > 0 ? merge(h, slots, h->n_merged, room, tokens, dropped) : h->n_merged;
	for (size_t j = 0; j < n; j++)
		for (size_t d = 0; d < h->a.dk + h->a.dv; d++)
			slots[j].k[d] = ref_half(slots[j].k[d]);
	size_t merged = n;
	for (size_t i = h->n_merged; i < h->n; i++)
		if (i < c->first || i >= c->first + c->n || c->kept[i - c->first])
			slots[n++] = h->slot[i];
	for (size_t i = 0; i < dropped; i++)
		free(tokens[i].k);
	free(tokens);
	free(h->slot);
	h->slot = slots;
	h->room = room + h->n + 1;
	h->n = n;
	h->n_merged = merged;
}
