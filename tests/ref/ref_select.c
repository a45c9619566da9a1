/* SPDX-License-Identifier: MIT */
/** \file ref_select.c \brief Selection as the rules say it: lists, sorts and sums. */
#include "ref_select.h"

#include "ref_expect.h"
#include "ref_half.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *new_array(size_t n, size_t size)
{
	void *values = calloc(n + 1, size);
	if (!values)
		abort();
	return values;
}

static size_t share_of(double share, size_t whole)
{
	return share > 1.0 ? (size_t)share : (size_t)floor(share * (double)whole);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t most(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* A share is at least 128 slots, and 64 behind the sinks and the window, if there are so many tokens. */
static size_t slots_of(const struct ref_select *s, size_t tokens)
{
	size_t slots = share_of(s->budget, tokens);
	return s->budget > 1.0 ? slots
	                       : most(slots, least(tokens, most(128, s->sinks + s->window + 64)));
}

struct ref_quota ref_select_quota(const struct ref_select *s, size_t tokens)
{
	struct ref_quota q = {.slots = slots_of(s, tokens), .sinks = s->sinks};
	size_t left = q.slots > q.sinks ? q.slots - q.sinks : 0, tail = share_of(s->tail, q.slots);
	/* a share is at most all of it, even if that is one slot */
	q.window = least(tail > s->window ? tail : s->window, left);
	if (s->above)
		q.window = s->window;
	left -= least(q.window, left);
	if (s->residual > 0.0)
		q.merged = share_of(s->residual, q.slots > q.window ? q.slots - q.window : 0);
	if (s->residual > 0.0 && q.merged == 0)
		q.merged = 1;
	q.merged = least(q.merged, left);
	q.kept = left - q.merged;
	return q;
}

/* ---------------------------------------------------------------- the list ---- */

void ref_head_open(struct ref_head *h, const struct ref_select *s, size_t dk, size_t dv,
                   size_t group)
{
	*h = (struct ref_head){.s = s, .group = group};
	h->a = (struct ref_attend){.dk = dk, .dv = dv, .scale = 1.0 / sqrt((double)dk)};
	h->row = new_array(s->observe, sizeof *h->row);
	h->merges_sure = true;
}

static void drop_choice(struct ref_head *h)
{
	free(h->choice.score);
	free(h->choice.slack);
	free(h->choice.kept);
	h->choice = (struct ref_choice){0};
}

static void drop_mass(struct ref_head *h)
{
	for (size_t i = 0; i < h->n_new; i++)
		free(h->mass[i]);
	free(h->mass);
	h->mass = NULL;
	h->n_new = 0;
}

/* Forgets the slots behind the first n. */
static void cut(struct ref_head *h, size_t n)
{
	while (h->n > n)
		free(h->slot[--h->n].k);
	h->n_merged = least(h->n_merged, n);
}

void ref_head_close(struct ref_head *h)
{
	drop_mass(h);
	drop_choice(h);
	cut(h, 0);
	free(h->slot);
	for (size_t i = 0; i < h->s->observe; i++)
		free(h->row[i].q);
	free(h->row);
	*h = (struct ref_head){0};
}

static double *copy_of(const double *values, size_t n)
{
	double *copy = new_array(n, sizeof *copy);
	memcpy(copy, values, n * sizeof *copy);
	return copy;
}

void ref_head_copy(const struct ref_head *from, struct ref_head *to)
{
	size_t dk = from->a.dk, row = from->group * (dk + 1);
	*to = *from;
	to->mass = NULL;
	to->n_new = 0;
	to->choice = (struct ref_choice){0};
	to->room = from->n;
	to->slot = new_array(from->n, sizeof *to->slot);
	to->row = new_array(from->s->observe, sizeof *to->row);
	for (size_t i = 0; i < from->n; i++) {
		to->slot[i] = from->slot[i];
		to->slot[i].k = copy_of(from->slot[i].k, dk + from->a.dv);
		to->slot[i].v = to->slot[i].k + dk;
	}
	for (size_t i = 0; i < from->s->observe; i++)
		if (from->row[i].tag > 0) {
			to->row[i].tag = from->row[i].tag;
			to->row[i].q = copy_of(from->row[i].q, row);
			to->row[i].lse = to->row[i].q + from->group * dk;
		}
}

static double norm_of(const double *x, size_t n)
{
	double squares = 0.0;
	for (size_t i = 0; i < n; i++)
		squares += x[i] * x[i];
	return sqrt(squares);
}

static void add_slot(struct ref_head *h, const double *k, const double *v)
{
	if (h->n == h->room) {
		h->room = 2 * h->room + 64;
		h->slot = realloc(h->slot, h->room * sizeof *h->slot);
		if (!h->slot)
			abort();
	}
	struct ref_slot *slot = &h->slot[h->n++];
	*slot = (struct ref_slot){.weight = 1.0};
	slot->k = new_array(h->a.dk + h->a.dv, sizeof(double));
	slot->v = slot->k + h->a.dk;
	memcpy(slot->k, k, h->a.dk * sizeof(double));
	memcpy(slot->v, v, h->a.dv * sizeof(double));
	slot->length = norm_of(v, h->a.dv);
}

void ref_select_append(struct ref_head *h, size_t n, const double *k, size_t k_stride,
                       const double *v, size_t v_stride)
{
	for (size_t i = 0; i < n; i++) {
		add_slot(h, k + i * k_stride, v + i * v_stride);
		h->slot[h->n - 1].position = h->length + i;
	}
	h->n_new = n;
	h->mass = new_array(n, sizeof *h->mass);
}

/* ---------------------------------------------------------------- attention ---- */

static bool sees(const struct ref_head *h, size_t position, const struct ref_slot *slot)
{
	return slot->weight > 0.0 && slot->position <= position &&
	       (h->see == 0 || slot->position + h->see > position);
}

static double logit_of(const struct ref_head *h, const double *q, const struct ref_slot *slot,
                       double *size)
{
	double dot = 0.0, sum = 0.0;
	for (size_t i = 0; i < h->a.dk; i++) {
		dot += q[i] * slot->k[i];
		sum += fabs(q[i] * slot->k[i]);
	}
	if (size)
		*size = fmax(*size, fabs(h->a.scale) * sum);
	dot *= h->a.scale;
	if (h->a.softcap > 0.0)
		dot = h->a.softcap * tanh(dot / h->a.softcap);
	return dot + h->s->alpha * log(slot->weight);
}

/* Softmax weights p [n] of one query head; 0 for what it doesn't see. */
static void weigh(const struct ref_head *h, size_t position, const double *q, const double *sink,
                  double *p, struct ref_select_sums *sums)
{
	double top = sink ? *sink : -INFINITY, sum = 0.0;
	*sums = (struct ref_select_sums){0};
	for (size_t i = 0; i < h->n; i++) {
		p[i] = -INFINITY;
		if (!sees(h, position, &h->slot[i]))
			continue;
		p[i] = logit_of(h, q, &h->slot[i], &sums->sums.logit_abs);
		top = fmax(top, p[i]);
		sums->correction = fmax(sums->correction, fabs(h->s->alpha * log(h->slot[i].weight)));
		sums->n++;
	}
	for (size_t i = 0; i < h->n; i++)
		sum += p[i] = exp(p[i] - top);
	if (sink)
		sum += exp(*sink - top);
	for (size_t i = 0; i < h->n; i++)
		p[i] /= sum;
	sums->sums.lse = top + log(sum);
}

static void add_values(const struct ref_head *h, const double *p, double *out,
                       struct ref_attend_sums *sums)
{
	double squares = 0.0;
	for (size_t d = 0; d < h->a.dv; d++) {
		double spread = 0.0;
		out[d] = 0.0;
		for (size_t i = 0; i < h->n; i++) {
			out[d] += p[i] * h->slot[i].v[d];
			spread += p[i] * fabs(h->slot[i].v[d]);
		}
		squares += spread * spread;
	}
	sums->value_abs = sqrt(squares);
}

/* What the heads of a group make of a weight each. */
static double reduced(const struct ref_head *h, double sum, double most)
{
	switch (h->s->group) {
	case REF_GROUP_MEAN:
		return sum / (double)h->group;
	case REF_GROUP_MAX:
		return most;
	case REF_GROUP_SUM:
		break;
	}
	return sum;
}

static void see_row(struct ref_head *h, size_t position, const double *q,
                    const struct ref_select_sums *sums)
{
	size_t n = h->group * h->a.dk;
	if (h->s->observe == 0)
		return;
	struct ref_row *row = &h->row[position % h->s->observe];
	if (!row->q)
		row->q = new_array(n + h->group, sizeof *row->q);
	row->tag = position + 1;
	row->lse = row->q + n;
	for (size_t i = 0; i < n; i++)
		row->q[i] = ref_half(q[i]); /* all that is kept of them */
	for (size_t g = 0; g < h->group; g++)
		row->lse[g] = sums[g].sums.lse;
}

void ref_select_row(struct ref_head *h, size_t i, const double *q, double *out,
                    struct ref_select_sums *sums)
{
	size_t position = h->length + i;
	double *p = new_array(h->n, sizeof *p), *most = new_array(h->n, sizeof *most);
	double *sum = new_array(h->n, sizeof *sum);
	for (size_t g = 0; g < h->group; g++) {
		weigh(h, position, q + g * h->a.dk, h->sinks ? &h->sinks[g] : NULL, p, &sums[g]);
		add_values(h, p, out + g * h->a.dv, &sums[g].sums);
		for (size_t t = 0; t < h->n; t++) {
			sum[t] += p[t];
			most[t] = fmax(most[t], p[t]);
		}
	}
	for (size_t t = 0; t < h->n; t++)
		sum[t] = reduced(h, sum[t], most[t]);
	free(h->mass[i]);
	h->mass[i] = sum;
	if (h->s->score == REF_SEEN || h->s->score == REF_EXPECTED)
		see_row(h, position, q, sums);
	free(p);
	free(most);
}

/* ---------------------------------------------------------------- scores ---- */

/* s <- lambda s + a for each row in turn, of all slots that there are. */
static void add_mass(struct ref_head *h, size_t rows)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t t = 0; t < h->n; t++)
			h->slot[t].score = h->s->lambda * h->slot[t].score + (h->mass[i] ? h->mass[i][t] : 0.0);
}

