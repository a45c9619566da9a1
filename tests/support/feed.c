/* SPDX-License-Identifier: MIT */
/** \file feed.c \brief Rows, steps and streams of the tests. */
#include "feed.h"

#include "each.h"
#include "random.h"
#include "recipe_files.h"

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static double *new_doubles(size_t n)
{
	double *values = calloc(n + 1, sizeof *values);
	ck_assert_ptr_nonnull(values);
	return values;
}

double feed_normal(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	uint64_t place = random_mix(row, (uint64_t)layer * 4u + (uint64_t)side);
	double noise = random_normal(random_mix(place, head * 1024u + d));
	if (side == FEED_Q)
		return noise;
	return 0.7 * noise + sin(1.3 * (double)d + (double)head + 2.0 * (double)side);
}

double feed_outlier(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double value = feed_normal(row, layer, side, head, d);
	return d == 5 && side != FEED_Q ? 100.0 * value : value;
}

void feed_ok(clkv_status status, const clkv_error *error, const char *what)
{
	ck_assert_msg(status == CLKV_OK, "%s: %s: %s (%s %d)", what, clkv_status_string(status),
	              error ? error->text : "", error ? error->call : "",
	              error ? (int)error->cl_code : 0);
}

clkv_geometry feed_geometry(int layers, int q_heads, int kv_heads, int dk, int dv)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = layers;
	g.q_heads = q_heads;
	g.kv_heads = kv_heads;
	g.head_dim_k = dk;
	g.head_dim_v = dv;
	return g;
}

clkv_geometry feed_usual(int layers)
{
	return feed_geometry(layers, 6, 2, 64, 64);
}

clkv_cache_options feed_room(size_t tokens, size_t sequences)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = tokens;
	o.max_sequences = sequences;
	o.max_step_tokens = tokens < 512 ? tokens : 512;
	return o;
}

void feed_open(struct feed *feed, clkv_context *context, cl_command_queue queue, const char *recipe,
               const clkv_cache_options *options)
{
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	clkv_error error;
	struct recipe_files files;
	room.max_tokens = FEED_TOKENS;
	room.max_sequences = FEED_ITEMS;
	if (options)
		room = *options;
	recipe_files_offer(&files, &feed->geometry, recipe, &room);
	feed->context = context;
	feed->queue = queue;
	if (!feed->value)
		feed->value = feed_normal;
	feed_ok(clkv_cache_create(context, &feed->geometry, recipe, &room, &feed->cache, &error),
	        &error, recipe);
	recipe_files_close(&files);
}

void feed_close(struct feed *feed)
{
	clkv_cache_destroy(feed->cache);
	feed->cache = NULL;
}

void stream_open(struct feed *feed, struct stream *stream)
{
	clkv_error error;
	stream->n = 0;
	feed_ok(clkv_seq_create(feed->cache, &stream->seq, &error), &error, "clkv_seq_create");
}

void stream_close(struct stream *stream)
{
	clkv_seq_destroy(stream->seq);
	stream->seq = NULL;
}

void stream_fork(struct feed *feed, const struct stream *from, struct stream *to)
{
	clkv_error error;
	(void)feed;
	to->n = from->n;
	memcpy(to->row, from->row, sizeof to->row);
	feed_ok(clkv_seq_fork(from->seq, &to->seq, &error), &error, "clkv_seq_fork");
}

size_t feed_dim(const struct feed *feed, enum feed_side side)
{
	const clkv_geometry *g = &feed->geometry;
	return (size_t)(side == FEED_V && g->head_dim_v ? g->head_dim_v : g->head_dim_k);
}

size_t feed_heads(const struct feed *feed, enum feed_side side)
{
	return (size_t)(side == FEED_Q ? feed->geometry.q_heads : feed->geometry.kv_heads);
}

/* A row of feed_normal, rounded: of which heads and type, and its values [heads][dim]. */
struct made_row {
	uint64_t row;
	int layer;
	enum feed_side side;
	clkv_dtype dtype;
	size_t heads, dim;
	double *values; /* NULL: there is none yet */
};

static void make_row(const struct feed *feed, const struct made_row *r, double *values)
{
	for (size_t h = 0; h < r->heads; h++)
		for (size_t d = 0; d < r->dim; d++)
			*values++ = tensor_round(r->dtype, feed->value(r->row, r->layer, r->side, h, d));
}

static bool is_row(const struct made_row *a, const struct made_row *b)
{
	return a->values && a->row == b->row && a->layer == b->layer && a->side == b->side &&
	       a->dtype == b->dtype && a->heads == b->heads && a->dim == b->dim;
}

