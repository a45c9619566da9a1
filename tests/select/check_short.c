/* SPDX-License-Identifier: MIT */
/**
 * \file    check_short.c
 * \brief   A recipe for long chats serves short ones: budgets, windows and segments that no sequence of the cache can
 *          reach keep and recall every token.
 */
#include "support/expect.h"
#include "support/fixture.h"

enum { TOKENS = 40 };

static const char *const recipes[] = {
	"topk:recall=1024",
	"clusterkv:recall=1048576,most=32768",
	"a2ats:recall=1024,codes=4096",
	"kivi:bits=4 | pages:recall=4096,every=1024",
	"h2o:budget=512",
	"zeromerge:budget=4096",
	"streaming:budget=1048576",
	"kivi:bits=4 ; window=1048576,sinks=1048576",
};

/* All tokens stay in half, as given. */
START_TEST(test_nothing_is_lost_of_a_short_sequence)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1)};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = TOKENS;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], &o);
	stream_open(&feed, &stream);
	expect_rows(&feed, &stream, 30, CLKV_PROMPT_END, 1, EXPECT_GIVEN, 1e-4);
	for (uint64_t i = 0; i < TOKENS - 30; i++)
		expect_rows(&feed, &stream, 1, CLKV_DECODE, i, EXPECT_GIVEN, 1e-4);
	ck_assert_uint_eq(stream_info(&stream).length, TOKENS);
	stream_close(&stream);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("short");
	TCase *c = fixture_case(suite, "short", 60);
	tcase_add_loop_test(c, test_nothing_is_lost_of_a_short_sequence, 0,
	                    sizeof recipes / sizeof recipes[0]);
	return fixture_run(suite);
}