/* Weights of the candidates in one row, of one head. */
static void row_weights(const struct ref_head *h, const struct ref_row *row, size_t g,
                        double *weight)
{
	double sum = 0.0;
	for (size_t i = 0; i < h->choice.n; i++) {
		const struct ref_slot *slot = &h->slot[h->choice.first + i];
		weight[i] = 0.0;
		if (sees(h, row->tag - 1, slot))
			weight[i] = exp(logit_of(h, row->q + g * h->a.dk, slot, NULL) - row->lse[g]);
		sum += weight[i];
	}
	for (size_t i = 0; i < h->choice.n && h->s->old && sum > 0.0; i++)
		weight[i] /= sum;
}

static void add_row(const struct ref_head *h, const struct ref_row *row, double *score,
                    double *above)
{
	size_t n = h->choice.n;
	double *weight = new_array(n, sizeof *weight), *sum = new_array(n, sizeof *sum);
	double *most = new_array(n, sizeof *most);
	for (size_t g = 0; g < h->group; g++) {
		row_weights(h, row, g, weight);
		for (size_t i = 0; i < n; i++) {
			sum[i] += weight[i];
			most[i] = fmax(most[i], weight[i]);
		}
	}
	for (size_t i = 0; i < n; i++) {
		double all = reduced(h, sum[i], most[i]);
		score[i] = h->s->rows == REF_ROWS_MAX ? fmax(score[i], all) : score[i] + all;
		above[i] = fmax(above[i], most[i] * (double)row->tag);
	}
	free(weight);
	free(sum);
	free(most);
}

