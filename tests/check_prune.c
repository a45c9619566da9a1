/* SPDX-License-Identifier: MIT */
/**
 * \file    check_prune.c
 * \brief   Channel pruning: SparK P1 to P5, P7, P9; ThinK P1 to P6, P9; forks, cuts, files, codecs behind.
 *
 * What clkv_seq_read returns of K is compared with the reference of pruned blocks, value by value; what
 * attention returns with attention over what was read.
 */
#include "ref/ref_half.h"
#include "ref/ref_prune.h"
#include "ref/ref_seal.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/memory_file.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Attention over values that both sides know exactly: only sums in single precision differ. A logit of dk
 * products is off by some sqrt(dk) roundings of A, the largest sum of |q k| (bounds.h): for dk of 128 and A of 10
 * that is 11 * 6e-8 * 10 = 7e-6 at the very most. The strict bound of bounds.h holds beside it. */
#define ATTEND_HALF 1e-5
#define MOST_TOKENS 512
#define MOST_WINDOW 256

enum kind { THINK, SPARK };
enum codec { NONE, TOKEN_CODES, CHANNEL_CODES, CHANNEL_RANGE, BLOCK_RANGE };

/** A recipe and what it means. */
struct pruned_case {
	const char *recipe;
	struct {
		int q_heads, kv_heads, dk, dv;
	} shape;
	enum kind kind;
	size_t kept, obs, block;
	enum ref_qagg qagg;
	enum ref_recover recover; /* of SparK */
	bool squared;
	double fill;
	int refine;
	size_t refresh; /* of ThinK */
	enum codec codec;
	double step; /* of codes: 1 / (2^bits - 1), or rel_k */
	size_t group;
	size_t exact; /* first tokens, which kvcomp keeps whole */
};

/* ---------------------------------------------------------------- what a cache must hold ---- */

/** Follows a stream and says what each of its sealed tokens must read as. */
struct watch {
	const struct pruned_case *c;
	const struct feed *feed;
	struct ref_seal seal;
	size_t blocks; /* sealed so far */
	struct {
		size_t tag; /* position + 1 */
		uint64_t row;
	} seen[MOST_WINDOW]; /* the newest queries */
	bool mask[FEED_LAYERS][4][256], mask_sure[FEED_LAYERS][4];
	struct ref_pruned *want[FEED_LAYERS]; /* [token][head][dim] */
	bool sure[FEED_LAYERS][4][MOST_TOKENS];
};

static void *new_array(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);
	ck_assert_ptr_nonnull(p);
	return p;
}

static size_t want_size(const struct watch *w)
{
	return MOST_TOKENS * (size_t)(w->c->shape.kv_heads * w->c->shape.dk);
}

static void watch_open(struct watch *w, const struct pruned_case *c, const struct feed *feed)
{
	memset(w, 0, sizeof *w);
	w->c = c;
	w->feed = feed;
	ref_seal_open(&w->seal, 0, 0, c->block, true);
	for (int layer = 0; layer < feed->geometry.layers; layer++)
		w->want[layer] = new_array(want_size(w), sizeof *w->want[layer]);
}

static void watch_close(struct watch *w)
{
	for (int layer = 0; layer < FEED_LAYERS; layer++)
		free(w->want[layer]);
}

static void watch_fork(const struct watch *from, struct watch *to)
{
	*to = *from;
	for (int layer = 0; layer < from->feed->geometry.layers; layer++) {
		to->want[layer] = new_array(want_size(from), sizeof *to->want[layer]);
		memcpy(to->want[layer], from->want[layer], want_size(from) * sizeof *to->want[layer]);
	}
}

/* Strengths for a group of heads of a sequence that now has `end` tokens. */
static void strengths(const struct watch *w, int layer, size_t head, size_t end, double *strength)
{
	size_t heads = (size_t)w->c->shape.q_heads, group = heads / (size_t)w->c->shape.kv_heads,
		   rows = 0;
	size_t dk = (size_t)w->c->shape.dk;
	double *all = new_array(heads * dk, sizeof *all);
	double *q = new_array(w->c->obs * group * dk, sizeof *q);
	for (size_t i = 0; i < w->c->obs; i++) {
		if (w->seen[i].tag == 0 || w->seen[i].tag > end || w->seen[i].tag + w->c->obs <= end)
			continue;
		feed_rows(w->feed, layer, FEED_Q, &w->seen[i].row, 1, all);
		for (size_t j = 0; j < group * dk; j++)
			q[rows * group * dk + j] = ref_stored(all[head * group * dk + j]);
		rows++;
	}
	ref_strength(w->c->qagg, rows, group, dk, q, strength);
	free(all);
	free(q);
}

/* K of one head as it is stored: [count][dk]. */
static double *stored_k(const struct watch *w, const struct stream *s, int layer, size_t head,
                        size_t from, size_t count)
{
	size_t heads = (size_t)w->c->shape.kv_heads, dk = (size_t)w->c->shape.dk;
	double *all = new_array(count * heads * dk, sizeof *all);
	double *k = new_array(count * dk, sizeof *k);
	feed_rows(w->feed, layer, FEED_K, s->row + from, count, all);
	for (size_t t = 0; t < count; t++)
		for (size_t c = 0; c < dk; c++)
			k[t * dk + c] = ref_stored(all[(t * heads + head) * dk + c]);
	free(all);
	return k;
}

/* Whether values (t, c) and (u, d) of a block share their parameters. A unit is made of the rows that are stored:
 * of masks of channels the kept ones, counted by `rank`. */
static bool same_unit(const struct pruned_case *c, const size_t *rank, size_t t, size_t i, size_t u,
                      size_t j)
{
	switch (c->codec) {
	case TOKEN_CODES:
		return t == u && rank[i] / c->group == rank[j] / c->group;
	case CHANNEL_CODES:
		return i == j && t / c->group == u / c->group;
	case CHANNEL_RANGE:
		return i == j;
	default:
		return true;
	}
}

/* How far a code of a unit of range R may be from its value. Integers: half a step of R / (2^bits - 1), and what
 * the step loses in half: 2^-11 of itself at each of its multiples, so 2^-11 of R at the highest. Error-bounded
 * codes: half of rel * R as promised. Both are read in single precision. */
static double codec_bound(const struct pruned_case *c, double range, double most)
{
	double half_step = range * c->step / 2.0, single = 0x1p-22 * most;
	if (c->codec == CHANNEL_RANGE || c->codec == BLOCK_RANGE)
		return half_step * (1.0 + 1e-5) + single + 1e-7;
	return half_step * (1.0 + REF_HALF_EPS) + range * REF_HALF_EPS + REF_HALF_TINY / c->step +
	       single;
}

/* Widens what kept values of a block may be: values [count][dk]. */
static void allow_codes(const struct pruned_case *c, size_t count, struct ref_pruned *values)
{
	size_t dk = (size_t)c->shape.dk, rank[256], n = 0;
	for (size_t i = 0; i < dk; i++) {
		rank[i] = c->kind == THINK ? n : i;
		n += values[i].kept;
	}
	for (size_t t = 0; t < count; t++)
		for (size_t i = 0; i < dk; i++) {
			struct ref_pruned *v = &values[t * dk + i];
			double least = v->value, most = v->value;
			if (!v->kept)
				continue;
			size_t u0 = c->codec == TOKEN_CODES ? t : 0,
				   u1 = c->codec == TOKEN_CODES ? t + 1 : count;
			for (size_t u = u0; u < u1; u++)
				for (size_t j = 0; j < dk; j++) {
					const struct ref_pruned *x = &values[u * dk + j];
					if (x->kept && same_unit(c, rank, t, i, u, j)) {
						least = fmin(least, x->value);
						most = fmax(most, x->value);
					}
				}
			double bound = codec_bound(c, most - least, fmax(fabs(most), fabs(least)));
			v->low = v->value - bound;
			v->high = v->value + bound;
		}
}

