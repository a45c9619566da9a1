/* SPDX-License-Identifier: MIT */
/** \file recalled.c \brief What a row must attend to, and whether it did. */
#include "recalled.h"

#include "../ref/ref_half.h"
#include "bounds.h"
#include "each.h"
#include "fixture.h"
#include "random.h"
#include "recipe_text.h"
#include "store/cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *new_array(size_t n, size_t size)
{
	void *values = calloc(n + 1, size);
	ck_assert_ptr_nonnull(values);
	return values;
}

static double *new_doubles(size_t n)
{
	return new_array(n, sizeof(double));
}

double recalled_quarters(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	uint64_t place = random_mix(row, (uint64_t)layer * 4u + (uint64_t)side);
	double noise = random_normal(random_mix(place, head * 1024u + d));
	double value = fmin(fmax(rint(4.0 * noise), -8.0), 8.0) / 4.0;
	return side == FEED_Q ? value : value + (double)((d + head) % 3) - 1.0;
}

/* ---------------------------------------------------------------- segments ---- */

/* A codebook needs four keys for each entry: a sequence's first segment may have to be larger than others. */
struct recalled_case recalled_case(const char *recipe)
{
	static const char *const kinds[] = {"topk", "pages", "clusterkv", "a2ats"};
	struct recalled_case c = {.recipe = recipe};
	for (int i = 0; i < 4; i++)
		if (strstr(recipe, kinds[i]))
			c.kind = (enum recalled_kind)i;
	c.budget = (size_t)recipe_number(recipe, "recall", 0);
	c.grouped = strstr(recipe, "gqa=group") != NULL;
	c.page = c.kind == RECALLED_PAGES ? (size_t)recipe_number(recipe, "page", 16) : 0;
	c.window = (size_t)recipe_number(recipe, "window", 0);
	c.sinks = (size_t)recipe_number(recipe, "sinks", 0);
	c.block = (size_t)recipe_number(recipe, "block", 64);
	c.every = (size_t)recipe_number(recipe, "every", 0);
	c.most = (size_t)recipe_number(recipe, "most", 4096);
	size_t keys = c.kind == RECALLED_CODES ? 4 * (size_t)recipe_number(recipe, "codes", 0) : 0;
	c.first = keys > c.every ? keys : 0;
	c.chunk = strstr(recipe, "seal=chunk") != NULL;
	c.skip = (int)recipe_number(recipe, "skip", 0);
	return c;
}

void recalled_start(struct feed *feed, const struct recalled_case *c,
                    const clkv_cache_options *options, struct stream *stream, struct recalled *r)
{
	feed->value = recalled_quarters;
	feed->lse = true;
	feed_open(feed, feed->context ? feed->context : fixture.context,
	          feed->queue ? feed->queue : fixture.queue, c->recipe, options);
	stream_open(feed, stream);
	recalled_open(r, c);
}

void recalled_open(struct recalled *r, const struct recalled_case *c)
{
	*r = (struct recalled){.c = c};
}

static void add_segments(struct recalled *r, size_t n)
{
	size_t bt = r->c->block, parts = (n + r->c->most - 1) / r->c->most, blocks = (n + bt - 1) / bt;
	size_t from = r->tail, end = r->tail + n;
	for (size_t i = 0; i < parts; i++) {
		size_t tokens = (blocks * (i + 1) / parts - blocks * i / parts) * bt;
		tokens = tokens < end - from ? tokens : end - from;
		ck_assert_uint_lt(r->n, RECALLED_SEGMENTS);
		r->segments[r->n++] = (struct recalled_segment){from, tokens, tokens, r->blocks * bt};
		r->blocks += (tokens + bt - 1) / bt;
		from += tokens;
	}
	ck_assert_uint_eq(from, end);
	r->tail = end;
}

void recalled_seal(struct recalled *r, size_t n)
{
	r->tail = r->tail > r->c->sinks ? r->tail : r->c->sinks;
	add_segments(r, n);
}

