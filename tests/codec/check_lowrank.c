/* SPDX-License-Identifier: MIT */
/** \file check_lowrank.c \brief Sealed blocks of latents: what stands for a row, attention, bytes, what is refused, files. */
#include "base/little_endian.h"
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/factors.h"
#include "support/fixture.h"
#include "support/latents.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AROUND " ; window=0,sinks=0"
/* Of the geometry below; heads of V have other channels than those of K, so that neither side's factors fit the other. */
enum { LAYERS = 2, HEADS = 2, DK = 64, DV = 80 };

static clkv_geometry geometry(void)
{
	return feed_geometry(LAYERS, 6, HEADS, DK, DV);
}

static void open_feed(struct feed *feed, const char *recipe, const struct factors *f)
{
	const clkv_geometry g = geometry();
	latents_open(feed, &g, recipe, f);
}

static struct latents_rows rows;

/* ---------------------------------------------------------------- what stands for a row ---- */

/* x' = half(x A) B in double, and how far it may be off: halves of x, of latents, and sums of up to 80 products in single
 * precision, which is 2^-17 of the sum of their magnitudes. */
static void expand(const double *x, const float *down, const float *up, size_t dim,
                   size_t file_rank, size_t rank, double *want, double *slack)
{
	memset(want, 0, dim * sizeof *want);
	memset(slack, 0, dim * sizeof *slack);
	for (size_t r = 0; r < rank; r++) {
		double z = 0, norm = 0;
		for (size_t c = 0; c < dim; c++) {
			z += ref_half(x[c]) * (double)down[c * file_rank + r];
			norm += fabs(x[c] * (double)down[c * file_rank + r]);
		}
		for (size_t c = 0; c < dim; c++) {
			double b = (double)up[r * dim + c];
			want[c] += ref_half(z) * b;
			/* a sum next to the middle between two halves may become the other one */
			slack[c] += fabs(b) * (2 * REF_HALF_EPS * fabs(z) + 0x1p-17 * norm);
		}
	}
}

