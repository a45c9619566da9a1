/* SPDX-License-Identifier: MIT */
/** \file check_csr.c \brief Sums of atoms: what pursuit finds, attention, bytes, what is refused, files. */
#include "base/hash.h"
#include "codec/codec.h"
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/factors.h"
#include "support/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AROUND " ; window=0,sinks=0"
enum { LAYERS = 2, HEADS = 2, DK = 64, DV = 96, TOKENS = 150, MOST = TOKENS * HEADS * DV };

static clkv_geometry geometry(void)
{
	return feed_geometry(LAYERS, 6, HEADS, DK, DV);
}

static void open_feed(struct feed *feed, const char *recipe, const struct factors *f,
                      feed_value value)
{
	clkv_cache_options o = feed_room(600, 3);
	o.factors = f ? f->file.bytes : NULL;
	o.factors_size = f ? f->file.n : 0;
	*feed = (struct feed){.geometry = geometry(), .lse = true, .value = value};
	feed_open(feed, fixture.context, fixture.queue, recipe, &o);
}

/* What a prompt's rows of layer 1 were and became, [TOKENS][HEADS][dim]. */
struct rows {
	double given[2][MOST], read[2][MOST];
};

static void seal_rows(const char *recipe, const struct factors *f, feed_value value,
                      struct rows *rows)
{
	static struct stream stream;
	struct feed feed;
	open_feed(&feed, recipe, f, value);
	feed.append_only = true;
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, TOKENS);
	feed_rows(&feed, 1, FEED_K, stream.row, TOKENS, rows->given[0]);
	feed_rows(&feed, 1, FEED_V, stream.row, TOKENS, rows->given[1]);
	feed_read(&feed, &stream, 1, 0, TOKENS, rows->read[0], rows->read[1]);
	feed_close(&feed);
}

static double left_of(const struct rows *rows, size_t side, size_t at, size_t dim)
{
	double sum = 0;
	for (size_t c = 0; c < dim; c++) {
		double e = rows->read[side][at + c] - ref_half(rows->given[side][at + c]);
		sum += e * e;
	}
	return sqrt(sum);
}

/* ---------------------------------------------------------------- pursuit ---- */

/* Of one atom what is left is the row less its largest product: |x|^2 - max (x . d)^2, in magnitude. Further pairs leave less, as
 * long as something is left; atoms of other pairs are the same, so the first pair stays. */
START_TEST(test_residual_norm_never_increases)
{
	static const char *const recipes[] = {"csr:pairs=1,chunks_v=1" AROUND,
	                                      "csr:pairs=2,chunks_v=1" AROUND,
	                                      "csr:pairs=7,chunks_v=1" AROUND};
	static struct rows rows[3];
	struct factors f;
	const clkv_geometry g = geometry();
	dictionary_make(&f, &g, recipes[0], 3);
	for (int i = 0; i < 3; i++)
		seal_rows(recipes[i], &f, NULL, &rows[i]);
	for (size_t i = 0; i < 2 * TOKENS * HEADS; i++) {
		size_t side = i % 2, head = i / 2 % HEADS, dim = side ? DV : DK, at = i / 2 * dim;
		const float *up = (side ? f.v_up : f.k_up) + (HEADS + head) * 256 * dim;
		double norm = 0, most = 0;
		for (size_t c = 0; c < dim; c++)
			norm += pow(ref_half(rows[0].given[side][at + c]), 2);
		for (size_t n = 0; n < 256; n++) {
			double x = 0;
			for (size_t c = 0; c < dim; c++)
				x += ref_half(rows[0].given[side][at + c]) * (double)up[n * dim + c];
			most = fabs(x) > most ? fabs(x) : most;
		}
		double one = left_of(&rows[0], side, at, dim), two = left_of(&rows[1], side, at, dim),
			   seven = left_of(&rows[2], side, at, dim);
		/* the coefficient's rounding is at a right angle to the rest; products within 2^-17 of the norm */
		EACH_MSG(fabs(one - sqrt(norm - most * most)) <= 0x1p-10 * sqrt(norm),
		         "row %zu: %g left, not %g", i, one, sqrt(norm - most * most));
		EACH_MSG(two < one && seven < two, "row %zu: %g, %g, %g", i, one, two, seven);
	}
	factors_free(&f);
}
END_TEST

