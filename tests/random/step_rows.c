/* SPDX-License-Identifier: MIT */
/** \file step_rows.c \brief Rows appended and attended with, in one layer of a step. */
#include "step_rows.h"

#include "../ref/ref_half.h"
#include "../support/bounds.h"
#include "../support/each.h"
#include "../support/random.h"
#include "model.h"
#include "store/cache.h"
#include "strike.h"
#include "view.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

struct model *step_model(const struct step_rows *s, size_t item)
{
	for (size_t i = 0; i < s->w->n_models; i++)
		if (s->w->models[i].seq == s->item[item].seq)
			return &s->w->models[i];
	ck_abort_msg("a sequence of the step is gone");
}

/* ---------------------------------------------------------------- values ---- */

/* Normal around a mean per channel, so that minimums and zero points matter; now and then a channel is far larger. */
static double *draw_values(struct world *w, size_t n, size_t heads, size_t dim, clkv_dtype dtype,
                           bool plain)
{
	double *values = model_new(n * heads * dim);
	size_t outlier = !plain && world_one_in(w, 4) ? world_below(w, dim) : dim;
	for (size_t i = 0; i < n * heads * dim; i++) {
		size_t d = i % dim, h = i / dim % heads;
		double value = random_normal(random_next(&w->random));
		if (!plain)
			value = 0.7 * value + sin(1.3 * (double)d + (double)h);
		values[i] = tensor_round(dtype, d == outlier ? 20.0 * value : value);
	}
	return values;
}

/* An event that is complete, or will be soon, for wait lists; NULL: none. */
static cl_event draw_wait(struct world *w, cl_command_queue queue)
{
	cl_event event = NULL;
	if (world_one_in(w, 3))
		ck_assert_int_eq(clEnqueueMarkerWithWaitList(queue, 0, NULL, &event), CL_SUCCESS);
	return event;
}

/* Waits for the queue, or for the call's own event alone. */
static void finish(cl_command_queue queue, cl_event wait, cl_event done)
{
	if (done)
		ck_assert_int_eq(clWaitForEvents(1, &done), CL_SUCCESS);
	else
		ck_assert_int_eq(clFinish(queue), CL_SUCCESS);
	if (done)
		clReleaseEvent(done);
	if (wait)
		clReleaseEvent(wait);
}

/* ---------------------------------------------------------------- append ---- */

/* Rows that are turned are halves in that basis. */
static void turn_values(size_t n, size_t dim, double *values)
{
	model_turn(n, dim, values);
	for (size_t i = 0; i < n * dim; i++)
		values[i] = ref_stored(values[i]);
	model_turn(n, dim, values);
}

static void open_side(struct step_rows *s, int layer, enum side side, struct tensor *x)
{
	struct world *w = s->w;
	struct tensor_layout layout = world_layout(w);
	size_t heads = (size_t)w->geometry.kv_heads, dim = world_dim(w, side);
	double *values = draw_values(w, s->n, heads, dim, layout.dtype, false);
	tensor_open(x, s->queue, layout, s->n, heads, dim, values);
	for (size_t i = 0; i < s->n * heads * dim; i++)
		values[i] = ref_stored(values[i]);
	if (world_facts(w, layer)->turned)
		turn_values(s->n * heads, dim, values);
	free(s->rows[layer][side]);
	s->rows[layer][side] = values;
}

/* The references of all recipes follow: to each a layer of another is one that keeps everything. */
static void append_rules(struct step_rows *s, size_t item, int layer)
{
	const struct step_item *it = &s->item[item];
	struct model *m = step_model(s, item);
	for (size_t b = 0; b < s->w->n_bands; b++)
		if (s->w->facts[b].ruled && !m->bands[b].lost)
			selected_append(&m->bands[b].rule, layer, it->n,
			                s->rows[layer][SIDE_K] + it->first * world_row(s->w, SIDE_K),
			                s->rows[layer][SIDE_V] + it->first * world_row(s->w, SIDE_V));
}

