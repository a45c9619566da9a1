/* SPDX-License-Identifier: MIT */
/** \file check_recall_life.c \brief Recall through a sequence's life: segments, forks, truncation, files, refusals. */
#include "support/bounds.h"
#include "support/expect.h"
#include "support/faults.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/memory_file.h"
#include "support/recalled.h"

#include <string.h>

#define AROUND " ; window=32,sinks=5"
#define OPEN 37 /* sinks and window */

static const char *const recipes[] = {
	"topk:recall=64,every=128,most=1024" AROUND,
	"pages:recall=64,page=16,every=128,most=1024" AROUND,
	"clusterkv:recall=64,per=8,every=128,most=1024" AROUND,
	"a2ats:recall=64,codes=32,every=128,most=1024" AROUND,
};
enum { CASES = 4 };
/* The last one leaves more tokens open than a window and a block. */
static const char *const everything[] = {
	"topk:recall=2048,every=128,most=1024" AROUND,
	"pages:recall=2048,page=16,every=128,most=1024" AROUND,
	"clusterkv:recall=2048,per=8,every=128,most=1024" AROUND,
	"a2ats:recall=2048,codes=32,every=128,most=1024" AROUND,
	"a2ats:recall=2048,codes=256,every=128" AROUND ",seal=chunk",
};

static void open_cache(struct feed *feed, const char *recipe)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 2 * FEED_TOKENS;
	o.max_step_tokens = FEED_TOKENS;
	o.max_seq_tokens = FEED_TOKENS;
	o.max_sequences = 4;
	feed->lse = true;
	feed_open(feed, fixture.context, fixture.queue, recipe, &o);
}

static void follow_one(struct feed *feed, const struct recalled_case *c, struct stream *stream,
                       struct recalled *r)
{
	feed->value = recalled_quarters;
	open_cache(feed, c->recipe);
	stream_open(feed, stream);
	recalled_open(r, c);
}

static void expect_choices(const struct recalled_figures *f, const struct recalled_case *c)
{
	ck_assert_uint_gt(f->lists, 0);
	ck_assert_uint_eq(f->left, f->heads);
	ck_assert_uint_le((c->kind <= RECALLED_PAGES ? 1000 : 5) * f->unsure, f->heads);
}

/* ---------------------------------------------------------------- segments ---- */

/* A prompt of more than `most` tokens is cut into even parts; generated tokens follow, `every` at a time. */
START_TEST(test_long_prompts_are_several_segments)
{
	static struct stream stream;
	const struct recalled_case c = recalled_case(recipes[_i]);
	struct feed feed = {.geometry = feed_usual(2)};
	struct recalled r;
	struct recalled_figures f = {0};
	follow_one(&feed, &c, &stream, &r);
	feed.append_only = true;
	feed_one(&feed, &stream, 1100 + OPEN, CLKV_PROMPT_END, 1, NULL);
	recalled_commit(&r, 1100 + OPEN, CLKV_PROMPT_END);
	ck_assert_uint_eq(r.n, 2);
	feed_one(&feed, &stream, 300, CLKV_DECODE, 2, NULL);
	recalled_commit(&r, 300, CLKV_DECODE);
	ck_assert_uint_eq(
		r.n, 3); /* 300 = 2 * 128 and a rest: what leaves the window together is one segment */
	feed.append_only = false;
	recalled_one(&feed, &stream, &r, 2, CLKV_DECODE, 3, &f);
	expect_choices(&f, &c);
	feed_close(&feed);
}
END_TEST