/* At most 4 channels, of either sign, others for each row; of V two in each half. */
static double sparse_value(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	(void)layer;
	size_t dim = side == FEED_V ? DV : DK, quarter = dim / 4;
	size_t one = (row * 7 + head * 3 + d / quarter * 5) % quarter;
	return d % quarter == one ? (d / quarter % 2 ? -1.0 : 2.5) + 0.01 * (double)(row % 50) : 0;
}

/* As atoms are the channels, a coefficient is a half that half holds. */
START_TEST(test_sparse_rows_over_orthonormal_atoms_come_back_exactly)
{
	static const char *const recipes[] = {"csr:pairs=4,chunks_v=1,atoms=64" AROUND,
	                                      "csr:pairs=5,chunks_v=1,atoms=64" AROUND};
	static struct rows rows;
	struct factors f;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_PART, DK, DK, 0);
	seal_rows(recipes[_i], &f, sparse_value, &rows);
	for (size_t i = 0; i < TOKENS * HEADS * DK; i++)
		EACH_MSG(rows.read[0][i] == ref_half(rows.given[0][i]), "%g, not %g", rows.read[0][i],
		         ref_half(rows.given[0][i]));
	/* channels of V from 64 on are no atoms: those up to there come back */
	for (size_t i = 0; i < TOKENS * HEADS * DV; i++)
		EACH_MSG(rows.read[1][i] == (i % DV < DK ? ref_half(rows.given[1][i]) : 0), "%g, not %g",
		         rows.read[1][i], ref_half(rows.given[1][i]));
	factors_free(&f);
}
END_TEST

/* All channels as 64 pairs over orthonormal atoms: each coefficient is off by its rounding to half. */
START_TEST(test_all_orthonormal_atoms_give_the_row)
{
	static struct rows rows;
	struct factors f;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_ORTHOGONAL, DK, DK, 4);
	seal_rows("csr:k=64,v=16,chunks_v=1,atoms=64" AROUND, &f, NULL, &rows);
	for (size_t i = 0; i < TOKENS * HEADS; i++) {
		double norm = 0;
		for (size_t c = 0; c < DK; c++)
			norm += pow(rows.given[0][i * DK + c], 2);
		EACH_MSG(left_of(&rows, 0, i * DK, DK) <= REF_HALF_EPS * sqrt(norm), "row %zu: %g of %g", i,
		         left_of(&rows, 0, i * DK, DK), sqrt(norm));
	}
	factors_free(&f);
}
END_TEST

/* Replaces a file's contents by what the arrays say. */
static void write_again(struct factors *f)
{
	const clkv_geometry g = geometry();
	clkv_factors given = CLKV_INIT(clkv_factors);
	clkv_error error;
	memory_close(&f->file);
	f->file = (struct memory_file){0};
	given.rank_k = (int)f->rank_k, given.rank_v = (int)f->rank_v;
	given.k_down = f->k_down, given.k_up = f->k_up;
	given.v_down = f->v_down, given.v_up = f->v_up;
	ck_assert_int_eq(clkv_factors_write(&g, 0, &given, memory_write, &f->file, &error), CLKV_OK);
}

static double two_channels(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	(void)layer, (void)side, (void)head;
	return d == 0 ? 3.0 : d == 1 ? 2.0 + 0.125 * (double)(row % 5) : 0;
}

/* Atoms of K: channel 0, and channel 0 with each of the others. Pursuit goes to and fro between two of them, and halves what is left
 * with two pairs each: of 8 pairs all but 2^-4 is there, if an atom's coefficients add up. */
START_TEST(test_an_atom_that_comes_again_accumulates)
{
	static struct rows rows;
	struct factors f;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_PART, 16, 16, 0);
	for (size_t h = 0; h < f.heads; h++)
		for (size_t n = 1; n < 16; n++) {
			float *up = f.k_up + (h * 16 + n) * DK, *down = f.k_down + h * DK * 16;
			up[0] = up[n] = down[n] = down[n * 16 + n] = sqrtf(0.5f);
		}
	write_again(&f);
	seal_rows("csr:atoms=16,pairs=8,chunks_v=1" AROUND, &f, two_channels, &rows);
	for (size_t i = 0; i < TOKENS * HEADS; i++)
		EACH_MSG(left_of(&rows, 0, i * DK, DK) < 0x1p-3, "%g", left_of(&rows, 0, i * DK, DK));
	factors_free(&f);
}
END_TEST