void recalled_commit(struct recalled *r, size_t n, clkv_phase phase)
{
	const struct recalled_case *c = r->c;
	r->length += n;
	size_t sinks = c->sinks < r->length ? c->sinks : r->length;
	size_t first = r->n == 0 && c->first > 0 ? c->first : c->every;
	r->tail = r->tail > sinks ? r->tail : sinks;
	if (r->length - r->tail < c->window + first || (phase == CLKV_PROMPT && !c->chunk))
		return;
	size_t sealed = r->length - r->tail - c->window;
	if (phase == CLKV_PROMPT_END && !r->partial)
		r->partial = sealed % c->block != 0;
	else
		sealed = sealed / c->every * c->every;
	add_segments(r, sealed);
}

void recalled_truncate(struct recalled *r, size_t n)
{
	r->length = n;
	if (n >= r->tail)
		return;
	r->tail = n;
	while (r->n > 0 && r->segments[r->n - 1].from >= n)
		r->blocks = r->segments[--r->n].ordinal / r->c->block;
	if (r->n == 0)
		return;
	struct recalled_segment *s = &r->segments[r->n - 1];
	if (n - s->from < s->kept)
		s->kept = n - s->from;
	r->blocks = s->ordinal / r->c->block + (s->kept + r->c->block - 1) / r->c->block;
}

size_t recalled_sealed(const struct recalled *r)
{
	size_t sealed = 0;
	for (size_t i = 0; i < r->n; i++)
		sealed += r->segments[i].kept;
	return sealed;
}

/* ---------------------------------------------------------------- the device's ---- */

static void read_device(const struct feed *feed, cl_mem mem, size_t offset, size_t size, void *to)
{
	ck_assert_int_eq(
		clEnqueueReadBuffer(feed->queue, mem, CL_TRUE, offset, size, to, 0, NULL, NULL),
		CL_SUCCESS);
}

static uint32_t segment_word(const clkv_seq *seq, size_t segment, uint32_t word)
{
	return clkv__tables_get(&seq->cache->tables, seq->slab + seq->cache->sizes.segs_word +
	                                                 ABI_SEGS_HEAD +
	                                                 (uint32_t)segment * ABI_SEG_WORDS + word);
}

/* Representatives [tile][dk][ABI_TILE] as rows. */
static double *read_rows(const struct feed *feed, cl_mem mem, size_t at, size_t units, size_t dk)
{
	size_t places = (units + ABI_TILE - 1) / ABI_TILE * ABI_TILE;
	uint16_t *halves = new_array(places * dk, sizeof *halves);
	double *rows = new_doubles(units * dk);
	read_device(feed, mem, at, places * dk * 2, halves);
	for (size_t i = 0; i < units * dk; i++) {
		size_t u = i / dk, d = i % dk;
		rows[i] = ref_from_half(halves[(u / ABI_TILE * dk + d) * ABI_TILE + u % ABI_TILE]);
	}
	free(halves);
	return rows;
}

static size_t *read_shorts(const struct feed *feed, cl_mem mem, size_t at, size_t n)
{
	uint16_t *shorts = new_array(n, sizeof *shorts);
	size_t *values = new_array(n, sizeof *values);
	read_device(feed, mem, at, n * 2, shorts);
	for (size_t i = 0; i < n; i++)
		values[i] = shorts[i];
	free(shorts);
	return values;
}

void recalled_index_open(const struct feed *feed, const struct stream *stream, size_t segment,
                         int layer, size_t head, struct recalled_index *index)
{
	const clkv_cache *cache = feed->cache;
	const clkv_seq *seq = stream->seq;
	bool codes = cache->plan.recall.kind == ABI_INDEX_CODES;
	size_t row = (size_t)(layer - cache->plan.general.skip) * (size_t)cache->shape.streams + head;
	size_t at = (segment_word(seq, segment, ABI_SEG_ADDR) +
	             row * segment_word(seq, segment, ABI_SEG_STRIDE)) *
	            ABI_UNIT;
	*index = (struct recalled_index){.dk = (size_t)cache->shape.dk};
	index->units = segment_word(seq, segment, ABI_SEG_UNITS);
	index->tokens = segment_word(seq, segment, ABI_SEG_TOKENS);
	size_t places = (index->units + ABI_TILE - 1) / ABI_TILE * ABI_TILE;
	if (codes) {
		size_t book = cache->sizes.book_units / cache->sizes.index_heads;
		index->centroids = read_rows(feed, cache->index.books, (seq->book + row * book) * ABI_UNIT,
		                             index->units, index->dk);
	} else {
		index->centroids = read_rows(feed, cache->index.mem, at, index->units, index->dk);
		at += places * index->dk * 2;
	}
	index->ends = read_shorts(feed, cache->index.mem, at, places);
	index->members = read_shorts(feed, cache->index.mem, at + places * 2, index->tokens);
}