bool step_append(struct step_rows *s, int layer)
{
	struct tensor x[2];
	clkv_error error;
	open_side(s, layer, SIDE_K, &x[SIDE_K]);
	open_side(s, layer, SIDE_V, &x[SIDE_V]);
	cl_event wait = draw_wait(s->w, s->queue), done = NULL;
	cl_event *asked = world_one_in(s->w, 2) ? &done : NULL;
	strike_arm(s->w);
	clkv_status status = clkv_step_append(s->step, layer, &x[SIDE_K].t, &x[SIDE_V].t, wait ? 1 : 0,
	                                      wait ? &wait : NULL, asked, &error);
	bool ok = strike_ok(s->w, status, &error, "clkv_step_append");
	finish(s->queue, wait, done);
	for (size_t i = 0; ok && i < s->n_items; i++)
		append_rules(s, i, layer);
	tensor_close(&x[SIDE_K]);
	tensor_close(&x[SIDE_V]);
	return ok;
}

/* ---------------------------------------------------------------- attend ---- */

/* What attention got and gave, as values. */
struct answers {
	double *q, *out, *lse, *sinks; /* [n][q_heads][dk], .. [dv], .., [q_heads] or NULL */
	clkv_dtype dtype;              /* of out */
};

static cl_mem open_sinks(struct step_rows *s, struct answers *a, size_t offset)
{
	float values[64 + 8] = {0};
	size_t heads = (size_t)s->w->geometry.q_heads;
	cl_int code;
	if (s->w->some.ruled || !world_one_in(s->w, 3))
		return NULL;
	a->sinks = model_new(heads);
	for (size_t h = 0; h < heads; h++) {
		values[offset + h] = (float)random_normal(random_next(&s->w->random));
		a->sinks[h] = (double)values[offset + h];
	}
	cl_mem mem =
		clCreateBuffer(clkv_context_cl(s->w->context), CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR,
	                   sizeof values, values, &code);
	ck_assert_int_eq(code, CL_SUCCESS);
	return mem;
}

/* Everything that the call takes; out, lse and sinks begin somewhere in their buffers. */
struct call {
	struct tensor q, out, lse;
	clkv_attend_args args;
};

static void open_call(struct step_rows *s, struct answers *a, struct call *c)
{
	struct world *w = s->w;
	size_t heads = (size_t)w->geometry.q_heads, dk = world_dim(w, SIDE_K);
	struct tensor_layout layout = world_layout(w);
	struct tensor_layout lse = {.dtype = CLKV_F32, .offset = world_below(w, 7)};
	a->q = draw_values(w, s->n, heads, dk, layout.dtype, true);
	/* weights are made anew from queries in half, but the reference has those of attention itself */
	for (size_t i = 0; i < s->n * heads * dk && w->some.ruled; i++)
		a->q[i] = ref_half(a->q[i]);
	tensor_open(&c->q, s->queue, layout, s->n, heads, dk, a->q);
	layout = world_layout(w);
	a->dtype = layout.dtype;
	tensor_open(&c->out, s->queue, layout, s->n, heads, world_dim(w, SIDE_V), NULL);
	tensor_open(&c->lse, s->queue, lse, s->n, 1, heads, NULL);
	c->args = (clkv_attend_args)CLKV_INIT(clkv_attend_args);
	c->args.q = c->q.t;
	c->args.out = c->out.t;
	c->args.lse = c->lse.t.mem;
	c->args.lse_offset = lse.offset;
	c->args.sinks_offset = world_below(w, 4);
	c->args.sinks = open_sinks(s, a, c->args.sinks_offset);
	if (!c->args.sinks)
		c->args.sinks_offset = 0;
}

static void close_call(struct call *c)
{
	if (c->args.sinks)
		clReleaseMemObject(c->args.sinks);
	tensor_close(&c->q);
	tensor_close(&c->out);
	tensor_close(&c->lse);
}

/* A row of one query head. */
struct place {
	const struct step_rows *s;
	const struct answers *a;
	int layer;
	const struct step_item *item;
	size_t row, head, position; /* row of the step */
	bool recalls;
	const bool *chosen; /* of tokens, which are recalled; NULL: all, or nobody knows */
};

static void fail_row(const struct place *p, const struct answer *want, const char *what, double got,
                     double wanted, double limit)
{
	ck_abort_msg("layer %d, item of %zu rows in phase %d, position %zu, query head %zu: %s is %.9g "
	             "instead of %.9g over %zu slots, allowed +-%g%s",
	             p->layer, p->item->n, (int)p->item->phase, p->position, p->head, what, got, wanted,
	             want->n, limit, p->recalls ? " (of recall)" : "");
}

