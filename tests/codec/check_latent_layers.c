/* SPDX-License-Identifier: MIT */
/** \file check_latent_layers.c \brief Latents that several layers share: rows, attention, bytes, files, refusals. */
#include "base/hash.h"
#include "ref/ref_half.h"
#include "ref/ref_rope.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/factors.h"
#include "support/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AROUND " ; window=0,sinks=0"
enum { LAYERS = 4, HEADS = 2, DK = 32, DV = 48, TOKENS = 150, MOST = LAYERS * HEADS * DV };

/* Layers whose heads change places, and others whose don't. */
static const int crossed[LAYERS * HEADS] = {1, 0, 0, 1, 0, 1, 1, 0};

static clkv_geometry geometry(void)
{
	clkv_geometry g = feed_geometry(LAYERS, 2 * HEADS, HEADS, DK, DV);
	g.rope.kind = CLKV_ROPE_HALVES;
	g.rope.dims = DK;
	return g;
}

static void open_feed(struct feed *feed, const char *recipe, const struct factors *f)
{
	clkv_cache_options o = feed_room(600, 3);
	o.factors = f ? f->file.bytes : NULL;
	o.factors_size = f ? f->file.n : 0;
	*feed = (struct feed){.geometry = geometry(), .lse = true};
	feed_open(feed, fixture.context, fixture.queue, recipe, &o);
}

static void make_factors(struct factors *f, enum factors_kind kind,
                         const struct factors_groups *groups, uint64_t seed)
{
	const clkv_geometry g = geometry();
	factors_make_groups(f, &g, kind, groups, groups->share * groups->heads_k * DK,
	                    groups->share * groups->heads_v * DV, seed);
}

static void seal_all(struct feed *feed, struct stream *stream)
{
	feed->append_only = true;
	stream_open(feed, stream);
	feed_one(feed, stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(stream).sealed, TOKENS);
}

/* What a prompt's rows of all layers were and became, [layer][TOKENS][HEADS][dim]. */
static struct rows {
	double given[2][LAYERS][TOKENS * HEADS * DV], read[2][LAYERS][TOKENS * HEADS * DV];
} rows;

static void read_layers(const struct feed *feed, const struct stream *stream)
{
	for (int l = 0; l < LAYERS; l++) {
		feed_rows(feed, l, FEED_K, stream->row, TOKENS, rows.given[0][l]);
		feed_rows(feed, l, FEED_V, stream->row, TOKENS, rows.given[1][l]);
		feed_read(feed, stream, l, 0, TOKENS, rows.read[0][l], rows.read[1][l]);
	}
}

/* ---------------------------------------------------------------- what stands for a row ---- */

static void turn(double position, double *x)
{
	const struct ref_rope rope = {.dims = DK, .base = 10000, .attn_factor = 1};
	double y[DK];
	for (size_t d = 0; d < DK; d++)
		y[d] = ref_rope(&rope, position, d, x[d], x[ref_rope_partner(&rope, d)]);
	memcpy(x, y, sizeof y);
}

/* Of a side: heads of a group in each layer, layers, and how many latents of a group are kept. */
struct side {
	int v;
	size_t dim, each, share, width, rank;
	const int *order;
	const float *down, *up;
	bool turned;
};

/* Where the row of member m of a group of the layers from `first` on lies: its layer, and place in [HEADS]. */
static size_t head_of(const struct side *s, size_t first, size_t group, size_t m, size_t *layer)
{
	*layer = first + m / s->each;
	return (size_t)s->order[*layer * HEADS + group * s->each + m % s->each];
}

/* A group's token: halves of rows and latents, sums in single precision, 2^-16 of their terms' magnitudes; a turned channel is
 * off by what its partner is, too. */