static void pool(const struct ref_select *s, size_t n, double *score)
{
	double *own = copy_of(score, n);
	size_t reach = s->pool / 2;
	for (size_t i = 0; i < n && reach > 0; i++) {
		double sum = 0.0, most = 0.0;
		for (size_t j = i > reach ? i - reach : 0; j < n && j <= i + reach; j++) {
			sum += own[j];
			most = fmax(most, own[j]);
		}
		score[i] = s->pool_max ? most : sum / (double)s->pool;
	}
	free(own);
}

/* Whether a row is one of the newest. */
static bool judges(const struct ref_head *h, const struct ref_row *row)
{
	return row->tag > 0 && row->tag <= h->length && row->tag + h->s->observe > h->length;
}

static void score_seen(struct ref_head *h)
{
	struct ref_choice *c = &h->choice;
	double *above = new_array(c->n, sizeof *above);
	for (size_t r = 0; r < h->s->observe; r++)
		if (judges(h, &h->row[r]))
			add_row(h, &h->row[r], c->score, above);
	for (size_t i = 0; i < c->n && h->s->rows == REF_ROWS_ABOVE; i++) {
		c->score[i] = above[i] >= 1.0 - 1e-9 ? 1.0 : 0.0; /* exp of a log may miss 1 */
		c->slack[i] = fabs(above[i] - 1.0) <= h->slack ? 1.0 : 0.0;
	}
	if (h->s->rows != REF_ROWS_ABOVE) {
		pool(h->s, c->n, c->score);
		for (size_t i = 0; i < c->n; i++)
			c->slack[i] = h->slack * c->score[i];
	}
	free(above);
}