/* Copies a row out of those made last, of which it becomes one: tests want the same ones for two caches, a reference and what must
 * be stored, and making them had taken a third of some suites' time. Threads feed too: one at a time. */
static void copy_row(const struct feed *feed, const struct made_row *wanted, double *values)
{
	enum { ROWS = 4096 };
	static struct made_row made[ROWS];
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	uint64_t place = random_mix(wanted->row, (uint64_t)wanted->layer * 4u + (uint64_t)wanted->side);
	struct made_row *r = &made[place % ROWS];
	pthread_mutex_lock(&lock);
	if (!is_row(r, wanted)) {
		free(r->values);
		*r = *wanted;
		r->values = new_doubles(r->heads * r->dim);
		make_row(feed, r, r->values);
	}
	memcpy(values, r->values, r->heads * r->dim * sizeof *values);
	pthread_mutex_unlock(&lock);
}

void feed_rows(const struct feed *feed, int layer, enum feed_side side, const uint64_t *row,
               size_t n, double *values)
{
	size_t heads = feed_heads(feed, side), dim = feed_dim(feed, side);
	for (size_t i = 0; i < n; i++, values += heads * dim) {
		const struct made_row r = {row[i], layer, side, feed->in.dtype, heads, dim, NULL};
		if (feed->value == feed_normal) /* which depends on nothing else */
			copy_row(feed, &r, values);
		else
			make_row(feed, &r, values);
	}
}

/* Rows that a step's tensors have; *packed, if it's given, gets those of the items alone. */
static size_t tensor_rows(const struct feed *feed, const struct feed_item *items, size_t n_items,
                          size_t *packed)
{
	size_t rows = 0, end = 0;
	for (size_t i = 0; i < n_items; i++) {
		size_t last = (feed->first_rows ? feed->first_rows[i] : rows) + items[i].n;
		rows += items[i].n;
		end = last > end ? last : end;
	}
	if (packed)
		*packed = rows;
	return end;
}

/* The rows of all items where they belong. */
static void open_rows(const struct feed *feed, int layer, enum feed_side side,
                      const struct feed_item *items, size_t n_items, struct tensor *x)
{
	size_t row_size = feed_heads(feed, side) * feed_dim(feed, side), at = 0;
	size_t rows = tensor_rows(feed, items, n_items, NULL);
	double *values = new_doubles(rows * row_size);
	for (size_t i = 0; i < rows * row_size; i++)
		values[i] = (double)NAN;
	for (size_t i = 0; i < n_items; i++) {
		const struct stream *s = items[i].stream;
		at = feed->first_rows ? feed->first_rows[i] : at;
		feed_rows(feed, layer, side, s->row + s->n, items[i].n, values + at * row_size);
		at += items[i].n;
	}
	tensor_open(x, feed->queue, feed->in, rows, feed_heads(feed, side), feed_dim(feed, side),
	            values);
	free(values);
}

/* The items' rows of a tensor behind each other; those beside them were not written. */
static void collect_rows(const struct feed *feed, const struct feed_item *items, size_t n_items,
                         const struct tensor *x, double *to)
{
	size_t row_size = x->heads * x->dim, at = 0;
	double *values = new_doubles(x->rows * row_size), guard = tensor_guard(x->t.dtype);
	tensor_read(x, feed->queue, values);
	for (size_t i = 0; i < n_items; i++) {
		size_t n = items[i].n * row_size;
		at = feed->first_rows ? feed->first_rows[i] * row_size : at;
		for (size_t j = 0; j < n; j++, at++) {
			*to++ = values[at];
			values[at] = guard;
		}
	}
	for (size_t i = 0; i < x->rows * row_size; i++)
		EACH_MSG(values[i] == guard, "row %zu of no item was written", i / row_size);
	free(values);
}

static void append_layer(const struct feed *feed, clkv_step *step, int layer,
                         const struct feed_item *items, size_t n_items)
{
	struct tensor k, v;
	clkv_error error;
	open_rows(feed, layer, FEED_K, items, n_items, &k);
	open_rows(feed, layer, FEED_V, items, n_items, &v);
	feed_ok(clkv_step_append(step, layer, &k.t, &v.t, 0, NULL, NULL, &error), &error,
	        "clkv_step_append");
	ck_assert_int_eq(clFinish(feed->queue), CL_SUCCESS);
	tensor_close(&k);
	tensor_close(&v);
}

