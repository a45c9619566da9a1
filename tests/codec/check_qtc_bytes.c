/* SPDX-License-Identifier: MIT */
/** \file check_qtc_bytes.c \brief Codes in steps of a calibration: bytes, room, files, what is refused. */
#include "support/calibration.h"
#include "support/expect.h"
#include "support/fixture.h"

#include <math.h>
#include <string.h>

#define AROUND " ; window=0,sinks=0"
#define PACK "qtc:entropy=pack"

/* ---------------------------------------------------------------- bits and bytes ---- */

/* P8: however a prompt comes, and in a fork. */
START_TEST(test_the_same_text_makes_the_same_bits)
{
	struct feed feed = {.geometry = feed_usual(2)};
	feed_open(&feed, fixture.context, fixture.queue, _i ? PACK : "qtc", NULL);
	memory_expect_same_pieces(&feed);
	feed_close(&feed);
}
END_TEST

/* P7: what the pool has room for with room=2 more than with room=1 is what a text like the calibration's takes, but that
 * dictionaries know what they take of a sample, to 9 %, or planes are reckoned by a line that is off by up to 17 % (doc/qtc.md), and that
 * pages are multiples of 64 bytes, half of which is 4 % of these. It holds a block a stream more, for the last of a prompt. */
START_TEST(test_the_pool_has_room_for_a_text_like_that_of_the_calibration)
{
	enum { LONG = 1024, BLOCKS = LONG / 64 };
	static const struct {
		const char *once, *twice, *usual;
		double off;
	} rows[] = {
		{"qtc:room=1" AROUND, "qtc:room=2" AROUND, "qtc" AROUND, 0.13},
		{PACK ",room=1" AROUND, PACK ",room=2" AROUND, PACK AROUND, 0.21},
	};
	static struct stream stream;
	struct calibration c;
	const clkv_geometry g = feed_usual(2);
	calibration_make(&c, &g, &(struct calibration_kind){.step = 0.5, .one_class = true});
	clkv_cache_options o = calibration_room(&c, LONG, 1);
	double once = (double)feed_required(fixture.context, &g, rows[_i].once, &o).sealed;
	double twice = (double)feed_required(fixture.context, &g, rows[_i].twice, &o).sealed;
	double want = (twice - once) * BLOCKS / (BLOCKS + 1);
	struct feed feed = {.geometry = g, .append_only = true};
	feed_open(&feed, fixture.context, fixture.queue, rows[_i].usual, &o);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, LONG / 2, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &stream, LONG / 2, CLKV_PROMPT_END, 1, NULL);
	double used = (double)feed_stats(&feed).used_sealed;
	ck_assert_uint_eq(stream_info(&stream).sealed, LONG);
	ck_assert_msg(fabs(used / want - 1) < rows[_i].off, "%g bytes, not %g", used, want);
	/* nobody knows without: as much as in half */
	o.calibration = NULL;
	o.calibration_size = 0;
	ck_assert_uint_gt(feed_required(fixture.context, &g, rows[_i].usual, &o).sealed,
	                  LONG * 2 * 2 * 256);
	feed_close(&feed);
	calibration_free(&c);
}
END_TEST

