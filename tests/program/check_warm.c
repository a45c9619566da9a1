/* SPDX-License-Identifier: MIT */
/** \file check_warm.c \brief When programs are built: on purpose, when they're needed, by several threads; and which are shared. */
#include "attend/kernels.h"
#include "store/cache.h"
#include "support/feed.h"
#include "support/fixture.h"
#include "support/inject.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_HEARD = 256 };

/* The programs that a context has built or loaded, as its log says. */
struct heard {
	int n, inside;
	char text[MOST_HEARD][1200];
};

static struct heard heard;

static void hear(void *opaque, clkv_log_level level, const char *subsystem, const char *text)
{
	struct heard *h = opaque;
	ck_assert_int_eq(h->inside++, 0); /* one at a time */
	if (level == CLKV_LOG_BUILD && strcmp(subsystem, "build") == 0 && strstr(text, ": ready")) {
		ck_assert_int_lt(h->n, MOST_HEARD);
		snprintf(h->text[h->n++], sizeof h->text[0], "%s", text);
	}
	h->inside--;
}

/* NULL: programs are kept where all tests keep them. */
static clkv_context *open_with(const char *cache_dir, const char *threads)
{
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	clkv_context *context = NULL;
	clkv_error error;
	char kept[16];
	snprintf(kept, sizeof kept, "%s", getenv("CLKV_BUILD_THREADS"));
	options.cache_dir = cache_dir;
	options.allocator = inject_allocator();
	options.log = hear;
	options.log_opaque = &heard;
	options.log_level = CLKV_LOG_BUILD;
	heard.n = 0;
	setenv("CLKV_BUILD_THREADS", threads, 1);
	clkv_status status =
		clkv_context_create(clkv_context_cl(fixture.context), clkv_context_device(fixture.context),
	                        &options, &context, &error);
	setenv("CLKV_BUILD_THREADS", kept, 1);
	ck_assert_msg(status == CLKV_OK, "%s", error.text);
	return context;
}

/* No program twice: what is the same is built once, whoever wants it. */
static void check_heard_once(void)
{
	for (int i = 0; i < heard.n; i++)
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(heard.text[i], heard.text[j]);
}

/* ---------------------------------------------------------------- on purpose ---- */

struct progress {
	size_t calls, last, total, stop_at;
};

static int follow(void *opaque, size_t done, size_t total, const char *name)
{
	struct progress *p = opaque;
	if (p->calls++ == 0) {
		ck_assert_uint_eq(done, 0);
		ck_assert_str_eq(name, "");
		p->total = total;
	} else {
		ck_assert_uint_eq(done, p->last + 1);
		ck_assert_ptr_nonnull(strstr(name, ".cl"));
	}
	ck_assert_uint_eq(total, p->total);
	ck_assert_uint_le(done, total);
	p->last = done;
	return done == p->stop_at;
}

static void warm(clkv_cache *cache, struct progress *p, size_t stop_at)
{
	clkv_error error;
	*p = (struct progress){.stop_at = stop_at};
	clkv_status status = clkv_cache_warm(cache, follow, p, &error);
	ck_assert_msg(status == CLKV_OK, "%s", error.text);
	ck_assert_int_eq(error.status, CLKV_OK);
}

/* One of each kind of stage; with verify, so that no kernel of the codec is left out. */
static const char *const recipes[] = {
	"f16",
	"kivi:bits=4 ; window=40",
	"kvcomp:verify=1 ; window=40",
	"think:keep=0.5 | kivi:bits=4 ; window=40",
	"zeromerge:budget=64 ; window=16",
	"clusterkv:recall=64 ; window=40",
};
enum { RECIPES = sizeof recipes / sizeof recipes[0] };