static void expect_group(const struct side *s, size_t first, size_t group, size_t t)
{
	const size_t heads = s->each * s->share,
				 at = (first / s->share * (HEADS / s->each) + group) * s->width * s->width;
	double x[MOST], want[MOST] = {0}, slack[MOST] = {0};
	size_t layer;
	for (size_t m = 0; m < heads; m++) {
		size_t h = head_of(s, first, group, m, &layer);
		for (size_t c = 0; c < s->dim; c++)
			x[m * s->dim + c] = ref_half(rows.given[s->v][layer][(t * HEADS + h) * s->dim + c]);
		if (s->turned)
			turn(-(double)t, x + m * s->dim);
	}
	for (size_t r = 0; r < s->rank; r++) {
		double z = 0, norm = 0;
		for (size_t c = 0; c < s->width; c++) {
			double term = x[c] * (double)s->down[at + c * s->width + r];
			z += term;
			norm += fabs(term);
		}
		for (size_t c = 0; c < s->width; c++) {
			double b = (double)s->up[at + r * s->width + c];
			want[c] += ref_half(z) * b;
			slack[c] += fabs(b) * (2 * REF_HALF_EPS * fabs(z) + 0x1p-16 * norm);
		}
	}
	for (size_t m = 0; m < heads; m++) {
		size_t h = head_of(s, first, group, m, &layer);
		const double *read = rows.read[s->v][layer] + (t * HEADS + h) * s->dim;
		if (s->turned)
			turn((double)t, want + m * s->dim);
		for (size_t d = 0; d < s->dim; d++) {
			const double *off = slack + m * s->dim;
			double most = off[d] + (s->turned ? off[(d + DK / 2) % DK] : 0) + 1e-5;
			EACH_MSG(fabs(read[d] - want[m * s->dim + d]) <= most,
			         "layer %zu, %zu channels, token %zu, KV head %zu, channel %zu: %g, not %g",
			         layer, s->dim, t, h, d, read[d], want[m * s->dim + d]);
		}
	}
}

static void expect_side(const struct side *s)
{
	for (size_t first = 0; first < LAYERS; first += s->share)
		for (size_t g = 0; g < HEADS / s->each; g++)
			for (size_t t = 0; t < TOKENS; t++)
				expect_group(s, first, g, t);
}

static const int plain[LAYERS * HEADS] = {0, 1, 0, 1, 0, 1, 0, 1};

/* CLLA (b), (d) where each layer seals a share: rows of all layers of a group are made of its latents, which with `first` are of the
 * first layer's rows alone, whatever the others appended. */