/* Each layer's head of each side has its own; a rank below the file's takes the first columns. */
START_TEST(test_rows_are_those_that_latents_stand_for)
{
	static const struct {
		size_t k, v;
		const char *recipe;
	} ranks[] = {{32, 48, "lowrank:k=32,v=48" AROUND},
	             {64, 80, "lowrank:rank=1" AROUND},
	             {16, 80, "lowrank:k=16,v=1" AROUND ",block=32"},
	             {32, 48, "cskv:k=32,v=0.6" AROUND ",block=128"}};
	static struct stream stream;
	struct factors f;
	struct feed feed;
	const clkv_geometry g = geometry();
	double want[DV], slack[DV];
	factors_make(&f, &g, FACTORS_SCALED, DK, DV, 3);
	open_feed(&feed, ranks[_i].recipe, &f);
	latents_seal(&feed, &stream);
	for (int l = 0; l < LAYERS; l++) {
		latents_read(&feed, &stream, l, &rows);
		for (size_t i = 0; i < 2 * LATENTS_TOKENS * HEADS; i++) {
			size_t side = i % 2, head = i / 2 % HEADS, dim = side ? DV : DK, at = i / 2 * dim;
			size_t of = ((size_t)l * HEADS + head) * dim * dim;
			expand(rows.given[side] + at, (side ? f.v_down : f.k_down) + of,
			       (side ? f.v_up : f.k_up) + of, dim, dim, side ? ranks[_i].v : ranks[_i].k, want,
			       slack);
			for (size_t c = 0; c < dim; c++)
				EACH_MSG(fabs(rows.read[side][at + c] - want[c]) <= slack[c] + 1e-6,
				         "layer %d, %c %zu, channel %zu: %g, not %g", l, side ? 'V' : 'K', i / 2, c,
				         rows.read[side][at + c], want[c]);
		}
	}
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

/* What is lost of a row, squared: orthonormal columns lose the squares of what the left-out ones would have held. */
START_TEST(test_what_is_lost_is_what_the_left_out_columns_hold)
{
	static struct stream stream;
	struct factors f;
	struct feed feed;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_ORTHOGONAL, DK, DV, 5);
	open_feed(&feed, "lowrank:k=32,v=48" AROUND, &f);
	latents_seal(&feed, &stream);
	latents_read(&feed, &stream, 1, &rows);
	for (size_t i = 0; i < 2 * LATENTS_TOKENS * HEADS; i++) {
		size_t side = i % 2, head = i / 2 % HEADS, dim = side ? DV : DK, rank = side ? 48 : 32;
		const float *down = (side ? f.v_down : f.k_down) + (HEADS + head) * dim * dim;
		const double *x = rows.given[side] + i / 2 * dim, *y = rows.read[side] + i / 2 * dim;
		double lost = 0, dropped = 0, norm = 0;
		for (size_t c = 0; c < dim; c++) {
			lost += (x[c] - y[c]) * (x[c] - y[c]);
			norm += x[c] * x[c];
		}
		for (size_t r = rank; r < dim; r++) {
			double z = 0;
			for (size_t c = 0; c < dim; c++)
				z += x[c] * (double)down[c * dim + r];
			dropped += z * z;
		}
		/* halves of rows and of latents, each at most 2^-11 of the norm */
		EACH_MSG(fabs(sqrt(lost) - sqrt(dropped)) <= 2 * REF_HALF_EPS * sqrt(norm),
		         "row %zu of %c: %g, not %g", i / 2, side ? 'V' : 'K', sqrt(lost), sqrt(dropped));
	}
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

/* The first channels as latents have the codes that they have in rows: a codec doesn't know the difference. Units of V's first
 * 32 or 64 channels are the same too. */
START_TEST(test_codes_of_latents_are_those_of_rows)
{
	static const struct {
		const char *latents, *rows;
		size_t k, v;
	} pairs[] = {
		{"lowrank:k=32,v=64 | kivi:bits=4" AROUND, "kivi:bits=4" AROUND, 32, 64},
		{"lowrank:k=64,v=32 | kivi:k=2,v=3,group=16" AROUND, "kivi:k=2,v=3,group=16" AROUND, 64,
	     32},
		{"lowrank:k=32,v=48 | q:k=5,v=6,axis_v=channel,sym=1" AROUND,
	     "q:k=5,v=6,axis_v=channel,sym=1" AROUND, 32, 48},
		{"cskv:k=16,v=32,bits=3" AROUND, "kivi:bits=3" AROUND, 16, 32},
		{"lowrank:k=64,v=80 | q:k=16,v=4" AROUND, "q:k=16,v=4" AROUND, 64, 80},
	};
	static struct stream a, b;
	static struct latents_rows plain;
	struct factors f;
	struct feed latents, given;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_PART, pairs[_i].k, pairs[_i].v, 0);
	open_feed(&latents, pairs[_i].latents, &f);
	open_feed(&given, pairs[_i].rows, NULL);
	latents_seal(&latents, &a);
	latents_seal(&given, &b);
	latents_read(&given, &b, 1, &rows);
	plain = rows;
	latents_read(&latents, &a, 1, &rows);
	for (size_t i = 0; i < LATENTS_TOKENS * HEADS; i++) {
		for (size_t c = 0; c < DK; c++)
			EACH_MSG(rows.read[0][i * DK + c] == (c < pairs[_i].k ? plain.read[0][i * DK + c] : 0),
			         "K, row %zu, channel %zu", i, c);
		for (size_t c = 0; c < DV; c++)
			EACH_MSG(rows.read[1][i * DV + c] == (c < pairs[_i].v ? plain.read[1][i * DV + c] : 0),
			         "V, row %zu, channel %zu", i, c);
	}
	feed_close(&latents);
	feed_close(&given);
	factors_free(&f);
}
END_TEST

