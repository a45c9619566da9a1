/* SPDX-License-Identifier: MIT */
/** \file kinds.c \brief Recipes of each kind; the same bits in two places. */
#include "kinds.h"

#include "each.h"
#include "selected.h"

#include <stdlib.h>
#include <string.h>

#define SIDES " ; window=16,sinks=4,block=32,seal=prompt,skip=0"
#define RECALL " ; window=32,sinks=5"

/* Recipes and geometry are those of other suites, so that their kernels are built once. */
const struct kind kinds[] = {
	{.recipe = "f16", .layers = 2, .rows = 5},
	{.recipe = "kivi:bits=4 ; window=40,sinks=3", .layers = 2, .rows = 65},
	{.recipe = "q:k=6,v=3,rot=hadamard ; window=40,sinks=3,skip=1", .layers = 2, .rows = 65},
	{.recipe = "kvcomp:entropy=huffman ; window=40,sinks=3", .layers = 2, .rows = 65},
	{.recipe = "spark:mode=group,values=0.5 ; window=40,sinks=3,seal=chunk",
     .layers = 2,
     .rows = 65,
     .looks = true},
	{.recipe = "qaq ; window=40,sinks=3", .layers = 2, .rows = 65, .looks = true},
	{.recipe = "think:keep=0.25/0.5/1/0.25/0.5/0.5 | kivi:bits=4 ; window=0",
     .layers = 3,
     .rows = 65,
     .looks = true},
	{.recipe = "topk:recall=64,every=128,most=1024" RECALL,
     .layers = 2,
     .rows = 130,
     .indexes = true},
	{.recipe = "clusterkv:recall=64,per=8,every=128,most=1024" RECALL,
     .layers = 2,
     .rows = 130,
     .indexes = true},
	{.recipe = "a2ats:recall=64,codes=32,every=128,most=1024" RECALL,
     .layers = 2,
     .rows = 130,
     .indexes = true},
	{.recipe = "clusterkv:recall=64,per=8,every=128 | place:host,via=copy" RECALL,
     .layers = 2,
     .rows = 130,
     .moves = true,
     .indexes = true},
	{.recipe = "zeromerge:budget=72,tail=0.25,residual=0.25,lambda=0.98,alpha=1,metric=cos,"
               "init=first,obs=0,peak=0,mean=count,mass=sum,evict=new,score_merge=max" SIDES,
     .layers = 2,
     .rows = 33,
     .selects = true,
     .weighs = true},
	{.recipe = "h2o:budget=72,recent=0.5" SIDES,
     .layers = 1,
     .rows = 33,
     .selects = true,
     .weighs = true},
	{.recipe = "snapkv:budget=72,obs=16,pool=5,pooling=avg,gqa=mean" SIDES,
     .layers = 1,
     .rows = 33,
     .selects = true,
     .looks = true},
	{.recipe = "expected:budget=72,obs=16" SIDES,
     .layers = 1,
     .rows = 33,
     .selects = true,
     .looks = true},
	{.recipe = "l2norm:budget=72" SIDES, .layers = 1, .rows = 33, .selects = true},
	{.recipe = "streaming:budget=72" SIDES, .layers = 1, .rows = 33, .selects = true},
	{.recipe = "corm:obs=6" SIDES, .layers = 1, .rows = 33, .selects = true, .looks = true},
	{.recipe = "morphkv:budget=80,obs=16,agg=sum" SIDES,
     .layers = 1,
     .rows = 33,
     .selects = true,
     .looks = true},
	{.recipe = "cascade:budget=68,rings=2 ; sinks=4,block=32",
     .layers = 1,
     .rows = 33,
     .selects = true,
     .weighs = true},
	{.recipe = "prefixkv:budget=0.5 | kvmerger:heavy=0.1 | kivi:bits=4 ; "
               "window=16,sinks=4,block=32,skip=0",
     .layers = 2,
     .rows = 33,
     .selects = true,
     .weighs = true},
	{.recipe = "h2o:budget=72,recent=0.5 | kvcomp:entropy=huffman" SIDES,
     .layers = 2,
     .rows = 33,
     .selects = true,
     .weighs = true},
	{.recipe = "layers=0,2: kvcomp:entropy=huffman ; window=40,sinks=3 ; "
               "1: kivi:bits=4 ; window=40,sinks=3",
     .layers = 3,
     .rows = 65},
	{.recipe = "layers=0: snapkv:budget=72,obs=16,pool=5,pooling=avg,gqa=mean" SIDES
               " ; 1: h2o:budget=72,recent=0.5" SIDES,
     .layers = 2,
     .rows = 33,
     .selects = true,
     .weighs = true,
     .looks = true},
};
const int n_kinds = sizeof kinds / sizeof kinds[0];

