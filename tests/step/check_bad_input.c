/* SPDX-License-Identifier: MIT */
/** \file check_bad_input.c \brief What callers can get wrong: an error that names it, nothing changed. */
#include "support/feed.h"
#include "support/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static clkv_geometry geometry(void)
{
	return feed_usual(2);
}

static clkv_cache_options options(void)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 256;
	return o;
}

static clkv_status create(const clkv_geometry *g, const char *recipe, const clkv_cache_options *o,
                          clkv_error *error)
{
	clkv_cache *cache = (clkv_cache *)(uintptr_t)1;
	memset(error, 0xee, sizeof *error);
	clkv_status status = clkv_cache_create(fixture.context, g, recipe, o, &cache, error);
	if (status == CLKV_OK) {
		clkv_cache_destroy(cache);
	} else {
		ck_assert_ptr_eq(cache, (clkv_cache *)(uintptr_t)1);
		ck_assert_int_eq(error->status, status);
		ck_assert_ptr_nonnull(memchr(error->text, '\0', sizeof error->text));
		ck_assert_uint_gt(strlen(error->text), 10);
	}
	return status;
}

/* ---------------------------------------------------------------- geometry ---- */

static const struct {
	const char *word; /* in the error's text */
	int layers, q_heads, kv_heads, dk, dv;
	float scale, softcap;
} geometries[] = {
	{"layers", 0, 6, 2, 64, 64, 0, 0},       {"layers", -1, 6, 2, 64, 64, 0, 0},
	{"layers", 1025, 6, 2, 64, 64, 0, 0},    {"q_heads", 2, 0, 2, 64, 64, 0, 0},
	{"q_heads", 2, -6, 2, 64, 64, 0, 0},     {"kv_heads", 2, 6, 0, 64, 64, 0, 0},
	{"kv_heads", 2, 6, -2, 64, 64, 0, 0},    {"q_heads", 2, 7, 2, 64, 64, 0, 0},
	{"q_heads", 2, 65, 1, 64, 64, 0, 0},     {"q_heads", 2, 2, 6, 64, 64, 0, 0},
	{"head_dim_k", 2, 6, 2, 0, 64, 0, 0},    {"head_dim_k", 2, 6, 2, 72, 64, 0, 0},
	{"head_dim_k", 2, 6, 2, 8, 64, 0, 0},    {"head_dim_k", 2, 6, 2, 272, 64, 0, 0},
	{"head_dim_v", 2, 6, 2, 64, -16, 0, 0},  {"head_dim_v", 2, 6, 2, 64, 72, 0, 0},
	{"head_dim_v", 2, 6, 2, 64, 4096, 0, 0}, {"scale", 2, 6, 2, 64, 64, NAN, 0},
	{"scale", 2, 6, 2, 64, 64, INFINITY, 0}, {"softcap", 2, 6, 2, 64, 64, 0, -1.0f},
	{"softcap", 2, 6, 2, 64, 64, 0, NAN},    {"kv_heads", 2, 1 << 30, 1 << 30, 64, 64, 0, 0},
};

START_TEST(test_absurd_geometry_is_refused)
{
	clkv_geometry g = feed_geometry(geometries[_i].layers, geometries[_i].q_heads,
	                                geometries[_i].kv_heads, geometries[_i].dk, geometries[_i].dv);
	clkv_cache_options o = options();
	clkv_bytes bytes = CLKV_INIT(clkv_bytes);
	clkv_error error;
	clkv_error why;
	g.scale = geometries[_i].scale;
	g.softcap = geometries[_i].softcap;
	clkv_status status = create(&g, "kivi", &o, &error);
	ck_assert_msg(status == CLKV_ERROR_INVALID_ARGUMENT || status == CLKV_ERROR_NO_DEVICE_MEMORY,
	              "case %d: %s", _i, clkv_status_string(status));
	ck_assert_msg(strstr(error.text, geometries[_i].word) != NULL || _i == 21, "'%s' lacks '%s'",
	              error.text, geometries[_i].word);
	ck_assert_int_ne(clkv_bytes_required(fixture.context, &g, "kivi", &o, &bytes, &error), CLKV_OK);
	ck_assert_int_ne(clkv_recipe_check(fixture.context, &g, "kivi", &why), CLKV_OK);
	ck_assert_uint_gt(strlen(why.text), 10);
}
END_TEST