void recalled_index_close(struct recalled_index *index)
{
	free(index->centroids);
	free(index->ends);
	free(index->members);
}

size_t recalled_used(const struct feed *feed)
{
	return feed->cache->sizes.index_units > 0 ? clkv__pages_used(&feed->cache->index.pages) : 0;
}

size_t recalled_books(const struct feed *feed)
{
	return feed->cache->sizes.book_units > 0 ? clkv__slots_used(&feed->cache->index.book_slots) : 0;
}

/* ---------------------------------------------------------------- units ---- */

/* Of one sequence in one (layer, KV head). */
struct units {
	size_t n, dk;
	size_t *begin, *size; /* of each unit's members, newest first */
	size_t *members;      /* positions */
	double *centroids;    /* or NULL */
	bool exact;           /* keys and queries are whole quarters */
};

static void close_units(struct units *u)
{
	free(u->begin);
	free(u->size);
	free(u->members);
	free(u->centroids);
}

/* The members of a unit of segment s, which are still there. */
static void add_unit(struct units *u, const struct recalled_segment *s, const size_t *members,
                     size_t n, const double *centroid)
{
	u->begin[u->n] = u->n == 0 ? 0 : u->begin[u->n - 1] + u->size[u->n - 1];
	for (size_t i = 0; i < n; i++)
		if (members[i] < s->kept)
			u->members[u->begin[u->n] + u->size[u->n]++] = s->from + members[i];
	if (centroid)
		memcpy(u->centroids + u->n * u->dk, centroid, u->dk * sizeof *centroid);
	u->n++;
}

static void add_pages(struct units *u, const struct recalled_segment *s, size_t page)
{
	size_t members[64];
	for (size_t t = 0; t < s->kept; t += page) {
		size_t n = s->kept - t < page ? s->kept - t : page;
		for (size_t i = 0; i < n; i++)
			members[i] = t + n - 1 - i;
		add_unit(u, s, members, n, NULL);
	}
}

static void add_clusters(struct units *u, const struct recalled_segment *s,
                         const struct recalled_index *x)
{
	for (size_t i = 0; i < x->units; i++) {
		size_t begin = i ? x->ends[i - 1] : 0;
		add_unit(u, s, x->members + begin, x->ends[i] - begin, x->centroids + i * x->dk);
	}
}

static void open_units(const struct feed *feed, const struct stream *stream,
                       const struct recalled *r, int layer, size_t head, struct units *u)
{
	size_t most = 4 * FEED_TOKENS; /* far above: clusters may be empty */
	bool clusters = r->c->kind == RECALLED_CLUSTERS || r->c->kind == RECALLED_CODES;
	*u = (struct units){.dk = feed_dim(feed, FEED_K)};
	u->exact = feed->value == recalled_quarters;
	u->begin = new_array(most, sizeof *u->begin);
	u->size = new_array(most, sizeof *u->size);
	u->members = new_array(most, sizeof *u->members);
	u->centroids = clusters ? new_doubles(most * u->dk) : NULL;
	for (size_t i = 0; i < r->n; i++) {
		struct recalled_index x;
		if (!clusters) {
			add_pages(u, &r->segments[i], r->c->kind == RECALLED_PAGES ? r->c->page : 1);
			continue;
		}
		recalled_index_open(feed, stream, i, layer, head, &x);
		add_clusters(u, &r->segments[i], &x);
		recalled_index_close(&x);
	}
}

/* What rounding may make of the score of keys, whose scales may be folded: three roundings for one. */
static double key_slack(const struct units *u, size_t n, const double *q, const double *k,
                        size_t k_stride)
{
	double all = 0.0;
	for (size_t d = 0; d < u->dk; d++) {
		double most = 0.0;
		for (size_t i = 0; i < n; i++)
			most = fmax(most, fabs(k[i * k_stride + d]));
		all += most * fabs(q[d]);
	}
	return 3.0 * (double)(u->dk + 4) * 0x1p-24 * all;
}