/* A prompt, rows after it, reading. */
static void use(struct feed *feed)
{
	static struct stream stream;
	double k[2 * 64];
	stream_open(feed, &stream);
	feed_one(feed, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	for (uint64_t i = 0; i < 3; i++)
		feed_one(feed, &stream, 30, CLKV_DECODE, 2 + i, NULL);
	feed_read(feed, &stream, 1, stream.n - 1, 1, k, NULL);
	stream_close(&stream);
}

static void check_warmed(const char *recipe, const char *threads)
{
	struct feed feed = {.geometry = feed_usual(2)};
	struct progress p;
	clkv_context *context = open_with(NULL, threads);
	cl_command_queue queue = fixture_queue_of(context);
	feed_open(&feed, context, queue, recipe, NULL);
	int created = heard.n;
	warm(feed.cache, &p, SIZE_MAX);
	ck_assert_uint_eq(p.last, p.total);
	ck_assert_int_eq(heard.n, created + (int)p.total);
	if (feed.cache->tuning.lanes == 1)
		ck_assert_uint_gt(p.total, 0);
	use(&feed);
	ck_assert_int_eq(heard.n, created + (int)p.total);
	check_heard_once();
	warm(feed.cache, &p, SIZE_MAX);
	ck_assert_uint_eq(p.calls, 0); /* there is nothing left */
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}

START_TEST(test_nothing_is_built_after_warming)
{
	check_warmed(recipes[_i], "1");
}
END_TEST

START_TEST(test_threads_warm_as_one_does)
{
	check_warmed(recipes[_i], "4");
}
END_TEST

/* Stopped at any point, the cache builds the rest when it needs it. */
START_TEST(test_a_stopped_warming_leaves_the_cache_usable)
{
	struct feed feed = {.geometry = feed_usual(2)};
	struct progress p;
	clkv_context *context = open_with(NULL, _i % 2 ? "3" : "1");
	cl_command_queue queue = fixture_queue_of(context);
	feed_open(&feed, context, queue, recipes[1], NULL);
	int created = heard.n;
	warm(feed.cache, &p, (size_t)_i / 2);
	if (p.total > 0)
		ck_assert_uint_ge(p.last, (size_t)_i / 2);
	if (_i % 2 == 0 && p.total > 0)
		ck_assert_int_eq(heard.n, created + _i / 2);
	use(&feed);
	check_heard_once();
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

START_TEST(test_a_build_that_fails_is_reported)
{
	struct feed feed = {.geometry = feed_usual(2)};
	struct progress p = {.stop_at = SIZE_MAX};
	clkv_error error;
	clkv_context *context = open_with("", _i ? "3" : "1");
	cl_command_queue queue = fixture_queue_of(context);
	feed_open(&feed, context, queue, "f16", NULL);
	inject_refuse("clBuildProgram", 0, 100, CL_BUILD_PROGRAM_FAILURE);
	clkv_status status = clkv_cache_warm(feed.cache, follow, &p, &error);
	inject_refuse("", 0, 0, CL_SUCCESS);
	if (p.total > 0) { /* with several lanes everything is there */
		ck_assert_int_eq(status, CLKV_ERROR_BUILD);
		ck_assert_int_eq(error.cl_code, CL_BUILD_PROGRAM_FAILURE);
		ck_assert_ptr_nonnull(strstr(error.text, ".cl doesn't build"));
		ck_assert_uint_eq(p.last, 0);
	}
	warm(feed.cache, &p, SIZE_MAX); /* a failure isn't remembered */
	ck_assert_uint_eq(p.last, p.total);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

START_TEST(test_warming_needs_a_cache)
{
	clkv_error error;
	ck_assert_int_eq(clkv_cache_warm(NULL, NULL, NULL, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "cache is NULL"));
}
END_TEST

/* ---------------------------------------------------------------- when needed ---- */

enum { ROWS = 100, OUT = ROWS * 6 * 64 };

struct rows {
	struct tensor k, v, q, out;
};

static void open_rows(const struct feed *feed, struct rows *r)
{
	const struct tensor_layout f32 = {.dtype = CLKV_F32};
	static double values[OUT];
	uint64_t row[ROWS];
	for (size_t i = 0; i < ROWS; i++)
		row[i] = i + 5;
	feed_rows(feed, 0, FEED_K, row, ROWS, values);
	tensor_open(&r->k, feed->queue, f32, ROWS, 2, 64, values);
	feed_rows(feed, 0, FEED_V, row, ROWS, values);
	tensor_open(&r->v, feed->queue, f32, ROWS, 2, 64, values);
	feed_rows(feed, 0, FEED_Q, row, ROWS, values);
	tensor_open(&r->q, feed->queue, f32, ROWS, 6, 64, values);
	tensor_open(&r->out, feed->queue, f32, ROWS, 6, 64, NULL);
}

static void close_rows(struct rows *r)
{
	tensor_close(&r->k);
	tensor_close(&r->v);
	tensor_close(&r->q);
	tensor_close(&r->out);
}

/* The next program that is built fails, if any is. */
static void refuse(bool refusing)
{
	inject_refuse("clBuildProgram", 0, refusing, CL_BUILD_PROGRAM_FAILURE);
}

/* Whether the call is to be made again. */
static bool failed(bool refusing, clkv_status status, const clkv_error *error)
{
	refuse(false);
	ck_assert_int_eq(status, refusing ? CLKV_ERROR_BUILD : CLKV_OK);
	if (refusing)
		ck_assert_str_eq(error->call, "clBuildProgram");
	return refusing;
}

/* A prompt through one layer, sealed in part. */
static void step_through(const struct feed *feed, struct stream *stream, const struct rows *r,
                         bool refusing)
{
	const clkv_step_item item = {stream->seq, ROWS, CLKV_PROMPT_END};
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	clkv_step *step = NULL;
	clkv_error error;
	args.q = r->q.t;
	args.out = r->out.t;
	refuse(refusing);
	if (failed(refusing, clkv_step_begin(feed->cache, &item, 1, feed->queue, &step, &error),
	           &error))
		ck_assert_ptr_null(step);
	if (!step)
		feed_ok(clkv_step_begin(feed->cache, &item, 1, feed->queue, &step, &error), &error,
		        "begin");
	refuse(refusing);
	if (failed(refusing, clkv_step_append(step, 0, &r->k.t, &r->v.t, 0, NULL, NULL, &error),
	           &error))
		feed_ok(clkv_step_append(step, 0, &r->k.t, &r->v.t, 0, NULL, NULL, &error), &error,
		        "append");
	refuse(refusing);
	if (failed(refusing, clkv_step_attend(step, 0, &args, 0, NULL, NULL, &error), &error))
		feed_ok(clkv_step_attend(step, 0, &args, 0, NULL, NULL, &error), &error, "attend");
	refuse(refusing);
	if (failed(refusing, clkv_step_commit(step, NULL, &error), &error))
		feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
}

static void run_step(bool refusing, double *out, double *k)
{
	struct feed feed = {.geometry = feed_usual(1)};
	static struct stream stream;
	struct rows r;
	clkv_context *context = open_with("", "1");
	cl_command_queue queue = fixture_queue_of(context);
	feed_open(&feed, context, queue, "kivi:bits=4 ; window=40", NULL);
	stream_open(&feed, &stream);
	open_rows(&feed, &r);
	/* with several lanes every kernel is made with the cache */
	step_through(&feed, &stream, &r, refusing && feed.cache->tuning.lanes == 1);
	tensor_read(&r.out, queue, out);
	stream.n = ROWS;
	feed_read(&feed, &stream, 0, 0, ROWS, k, NULL);
	close_rows(&r);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}

/* Each call whose kernel doesn't build fails as if the launch had; made again it goes on, with the same result. */
START_TEST(test_steps_survive_failed_builds)
{
	static double out[2][OUT], k[2][ROWS * 2 * 64];
	run_step(false, out[0], k[0]);
	run_step(true, out[1], k[1]);
	ck_assert_int_eq(memcmp(out[0], out[1], sizeof out[0]), 0);
	ck_assert_int_eq(memcmp(k[0], k[1], sizeof k[0]), 0);
}
END_TEST

/* ---------------------------------------------------------------- shared ---- */

/* Kernels that look at no codes are the same program for all recipes that store keys unrotated. */
START_TEST(test_recipes_share_programs)
{
	struct feed a = {.geometry = feed_usual(2)}, b = a;
	clkv_context *context = open_with(NULL, "1");
	feed_open(&a, context, fixture.queue, "f16", NULL);
	feed_open(&b, context, fixture.queue, "kivi:bits=4", NULL);
	const struct clkv__variant_kernels *x = &a.cache->kernels->sealing[0],
									   *y = &b.cache->kernels->sealing[0];
	ck_assert_ptr_eq(x->append.program, y->append.program);
	ck_assert_ptr_eq(x->merge.program, y->merge.program);
	ck_assert_ptr_eq(a.cache->kernels->table_update.program,
	                 b.cache->kernels->table_update.program);
	ck_assert_ptr_ne(x->attend_tile.program, y->attend_tile.program);
	feed_close(&a);
	feed_close(&b);
	clkv_context_destroy(context);
}
END_TEST

enum { THREADS = 4 };

struct builder {
	pthread_t thread;
	clkv_context *context;
	clkv_status created, warmed;
};

static void *create_and_warm(void *opaque)
{
	struct builder *b = opaque;
	clkv_geometry g = feed_usual(2);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_cache *cache = NULL;
	o.max_tokens = 256;
	b->created = clkv_cache_create(b->context, &g, "kivi:bits=4 ; window=40", &o, &cache, NULL);
	b->warmed = b->created == CLKV_OK ? clkv_cache_warm(cache, NULL, NULL, NULL) : b->created;
	clkv_cache_destroy(cache);
	return NULL;
}

/* Who wants a program that another thread builds waits for it. */
START_TEST(test_threads_build_each_program_once)
{
	struct builder builders[THREADS];
	clkv_context *context = open_with(NULL, "2");
	for (int i = 0; i < THREADS; i++) {
		builders[i] = (struct builder){.context = context};
		ck_assert_int_eq(pthread_create(&builders[i].thread, NULL, create_and_warm, &builders[i]),
		                 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(builders[i].thread, NULL);
		ck_assert_int_eq(builders[i].created, CLKV_OK);
		ck_assert_int_eq(builders[i].warmed, CLKV_OK);
	}
	ck_assert_int_gt(heard.n, 5);
	check_heard_once();
	clkv_context_destroy(context);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("warm");
	TCase *purpose = fixture_case(suite, "purpose", 300), *need = fixture_case(suite, "need", 120),
		  *shared = fixture_case(suite, "shared", 120);
	tcase_add_loop_test(purpose, test_nothing_is_built_after_warming, 0, RECIPES);
	tcase_add_loop_test(purpose, test_threads_warm_as_one_does, 0, 2);
	tcase_add_loop_test(purpose, test_a_stopped_warming_leaves_the_cache_usable, 0, 6);
	tcase_add_loop_test(purpose, test_a_build_that_fails_is_reported, 0, 2);
	tcase_add_test(purpose, test_warming_needs_a_cache);
	tcase_add_test(need, test_steps_survive_failed_builds);
	tcase_add_test(shared, test_recipes_share_programs);
	tcase_add_test(shared, test_threads_build_each_program_once);
	return fixture_run(suite);
}