START_TEST(test_wrong_windows_and_rope_are_refused)
{
	clkv_geometry g = geometry();
	clkv_cache_options o = options();
	clkv_error error;
	int windows[] = {0, -1};
	g.window = windows;
	ck_assert_int_eq(create(&g, "f16", &o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "window"));
	g = geometry();
	g.rope.kind = 3;
	ck_assert_int_ne(create(&g, "f16", &o, &error), CLKV_OK);
}
END_TEST

/* ---------------------------------------------------------------- options, structs ---- */

START_TEST(test_wrong_options_are_refused)
{
	clkv_geometry g = geometry();
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_error error;
	ck_assert_int_eq(create(&g, "f16", &o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "max_tokens"));
	o.max_tokens = SIZE_MAX;
	ck_assert_int_ne(create(&g, "f16", &o, &error), CLKV_OK);
	o.max_tokens = SIZE_MAX / 256;
	ck_assert_int_ne(create(&g, "f16", &o, &error), CLKV_OK);
	o.max_tokens = (size_t)1 << 40;
	ck_assert_int_ne(create(&g, "kivi", &o, &error), CLKV_OK);
	o = options();
	o.max_sequences = SIZE_MAX;
	ck_assert_int_ne(create(&g, "f16", &o, &error), CLKV_OK);
	o = options();
	o.max_step_tokens = SIZE_MAX;
	ck_assert_int_ne(create(&g, "f16", &o, &error), CLKV_OK);
	o = options();
	o.max_bytes = 1000;
	ck_assert_int_eq(create(&g, "f16", &o, &error), CLKV_ERROR_NO_DEVICE_MEMORY);
	o = options();
	o.max_host_bytes = 10;
	ck_assert_int_eq(create(&g, "f16", &o, &error), CLKV_ERROR_NO_HOST_MEMORY);
	o = options();
	ck_assert_int_eq(create(&g, "f16", &o, &error), CLKV_OK);
}
END_TEST

