/* SPDX-License-Identifier: MIT */
/** \file check_bands_file.c \brief Files and matrices of caches with recipes by layer, and files that contradict themselves. */
#include "cache/bands.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/memory_file.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* The same recipe takes pages as they are; others decode them. */
START_TEST(test_files_from_and_to_every_cache)
{
	static const char *const recipes[] = {MIXED,
	                                      "layers=0-1: f16 ; 2-: kivi:bits=4 ; window=40,sinks=3",
	                                      "f16", "kivi:bits=4 ; window=40,sinks=3"};
	static struct stream from, to, again;
	struct feed a, b;
	struct memory_file file = {.chunk = 777}, second = {0};
	open_one(&a, recipes[_i % 4]);
	open_one(&b, recipes[_i / 4]);
	stream_open(&a, &from);
	feed_one(&a, &from, 300, CLKV_PROMPT_END, 1, NULL);
	feed_one(&a, &from, 70, CLKV_DECODE, 2, NULL);
	memory_save(&a, &from, NULL, &file);
	memory_load(&b, &file, &from, &to);
	ck_assert_uint_eq(file.at, file.n);
	ck_assert_uint_eq(stream_info(&to).length, from.n);
	if (_i % 4 == _i / 4) { /* the same bits, and the same file */
		memory_save(&b, &to, NULL, &second);
		ck_assert_uint_eq(second.n, file.n);
		ck_assert_int_eq(memcmp(second.bytes, file.bytes, file.n), 0);
		feed_one(&a, &from, 66, CLKV_DECODE, 3, NULL);
		feed_one(&b, &to, 66, CLKV_DECODE, 3, NULL);
		expect_same_cache(&a, &from, &to);
	}
	/* saved as the other's recipe is what the other has loaded */
	memory_save(&a, &from, recipes[_i / 4], &second);
	memory_load(&b, &second, &from, &again);
	ck_assert_uint_eq(stream_info(&again).length, from.n);
	feed_one(&b, &again, 3, CLKV_DECODE, 4, NULL);
	memory_close(&file);
	memory_close(&second);
	feed_close(&a);
	feed_close(&b);
}
END_TEST

/* ---------------------------------------------------------------- matrices of a file ---- */

#define TURNED "q:k=16,v=16,rot=file ; window=20,sinks=2,skip=0"

static void turned_rows(struct feed *feed, const char *recipe, struct stream *stream,
                        struct feed_result *result)
{
	*feed = (struct feed){.geometry = feed_usual(LAYERS), .lse = true};
	feed_open(feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(feed, stream);
	feed_one(feed, stream, 190, CLKV_PROMPT_END, 1, NULL);
	feed_one(feed, stream, 3, CLKV_DECODE, 2, result);
}

/* Rows of both caches are within roundings of what they were fed, which is below 8: three to half, each off by 2^-9 at
 * most, those of turned rows by 8 of these. Rows turned by a wrong matrix are off by what they are. */
static void expect_near_rows(const struct feed *a, const struct stream *s, const struct feed *b,
                             const struct stream *t)
{
	size_t values = s->n * 2 * 64;
	double *x = calloc(2 * values, sizeof *x), *y = calloc(2 * values, sizeof *y);
	ck_assert(x && y);
	for (int l = 0; l < LAYERS; l++) {
		feed_read(a, s, l, 0, s->n, x, x + values);
		feed_read(b, t, l, 0, s->n, y, y + values);
		for (size_t i = 0; i < 2 * values; i++)
			EACH_MSG(x[i] - y[i] < 0.05 && y[i] - x[i] < 0.05, "layer %d: %g, not %g", l, y[i],
			         x[i]);
	}
	free(x);
	free(y);
}

/* Layers have the matrices that a cache of one recipe has for them, in whichever band; so have caches that files go
 * through on their way to another recipe. */
START_TEST(test_bands_have_their_layers_matrices)
{
	static const char *const recipes[] = {"layers=0,2: " TURNED " ; 1,3: f16",
	                                      "layers=0,2: f16 ; 1,3: " TURNED,
	                                      "layers=0,3: " TURNED " ; 1,2: q:k=16,v=16,rot=file ; "
	                                      "window=20,sinks=2,skip=0,block=32"};
	static const bool turned[][LAYERS] = {{1, 0, 1, 0}, {0, 1, 0, 1}, {1, 0, 0, 1}};
	static struct stream s, t, loaded;
	struct memory_file file = {0};
	struct feed_result x, y;
	struct feed a, b;
	turned_rows(&a, recipes[_i], &s, &x);
	turned_rows(&b, TURNED, &t, &y);
	for (size_t l = 0, n = x.rows * x.out_row; l < LAYERS; l++)
		EACH_MSG(!turned[_i][l] || memcmp(x.out + l * n, y.out + l * n, n * sizeof *x.out) == 0,
		         "layer %zu", l);
	memory_save(&a, &s, NULL, &file);
	memory_load(&b, &file, &s, &loaded);
	expect_near_rows(&a, &s, &b, &loaded);
	if (_i == 2) {
		memory_save(&b, &t, NULL, &file);
		memory_load(&a, &file, &t, &loaded);
		expect_near_rows(&b, &t, &a, &loaded);
	}
	ck_assert_uint_eq(feed_stats(&a).allocated.rotation,
	                  (_i == 2 ? 4u : 2u) * 2 * 2 * 64 * 64 * sizeof(float));
	feed_result_close(&x);
	feed_result_close(&y);
	memory_close(&file);
	feed_close(&a);
	feed_close(&b);
}
END_TEST

static void expect_no_cache(const char *recipe, const clkv_cache_options *o, const char *part)
{
	clkv_geometry g = feed_usual(LAYERS);
	clkv_cache *cache = NULL;
	clkv_error error;
	ck_assert_int_eq(clkv_cache_create(fixture.context, &g, recipe, o, &cache, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error.text, part) != NULL, "'%s' lacks '%s'", error.text, part);
}

START_TEST(test_matrices_that_bands_lack)
{
	static struct stream s;
	struct memory_file file = {0};
	struct feed a, b = {.geometry = feed_usual(LAYERS)};
	struct feed_result x;
	clkv_cache_options o = feed_room(600, 2);
	clkv_seq *none = NULL;
	clkv_error error;
	expect_no_cache("layers=0: f16 ; 1-: " TURNED, &o, "rotation is NULL");
	o.rotation = &o;
	o.rotation_size = sizeof o;
	expect_no_cache("layers=0: f16 ; 1-: kivi", &o, "rotation is given");
	/* layer 2 was turned, and the cache has no matrix for it */
	turned_rows(&a, "layers=0,2: " TURNED " ; 1,3: f16", &s, &x);
	feed_open(&b, fixture.context, fixture.queue, "layers=0,1: " TURNED " ; 2,3: f16", NULL);
	memory_save(&a, &s, NULL, &file);
	ck_assert_int_eq(clkv_seq_load(b.cache, b.queue, memory_read, &file, &none, &error),
	                 CLKV_ERROR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(error.text, "turned by the rotation file"));
	ck_assert_int_eq(
		clkv_seq_save(s.seq, "layers=0: f16 ; 1-: " TURNED, a.queue, memory_write, &file, &error),
		CLKV_ERROR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(error.text, "has none of layer 1"));
	feed_result_close(&x);
	memory_close(&file);
	feed_close(&a);
	feed_close(&b);
}
END_TEST

/* FNV-1a, as doc/file-format.md says. */
static uint64_t hash(uint64_t h, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ bytes[i]) * 1099511628211u;
	return h;
}