/* BLOCK_RANGE compares each value with all: this finds the range of the whole side first. */
static void allow_block_codes(const struct pruned_case *c, size_t count, struct ref_pruned *values)
{
	double least = INFINITY, most = -INFINITY;
	size_t n = count * (size_t)c->shape.dk;
	for (size_t i = 0; i < n; i++) {
		least = values[i].kept ? fmin(least, values[i].value) : least;
		most = values[i].kept ? fmax(most, values[i].value) : most;
	}
	double bound = codec_bound(c, most - least, fmax(fabs(most), fabs(least)));
	for (size_t i = 0; i < n; i++)
		if (values[i].kept) {
			values[i].low = values[i].value - bound;
			values[i].high = values[i].value + bound;
		}
}

/* One head's part of a block of tokens. */
static void want_block(struct watch *w, const struct stream *s, int layer, size_t head, size_t from,
                       size_t count, size_t end)
{
	const struct pruned_case *c = w->c;
	size_t dk = (size_t)c->shape.dk, heads = (size_t)c->shape.kv_heads;
	double strength[256], *k = stored_k(w, s, layer, head, from, count);
	struct ref_pruned *values = new_array(count * dk, sizeof *values);
	struct ref_spark spark = {c->kept, c->recover, c->squared, c->fill, c->refine};
	bool sure[128], all = true;
	if (c->kind == SPARK) {
		strengths(w, layer, head, end, strength);
		all = ref_spark(&spark, count, dk, k, strength, sure, values);
	}
	for (size_t t = 0; t < count; t++) {
		for (size_t i = 0; i < dk && c->kind == THINK; i++) {
			struct ref_pruned v = {.kept = w->mask[layer][head][i]};
			v.value = v.low = v.high = v.kept ? k[t * dk + i] : 0.0;
			values[t * dk + i] = v;
		}
		if (c->kind == THINK)
			sure[t] = w->mask_sure[layer][head];
		if (c->codec != NONE)
			all = all && sure[t]; /* what one token keeps moves the range of others */
	}
	if (c->codec == BLOCK_RANGE)
		allow_block_codes(c, count, values);
	else if (c->codec != NONE)
		allow_codes(c, count, values);
	for (size_t i = 0; i < c->exact * dk && from == 0; i++)
		values[i].low = values[i].high = values[i].value = k[i];
	for (size_t t = 0; t < count; t++) {
		w->sure[layer][head][from + t] = all && sure[t];
		memcpy(w->want[layer] + ((from + t) * heads + head) * dk, values + t * dk,
		       dk * sizeof *values);
	}
	free(values);
	free(k);
}

/* Blocks [from, to) of tokens were sealed together. */
static void want_sealed(struct watch *w, const struct stream *s, size_t from, size_t to)
{
	const struct pruned_case *c = w->c;
	bool fresh = w->blocks == 0 || (c->refresh > 0 && w->blocks % c->refresh == 0);
	for (int layer = 0; layer < w->feed->geometry.layers; layer++)
		for (size_t head = 0; head < (size_t)c->shape.kv_heads; head++) {
			double strength[256];
			if (c->kind == THINK && fresh) {
				double *k = stored_k(w, s, layer, head, from, to - from);
				strengths(w, layer, head, s->n, strength);
				w->mask_sure[layer][head] = ref_think(c->kept, to - from, (size_t)c->shape.dk, k,
				                                      strength, w->mask[layer][head]);
				free(k);
			}
			for (size_t at = from; at < to; at += c->block)
				want_block(w, s, layer, head, at, to - at < c->block ? to - at : c->block, s->n);
		}
	w->blocks += (to - from + c->block - 1) / c->block;
}

/* After a step that gave the stream n tokens. */
static void watch_step(struct watch *w, const struct stream *s, size_t n, clkv_phase phase)
{
	ck_assert_uint_le(s->n, MOST_TOKENS);
	for (size_t p = s->n - n; p < s->n && !w->feed->append_only; p++) {
		w->seen[p % w->c->obs].tag = p + 1;
		w->seen[p % w->c->obs].row = s->row[p];
	}
	size_t from = w->seal.tail;
	ref_seal_commit(&w->seal, n, (enum ref_phase)phase);
	ck_assert_uint_eq(stream_info(s).length, w->seal.length);
	ck_assert_uint_eq(stream_info(s).sealed, w->seal.tail);
	if (w->seal.tail > from)
		want_sealed(w, s, from, w->seal.tail);
}

static void watch_cut(struct watch *w, struct stream *s, size_t n)
{
	clkv_error error;
	feed_ok(clkv_seq_truncate(s->seq, n, &error), &error, "clkv_seq_truncate");
	s->n = w->seal.length = n;
	if (w->seal.tail > n)
		w->seal.tail = n;
	while (w->seal.n_blocks > 0 && w->seal.blocks[w->seal.n_blocks - 1].from >= n)
		w->seal.n_blocks--;
	w->blocks = w->seal.n_blocks;
	ck_assert_uint_eq(stream_info(s).sealed, w->seal.tail);
}

static void step(struct watch *w, struct feed *feed, struct stream *s, size_t n, clkv_phase phase,
                 uint64_t seed)
{
	feed_one(feed, s, n, phase, seed, NULL);
	watch_step(w, s, n, phase);
}

/* The same, and attention is checked against attention over the values that are read. */
static void attend(struct watch *w, struct feed *feed, struct stream *s, size_t n, clkv_phase phase,
                   uint64_t seed)
{
	expect_rows(feed, s, n, phase, seed, EXPECT_DECODED,
	            w->c->codec == NONE ? ATTEND_HALF : BOUND_ATTEND_CODES);
	watch_step(w, s, n, phase);
}

struct row {
	int layer;
	size_t head, token;
	const double *k, *given;
	const struct ref_pruned *want;
};

static void check_row(const struct watch *w, const struct row *r, bool sealed)
{
	size_t dk = (size_t)w->c->shape.dk, kept = 0;
	for (size_t i = 0; i < dk; i++) {
		kept += r->k[i] != 0.0;
		if (!sealed) {
			EACH_MSG(r->k[i] == ref_stored(r->given[i]),
			         "layer %d, head %zu, open token %zu, channel %zu: %.9g instead of %.9g",
			         r->layer, r->head, r->token, i, r->k[i], ref_stored(r->given[i]));
			continue;
		}
		const struct ref_pruned *v = &r->want[i];
		EACH_MSG(!w->sure[r->layer][r->head][r->token] || (r->k[i] >= v->low && r->k[i] <= v->high),
		         "layer %d, head %zu, token %zu, %s channel %zu of %.9g: %.9g instead of %.9g "
		         "(%.9g to %.9g)",
		         r->layer, r->head, r->token, v->kept ? "kept" : "pruned", i,
		         ref_stored(r->given[i]), r->k[i], v->value, v->low, v->high);
	}
	if (sealed && w->c->codec == NONE && (w->c->kind == THINK || w->c->recover == REF_RECOVER_ZERO))
		EACH_MSG(kept == w->c->kept, "layer %d, head %zu, token %zu: %zu channels instead of %zu",
		         r->layer, r->head, r->token, kept, w->c->kept);
}

