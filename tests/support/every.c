/* SPDX-License-Identifier: MIT */
/** \file every.c \brief Every kernel, by few recipes. */
#include "every.h"

#include "fixture.h"
#include "inject.h"
#include "program/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of prompts longer than that a short life attends only with the last rows. */
enum { LONG = 100, SHORT = 20 };

enum { BLOCK = 32 };

/* No layer is left out. Sinks are no multiple of the block and the tail begins in theirs, until tokens leave the window. */
#define AROUND " ; window=6,sinks=2,skip=0"
#define RECALL ",every=128 ; window=6,sinks=2,skip=0"

/* Head sizes are the same where nothing speaks against it, as each makes programs of its own. */
const struct every_case every_cases[] = {
	/* what is stored */
	{"f16" AROUND, 32, 16, 60, CLKV_ROPE_NONE, false},
	{"kivi:bits=2,group=16" AROUND, 32, 48, 60, CLKV_ROPE_HALVES, false},
	{"q:k=5,v=8,rot=hadamard" AROUND, 32, 32, 60, CLKV_ROPE_PAIRS, true},
	{"q:k=4,v=8,rot=file" AROUND, 32, 48, 60, CLKV_ROPE_HALVES, false},
	{"q:k=3,v=6,axis_k=channel,axis_v=channel,sym=1" AROUND, 48, 32, 60, CLKV_ROPE_NONE, true},
	{"kvcomp:entropy=huffman,verify=1" AROUND, 32, 48, 60, CLKV_ROPE_NONE, false},
	{"kvcomp:entropy=pack,unit_k=block,verify=1" AROUND, 32, 32, 60, CLKV_ROPE_NONE, true},
	{"qtc" AROUND, 32, 48, 60, CLKV_ROPE_NONE, false},
	{"qtc:entropy=pack" AROUND, 32, 48, 60, CLKV_ROPE_HALVES, false},
	{"qaq:n=3" AROUND, 32, 48, 60, CLKV_ROPE_HALVES, false},
	{"cskv:k=16,v=32,bits=4,group=16" AROUND, 32, 48, 60, CLKV_ROPE_HALVES, true},
	{"lorc:k=16,v=32 | kivi:bits=4,group=16" AROUND, 32, 48, 60, CLKV_ROPE_HALVES, true},
	{"csr:pairs=4,atoms=32,chunks_v=1" AROUND, 32, 48, 60, CLKV_ROPE_HALVES, false},
	{"kitty:boost=0.3,group=16" AROUND, 32, 48, 60, CLKV_ROPE_NONE, false},
	{"kvquant:group=16" AROUND, 32, 48, 60, CLKV_ROPE_NONE, false},
	{"spark | kitty" AROUND, 32, 32, 60, CLKV_ROPE_NONE, true},
	{"think:keep=0.5 | q:k=4,v=4" AROUND, 32, 48, 60, CLKV_ROPE_NONE, false},
	{"spark:values=0.5" AROUND, 32, 48, 60, CLKV_ROPE_NONE, false},
	{"spark:mode=group" AROUND, 32, 48, 60, CLKV_ROPE_NONE, false},
	{"spark | kvcomp:entropy=huffman" AROUND, 32, 32, 60, CLKV_ROPE_NONE, true},
	/* what is recalled */
	{"clusterkv:recall=24,per=8,metric=query,obs=16" RECALL, 32, 16, 150, CLKV_ROPE_NONE, false},
	{"kivi:bits=4 | a2ats:recall=24,codes=32,wrope=16" RECALL, 32, 32, 150, CLKV_ROPE_HALVES, true},
	{"q:k=8,v=8 | pages:recall=24,page=8,gqa=group" RECALL, 32, 16, 150, CLKV_ROPE_NONE, false},
	{"kivi:bits=4 | topk:recall=24" RECALL, 32, 16, 150, CLKV_ROPE_NONE, false},
	{"pages:recall=24,page=8,probe=chunk,alloc=entropy" RECALL, 32, 16, 150, CLKV_ROPE_HALVES,
     false},
	{"pages:recall=24,page=8,every=128 | place:host,via=copy" AROUND, 32, 16, 150, CLKV_ROPE_NONE,
     false},
	/* what is kept */
	{"h2o:budget=24" AROUND, 32, 16, 60, CLKV_ROPE_NONE, false},
	{"zeromerge:budget=48,residual=8" AROUND, 32, 16, 90, CLKV_ROPE_NONE, false},
	{"zeromerge:budget=40,residual=8,init=contig,mean=count,alloc=adaptive | kivi:bits=4" AROUND,
     32, 32, 90, CLKV_ROPE_NONE, true},
	{"snapkv:budget=24,obs=8" AROUND, 32, 16, 60, CLKV_ROPE_NONE, false},
	{"morphkv:budget=24,obs=8" AROUND, 32, 16, 60, CLKV_ROPE_NONE, false},
	{"prefixkv:budget=40" AROUND, 32, 16, 60, CLKV_ROPE_NONE, false},
	{"kvmerger:budget=24,heavy=0.2" AROUND, 32, 16, 60, CLKV_ROPE_NONE, false},
	{"cascade:budget=40,rings=3" AROUND, 32, 16, 60, CLKV_ROPE_NONE, false},
	{"corm:obs=8" AROUND, 32, 16, 60, CLKV_ROPE_NONE, true},
	{"expected:budget=24,obs=8,ahead=64" AROUND, 32, 16, 60, CLKV_ROPE_HALVES, false},
	{"l2norm:budget=24" AROUND, 32, 16, 60, CLKV_ROPE_NONE, true},
	{"streaming:budget=24" AROUND, 32, 16, 60, CLKV_ROPE_NONE, true},
	{"dbudgetkv:tau=0.2" AROUND, 32, 16, 60, CLKV_ROPE_NONE, true},
	{"h2o:budget=24 | kvcomp:entropy=huffman" AROUND, 32, 32, 60, CLKV_ROPE_NONE, true},
};
const int every_count = sizeof every_cases / sizeof every_cases[0];