static cl_mem sinks_buffer(const struct feed *feed)
{
	cl_int code;
	cl_mem mem = clCreateBuffer(
		clkv_context_cl(feed->context), CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR,
		feed_heads(feed, FEED_Q) * sizeof(float), (void *)(uintptr_t)feed->sinks, &code);
	ck_assert_int_eq(code, CL_SUCCESS);
	return mem;
}

static void observe(clkv_step *step, int layer, const struct tensor *q, const struct tensor *lse)
{
	clkv_observe_args args = CLKV_INIT(clkv_observe_args);
	clkv_error error;
	args.q = q->t;
	args.lse = lse->t.mem;
	args.lse_host = lse->t.host;
	args.lse_offset = lse->t.offset;
	feed_ok(clkv_step_observe(step, layer, &args, 0, NULL, NULL, &error), &error,
	        "clkv_step_observe");
}

/* Hands queries in that others have attended with. */
static void observe_layer(const struct feed *feed, clkv_step *step, int layer,
                          const struct feed_item *items, size_t n_items)
{
	const struct feed_result *r = feed->observed;
	struct tensor_layout layout = {.dtype = CLKV_F32, .offset = 5, .host = feed->in.host};
	struct tensor q, lse;
	open_rows(feed, layer, FEED_Q, items, n_items, &q);
	ck_assert_uint_eq(q.rows, r->rows);
	tensor_open(&lse, feed->queue, layout, q.rows, 1, r->lse_row,
	            r->lse + (size_t)layer * r->rows * r->lse_row);
	observe(step, layer, &q, &lse);
	ck_assert_int_eq(clFinish(feed->queue), CL_SUCCESS);
	tensor_close(&q);
	tensor_close(&lse);
}

static void attend_layer(const struct feed *feed, clkv_step *step, int layer,
                         const struct feed_item *items, size_t n_items, struct feed_result *result)
{
	struct tensor q, out, lse = {0};
	size_t heads = feed_heads(feed, FEED_Q);
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	clkv_error error;
	open_rows(feed, layer, FEED_Q, items, n_items, &q);
	tensor_open(&out, feed->queue, feed->out, q.rows, heads, feed_dim(feed, FEED_V), NULL);
	args.q = q.t;
	args.out = out.t;
	if (feed->lse) {
		struct tensor_layout layout = {
			.dtype = CLKV_F32, .offset = 3, .host = feed->out.host, .skew = feed->out.skew / 4 * 4};
		tensor_open(&lse, feed->queue, layout, q.rows, 1, heads, NULL);
		args.lse = lse.t.mem;
		args.lse_host = lse.t.host;
		args.lse_offset = layout.offset;
	}
	if (feed->sinks && feed->in.host)
		args.sinks_host = feed->sinks;
	else if (feed->sinks)
		args.sinks = sinks_buffer(feed);
	feed_ok(clkv_step_attend(step, layer, &args, 0, NULL, NULL, &error), &error,
	        "clkv_step_attend");
	if (feed->observe)
		observe(step, layer, &q, &lse);
	if (result)
		collect_rows(feed, items, n_items, &out,
		             result->out + (size_t)layer * result->rows * result->out_row);
	if (result && feed->lse)
		collect_rows(feed, items, n_items, &lse,
		             result->lse + (size_t)layer * result->rows * heads);
	ck_assert_int_eq(clFinish(feed->queue), CL_SUCCESS);
	if (args.sinks)
		clReleaseMemObject(args.sinks);
	tensor_close(&q);
	tensor_close(&out);
	tensor_close(&lse);
}

static void name_rows(const struct feed *feed, struct feed_item *item)
{
	struct stream *s = item->stream;
	ck_assert_uint_le(s->n + item->n, FEED_TOKENS);
	for (size_t i = 0; i < item->n; i++)
		s->row[s->n + i] = feed->named ? feed->named[i] : random_mix(item->seed, s->n + i);
}

static void result_open(const struct feed *feed, size_t rows, struct feed_result *result)
{
	size_t layers = (size_t)feed->geometry.layers;
	*result = (struct feed_result){.rows = rows, .lse_row = feed_heads(feed, FEED_Q)};
	result->out_row = result->lse_row * feed_dim(feed, FEED_V);
	result->out = new_doubles(layers * rows * result->out_row);
	result->lse = new_doubles(layers * rows * result->lse_row);
}

void feed_result_close(struct feed_result *result)
{
	free(result->out);
	free(result->lse);
	*result = (struct feed_result){0};
}