/* Some of what is sealed is attended to, and all that isn't: the sum of exp(logit) lies between, and so does every value. */
static void check_some(const struct place *p, const struct view *v, const struct answer *all,
                       const double *sink, double r)
{
	struct world *w = p->s->w;
	size_t dv = world_dim(w, SIDE_V), at = p->row * (size_t)w->geometry.q_heads + p->head;
	double *out = model_new(dv), lse = p->a->lse[at];
	bool *none = calloc(p->position + 1, sizeof *none);
	ck_assert_ptr_nonnull(none);
	struct answer few =
		view_attend(v, p->position, p->a->q + at * world_dim(w, SIDE_K), sink, none, out);
	double slack = 2.0 * r + 0x1p-22 * (fabs(all->lse) + fabs(few.lse));
	if (!(lse <= all->lse + slack))
		fail_row(p, all, "lse", lse, all->lse, slack);
	if (!(lse >= few.lse - slack))
		fail_row(p, &few, "lse", lse, few.lse, slack);
	for (size_t d = 0; d < dv; d++)
		if (!(fabs(p->a->out[at * dv + d]) <= all->most * (1.0 + 2.0 * r + 0x1p-7)))
			fail_row(p, all, "a value", p->a->out[at * dv + d], 0.0, all->most);
	w->progress->unsure++;
	free(out);
	free(none);
}

static void check_all(const struct place *p, const struct answer *want, const double *values,
                      double r)
{
	size_t dv = world_dim(p->s->w, SIDE_V),
		   at = p->row * (size_t)p->s->w->geometry.q_heads + p->head;
	/* halves below 2^-14 lie 2^-24 apart */
	double limit = (r + bound_dtype(p->a->dtype)) * want->value_abs + 0x1p-25;
	double slack = r + 0x1p-22 * fabs(want->lse);
	for (size_t d = 0; d < dv; d++)
		if (!(fabs(p->a->out[at * dv + d] - values[d]) <= limit))
			fail_row(p, want, "a value", p->a->out[at * dv + d], values[d], limit);
	if (!(fabs(p->a->lse[at] - want->lse) <= slack))
		fail_row(p, want, "lse", p->a->lse[at], want->lse, slack);
}

static void check_row(const struct place *p, const struct view *v)
{
	struct world *w = p->s->w;
	size_t at = p->row * (size_t)w->geometry.q_heads + p->head, dk = world_dim(w, SIDE_K);
	const double *sink = p->a->sinks ? &p->a->sinks[p->head] : NULL;
	double *values = model_new(world_dim(w, SIDE_V));
	struct answer want = view_attend(v, p->position, p->a->q + at * dk, sink, p->chosen, values);
	if (sink)
		want.logit_abs = fmax(want.logit_abs, fabs(*sink));
	double r = bound_attend(dk, want.n, want.logit_abs, 1);
	/* the halves of new rows are known up to a rounding: of every product of a logit, and of every value */
	if (world_facts(w, p->layer)->turned)
		r += 2.0 * REF_HALF_EPS * (2.0 * want.logit_abs + 1.0);
	w->progress->rows++;
	if (p->recalls && !p->chosen)
		check_some(p, v, &want, sink, r);
	else
		check_all(p, &want, values, r);
	free(values);
}

/* Rows of generation recall some of what is sealed. */
static bool recalls(const struct world *w, const struct model *m, int layer, clkv_phase phase)
{
	const struct facts *f = world_facts(w, layer);
	bool whole = w->geometry.window && w->geometry.window[layer] > 0;
	return f->recalls && phase == CLKV_DECODE && !whole && !facts_layer_dense(f, layer) &&
	       m->bands[world_band(w, layer)].recalled.n > 0;
}

/* The keys by which tokens are judged: those that were sealed, or what they read as. */
static const double *keys_of(const struct world *w, const struct model *m, int layer)
{
	bool pages = world_facts(w, layer)->recall.kind == RECALLED_PAGES;
	return (pages ? m->given : m->read)[layer][SIDE_K];
}

/* A layer's number among those of its recipe, as the cache of these counts them. */
static int number_in(const struct world *w, int layer)
{
	int n = 0;
	for (int i = 0; i < layer; i++)
		n += facts_have(world_facts(w, layer), i);
	return n;
}