void every_recipe(const struct every_case *c, int block, char *text, size_t n)
{
	ck_assert_int_lt(snprintf(text, n, "%s,block=%d", c->recipe, block), (int)n);
}

static void note(struct every_record *r, const void *data, size_t n)
{
	if (r->n + n > r->room) {
		r->room = 2 * (r->n + n);
		r->data = realloc(r->data, r->room);
		ck_assert_ptr_nonnull(r->data);
	}
	memcpy(r->data + r->n, data, n);
	r->n += n;
}

static void step(struct feed *feed, struct feed_item *items, size_t n, struct every_record *record)
{
	struct feed_result result;
	size_t layers = (size_t)feed->geometry.layers;
	feed_step(feed, items, n, &result);
	note(record, result.out, layers * result.rows * result.out_row * sizeof *result.out);
	note(record, result.lse, layers * result.rows * result.lse_row * sizeof *result.lse);
	feed_result_close(&result);
}

static void one(struct feed *feed, struct stream *stream, size_t n, clkv_phase phase, uint64_t seed,
                struct every_record *record)
{
	struct feed_item item = {stream, n, phase, 0, seed};
	step(feed, &item, 1, record);
}

/* ---------------------------------------------------------------- what is stored ---- */

static void note_kept(const struct feed *feed, const struct stream *stream, int layer, int head,
                      struct every_record *record)
{
	enum { ROOM = 512, DIM = 64 };
	static uint32_t positions[ROOM];
	static float weights[ROOM], scores[ROOM], k[ROOM * DIM], v[ROOM * DIM];
	clkv_kept kept = CLKV_INIT(clkv_kept);
	clkv_error error;
	kept.room = ROOM, kept.positions = positions, kept.weights = weights, kept.scores = scores;
	kept.k = k, kept.v = v;
	feed_ok(clkv_seq_get_kept(stream->seq, layer, head, &kept, feed->queue, &error), &error,
	        "clkv_seq_get_kept");
	note(record, positions, kept.n * sizeof *positions);
	note(record, weights, kept.n * sizeof *weights);
	note(record, scores, kept.n * sizeof *scores);
	note(record, k, kept.n * feed_dim(feed, FEED_K) * sizeof *k);
	note(record, v, kept.n * feed_dim(feed, FEED_V) * sizeof *v);
}

static void note_rows(const struct feed *feed, const struct stream *stream, int layer,
                      struct every_record *record)
{
	size_t k = stream->n * feed_heads(feed, FEED_K) * feed_dim(feed, FEED_K);
	size_t v = stream->n * feed_heads(feed, FEED_V) * feed_dim(feed, FEED_V);
	double *rows = calloc(k + v, sizeof *rows);
	ck_assert_ptr_nonnull(rows);
	feed_read(feed, stream, layer, 0, stream->n, rows, rows + k);
	note(record, rows, (k + v) * sizeof *rows);
	free(rows);
}

/* Of each layer: what a recipe that selects has kept, or all rows. */
static void note_stored(const struct feed *feed, const struct stream *stream,
                        struct every_record *record)
{
	clkv_kept kept = CLKV_INIT(clkv_kept);
	clkv_error error;
	bool selects =
		clkv_seq_get_kept(stream->seq, 0, 0, &kept, feed->queue, &error) != CLKV_ERROR_UNSUPPORTED;
	for (int layer = 0; layer < feed->geometry.layers; layer++) {
		for (int head = 0; selects && head < (int)feed_heads(feed, FEED_K); head++)
			note_kept(feed, stream, layer, head, record);
		if (!selects)
			note_rows(feed, stream, layer, record);
	}
}