/* Token after token to the end of what a sequence may have: there is always room, and nothing is lost. */
START_TEST(test_generation_to_the_last_token)
{
	static struct stream streams[2];
	struct feed feed = {.geometry = feed_usual(1), .append_only = true};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 2 * 900;
	o.max_seq_tokens = 900;
	o.max_step_tokens = 64;
	o.max_sequences = 2;
	static const char *const whole[] = {
		"topk:recall=900,every=128,most=1024" AROUND ",seal=chunk",
		"pages:recall=900,page=4,every=128,most=1024" AROUND ",seal=chunk",
		"clusterkv:recall=900,per=4,every=128,most=1024" AROUND ",seal=chunk",
		"a2ats:recall=900,codes=200,every=128,most=1024" AROUND ",seal=chunk"};
	feed_open(&feed, fixture.context, fixture.queue, whole[_i], &o);
	stream_open(&feed, &streams[0]);
	stream_open(&feed, &streams[1]);
	for (size_t n = 0; n < 900 - 2; n += 31 < 898 - n ? 31 : 898 - n) {
		size_t many = 31 < 898 - n ? 31 : 898 - n;
		struct feed_item items[] = {{&streams[0], many, CLKV_DECODE, 0, n},
		                            {&streams[1], many, n < 400 ? CLKV_PROMPT : CLKV_DECODE, 0, n}};
		feed_step(&feed, items, 2, NULL);
	}
	feed.append_only = false;
	feed.lse = true;
	expect_rows(&feed, &streams[0], 2, CLKV_DECODE, 3, EXPECT_GIVEN, 1e-5);
	expect_rows(&feed, &streams[1], 2, CLKV_DECODE, 4, EXPECT_GIVEN, 1e-5);
	stream_close(&streams[0]);
	stream_close(&streams[1]);
	ck_assert_uint_eq(recalled_used(&feed), 0);
	ck_assert_uint_eq(recalled_books(&feed), 0);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- forks ---- */

START_TEST(test_forks_go_their_own_ways)
{
	static struct stream a, b;
	const struct recalled_case c = recalled_case(recipes[_i]);
	struct feed feed = {.geometry = feed_usual(2)};
	struct recalled ra, rb;
	struct recalled *list[] = {&ra, &rb};
	struct recalled_figures f = {0};
	follow_one(&feed, &c, &a, &ra);
	recalled_one(&feed, &a, &ra, 290, CLKV_PROMPT_END, 1, NULL);
	size_t used = recalled_used(&feed);
	ck_assert(c.kind == RECALLED_TOKENS || used > 0);
	stream_fork(&feed, &a, &b);
	rb = ra;
	ck_assert_uint_eq(recalled_used(&feed), used);
	ck_assert_uint_eq(stream_info(&a).bytes, stream_info(&b).bytes);
	struct feed_item items[] = {{&a, 130, CLKV_DECODE, 0, 2}, {&b, 131, CLKV_DECODE, 0, 3}};
	recalled_step(&feed, items, list, 2, NULL);
	ck_assert_uint_eq(ra.n, 2);
	struct feed_item next[] = {{&b, 1, CLKV_DECODE, 0, 4}, {&a, 2, CLKV_DECODE, 0, 5}};
	struct recalled *other[] = {&rb, &ra};
	recalled_step(&feed, next, other, 2, &f);
	stream_close(&a);
	recalled_one(&feed, &b, &rb, 1, CLKV_DECODE, 6, &f);
	expect_choices(&f, &c);
	stream_close(&b);
	ck_assert_uint_eq(recalled_used(&feed), 0);
	ck_assert_uint_eq(recalled_books(&feed), 0);
	clkv_stats stats = feed_stats(&feed);
	ck_assert_uint_eq(stats.used_sealed + stats.used_open, 0);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- truncation ---- */

/* Cut within the newest segment, in a block or between two, within an older one, and to where nothing is sealed. What
 * was cut off is neither attended to nor does it take a place in the budget, nor does it when others have come. */
START_TEST(test_cut_tokens_are_gone)
{
	static const size_t cuts[] = {5 + 270 + 100, 5 + 256, 5 + 70, 5 + 1, 4};
	static const size_t page_cuts[] = {5 + 270 + 96, 5 + 256, 5 + 80, 5 + 16, 4};
	static struct stream stream;
	const struct recalled_case c = recalled_case(recipes[_i % CASES]);
	size_t cut = cuts[_i / CASES];
	if (c.kind ==
	    RECALLED_PAGES) /* between pages: the bounds of a cut page are those of all of it */
		cut = page_cuts[_i / CASES];
	struct feed feed = {.geometry = feed_usual(2)};
	struct recalled r;
	struct recalled_figures f = {0};
	clkv_error error;
	follow_one(&feed, &c, &stream, &r);
	recalled_one(&feed, &stream, &r, 270 + OPEN, CLKV_PROMPT_END, 1, NULL);
	recalled_one(&feed, &stream, &r, 128, CLKV_DECODE, 2, NULL);
	ck_assert_uint_eq(r.n, 2);
	feed_ok(clkv_seq_truncate(stream.seq, cut, &error), &error, "clkv_seq_truncate");
	stream.n = cut;
	recalled_truncate(&r, cut);
	ck_assert_uint_eq(stream_info(&stream).sealed, recalled_sealed(&r));
	ck_assert(r.n > 0 || recalled_used(&feed) == 0);
	recalled_one(&feed, &stream, &r, 2, CLKV_DECODE, 3, &f);
	recalled_one(&feed, &stream, &r, 170, CLKV_DECODE, 4, &f);
	recalled_one(&feed, &stream, &r, 3, CLKV_DECODE, 5, &f);
	ck_assert_uint_gt(f.rows, 0);
	ck_assert_uint_le((c.kind <= RECALLED_PAGES ? 1000 : 5) * f.unsure, f.heads);
	stream_close(&stream);
	ck_assert_uint_eq(recalled_used(&feed), 0);
	feed_close(&feed);
}
END_TEST

/* Long and cut again and again: there is room for what is there, whatever has been, or a refusal that leaves the
 * sequence as it was. */
START_TEST(test_truncation_again_and_again)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1), .append_only = true};
	clkv_error error;
	size_t refused = 0;
	open_cache(&feed, everything[_i]);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, FEED_TOKENS - 200, CLKV_PROMPT_END, 1, NULL);
	for (size_t i = 0; i < 12; i++) {
		size_t left = 150 + 20 * i < stream.n ? 150 + 20 * i : stream.n;
		feed_ok(clkv_seq_truncate(stream.seq, left, &error), &error, "clkv_seq_truncate");
		stream.n = left;
		feed.append_only = false;
		expect_rows(&feed, &stream, 1, CLKV_DECODE, 100 + i, EXPECT_GIVEN, 1e-5);
		feed.append_only = true;
		struct feed_item item = {&stream, FEED_TOKENS - 200 - stream.n, CLKV_PROMPT_END, 0, 2 + i};
		clkv_step *step = feed_begin(&feed, &item, 1, NULL);
		clkv_status status = clkv_step_commit(step, NULL, &error);
		if (status == CLKV_OK) {
			feed_kept(&item, 1);
		} else {
			ck_assert_int_eq(status, CLKV_ERROR_POOL_FULL);
			clkv_step_abort(step);
			refused++;
		}
		ck_assert_uint_eq(stream_info(&stream).length, stream.n);
		feed.append_only = false;
		expect_rows(&feed, &stream, 2, CLKV_DECODE, 200 + i, EXPECT_GIVEN, 1e-5);
	}
	ck_assert_uint_lt(refused, 12);
	/* all is well again from the beginning */
	feed_ok(clkv_seq_truncate(stream.seq, 0, &error), &error, "clkv_seq_truncate");
	stream.n = 0;
	ck_assert_uint_eq(recalled_used(&feed), 0);
	feed_one(&feed, &stream, FEED_TOKENS - 200, CLKV_PROMPT_END, 1, NULL);
	expect_rows(&feed, &stream, 2, CLKV_DECODE, 7, EXPECT_GIVEN, 1e-5);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- steps ---- */

