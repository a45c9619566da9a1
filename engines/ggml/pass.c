/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <string.h>
#include <time.h>

#include "clkv_ggml.h"
#include "mask.h"
#include "store.h"

/** Rows of a batch behind generated tokens that count as generation still: drafts. Longer ones are prompts. */
enum { DRAFT_ROWS = 32 };

static atomic_ullong passes_of_all;

unsigned long long clkv_ggml_passes(void)
{
	return atomic_load(&passes_of_all);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static size_t width_k(const struct store *s)
{
	return (size_t)s->kv_heads * (size_t)s->dim_k;
}

static size_t width_v(const struct store *s)
{
	return (size_t)s->kv_heads * (size_t)s->dim_v;
}

static size_t width_q(const struct store *s)
{
	return (size_t)s->q_heads * (size_t)s->dim_k;
}

/* ---------------------------------------------------------------- rows that come ---- */

static int64_t cell_of(const struct ggml_tensor *cells, size_t i)
{
	const char *at = (const char *)cells->data + i * cells->nb[0];
	return cells->type == GGML_TYPE_I64 ? *(const int64_t *)(const void *)at
	                                    : *(const int32_t *)(const void *)at;
}

/** Reads the cells of a batch: one span per stream. Returns 0 after a line. */
static int read_cells(struct store *store, const struct ggml_tensor *cells)
{
	struct pass *next = &store->next;
	next->n_spans = 0;
	next->n_rows = (size_t)cells->ne[0];
	for (size_t i = 0; i < next->n_rows; i++) {
		const size_t cell = (size_t)cell_of(cells, i), stream = cell / store->cells;
		struct span *last = next->n_spans ? &next->spans[next->n_spans - 1] : NULL;
		next->cells[i] = (uint32_t)(cell % store->cells);
		if (last && last->stream == stream) {
			last->n++;
			continue;
		}
		if (stream >= store->n_streams || next->n_spans == store->n_streams ||
		    (last && stream < last->stream)) {
			say_error("a batch's rows go to streams to and fro (cell %zu)", cell);
			return 0;
		}
		next->spans[next->n_spans++] = (struct span){.stream = stream, .row = i, .n = 1};
	}
	return 1;
}

static int rows_fit(const struct store *store, const struct ggml_tensor *node,
                    const struct side *side)
{
	const struct ggml_tensor *rows = node->src[0], *cells = node->src[1];
	if ((size_t)rows->ne[0] != side->width || rows->ne[2] != 1 || rows->ne[3] != 1) {
		say_error("V is written transposed: turn flash attention on (-fa on)");
		return 0;
	}
	if (rows->type != GGML_TYPE_F32 || rows->nb[0] != sizeof(float) ||
	    (cells->type != GGML_TYPE_I64 && cells->type != GGML_TYPE_I32)) {
		say_error("rows of K and V must come as f32, with i64 or i32 cells");
		return 0;
	}
	if ((size_t)rows->ne[1] > store->max_rows) {
		say_error("a batch of %zu rows came, and %zu were planned for", (size_t)rows->ne[1],
		          store->max_rows);
		return 0;
	}
	return 1;
}

/** Tells whether rows of a layer go where those of the layer before went. */
static int same_rows(const struct pass *a, const struct pass *b)
{
	int same = a->n_spans == b->n_spans && a->n_rows == b->n_rows &&
	           !memcmp(a->cells, b->cells, a->n_rows * sizeof(*a->cells));
	for (size_t i = 0; i < a->n_spans && same; i++)
		same = a->spans[i].stream == b->spans[i].stream && a->spans[i].n == b->spans[i].n;
	return same;
}

static void copy_rows(const struct ggml_tensor *rows, float *to)
{
	const size_t width = (size_t)rows->ne[0];
	for (int64_t r = 0; r < rows->ne[1]; r++)
		memcpy(to + (size_t)r * width, (const char *)rows->data + (size_t)r * rows->nb[1],
		       width * sizeof(float));
}

/** Floats up to which a part of the staging memory is rounded: a page, from where on GPUs that share the host's memory take it
 *  as it is. */
enum { PAGE_FLOATS = 4096 / sizeof(float) };

static size_t part_floats(const struct store *store, size_t width)
{
	return (store->max_rows * width + PAGE_FLOATS - 1) / PAGE_FLOATS * PAGE_FLOATS;
}

static int make_staging(struct store *store)
{
	struct staging *s = &store->staging;
	const size_t k = part_floats(store, width_k(store)), v = part_floats(store, width_v(store));
	const size_t bytes = (k + v + part_floats(store, width_q(store))) * sizeof(float);
	if (s->k)
		return 1;
	s->k = aligned_alloc(PAGE_FLOATS * sizeof(float), bytes);
	if (!s->k) {
		say_error("no memory for the rows of a batch: %zu bytes", bytes);
		return 0;
	}
	s->v = s->k + k;
	s->q = s->v + v;
	return 1;
}

int pass_rows(struct store *store, const struct ggml_tensor *node)
{
	int side;
	const struct layer *layer = store_find(store, node, &side);
	if (!rows_fit(store, node, &layer->side[side]) || !make_staging(store) ||
	    !read_cells(store, node->src[1]))
		return 0;
	struct staging *s = &store->staging;
	if (s->layer != layer)
		s->has[SIDE_K] = s->has[SIDE_V] = 0;
	s->layer = layer;
	s->has[side] = 1;
	copy_rows(node->src[0], side == SIDE_V ? s->v : s->k);
	return 1;
}

/* ---------------------------------------------------------------- the step ---- */

static void set_length(struct stream *s, size_t n)
{
	s->length = n;
	cells_cut(&s->cells, n);
}

void pass_drop(struct store *store)
{
	struct pass *p = &store->pass;
	store->staging.layer = NULL;
	if (!p->step)
		return;
	clkv_step_abort(p->step);
	p->step = NULL;
	for (size_t i = 0; i < p->n_spans; i++)
		set_length(&store->streams[p->spans[i].stream], p->spans[i].first);
}

/** Counts how many of a span's rows the engine hasn't taken back: the next batch begins where it goes on. What ended a
 *  prompt can't be kept in part: it's cut afterwards. */
static size_t kept_of(const struct store *store, const struct span *span, const struct pass *next)
{
	for (size_t i = 0; next && i < next->n_spans; i++) {
		const struct span *n = &next->spans[i];
		if (n->stream == span->stream && n->first >= span->first &&
		    n->first < span->first + span->n &&
		    store->streams[span->stream].phase != CLKV_PROMPT_END)
			return n->first - span->first;
	}
	return span->n;
}

static void lose(struct store *store)
{
	for (size_t i = 0; i < store->pass.n_spans; i++)
		store->streams[store->pass.spans[i].stream].lost = 1;
}

/** Tells once per cache that values were replaced, which an engine would never hear of otherwise. */
static void look_at_figures(struct store *store)
{
	clkv_stats stats = CLKV_INIT(clkv_stats);
	if (clkv_cache_stats(store->cache, &stats, NULL) || !stats.not_finite || store->not_finite)
		return;
	store->not_finite = stats.not_finite;
	say_error("K or V had %llu values that aren't finite or are beyond 65504: 0 or 65504 was kept "
	          "of them",
	          (unsigned long long)stats.not_finite);
}

/** Gives memory back to the system that compilers of kernels have freed: after passes 1, 2, 4 ..., as kernels are built at their
 *  first use. */
static void trim_heap(uint64_t passes)
{
#ifdef __GLIBC__
	if (!(passes & (passes - 1)))
		malloc_trim(0);
#else
	(void)passes;
#endif
}

/** Ends the open step. next: the batch behind it, or NULL. */
static int commit(struct store *store, const struct pass *next)
{
	struct pass *p = &store->pass;
	size_t *kept = calloc(p->n_spans, sizeof(*kept));
	clkv_error error = {.status = CLKV_OK};
	for (size_t i = 0; kept && i < p->n_spans; i++)
		kept[i] = kept_of(store, &p->spans[i], next);
	if (!kept || clkv_step_commit(p->step, kept, &error)) {
		say_clkv("the last batch's tokens can't be kept", &error);
		lose(store);
		pass_drop(store);
		free(kept);
		return 0;
	}
	p->step = NULL;
	for (size_t i = 0; i < p->n_spans; i++)
		set_length(&store->streams[p->spans[i].stream], p->spans[i].first + kept[i]);
	free(kept);
	trim_heap(++store->passes);
	atomic_fetch_add(&passes_of_all, 1);
	look_at_figures(store);
	return 1;
}

/** Ends the open step, or drops it: not every layer was attended with, as the engine gave the batch up. */
static int end_before(struct store *store, const struct pass *next)
{
	if (!store->pass.step)
		return 1;
	if (store->pass.n_attended == store->n_layers)
		return commit(store, next);
	pass_drop(store);
	return 1;
}

int pass_end(struct store *store)
{
	return end_before(store, NULL);
}

int stream_truncate(struct store *store, size_t stream, size_t n)
{
	struct stream *s = &store->streams[stream];
	clkv_error error = {.status = CLKV_OK};
	if (s->length == n)
		return 1;
	if (clkv_seq_truncate(s->seq, n, &error)) {
		say_clkv("the engine takes tokens back that can't be", &error);
		return 0;
	}
	set_length(s, n);
	if (!n)
		s->decodes = s->prompts = 0;
	return 1;
}

/* ---------------------------------------------------------------- masks ---- */

static const uint16_t *mask_row(const struct ggml_tensor *mask, size_t span, size_t row)
{
	return (const void *)((const char *)mask->data + (mask->ne[3] > 1 ? span * mask->nb[3] : 0) +
	                      row * mask->nb[1]);
}

static void say_not_causal(size_t stream)
{
	say_error("a batch in stream %zu has a mask that isn't causal over all of its tokens: "
	          "sliding windows, rings, unified caches of several sequences, trees of drafts "
	          "and tokens removed from the middle without a shift can't be had",
	          stream);
}

/** Reads all rows that a span has in a mask. Returns 0 after a line. */
static int span_is_causal(const struct store *store, const struct pass *p, size_t i,
                          const struct ggml_tensor *mask)
{
	const struct span *span = &p->spans[i];
	const struct cells *cells = &store->streams[span->stream].cells;
	int fits = (size_t)mask->ne[0] <= store->cells &&
	           cells_since(cells, span->first, p->cells + span->row, span->n, store->since);
	for (size_t r = 0; fits && r < span->n; r++)
		fits = mask_row_shows(mask_row(mask, i, r), (size_t)mask->ne[0], store->since, (uint32_t)r,
		                      span->first + r + 1);
	if (!fits)
		say_not_causal(span->stream);
	return fits;
}

/** Reads the mask of the open step, unless it has been read for a layer before. */
static int mask_fits(struct store *store, const struct ggml_tensor *mask)
{
	struct pass *p = &store->pass;
	for (size_t i = 0; p->mask != mask && i < p->n_spans; i++) {
		if (!span_is_causal(store, p, i, mask))
			return 0;
	}
	p->mask = mask;
	return 1;
}

static int cells_are_there(struct store *store, struct stream *s)
{
	if (cells_make(&s->cells, store->cells))
		return 1;
	say_error("out of host memory");
	return 0;
}

/** Tells whether a sequence may begin anew: its first cell is one of those that the stream's tokens had, where any had. Else they
 *  are still there, of another sequence in the same stream. */
static int may_begin(const struct stream *s, uint32_t cell)
{
	return s->lost || !s->cells.n_tokens ||
	       (cell < s->cells.n && s->cells.token[cell] != CELL_EMPTY);
}

/** Finds out from a span's first row how many tokens come before the batch, so which ones the engine has taken back. The cells
 *  alone don't say it, once they don't follow the tokens. Returns 0 after a line; nothing is changed but what was pending. */
static int find_first(struct store *store, size_t i, const struct ggml_tensor *mask)
{
	struct span *span = &store->next.spans[i];
	struct stream *s = &store->streams[span->stream];
	const size_t seen = mask_row_count(mask_row(mask, i, 0), (size_t)mask->ne[0]);
	if (!cells_are_there(store, s))
		return 0;
	span->first = seen ? seen - 1 : 0;
	if (!span->first)
		state_drop(store, span->stream);
	else if (s->pending.rows && (!pass_end(store) || !state_flush(store, span->stream)))
		return 0;
	if (span->first && (s->lost || span->first > s->length)) {
		say_error("stream %zu goes on behind %zu tokens, and clkv holds %zu of them: clear it "
		          "first",
		          span->stream, span->first, s->lost ? 0 : s->length);
		return 0;
	}
	if (span->first || may_begin(s, store->next.cells[span->row]))
		return span_is_causal(store, &store->next, i, mask);
	say_not_causal(span->stream);
	return 0;
}

/* ---------------------------------------------------------------- the step ---- */

/** Brings a stream to the length at which a batch goes on, and puts its rows into their cells. */
static int stream_ready(struct store *store, const struct span *span)
{
	struct stream *s = &store->streams[span->stream];
	clkv_error error = {.status = CLKV_OK};
	s->copy_of = 0;
	s->lost = 0;
	if (!s->seq && clkv_seq_create(store->cache, &s->seq, &error)) {
		say_clkv("no sequence", &error);
		return 0;
	}
	return stream_truncate(store, span->stream, span->first);
}

/** Ends the prompt of a stream, if one is open. *judged 0: the stream has been cut since its last rows, so that nothing is known
 *  of how they attend. Returns 0 after a line. */
static int end_prompt(struct store *store, struct stream *s, int *judged)
{
	clkv_error error = {.status = CLKV_OK};
	*judged = 1;
	if (!s->prompts || !s->length)
		return 1;
	if (!clkv_seq_end_prompt(s->seq, store->queue, &error)) {
		s->prompts = 0;
		return 1;
	}
	*judged = error.status != CLKV_ERROR_INVALID_STATE;
	if (*judged)
		say_clkv("a prompt can't be ended", &error);
	return !*judged;
}

/** Generation for a token, and for drafts behind tokens; else a part of a prompt. An engine doesn't say which part is the last, so
 *  the first token behind it ends it: before it, or with it where it must be judged by that token. Returns 0 after a line. */
static int choose_phase(struct store *store, struct stream *s, size_t n)
{
	int judged = 1;
	s->decodes = n == 1 || (s->decodes && n <= DRAFT_ROWS);
	if (s->decodes && !end_prompt(store, s, &judged))
		return 0;
	s->phase = !judged ? CLKV_PROMPT_END : s->decodes ? CLKV_DECODE : CLKV_PROMPT;
	s->prompts = s->phase == CLKV_PROMPT;
	return 1;
}

/** Ends all prompts that can be, which takes them out of half. Returns how many. */
static size_t end_prompts(struct store *store)
{
	size_t n = 0;
	for (size_t i = 0; i < store->n_streams; i++) {
		struct stream *s = &store->streams[i];
		n += s->seq && s->prompts && s->length && !clkv_seq_end_prompt(s->seq, store->queue, NULL);
	}
	return n;
}

/** Begins the step; where there's no room for its rows in half, after the ends of prompts that were thought to go on. */
static int begin_step(struct store *store, const clkv_step_item *items)
{
	const size_t n = store->next.n_spans;
	clkv_step **step = &store->pass.step;
	clkv_error error = {.status = CLKV_OK};
	clkv_status status = clkv_step_begin(store->cache, items, n, store->queue, step, &error);
	if (status == CLKV_ERROR_POOL_FULL && end_prompts(store))
		status = clkv_step_begin(store->cache, items, n, store->queue, step, &error);
	if (status)
		say_clkv("the batch can't begin", &error);
	return !status;
}

/** Makes the streams ready and begins a step of what they get. Returns 0 after a line. */
static int begin_items(struct store *store)
{
	clkv_step_item *items = calloc(store->next.n_spans, sizeof(*items));
	int good = items != NULL;
	for (size_t i = 0; good && i < store->next.n_spans; i++) {
		const struct span *span = &store->next.spans[i];
		struct stream *s = &store->streams[span->stream];
		good = stream_ready(store, span) && choose_phase(store, s, span->n);
		items[i] = (clkv_step_item){s->seq, span->n, s->phase};
	}
	good = good && begin_step(store, items);
	free(items);
	return good;
}

/** Makes the rows of the step that has begun the streams' newest tokens. */
static void take_rows(struct store *store)
{
	struct pass *p = &store->pass, *next = &store->next;
	struct span *spans = p->spans;
	uint32_t *cells = p->cells;
	p->spans = next->spans;
	p->cells = next->cells;
	p->n_spans = next->n_spans;
	p->n_rows = next->n_rows;
	next->spans = memcpy(spans, p->spans, p->n_spans * sizeof(*spans));
	next->cells = memcpy(cells, p->cells, p->n_rows * sizeof(*cells));
	p->n_attended = 0;
	for (size_t i = 0; i < store->n_layers; i++)
		store->layers[i].attended = 0;
	for (size_t i = 0; i < p->n_spans; i++) {
		struct stream *s = &store->streams[p->spans[i].stream];
		for (size_t r = 0; r < p->spans[i].n; r++)
			cells_add(&s->cells, p->cells[p->spans[i].row + r]);
		s->length = s->cells.n_tokens;
	}
}

static int begin(struct store *store, const struct ggml_tensor *mask)
{
	for (size_t i = 0; i < store->next.n_spans; i++) {
		if (!find_first(store, i, mask))
			return 0;
	}
	if (!end_before(store, &store->next) || !begin_items(store))
		return 0;
	store->pass.mask = mask;
	take_rows(store);
	return 1;
}

/* ---------------------------------------------------------------- attention ---- */

static float param_of(const struct ggml_tensor *node, int i)
{
	float value;
	memcpy(&value, node->op_params + i, sizeof(value));
	return value;
}

static int kind_fits(const struct ggml_tensor *node)
{
	if (param_of(node, 1) != 0) {
		say_error("the model uses ALiBi (max_bias %g), which clkv's attention doesn't have",
		          (double)param_of(node, 1));
		return 0;
	}
	if (node->src[4]) {
		say_error("the model uses attention sinks, which this backend doesn't hand over");
		return 0;
	}
	if (!node->src[3] || node->src[3]->type != GGML_TYPE_F16 || node->src[3]->ne[2] != 1) {
		say_error("attention comes without a causal mask of f16, and clkv's is causal");
		return 0;
	}
	return 1;
}

static int shape_fits(const struct store *store, const struct ggml_tensor *node)
{
	const struct ggml_tensor *q = node->src[0], *k = node->src[1], *v = node->src[2];
	if (q->ne[0] != store->dim_k || k->ne[0] != store->dim_k || v->ne[0] != store->dim_v ||
	    q->ne[2] != store->q_heads || k->ne[2] != store->kv_heads || v->ne[2] != store->kv_heads) {
		say_error("a layer has other heads than the first, and clkv takes one shape for all");
		return 0;
	}
	const float scale = param_of(node, 0), softcap = param_of(node, 2);
	if (memcmp(&scale, &store->scale, sizeof(scale)) ||
	    memcmp(&softcap, &store->softcap, sizeof(softcap))) {
		say_error("a layer scales or caps its logits otherwise than the first");
		return 0;
	}
	if (q->type != GGML_TYPE_F32 || q->nb[0] != sizeof(float) || node->type != GGML_TYPE_F32) {
		say_error("queries must come as f32");
		return 0;
	}
	return 1;
}

/** Checks that the node attends to what the batch's rows went into: span i is stream i of the views of K and V, from its first
 *  cell on. */
static int views_fit(const struct store *store, const struct layer *layer,
                     const struct ggml_tensor *node)
{
	const struct pass *b = &store->next;
	const struct ggml_tensor *q = node->src[0];
	size_t fits = (size_t)q->ne[3] == b->n_spans;
	for (int side = 0; side < SIDES; side++) {
		const struct ggml_tensor *view = node->src[1 + side];
		const size_t stream_bytes = layer->side[side].row_bytes * store->cells;
		fits =
			fits && (size_t)view->ne[3] == b->n_spans &&
			view->nb[1] == layer->side[side].row_bytes &&
			(const char *)view->data == layer->side[side].data + b->spans[0].stream * stream_bytes;
	}
	for (size_t i = 0; fits && i < b->n_spans; i++)
		fits = b->spans[i].n == (size_t)q->ne[1] && b->spans[i].stream == b->spans[0].stream + i;
	if (!fits)
		say_error("a batch attends to other streams of the cache than it has rows for");
	return fits != 0;
}

static void copy_queries(const struct store *store, const struct ggml_tensor *q, float *to)
{
	const size_t dim = (size_t)store->dim_k;
	for (int64_t s = 0; s < q->ne[3]; s++) {
		for (int64_t t = 0; t < q->ne[1]; t++) {
			for (int64_t h = 0; h < q->ne[2]; h++, to += dim)
				memcpy(to,
				       (const char *)q->data + (size_t)s * q->nb[3] + (size_t)t * q->nb[1] +
				           (size_t)h * q->nb[2],
				       dim * sizeof(float));
		}
	}
}

/** The queries where they lie, if the heads of a row lie side by side and the rows are of one stream; else a copy. */
static clkv_tensor queries_of(const struct store *store, const struct ggml_tensor *q)
{
	if (q->ne[3] > 1 || q->nb[2] != (size_t)store->dim_k * sizeof(float) ||
	    q->nb[1] < width_q(store) * sizeof(float)) {
		copy_queries(store, q, store->staging.q);
		return (clkv_tensor){.host = store->staging.q};
	}
	return (clkv_tensor){.host = q->data, .token_stride = q->nb[1] / sizeof(float)};
}

static int enqueue_layer(struct store *store, int number, const struct ggml_tensor *node,
                         clkv_error *error)
{
	const struct staging *s = &store->staging;
	const clkv_tensor k = {.host = s->k}, v = {.host = s->v};
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	args.q = queries_of(store, node->src[0]);
	args.out = (clkv_tensor){.host = node->data};
	return !clkv_step_append(store->pass.step, number, &k, &v, 0, NULL, NULL, error) &&
	       !clkv_step_attend(store->pass.step, number, &args, 0, NULL, NULL, error);
}

/** Hands over the rows, computes into the node, and waits. */
static int run_layer(struct store *store, int number, const struct ggml_tensor *node)
{
	clkv_error error = {.status = CLKV_OK};
	const uint64_t start = now_ns();
	const int enqueued = enqueue_layer(store, number, node, &error);
	const uint64_t wait = now_ns();
	/* after a failure too: the staging memory is written again before long */
	const cl_int code = clFinish(store->queue);
	store->prepare_ns += wait - start;
	store->wait_ns += now_ns() - wait;
	store->waits++;
	if (!enqueued)
		say_clkv("attention failed", &error);
	else if (code)
		say_error("attention failed: OpenCL says %d", code);
	return enqueued && !code;
}

static int layer_is_new(const struct store *store, const struct layer *layer)
{
	return !store->pass.step || layer->attended || !same_rows(&store->pass, &store->next);
}

static int attend(struct store *store, struct layer *layer, struct ggml_tensor *node)
{
	struct staging *s = &store->staging;
	if (s->layer != layer || !s->has[SIDE_K] || !s->has[SIDE_V]) {
		say_error("layer %d attends without new rows of its own, as where layers share a cache",
		          layer->number);
		return 0;
	}
	if (!kind_fits(node) || !shape_fits(store, node) || !views_fit(store, layer, node))
		return 0;
	if (layer_is_new(store, layer) && !begin(store, node->src[3]))
		return 0;
	if (!mask_fits(store, node->src[3]) || !run_layer(store, (int)(layer - store->layers), node))
		return 0;
	s->layer = NULL;
	layer->attended = 1;
	store->pass.n_attended++;
	return 1;
}

int pass_attend(struct store *store, struct ggml_tensor *node)
{
	int side;
	struct layer *layer = store_find(store, node->src[1], &side);
	if (attend(store, layer, node))
		return 1;
	pass_drop(store);
	return 0;
}