static double large_value(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	(void)layer, (void)side, (void)head;
	return d == row % 16 ? 30000 : 0;
}

/* 120,000 of an atom is more than a half holds: two pairs of it, 65,504 and the rest. */
START_TEST(test_coefficients_beyond_half_are_shared)
{
	static struct rows rows;
	struct factors f;
	const clkv_geometry g = geometry();
	factors_make(&f, &g, FACTORS_PART, 16, 16, 0);
	for (size_t i = 0; i < f.heads * 16 * DK; i++)
		f.k_down[i] *= 4, f.k_up[i] /= 4;
	write_again(&f);
	seal_rows("csr:atoms=16,pairs=2,chunks_v=1" AROUND, &f, large_value, &rows);
	for (size_t i = 0; i < TOKENS * HEADS * DK; i++)
		EACH_MSG(rows.read[0][i] == ref_half(rows.given[0][i]), "%g", rows.read[0][i]);
	factors_free(&f);
}
END_TEST

static const float *sign_atoms;

/* The atoms of the head themselves, turned over. */
static double minus_atom(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	if (side != FEED_K)
		return 0;
	return -(double)sign_atoms[(((size_t)layer * HEADS + head) * 256 + row % 256) * DK + d];
}

/* One pair is enough for -d_n: coefficient -1, but for the row's rounding to half; of 8 bits but for that of the scale too. */
START_TEST(test_a_turned_atom_is_one_pair)
{
	static const char *const recipes[] = {"csr:pairs=1,chunks_v=1" AROUND,
	                                      "csr:pairs=1,chunks_v=1,bits=8" AROUND};
	static struct rows rows;
	struct factors f;
	const clkv_geometry g = geometry();
	dictionary_make(&f, &g, recipes[0], 5);
	sign_atoms = f.k_up;
	seal_rows(recipes[_i], &f, minus_atom, &rows);
	for (size_t i = 0; i < TOKENS * HEADS; i++)
		EACH_MSG(left_of(&rows, 0, i * DK, DK) <= 3 * REF_HALF_EPS, "%g",
		         left_of(&rows, 0, i * DK, DK));
	factors_free(&f);
}
END_TEST

/* Chunks are coded as rows of their own: with the dictionary of the whole cut in two, none sees the other's channels. */
static double one_half(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return side == FEED_V && d < DV / 2 ? 0 : feed_normal(row, layer, side, head, d);
}