clkv_step *feed_begin(struct feed *feed, struct feed_item *items, size_t n_items,
                      struct feed_result *result)
{
	clkv_step_item list[FEED_ITEMS];
	clkv_step *step = NULL;
	clkv_error error;
	size_t rows;
	for (size_t i = 0; i < n_items; i++) {
		name_rows(feed, &items[i]);
		list[i] = (clkv_step_item){items[i].stream->seq, items[i].n, items[i].phase};
	}
	(void)tensor_rows(feed, items, n_items, &rows);
	if (result)
		result_open(feed, rows, result);
	feed_ok(clkv_step_begin_rows(feed->cache, list, feed->first_rows, n_items, feed->queue, &step,
	                             &error),
	        &error, "clkv_step_begin_rows");
	for (int layer = 0; layer < feed->geometry.layers; layer++) {
		append_layer(feed, step, layer, items, n_items);
		if (feed->observed)
			observe_layer(feed, step, layer, items, n_items);
		else if (!feed->append_only)
			attend_layer(feed, step, layer, items, n_items, result);
	}
	return step;
}

void feed_kept(struct feed_item *items, size_t n_items)
{
	for (size_t i = 0; i < n_items; i++)
		items[i].stream->n += items[i].n - items[i].dropped;
}

void feed_step(struct feed *feed, struct feed_item *items, size_t n_items,
               struct feed_result *result)
{
	clkv_step *step = feed_begin(feed, items, n_items, result);
	size_t kept[FEED_ITEMS];
	bool all = true;
	clkv_error error;
	for (size_t i = 0; i < n_items; i++) {
		kept[i] = items[i].n - items[i].dropped;
		all = all && items[i].dropped == 0;
	}
	feed_ok(clkv_step_commit(step, all ? NULL : kept, &error), &error, "clkv_step_commit");
	feed_kept(items, n_items);
}

void feed_one(struct feed *feed, struct stream *stream, size_t n, clkv_phase phase, uint64_t seed,
              struct feed_result *result)
{
	struct feed_item item = {.stream = stream, .n = n, .phase = phase, .seed = seed};
	feed_step(feed, &item, 1, result);
}

void feed_named(struct feed *feed, struct stream *stream, const uint64_t *row, size_t n,
                clkv_phase phase)
{
	feed->named = row;
	feed_one(feed, stream, n, phase, 0, NULL);
	feed->named = NULL;
}

void feed_read(const struct feed *feed, const struct stream *stream, int layer, size_t from,
               size_t n, double *k, double *v)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	struct tensor tk = {0}, tv = {0};
	size_t heads = feed_heads(feed, FEED_K);
	clkv_error error;
	if (n == 0)
		return;
	if (k)
		tensor_open(&tk, feed->queue, f32, n, heads, feed_dim(feed, FEED_K), NULL);
	if (v)
		tensor_open(&tv, feed->queue, f32, n, heads, feed_dim(feed, FEED_V), NULL);
	feed_ok(clkv_seq_read(stream->seq, layer, from, n, k ? &tk.t : NULL, v ? &tv.t : NULL,
	                      feed->queue, &error),
	        &error, "clkv_seq_read");
	if (k)
		tensor_read(&tk, feed->queue, k);
	if (v)
		tensor_read(&tv, feed->queue, v);
	tensor_close(&tk);
	tensor_close(&tv);
}

clkv_seq_info stream_info(const struct stream *stream)
{
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	ck_assert_int_eq(clkv_seq_get_info(stream->seq, &info, NULL), CLKV_OK);
	return info;
}

clkv_stats feed_stats(const struct feed *feed)
{
	clkv_stats stats = CLKV_INIT(clkv_stats);
	ck_assert_int_eq(clkv_cache_stats(feed->cache, &stats, NULL), CLKV_OK);
	return stats;
}

double feed_figure(const struct feed *feed, const char *name)
{
	double value = 0;
	clkv_error error;
	clkv_status status = clkv_cache_figure(feed->cache, name, &value, &error);
	if (status != CLKV_ERROR_UNSUPPORTED)
		feed_ok(status, &error, name);
	return value;
}

clkv_bytes feed_required(const clkv_context *context, const clkv_geometry *g, const char *recipe,
                         const clkv_cache_options *o)
{
	clkv_bytes bytes = CLKV_INIT(clkv_bytes);
	clkv_error error;
	feed_ok(clkv_bytes_required((clkv_context *)context, g, recipe, o, &bytes, &error), &error,
	        recipe);
	return bytes;
}