/* A step that is dropped leaves no trace; the same rows again give the same bits. */
START_TEST(test_a_dropped_step_has_never_been)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2), .value = recalled_quarters};
	struct feed_result first, second;
	open_cache(&feed, recipes[_i]);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 290, CLKV_PROMPT_END, 1, NULL);
	size_t used = recalled_used(&feed);
	struct feed_item item = {&stream, 140, CLKV_DECODE, 0, 2};
	clkv_step_abort(feed_begin(&feed, &item, 1, &first));
	ck_assert_uint_eq(recalled_used(&feed), used);
	feed_step(&feed, &item, 1, &second);
	ck_assert_uint_eq(stream_info(&stream).sealed, 290 - OPEN + 128);
	ck_assert_int_eq(memcmp(first.out, second.out, 2 * 140 * first.out_row * sizeof(double)), 0);
	feed_result_close(&first);
	feed_result_close(&second);
	feed_close(&feed);
}
END_TEST

/* Forks that cut what they share and go on need more than the pool has: a named error, the step is still open, and once
 * another sequence has gone it's committed. */
START_TEST(test_a_full_pool_is_named)
{
	static struct stream streams[8];
	struct feed feed = {.geometry = feed_usual(1), .append_only = true};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_error error;
	size_t n = 0;
	clkv_status status = CLKV_OK;
	o.max_tokens = 1000;
	o.max_step_tokens = 512;
	o.max_sequences = 8;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], &o);
	stream_open(&feed, &streams[n++]);
	feed_one(&feed, &streams[0], 300, CLKV_PROMPT_END, 1, NULL);
	clkv_step *step = NULL;
	for (; n < 8 && status == CLKV_OK; n++) {
		stream_open(&feed, &streams[n]);
		clkv_step_item item = {streams[n].seq, 300, CLKV_PROMPT_END};
		status = clkv_step_begin(feed.cache, &item, 1, feed.queue, &step, &error);
		if (status != CLKV_OK)
			continue;
		clkv_step_abort(step);
		feed_one(&feed, &streams[n], 300, CLKV_PROMPT_END, n, NULL);
	}
	ck_assert_int_eq(status, CLKV_ERROR_POOL_FULL);
	ck_assert_uint_gt(n, 3);
	stream_close(&streams[0]);
	feed_one(&feed, &streams[n - 1], 300, CLKV_PROMPT_END, 1, NULL);
	feed.append_only = false;
	struct feed_result result;
	feed_one(&feed, &streams[n - 1], 1, CLKV_DECODE, 1, &result);
	feed_result_close(&result);
	feed_close(&feed);
}
END_TEST