/* Every value of K. What single precision may decide otherwise is left out: a fifth of the rows at most, or one block,
 * of which a row moves the factors of all. */
static void check(const struct watch *w, const struct stream *s)
{
	size_t heads = (size_t)w->c->shape.kv_heads, dk = (size_t)w->c->shape.dk, n = s->n * heads * dk;
	double *k = new_array(n, sizeof *k), *given = new_array(n, sizeof *given);
	size_t rows = 0, unsure = 0;
	for (int layer = 0; layer < w->feed->geometry.layers; layer++) {
		feed_read(w->feed, s, layer, 0, s->n, k, NULL);
		feed_rows(w->feed, layer, FEED_K, s->row, s->n, given);
		for (size_t t = 0; t < s->n; t++)
			for (size_t h = 0; h < heads; h++) {
				size_t at = (t * heads + h) * dk;
				struct row r = {layer, h, t, k + at, given + at, w->want[layer] + at};
				check_row(w, &r, t < w->seal.tail);
				rows += t < w->seal.tail;
				unsure += t < w->seal.tail && !w->sure[layer][h][t];
			}
	}
	ck_assert_msg(unsure * 5 <= rows + 5 * w->c->block, "%zu of %zu rows next to ties", unsure,
	              rows);
	free(k);
	free(given);
}

static struct feed feed_of(const struct pruned_case *c)
{
	struct feed feed = {.lse = true};
	feed.geometry = feed_geometry(2, c->shape.q_heads, c->shape.kv_heads, c->shape.dk, c->shape.dv);
	return feed;
}

/* ---------------------------------------------------------------- values, attention ---- */

/* Each form of recovery, saliency and strength; groups of 1, 3 and 4; block and head sizes. */
static const struct pruned_case cases[] = {
	{"spark:keep=0.5,recover=zero,qagg=mean,saliency=abs ; window=0",
     {6, 2, 64, 64},
     SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_MEAN,
     .recover = REF_RECOVER_ZERO},
	{"spark:keep=0.3,recover=const,fill=0.05,saliency=sq,qagg=norm ; window=0,block=32",
     {2, 2, 64, 64},
     SPARK,
     .kept = 19,
     .obs = 32,
     .block = 32,
     .qagg = REF_QAGG_NORM,
     .recover = REF_RECOVER_CONST,
     .squared = true,
     .fill = 0.05},
	{"spark:keep=0.5,recover=signmag,saliency=sq,qagg=abs ; window=0,block=128",
     {6, 2, 64, 64},
     SPARK,
     .kept = 32,
     .obs = 32,
     .block = 128,
     .qagg = REF_QAGG_ABS,
     .recover = REF_RECOVER_SIGNMAG,
     .squared = true},
	{"spark:keep=0.5,recover=mean,saliency=abs,obs=7 ; window=0",
     {3, 1, 80, 112},
     SPARK,
     .kept = 40,
     .obs = 7,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_MEAN},
	{"spark:keep=0.2,recover=mean,saliency=sq ; window=0",
     {6, 2, 64, 64},
     SPARK,
     .kept = 13,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_MEAN,
     .squared = true},
	{"spark ; window=0",
     {6, 2, 64, 64},
     SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_FIT,
     .squared = true,
     .refine = 2},
	{"spark:keep=0.2,saliency=abs,refine=4,qagg=abs,obs=256 ; window=0,block=32",
     {3, 1, 128, 128},
     SPARK,
     .kept = 26,
     .obs = 256,
     .block = 32,
     .qagg = REF_QAGG_ABS,
     .recover = REF_RECOVER_FIT,
     .refine = 4},
	{"spark:refine=0,qagg=norm ; window=0,block=128",
     {4, 1, 80, 80},
     SPARK,
     .kept = 40,
     .obs = 32,
     .block = 128,
     .qagg = REF_QAGG_NORM,
     .recover = REF_RECOVER_FIT,
     .squared = true},
	{"think:keep=0.5 ; window=0",
     {6, 2, 64, 64},
     THINK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .refresh = 1},
	{"think:keep=0.3,align=2,qagg=norm,obs=5,refresh=0 ; window=0,block=128",
     {3, 1, 128, 128},
     THINK,
     .kept = 38,
     .obs = 5,
     .block = 128,
     .qagg = REF_QAGG_NORM},
	{"think:keep=0.51,align=8,qagg=mean,refresh=3 ; window=0,block=32",
     {2, 2, 80, 80},
     THINK,
     .kept = 48,
     .obs = 32,
     .block = 32,
     .qagg = REF_QAGG_MEAN,
     .refresh = 3},
};
#define CASES (sizeof cases / sizeof cases[0])
enum { ZERO = 0, SIGNMAG = 2, MEAN = 3, MEAN_SQ = 4, FIT = 5, THINKS = 8, THINKS_ONCE = 9 };

/* A prompt in two steps with a short last block; decoding and a chunk behind it; blocks that are sealed while decoding;
 * a prompt shorter than a block. None of the compared steps seals its own rows. */