/* ln of the share of the positions to come that see a slot. */
static double log_seen(const struct ref_head *h, const struct ref_slot *slot)
{
	size_t see = 0;
	for (size_t t = 0; t < h->s->ahead; t++)
		see += sees(h, h->length + t, slot);
	return log((double)see / (double)h->s->ahead);
}

/* What one head expects to give the candidates, as shares. Returns what rounding may make of them, relatively: that of
 * logits, of which attention's slack has four, here of a mean, and by their deviation of half a variance; that of turns, 4
 * units of a sine and half one of its angle in each channel; that of sums of squares; and that of exponents. */
static double expect_head(const struct ref_head *h, const struct ref_expected *x, double *share)
{
	const struct ref_choice *c = &h->choice;
	double top = -INFINITY, sum = 0.0, error = 0.0;
	for (size_t i = 0; i < c->n; i++) {
		const struct ref_slot *slot = &h->slot[c->first + i];
		double deviation, size = fabs(h->a.scale) * x->size * norm_of(slot->k, h->a.dk);
		share[i] = ref_expect_log(x, slot->k, &deviation) + log_seen(h, slot);
		top = fmax(top, share[i]);
		if (share[i] == -INFINITY)
			continue;
		double logit = h->slack / 4.0 + 0x1p-20 * size, squares = (double)(x->n + 64) * 0x1p-24;
		error = fmax(error, logit * (1.0 + deviation) + squares * deviation * deviation +
		                        0x1p-20 * (1.0 + fabs(share[i])));
	}
	for (size_t i = 0; i < c->n; i++)
		sum += share[i] = top > -INFINITY ? exp(share[i] - top) : 0.0;
	for (size_t i = 0; i < c->n && sum > 0.0; i++)
		share[i] /= sum;
	return 2.0 * error;
}

/* One head of the group, from the newest rows. */
static double expect_shares(const struct ref_head *h, size_t g, double *share)
{
	const struct ref_expect e = {h->s->rope, h->s->ahead, h->s->spread, h->a.dk, h->a.scale};
	const double **q = new_array(h->s->observe, sizeof *q);
	size_t *position = new_array(h->s->observe, sizeof *position), n = 0;
	struct ref_expected x;
	for (size_t r = 0; r < h->s->observe; r++)
		if (judges(h, &h->row[r])) {
			q[n] = h->row[r].q + g * h->a.dk;
			position[n++] = h->row[r].tag - 1;
		}
	ref_expect_open(&x, &e, n, q, position, h->length);
	double error = expect_head(h, &x, share);
	ref_expect_close(&x);
	free(q);
	free(position);
	return error;
}

double ref_select_flushed(const struct ref_head *h, double length)
{
	return 0x1p-126 * (double)h->group * length;
}

