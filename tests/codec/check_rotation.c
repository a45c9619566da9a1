/* SPDX-License-Identifier: MIT */
/** \file check_rotation.c \brief Rows turned by matrices of a file: which ones, back again, refused, and in snapshots. */
#include "base/little_endian.h"
#include "ref/ref_attend.h"
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WHOLE "q:k=16,v=16,rot=file ; window=20,sinks=2"
/* Behind the magic: words, the model, matrices; a checksum at the end. */
enum {
	WORDS_AT = 8,
	ROPE_AT = WORDS_AT + 20,
	MODEL_AT = WORDS_AT + 24,
	MATRICES_AT = MODEL_AT + 8
};
/* Of the geometry below; a head of V has other channels than one of K, so that neither side's matrix fits the other. */
enum { LAYERS = 2, HEADS = 2, DK = 64, DV = 80 };

static clkv_geometry geometry(void)
{
	return feed_geometry(LAYERS, 6, HEADS, DK, DV);
}

static clkv_cache_options room(const struct memory_file *file)
{
	clkv_cache_options o = feed_room(600, 2);
	o.rotation = file ? file->bytes : NULL;
	o.rotation_size = file ? file->n : 0;
	return o;
}

static void open_feed(struct feed *feed, const char *recipe, const struct memory_file *file)
{
	const clkv_cache_options o = room(file);
	*feed = (struct feed){.geometry = geometry(), .lse = true};
	feed_open(feed, fixture.context, fixture.queue, recipe, &o);
}

/* A prompt and three rows of generation; the result is those rows'. */
static void live(struct feed *feed, struct stream *stream, struct feed_result *result)
{
	stream_open(feed, stream);
	feed_one(feed, stream, 211, CLKV_PROMPT_END, 1, NULL);
	feed_one(feed, stream, 3, CLKV_DECODE, 2, result);
}

/* ---------------------------------------------------------------- what is stored ---- */

/* Sums of 64 and 16 products in another order: a turned value may become the next half, 2^-11 of it, so a logit is off by
 * at most 2^-11 of the sum of its terms' magnitudes, which here is below 16; most are off by far less. */
START_TEST(test_a_hadamard_matrix_in_a_file_is_that_of_the_recipe)
{
	static struct stream a, b;
	const clkv_geometry g = geometry();
	struct memory_file file = rotation_file(&g, ROTATION_HADAMARD, 0);
	struct feed given, known;
	struct feed_result of_file, of_recipe;
	open_feed(&given, WHOLE, &file);
	open_feed(&known, "q:k=16,v=16,rot=hadamard ; window=20,sinks=2", NULL);
	live(&given, &a, &of_file);
	live(&known, &b, &of_recipe);
	double off = expect_difference(&given, &of_file, &of_recipe);
	ck_assert_msg(off < 1e-3, "%g", off);
	feed_result_close(&of_file);
	feed_result_close(&of_recipe);
	feed_close(&given);
	feed_close(&known);
	memory_close(&file);
}
END_TEST

/* Turned rows are rounded to half instead of rows: the same error of the same norm, so what half promises holds. */
START_TEST(test_attention_is_that_of_the_rows_as_given)
{
	static struct stream stream;
	struct feed feed;
	open_feed(&feed, WHOLE, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 211, CLKV_PROMPT_END, 1, NULL);
	for (int rows = 1; rows < 20; rows += 16) {
		struct feed_result result;
		uint64_t numbers[FEED_TOKENS];
		feed_one(&feed, &stream, (size_t)rows, CLKV_DECODE, 2 + (uint64_t)rows, &result);
		memcpy(numbers, stream.row, sizeof numbers);
		for (int l = 0; l < LAYERS; l++) {
			double *k = calloc(stream.n * HEADS * DK, sizeof *k);
			double *v = calloc(stream.n * HEADS * DV, sizeof *v);
			double *out = calloc(result.out_row, sizeof *out);
			ck_assert(k && v && out);
			feed_rows(&feed, l, FEED_K, numbers, stream.n, k);
			feed_rows(&feed, l, FEED_V, numbers, stream.n, v);
			for (size_t r = 0; r < result.rows; r++) {
				size_t at = stream.n - result.rows + r;
				double lse[6];
				expect_reference(&feed, l, numbers[at], at, k, v, false, out, lse);
				const double *got = result.out + ((size_t)l * result.rows + r) * result.out_row;
				double off = ref_relative_error(got, out, result.out_row);
				ck_assert_msg(off < BOUND_ATTEND_HALF, "layer %d, row %zu: %g", l, r, off);
			}
			free(k);
			free(v);
			free(out);
		}
		feed_result_close(&result);
	}
	feed_close(&feed);
}
END_TEST