/* Latents that half can't hold become the largest that it can, whose codes are numbers: 2^17 times a row of 3 is 393,216. */
START_TEST(test_latents_beyond_half_are_bounded)
{
	static const char *const recipes[] = {"lowrank:rank=1" AROUND, "lowrank:rank=1 | kivi" AROUND};
	static struct stream stream;
	struct factors f;
	struct feed feed;
	const clkv_geometry g = geometry();
	clkv_factors given = CLKV_INIT(clkv_factors);
	struct memory_file file = {0};
	clkv_error error;
	factors_make(&f, &g, FACTORS_PART, DK, DV, 0);
	for (size_t i = 0; i < f.heads * DK * DK; i++)
		f.k_down[i] *= 0x1p17f;
	given.rank_k = DK, given.rank_v = DV, given.k_down = f.k_down, given.k_up = f.k_up;
	given.v_down = f.v_down, given.v_up = f.v_up;
	ck_assert_int_eq(clkv_factors_write(&g, 0, &given, memory_write, &file, &error), CLKV_OK);
	memory_close(&f.file);
	f.file = file;
	open_feed(&feed, recipes[_i], &f);
	latents_seal(&feed, &stream);
	latents_read(&feed, &stream, 0, &rows);
	for (size_t i = 0; i < LATENTS_TOKENS * HEADS * DK; i++)
		EACH_MSG(fabs(rows.read[0][i]) <= 65504.0 * (1 + 2 * REF_HALF_EPS), "%g", rows.read[0][i]);
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

static const char *const attended[] = {
	"lowrank:k=32,v=48 ; window=40,sinks=3",
	"lowrank:k=16,v=64 | kivi:bits=4 ; window=40,sinks=3",
	"lowrank:k=48,v=16 | q:k=6,v=5,axis_k=token,axis_v=channel ; window=40,block=32",
	"cskv:k=32,v=32,bits=2,group=16 ; window=40,skip=1",
	"lowrank | kivi:bits=8,group=64 ; window=40,block=128",
};

/* A query that takes K's factor and a sum that takes V's give what rows made whole give, in generation and in prompts. */
START_TEST(test_folded_factors_attend_as_expanded_rows_do)
{
	struct feed feed;
	open_feed(&feed, attended[_i], NULL);
	expect_attends_as_read(&feed);
	feed_close(&feed);
}
END_TEST

/* Orthonormal factors of full rank: a latent's rounding is what a row's would have been. */
START_TEST(test_full_rank_gives_what_half_gives)
{
	static struct stream stream;
	struct factors f;
	struct feed feed;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_ORTHOGONAL, DK, DV, 7);
	open_feed(&feed, "lowrank:rank=1 ; window=16,sinks=4", &f);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, LATENTS_TOKENS, CLKV_PROMPT_END, 1, NULL);
	expect_rows(&feed, &stream, 5, CLKV_DECODE, 2, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_close(&feed);
	factors_free(&f);
}
END_TEST

static void live(struct feed *feed, struct stream *stream, struct feed_result *result)
{
	stream_open(feed, stream);
	feed_one(feed, stream, 20, CLKV_PROMPT_END, 1, NULL);
	feed_one(feed, stream, 12, CLKV_DECODE, 2, result);
}

