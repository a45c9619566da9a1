/* SPDX-License-Identifier: MIT */
/** \file check_bytes_at.c \brief What a length is said to take is what sequences of it take; when they seal next. */
#include "support/feed.h"
#include "support/fixture.h"
#include "support/kinds.h"

#include <string.h>

static clkv_cache_options usual_options(void)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 6000;
	o.max_sequences = 6;
	o.max_seq_tokens = 2000;
	o.max_step_tokens = 700;
	return o;
}

static clkv_status bytes_at(const struct kind *kind, size_t n, size_t m, int sealed,
                            clkv_bytes_used *used, clkv_error *error)
{
	clkv_geometry g = feed_usual(kind->layers);
	g.rope.kind = CLKV_ROPE_HALVES; /* as kind_open says */
	clkv_cache_options o = usual_options();
	*used = (clkv_bytes_used)CLKV_INIT(clkv_bytes_used);
	return clkv_bytes_at(fixture.context, &g, kind->recipe, &o, n, m, sealed, used, error);
}

static void feed_prompt(struct feed *feed, struct stream *stream, size_t n, clkv_phase last)
{
	for (size_t rows; n > 0; n -= rows) {
		rows = n < 700 ? n : 700;
		feed_one(feed, stream, rows, rows < n ? CLKV_PROMPT : last, 3 + stream->n, NULL);
	}
}

/* Equal where it says so. What is at most so much is that, but not twice the truth and some blocks: rules that share slots
 * out between heads or find runs keep any part of the most, so these have only the bound above. */
static void check_used(const struct kind *kind, const struct feed *feed,
                       const struct stream *stream, const clkv_bytes_used *used, size_t n)
{
	clkv_stats s = feed_stats(feed);
	clkv_seq_info i = stream_info(stream);
	const uint64_t pairs[][2] = {
		{used->sealed, s.used_sealed}, {used->open, s.used_open},
		{used->host, s.used_host},     {used->index, s.used_index},
		{used->sequence, i.bytes},     {used->sequence_host, i.host_bytes}};
	ck_assert_uint_eq(used->tables, s.used_tables);
	ck_assert_uint_eq(used->device, used->sealed + used->open + used->tables + used->index);
	ck_assert_uint_eq(used->sealed_tokens, i.sealed);
	for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++)
		ck_assert_msg(used->exact ? pairs[p][0] == pairs[p][1] : pairs[p][0] >= pairs[p][1],
		              "'%s', %zu tokens: figure %zu is %llu instead of %llu%s", kind->recipe, n, p,
		              (unsigned long long)pairs[p][0], (unsigned long long)pairs[p][1],
		              used->exact ? "" : " and up");
	ck_assert_uint_le(used->sealed, s.allocated.sealed);
	ck_assert_uint_le(used->open, s.allocated.open);
	ck_assert_uint_le(used->index, s.allocated.index);
}

static const size_t lengths[] = {1, 30, 71, 105, 300, 701, 1450};

static void check_length(const struct kind *kind, size_t n)
{
	static struct stream a, b;
	struct feed feed;
	clkv_bytes_used used;
	clkv_error error;
	kind_open(&feed, kind, fixture.context, fixture.queue);
	stream_open(&feed, &a);
	if (!(kind->moves && n > 700)) {
		feed_prompt(&feed, &a, n, CLKV_PROMPT_END);
		feed_ok(bytes_at(kind, n, 1, 1, &used, &error), &error, "bytes at");
		check_used(kind, &feed, &a, &used, n);
	}
	if (n == 300) { /* two of them */
		stream_open(&feed, &b);
		feed_prompt(&feed, &b, n, CLKV_PROMPT_END);
		feed_ok(bytes_at(kind, n, 2, 1, &used, &error), &error, "bytes at");
		check_used(kind, &feed, &b, &used, n);
	}
	feed_close(&feed);
}

START_TEST(test_a_length_takes_what_it_is_said_to)
{
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		check_length(&kinds[_i], lengths[i]);
}
END_TEST

START_TEST(test_until_a_prompt_ends_all_is_in_half)
{
	const struct kind *kind = &kinds[_i];
	static struct stream stream;
	struct feed feed;
	clkv_bytes_used used;
	clkv_error error;
	kind_open(&feed, kind, fixture.context, fixture.queue);
	stream_open(&feed, &stream);
	feed_prompt(&feed, &stream, 300, CLKV_PROMPT);
	feed_ok(bytes_at(kind, 300, 1, 0, &used, &error), &error, "bytes at");
	ck_assert(used.exact);
	ck_assert_uint_eq(used.sealed + used.host + used.index, 0);
	if (stream_info(&stream).sealed == 0)
		check_used(kind, &feed, &stream, &used, 300);
	else
		ck_assert_uint_gt(used.open, feed_stats(&feed).used_open);
	feed_close(&feed);
}
END_TEST