/* The score of a unit for q; *slack becomes the most that rounding may make of it. */
static double score_of(const struct units *u, size_t i, const double *q, const double *k,
                       size_t k_stride, double *slack)
{
	if (!u->centroids) {
		size_t oldest = u->members[u->begin[i] + u->size[i] - 1];
		if (!u->exact)
			*slack = fmax(*slack, key_slack(u, u->size[i], q, k + oldest * k_stride, k_stride));
		return ref_recall_page(u->dk, q, k + oldest * k_stride, k_stride, u->size[i]);
	}
	double sum = 0.0, all = 0.0;
	for (size_t d = 0; d < u->dk; d++) {
		sum += q[d] * u->centroids[i * u->dk + d];
		all += fabs(q[d] * u->centroids[i * u->dk + d]);
	}
	*slack = fmax(*slack, (double)(u->dk + 4) * 0x1p-24 * all);
	return sum;
}

/* ---------------------------------------------------------------- choices ---- */

/* A row of one layer. */
struct row {
	const struct feed *feed;
	const struct recalled *r;
	int layer;
	size_t pos;
	uint64_t number;
	const double *q, *k, *v; /* [q_heads][dk], [tokens][kv_heads][dim] */
	double scale;
};

/* What rounding makes of the logarithm of a share at most: scale * score - top, at most 60 in these tests, is rounded
 * three times and goes through exp2, the sum and its inverse: 60 * 3 * 2^-24 and 16 * 2^-24 are less than 2^-16. */
#define SHARE_SLACK 0x1p-16

/* Logarithms, so that errors are alike for all; a share that is 0 stays last. */
static void group_scores(size_t group, size_t n, double scale, double *score)
{
	double *share = new_doubles(n);
	ref_recall_group(group, n, score, scale, share);
	for (size_t i = 0; i < n; i++)
		score[i] = log(share[i]);
	free(share);
}

/* For all query heads of a KV head; adds the choice of the group to most. Returns how many choices are unsure. */
static size_t choose(const struct row *row, size_t head, const struct units *u, size_t *most,
                     struct recalled_figures *figures)
{
	const struct feed *feed = row->feed;
	size_t group = feed_heads(feed, FEED_Q) / feed_heads(feed, FEED_K), unsure = 0;
	size_t k_stride = feed_heads(feed, FEED_K) * u->dk;
	double *score = new_doubles(group * u->n), slack = 0.0;
	size_t *take = new_array(u->n, sizeof *take);
	for (size_t g = 0; g < group; g++)
		for (size_t i = 0; i < u->n; i++)
			if (u->size[i] > 0 || u->centroids)
				score[g * u->n + i] = score_of(u, i, row->q + (head * group + g) * u->dk,
				                               row->k + head * u->dk, k_stride, &slack);
	if (row->r->c->grouped)
		group_scores(group, u->n, row->scale, score);
	for (size_t g = 0; g < (row->r->c->grouped ? 1 : group); g++) {
		const double *mine = score + g * u->n;
		double gap = ref_recall_choose(u->n, mine, u->size, row->r->c->budget, take);
		size_t taken = 0;
		for (size_t i = 0; i < u->n; i++) {
			most[i] = take[i] > most[i] ? take[i] : most[i];
			taken += take[i];
		}
		unsure += gap <= 2.0 * (row->r->c->grouped ? slack * row->scale + SHARE_SLACK : slack);
		figures->heads++;
		figures->left += taken < recalled_sealed(row->r);
	}
	free(score);
	free(take);
	return unsure;
}

static size_t ordinal_of(const struct recalled *r, size_t position)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct recalled_segment *s = &r->segments[i];
		if (position >= s->from && position < s->from + s->kept)
			return s->ordinal + position - s->from;
	}
	ck_abort_msg("position %zu isn't sealed", position);
}