/* The window is exact: as long as nothing has left it, answers are those of rows in half, to the bit. */
START_TEST(test_what_fits_the_window_is_as_in_half)
{
	static struct stream a, b;
	struct feed latents, halves;
	struct feed_result x, y;
	open_feed(&latents, "cskv:k=16,v=16,bits=2", NULL); /* a window of 32 */
	open_feed(&halves, "f16", NULL);
	live(&latents, &a, &x);
	live(&halves, &b, &y);
	ck_assert_uint_eq(stream_info(&a).sealed, 0);
	for (size_t i = 0; i < LAYERS * x.rows * x.out_row; i++)
		ck_assert_double_eq(x.out[i], y.out[i]);
	for (size_t i = 0; i < LAYERS * x.rows * x.lse_row; i++)
		ck_assert_double_eq(x.lse[i], y.lse[i]);
	/* one more seals a block, whose tokens count once: attention is that of the rows as read */
	expect_rows(&latents, &a, 32, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
	ck_assert_uint_eq(stream_info(&a).sealed, 0);
	expect_rows(&latents, &a, 32, CLKV_DECODE, 5, EXPECT_DECODED, BOUND_ATTEND_CODES);
	ck_assert_uint_eq(stream_info(&a).sealed, 64);
	feed_result_close(&x);
	feed_result_close(&y);
	feed_close(&latents);
	feed_close(&halves);
}
END_TEST

/* ---------------------------------------------------------------- bits and bytes ---- */

/* Bytes of a block of 64 tokens of one head: r numbers in place of the channels; of codes a scale and a minimum, 4 bytes, for
 * each 32 tokens of a latent of K, and for each 32 latents, or what is left of them, of a token of V. */
START_TEST(test_bytes_are_those_of_the_formula)
{
	static const struct {
		const char *recipe;
		size_t bytes;
	} formulas[] = {
		{"lowrank:k=32,v=48" AROUND, 64 * 2 * (32 + 48)},
		{"lowrank:rank=0.5" AROUND, 64 * 2 * (32 + 48)}, /* 40 of 80 are 2.5 sixteens */
		{"lowrank:k=32,v=48 | kivi:bits=4" AROUND, 64 * (32 + 48) / 2 + 32 * 2 * 4 + 2 * 64 * 4},
		{"cskv:k=16,v=80,bits=2" AROUND, 64 * (16 + 80) / 4 + 16 * 2 * 4 + 3 * 64 * 4},
	};
	static struct stream stream;
	struct feed feed;
	open_feed(&feed, formulas[_i].recipe, NULL);
	latents_seal(&feed, &stream);
	ck_assert_uint_eq(feed_stats(&feed).used_sealed, 3 * LAYERS * HEADS * formulas[_i].bytes);
	/* factors at the recipe's ranks */
	const clkv_geometry g = geometry();
	const clkv_cache_options o = feed_room(600, 3);
	if (_i == 0)
		ck_assert_uint_eq(feed_required(fixture.context, &g, formulas[_i].recipe, &o).rotation,
		                  LAYERS * HEADS * 2 * (64 * 32 + 80 * 48) * 4);
	feed_close(&feed);
}
END_TEST

START_TEST(test_the_same_text_makes_the_same_bits)
{
	struct feed feed;
	open_feed(&feed, "lowrank:k=32,v=48 | kivi:bits=4 ; window=20", NULL);
	memory_expect_same_pieces(&feed);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

static const struct {
	const char *recipe, *word;
} refused[] = {
	{"h2o:budget=64 | lowrank", "'h2o'"},
	{"streaming:budget=64 | cskv", "'streaming'"},
	{"think:keep=0.5 | lowrank", "prunes"},
	{"spark:keep=0.5 | lowrank | kivi", "prunes"},
	{"lowrank | clusterkv", "lowrank"},
	{"cskv | topk:recall=64", "cskv"},
	{"lowrank | kvcomp", "'bounded'"},
	{"lowrank | kitty", "'kitty'"},
	{"lowrank | qtc", "'qtc'"},
	{"lowrank | q:rot=hadamard", "hadamard"},
	{"lowrank | q:rot=file", "rot"},
	{"lowrank:rank=0", "rank"},
	{"lowrank:k=0", "'k'"},
	{"lowrank:k=24", "multiples of 16"},
	{"lowrank:k=80", "the rank of K is 80"},
	{"cskv:v=96", "the rank of V is 96"},
	{"cskv:bits=7", "bits"},
};

START_TEST(test_what_does_not_go_together_is_refused)
{
	const clkv_geometry g = geometry();
	expect_refused(fixture.context, &g, refused[_i].recipe, &refused[_i].word, 1);
}
END_TEST

/* Behind the magic: words, the model, factors; a checksum at the end. */
enum { WORDS_AT = 8, MODEL_AT = WORDS_AT + 32, FACTORS_AT = MODEL_AT + 8 };

static void expect_no_cache(const char *recipe, const struct memory_file *file, uint64_t model,
                            clkv_status want, const char *text)
{
	clkv_geometry g = geometry();
	g.rope.kind = CLKV_ROPE_HALVES;
	factors_expect_no_cache(&g, recipe, file, model, want, text);
}

START_TEST(test_foreign_files_are_named)
{
	static const struct {
		const char *text;
		uint32_t theirs, ours;
	} words[] = {{"version is 2", 2, 1},
	             {"layers is 3", 3, LAYERS},
	             {"kv_heads is 1", 1, HEADS},
	             {"head_dim_k is 80", 80, DK},
	             {"head_dim_v is 64", 64, DV},
	             {"rope.kind is 2", 2, 0},
	             {"rank_k is 0", 0, 48},
	             {"rank_k is 65537", 65537, 48},
	             {"rank_v is 4294967295", UINT32_MAX, 32}};
	struct factors f;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_SCALED, 48, 32, 1);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		size_t at = WORDS_AT + 4 * (i < 7 ? i : i - 1);
		clkv__put32(f.file.bytes + at, words[i].theirs);
		memory_sign(&f.file);
		expect_no_cache("lowrank:k=48,v=32", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
		                words[i].text);
		clkv__put32(f.file.bytes + at, words[i].ours);
	}
	memory_sign(&f.file);
	expect_no_cache("lowrank:k=64,v=32", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                "rank_k is 48, and the recipe's is 64");
	expect_no_cache("layers=0: lowrank:k=16,v=32 ; 1-: cskv:k=48,v=48", &f.file, 0,
	                CLKV_ERROR_INVALID_ARGUMENT, "rank_v is 32, and the recipe's is 48");
	expect_no_cache("cskv:k=16,v=16", &f.file, 7, CLKV_ERROR_INVALID_ARGUMENT, "0000000000000007");
	expect_no_cache("kivi", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT, "factors is given");
	expect_no_cache("lowrank", NULL, 0, CLKV_ERROR_INVALID_ARGUMENT, "factors is NULL");
	factors_free(&f);
}
END_TEST