/* Rules that are known exactly are said to be. */
START_TEST(test_what_is_exact)
{
	static const struct {
		const char *recipe;
		int exact;
	} rows[] = {
		{"f16", 1},
		{"kivi:bits=4", 1},
		{"kitty", 1},
		{"kvquant", 1},
		{"think:keep=0.5 | kivi", 1},
		{"kvcomp", 0},
		{"clusterkv", 1},
		{"kivi | a2ats:codes=64", 1},
		{"h2o:budget=300", 1},
		{"zeromerge:budget=0.2", 1},
		{"h2o:budget=300 | kvcomp", 0},
		{"streaming:budget=300", 1},
		{"zeromerge:budget=300,alloc=adaptive", 0},
		{"corm", 0},
		{"prefixkv:budget=0.3", 0},
	};
	clkv_geometry g = feed_usual(2);
	clkv_cache_options o = usual_options();
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		clkv_bytes_used used = CLKV_INIT(clkv_bytes_used);
		clkv_error error;
		feed_ok(clkv_bytes_at(fixture.context, &g, rows[i].recipe, &o, 1400, 1, 1, &used, &error),
		        &error, rows[i].recipe);
		ck_assert_msg(used.exact == rows[i].exact, "'%s': exact is %d", rows[i].recipe, used.exact);
	}
}
END_TEST