static void run_case(const struct pruned_case *c, clkv_context *context, cl_command_queue queue)
{
	struct feed feed = feed_of(c);
	static struct stream stream, small;
	static struct watch w;
	feed_open(&feed, context, queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	watch_open(&w, c, &feed);
	step(&w, &feed, &stream, 130, CLKV_PROMPT, 1);
	step(&w, &feed, &stream, 81, CLKV_PROMPT_END, 2);
	check(&w, &stream);
	attend(&w, &feed, &stream, 1, CLKV_DECODE, 3);
	attend(&w, &feed, &stream, 26, CLKV_PROMPT, 4);
	step(&w, &feed, &stream, 110, CLKV_DECODE, 5);
	check(&w, &stream);
	attend(&w, &feed, &stream, 1, CLKV_DECODE, 6);
	watch_close(&w);
	stream_open(&feed, &small);
	watch_open(&w, c, &feed);
	step(&w, &feed, &small, 25, CLKV_PROMPT_END, 7);
	check(&w, &small);
	attend(&w, &feed, &small, 1, CLKV_DECODE, 8);
	attend(&w, &feed, &small, 20, CLKV_PROMPT, 9);
	clkv_stats stats = feed_stats(&feed);
	ck_assert_uint_eq(stats.values_broken, 0);
	ck_assert((stats.values_checked > 0) == (strstr(c->recipe, "verify=1") != NULL));
	watch_close(&w);
	feed_close(&feed);
}

/* SparK P2, ThinK P2: what is kept, and that it's exact; P5: attention. */
START_TEST(test_values_and_attention)
{
	run_case(&cases[_i], fixture.context, fixture.queue);
}
END_TEST

START_TEST(test_other_forms_of_kernels)
{
	static const char *const forms[] = {"lanes=4,vec=4", "lanes=64,vec=1"};
	static const int some[] = {FIT, THINKS};
	setenv("CLKV_TUNE", forms[_i % 2], 1);
	clkv_context *context = fixture_open();
	unsetenv("CLKV_TUNE");
	cl_command_queue queue = fixture_queue_of(context);
	run_case(&cases[some[_i / 2]], context, queue);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

/* Nobody asks: channels are judged by K alone, of which many are equal to the bit. */
START_TEST(test_without_queries_magnitudes_decide)
{
	static const int some[] = {ZERO, FIT, THINKS};
	const struct pruned_case *c = &cases[some[_i]];
	struct feed feed = feed_of(c);
	static struct stream stream;
	static struct watch w;
	feed.append_only = true;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	watch_open(&w, c, &feed);
	step(&w, &feed, &stream, 200, CLKV_PROMPT_END, 1);
	step(&w, &feed, &stream, 70, CLKV_DECODE, 2);
	check(&w, &stream);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

/* Channel 7 is never asked for, 12 hardly; some of K is zero, of either sign. */
static double unused(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d);
	if (side == FEED_Q)
		return d == 7 ? 0.0 : d == 12 ? 0.001 * x : x;
	return side == FEED_K && (row + d) % 9 == 0 ? (x < 0.0 ? -0.0 : 0.0) : x;
}

/* Strengths have a floor where a fill is divided by them, and nowhere else. Zero has the sign +. */
START_TEST(test_unused_channels_and_zeros)
{
	static const int some[] = {MEAN, MEAN_SQ, FIT, SIGNMAG};
	const struct pruned_case *c = &cases[some[_i]];
	struct feed feed = feed_of(c);
	static struct stream stream;
	static struct watch w;
	feed.value = unused;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	watch_open(&w, c, &feed);
	step(&w, &feed, &stream, 300, CLKV_PROMPT_END, 1);
	check(&w, &stream);
	attend(&w, &feed, &stream, 3, CLKV_DECODE, 2);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- mass, signs ---- */

/* SparK P3: the saliency of what is pruned is that of what stands for it. The amplitude and the factor are halves:
 * 2^-11 each; of squares twice that. */
START_TEST(test_p3_mass)
{
	const struct pruned_case *c = &cases[_i];
	struct feed feed = feed_of(c);
	static struct stream stream;
	static struct watch w;
	size_t heads = (size_t)c->shape.kv_heads, dk = (size_t)c->shape.dk;
	double *k = new_array(150 * heads * dk, sizeof *k);
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	watch_open(&w, c, &feed);
	step(&w, &feed, &stream, 150, CLKV_PROMPT_END, 1);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &stream, layer, 0, 150, k, NULL);
		for (size_t head = 0; head < heads; head++) {
			double strength[256], *given = stored_k(&w, &stream, layer, head, 0, 150);
			strengths(&w, layer, head, 150, strength);
			for (size_t t = 0; t < 150; t++) {
				double before = 0.0, after = 0.0;
				for (size_t i = 0; i < dk; i++) {
					double x = fabs(given[t * dk + i]), y = fabs(k[(t * heads + head) * dk + i]);
					EACH_MSG(strength[i] > 0.011, "channel %zu is at the floor", i);
					if (x == y)
						continue;
					before += strength[i] * (c->squared ? x * x : x);
					after += strength[i] * (c->squared ? y * y : y);
				}
				EACH_MSG(before > 0.0 && fabs(after - before) <=
				                             (c->squared ? 4.1 : 2.1) * REF_HALF_EPS * before,
				         "layer %d, head %zu, token %zu: %g instead of %g", layer, head, t, after,
				         before);
			}
			free(given);
		}
	}
	free(k);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

static size_t large; /* channels from 0 on that are large */

/* Queries of 1 and -1: all channels have strength 1. Each token's other channels have one magnitude. */
static double level(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d), sign = x < 0.0 ? -1.0 : 1.0;
	if (side == FEED_V)
		return x;
	if (side == FEED_Q)
		return sign;
	return sign * (d < large ? 3.0 + 0.01 * (double)d : 0.25 + 0.01 * (double)(row % 16));
}

/* SparK P4: equal saliencies come back with their signs, within the roundings of an amplitude and a factor. */
START_TEST(test_p4_equal_saliencies_come_back)
{
	static const int some[] = {SIGNMAG, MEAN, MEAN_SQ, FIT};
	const struct pruned_case *c = &cases[some[_i]];
	struct feed feed = feed_of(c);
	static struct stream stream;
	size_t n = 140 * (size_t)(c->shape.kv_heads * c->shape.dk);
	double *k = new_array(n, sizeof *k), *given = new_array(n, sizeof *given);
	feed.value = level;
	large = c->kept;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 140, CLKV_PROMPT_END, 1, NULL);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &stream, layer, 0, 140, k, NULL);
		feed_rows(&feed, layer, FEED_K, stream.row, 140, given);
		for (size_t i = 0; i < n; i++) {
			double x = ref_stored(given[i]);
			bool kept = i % (size_t)c->shape.dk < c->kept;
			EACH_MSG(fabs(k[i] - x) <= (kept ? 0.0 : 2.1 * REF_HALF_EPS * fabs(x)),
			         "layer %d, element %zu: %.9g instead of %.9g", layer, i, k[i], x);
		}
	}
	free(k);
	free(given);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- nothing pruned, the prompt's own rows ---- */

/* A prompt of 211 tokens in two steps, then 3 rows: what the three steps return. */
static void run_steps(const char *recipe, struct feed_result result[3])
{
	struct feed feed = {.geometry = feed_usual(2), .lse = true};
	static struct stream stream;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 130, CLKV_PROMPT, 1, &result[0]);
	feed_one(&feed, &stream, 81, CLKV_PROMPT_END, 1, &result[1]);
	feed_one(&feed, &stream, 3, CLKV_DECODE, 1, &result[2]);
	feed_close(&feed);
}

static bool same_result(const struct feed_result *a, const struct feed_result *b)
{
	ck_assert_uint_eq(a->rows, b->rows);
	return memcmp(a->out, b->out, 2 * a->rows * a->out_row * sizeof *a->out) == 0 &&
	       memcmp(a->lse, b->lse, 2 * a->rows * a->lse_row * sizeof *a->lse) == 0;
}

/* P1: nothing is pruned, nothing changes. SparK P7: the prompt sees itself in full, under seal=prompt. */
START_TEST(test_p1_p7_where_nothing_changes)
{
	static const struct {
		const char *recipe;
		bool same[3]; /* as f16, step by step */
	} rows[] = {
		{"spark:keep=1 ; window=0", {true, true, true}},
		{"think:keep=1 ; window=0", {true, true, true}},
		{"think:keep=0.98 ; window=0", {true, true, true}}, /* 63 channels are rounded up to all */
		{"spark ; window=0", {true, true, false}},
		{"think:keep=0.5 ; window=0", {true, true, false}},
		{"spark ; window=0,seal=chunk", {true, false, false}},
		{"spark ; window=211", {true, true, true}},
	};
	struct feed_result dense[3], got[3];
	run_steps("f16", dense);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		run_steps(rows[i].recipe, got);
		for (int j = 0; j < 3; j++) {
			ck_assert_msg(same_result(&got[j], &dense[j]) == rows[i].same[j], "'%s', step %d: %s",
			              rows[i].recipe, j, rows[i].same[j] ? "other bits" : "the same bits");
			feed_result_close(&got[j]);
		}
	}
	for (int j = 0; j < 3; j++)
		feed_result_close(&dense[j]);
}
END_TEST

/* ThinK P6 and SparK's window: the newest tokens keep all of K. */
START_TEST(test_p6_the_tail_is_whole)
{
	static const char *const recipes[] = {"think:keep=0.5", "spark",
	                                      "think:keep=0.5 ; window=32,skip=1",
	                                      "spark ; window=32,sinks=3"};
	size_t window = _i < 2 ? 128 : 32, sinks = _i == 3 ? 3 : 0;
	struct feed feed = {.geometry = feed_usual(2)};
	static struct stream stream;
	double *k = new_array(300 * 128, sizeof *k), *given = new_array(300 * 128, sizeof *given);
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, 300 - window - sinks);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &stream, layer, 0, 300, k, NULL);
		feed_rows(&feed, layer, FEED_K, stream.row, 300, given);
		for (size_t row = 0; row < 600; row++) {
			size_t token = row / 2, differ = 0;
			bool whole = token < sinks || token >= 300 - window || (_i == 2 && layer == 0);
			for (size_t i = 0; i < 64; i++)
				differ += k[row * 64 + i] != ref_stored(given[row * 64 + i]);
			EACH_MSG(whole ? differ == 0 : differ > 16, "token %zu: %zu channels differ", token,
			         differ);
		}
	}
	free(k);
	free(given);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- forks, cuts ---- */