void kind_open(struct feed *feed, const struct kind *kind, clkv_context *context,
               cl_command_queue queue)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 6000;
	o.max_sequences = 6;
	o.max_seq_tokens = 2000;
	o.max_step_tokens = 700;
	*feed = (struct feed){.geometry = feed_usual(kind->layers), .lse = true};
	/* rows are rotated already: said for those who turn queries */
	feed->geometry.rope.kind = CLKV_ROPE_HALVES;
	feed_open(feed, context, queue, kind->recipe, &o);
}

void kind_same_outputs(const struct feed *feed, const struct feed_result *a,
                       const struct feed_result *b, const char *when)
{
	size_t layers = (size_t)feed->geometry.layers;
	ck_assert_uint_eq(a->rows, b->rows);
	for (size_t i = 0; i < layers * a->rows * a->out_row; i++)
		EACH_MSG(a->out[i] == b->out[i], "%s: layer %zu, row %zu: output %g, not %g", when,
		         i / (a->rows * a->out_row), i / a->out_row % a->rows, a->out[i], b->out[i]);
	for (size_t i = 0; i < layers * a->rows * a->lse_row; i++)
		EACH_MSG(a->lse[i] == b->lse[i], "%s: layer %zu, row %zu: lse %g, not %g", when,
		         i / (a->rows * a->lse_row), i / a->lse_row % a->rows, a->lse[i], b->lse[i]);
}

static void same_head(const struct feed *feed_a, const struct stream *a, const struct feed *feed_b,
                      const struct stream *b, int layer, size_t head, const char *when)
{
	struct selected_kept x, y;
	selected_read(feed_a, a, layer, head, &x);
	selected_read(feed_b, b, layer, head, &y);
	size_t n = x.kept.n;
	EACH_MSG(n == y.kept.n && x.kept.tail == y.kept.tail,
	         "%s: layer %d, head %zu: %zu slots, open from %zu; not %zu, from %zu", when, layer,
	         head, n, x.kept.tail, y.kept.n, y.kept.tail);
	EACH_MSG(memcmp(x.kept.positions, y.kept.positions, n * sizeof(uint32_t)) == 0 &&
	             memcmp(x.kept.weights, y.kept.weights, n * sizeof(float)) == 0 &&
	             memcmp(x.kept.scores, y.kept.scores, n * sizeof(float)) == 0,
	         "%s: layer %d, head %zu: other slots are kept, or scores differ", when, layer, head);
	EACH_MSG(memcmp(x.kept.k, y.kept.k, n * x.dk * sizeof(float)) == 0 &&
	             memcmp(x.kept.v, y.kept.v, n * x.dv * sizeof(float)) == 0,
	         "%s: layer %d, head %zu: rows differ", when, layer, head);
	selected_free(&x);
	selected_free(&y);
}

static void same_rows(const struct feed *feed_a, const struct stream *a, const struct feed *feed_b,
                      const struct stream *b, int layer, enum feed_side side, const char *when)
{
	size_t n = a->n * feed_heads(feed_a, FEED_K) * feed_dim(feed_a, side);
	double *x = calloc(n + 1, sizeof *x), *y = calloc(n + 1, sizeof *y);
	ck_assert(x && y);
	feed_read(feed_a, a, layer, 0, a->n, side == FEED_K ? x : NULL, side == FEED_K ? NULL : x);
	feed_read(feed_b, b, layer, 0, a->n, side == FEED_K ? y : NULL, side == FEED_K ? NULL : y);
	for (size_t i = 0; i < n; i++)
		EACH_MSG(x[i] == y[i], "%s: layer %d, side %d, token %zu: %g, not %g", when, layer,
		         (int)side, i / (n / a->n), x[i], y[i]);
	free(x);
	free(y);
}

void kind_same_streams(const struct kind *kind, const struct feed *feed_a, const struct stream *a,
                       const struct feed *feed_b, const struct stream *b, const char *when)
{
	clkv_seq_info x = stream_info(a), y = stream_info(b);
	ck_assert_uint_eq(x.length, a->n);
	ck_assert_msg(
		x.length == y.length && x.min_length == y.min_length && x.sealed == y.sealed &&
			x.bytes == y.bytes && x.host_bytes == y.host_bytes && x.waits == y.waits &&
			x.seals_at == y.seals_at,
		"%s: length %zu, from %zu, sealed %zu, %llu + %llu bytes; not %zu, %zu, %zu, %llu + "
		"%llu",
		when, x.length, x.min_length, x.sealed, (unsigned long long)x.bytes,
		(unsigned long long)x.host_bytes, y.length, y.min_length, y.sealed,
		(unsigned long long)y.bytes, (unsigned long long)y.host_bytes);
	for (int layer = 0; layer < feed_a->geometry.layers; layer++)
		if (kind->selects)
			for (size_t head = 0; head < feed_heads(feed_a, FEED_K); head++)
				same_head(feed_a, a, feed_b, b, layer, head, when);
		else
			for (int side = FEED_K; a->n > 0 && side <= FEED_V; side++)
				same_rows(feed_a, a, feed_b, b, layer, (enum feed_side)side, when);
}