START_TEST(test_damage_is_noticed)
{
	struct factors f;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_SCALED, 48, 32, 1);
	const size_t n = f.file.n;
	const size_t places[] = {0, 7, FACTORS_AT, FACTORS_AT + 4001, n - 1};
	const size_t sizes[] = {0, 8, FACTORS_AT, FACTORS_AT + 7, n - 1, n - 8};
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		f.file.bytes[places[i]] ^= 1;
		expect_no_cache("lowrank:rank=16", &f.file, 0, CLKV_ERROR_CORRUPT,
		                i < 2 ? "begin" : "checksum");
		f.file.bytes[places[i]] ^= 1;
	}
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		f.file.n = sizes[i];
		expect_no_cache("lowrank:rank=16", &f.file, 0, CLKV_ERROR_CORRUPT, "bytes");
	}
	f.file.n = n;
	factors_free(&f);
}
END_TEST

/* What a signed file may still lie about: the last entry counts as the first does. */
START_TEST(test_entries_must_be_numbers_of_bounded_size)
{
	static const float lies[] = {NAN, INFINITY, -INFINITY, 1.0001e6f};
	struct factors f;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_SCALED, 48, 32, 1);
	for (size_t i = 0; i < 8; i++) {
		size_t at = i % 2 ? f.file.n - 12 : FACTORS_AT;
		uint32_t bits, ours = clkv__get32(f.file.bytes + at);
		memcpy(&bits, &lies[i / 2], sizeof bits);
		clkv__put32(f.file.bytes + at, bits);
		memory_sign(&f.file);
		expect_no_cache("lowrank:rank=16", &f.file, 0, CLKV_ERROR_CORRUPT,
		                i % 2 ? "V, layer 1, KV head 1" : "K, layer 0, KV head 0");
		clkv__put32(f.file.bytes + at, ours);
	}
	factors_free(&f);
}
END_TEST

static size_t write_nothing(void *opaque, const void *data, size_t size)
{
	(void)opaque, (void)data;
	return size - 1;
}

START_TEST(test_what_cannot_be_written_is_named)
{
	static const struct {
		int rank_k, rank_v;
		int missing; /* which of the arrays, from 1 */
		const char *text;
	} wrong[] = {{0, 16, 0, "rank_k is 0"},   {65537, 16, 0, "rank_k is 65537"},
	             {16, -1, 0, "rank_v is -1"}, {16, 65537, 0, "rank_v is 65537"},
	             {16, 16, 1, "k_down"},       {16, 16, 2, "k_up"},
	             {16, 16, 3, "v_down"},       {16, 16, 4, "v_up"}};
	static float zeros[LAYERS * HEADS * DV * 16];
	const clkv_geometry g = geometry();
	struct memory_file file = {0};
	clkv_error error;
	clkv_factors f = CLKV_INIT(clkv_factors);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		f.rank_k = wrong[i].rank_k, f.rank_v = wrong[i].rank_v;
		f.k_down = wrong[i].missing == 1 ? NULL : zeros;
		f.k_up = wrong[i].missing == 2 ? NULL : zeros;
		f.v_down = wrong[i].missing == 3 ? NULL : zeros;
		f.v_up = wrong[i].missing == 4 ? NULL : zeros;
		ck_assert_int_eq(clkv_factors_write(&g, 0, &f, memory_write, &file, &error),
		                 CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_msg(strstr(error.text, wrong[i].text) != NULL, "%s", error.text);
	}
	f.v_up = zeros;
	ck_assert_int_eq(clkv_factors_write(&g, 0, &f, write_nothing, NULL, &error), CLKV_ERROR_IO);
	zeros[LAYERS * HEADS * DK * 16 - 1] = NAN;
	ck_assert_int_eq(clkv_factors_write(&g, 0, &f, memory_write, &file, &error),
	                 CLKV_ERROR_CORRUPT);
	zeros[LAYERS * HEADS * DK * 16 - 1] = 0;
	ck_assert_uint_eq(file.n, 0);
}
END_TEST

/* ---------------------------------------------------------------- files, and tokens out of the middle ---- */

static void expect_not_loaded(const char *recipe, const struct factors *f,
                              struct memory_file *saved, const char *text)
{
	struct feed feed;
	open_feed(&feed, recipe, f);
	memory_expect_refused(&feed, saved, text);
	feed_close(&feed);
}

