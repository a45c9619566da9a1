/* SPDX-License-Identifier: MIT */
/** \file check_recall_codes.c \brief Rows of integer codes that are recalled one by one, in forms of CPUs: attention over what
 *  they read as. */
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"

#include <stdio.h>

#define LISTED " | topk:recall=2048,every=128 ; window=32,sinks=0"

/* Each plane with each width of vector that widens it in another way, units of both axes, what is in half, in lists, or
 * at a step per block. `topk` asks for all tokens in their order, in tiles that end within a block. */
static const struct {
	const char *form, *recipe;
} all[] = {
	{"lanes=1,vec=1", "kivi:bits=2" LISTED},
	{"lanes=1,vec=2", "q:k=3,v=6" LISTED ",block=32"},
	{"lanes=1,vec=4", "q:k=5,v=4,axis_k=channel,axis_v=channel,sym=1" LISTED},
	{"lanes=1,vec=8", "q:k=3,v=3" LISTED ",block=128"},
	{"lanes=1,vec=8", "q:k=6,v=5,axis_k=channel" LISTED},
	{"lanes=1,vec=16", "q:k=4,v=8" LISTED},
	{"lanes=1,vec=16", "q:k=3,v=2" LISTED},
	{"lanes=1,vec=16", "q:k=6,v=16" LISTED},
	{"lanes=1,vec=8", "q:k=16,v=3" LISTED},
	{"lanes=1,vec=8", "kvquant" LISTED},
	{"lanes=1,vec=16", "kvquant:bits=2" LISTED},
	{"lanes=1,vec=8", "kvcomp:rel_k=0.05,rel_v=0.02,entropy=pack" LISTED},
	{"lanes=1,vec=16", "kvcomp:rel_k=0.3,rel_v=0.1,entropy=pack,unit_k=block" LISTED},
	{"lanes=1,vec=8", "kvcomp:abs_k=0.00001,abs_v=0.00001,entropy=pack" LISTED},
	{"lanes=1,vec=1", "q:k=5,v=3" LISTED},
	{"lanes=1,vec=2", "q:k=8,v=5" LISTED},
	{"lanes=1,vec=4", "q:k=2,v=3,axis_v=channel" LISTED},
	{"lanes=1,vec=16", "q:k=5,v=6,axis_k=channel" LISTED},
};
enum { ALL = sizeof all / sizeof all[0] };

START_TEST(test_rows_of_codes_are_what_they_read_as)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_geometry(1, 6, 2, 64, 80),
	                    .context = fixture_open_tuned(all[_i].form),
	                    .lse = true};
	feed.queue = fixture_queue_of(feed.context);
	feed_open(&feed, feed.context, feed.queue, all[_i].recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 263 + 32, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, 263);
	expect_rows(&feed, &stream, 2, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_close(&feed);
	clReleaseCommandQueue(feed.queue);
	clkv_context_destroy(feed.context);
}
END_TEST

enum { HEADS = 2, DIM = 64, ROWS = 128 + 32 };

static void read_of(const char *recipe, double *k, double *v)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_geometry(1, 2, HEADS, DIM, DIM)};
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, ROWS, CLKV_PROMPT_END, 1, NULL);
	feed_read(&feed, &stream, 0, 0, ROWS, k, v);
	feed_close(&feed);
}

/* Codes lie in bands of tokens where single ones are recalled: the same values, wherever they lie, of each way to planes. */
START_TEST(test_bands_hold_what_the_codec_alone_holds)
{
	static const char *const codecs[] = {"kivi:bits=4", "q:k=3,v=4", "q:k=5,v=8,axis_k=channel",
	                                     "kvquant", "kvcomp:entropy=pack"};
	static double alone[2][ROWS * HEADS * DIM], listed[2][ROWS * HEADS * DIM];
	char recipe[2][80];
	snprintf(recipe[0], sizeof recipe[0], "%s ; window=32,sinks=0", codecs[_i]);
	snprintf(recipe[1], sizeof recipe[1], "%s" LISTED, codecs[_i]);
	read_of(recipe[0], alone[0], alone[1]);
	read_of(recipe[1], listed[0], listed[1]);
	ck_assert_mem_eq(listed, alone, sizeof alone);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recall_codes");
	TCase *codes = fixture_case(suite, "codes", 120);
	fixture_some(codes, test_rows_of_codes_are_what_they_read_as, ALL, 0, 1, 2, 3, 4, 5, 6, 8, 9,
	             11, 12);
	fixture_some(codes, test_bands_hold_what_the_codec_alone_holds, 5, 0, 4);
	return fixture_run_shared(suite);
}