/* Which tokens a row's heads of one KV head recall, by position; NULL: rounding may choose others, or nobody knows. */
static bool *choose(const struct step_rows *s, const struct model *m, int layer, size_t kv,
                    const double *q)
{
	struct world *w = s->w;
	size_t n, *token = calloc(m->n + 1, sizeof *token);
	bool *chosen = calloc(m->n + s->n + 1, sizeof *chosen);
	ck_assert(token && chosen);
	size_t band = world_band(w, layer);
	struct feed feed = w->feed;
	struct stream *stream = model_stream(w, m);
	stream->seq = model_band(m, band);
	feed.cache = stream->seq->cache;
	bool sure = w->facts[band].judged &&
	            recalled_choose(&feed, stream, &m->bands[band].recalled, number_in(w, layer), kv, q,
	                            keys_of(w, m, layer), token, &n);
	for (size_t i = 0; sure && i < n; i++)
		chosen[token[i]] = true;
	free(token);
	if (sure)
		return chosen;
	free(chosen);
	return NULL;
}

/* The heads of one KV head, in row i of an item. */
static void check_heads(const struct step_rows *s, const struct view *v, const struct model *m,
                        const struct step_item *item, size_t i, const struct answers *a)
{
	struct world *w = s->w;
	size_t heads = (size_t)w->geometry.q_heads, group = heads / (size_t)w->geometry.kv_heads;
	bool some = recalls(w, m, v->layer, item->phase), *chosen = NULL;
	if (some)
		chosen = choose(s, m, v->layer, v->head,
		                a->q + (item->first + i) * heads * world_dim(w, SIDE_K));
	for (size_t g = 0; g < group; g++) {
		struct place p = {.s = s, .a = a, .layer = v->layer, .item = item};
		p.row = item->first + i;
		p.head = v->head * group + g;
		p.position = m->n + i;
		p.recalls = some;
		p.chosen = chosen;
		check_row(&p, v);
	}
	free(chosen);
}

/* All rows if they are few, else some, the last one among them. */
static void check_item(const struct step_rows *s, size_t item, int layer, const struct answers *a)
{
	struct world *w = s->w;
	const struct step_item *it = &s->item[item];
	const struct model *m = step_model(s, item);
	size_t step = it->n > 6 ? it->n / 3 : 1;
	for (size_t kv = 0; kv < (size_t)w->geometry.kv_heads; kv++) {
		struct view v;
		double *rows[2];
		for (int side = SIDE_K; side <= SIDE_V; side++)
			rows[side] = s->rows[layer][side] + it->first * world_row(w, (enum side)side);
		view_open(w, m, layer, kv, &v);
		view_add(&v, m->n, it->n, rows);
		for (size_t i = (it->n - 1) % step; i < it->n; i += step)
			check_heads(s, &v, m, it, i, a);
		view_close(&v);
	}
}

static void read_answers(const struct step_rows *s, const struct call *c, struct answers *a)
{
	size_t rows = s->n * (size_t)s->w->geometry.q_heads;
	a->out = model_new(rows * world_dim(s->w, SIDE_V));
	a->lse = model_new(rows);
	tensor_read(&c->out, s->queue, a->out);
	tensor_read(&c->lse, s->queue, a->lse);
}

/* The reference follows, if the call was made; else nobody knows which rows the device has kept. */
static void attend_rule(struct step_rows *s, size_t item, int layer, const double *q, bool ok)
{
	const struct step_item *it = &s->item[item];
	struct band *b = &step_model(s, item)->bands[world_band(s->w, layer)];
	size_t row = (size_t)s->w->geometry.q_heads * world_dim(s->w, SIDE_K);
	b->lost = b->lost || !ok;
	for (size_t i = 0; i < it->n && !b->lost; i++)
		selected_attend(&b->rule, layer, i, q + (it->first + i) * row);
}

bool step_attend(struct step_rows *s, int layer)
{
	struct answers a = {0};
	struct call c;
	clkv_error error;
	open_call(s, &a, &c);
	cl_event wait = draw_wait(s->w, s->queue), done = NULL;
	cl_event *asked = world_one_in(s->w, 2) ? &done : NULL;
	strike_arm(s->w);
	clkv_status status =
		clkv_step_attend(s->step, layer, &c.args, wait ? 1 : 0, wait ? &wait : NULL, asked, &error);
	bool ok = strike_ok(s->w, status, &error, "clkv_step_attend");
	finish(s->queue, wait, done);
	if (ok) {
		read_answers(s, &c, &a);
		for (size_t i = 0; i < s->n_items; i++)
			check_item(s, i, layer, &a);
	}
	for (size_t i = 0; i < s->n_items && world_facts(s->w, layer)->ruled; i++)
		attend_rule(s, i, layer, a.q, ok);
	close_call(&c);
	free(a.q);
	free(a.out);
	free(a.lse);
	free(a.sinks);
	return ok;
}