/* The device's list of the last layer that recalls: the chosen tokens, each once, whatever the order is. */
static void check_list(const struct row *row, size_t ask, size_t head, const size_t *token,
                       size_t n)
{
	const clkv_cache *cache = row->feed->cache;
	size_t room = cache->sizes.listed, streams = (size_t)cache->shape.streams;
	uint32_t *list = new_array(1 + room, sizeof *list);
	unsigned char *seen = new_array(4 * FEED_TOKENS, 1);
	read_device(row->feed, cache->index.lists, (ask * streams + head) * (1 + room) * 4,
	            (1 + room) * 4, list);
	EACH_MSG(list[0] == n, "position %zu, head %zu: %u tokens are listed, not %zu", row->pos, head,
	         list[0], n);
	for (size_t i = 0; i < n; i++) {
		EACH_MSG(list[1 + i] < 4 * FEED_TOKENS && !seen[list[1 + i]],
		         "position %zu, head %zu: ordinal %u is listed twice", row->pos, head, list[1 + i]);
		seen[list[1 + i]] = 1;
	}
	for (size_t i = 0; i < n; i++)
		EACH_MSG(seen[ordinal_of(row->r, token[i])],
		         "position %zu, head %zu: token %zu (ordinal %zu) isn't listed", row->pos, head,
		         token[i], ordinal_of(row->r, token[i]));
	free(list);
	free(seen);
}

static double scale_of(const struct feed *feed)
{
	double dk = (double)feed_dim(feed, FEED_K);
	return feed->geometry.scale != 0.0f ? (double)feed->geometry.scale : 1.0 / sqrt(dk);
}

/* The index of a page that was cut goes on to know the keys that are gone. */
static bool knows_more(const struct recalled *r)
{
	for (size_t i = 0; i < r->n && r->c->kind == RECALLED_PAGES; i++)
		if (r->segments[i].kept < r->segments[i].tokens && r->segments[i].kept % r->c->page != 0)
			return true;
	return false;
}

bool recalled_choose(const struct feed *feed, const struct stream *stream, const struct recalled *r,
                     int layer, size_t head, const double *q, const double *k, size_t *token,
                     size_t *n)
{
	struct row row = {.feed = feed, .r = r, .layer = layer, .q = q, .k = k};
	struct recalled_figures figures = {0};
	struct units u;
	row.scale = scale_of(feed);
	open_units(feed, stream, r, layer, head, &u);
	size_t *most = new_array(u.n, sizeof *most), unsure = choose(&row, head, &u, most, &figures);
	*n = 0;
	for (size_t i = 0; i < u.n; i++)
		for (size_t j = 0; j < most[i]; j++)
			token[(*n)++] = u.members[u.begin[i] + j];
	free(most);
	close_units(&u);
	return unsure == 0 && !knows_more(r);
}

/* ---------------------------------------------------------------- rows ---- */

static bool layer_recalls(const struct feed *feed, const struct recalled *r, int layer)
{
	return layer >= r->c->skip && !(feed->geometry.window && feed->geometry.window[layer] > 0);
}

static void check_head(const struct row *row, size_t h, const size_t *token, size_t n,
                       const double *out, double lse)
{
	const struct feed *feed = row->feed;
	size_t group = feed_heads(feed, FEED_Q) / feed_heads(feed, FEED_K);
	double sink = feed->sinks ? (double)feed->sinks[h] : 0.0, want[256];
	struct ref_attend_sums sums;
	struct ref_attend a = {
		.dk = feed_dim(feed, FEED_K),
		.dv = feed_dim(feed, FEED_V),
		.scale = row->scale,
		.softcap = (double)feed->geometry.softcap,
		.sink = feed->sinks ? &sink : NULL,
	};
	a.k_stride = feed_heads(feed, FEED_K) * a.dk;
	a.v_stride = feed_heads(feed, FEED_V) * a.dv;
	ref_recall_attend(&a, row->q + h * a.dk, row->k + h / group * a.dk, row->v + h / group * a.dv,
	                  token, n, want, &sums);
	double r = bound_attend(a.dk, n, sums.logit_abs, 0) + bound_dtype(feed->out.dtype);
	for (size_t d = 0; d < a.dv; d++)
		EACH_MSG(fabs(out[d] - want[d]) <= r * sums.value_abs,
		         "layer %d, position %zu, head %zu, channel %zu: %g instead of %g over %zu tokens, "
		         "allowed +-%g",
		         row->layer, row->pos, h, d, out[d], want[d], n, r * sums.value_abs);
	EACH_MSG(!feed->lse || fabs(lse - sums.lse) <= r + 0x1p-22 * fabs(sums.lse),
	         "layer %d, position %zu, head %zu: lse %g instead of %g", row->layer, row->pos, h, lse,
	         sums.lse);
}