START_TEST(test_rows_are_those_that_latents_of_layers_stand_for)
{
	static const struct {
		const char *recipe;
		struct factors_groups groups;
		size_t k, v;
	} cases[] = {
		{"clla:share=2,k=16,v=16" AROUND, {2, 2, true, NULL, 2, true}, 16, 16},
		{"lowrank:share=4,rank=16,heads_k=2,rope=before" AROUND ",block=32",
	     {2, 1, true, NULL, 4, true},
	     16,
	     16},
		{"lowrank:share=2,heads_k=2,k=16,v=32,rope=before" AROUND,
	     {2, 1, true, crossed, 2, false},
	     16,
	     32},
		{"lowrank:share=4,k=16,v=16" AROUND, {1, 1, false, crossed, 4, false}, 16, 16},
	};
	static struct stream stream;
	const struct factors_groups *g = &cases[_i].groups;
	const size_t n = g->share;
	struct factors f;
	struct feed feed;
	make_factors(&f, FACTORS_SCALED, g, 3);
	open_feed(&feed, cases[_i].recipe, &f);
	seal_all(&feed, &stream);
	read_layers(&feed, &stream);
	const struct side k = {0,
	                       DK,
	                       g->heads_k,
	                       n,
	                       n * g->heads_k * DK,
	                       n * g->heads_k * cases[_i].k,
	                       g->k_order ? g->k_order : plain,
	                       f.k_down,
	                       f.k_up,
	                       g->before};
	const struct side v = {
		1,     DV,       g->heads_v, n,    n * g->heads_v * DV, n * g->heads_v * cases[_i].v,
		plain, f.v_down, f.v_up,     false};
	expect_side(&k);
	expect_side(&v);
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

static void answer(struct feed *feed, struct stream *stream, struct feed_result *result)
{
	stream_open(feed, stream);
	feed_one(feed, stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
	feed_one(feed, stream, 12, CLKV_DECODE, 2, result);
}

/* CLLA (a): one layer's latents are those of all its heads. */
START_TEST(test_share_of_one_is_latents_of_all_heads)
{
	static struct stream a, b;
	const struct factors_groups groups = {2, 2, true, NULL, 1, false};
	struct factors f;
	struct feed one, all;
	struct feed_result x, y;
	make_factors(&f, FACTORS_SCALED, &groups, 3);
	open_feed(&one, "clla:share=1,k=16,v=32 ; window=20", &f);
	open_feed(&all, "lorc:k=16,v=32 ; window=20", &f);
	answer(&one, &a, &x);
	answer(&all, &b, &y);
	ck_assert_double_eq(expect_difference(&one, &x, &y), 0);
	feed_result_close(&x);
	feed_result_close(&y);
	feed_close(&one);
	feed_close(&all);
	factors_free(&f);
}
END_TEST

/* CLLA (a): all latents of a group, whose factors can be inverted, give what rows in half give. */
START_TEST(test_full_width_gives_what_half_gives)
{
	static struct stream stream;
	const struct factors_groups groups = {2, 2, true, crossed, 2, false};
	struct factors f;
	struct feed feed;
	make_factors(&f, FACTORS_ORTHOGONAL, &groups, 7);
	open_feed(&feed, "lowrank:share=2,heads_k=2,heads_v=2,rank=1,rope=before ; window=16,sinks=4",
	          &f);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
	expect_rows(&feed, &stream, 5, CLKV_DECODE, 2, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

static const char *const attended[] = {
	"clla:share=2,k=16,v=16 | kivi:bits=4 ; window=40,sinks=3",
	"clla:share=2,k=16,v=16 ; window=40,skip=2",
	"lowrank:share=4,k=16,v=48 | q:k=6,v=5,axis_k=token,axis_v=channel ; window=40,block=32",
	"layers=0-1: kivi:bits=4 ; 2-: clla:k=16,v=16 | kivi:bits=2,group=16 ; window=40",
};

/* Attention is that of the rows as they are read, in generation and in prompts. */
START_TEST(test_attention_is_that_of_expanded_rows)
{
	static struct stream stream;
	struct feed feed;
	open_feed(&feed, attended[_i], NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_gt(stream_info(&stream).sealed, 100);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &stream, 39, CLKV_PROMPT, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- bits and bytes ---- */

/* CLLA (e): a token of a group of n layers has R latents of K and as many of V, n HEADS 16 each, whatever n is; and each head the
 * factors of its share and rows, with the numbers of the group's heads. */
START_TEST(test_bytes_are_those_of_the_formula)
{
	static const struct {
		const char *recipe;
		size_t share, heads_v, latents; /* of a group and token, both sides */
	} formulas[] = {
		{"clla:share=2,k=16,v=16" AROUND, 2, 2, 2 * 2 * HEADS * 16},
		{"lowrank:share=4,rank=16,heads_k=2,rope=before" AROUND, 4, 1, 2 * 4 * HEADS * 16},
	};
	static struct stream stream;
	const size_t n = formulas[_i].share, v = n * formulas[_i].heads_v, k = n * HEADS, blocks = 3;
	struct feed feed;
	open_feed(&feed, formulas[_i].recipe, NULL);
	seal_all(&feed, &stream);
	ck_assert_uint_eq(feed_stats(&feed).used_sealed,
	                  LAYERS / n * formulas[_i].latents * 2 * 64 * blocks);
	const clkv_geometry g = geometry();
	const clkv_cache_options o = feed_room(600, 3);
	ck_assert_uint_eq(feed_required(fixture.context, &g, formulas[_i].recipe, &o).rotation,
	                  LAYERS * HEADS * 4 * (2 * 16 * (k * DK + v * DV) + k + v));
	feed_close(&feed);
}
END_TEST

START_TEST(test_the_same_text_makes_the_same_bits)
{
	struct feed feed;
	open_feed(&feed, attended[0], NULL);
	memory_expect_same_pieces(&feed);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

static const struct {
	const char *recipe, *word;
} refused[] = {
	{"clla:share=3", "divide the model's 4 layers"},
	{"clla:share=0", "share"},
	{"lowrank:share=8", "latents of 8 layers"},
	{"clla:share=2,k=32", "32 latents of K in each of 2 layers"},
	{"clla:share=2,v=32", "32 latents of V"},
	{"clla:k=24", "multiples of 16"},
	{"clla ; skip=1", "another recipe or are skipped"},
	{"layers=0: f16 ; 1-: clla", "another recipe"},
	{"layers=0,2: f16 ; 1,3: clla", "another recipe"},
	{"layers=0-1: clla ; 2: kivi ; 3: lowrank:share=2", "another recipe"},
	{"clla | kvcomp", "'bounded'"},
	{"clla | q:rot=hadamard", "hadamard"},
	{"clla | lorc", "lorc"},
	{"h2o:budget=64 | clla", "'h2o'"},
	{"clla | topk:recall=64", "clla"},
	{"clla | place:where=host", "several layers share"},
};

START_TEST(test_what_does_not_go_together_is_refused)
{
	const clkv_geometry g = geometry();
	expect_refused(fixture.context, &g, refused[_i].recipe, &refused[_i].word, 1);
}
END_TEST

/* Behind the magic: words, the model, each layer's two orders, factors; a checksum at the end. */
enum { WORDS_AT = 8, SHARE_AT = WORDS_AT + 44, ORDER_AT = SHARE_AT + 4 + 8 };

static void put_word(struct memory_file *file, size_t at, uint32_t value)
{
	for (size_t i = 0; i < 4; i++)
		file->bytes[at + i] = (unsigned char)(value >> 8 * i);
}

/* The file with another word, 0 to 255 as ours, and the checksum that it should have then. */
static void expect_foreign(struct memory_file *file, size_t at, uint32_t theirs, clkv_status want,
                           const char *text)
{
	const clkv_geometry g = geometry();
	const uint32_t ours = file->bytes[at];
	for (int i = 0; i < 2; i++) {
		put_word(file, at, i == 0 ? theirs : ours);
		uint64_t hash = clkv__hash(CLKV__HASH_START, file->bytes, file->n - 8);
		put_word(file, file->n - 8, (uint32_t)hash);
		put_word(file, file->n - 4, (uint32_t)(hash >> 32));
		if (i == 0)
			factors_expect_no_cache(&g, "clla:k=16,v=16", file, 0, want, text);
	}
}

START_TEST(test_foreign_and_damaged_files_are_named)
{
	static const char *const words[] = {"version",     "layers",    "kv_heads", "head_dim_k",
	                                    "head_dim_v",  "rope.kind", "heads_k",  "heads_v",
	                                    "before_rope", "rank_k",    "rank_v"};
	const struct factors_groups one = {2, 2, true, NULL, 1, false},
								two = {2, 2, true, NULL, 2, true};
	const clkv_geometry g = geometry();
	struct factors f, lorc;
	make_factors(&f, FACTORS_SCALED, &two, 1);
	make_factors(&lorc, FACTORS_SCALED, &one, 1);
	for (size_t i = 1; i < sizeof words / sizeof words[0]; i++) {
		char text[40];
		snprintf(text, sizeof text, "%s is 0", words[i]);
		expect_foreign(&f.file, WORDS_AT + 4 * i, 0, CLKV_ERROR_INVALID_ARGUMENT, text);
	}
	expect_foreign(&f.file, WORDS_AT, 3, CLKV_ERROR_INVALID_ARGUMENT, "of 1 layers together");
	expect_foreign(&f.file, SHARE_AT, 4, CLKV_ERROR_INVALID_ARGUMENT, "of 4 layers together");
	expect_foreign(&f.file, SHARE_AT, 0, CLKV_ERROR_INVALID_ARGUMENT, "of 0 layers together");
	/* the second layer's order of K stands behind the first's of V */
	expect_foreign(&f.file, ORDER_AT + 4 * 2 * HEADS, 1, CLKV_ERROR_CORRUPT,
	               "order of K in layer 1");
	factors_expect_no_cache(&g, "clla:k=16,v=16", &lorc.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                        "of 1 layers together; allowed: the recipe's 2");
	factors_expect_no_cache(&g, "lorc:k=16,v=16", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                        "of 2 layers together; allowed: the recipe's 1");
	factors_expect_no_cache(&g, "lowrank:share=4,heads_k=2,rope=before", &f.file, 0,
	                        CLKV_ERROR_INVALID_ARGUMENT, "of 2 layers together");
	factors_expect_no_cache(&g, "layers=0-1: clla ; 2-: lorc", &f.file, 0,
	                        CLKV_ERROR_INVALID_ARGUMENT, "different groups");
	f.file.n -= 8;
	factors_expect_no_cache(&g, "clla:k=16,v=16", &f.file, 0, CLKV_ERROR_CORRUPT, "bytes");
	f.file.n = SHARE_AT;
	factors_expect_no_cache(&g, "clla:k=16,v=16", &f.file, 0, CLKV_ERROR_CORRUPT, "");
	factors_expect_no_cache(&g, "clla", NULL, 0, CLKV_ERROR_INVALID_ARGUMENT, "factors is NULL");
	factors_free(&f);
	factors_free(&lorc);
}
END_TEST

START_TEST(test_what_cannot_be_written_is_named)
{
	static float zeros[LAYERS * HEADS * 16 * DV];
	static const struct {
		int share, rank_k;
		const char *text;
	} wrong[] = {{3, 16, "share is 3"}, {-1, 16, "share is -1"}, {2, 129, "rank_k is 129"}};
	const clkv_geometry g = geometry();
	struct memory_file file = {0};
	clkv_error error;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		clkv_factors f = CLKV_INIT(clkv_factors);
		f.rank_k = wrong[i].rank_k, f.rank_v = 16;
		f.k_down = f.k_up = f.v_down = f.v_up = zeros;
		f.heads_k = f.heads_v = 2;
		f.before_rope = 1;
		f.share = wrong[i].share;
		ck_assert_int_eq(clkv_factors_write(&g, 0, &f, memory_write, &file, &error),
		                 CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_msg(strstr(error.text, wrong[i].text) != NULL, "%s", error.text);
	}
	ck_assert_uint_eq(file.n, 0);
}
END_TEST

/* ---------------------------------------------------------------- sequences ---- */

static void expect_not_loaded(const char *recipe, const struct factors *f,
                              struct memory_file *saved, const char *text)
{
	struct feed feed;
	open_feed(&feed, recipe, f);
	memory_expect_refused(&feed, saved, text);
	feed_close(&feed);
}

/* Pages go as they are to a cache with the same factors; forks share them, what is cut is gone, and what leaves from the middle takes
 * all layers' shares with it. */
START_TEST(test_snapshots_forks_and_cuts)
{
	static const char recipe[] = "clla:k=16,v=16 | kivi:bits=4 ; window=20";
	static struct stream stream, loaded, fork;
	const struct factors_groups two = {2, 2, true, NULL, 2, true},
								four = {2, 1, true, NULL, 4, true};
	struct factors f, other;
	struct memory_file file = {0};
	struct feed feed, same, smaller;
	clkv_error error;
	make_factors(&f, FACTORS_SCALED, &two, 1);
	make_factors(&other, FACTORS_SCALED, &four, 2);
	open_feed(&feed, recipe, &f);
	open_feed(&same, recipe, &f);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	memory_save(&feed, &stream, NULL, &file);
	memory_load(&same, &file, &stream, &loaded);
	expect_same_cache(&feed, &stream, &loaded);
	expect_rows(&same, &loaded, 3, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_not_loaded("lowrank:share=4,heads_k=2,rope=before | kivi:bits=4 ; window=20", &other,
	                  &file, "factors file");
	open_feed(&smaller, "clla:k=16,v=16 ; window=20,block=32", &f);
	memory_load(&smaller, &file, &stream, &loaded);
	stream_fork(&feed, &stream, &fork);
	ck_assert_int_eq(clkv_seq_truncate(stream.seq, 100, &error), CLKV_OK);
	stream.n = 100;
	expect_rows(&feed, &stream, 2, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &fork, 2, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
	ck_assert_msg(clkv_seq_remove(fork.seq, 10, 50, feed.queue, &error) == CLKV_OK, "%s",
	              error.text);
	stream_close(&stream);
	stream_close(&fork);
	expect_nothing_used(&feed);
	memory_close(&file);
	feed_close(&feed);
	feed_close(&same);
	feed_close(&smaller);
	factors_free(&f);
	factors_free(&other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("latent layers");
	TCase *stored = fixture_case(suite, "stored", 60),
		  *attend = fixture_case(suite, "attention", 90);
	TCase *bytes = fixture_case(suite, "bytes", 30), *files = fixture_case(suite, "files", 60);
	tcase_add_loop_test(stored, test_rows_are_those_that_latents_of_layers_stand_for, 0, 4);
	tcase_add_test(attend, test_share_of_one_is_latents_of_all_heads);
	tcase_add_test(attend, test_full_width_gives_what_half_gives);
	fixture_some(attend, test_attention_is_that_of_expanded_rows,
	             sizeof attended / sizeof attended[0], 0, 3);
	tcase_add_loop_test(bytes, test_bytes_are_those_of_the_formula, 0, 2);
	tcase_add_test(bytes, test_the_same_text_makes_the_same_bits);
	tcase_add_loop_test(files, test_what_does_not_go_together_is_refused, 0,
	                    (int)(sizeof refused / sizeof refused[0]));
	tcase_add_test(files, test_foreign_and_damaged_files_are_named);
	tcase_add_test(files, test_what_cannot_be_written_is_named);
	tcase_add_test(files, test_snapshots_forks_and_cuts);
	return fixture_run_shared(suite);
}