/* Where a snapshot's first record begins: behind the head, the recipe's text, the rotation's number, a checksum. */
static size_t first_record(const struct memory_file *file)
{
	return 48 + (size_t)file->bytes[12] + 256u * file->bytes[13] + 8 + 8;
}

static double half(const unsigned char *at)
{
	return ref_from_half((uint16_t)(at[0] | at[1] << 8));
}

/* x R, entry c. */
static double turned(const double *x, const float *r, size_t dim, size_t c)
{
	double sum = 0;
	for (size_t i = 0; i < dim; i++)
		sum += x[i] * (double)r[i * dim + c];
	return sum;
}

/* Rounding x and x R to half moves the latter by 2^-11 of |x| at most each, in each entry; f32 adds nothing to speak of. */
static void expect_turned(const double *x, const float *r, size_t dim, size_t c, double got)
{
	double norm = 0, want = turned(x, r, dim, c);
	for (size_t i = 0; i < dim; i++)
		norm += x[i] * x[i];
	ck_assert_msg(fabs(got - want) <= 2 * REF_HALF_EPS * sqrt(norm), "channel %zu: %g, not %g", c,
	              got, want);
}

/* n open tokens of one head, as a record holds them. */
static void expect_record(const struct feed *feed, const struct stream *stream, int layer,
                          size_t head, const unsigned char *record, const float *rk,
                          const float *rv)
{
	size_t from = clkv__get32(record + 12), n = clkv__get32(record + 16),
		   at = (size_t)layer * HEADS + head;
	double *k = calloc(n * HEADS * DK, sizeof *k), *v = calloc(n * HEADS * DV, sizeof *v);
	ck_assert(k && v);
	ck_assert_uint_eq(clkv__get32(record), 3);
	feed_rows(feed, layer, FEED_K, stream->row + from, n, k);
	feed_rows(feed, layer, FEED_V, stream->row + from, n, v);
	for (size_t t = 0; t < n; t++) {
		for (size_t c = 0; c < DK; c++)
			expect_turned(k + (t * HEADS + head) * DK, rk + at * DK * DK, DK, c,
			              half(record + 32 + 2 * (c * n + t)));
		for (size_t c = 0; c < DV; c++)
			expect_turned(v + (t * HEADS + head) * DV, rv + at * DV * DV, DV, c,
			              half(record + 32 + 2 * (n * DK + t * DV + c)));
	}
	free(k);
	free(v);
}

/* A wrong matrix that turns keys and queries alike would change no output: a file shows the rows as they are stored. */
START_TEST(test_each_layer_head_and_side_has_its_own_matrix)
{
	static struct stream stream;
	const clkv_geometry g = geometry();
	struct memory_file saved = {0};
	struct feed feed;
	float *k = rotation_matrices(&g, FEED_K, ROTATION_RANDOM, 1);
	float *v = rotation_matrices(&g, FEED_V, ROTATION_RANDOM, 1);
	open_feed(&feed, "q:k=8,v=8,rot=file ; window=64,skip=0", NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 40, CLKV_PROMPT_END, 1, NULL);
	memory_save(&feed, &stream, NULL, &saved);
	const unsigned char *record = saved.bytes + first_record(&saved);
	for (int l = 0; l < LAYERS; l++)
		for (size_t h = 0; h < HEADS; h++) {
			expect_record(&feed, &stream, l, h, record, k, v);
			record += 32 + clkv__get32(record + 24) + 8;
		}
	free(k);
	free(v);
	memory_close(&saved);
	feed_close(&feed);
}
END_TEST