static void both(struct watch *wa, struct watch *wb, struct feed *feed, struct stream *a,
                 struct stream *b, size_t n)
{
	struct feed_item items[] = {{.stream = a, .n = n, .phase = CLKV_DECODE, .seed = 5},
	                            {.stream = b, .n = n, .phase = CLKV_DECODE, .seed = 6}};
	feed_step(feed, items, 2, NULL);
	watch_step(wa, a, n, CLKV_DECODE);
	watch_step(wb, b, n, CLKV_DECODE);
}

/* Forks have the queries seen so far in common, and each its own ones from then on. Masks are made anew, or
 * taken over from the prompt. */
START_TEST(test_forks_and_cuts)
{
	static const int some[] = {ZERO, FIT, THINKS, THINKS_ONCE};
	const struct pruned_case *c = &cases[some[_i]];
	struct feed feed = feed_of(c);
	static struct stream a, b, gone;
	static struct watch wa, wb;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &a);
	watch_open(&wa, c, &feed);
	step(&wa, &feed, &a, 150, CLKV_PROMPT_END, 1);
	step(&wa, &feed, &a, 45, CLKV_DECODE, 11);
	stream_fork(&feed, &a, &b);
	watch_fork(&wa, &wb);
	stream_fork(&feed, &a, &gone);
	/* a block is full before 32 rows have come: some of the queries are those that both have seen */
	step(&wa, &feed, &a, 20, CLKV_DECODE, 2);
	step(&wb, &feed, &b, 20, CLKV_DECODE, 3);
	feed_one(&feed, &gone, 10, CLKV_DECODE, 4, NULL);
	stream_close(&gone);
	both(&wa, &wb, &feed, &a, &b, 30);
	both(&wa, &wb, &feed, &a, &b, 90);
	check(&wa, &a);
	check(&wb, &b);
	attend(&wa, &feed, &a, 1, CLKV_DECODE, 7);
	/* inside a sealed block; queries behind the cut, and those that they overwrote, count no more */
	watch_cut(&wa, &a, 100);
	check(&wa, &a);
	attend(&wa, &feed, &a, 3, CLKV_DECODE, 8);
	step(&wa, &feed, &a, 7, CLKV_DECODE, 9);
	step(&wa, &feed, &a, 130, CLKV_DECODE, 10);
	check(&wa, &a);
	check(&wb, &b);
	watch_close(&wa);
	watch_close(&wb);
	feed_close(&feed);
}
END_TEST

/* Tokens that a step doesn't keep leave no queries behind. */
START_TEST(test_rejected_rows_leave_no_queries)
{
	const struct pruned_case *c = &cases[ZERO];
	struct feed feed = feed_of(c);
	static struct stream s;
	static struct watch w;
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &s);
	watch_open(&w, c, &feed);
	step(&w, &feed, &s, 150, CLKV_PROMPT_END, 1);
	step(&w, &feed, &s, 54, CLKV_DECODE, 2);
	struct feed_item item = {.stream = &s, .n = 20, .dropped = 10, .seed = 3};
	feed_step(&feed, &item, 1, NULL);
	/* their places in the ring held older queries: these are gone, and 22 of 32 are left */
	for (size_t p = s.n; p < s.n + 10; p++)
		w.seen[p % c->obs].tag = 0;
	watch_step(&w, &s, 10, CLKV_DECODE);
	ck_assert_uint_eq(w.seal.tail, 214);
	check(&w, &s);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- codecs behind ---- */

/* Kept channels are rounded up to eights. A unit's range is that of what is kept. */
static const struct pruned_case behind[] = {
	{"spark:keep=0.3,recover=signmag,saliency=abs | q:k=8,v=4 ; window=0",
     {6, 2, 64, 64},
     SPARK,
     .kept = 24,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_SIGNMAG,
     .codec = TOKEN_CODES,
     .step = 1.0 / 255,
     .group = 32},
	{"think:keep=0.3 | q:k=4,v=4 ; window=0",
     {6, 2, 64, 64},
     THINK,
     .kept = 24,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .refresh = 1,
     .codec = TOKEN_CODES,
     .step = 1.0 / 15,
     .group = 32},
	{"spark:recover=mean | q:k=8,v=16,axis_k=channel ; window=0",
     {2, 2, 64, 64},
     SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_MEAN,
     .squared = true,
     .codec = CHANNEL_CODES,
     .step = 1.0 / 255,
     .group = 32},
	{"spark:keep=0.3 | q:k=16,v=4 ; window=0",
     {6, 2, 64, 64},
     SPARK,
     .kept = 19,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_FIT,
     .squared = true,
     .refine = 2},
	{"spark:keep=0.5 | kivi:bits=4 ; window=0",
     {6, 2, 64, 64},
     SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_FIT,
     .squared = true,
     .refine = 2,
     .codec = CHANNEL_CODES,
     .step = 1.0 / 15,
     .group = 32},
	{"think:keep=0.5 | kivi:bits=2 ; window=0",
     {3, 1, 128, 64},
     THINK,
     .kept = 64,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .refresh = 1,
     .codec = CHANNEL_CODES,
     .step = 1.0 / 3,
     .group = 32},
	{"spark:keep=0.5 | kvcomp:entropy=pack,verify=1,rel_k=0.1,exact=0 ; window=0",
     {6, 2, 64, 64},
     SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_FIT,
     .squared = true,
     .refine = 2,
     .codec = CHANNEL_RANGE,
     .step = 0.1},
	{"spark:keep=0.3,recover=zero,saliency=abs | "
     "kvcomp:entropy=huffman,unit_k=block,rel_k=0.02,verify=1,exact=0 ; window=0",
     {6, 2, 64, 64},
     SPARK,
     .kept = 24,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_ZERO,
     .codec = BLOCK_RANGE,
     .step = 0.02},
	{"think:keep=0.5 | kvcomp:entropy=none,verify=1,rel_k=0.05 ; window=0",
     {6, 2, 64, 64},
     THINK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .refresh = 1,
     .codec = CHANNEL_RANGE,
     .step = 0.05,
     .exact = 1},
	{"spark:keep=0.4,recover=const,fill=0.1,saliency=abs | "
     "kvcomp:entropy=huffman,rel_k=0.1,verify=1,exact=2 ; window=0,block=32",
     {2, 2, 80, 80},
     SPARK,
     .kept = 32,
     .obs = 32,
     .block = 32,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_CONST,
     .fill = 0.1,
     .codec = CHANNEL_RANGE,
     .step = 0.1,
     .exact = 2},
};
#define BEHIND (sizeof behind / sizeof behind[0])

START_TEST(test_codecs_behind)
{
	run_case(&behind[_i], fixture.context, fixture.queue);
}
END_TEST

/* ---------------------------------------------------------------- files ---- */

static const struct pruned_case *const saved[] = {
	&cases[FIT], &cases[MEAN], &cases[THINKS],      &cases[THINKS_ONCE],
	&behind[1],  &behind[4],   &behind[BEHIND - 1], &behind[BEHIND - 3]};