/* Pages go as they are to a cache with the same factors, rows to one of another recipe; other factors, and the same ones at
 * other ranks, read them as something else. */
START_TEST(test_snapshots_know_their_factors)
{
	static struct stream stream, loaded;
	struct factors f, other;
	struct memory_file file = {0}, halves = {0};
	struct feed feed, same, smaller, plain;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_SCALED, DK, DV, 1);
	factors_make(&other, &g, FACTORS_SCALED, DK, DV, 2);
	open_feed(&feed, "lowrank:k=32,v=48 | kivi:bits=4 ; window=20", &f);
	open_feed(&same, "lowrank:k=32,v=48 | kivi:bits=4 ; window=20", &f);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	memory_save(&feed, &stream, NULL, &file);
	memory_load(&same, &file, &stream, &loaded);
	expect_same_cache(&feed, &stream, &loaded);
	expect_rows(&same, &loaded, 3, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_not_loaded("lowrank:k=32,v=48 | kivi:bits=4 ; window=20", &other, &file, "factors file");
	expect_not_loaded("lowrank:k=48,v=48 | kivi:bits=4 ; window=20", &f, &file, "ranks 32 and 48");
	expect_not_loaded("f16", NULL, &file, "lowrank");
	/* of another block size: through a cache of the file's recipe, which has these factors */
	open_feed(&smaller, "lowrank:k=32,v=48 ; window=20,block=32", &f);
	memory_load(&smaller, &file, &stream, &loaded);
	memory_save(&feed, &stream, "f16", &halves);
	open_feed(&plain, "f16", NULL);
	memory_load(&plain, &halves, &stream, &loaded);
	memory_close(&file);
	memory_close(&halves);
	feed_close(&feed);
	feed_close(&same);
	feed_close(&smaller);
	feed_close(&plain);
	factors_free(&f);
	factors_free(&other);
}
END_TEST

/* Keys that turn by a difference of positions leave what their factors span: they can't move, but the newest tokens can go. */
START_TEST(test_tokens_leave_from_the_end_alone)
{
	static struct stream stream;
	struct feed feed;
	clkv_error error;
	open_feed(&feed, "lowrank ; window=20", NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	ck_assert_int_eq(clkv_seq_remove(stream.seq, 10, 40, feed.queue, &error),
	                 CLKV_ERROR_UNSUPPORTED);
	ck_assert_msg(strstr(error.text, "'lowrank'") != NULL, "%s", error.text);
	ck_assert_int_eq(clkv_seq_truncate(stream.seq, 100, &error), CLKV_OK);
	stream.n = 100;
	expect_rows(&feed, &stream, 2, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	stream_close(&stream);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lowrank");
	TCase *stored = fixture_case(suite, "stored", 60),
		  *attend = fixture_case(suite, "attention", 60);
	TCase *bytes = fixture_case(suite, "bytes", 30), *files = fixture_case(suite, "files", 60);
	tcase_add_loop_test(stored, test_rows_are_those_that_latents_stand_for, 0, 4);
	tcase_add_test(stored, test_what_is_lost_is_what_the_left_out_columns_hold);
	fixture_some(stored, test_codes_of_latents_are_those_of_rows, 5, 2, 3);
	tcase_add_loop_test(stored, test_latents_beyond_half_are_bounded, 0, 2);
	fixture_some(attend, test_folded_factors_attend_as_expanded_rows_do,
	             sizeof attended / sizeof attended[0], 0, 3);
	tcase_add_test(attend, test_full_rank_gives_what_half_gives);
	tcase_add_test(attend, test_what_fits_the_window_is_as_in_half);
	tcase_add_loop_test(bytes, test_bytes_are_those_of_the_formula, 0, 4);
	tcase_add_test(bytes, test_the_same_text_makes_the_same_bits);
	tcase_add_loop_test(files, test_what_does_not_go_together_is_refused, 0,
	                    (int)(sizeof refused / sizeof refused[0]));
	tcase_add_test(files, test_foreign_files_are_named);
	tcase_add_test(files, test_damage_is_noticed);
	tcase_add_test(files, test_entries_must_be_numbers_of_bounded_size);
	tcase_add_test(files, test_what_cannot_be_written_is_named);
	tcase_add_test(files, test_snapshots_know_their_factors);
	tcase_add_test(files, test_tokens_leave_from_the_end_alone);
	return fixture_run_shared(suite);
}