START_TEST(test_nulls_are_refused)
{
	clkv_geometry g = geometry();
	clkv_cache_options o = options();
	clkv_bytes bytes = CLKV_INIT(clkv_bytes);
	clkv_cache *cache = NULL;
	clkv_context *context = NULL;
	clkv_error error;
	cl_context cl = clkv_context_cl(fixture.context);
	ck_assert_int_eq(clkv_cache_create(NULL, &g, "f16", &o, &cache, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(create(NULL, "f16", &o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(create(&g, NULL, &o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(create(&g, "f16", NULL, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_cache_create(fixture.context, &g, "f16", &o, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_cache_create(fixture.context, &g, "f16", &o, NULL, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_bytes_required(fixture.context, &g, "f16", &o, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_bytes_required(NULL, &g, "f16", &o, &bytes, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_recipe_check(NULL, &g, "f16", NULL), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_recipe_check(fixture.context, &g, "f16", NULL), CLKV_OK);
	ck_assert_int_eq(clkv_recipe_check(fixture.context, &g, "kiwi", NULL),
	                 CLKV_ERROR_INVALID_RECIPE);
	ck_assert_int_eq(
		clkv_context_create(NULL, clkv_context_device(fixture.context), NULL, &context, &error),
		CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_context_create(cl, NULL, NULL, &context, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(
		clkv_context_create(cl, clkv_context_device(fixture.context), NULL, NULL, NULL),
		CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_context_open("no such device", NULL, &context, &error),
	                 CLKV_ERROR_NO_DEVICE);
	ck_assert_int_eq(clkv_seq_create(NULL, NULL, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_seq_fork(NULL, NULL, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_seq_truncate(NULL, 0, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_cache_stats(NULL, NULL, NULL), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_commit(NULL, NULL, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_append(NULL, 0, NULL, NULL, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_attend(NULL, 0, NULL, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_null(context);
}
END_TEST

/* A structure of an older caller is shorter, of a newer one longer: with zeros behind it is taken. */
START_TEST(test_struct_sizes)
{
	struct {
		clkv_geometry g;
		unsigned char tail[64];
	} longer;
	clkv_cache_options o = options();
	clkv_error error;
	memset(&longer, 0, sizeof longer);
	longer.g = geometry();
	longer.g.struct_size = sizeof longer;
	ck_assert_int_eq(create(&longer.g, "f16", &o, &error), CLKV_OK);
	longer.tail[40] = 1;
	ck_assert_int_eq(create(&longer.g, "f16", &o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	clkv_geometry g = geometry();
	g.struct_size = offsetof(clkv_geometry, head_dim_v);
	g.head_dim_v = 7777; /* not the caller's field: not read */
	ck_assert_int_eq(create(&g, "f16", &o, &error), CLKV_OK);
	g.struct_size = 0;
	ck_assert_int_eq(create(&g, "f16", &o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	g.struct_size = SIZE_MAX;
	ck_assert_int_eq(create(&g, "f16", &o, &error), CLKV_ERROR_INVALID_ARGUMENT);
	g = geometry();
	o.struct_size = 3;
	ck_assert_int_eq(create(&g, "f16", &o, &error), CLKV_ERROR_INVALID_ARGUMENT);

	unsigned char space[sizeof(clkv_device_info) + 8];
	clkv_device_info *info = (clkv_device_info *)(void *)space;
	memset(space, 0x5a, sizeof space);
	info->struct_size = offsetof(clkv_device_info, vendor);
	ck_assert_int_eq(clkv_context_get_info(fixture.context, info, NULL), CLKV_OK);
	ck_assert_uint_eq(info->struct_size, offsetof(clkv_device_info, vendor));
	for (size_t i = offsetof(clkv_device_info, vendor); i < sizeof space; i++)
		ck_assert_uint_eq(space[i], 0x5a);
}
END_TEST

START_TEST(test_recipes_that_do_not_fit_the_shape)
{
	static const struct {
		const char *recipe, *words[3];
	} cases[] = {
		{"q:rot=hadamard,axis_k=channel", {"rot", "axis_k", NULL}},
		{"q:rot=hadamard,axis_v=channel", {"rot", "axis_v", NULL}},
		{"kivi:group=128", {"group", "block", NULL}},
		{"kivi ; skip=3", {"skip", "2", NULL}},
		{"q:axis_v=channel,group=64 ; block=32", {"group", "block", NULL}},
		{"spark:keep=0.005", {"spark", "keep", "0.0078125 to 1"}},
		{"think:keep=0.005 | kivi", {"think", "keep", "0.005"}},
		{"spark | q:rot=hadamard", {"hadamard", "rot", "prunes"}},
		{"think:keep=0.5 | q:rot=hadamard,k=4", {"hadamard", "rot", "prunes"}},
	};
	clkv_geometry g = geometry();
	clkv_cache_options o = options();
	clkv_error error;
	clkv_error why;
	ck_assert_int_eq(create(&g, cases[_i].recipe, &o, &error), CLKV_ERROR_INVALID_RECIPE);
	for (int i = 0; i < 3 && cases[_i].words[i]; i++)
		ck_assert_msg(strstr(error.text, cases[_i].words[i]) != NULL, "'%s' lacks '%s'", error.text,
		              cases[_i].words[i]);
	ck_assert_int_eq(clkv_recipe_check(fixture.context, &g, cases[_i].recipe, &why),
	                 CLKV_ERROR_INVALID_RECIPE);
	ck_assert_str_eq(why.text, error.text);
}
END_TEST

/* ---------------------------------------------------------------- tensors ---- */

struct tensors {
	struct feed feed;
	struct stream stream;
	struct tensor k, q, out;
	clkv_step *step;
};

/* A step of 3 rows, and packed tensors of exactly 3 rows with 64 bytes behind them. */
static void tensors_open(struct tensors *t)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	clkv_error error;
	memset(t, 0, sizeof *t);
	t->feed.geometry = geometry();
	feed_open(&t->feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&t->feed, &t->stream);
	tensor_open(&t->k, fixture.queue, f32, 3, 2, 64, NULL);
	tensor_open(&t->q, fixture.queue, f32, 3, 6, 64, NULL);
	tensor_open(&t->out, fixture.queue, f32, 3, 6, 64, NULL);
	clkv_step_item item = {t->stream.seq, 3, CLKV_DECODE};
	feed_ok(clkv_step_begin(t->feed.cache, &item, 1, fixture.queue, &t->step, &error), &error,
	        "begin");
}

static void tensors_close(struct tensors *t)
{
	clkv_step_abort(t->step);
	feed_close(&t->feed);
	tensor_close(&t->k);
	tensor_close(&t->q);
	tensor_close(&t->out);
}

#define N_WRONG 8
static clkv_tensor wrong_tensor(clkv_tensor t, int which)
{
	switch (which) {
	case 0:
		t.mem = NULL;
		break;
	case 1:
		t.offset = 17; /* 16 floats lie behind the last row */
		break;
	case 2:
		t.offset = SIZE_MAX - 2;
		break;
	case 3:
		t.token_stride = SIZE_MAX / 8;
		break;
	case 4:
		t.head_stride = 1 << 20;
		break;
	case 5:
		t.dtype = (clkv_dtype)3;
		break;
	case 6:
		t.token_stride = 6 * 64 + 30;
		t.head_stride = 64;
		break;
	default:
		t.dtype = (clkv_dtype)-1;
	}
	return t;
}

START_TEST(test_tensors_that_leave_their_buffer_are_refused)
{
	static struct tensors t;
	clkv_error error;
	tensors_open(&t);
	clkv_tensor bad_k = wrong_tensor(t.k.t, _i), fit = t.k.t;
	if (_i == 6)
		bad_k.token_stride = 2 * 64 + 9;
	ck_assert_int_eq(clkv_step_append(t.step, 0, &bad_k, &t.k.t, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strncmp(error.text, "k", 1) == 0, "'%s' doesn't name k", error.text);
	ck_assert_int_eq(clkv_step_append(t.step, 0, &t.k.t, &bad_k, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strncmp(error.text, "v", 1) == 0, "'%s' doesn't name v", error.text);
	ck_assert_int_eq(clkv_step_append(t.step, 0, NULL, &fit, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	fit.offset = 16;
	feed_ok(clkv_step_append(t.step, 0, &fit, &t.k.t, 0, NULL, NULL, &error), &error, "append");

	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	args.q = wrong_tensor(t.q.t, _i);
	args.out = t.out.t;
	ck_assert_int_eq(clkv_step_attend(t.step, 0, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strncmp(error.text, "q", 1) == 0, "'%s' doesn't name q", error.text);
	args.q = t.q.t;
	args.out = wrong_tensor(t.out.t, _i);
	ck_assert_int_eq(clkv_step_attend(t.step, 0, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strncmp(error.text, "out", 3) == 0, "'%s' doesn't name out", error.text);
	args.out = t.out.t;
	args.lse = t.out.t.mem;
	args.lse_offset = t.out.bytes / 4 - 17; /* 18 floats */
	ck_assert_int_eq(clkv_step_attend(t.step, 0, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strncmp(error.text, "lse", 3) == 0, "'%s' doesn't name lse", error.text);
	args.lse = NULL;
	args.sinks = t.q.t.mem;
	args.sinks_offset = t.q.bytes / 4 - 5; /* 6 floats */
	ck_assert_int_eq(clkv_step_attend(t.step, 0, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strncmp(error.text, "sinks", 5) == 0, "'%s' doesn't name sinks", error.text);
	args.sinks = NULL;
	feed_ok(clkv_step_attend(t.step, 0, &args, 0, NULL, NULL, &error), &error, "attend");
	tensors_close(&t);
}
END_TEST

START_TEST(test_reading_beyond_the_sequence_is_refused)
{
	static struct tensors t;
	clkv_error error;
	tensors_open(&t);
	clkv_step_abort(t.step);
	t.step = NULL;
	feed_one(&t.feed, &t.stream, 10, CLKV_DECODE, 1, NULL);
	clkv_seq *seq = t.stream.seq;
	const struct {
		int layer;
		size_t from, n;
	} cases[] = {{0, 8, 3},       {0, 10, 1}, {0, 0, 4 /* the tensor has 3 rows */},
	             {2, 0, 1},       {-1, 0, 1}, {0, SIZE_MAX, 2},
	             {0, 2, SIZE_MAX}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ck_assert_msg(clkv_seq_read(seq, cases[i].layer, cases[i].from, cases[i].n, &t.k.t, NULL,
		                            fixture.queue, &error) == CLKV_ERROR_INVALID_ARGUMENT,
		              "case %zu", i);
	ck_assert_int_eq(clkv_seq_read(seq, 0, 0, 1, &t.k.t, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_seq_read(seq, 0, 0, 1, NULL, NULL, fixture.queue, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_seq_read(seq, 1, 7, 3, &t.k.t, NULL, fixture.queue, &error), CLKV_OK);
	tensors_close(&t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bad input");
	TCase *shape = fixture_case(suite, "shape", 60), *call = fixture_case(suite, "call", 60);
	tcase_add_loop_test(shape, test_absurd_geometry_is_refused, 0,
	                    sizeof geometries / sizeof geometries[0]);
	tcase_add_test(shape, test_wrong_windows_and_rope_are_refused);
	tcase_add_test(shape, test_wrong_options_are_refused);
	tcase_add_test(shape, test_nulls_are_refused);
	tcase_add_test(shape, test_struct_sizes);
	tcase_add_loop_test(shape, test_recipes_that_do_not_fit_the_shape, 0, 9);
	tcase_add_loop_test(call, test_tensors_that_leave_their_buffer_are_refused, 0, N_WRONG);
	tcase_add_test(call, test_reading_beyond_the_sequence_is_refused);
	return fixture_run(suite);
}