/* What is sealed comes back to the bit. A file has no queries: the next blocks are judged by those that come then;
 * a mask that stays is that of the last sealed block. */
START_TEST(test_saved_and_loaded)
{
	const struct pruned_case *c = saved[_i];
	struct feed feed = feed_of(c), other = feed;
	static struct stream s, loaded;
	static struct watch w, again;
	struct memory_file file = {0};
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	feed_open(&other, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &s);
	watch_open(&w, c, &feed);
	step(&w, &feed, &s, 150, CLKV_PROMPT_END, 1);
	step(&w, &feed, &s, 190, CLKV_DECODE, 2);
	memory_save(&feed, &s, NULL, &file);
	memory_load(&other, &file, &s, &loaded);
	watch_fork(&w, &again);
	again.feed = &other;
	memset(again.seen, 0, sizeof again.seen);
	check(&again, &loaded);
	/* the block that this fills is judged by 20 queries */
	step(&again, &other, &loaded, 20, CLKV_DECODE, 3);
	step(&again, &other, &loaded, 110, CLKV_DECODE, 4);
	check(&again, &loaded);
	attend(&again, &other, &loaded, 1, CLKV_DECODE, 5);
	memory_close(&file);
	watch_close(&w);
	watch_close(&again);
	feed_close(&feed);
	feed_close(&other);
}
END_TEST

/* ---------------------------------------------------------------- draws ---- */

static const struct pruned_case draws[] = {
	{"spark:recover=exp,saliency=abs,seed=3 ; window=0",
     {6, 2, 64, 64},
     SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_ZERO},
	{"spark:recover=normal,saliency=sq,seed=3 ; window=0",
     {6, 2, 64, 64},
     SPARK,
     .kept = 32,
     .obs = 32,
     .block = 64,
     .qagg = REF_QAGG_RMS,
     .recover = REF_RECOVER_ZERO,
     .squared = true},
};
#define DRAWN 275

/* Decoded K of both layers: [layer][token][head][64]; a block of it was sealed while decoding. */
static double *drawn_k(const struct feed *feed, const struct stream *s)
{
	double *k = new_array(2 * DRAWN * 128, sizeof *k);
	for (int layer = 0; layer < 2; layer++)
		feed_read(feed, s, layer, 0, DRAWN, k + layer * DRAWN * 128, NULL);
	return k;
}

static double *draw_all(const char *recipe, const char *form)
{
	struct feed feed = {.geometry = feed_usual(2), .lse = true};
	static struct stream stream;
	if (form)
		setenv("CLKV_TUNE", form, 1);
	clkv_context *context = fixture_open();
	unsetenv("CLKV_TUNE");
	cl_command_queue queue = fixture_queue_of(context);
	feed_open(&feed, context, queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 211, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 64, CLKV_DECODE, 1, NULL);
	double *k = drawn_k(&feed, &stream);
	stream_close(&stream);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 211, CLKV_PROMPT_END, 1, NULL);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_DECODED, ATTEND_HALF);
	expect_rows(&feed, &stream, 20, CLKV_PROMPT, 3, EXPECT_DECODED, ATTEND_HALF);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
	return k;
}

/* SparK P9. */
START_TEST(test_p9_draws_are_the_same_in_all_forms)
{
	static const char *const forms[] = {"lanes=4,vec=4", "lanes=64,vec=1"};
	double *k = draw_all(draws[_i % 2].recipe, "lanes=1,vec=8");
	double *other = draw_all(draws[_i % 2].recipe, forms[_i / 2]);
	for (size_t i = 0; i < (size_t)2 * DRAWN * 128; i++)
		EACH_MSG(k[i] == other[i], "layer %zu, token %zu, head %zu, channel %zu: %.9g and %.9g",
		         i / 128 / DRAWN, i / 128 % DRAWN, i / 64 % 2, i % 64, k[i], other[i]);
	free(k);
	free(other);
}
END_TEST

START_TEST(test_p9_draws_after_fork_and_load)
{
	struct feed feed = {.geometry = feed_usual(2), .lse = true}, other = feed;
	static struct stream a, b, loaded, c;
	struct memory_file file = {0};
	feed_open(&feed, fixture.context, fixture.queue, draws[_i].recipe, NULL);
	stream_open(&feed, &a);
	feed_one(&feed, &a, 211, CLKV_PROMPT_END, 1, NULL);
	stream_fork(&feed, &a, &b);
	expect_same_cache(&feed, &a, &b);
	feed_one(&feed, &a, 64, CLKV_DECODE, 1, NULL);
	feed_one(&feed, &b, 64, CLKV_DECODE, 1, NULL);
	expect_same_cache(&feed, &a, &b);
	const char *seed = _i == 0 ? "spark:recover=exp,saliency=abs,seed=4 ; window=0"
	                           : "spark:recover=normal,saliency=sq,seed=4 ; window=0";
	feed_open(&other, fixture.context, fixture.queue, seed, NULL);
	stream_open(&other, &c);
	feed_one(&other, &c, 211, CLKV_PROMPT_END, 1, NULL);
	feed_one(&other, &c, 64, CLKV_DECODE, 1, NULL);
	double *x = drawn_k(&feed, &a), *y = drawn_k(&other, &c);
	size_t differ = 0;
	for (size_t i = 0; i < (size_t)2 * DRAWN * 128; i++)
		differ += x[i] != y[i];
	ck_assert_uint_gt(differ, DRAWN * 128 / 4);
	free(x);
	free(y);
	feed_close(&other);
	memory_save(&feed, &a, NULL, &file);
	memory_load(&feed, &file, &a, &loaded);
	expect_same_cache(&feed, &a, &loaded);
	memory_close(&file);
	feed_close(&feed);
}
END_TEST

/* Where the draws of a token lie in their distribution: uniform, if they are what they should be. */
struct placed {
	double sum, n, replaced, chance, variance;
	double place[2][2][256][64]; /* by layer, head, token, channel; 0: not drawn, or replaced */
};

static double below(bool normal, double w, double mu, double sd)
{
	if (!normal)
		return 1.0 - exp(-w / mu);
	/* |N(mu, sd)| */
	return 0.5 * (erf((w - mu) / (sd * sqrt(2.0))) + erf((w + mu) / (sd * sqrt(2.0))));
}

static void place_token(struct placed *p, const struct pruned_case *c, const double *strength,
                        const double *given, const double *k, double *place)
{
	double all = 0.0, squares = 0.0, lacking = 0.0, least = INFINITY, w[64];
	bool normal = strstr(c->recipe, "normal") != NULL;
	for (size_t i = 0; i < 64; i++) {
		w[i] = strength[i] * (c->squared ? given[i] * given[i] : fabs(given[i]));
		all += w[i];
		squares += w[i] * w[i];
		if (k[i] == given[i])
			least = fmin(least, w[i]);
		else
			lacking += w[i];
	}
	double mu = all / 64.0, sd = sqrt(squares / 64.0 - mu * mu), mean = lacking / 32.0;
	double top = below(normal, least, mu, sd);
	for (size_t i = 0; i < 64; i++) {
		double fill = strength[i] * (c->squared ? k[i] * k[i] : fabs(k[i]));
		if (k[i] == given[i])
			continue;
		EACH_MSG((k[i] < 0.0) == (given[i] < 0.0), "a sign is lost");
		EACH_MSG(fill <= least * 1.01, "a fill of %g beyond what is kept, %g", fill, least);
		p->chance += 1.0 - top;
		p->variance += top * (1.0 - top);
		if (fabs(fill - mean) <= 4.1 * REF_HALF_EPS * mean) {
			p->replaced += 1.0;
			continue;
		}
		place[i] = below(normal, fill, mu, sd) / top;
		p->sum += place[i];
		p->n += 1.0;
	}
}