/* Of numbers that are none's. */
void every_merge(clkv_context *context, cl_command_queue queue, struct every_record *record)
{
	enum { PARTS = 3, ROWS = 4, HEADS = 2, DIM = 24 };
	float parts[PARTS * ROWS * HEADS * DIM], lse[PARTS * ROWS * HEADS];
	float out[ROWS * HEADS * DIM], all[ROWS * HEADS];
	clkv_merge_args args = CLKV_INIT(clkv_merge_args);
	clkv_error error;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		parts[i] = (float)feed_normal(i / DIM, 0, FEED_V, 0, i % DIM);
	for (size_t i = 0; i < sizeof lse / sizeof lse[0]; i++)
		lse[i] = (float)feed_normal(i, 0, FEED_Q, 0, 0);
	args.n_parts = PARTS, args.rows = ROWS, args.q_heads = HEADS, args.head_dim_v = DIM;
	args.parts.host = parts, args.out.host = out;
	args.part_lse_host = lse, args.lse_host = all;
	feed_ok(clkv_merge(context, &args, queue, 0, NULL, NULL, &error), &error, "clkv_merge");
	ck_assert_int_eq(clFinish(queue), CL_SUCCESS);
	note(record, out, sizeof out);
	note(record, all, sizeof all);
}

/* ---------------------------------------------------------------- lives ---- */

static struct feed open_case(const struct every_case *c, int layers, clkv_context *context,
                             cl_command_queue queue)
{
	struct feed feed = {.geometry = feed_geometry(layers, 4, 2, c->dk, c->dv), .lse = true};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	char recipe[EVERY_RECIPE];
	o.max_tokens = 512, o.max_step_tokens = 160, o.max_sequences = 3;
	if (c->rope != CLKV_ROPE_NONE)
		feed.geometry.rope = (clkv_rope){.kind = c->rope, .dims = 24, .by_library = 1};
	/* one that looks at the newest queries, one at those of all rows */
	feed.observe = strncmp(c->recipe, "snapkv", 6) == 0 || strncmp(c->recipe, "h2o", 3) == 0;
	every_recipe(c, BLOCK, recipe, sizeof recipe);
	feed_open(&feed, context, queue, recipe, &o);
	return feed;
}

static bool is_plain(const struct every_case *c)
{
	return strncmp(c->recipe, "f16", 3) == 0;
}

void every_short_life(const struct every_case *c, clkv_context *context, cl_command_queue queue,
                      struct every_record *record)
{
	static struct stream a;
	struct feed feed = open_case(c, 1, context, queue);
	stream_open(&feed, &a);
	if (c->prompt > LONG) { /* the others choose by attention, of all rows */
		feed.append_only = true;
		feed_one(&feed, &a, c->prompt - SHORT, CLKV_PROMPT, 3, NULL);
		feed.append_only = false;
	}
	one(&feed, &a, c->prompt > LONG ? SHORT : c->prompt * 3 / 4, CLKV_PROMPT_END, 1, record);
	one(&feed, &a, 2, CLKV_DECODE, 2, record);
	if (is_plain(c))
		every_merge(context, queue, record);
	note_stored(&feed, &a, record);
	feed_close(&feed);
}

static void cut(struct stream *stream, size_t n)
{
	clkv_error error;
	size_t least = stream_info(stream).min_length;
	stream->n = stream->n - n > least ? stream->n - n : least;
	feed_ok(clkv_seq_truncate(stream->seq, stream->n, &error), &error, "clkv_seq_truncate");
}

void every_long_life(const struct every_case *c, clkv_context *context, cl_command_queue queue,
                     struct every_record *record)
{
	static struct stream a, b, d;
	struct feed feed = open_case(c, 2, context, queue);
	stream_open(&feed, &a);
	one(&feed, &a, 20, CLKV_PROMPT, 1, record);
	one(&feed, &a, c->prompt - 20, CLKV_PROMPT_END, 2, record);
	one(&feed, &a, 1, CLKV_DECODE, 3, record);
	stream_fork(&feed, &a, &b);
	stream_open(&feed, &d);
	for (uint64_t i = 0; i < 8; i++) {
		/* d, which is new, has its first tokens kept while sinks and tail share a block */
		struct feed_item items[] = {{&a, 5, CLKV_DECODE, 0, 4 + i},
		                            {&d, 11, i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, 0, 20 + i},
		                            {&b, 4, CLKV_DECODE, i % 3, 40 + i}};
		step(&feed, items, 3, record);
	}
	if (is_plain(c))
		every_merge(context, queue, record);
	note_stored(&feed, &b, record);
	cut(&b, 3);
	/* prompts attend to what may be in host memory */
	one(&feed, &b, 37, strstr(c->recipe, "place:") ? CLKV_DECODE : CLKV_PROMPT_END, 60, record);
	one(&feed, &b, 1, CLKV_DECODE, 61, record);
	note_stored(&feed, &a, record);
	note_stored(&feed, &b, record);
	note_stored(&feed, &d, record);
	feed_close(&feed);
}

/* Kernels have the names of their files. */
const char *every_missing(void)
{
	for (const struct clkv__cl_file *f = clkv__cl_files; f->name; f++) {
		char name[64];
		size_t n = strlen(f->name);
		if (n < 4 || n >= sizeof name || strcmp(f->name + n - 3, ".cl") != 0)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(n - 3), f->name);
		if (!inject_launched(name))
			return f->name;
	}
	return NULL;
}