/* Layers before skip stay as they are, and the others take no other layer's matrices for it. */
START_TEST(test_skipped_layers_are_not_turned)
{
	static struct stream stream;
	struct feed feed;
	open_feed(&feed, "q:k=8,v=8,rot=file ; window=20,skip=1", NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 90, CLKV_PROMPT_END, 1, NULL);
	double *k = calloc(90 * HEADS * DK, sizeof *k), *want = calloc(90 * HEADS * DK, sizeof *want);
	ck_assert(k && want);
	feed_read(&feed, &stream, 0, 0, 90, k, NULL);
	feed_rows(&feed, 0, FEED_K, stream.row, 90, want);
	for (size_t i = 0; i < 90 * HEADS * DK; i++)
		ck_assert_double_eq(k[i], ref_half(want[i]));
	expect_rows(&feed, &stream, 3, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	free(k);
	free(want);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- refused ---- */

static void expect_refusal(const struct memory_file *file, uint64_t model, const char *recipe,
                           clkv_status want, const char *text)
{
	clkv_cache_options o = room(file);
	clkv_geometry g = geometry();
	clkv_cache *cache = NULL;
	clkv_error error;
	uint64_t before = inject_device_bytes();
	g.rope.kind = CLKV_ROPE_HALVES;
	o.model = model;
	clkv_status status = clkv_cache_create(fixture.context, &g, recipe, &o, &cache, &error);
	ck_assert_msg(status == want, "%s: %s", clkv_status_string(status), error.text);
	ck_assert_ptr_null(cache);
	ck_assert_msg(strstr(error.text, text) != NULL, "no '%s' in: %s", text, error.text);
	ck_assert_uint_eq(inject_device_bytes(), before);
}

static void put_float(struct memory_file *file, size_t at, float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof bits);
	clkv__put32(file->bytes + at, bits);
}

START_TEST(test_foreign_files_are_named)
{
	static const struct {
		const char *text;
		uint32_t theirs;
	} words[] = {{"version is 2", 2},      {"layers is 3", 3},       {"kv_heads is 1", 1},
	             {"head_dim_k is 80", 80}, {"head_dim_v is 64", 64}, {"rope.kind is 2", 2}};
	const clkv_geometry g = geometry();
	struct memory_file file = rotation_file(&g, ROTATION_RANDOM, 1);
	for (size_t i = 0; i < 6; i++) {
		uint32_t ours = clkv__get32(file.bytes + WORDS_AT + 4 * i);
		clkv__put32(file.bytes + WORDS_AT + 4 * i, words[i].theirs);
		memory_sign(&file);
		expect_refusal(&file, 0, WHOLE, CLKV_ERROR_INVALID_ARGUMENT, words[i].text);
		clkv__put32(file.bytes + WORDS_AT + 4 * i, ours);
	}
	/* bytes in the other order, as another machine might have written them */
	clkv__put32(file.bytes + WORDS_AT, 0x01000000);
	expect_refusal(&file, 0, WHOLE, CLKV_ERROR_INVALID_ARGUMENT, "version is 16777216");
	clkv__put32(file.bytes + WORDS_AT, 1);
	memory_sign(&file);
	expect_refusal(&file, 7, WHOLE, CLKV_ERROR_INVALID_ARGUMENT, "0000000000000007");
	expect_refusal(&file, 0, "q:rot=hadamard", CLKV_ERROR_INVALID_ARGUMENT, "rot=file");
	expect_refusal(&file, 0, "kivi", CLKV_ERROR_INVALID_ARGUMENT, "rot=file");
	expect_refusal(NULL, 0, WHOLE, CLKV_ERROR_INVALID_ARGUMENT, "rotation is NULL");
	memory_close(&file);
}
END_TEST

START_TEST(test_damage_is_noticed)
{
	const clkv_geometry g = geometry();
	struct memory_file file = rotation_file(&g, ROTATION_RANDOM, 1);
	const size_t places[] = {0, 7, MATRICES_AT, MATRICES_AT + 4001, file.n - 1};
	const size_t sizes[] = {0, 8, MATRICES_AT, MATRICES_AT + 7, file.n - 1, file.n - 8};
	const size_t n = file.n;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		file.bytes[places[i]] ^= 1;
		expect_refusal(&file, 0, WHOLE, CLKV_ERROR_CORRUPT, i < 2 ? "begin" : "checksum");
		file.bytes[places[i]] ^= 1;
	}
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		file.n = sizes[i];
		expect_refusal(&file, 0, WHOLE, CLKV_ERROR_CORRUPT, "bytes");
	}
	file.n = n;
	memory_close(&file);
}
END_TEST