/* Two draws that have nothing to do with each other are a third apart in the mean, with a variance of 1 / 18. */
static void check_apart(const struct placed *p, size_t layers, size_t heads, size_t tokens,
                        size_t channels)
{
	double sum = 0.0, n = 0.0;
	for (size_t i = 0; i < (size_t)2 * 2 * 256 * 64; i++) {
		size_t layer = i / 64 / 256 / 2, head = i / 64 / 256 % 2, t = i / 64 % 256, c = i % 64;
		if (layer + layers > 1 || head + heads > 1 || t + tokens > 255 || c + channels > 63)
			continue;
		double x = p->place[layer][head][t][c];
		double y = p->place[layer + layers][head + heads][t + tokens][c + channels];
		sum += x > 0.0 && y > 0.0 ? fabs(x - y) : 0.0;
		n += x > 0.0 && y > 0.0;
	}
	ck_assert_double_gt(n, 300.0);
	ck_assert_msg(fabs(sum / n - 1.0 / 3.0) <= 5.0 / sqrt(18.0 * n) + 0x1p-9,
	              "draws %zu layers, %zu heads, %zu tokens, %zu channels away are %g apart", layers,
	              heads, tokens, channels, sum / n);
}

/* Draws beyond what is kept become the mean of what is lacking; the others have their distribution. The mean of n uniform
 * numbers is within 5 sqrt(1 / 12 n) of a half; 2^-9 is for the roundings of saliencies to half. A draw may be the
 * mean by chance: a few thousandths of them. */
START_TEST(test_draws_have_their_distribution)
{
	const struct pruned_case *c = &draws[_i];
	struct feed feed = feed_of(c);
	static struct stream s;
	static struct watch w;
	static struct placed p;
	double *k = new_array(256 * 128, sizeof *k), strength[64];
	memset(&p, 0, sizeof p);
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &s);
	watch_open(&w, c, &feed);
	step(&w, &feed, &s, 256, CLKV_PROMPT_END, 1);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &s, layer, 0, 256, k, NULL);
		for (size_t head = 0; head < 2; head++) {
			double *given = stored_k(&w, &s, layer, head, 0, 256);
			strengths(&w, layer, head, 256, strength);
			for (size_t t = 0; t < 256; t++)
				place_token(&p, c, strength, given + t * 64, k + (t * 2 + head) * 64,
				            p.place[layer][head][t]);
			free(given);
		}
	}
	ck_assert_double_gt(p.n, 5000.0);
	check_apart(&p, 1, 0, 0, 0);
	check_apart(&p, 0, 1, 0, 0);
	check_apart(&p, 0, 0, 1, 0);
	check_apart(&p, 0, 0, 64, 0);
	check_apart(&p, 0, 0, 0, 1);
	check_apart(&p, 0, 0, 0, 32);
	ck_assert_msg(fabs(p.sum / p.n - 0.5) <= 5.0 / sqrt(12.0 * p.n) + 0x1p-9, "mean place %g",
	              p.sum / p.n);
	ck_assert_msg(fabs(p.replaced - p.chance) <= 5.0 * sqrt(p.variance) + 0.008 * p.n,
	              "%g draws replaced instead of %g", p.replaced, p.chance);
	free(k);
	watch_close(&w);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- ThinK ---- */

/* P2: strength^2 times energy is the square of the norm of the matrix of products, up to one factor. */
START_TEST(test_think_p2_scores_are_norms_of_matrices)
{
	double *q = new_array(32 * 3 * 64, sizeof *q), *k = new_array(100 * 64, sizeof *k), factor = 0;
	double strength[64];
	for (size_t i = 0; i < 32 * 3 * 64; i++)
		q[i] = feed_normal(i / 192, 0, FEED_Q, i / 64 % 3, i % 64);
	for (size_t i = 0; i < 100 * 64; i++)
		k[i] = feed_normal(i / 64, 0, FEED_K, 0, i % 64);
	ref_strength(REF_QAGG_RMS, 32, 3, 64, q, strength);
	for (size_t c = 0; c < 64; c++) {
		double energy = 0.0, norm = ref_think_score(32, 3, 100, 64, q, k, c);
		for (size_t t = 0; t < 100; t++)
			energy += k[t * 64 + c] * k[t * 64 + c];
		double ratio = strength[c] * sqrt(energy) / norm;
		factor = c == 0 ? ratio : factor;
		ck_assert_msg(fabs(ratio - factor) <= 1e-12 * factor, "channel %zu: %g, not %g", c, ratio,
		              factor);
	}
	free(q);
	free(k);
}
END_TEST

/* What a prompt of 200 tokens keeps, per layer and head, and the rows of a step behind it. */
struct thought {
	bool kept[2][2][64];
	struct feed_result out;
};

static struct thought think(const char *recipe, feed_value value, int q_heads)
{
	struct feed feed = {.geometry = feed_geometry(2, q_heads, 2, 64, 64), .lse = true};
	static struct stream stream;
	struct thought r = {0};
	double *k = new_array(200 * 128, sizeof *k);
	feed.value = value;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &stream, layer, 0, 200, k, NULL);
		for (size_t i = 0; i < 200 * 128; i++)
			r.kept[layer][i / 64 % 2][i % 64] |= k[i] != 0.0;
	}
	feed_one(&feed, &stream, 5, CLKV_DECODE, 2, &r.out);
	free(k);
	feed_close(&feed);
	return r;
}

/* 32 channels of each head's K are zeros. */
static double holes(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return side == FEED_K && (d * 5 + head) % 64 < 32 ? 0.0
	                                                  : feed_normal(row, layer, side, head, d);
}

static double swapped(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return feed_normal(row, layer, side, head, side == FEED_V ? d : (d * 5 + 3) % 64);
}

static double weak(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d);
	return side == FEED_K && d == 11 ? 0.4 * x : x;
}

static double asked(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = weak(row, layer, side, head, d);
	return side == FEED_Q && d == 11 ? 10.0 * x : x;
}

/* P3: what is lost is zeros: a scale of 1 / sqrt(T), or a wrong channel, would show. Other sums of the same terms. */
START_TEST(test_think_p3_zeros_are_no_loss)
{
	struct feed shape = {.geometry = feed_usual(2), .lse = true};
	struct thought pruned = think("think:keep=0.5 ; window=0", holes, 6);
	struct thought dense = think("f16", holes, 6);
	for (size_t i = 0; i < 256; i++)
		ck_assert(pruned.kept[i / 128][i / 64 % 2][i % 64] ==
		          ((i % 64 * 5 + i / 64 % 2) % 64 >= 32));
	ck_assert_double_le(expect_difference(&shape, &pruned.out, &dense.out), ATTEND_HALF);
	feed_result_close(&pruned.out);
	feed_result_close(&dense.out);
}
END_TEST