/* Every allocation and every OpenCL call of a commit that makes an index fails in turn: the step stays open, and a commit
 * that goes through seals what it would have. */
START_TEST(test_failures_leave_the_step_open)
{
	static struct stream base, fork;
	struct feed feed = {.geometry = feed_usual(1), .append_only = true};
	enum fault fault = (enum fault)(_i % FAULTS);
	bool happened = true;
	clkv_error error;
	int failed = 0;
	open_cache(&feed, recipes[_i / FAULTS + 2]);
	stream_open(&feed, &base);
	feed_one(&feed, &base, 160, CLKV_PROMPT, 1, NULL);
	for (int n = 0; n < 100 && happened; n++) {
		stream_fork(&feed, &base, &fork);
		uint64_t host = inject_host_bytes();
		struct feed_item item = {&fork, 60, CLKV_PROMPT_END, 0, 2};
		clkv_step *step = feed_begin(&feed, &item, 1, NULL);
		fault_arm(fault, n);
		clkv_status status = clkv_step_commit(step, NULL, &error);
		happened = fault_disarm(fault);
		fault_expect(fault, status, &error);
		if (status != CLKV_OK) {
			failed++;
			ck_assert_int_eq(error.cl_code, fault == FAULT_ALLOC ? 0 : INJECT_CODE);
			ck_assert_uint_eq(recalled_used(&feed), 0);
			ck_assert_uint_eq(recalled_books(&feed), 0);
			feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit again");
		}
		feed_kept(&item, 1);
		ck_assert_uint_eq(stream_info(&fork).sealed, 220 - OPEN);
		stream_close(&fork);
		ck_assert_uint_eq(recalled_used(&feed), 0);
		ck_assert_uint_le(inject_host_bytes(),
		                  host + (n == 0 ? 1 << 20 : 0)); /* notes' room may grow */
	}
	ck_assert_int_gt(failed, fault == FAULT_ALLOC ? 1 : 3);
	ck_assert(!happened);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- codecs ---- */

/* Tokens of sealed blocks one by one, whatever the codec: attention over what they read as. */
START_TEST(test_all_codecs_are_listed)
{
	static const char *const all[] = {
		"kivi:bits=4 | clusterkv:recall=2048,every=128" AROUND,
		"q:k=8,v=8 | pages:recall=2048,every=128" AROUND,
		"q:k=4,v=4,rot=hadamard | topk:recall=2048,every=128" AROUND,
		"kvcomp | topk:recall=2048,every=128" AROUND,
		"kvcomp:entropy=pack | a2ats:codes=32,recall=2048,every=128" AROUND,
		"spark:keep=0.5 | topk:recall=2048,every=128" AROUND,
		"think | clusterkv:recall=2048,every=128" AROUND,
	};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2)};
	open_cache(&feed, all[_i]);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 263 + OPEN, CLKV_PROMPT_END, 1, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, 263);
	expect_rows(&feed, &stream, 3, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_one(&feed, &stream, 128, CLKV_DECODE, 3, NULL);
	ck_assert_uint_eq(stream_info(&stream).sealed, 263 + 128);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- files ---- */

START_TEST(test_a_loaded_sequence_has_its_index)
{
	static struct stream stream, copy;
	struct feed feed = {.geometry = feed_usual(2)};
	struct memory_file file = {0};
	open_cache(&feed, everything[_i]);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 130, CLKV_DECODE, 2, NULL);
	expect_given(&feed, &stream);
	memory_save(&feed, &stream, NULL, &file);
	memory_load(&feed, &file, &stream, &copy);
	expect_given(&feed, &copy);
	ck_assert_uint_eq(stream_info(&copy).sealed, stream_info(&stream).sealed);
	ck_assert_uint_eq(stream_info(&copy).bytes, stream_info(&stream).bytes);
	expect_rows(&feed, &copy, 2, CLKV_DECODE, 3, EXPECT_GIVEN, 1e-5);
	expect_rows(&feed, &stream, 2, CLKV_DECODE, 3, EXPECT_GIVEN, 1e-5);
	stream_close(&stream);
	stream_close(&copy);
	ck_assert_uint_eq(recalled_used(&feed), 0);
	memory_close(&file);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

START_TEST(test_wrong_recipes_are_named)
{
	static const struct {
		const char *recipe, *words[3];
		size_t tokens;
	} all[] = {
		{"topk:recall=0", {"recall", "allowed"}, 2048},
		{"pages:page=12", {"page", "allowed"}, 2048},
		{"clusterkv:per=3", {"per", "allowed"}, 2048},
		{"clusterkv:per=257", {"per", "allowed"}, 2048},
		{"clusterkv:metric=dot", {"metric", "cosine", "l2"}, 2048},
		{"a2ats:codes=8", {"codes", "allowed"}, 2048},
		{"topk:gqa=head", {"gqa", "union", "group"}, 2048},
		{"topk:every=100", {"every", "allowed"}, 2048},
		{"topk:most=512", {"most", "allowed"}, 2048},
		{"topk:codes=64", {"codes"}, 2048},
		{"clusterkv | pages", {"index"}, 2048},
	};
	clkv_geometry g = feed_usual(1);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_cache *cache = NULL;
	clkv_error error;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		o.max_tokens = all[i].tokens;
		clkv_status status =
			clkv_cache_create(fixture.context, &g, all[i].recipe, &o, &cache, &error);
		ck_assert_msg(status == CLKV_ERROR_INVALID_RECIPE, "'%s': %s", all[i].recipe,
		              clkv_status_string(status));
		ck_assert_ptr_null(cache);
		for (size_t w = 0; w < 3 && all[i].words[w]; w++)
			ck_assert_msg(strstr(error.text, all[i].words[w]) != NULL, "'%s': no '%s' in: %s",
			              all[i].recipe, all[i].words[w], error.text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recall_life");
	TCase *segments = fixture_case(suite, "segments", 60), *cut = fixture_case(suite, "cut", 60);
	TCase *step = fixture_case(suite, "step", 60), *codec = fixture_case(suite, "codec", 120);
	TCase *file = fixture_case(suite, "file", 60);
	tcase_add_loop_test(segments, test_long_prompts_are_several_segments, 0, CASES);
	fixture_some(segments, test_generation_to_the_last_token, 4, 0, 3);
	tcase_add_loop_test(segments, test_forks_go_their_own_ways, 0, CASES);
	tcase_add_loop_test(cut, test_cut_tokens_are_gone, 0, 5 * CASES);
	fixture_some(cut, test_truncation_again_and_again, 4, 2);
	tcase_add_loop_test(step, test_a_dropped_step_has_never_been, 0, CASES);
	tcase_add_loop_test(step, test_a_full_pool_is_named, 0, CASES);
	tcase_add_loop_test(step, test_failures_leave_the_step_open, 0, 2 * FAULTS);
	fixture_some(codec, test_all_codecs_are_listed, 7, 0, 3, 5);
	fixture_some(file, test_a_loaded_sequence_has_its_index, 5, 2, 4);
	tcase_add_test(file, test_wrong_recipes_are_named);
	return fixture_run(suite);
}