static void score_expected(struct ref_head *h)
{
	struct ref_choice *c = &h->choice;
	double *share = new_array(c->n, sizeof *share), *sum = new_array(c->n, sizeof *sum);
	double *most = new_array(c->n, sizeof *most), error = 0.0;
	for (size_t g = 0; g < h->group; g++) {
		error = fmax(error, expect_shares(h, g, share));
		for (size_t i = 0; i < c->n; i++) {
			sum[i] += share[i];
			most[i] = fmax(most[i], share[i]);
		}
	}
	for (size_t i = 0; i < c->n; i++) {
		double length = h->s->lengths ? h->slot[c->first + i].length : 1.0;
		c->score[i] = reduced(h, sum[i], most[i]) * length;
		c->slack[i] = error * c->score[i] + ref_select_flushed(h, length);
	}
	h->expected_slack = error;
	free(share);
	free(sum);
	free(most);
}

static void score_candidates(struct ref_head *h, size_t n_kept)
{
	struct ref_choice *c = &h->choice;
	if (h->s->score == REF_SEEN)
		score_seen(h);
	if (h->s->score == REF_EXPECTED)
		score_expected(h);
	for (size_t i = 0; i < c->n; i++) {
		struct ref_slot *slot = &h->slot[c->first + i];
		if (h->s->score == REF_PLACE)
			slot->score = (double)slot->position;
		if (h->s->score == REF_NORM && i >= n_kept)
			slot->score = -norm_of(slot->k, h->a.dk);
		if (h->s->score == REF_NORM)
			c->slack[i] = h->norm_slack * fabs(slot->score);
		if (h->s->score == REF_MASS)
			c->slack[i] = h->slack * slot->score;
		if (h->s->score == REF_SEEN || h->s->score == REF_EXPECTED)
			slot->score = c->score[i];
		c->score[i] = slot->score;
	}
}

/* ---------------------------------------------------------------- the choice ---- */

struct ranked {
	double score;
	size_t i;
};

static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->i > y->i ? -1 : 1;
}

bool ref_select_best(size_t n, const double *score, const double *slack, size_t k, bool forced,
                     bool *kept)
{
	struct ranked *ranked = new_array(n, sizeof *ranked);
	double low = INFINITY, high = -INFINITY;
	for (size_t i = 0; i < n; i++) {
		ranked[i] = (struct ranked){forced && i + 1 == n ? INFINITY : score[i], i};
		kept[i] = false;
	}
	qsort(ranked, n, sizeof *ranked, by_rank);
	for (size_t r = 0; r < n; r++) {
		size_t i = ranked[r].i;
		kept[i] = r < k;
		if (kept[i])
			low = fmin(low, ranked[r].score - slack[i]);
		else
			high = fmax(high, ranked[r].score + slack[i]);
	}
	free(ranked);
	return low >= high; /* a tie without slack is one on the device, too */
}

/* Of all pairs of which one stays and one goes: whether each has a score that is clearly larger (or that may be: sign -1), or
 * is the later of two equal ones. */
static bool pairs_fit(const struct ref_choice *c, const bool *kept, double sign)
{
	size_t n = c->n - (c->forced && c->n > 0);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n && kept[i]; j++) {
			double slack = sign * (c->slack[i] + c->slack[j]);
			if (kept[j] || (c->score[i] == c->score[j] && i > j))
				continue;
			if (c->score[i] == c->score[j] || c->score[i] - c->score[j] < slack)
				return false;
		}
	return true;
}

bool ref_select_admits(const struct ref_choice *c, const bool *kept)
{
	double low = INFINITY, high = -INFINITY;
	size_t many = 0;
	for (size_t i = 0; i < c->n; i++) {
		many += kept[i];
		if (c->keep == SIZE_MAX && kept[i] != c->kept[i] && c->slack[i] == 0.0)
			return false;
		if (c->forced && i + 1 == c->n && c->keep > 0) {
			if (!kept[i])
				return false;
			continue;
		}
		if (kept[i])
			low = fmin(low, c->score[i] + c->slack[i]);
		else
			high = fmax(high, c->score[i] - c->slack[i]);
	}
	if (c->ties && c->keep > 0 && c->keep != SIZE_MAX && !pairs_fit(c, kept, -1.0))
		return false;
	return c->keep == SIZE_MAX || (many == least(c->keep, c->n) && low >= high);
}