/* P4: channels in another order are kept in that order, with the same result; what queries use more is kept. */
START_TEST(test_think_p4_orders_and_scales)
{
	struct feed shape = {.geometry = feed_usual(2), .lse = true};
	struct thought plain = think("think:keep=0.5 ; window=0", feed_normal, 6);
	struct thought other = think("think:keep=0.5 ; window=0", swapped, 6);
	for (size_t i = 0; i < 256; i++)
		ck_assert(other.kept[i / 128][i / 64 % 2][i % 64] ==
		          plain.kept[i / 128][i / 64 % 2][(i % 64 * 5 + 3) % 64]);
	ck_assert_double_le(expect_difference(&shape, &plain.out, &other.out), ATTEND_HALF);
	feed_result_close(&plain.out);
	feed_result_close(&other.out);
	plain = think("think:keep=0.5 ; window=0", weak, 6);
	other = think("think:keep=0.5 ; window=0", asked, 6);
	for (size_t i = 0; i < 4; i++) {
		ck_assert(!plain.kept[i / 2][i % 2][11]);
		ck_assert(other.kept[i / 2][i % 2][11]);
	}
	feed_result_close(&plain.out);
	feed_result_close(&other.out);
}
END_TEST

/* Heads of a group that ask the same. */
static double alike(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return feed_normal(row, layer, side, side == FEED_Q ? head / 3 : head, d);
}

/* P9: three heads that are one choose as that one does. */
START_TEST(test_think_p9_equal_heads_are_one)
{
	static const char *const recipes[] = {
		"think:keep=0.5 ; window=0", "think:keep=0.5,qagg=mean ; window=0",
		"think:keep=0.5,qagg=abs ; window=0", "think:keep=0.5,qagg=norm ; window=0"};
	struct thought group = think(recipes[_i], alike, 6);
	struct thought head = think(recipes[_i], feed_normal, 2);
	ck_assert_int_eq(memcmp(group.kept, head.kept, sizeof head.kept), 0);
	feed_result_close(&group.out);
	feed_result_close(&head.out);
}
END_TEST

/* ---------------------------------------------------------------- bytes ---- */

static double up(double n, double to)
{
	return ceil(n / to) * to;
}

/* Of a full block of one KV head: a mask (of all, or of each token), per token so many amplitudes, a factor per
 * channel, a sign for each value that is lacking; the kept values and V; an entry of the table. */
static double block_bytes(bool each, double d, double dv, double block, double kept,
                          double amplitudes, bool factors, bool signs)
{
	double section = each ? d * block / 8.0 + amplitudes * block * 2.0 + (factors ? 2.0 * d : 0.0) +
	                            (signs ? (d - kept) * block / 8.0 : 0.0)
	                      : d / 8.0;
	return up(up(section, 16.0) + 2.0 * block * (kept + dv), 64.0);
}

/* ThinK P5, and the same of SparK: the formula is the estimate, and what is taken. */
START_TEST(test_p5_bytes_are_those_of_the_formula)
{
	static const struct {
		const char *recipe;
		bool each;
		double kept, amplitudes;
		bool factors, signs;
	} rows[] = {
		{"think:keep=0.5 ; window=0", false, 32, 0, false, false},
		{"think:keep=0.6 ; window=0", false, 40, 0, false, false},
		{"think:keep=0.6,align=2 ; window=0", false, 38, 0, false, false},
		{"spark:keep=0.5,recover=zero,qagg=mean,saliency=abs ; window=0", true, 32, 0, false,
	     false},
		{"spark:keep=0.2,recover=const ; window=0", true, 13, 0, false, true},
		{"spark:keep=0.2,recover=signmag ; window=0", true, 13, 1, false, true},
		{"spark:keep=0.2,recover=mean,saliency=sq ; window=0", true, 13, 1, true, true},
		{"spark ; window=0", true, 32, 1, true, true},
		{"spark:recover=exp,saliency=abs,seed=3 ; window=0", true, 32, 3, true, true},
		{"spark:recover=normal,saliency=sq,seed=3 ; window=0", true, 32, 4, true, true},
	};
	clkv_geometry g = feed_usual(2);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 1024;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		clkv_bytes bytes = CLKV_INIT(clkv_bytes);
		clkv_error error;
		double want = block_bytes(rows[i].each, 64, 64, 64, rows[i].kept, rows[i].amplitudes,
		                          rows[i].factors, rows[i].signs);
		feed_ok(clkv_bytes_required(fixture.context, &g, rows[i].recipe, &o, &bytes, &error),
		        &error, rows[i].recipe);
		ck_assert_msg(bytes.per_token == 4 * (want + 16) / 64, "'%s': %g instead of %g",
		              rows[i].recipe, bytes.per_token, 4 * (want + 16) / 64);
		if (i != 0 && i != 7)
			continue; /* the others would be compiled for this alone */
		struct feed feed = {.geometry = g};
		static struct stream s;
		feed_open(&feed, fixture.context, fixture.queue, rows[i].recipe, &o);
		ck_assert_uint_eq(feed_stats(&feed).allocated.device, bytes.device);
		stream_open(&feed, &s);
		feed_one(&feed, &s, 256, CLKV_PROMPT_END, 1, NULL);
		ck_assert_double_eq((double)feed_stats(&feed).used_sealed, 16 * want);
		ck_assert_double_ge((double)stream_info(&s).bytes, 16 * (want + 16));
		ck_assert_double_le((double)stream_info(&s).bytes, 16 * (want + 16) + 1024);
		feed_close(&feed);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune");
	TCase *values = fixture_case(suite, "values", 120), *forms = fixture_case(suite, "forms", 120);
	TCase *mass = fixture_case(suite, "P3 P4", 120), *same = fixture_case(suite, "P1 P6 P7", 120);
	TCase *life = fixture_case(suite, "forks", 120), *codecs = fixture_case(suite, "codecs", 120);
	TCase *random = fixture_case(suite, "draws", 120), *thinks = fixture_case(suite, "think", 120);
	TCase *bytes = fixture_case(suite, "bytes", 60), *files = fixture_case(suite, "files", 120);
	tcase_add_loop_test(values, test_values_and_attention, 0, CASES);
	tcase_add_loop_test(values, test_without_queries_magnitudes_decide, 0, 3);
	tcase_add_loop_test(values, test_unused_channels_and_zeros, 0, 4);
	tcase_add_loop_test(forms, test_other_forms_of_kernels, 0, 4);
	tcase_add_loop_test(mass, test_p3_mass, MEAN, MEAN_SQ + 1);
	tcase_add_loop_test(mass, test_p4_equal_saliencies_come_back, 0, 4);
	tcase_add_test(same, test_p1_p7_where_nothing_changes);
	tcase_add_loop_test(same, test_p6_the_tail_is_whole, 0, 4);
	tcase_add_loop_test(life, test_forks_and_cuts, 0, 4);
	tcase_add_test(life, test_rejected_rows_leave_no_queries);
	tcase_add_loop_test(codecs, test_codecs_behind, 0, BEHIND);
	tcase_add_loop_test(files, test_saved_and_loaded, 0, sizeof saved / sizeof saved[0]);
	tcase_add_loop_test(random, test_p9_draws_are_the_same_in_all_forms, 0, 4);
	tcase_add_loop_test(random, test_p9_draws_after_fork_and_load, 0, 2);
	tcase_add_loop_test(random, test_draws_have_their_distribution, 0, 2);
	tcase_add_test(thinks, test_think_p2_scores_are_norms_of_matrices);
	tcase_add_test(thinks, test_think_p3_zeros_are_no_loss);
	tcase_add_test(thinks, test_think_p4_orders_and_scales);
	tcase_add_loop_test(thinks, test_think_p9_equal_heads_are_one, 0, 4);
	tcase_add_test(bytes, test_p5_bytes_are_those_of_the_formula);
	return fixture_run(suite);
}