START_TEST(test_what_options_do_not_allow_is_refused)
{
	clkv_geometry g = feed_usual(2);
	clkv_cache_options o = usual_options();
	clkv_bytes_used used = CLKV_INIT(clkv_bytes_used);
	clkv_error error;
	static const struct {
		size_t n, m;
		clkv_status status;
		const char *says;
	} rows[] = {{2001, 1, CLKV_ERROR_INVALID_ARGUMENT, "max_seq_tokens (2000)"},
	            {1500, 5, CLKV_ERROR_INVALID_ARGUMENT, "max_tokens (6000)"},
	            {1, 7, CLKV_ERROR_INVALID_ARGUMENT, "max_sequences (6)"},
	            {1, 0, CLKV_ERROR_INVALID_ARGUMENT, "1 to max_sequences"}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ck_assert_int_eq(
			clkv_bytes_at(fixture.context, &g, "kivi", &o, rows[i].n, rows[i].m, 1, &used, &error),
			rows[i].status);
		ck_assert_msg(strstr(error.text, rows[i].says) != NULL, "%s", error.text);
	}
	/* 2,000 tokens that no end of a prompt seals don't fit where half blocks are for windows */
	ck_assert_int_eq(clkv_bytes_at(fixture.context, &g, "kivi", &o, 2000, 3, 0, &used, &error),
	                 CLKV_ERROR_POOL_FULL);
	ck_assert_int_eq(clkv_bytes_at(fixture.context, &g, "kivi", &o, 2000, 3, 1, &used, &error),
	                 CLKV_OK);
	ck_assert_int_eq(clkv_bytes_at(fixture.context, &g, "kivi", &o, 1, 1, 1, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	used.struct_size = 0;
	ck_assert_int_eq(clkv_bytes_at(fixture.context, &g, "kivi", &o, 1, 1, 1, &used, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
}
END_TEST

/* A slot is what a token of the same codec takes, with the 16 bytes of its state; what one token more costs follows from
 * the budget. */
START_TEST(test_slots_and_tokens)
{
	static const struct {
		const char *recipe;
		double share; /* of per_slot, beside one layer in half */
	} rows[] = {{"h2o:budget=300 ; skip=1", 0},
	            {"h2o:budget=600 ; skip=1", 0},
	            {"h2o:budget=0.25 ; skip=1", 0.25},
	            {"corm ; skip=1", 1}};
	clkv_geometry g = feed_geometry(3, 6, 2, 64, 64);
	clkv_cache_options o = usual_options();
	clkv_bytes f16 = feed_required(fixture.context, &g, "f16", &o);
	ck_assert_double_eq(f16.per_slot, 0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		clkv_bytes b = feed_required(fixture.context, &g, rows[i].recipe, &o);
		/* K and V in half, 16 bytes of state, and an entry of 16 bytes per block of 64 */
		ck_assert_double_eq(b.per_slot, 2 * 2 * (256 + 16 + 16 / 64.0));
		ck_assert_double_eq_tol(b.per_token, f16.per_token / 3 + rows[i].share * b.per_slot, 1e-9);
	}
}
END_TEST

/* ---------------------------------------------------------------- when ---- */

/* Grows a sequence by single rows; until it seals nothing, it must say the same of when, and it must then be so. */
static void check_when(const char *recipe, size_t prompt, clkv_phase phase, clkv_waits waits,
                       size_t seals_at)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2)};
	clkv_cache_options o = usual_options();
	feed_open(&feed, fixture.context, fixture.queue, recipe, &o);
	stream_open(&feed, &stream);
	feed_prompt(&feed, &stream, prompt, phase);
	clkv_seq_info info = stream_info(&stream);
	ck_assert_msg(info.waits == waits && info.seals_at == seals_at,
	              "'%s', %zu tokens: waits %d, seals at %zu", recipe, prompt, (int)info.waits,
	              info.seals_at);
	size_t sealed = info.sealed;
	while (seals_at > 0 && info.sealed == sealed && info.length < 400) {
		feed_one(&feed, &stream, 1, CLKV_DECODE, 5, NULL);
		clkv_seq_info next = stream_info(&stream);
		ck_assert_msg((next.sealed > sealed) == (next.length >= seals_at),
		              "'%s': %zu sealed at %zu, not at %zu", recipe, next.sealed, next.length,
		              seals_at);
		info = next;
	}
	feed_close(&feed);
}

START_TEST(test_when_a_sequence_seals_next)
{
	static const struct {
		const char *recipe;
		size_t prompt;
		clkv_phase phase;
		clkv_waits waits;
		size_t seals_at;
	} rows[] = {
		{"f16", 100, CLKV_PROMPT_END, CLKV_WAITS_NEVER, 0},
		{"kivi:bits=4 ; window=40,sinks=3,skip=2", 100, CLKV_PROMPT_END, CLKV_WAITS_NEVER, 0},
		{"kivi:bits=4 ; window=40,sinks=3", 1, CLKV_DECODE, CLKV_WAITS_WINDOW, 107},
		{"kivi:bits=4 ; window=40,sinks=3", 30, CLKV_PROMPT_END, CLKV_WAITS_WINDOW, 107},
		{"kivi:bits=4 ; window=40,sinks=3", 100, CLKV_PROMPT_END, CLKV_WAITS_WINDOW, 164},
		{"clusterkv:recall=64,per=8,every=128,most=1024 ; window=32,sinks=5", 150, CLKV_PROMPT_END,
	     CLKV_WAITS_INDEX, 165},
		{"clusterkv:recall=64,per=8,every=128,most=1024 ; window=32,sinks=5", 165, CLKV_PROMPT_END,
	     CLKV_WAITS_WINDOW, 293},
		{"clusterkv:recall=64,per=8,every=128,most=1024 ; window=32,sinks=5", 180, CLKV_PROMPT,
	     CLKV_WAITS_PROMPT_END, 165},
		{"a2ats:recall=64,codes=32,every=128,most=1024 ; window=32,sinks=5", 37, CLKV_PROMPT_END,
	     CLKV_WAITS_WINDOW, 165},
		/* 4 tokens per code */
		{"a2ats:recall=64,codes=64,every=128,most=1024 ; window=32,sinks=5", 170, CLKV_PROMPT_END,
	     CLKV_WAITS_INDEX, 293},
		{"h2o:budget=72,recent=0.5 ; window=16,sinks=4,block=32,seal=prompt,skip=0", 60,
	     CLKV_PROMPT_END, CLKV_WAITS_BUDGET, 73},
		{"h2o:budget=72,recent=0.5 ; window=16,sinks=4,block=32,seal=prompt,skip=0", 90,
	     CLKV_PROMPT_END, CLKV_WAITS_WINDOW, 122},
		{"kivi:bits=4 | a2ats", 1016, CLKV_PROMPT_END, CLKV_WAITS_INDEX, 1168},
	};
	check_when(rows[_i].recipe, rows[_i].prompt, rows[_i].phase, rows[_i].waits, rows[_i].seals_at);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bytes at a length");
	TCase *at = fixture_case(suite, "at", 120), *when = fixture_case(suite, "when", 60);
	tcase_add_loop_test(at, test_a_length_takes_what_it_is_said_to, 0, n_kinds);
	tcase_add_loop_test(at, test_until_a_prompt_ends_all_is_in_half, 0, n_kinds);
	tcase_add_test(at, test_what_is_exact);
	tcase_add_test(at, test_what_options_do_not_allow_is_refused);
	tcase_add_test(at, test_slots_and_tokens);
	tcase_add_loop_test(when, test_when_a_sequence_seals_next, 0, 13);
	return fixture_run_shared(suite);
}