/* What a signed file may still lie about: the last matrix counts as the first does. */
START_TEST(test_matrices_must_be_orthogonal_numbers)
{
	const clkv_geometry g = geometry();
	struct memory_file file = rotation_file(&g, ROTATION_RANDOM, 1);
	const size_t last = file.n - 12, first = MATRICES_AT;
	const struct {
		size_t at;
		float value;
		const char *text;
	} lies[] = {{first, NAN, "finite"},
	            {last, INFINITY, "V, layer 1, KV head 1, has an entry that isn't finite"},
	            {first, 3e38f, "orthogonal"},
	            {last, 0.9f, "V, layer 1, KV head 1, isn't orthogonal"}};
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		uint32_t ours = clkv__get32(file.bytes + lies[i].at);
		put_float(&file, lies[i].at, lies[i].value);
		memory_sign(&file);
		expect_refusal(&file, 0, WHOLE, CLKV_ERROR_CORRUPT, lies[i].text);
		clkv__put32(file.bytes + lies[i].at, ours);
	}
	memory_close(&file);
}
END_TEST

/* A scale of 1 + e makes R R^T differ by 2 e: within the slack of 2^-16, and outside of it. */
START_TEST(test_how_far_from_orthogonal)
{
	const clkv_geometry g = geometry();
	float *k = rotation_matrices(&g, FEED_K, ROTATION_RANDOM, 1);
	float *v = rotation_matrices(&g, FEED_V, ROTATION_RANDOM, 1);
	struct memory_file file = {0};
	clkv_error error;
	for (size_t i = 0; i < DK * DK; i++)
		k[i] *= 1.0f + 0x1p-18f;
	ck_assert_int_eq(clkv_rotation_write(&g, 0, k, v, memory_write, &file, &error), CLKV_OK);
	for (size_t i = 0; i < DK * DK; i++)
		k[i] *= 1.0f + 0x1p-16f;
	size_t written = file.n;
	ck_assert_int_eq(clkv_rotation_write(&g, 0, k, v, memory_write, &file, &error),
	                 CLKV_ERROR_CORRUPT);
	ck_assert_msg(strstr(error.text, "K, layer 0, KV head 0, isn't orthogonal"), "%s", error.text);
	ck_assert_uint_eq(file.n, written);
	ck_assert_int_eq(clkv_rotation_write(&g, 0, k, NULL, memory_write, &file, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	free(k);
	free(v);
	memory_close(&file);
}
END_TEST

static size_t write_nothing(void *opaque, const void *data, size_t size)
{
	(void)opaque, (void)data;
	return size - 1;
}

START_TEST(test_a_file_that_cannot_be_written)
{
	const clkv_geometry g = geometry();
	float *k = rotation_matrices(&g, FEED_K, ROTATION_HADAMARD, 0);
	float *v = rotation_matrices(&g, FEED_V, ROTATION_HADAMARD, 0);
	clkv_error error;
	ck_assert_int_eq(clkv_rotation_write(&g, 0, k, v, write_nothing, NULL, &error), CLKV_ERROR_IO);
	free(k);
	free(v);
}
END_TEST

/* Whichever OpenCL call of its creation fails, a cache leaves nothing behind. Of a kernel that can't be made another tuning's
 * may take the place. */
START_TEST(test_a_creation_that_fails_leaves_nothing)
{
	const clkv_geometry g = geometry();
	struct memory_file file = rotation_file(&g, ROTATION_RANDOM, 1);
	const clkv_cache_options o = room(&file);
	uint64_t before = inject_device_bytes();
	int failed = 0;
	for (bool fired = true; fired; failed++) {
		clkv_cache *cache = NULL;
		clkv_error error;
		inject_cl_arm(failed);
		clkv_status status = clkv_cache_create(fixture.context, &g, WHOLE, &o, &cache, &error);
		fired = inject_cl_disarm();
		ck_assert(fired || status == CLKV_OK);
		ck_assert(status == CLKV_OK || cache == NULL);
		clkv_cache_destroy(cache);
		ck_assert_uint_eq(inject_device_bytes(), before);
	}
	ck_assert_int_gt(failed, 10);
	memory_close(&file);
}
END_TEST

/* ---------------------------------------------------------------- snapshots ---- */

static void expect_not_loaded(const char *recipe, const struct memory_file *rotation,
                              struct memory_file *saved, const char *text)
{
	struct feed feed;
	open_feed(&feed, recipe, rotation);
	memory_expect_refused(&feed, saved, text);
	feed_close(&feed);
}

START_TEST(test_files_belong_to_their_matrices)
{
	static struct stream stream;
	const clkv_geometry g = geometry();
	struct memory_file one = rotation_file(&g, ROTATION_RANDOM, 1);
	struct memory_file two = rotation_file(&g, ROTATION_RANDOM, 2), saved = {0};
	struct feed feed;
	struct feed_result result;
	open_feed(&feed, "q:rot=file ; window=20", &one);
	live(&feed, &stream, &result);
	memory_save(&feed, &stream, NULL, &saved);
	expect_not_loaded("q:rot=file ; window=20", &two, &saved, "allowed: the cache's");
	expect_not_loaded("q:rot=file ; window=20,block=32", &two, &saved, "allowed: the cache's");
	expect_not_loaded("q:rot=hadamard ; window=20", NULL, &saved, "allowed: a cache with rot=file");
	expect_not_loaded("f16", NULL, &saved, "allowed: a cache with rot=file");
	feed_result_close(&result);
	feed_close(&feed);
	memory_close(&saved);
	memory_close(&one);
	memory_close(&two);
}
END_TEST

/* Of another block size, from another first layer: decoded by the cache's own matrices and sealed anew. */
START_TEST(test_other_recipes_share_the_matrices)
{
	static struct stream stream, copy;
	static const char *const others[] = {"q:k=16,v=16,rot=file ; window=20,block=32",
	                                     "q:k=16,v=16,rot=file ; window=20,skip=1"};
	const clkv_geometry g = geometry();
	struct memory_file one = rotation_file(&g, ROTATION_RANDOM, 1), saved = {0};
	struct feed feed, other;
	struct feed_result a, b;
	open_feed(&feed, "q:k=16,v=16,rot=file ; window=20", &one);
	live(&feed, &stream, &a);
	feed_result_close(&a);
	memory_save(&feed, &stream, NULL, &saved);
	open_feed(&other, others[_i], &one);
	memory_load(&other, &saved, &stream, &copy);
	feed_one(&feed, &stream, 2, CLKV_DECODE, 3, &a);
	feed_one(&other, &copy, 2, CLKV_DECODE, 3, &b);
	double off = expect_difference(&feed, &a, &b);
	ck_assert_msg(off < 2 * BOUND_ATTEND_HALF, "%g", off);
	/* the other way: saved in the form of the first */
	memory_save(&other, &copy, "q:k=16,v=16,rot=file ; window=20", &saved);
	memory_load(&feed, &saved, &copy, &stream);
	feed_result_close(&a);
	feed_result_close(&b);
	feed_close(&other);
	feed_close(&feed);
	memory_close(&saved);
	memory_close(&one);
}
END_TEST

/* Nobody's matrices: a cache without some can't save in a form that needs them. */
START_TEST(test_no_matrices_to_save_by)
{
	static struct stream stream;
	struct memory_file saved = {0};
	struct feed feed;
	clkv_error error;
	open_feed(&feed, "kivi", NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 100, CLKV_PROMPT_END, 1, NULL);
	clkv_status status =
		clkv_seq_save(stream.seq, "q:rot=file", feed.queue, memory_write, &saved, &error);
	ck_assert_int_eq(status, CLKV_ERROR_UNSUPPORTED);
	ck_assert_msg(strstr(error.text, "rot=file") != NULL, "%s", error.text);
	feed_close(&feed);
	memory_close(&saved);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rotation");
	TCase *stored = fixture_case(suite, "stored", 120),
		  *refused = fixture_case(suite, "refused", 60);
	TCase *files = fixture_case(suite, "files", 120);
	tcase_add_test(stored, test_a_hadamard_matrix_in_a_file_is_that_of_the_recipe);
	tcase_add_test(stored, test_attention_is_that_of_the_rows_as_given);
	tcase_add_test(stored, test_each_layer_head_and_side_has_its_own_matrix);
	tcase_add_test(stored, test_skipped_layers_are_not_turned);
	tcase_add_test(refused, test_foreign_files_are_named);
	tcase_add_test(refused, test_damage_is_noticed);
	tcase_add_test(refused, test_matrices_must_be_orthogonal_numbers);
	tcase_add_test(refused, test_how_far_from_orthogonal);
	tcase_add_test(refused, test_a_file_that_cannot_be_written);
	tcase_add_test(refused, test_a_creation_that_fails_leaves_nothing);
	tcase_add_test(files, test_files_belong_to_their_matrices);
	tcase_add_loop_test(files, test_other_recipes_share_the_matrices, 0, 2);
	tcase_add_test(files, test_no_matrices_to_save_by);
	return fixture_run_shared(suite);
}