/* Tokens that every head sees: all that the layer doesn't recall. */
static size_t put_seen(const struct row *row, bool recalls, size_t *token)
{
	const int *window = row->feed->geometry.window;
	size_t n = 0, from = 0;
	if (window && window[row->layer] > 0 && row->pos + 1 > (size_t)window[row->layer])
		from = row->pos + 1 - (size_t)window[row->layer];
	for (size_t t = from; t <= row->pos; t++)
		if (!recalls || t < row->r->c->sinks || t >= row->r->tail)
			token[n++] = t;
	return n;
}

/* ask: its number in the device's lists, or SIZE_MAX if they aren't of this row and layer. */
static void check_row(const struct row *row, const struct units *units, bool recalls, size_t ask,
                      const double *out, const double *lse, struct recalled_figures *figures)
{
	const struct feed *feed = row->feed;
	size_t kv_heads = feed_heads(feed, FEED_K), group = feed_heads(feed, FEED_Q) / kv_heads;
	size_t token[FEED_TOKENS], dv = feed_dim(feed, FEED_V);
	figures->rows += recalls;
	for (size_t s = 0; s < kv_heads; s++) {
		size_t n = put_seen(row, recalls, token), seen = n;
		if (recalls) {
			const struct units *u = &units[s];
			size_t *most = new_array(u->n, sizeof *most);
			size_t unsure = choose(row, s, u, most, figures);
			for (size_t i = 0; i < u->n; i++)
				for (size_t j = 0; j < most[i]; j++)
					token[n++] = u->members[u->begin[i] + j];
			free(most);
			figures->unsure += unsure;
			if (unsure > 0)
				continue;
			if (ask != SIZE_MAX)
				check_list(row, ask, s, token + seen, n - seen);
			figures->lists += ask != SIZE_MAX;
		}
		for (size_t h = s * group; h < (s + 1) * group; h++)
			check_head(row, h, token, n, out + h * dv, lse[h]);
	}
}

static double *stored_rows(const struct feed *feed, const struct stream *stream, int layer,
                           enum feed_side side, size_t n)
{
	size_t many = n * feed_heads(feed, side) * feed_dim(feed, side);
	double *rows = new_doubles(many);
	feed_rows(feed, layer, side, stream->row, n, rows);
	for (size_t i = 0; i < many && side != FEED_Q; i++)
		rows[i] = ref_stored(rows[i]);
	return rows;
}

/* Where an item's rows begin in the result and among those that recall. */
struct place {
	size_t row, ask, n_asks;
	bool lists; /* the device's lists are of this layer */
};

static void check_item(const struct feed *feed, const struct feed_item *item,
                       const struct recalled *r, int layer, const struct place *place,
                       const struct feed_result *result, struct recalled_figures *figures)
{
	const struct stream *s = item->stream;
	size_t kv_heads = feed_heads(feed, FEED_K), asks = feed->cache->sizes.asks;
	size_t q_row = feed_heads(feed, FEED_Q) * feed_dim(feed, FEED_K);
	bool recalls = item->phase == CLKV_DECODE && r->n > 0 && layer_recalls(feed, r, layer);
	double *k = stored_rows(feed, s, layer, FEED_K, s->n + item->n);
	double *v = stored_rows(feed, s, layer, FEED_V, s->n + item->n), *q = new_doubles(q_row);
	struct units units[8];
	struct row row = {.feed = feed, .r = r, .layer = layer, .q = q, .k = k, .v = v};
	row.scale = scale_of(feed);
	ck_assert_uint_le(kv_heads, 8);
	for (size_t h = 0; recalls && h < kv_heads; h++)
		open_units(feed, s, r, layer, h, &units[h]);
	for (size_t i = 0; i < item->n; i++) {
		size_t at = (size_t)layer * result->rows + place->row + i, ask = place->ask + i;
		bool last = place->lists && ask / asks == (place->n_asks - 1) / asks;
		row.pos = s->n + i;
		row.number = s->row[row.pos];
		feed_rows(feed, layer, FEED_Q, &row.number, 1, q);
		check_row(&row, units, recalls, last ? ask % asks : SIZE_MAX,
		          result->out + at * result->out_row, result->lse + at * result->lse_row, figures);
	}
	for (size_t h = 0; recalls && h < kv_heads; h++)
		close_units(&units[h]);
	free(k);
	free(v);
	free(q);
}