/* How many open tokens leave the window with this commit. */
static size_t leaving(const struct ref_head *h, const struct ref_quota *q, enum ref_phase phase)
{
	size_t from = h->tail > q->sinks ? h->tail : q->sinks;
	if (phase == REF_PROMPT && !h->s->chunk)
		return 0;
	if (!h->s->codec && !h->selected && !h->s->above && h->length <= q->slots)
		return 0;
	if (h->length <= from + q->window)
		return 0;
	size_t n = h->length - from - q->window;
	return phase == REF_PROMPT_END ? n : n / h->s->block * h->s->block;
}

static size_t count_kept(const struct ref_head *h, const struct ref_quota *q)
{
	size_t n = 0;
	for (size_t i = h->n_merged; i < h->n; i++)
		n += h->slot[i].position >= q->sinks && h->slot[i].position < h->tail;
	return n;
}

static void choose(struct ref_head *h, const struct ref_quota *q, size_t leave)
{
	struct ref_choice *c = &h->choice;
	size_t kept = count_kept(h, q);
	c->n = kept + leave;
	c->first = h->n_merged + q->sinks;
	c->score = new_array(c->n, sizeof *c->score);
	c->slack = new_array(c->n, sizeof *c->slack);
	c->kept = new_array(c->n, sizeof *c->kept);
	score_candidates(h, kept);
	c->keep = h->s->above ? SIZE_MAX : q->kept;
	c->forced = !h->s->any && kept > 0;
	c->sure = true;
	if (!h->s->above) {
		c->sure = ref_select_best(c->n, c->score, c->slack, c->keep, c->forced, c->kept);
		c->ties = h->s->score == REF_NORM || h->s->pool_max;
		c->sure = c->sure || (c->ties && pairs_fit(c, c->kept, 1.0));
		return;
	}
	for (size_t i = 0; i < c->n; i++) {
		c->kept[i] = c->score[i] > 0.0;
		c->sure = c->sure && c->slack[i] == 0.0;
	}
}

/* Tokens that shares count: all at a prompt's commits and when it chooses first; later those, or the text's first 3,072. */
static size_t counted_of(const struct ref_head *h, enum ref_phase phase)
{
	if (h->selected && phase == REF_DECODE)
		return most(h->counted, least(h->length, 3072));
	return h->length;
}

void ref_select_choose(struct ref_head *h, size_t n, enum ref_phase phase)
{
	cut(h, h->n - (h->n_new - n));
	h->length += n;
	if (h->s->score == REF_MASS)
		add_mass(h, n);
	drop_mass(h);
	drop_choice(h);
	size_t counted = counted_of(h, phase);
	struct ref_quota q = ref_select_quota(h->s, counted);
	size_t leave = leaving(h, &q, phase);
	/* only the end of a prompt chooses without new rows */
	if ((n == 0 && phase != REF_PROMPT_END) || leave == 0)
		return;
	choose(h, &q, leave);
	h->tail = (h->tail > q.sinks ? h->tail : q.sinks) + leave;
	h->selected = true;
	h->counted = counted;
	h->quota = q;
}

void ref_select_abort(struct ref_head *h)
{
	cut(h, h->n - h->n_new);
	drop_mass(h);
}

bool ref_select_truncate(struct ref_head *h, size_t n)
{
	if (n >= h->length)
		return n == h->length;
	if (n > 0 && h->selected && n < h->tail)
		return false;
	while (h->n > 0 && (n == 0 || (h->n > h->n_merged && h->slot[h->n - 1].position >= n)))
		cut(h, h->n - 1);
	h->length = n;
	h->tail = least(h->tail, n);
	if (n == 0)
		h->selected = false;
	return true;
}

void ref_select_commit(struct ref_head *h, size_t n, enum ref_phase phase)
{
	ref_select_choose(h, n, phase);
	ref_select_apply(h);
}