/* What blocks take comes back when they go. */
START_TEST(test_nothing_is_left_behind)
{
	static struct stream stream, fork;
	struct feed feed = {.geometry = feed_usual(2)};
	feed_open(&feed, fixture.context, fixture.queue, "qtc", NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	stream_fork(&feed, &stream, &fork);
	feed_one(&feed, &fork, 100, CLKV_DECODE, 2, NULL);
	ck_assert_uint_gt(feed_stats(&feed).used_sealed, 0);
	stream_close(&stream);
	stream_close(&fork);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

/* Rows of one layer spread more than those of the other, by 2; in texts the other one's do. */
static double spread(uint64_t number, int layer, enum feed_side side, size_t head, size_t d,
                     int wide)
{
	return feed_normal(number, layer, side, head, d) * (layer == wide ? 1.25 : 0.8);
}

static double spread_as_calibrated(uint64_t number, int layer, enum feed_side side, size_t head,
                                   size_t d)
{
	return spread(number, layer, side, head, d, 1);
}

static double spread_as_fed(uint64_t number, int layer, enum feed_side side, size_t head, size_t d)
{
	return spread(number, layer, side, head, d, 0);
}

/* Layer 0 takes a bit a value more than the 3 or so of its calibration, half as much again, and layer 1 that much
 * less: room for a quarter more of each alone, and a block in half, of 32, would not do. */
START_TEST(test_layers_share_their_room)
{
	enum { LONG = 2048 };
	static struct stream stream;
	struct calibration c;
	const clkv_geometry g = feed_usual(2);
	calibration_make(
		&c, &g,
		&(struct calibration_kind){.step = 0.5, .one_class = true, .value = spread_as_calibrated});
	clkv_cache_options o = calibration_room(&c, LONG, 1);
	struct feed feed = {.geometry = g, .append_only = true, .value = spread_as_fed};
	feed_open(&feed, fixture.context, fixture.queue, "qtc" AROUND, &o);
	stream_open(&feed, &stream);
	for (size_t i = 0; i < 3; i++)
		feed_one(&feed, &stream, LONG / 4, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &stream, LONG / 4, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, LONG);
	feed_close(&feed);
	calibration_free(&c);
}
END_TEST

/* Blocks that take more than the pool has room for: the commit fails, and the sequence is what it was. */
START_TEST(test_a_full_pool_is_said_and_nothing_is_lost)
{
	static struct stream stream;
	struct calibration c;
	clkv_error error;
	const clkv_geometry g = feed_usual(1);
	calibration_make(&c, &g, &(struct calibration_kind){.step = 0.5});
	clkv_cache_options o = calibration_room(&c, 512, 1);
	struct feed feed = {.geometry = g, .value = calibration_far_off, .append_only = true};
	feed_open(&feed, fixture.context, fixture.queue, "qtc:room=1" AROUND, &o);
	stream_open(&feed, &stream);
	struct feed_item item = {&stream, 512, CLKV_PROMPT_END, 0, 1};
	clkv_step *step = feed_begin(&feed, &item, 1, NULL);
	ck_assert_int_eq(clkv_step_commit(step, NULL, &error), CLKV_ERROR_POOL_FULL);
	clkv_step_abort(step);
	ck_assert_uint_eq(stream_info(&stream).length, 0);
	ck_assert_uint_eq(feed_stats(&feed).used_sealed, 0);
	ck_assert_uint_eq(feed_stats(&feed).used_open, 0);
	feed_close(&feed);
	calibration_free(&c);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

static const struct {
	const char *recipe, *word;
} refused[] = {
	{"h2o:budget=64 | qtc", "'h2o'"},   {"think:keep=0.5 | qtc", "prunes"},
	{"spark:keep=0.5 | qtc", "prunes"}, {"qtc | clusterkv", "'qtc'"},
	{"qtc | topk:recall=64", "'qtc'"},  {"qtc:room=0.5", "room"},
	{"qtc:entropy=huffman", "phrases"},
};

START_TEST(test_what_does_not_go_together_is_refused)
{
	const clkv_geometry g = feed_usual(2);
	expect_refused(fixture.context, &g, refused[_i].recipe, &refused[_i].word, 1);
}
END_TEST

static void expect_no_cache(const char *recipe, const struct memory_file *file, uint64_t model,
                            clkv_status status, const char *word)
{
	clkv_cache *cache = NULL;
	clkv_error error;
	const clkv_geometry g = feed_usual(2);
	clkv_cache_options o = feed_room(512, 1);
	o.calibration = file ? file->bytes : NULL;
	o.calibration_size = file ? file->n : 0;
	o.model = model;
	ck_assert_int_eq(clkv_cache_create(fixture.context, &g, recipe, &o, &cache, &error), status);
	ck_assert_msg(strstr(error.text, word), "'%s' is not in '%s'", word, error.text);
	ck_assert_ptr_null(cache);
}

/* P6. */
START_TEST(test_calibrations_that_do_not_fit_are_refused)
{
	const clkv_geometry g = feed_usual(2), other = feed_geometry(2, 6, 2, 64, 80);
	const struct calibration_kind kind = {.step = 0.5};
	struct memory_file file = calibration_file(&g, &kind), wrong = calibration_file(&other, &kind);
	expect_no_cache("qtc", NULL, 0, CLKV_ERROR_INVALID_ARGUMENT, "calibration is NULL");
	expect_no_cache("f16", &file, 0, CLKV_ERROR_INVALID_ARGUMENT, "calibration is given");
	expect_no_cache("qtc", &wrong, 0, CLKV_ERROR_INVALID_ARGUMENT, "head_dim_v");
	expect_no_cache("qtc", &file, 5, CLKV_ERROR_INVALID_ARGUMENT, "model");
	file.bytes[file.n / 2] ^= 1;
	expect_no_cache("qtc", &file, 0, CLKV_ERROR_CORRUPT, "calibration");
	memory_close(&file);
	memory_close(&wrong);
}
END_TEST

/* ---------------------------------------------------------------- files ---- */

/* Pages go as they are to a cache with the same calibration, rows to one of another recipe and back; a cache with another
 * calibration has nothing to read them by. */
START_TEST(test_snapshots_know_their_calibration)
{
	static struct stream stream, loaded;
	struct calibration c, other;
	struct memory_file file = {0}, halves = {0};
	clkv_error error;
	const clkv_geometry g = feed_usual(2);
	calibration_make(&c, &g, &(struct calibration_kind){.step = 0.5});
	calibration_make(&other, &g, &(struct calibration_kind){.step = 0.25});
	struct feed feed = {0}, same = {0}, differs = {0}, plain = {.geometry = g};
	calibration_feed(&c, "qtc ; window=20", &feed);
	calibration_feed(&c, "qtc ; window=20", &same);
	calibration_feed(&other, "qtc ; window=20", &differs);
	feed_open(&plain, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	memory_save(&feed, &stream, NULL, &file);
	memory_load(&same, &file, &stream, &loaded);
	expect_same_cache(&feed, &stream, &loaded);
	memory_expect_refused(&differs, &file, "calibration file");
	ck_assert_int_eq(memory_refused(&plain, &file, &error), CLKV_ERROR_UNSUPPORTED);
	memory_save(&feed, &stream, "f16", &halves);
	memory_load(&plain, &halves, &stream, &loaded);
	memory_load(&differs, &halves, &stream, &loaded);
	memory_close(&file);
	memory_close(&halves);
	feed_close(&feed);
	feed_close(&same);
	feed_close(&differs);
	feed_close(&plain);
	calibration_free(&c);
	calibration_free(&other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qtc_bytes");
	TCase *bytes = fixture_case(suite, "bytes", 20), *files = fixture_case(suite, "files", 20);
	tcase_add_loop_test(bytes, test_the_same_text_makes_the_same_bits, 0, 2);
	tcase_add_loop_test(bytes, test_the_pool_has_room_for_a_text_like_that_of_the_calibration, 0,
	                    2);
	tcase_add_test(bytes, test_layers_share_their_room);
	tcase_add_test(bytes, test_nothing_is_left_behind);
	tcase_add_test(bytes, test_a_full_pool_is_said_and_nothing_is_lost);
	tcase_add_loop_test(files, test_what_does_not_go_together_is_refused, 0,
	                    (int)(sizeof refused / sizeof refused[0]));
	tcase_add_test(files, test_calibrations_that_do_not_fit_are_refused);
	tcase_add_test(files, test_snapshots_know_their_calibration);
	return fixture_run_shared(suite);
}