static size_t asks_of(const struct feed_item *item, const struct recalled *r)
{
	return item->phase == CLKV_DECODE && r->n > 0 ? item->n : 0;
}

static void check_layer(const struct feed *feed, const struct feed_item *items,
                        struct recalled *const *r, size_t n_items, int layer, bool lists,
                        const struct feed_result *result, struct recalled_figures *figures)
{
	struct place place = {.lists = lists};
	for (size_t i = 0; i < n_items; i++)
		place.n_asks += asks_of(&items[i], r[i]);
	for (size_t i = 0; i < n_items; i++) {
		check_item(feed, &items[i], r[i], layer, &place, result, figures);
		place.row += items[i].n;
		place.ask += asks_of(&items[i], r[i]);
	}
}

void recalled_step(struct feed *feed, struct feed_item *items, struct recalled *const *r,
                   size_t n_items, struct recalled_figures *figures)
{
	struct recalled_figures none = {0};
	struct feed_result result;
	size_t kept[FEED_ITEMS];
	int last = feed->geometry.layers - 1;
	clkv_error error;
	clkv_step *step = feed_begin(feed, items, n_items, &result);
	while (last > 0 && !layer_recalls(feed, r[0], last))
		last--;
	for (int layer = 0; layer < feed->geometry.layers; layer++)
		check_layer(feed, items, r, n_items, layer, layer == last, &result,
		            figures ? figures : &none);
	for (size_t i = 0; i < n_items; i++)
		kept[i] = items[i].n - items[i].dropped;
	feed_ok(clkv_step_commit(step, kept, &error), &error, "clkv_step_commit");
	feed_kept(items, n_items);
	for (size_t i = 0; i < n_items; i++) {
		recalled_commit(r[i], kept[i], items[i].phase);
		ck_assert_uint_eq(stream_info(items[i].stream).sealed, recalled_sealed(r[i]));
	}
	feed_result_close(&result);
}

void recalled_one(struct feed *feed, struct stream *stream, struct recalled *r, size_t n,
                  clkv_phase phase, uint64_t seed, struct recalled_figures *figures)
{
	struct feed_item item = {.stream = stream, .n = n, .phase = phase, .seed = seed};
	recalled_step(feed, &item, &r, 1, figures);
}

void recalled_expect(const struct recalled_figures *f, const struct recalled_case *c)
{
	bool exact = c->kind <= RECALLED_PAGES && !c->grouped;
	ck_assert_uint_gt(f->rows, 0);
	ck_assert_uint_eq(f->left, f->heads);
	ck_assert_msg(exact ? f->unsure == 0 : 5 * f->unsure <= f->heads,
	              "%zu of %zu choices are unsure", f->unsure, f->heads);
	ck_assert_uint_gt(f->lists, 0);
}

void recalled_grow(struct feed *feed, struct stream *stream, struct recalled *r)
{
	struct recalled_figures f = {0};
	recalled_one(feed, stream, r, 90 + r->c->window, CLKV_PROMPT, 1, &f);
	recalled_one(feed, stream, r, 221, CLKV_PROMPT_END, 2, &f);
	ck_assert_uint_eq(r->n, 1);
	ck_assert_uint_eq(recalled_sealed(r), 311 - r->c->sinks);
	recalled_one(feed, stream, r, 1, CLKV_DECODE, 3, &f);
	struct feed_item drafts = {stream, 6, CLKV_DECODE, 4, 4};
	recalled_step(feed, &drafts, &r, 1, &f);
	recalled_one(feed, stream, r, r->c->every, CLKV_DECODE, 5, NULL);
	ck_assert_uint_eq(r->n, 2);
	recalled_one(feed, stream, r, 3, CLKV_DECODE, 6, &f);
	recalled_expect(&f, r->c);
}