static uint32_t word(const unsigned char *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t seal_part(unsigned char *bytes, size_t at, size_t n, uint64_t h)
{
	h = hash(h, bytes + at, n);
	for (int i = 0; i < 8; i++)
		bytes[at + n + (size_t)i] = (unsigned char)(h >> 8 * i);
	return h;
}

/* Right checksums behind the headers. Returns where the records begin; ends gets where each header begins. */
static size_t seal_heads(unsigned char *bytes, size_t heads, size_t *begin)
{
	uint64_t h = 14695981039346656037u;
	size_t at = 0;
	for (size_t i = 0; i < heads; i++) {
		size_t n = 8 + 40 + word(bytes + at + 12);
		begin[i] = at;
		h = seal_part(bytes, at, n, h);
		at += n + 8;
	}
	return at;
}

/* Whatever the headers say, with right checksums: it's refused, and the cache holds what it held. */
START_TEST(test_headers_that_contradict_each_other)
{
	static struct stream from;
	struct feed feed;
	struct memory_file file = {0};
	size_t begin[3];
	open_one(&feed, MIXED);
	stream_open(&feed, &from);
	feed_one(&feed, &from, 300, CLKV_PROMPT_END, 1, NULL);
	memory_save(&feed, &from, NULL, &file);
	(void)seal_heads(file.bytes, 3, begin);
	unsigned char *copy = malloc(file.n);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, file.bytes, file.n);
	for (size_t head = 0; head < 3; head++)
		for (size_t w = 0; w < 10; w++)
			for (int bit = 0; bit < 2; bit++) {
				unsigned char *at = file.bytes + begin[head] + 8 + 4 * w;
				if (w == 1) /* the recipe's length: checksums can't be made right by it */
					continue;
				*at = (unsigned char)(*at ^ (bit ? 128 : 1));
				(void)seal_heads(file.bytes, 3, begin);
				clkv_status status = memory_refused(&feed, &file, NULL);
				ck_assert_msg(status == CLKV_ERROR_CORRUPT || status == CLKV_ERROR_UNSUPPORTED ||
				                  status == CLKV_ERROR_POOL_FULL,
				              "header %zu, word %zu: %s", head, w, clkv_status_string(status));
				memcpy(file.bytes, copy, file.n);
			}
	/* bands in another order than the recipe's */
	unsigned char *recipe = file.bytes + begin[0] + 48;
	memcpy(recipe, "layers=1,3", 10);
	char *second = strstr((char *)recipe, "; 1,3:");
	ck_assert_ptr_nonnull(second);
	memcpy(second, "; 0,2:", 6);
	(void)seal_heads(file.bytes, 3, begin);
	ck_assert_int_ne(memory_refused(&feed, &file, NULL), CLKV_OK);
	memcpy(file.bytes, copy, file.n);
	/* every end of the file is an early one */
	for (size_t n = 0; n < file.n; n += n < 1200 ? 7 : 997) {
		struct memory_file cut = {.bytes = file.bytes, .n = n};
		ck_assert_int_eq(memory_refused(&feed, &cut, NULL), CLKV_ERROR_CORRUPT);
	}
	free(copy);
	memory_close(&file);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bands file");
	TCase *files = fixture_case(suite, "files", 20);
	tcase_add_loop_test(files, test_files_from_and_to_every_cache, 0, 16);
	tcase_add_loop_test(files, test_bands_have_their_layers_matrices, 0, 3);
	tcase_add_test(files, test_matrices_that_bands_lack);
	tcase_add_test(files, test_headers_that_contradict_each_other);
	return fixture_run(suite);
}