START_TEST(test_chunks_have_pairs_of_their_own)
{
	static struct rows rows, halves;
	struct factors f;
	const clkv_geometry g = geometry();
	const char *recipe = "csr:pairs=8,chunks_v=2" AROUND;
	dictionary_make(&f, &g, recipe, 6);
	seal_rows(recipe, &f, NULL, &rows);
	seal_rows(recipe, &f, one_half, &halves);
	for (size_t i = 0; i < TOKENS * HEADS * DV; i++)
		EACH_MSG(halves.read[1][i] == (i % DV < DV / 2 ? 0 : rows.read[1][i]), "%zu", i);
	factors_free(&f);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

static const char *const attended[] = {
	"csr ; window=40,sinks=3",
	"csr:atoms=320,k=5,v=6,bits=8 ; window=40,skip=1",
	"csr:atoms=32,pairs=4,chunks_k=2,chunks_v=1 ; window=40,block=32",
};

/* Look-ups of products, and weights added up by atom, give what rows made whole give, in generation and in prompts. */
START_TEST(test_look_ups_attend_as_rows_do)
{
	struct feed feed;
	open_feed(&feed, attended[_i], NULL, NULL);
	expect_attends_as_read(&feed);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- bits and bytes ---- */

/* A pair of a row is an atom of 1 byte, with more than 256 of 2, and a coefficient of 1 or 2; those of 1 have a scale of 2 bytes for
 * each chunk. With 2 and 2 these are the 32 bits of arXiv 2412.11741. */
START_TEST(test_bytes_are_those_of_the_formula)
{
	static const struct {
		const char *recipe;
		size_t bytes; /* of a token */
	} formulas[] = {
		{"csr:atoms=320" AROUND, 8 * 4 + 8 * 4},
		{"csr" AROUND, 8 * 3 + 8 * 3},
		{"csr:atoms=320,k=5,v=6,bits=8" AROUND, 5 * 3 + 2 + 6 * 3 + 2 * 2},
		{"csr:k=4,bits=8,v=12,chunks_v=1" AROUND, 4 * 2 + 2 + 12 * 2 + 2},
	};
	static struct stream stream;
	struct feed feed;
	open_feed(&feed, formulas[_i].recipe, NULL, NULL);
	feed.append_only = true;
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, TOKENS, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(feed_stats(&feed).used_sealed, 3 * LAYERS * HEADS * 64 * formulas[_i].bytes);
	/* a dictionary in f32, what rows are multiplied with and what they are made of */
	const clkv_geometry g = geometry();
	const clkv_cache_options o = feed_room(600, 3);
	ck_assert_uint_eq(feed_required(fixture.context, &g, formulas[_i].recipe, &o).rotation,
	                  LAYERS * HEADS * 8u * (_i % 2 ? 256 : 320) * (DK + DV));
	feed_close(&feed);
}
END_TEST

START_TEST(test_the_same_text_makes_the_same_bits)
{
	struct feed feed;
	open_feed(&feed, "csr:atoms=32,pairs=4 ; window=20", NULL, NULL);
	memory_expect_same_pieces(&feed);
	feed_close(&feed);
}
END_TEST

/* Numbers of atoms in a page from outside, and what half holds that is no number. */
START_TEST(test_pages_name_atoms_that_exist)
{
	static const struct {
		int atoms, bits;
	} kinds[] = {{48, 16}, {256, 8}, {272, 16}, {4096, 8}};
	static unsigned char bytes[1 << 14];
	union clkv__codec_spec spec = {.sparse = {.k = {4, 1}, .v = {6, 2}}};
	struct clkv__codec_layout layout = {0};
	clkv_error error;
	spec.sparse.atoms = kinds[_i].atoms, spec.sparse.bits = kinds[_i].bits;
	ck_assert_int_eq(clkv__codec_sparse.layout(&spec, NULL, (struct clkv__kept){64, 64, 64}, 32,
	                                           &layout, &error),
	                 CLKV_OK);
	const struct clkv__codec_page page = {
		.spec = &spec, .layout = &layout, .block = 32, .count = 32, .bytes = layout.units * 64};
	const size_t wide = kinds[_i].atoms > 256 ? 2 : 1;
	const size_t ends[] = {wide * 4 * 32, layout.v_params + wide * 6 * 32};
	memset(bytes, 0, sizeof bytes);
	for (int side = 0; side < 2; side++) {
		unsigned char *last = bytes + ends[side] - wide;
		for (int over = 0; over < 2 && !(wide == 1 && kinds[_i].atoms == 256 && over); over++) {
			int atom = kinds[_i].atoms - 1 + over;
			last[0] = (unsigned char)atom;
			if (wide == 2)
				last[1] = (unsigned char)(atom >> 8);
			const char *wrong = clkv__codec_sparse.check(&page, bytes, NULL);
			ck_assert_msg(over ? wrong && strstr(wrong, "atom") : !wrong, "%d: %s", atom, wrong);
		}
		memset(last, 0, wide);
		/* coefficients of V end where the block does, but for what fills it up; scales stand behind those of 8 bits */
		unsigned char *half =
			bytes + (side ? layout.v_params : 0) +
			(kinds[_i].bits == 8 ? (wide + 1) * (side ? 6 : 4) * 32 : wide * (side ? 6 : 4) * 32);
		half[1] = 0x7c;
		const char *wrong = clkv__codec_sparse.check(&page, bytes, NULL);
		ck_assert_msg(wrong && strstr(wrong, "finite"), "%s", wrong);
		half[1] = 0;
	}
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

static const struct {
	const char *recipe, *word;
} refused[] = {
	{"h2o:budget=64 | csr", "'h2o'"},
	{"think:keep=0.5 | csr", "prunes"},
	{"spark:keep=0.5 | csr", "prunes"},
	{"csr | clusterkv", "csr"},
	{"csr | topk:recall=64", "csr"},
	{"lowrank | csr", "atoms"},
	{"csr:atoms=24", "multiples of 16"},
	{"csr:atoms=8192", "atoms"},
	{"csr:atoms=8", "atoms"},
	{"csr:pairs=0", "pairs"},
	{"csr:pairs=65", "pairs"},
	{"csr:v=7", "7 pairs of V"},
	{"csr:chunks_k=3", "chunks_k"},
	{"csr:chunks_v=4", "4 chunks of V"},
	{"csr:bits=4", "bits"},
};

START_TEST(test_what_does_not_go_together_is_refused)
{
	const clkv_geometry g = geometry();
	expect_refused(fixture.context, &g, refused[_i].recipe, &refused[_i].word, 1);
}
END_TEST

/* Products with 16,384 atoms of K's chunks and 8,192 of V's take 96 KiB for a query; a tile on a CPU gets 64. */
START_TEST(test_tables_beyond_local_memory_are_refused)
{
	const clkv_geometry g = geometry();
	clkv_error error;
	ck_assert_int_eq(clkv_recipe_check(fixture.context, &g, "csr:atoms=4096,chunks_k=4", &error),
	                 CLKV_ERROR_UNSUPPORTED);
	ck_assert_msg(strstr(error.text, "fewer atoms or chunks") != NULL, "%s", error.text);
}
END_TEST

static void expect_no_cache(const char *recipe, const struct memory_file *file, uint64_t model,
                            clkv_status want, const char *text)
{
	const clkv_geometry g = geometry();
	factors_expect_no_cache(&g, recipe, file, model, want, text);
}

/* Dictionaries are of factors, so what is checked of these is (check_lowrank.c); here what makes factors a dictionary. */
START_TEST(test_foreign_dictionaries_are_named)
{
	struct factors f, latents;
	const clkv_geometry g = geometry();
	dictionary_make(&f, &g, "csr:atoms=96,chunks_v=2", 1);
	factors_make(&latents, &g, FACTORS_SCALED, DK, DV, 1);
	expect_no_cache("csr", NULL, 0, CLKV_ERROR_INVALID_ARGUMENT, "factors is NULL");
	expect_no_cache("csr:atoms=112", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                "rank_k is 96, and the recipe's is 112");
	expect_no_cache("csr:atoms=96", &f.file, 7, CLKV_ERROR_INVALID_ARGUMENT, "0000000000000007");
	expect_no_cache(
		"csr:atoms=96,chunks_v=1", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
		"1 chunks of V: layer 0, KV head 0, chunk 0, column and row 0 have the product 2");
	expect_no_cache("csr:atoms=96,chunks_k=2", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT,
	                "2 chunks of K");
	expect_no_cache("layers=0: csr:atoms=96 ; 1-: csr:atoms=32,chunks_k=4", &f.file, 0,
	                CLKV_ERROR_INVALID_ARGUMENT, "4 chunks of K");
	expect_no_cache("layers=0: csr:atoms=96 ; 1-: lowrank:k=16,v=16", &f.file, 0,
	                CLKV_ERROR_INVALID_ARGUMENT, "rank_k is 96, which makes it a dictionary");
	expect_no_cache("lowrank:k=16,v=16", &f.file, 0, CLKV_ERROR_INVALID_ARGUMENT, "dictionary");
	expect_no_cache("csr:atoms=64", &latents.file, 0, CLKV_ERROR_INVALID_ARGUMENT, "2 chunks of V");
	f.file.bytes[f.file.n / 2] ^= 1;
	expect_no_cache("csr:atoms=96", &f.file, 0, CLKV_ERROR_CORRUPT, "checksum");
	/* factors of latents whose products are 1 are atoms too */
	struct feed feed;
	open_feed(&feed, "csr:atoms=64,chunks_v=1", &latents, NULL);
	feed_close(&feed);
	factors_free(&f);
	factors_free(&latents);
}
END_TEST

/* Pages go as they are to a cache with the same dictionary, rows to one of another recipe. */
START_TEST(test_snapshots_know_their_dictionary)
{
	static struct stream stream, loaded;
	const char *recipe = "csr:atoms=32,pairs=4 ; window=20";
	struct factors f, other;
	struct memory_file file = {0}, halves = {0};
	struct feed feed, same, foreign, plain;
	const clkv_geometry g = geometry();
	dictionary_make(&f, &g, recipe, 1);
	dictionary_make(&other, &g, recipe, 2);
	open_feed(&feed, recipe, &f, NULL);
	open_feed(&same, recipe, &f, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	memory_save(&feed, &stream, NULL, &file);
	memory_load(&same, &file, &stream, &loaded);
	expect_same_cache(&feed, &stream, &loaded);
	expect_rows(&same, &loaded, 3, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	open_feed(&foreign, recipe, &other, NULL);
	memory_expect_refused(&foreign, &file, "factors file");
	open_feed(&plain, "f16", NULL, NULL);
	memory_expect_refused(&plain, &file, "csr");
	memory_save(&feed, &stream, "f16", &halves);
	memory_load(&plain, &halves, &stream, &loaded);
	memory_close(&file);
	memory_close(&halves);
	feed_close(&feed);
	feed_close(&same);
	feed_close(&foreign);
	feed_close(&plain);
	factors_free(&f);
	factors_free(&other);
}
END_TEST

/* Forks share blocks, cuts leave them, and what goes from the middle is coded anew. */
START_TEST(test_forks_cuts_and_removals)
{
	static struct stream stream, fork;
	struct feed feed;
	clkv_error error;
	open_feed(&feed, "csr:atoms=32,pairs=4 ; window=20", NULL, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	fork = stream;
	ck_assert_int_eq(clkv_seq_fork(stream.seq, &fork.seq, &error), CLKV_OK);
	ck_assert_int_eq(clkv_seq_truncate(stream.seq, 100, &error), CLKV_OK);
	stream.n = 100;
	expect_rows(&feed, &stream, 2, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &fork, 2, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
	ck_assert_int_eq(clkv_seq_remove(fork.seq, 10, 40, feed.queue, &error), CLKV_OK);
	stream_close(&stream);
	stream_close(&fork);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("csr");
	TCase *pursuit = fixture_case(suite, "pursuit", 60),
		  *attend = fixture_case(suite, "attention", 60);
	TCase *bytes = fixture_case(suite, "bytes", 30), *files = fixture_case(suite, "files", 60);
	tcase_add_test(pursuit, test_residual_norm_never_increases);
	tcase_add_loop_test(pursuit, test_sparse_rows_over_orthonormal_atoms_come_back_exactly, 0, 2);
	tcase_add_test(pursuit, test_all_orthonormal_atoms_give_the_row);
	tcase_add_test(pursuit, test_an_atom_that_comes_again_accumulates);
	tcase_add_test(pursuit, test_coefficients_beyond_half_are_shared);
	tcase_add_loop_test(pursuit, test_a_turned_atom_is_one_pair, 0, 2);
	tcase_add_test(pursuit, test_chunks_have_pairs_of_their_own);
	fixture_some(attend, test_look_ups_attend_as_rows_do, sizeof attended / sizeof attended[0], 0,
	             2);
	tcase_add_loop_test(bytes, test_bytes_are_those_of_the_formula, 0, 4);
	tcase_add_test(bytes, test_the_same_text_makes_the_same_bits);
	fixture_some(files, test_pages_name_atoms_that_exist, 4, 0, 3);
	tcase_add_loop_test(files, test_what_does_not_go_together_is_refused, 0,
	                    (int)(sizeof refused / sizeof refused[0]));
	tcase_add_test(files, test_tables_beyond_local_memory_are_refused);
	tcase_add_test(files, test_foreign_dictionaries_are_named);
	tcase_add_test(files, test_snapshots_know_their_dictionary);
	tcase_add_test(files, test_forks_cuts_and_removals);
	return fixture_run_shared(suite);
}
