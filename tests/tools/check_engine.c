/* SPDX-License-Identifier: MIT */
/**
 * \file    check_engine.c
 * \brief   The tools' engine on a small model with every weight format, against double precision.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "session.h"
#include "support/suite.h"
#include "support/tiny_model.h"

#define N_TOKENS 21

/* Products and sums in f32, keys and values in half: far below this share of the largest logit. */
#define TOLERANCE 2e-3

struct fixture {
	char path[64];
	struct session s;
	struct engine_stream stream;
	int32_t tokens[N_TOKENS];
	double *want; /* [N_TOKENS][vocabulary] */
	float *got;
	double largest;
};

/* As files for longer texts say it. */
static void scale_rope(struct model *m)
{
	size_t pairs = (size_t)m->rope_dims / 2;
	m->rope_base = 500000.0F;
	m->rope_scale = 2.5F;
	m->rope_factors = calloc(pairs, sizeof *m->rope_factors);
	ck_assert_ptr_nonnull(m->rope_factors);
	for (size_t i = 0; i < pairs; i++)
		m->rope_factors[i] = 1.0F + (float)(i % 5);
}

/* Narrower than the text, so that most rows lose tokens. */
static void narrow(struct model *m)
{
	m->window = 6;
	m->windows = calloc((size_t)m->n_layers, sizeof *m->windows);
	ck_assert_ptr_nonnull(m->windows);
	for (int i = 0; i < m->n_layers; i++)
		m->windows[i] = m->window;
}

/* False when there is no device. */
static bool open_model(struct fixture *f, enum engine_products products, unsigned lanes,
                       void (*change)(struct model *))
{
	struct tool_error error = {""};
	clkv_error cause = {0};
	struct engine_options options = {.max_rows = 32, .products = products, .lanes = lanes};
	struct gguf_build file = tiny_model_build(1);
	*f = (struct fixture){.path = "/tmp/clkv-check-engine-XXXXXX"};
	int fd = mkstemp(f->path);
	ck_assert_int_ge(fd, 0);
	ck_assert(write(fd, file.data, file.size) == (ssize_t)file.size);
	ck_assert_int_eq(close(fd), 0);
	gguf_build_free(&file);
	ck_assert_msg(model_open(f->path, &f->s.model, &error), "%s", error.text);
	ck_assert_int_eq(unlink(f->path), 0);
	if (change)
		change(f->s.model);
	clkv_status status = clkv_context_open(NULL, NULL, &f->s.context, &cause);
	if (status == CLKV_ERROR_NO_DEVICE) {
		printf("SKIPPED: no OpenCL device\n");
		model_close(f->s.model);
		return false;
	}
	ck_assert_msg(status == CLKV_OK, "%s", cause.text);
	ck_assert_msg(engine_create(f->s.context, f->s.model, &options, &f->s.engine, &error), "%s",
	              error.text);
	ck_assert_msg(session_stream_open(&f->s, "f16", 64, &f->stream, &error), "%s", error.text);
	size_t vocabulary = (size_t)f->s.model->vocabulary;
	f->want = calloc(N_TOKENS * vocabulary, sizeof *f->want);
	f->got = calloc(N_TOKENS * vocabulary, sizeof *f->got);
	ck_assert(f->want != NULL && f->got != NULL);
	for (size_t i = 0; i < N_TOKENS; i++)
		f->tokens[i] = (int32_t)(i * 37 % vocabulary);
	tiny_model_forward(f->s.model, f->tokens, N_TOKENS, f->want);
	for (size_t i = 0; i < N_TOKENS * vocabulary; i++)
		f->largest = fmax(f->largest, fabs(f->want[i]));
	return true;
}

static bool open_fixture(struct fixture *f, enum engine_products products, unsigned lanes)
{
	return open_model(f, products, lanes, NULL);
}

static void close_fixture(struct fixture *f)
{
	session_stream_close(&f->stream);
	session_close(&f->s);
	free(f->want);
	free(f->got);
}

/* Runs n tokens from the stream's length on. */
static void run(struct fixture *f, size_t n, clkv_phase phase, bool dry, enum engine_logits want)
{
	struct tool_error error = {""};
	struct engine_stream *streams[] = {&f->stream};
	struct engine_pass pass = {
		streams, 1, f->tokens + f->stream.length, n, phase, dry, want, f->got, NULL, NULL};
	ck_assert_msg(engine_run(f->s.engine, &pass, &error), "%s", error.text);
}

/* Compares n rows of logits with those of the tokens from `from` on. */
static void compare(const struct fixture *f, size_t from, size_t n)
{
	size_t vocabulary = (size_t)f->s.model->vocabulary;
	for (size_t i = 0; i < n * vocabulary; i++) {
		double want = f->want[from * vocabulary + i];
		ck_assert_msg(fabs((double)f->got[i] - want) <= TOLERANCE * f->largest,
		              "token %zu, logit %zu: %g, not %g (largest %g)", from + i / vocabulary,
		              i % vocabulary, (double)f->got[i], want, f->largest);
	}
}

START_TEST(test_many_rows_equal_the_reference)
{
	const enum engine_products products = _i == 0 ? ENGINE_AUTO : ENGINE_BLAS;
	struct fixture f;
	if (!open_fixture(&f, products, 0))
		return;
	run(&f, N_TOKENS, CLKV_PROMPT_END, false, ENGINE_ALL_LOGITS);
	compare(&f, 0, N_TOKENS);
	ck_assert_uint_eq(f.stream.length, N_TOKENS);
	close_fixture(&f);
}
END_TEST

/* As the device likes it, and in the form of GPUs. */
START_TEST(test_few_rows_equal_the_reference)
{
	struct fixture f;
	if (!open_fixture(&f, ENGINE_AUTO, _i == 0 ? 0 : 32))
		return;
	/* one panel of weights at once, or two; each number of rows is a program of its own to compile */
	static const size_t rows[2][4] = {{1, 2, 3, 8}, {1, 3, 1, 3}};
	for (size_t i = 0; f.stream.length + rows[_i][i % 4] <= N_TOKENS; i++) {
		size_t n = rows[_i][i % 4];
		size_t from = f.stream.length;
		run(&f, n, CLKV_DECODE, false, ENGINE_ALL_LOGITS);
		compare(&f, from, n);
	}
	close_fixture(&f);
}
END_TEST

START_TEST(test_a_dry_pass_changes_nothing)
{
	struct fixture f;
	if (!open_fixture(&f, ENGINE_AUTO, 0))
		return;
	run(&f, 12, CLKV_PROMPT_END, false, ENGINE_LAST_LOGITS);
	compare(&f, 11, 1);
	run(&f, 3, CLKV_DECODE, true, ENGINE_ALL_LOGITS);
	compare(&f, 12, 3);
	ck_assert_uint_eq(f.stream.length, 12);
	run(&f, 1, CLKV_DECODE, false, ENGINE_LAST_LOGITS);
	compare(&f, 12, 1);
	close_fixture(&f);
}
END_TEST

START_TEST(test_scaled_ropes_and_windows_equal_the_reference)
{
	struct fixture f;
	if (!open_model(&f, ENGINE_AUTO, 0, _i == 0 ? scale_rope : narrow))
		return;
	run(&f, N_TOKENS - 1, CLKV_PROMPT_END, false, ENGINE_ALL_LOGITS);
	compare(&f, 0, N_TOKENS - 1);
	run(&f, 1, CLKV_DECODE, false, ENGINE_LAST_LOGITS);
	compare(&f, N_TOKENS - 1, 1);
	close_fixture(&f);
}
END_TEST

/* The cache is told which rope it was, and leaves rotating to the engine. */
START_TEST(test_the_geometry_has_the_models_rope)
{
	struct model m = {.n_layers = 1, .q_heads = 4, .kv_heads = 2, .head_dim = 32};
	m.rope_dims = 16;
	m.rope_base = 10000.0F;
	m.rope_scale = 1.0F;
	clkv_rope rope = engine_geometry(&m).rope;
	ck_assert_int_eq(rope.kind, CLKV_ROPE_PAIRS);
	ck_assert_int_eq(rope.by_library, 0);
	ck_assert_int_eq(rope.dims, 16);
	ck_assert(rope.base == 10000.0F);
	ck_assert_int_eq(rope.scaling, CLKV_ROPE_UNSCALED);
	ck_assert(rope.factor == 0.0F);
	ck_assert_ptr_null(rope.factors);
	scale_rope(&m);
	rope = engine_geometry(&m).rope;
	ck_assert(rope.base == 500000.0F);
	ck_assert_int_eq(rope.scaling, CLKV_ROPE_LINEAR);
	ck_assert(rope.factor == 2.5F);
	ck_assert_ptr_eq(rope.factors, m.rope_factors);
	free(m.rope_factors);
}
END_TEST

START_TEST(test_copied_rows_serve_as_computed_ones)
{
	struct fixture f;
	struct engine_stream copy;
	struct tool_error error = {""};
	if (!open_fixture(&f, ENGINE_AUTO, 0))
		return;
	run(&f, 16, CLKV_PROMPT_END, false, ENGINE_NO_LOGITS);
	ck_assert_msg(session_stream_open(&f.s, "f16", 64, &copy, &error), "%s", error.text);
	ck_assert_msg(engine_copy_rows(f.s.engine, &copy, &f.stream, 0, 16, CLKV_PROMPT_END, &error),
	              "%s", error.text);
	struct engine_stream computed = f.stream;
	f.stream = copy;
	run(&f, 1, CLKV_DECODE, false, ENGINE_LAST_LOGITS);
	compare(&f, 16, 1);
	session_stream_close(&computed);
	close_fixture(&f);
}
END_TEST

struct seen {
	const struct fixture *f;
	float *out, *lse; /* of two streams */
	int layers;
};

/* A cache that holds the same makes the same of the same q, k and v. */
static void see(void *opaque, int layer)
{
	struct seen *seen = opaque;
	const struct model *m = seen->f->s.model;
	const size_t heads = (size_t)m->q_heads, width = heads * (size_t)m->head_dim;
	ck_assert_int_eq(layer, seen->layers);
	seen->layers++;
	for (size_t i = 0; i < width; i++)
		ck_assert_msg(seen->out[i] == seen->out[width + i], "layer %d, element %zu", layer, i);
	for (size_t h = 0; h < heads; h++) {
		ck_assert(isfinite(seen->lse[h]));
		ck_assert(seen->lse[h] == seen->lse[heads + h]);
	}
}

START_TEST(test_followers_get_the_first_streams_rows)
{
	struct fixture f;
	struct engine_stream copy;
	struct tool_error error = {""};
	if (!open_fixture(&f, ENGINE_AUTO, 0))
		return;
	run(&f, 16, CLKV_PROMPT_END, false, ENGINE_NO_LOGITS);
	ck_assert_msg(session_stream_open(&f.s, "f16", 64, &copy, &error), "%s", error.text);
	ck_assert_msg(engine_copy_rows(f.s.engine, &copy, &f.stream, 0, 16, CLKV_PROMPT_END, &error),
	              "%s", error.text);
	float out[2048], lse[64];
	const struct model *m = f.s.model;
	ck_assert_int_le(2 * m->q_heads * m->head_dim, 2048);
	struct seen seen = {&f, out, lse, 0};
	const struct engine_followers followers = {out, lse, see, &seen};
	struct engine_stream *streams[] = {&f.stream, &copy};
	for (size_t i = 0; i < 2; i++) {
		const struct engine_pass pass = {
			.streams = streams,
			.n_streams = 2,
			.tokens = f.tokens + 16 + i,
			.n_each = 1,
			.phase = CLKV_DECODE,
			.want = ENGINE_LAST_LOGITS,
			.logits = f.got,
			.followers = &followers,
		};
		seen.layers = 0;
		ck_assert_msg(engine_run(f.s.engine, &pass, &error), "%s", error.text);
		ck_assert_int_eq(seen.layers, m->n_layers);
		compare(&f, 16 + i, 1);
	}
	ck_assert_uint_eq(f.stream.length, 18);
	ck_assert_uint_eq(copy.length, 18);
	session_stream_close(&copy);
	close_fixture(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine");
	TCase *pass = tcase_create("pass");
	tcase_set_timeout(pass, 300); /* the first run compiles, CLBlast's kernels too */
	tcase_add_loop_test(pass, test_many_rows_equal_the_reference, 0, 2);
	tcase_add_loop_test(pass, test_few_rows_equal_the_reference, 0, 2);
	tcase_add_test(pass, test_a_dry_pass_changes_nothing);
	tcase_add_loop_test(pass, test_scaled_ropes_and_windows_equal_the_reference, 0, 2);
	tcase_add_test(pass, test_the_geometry_has_the_models_rope);
	tcase_add_test(pass, test_copied_rows_serve_as_computed_ones);
	tcase_add_test(pass, test_followers_get_the_first_streams_rows);
	suite_add_tcase(suite, pass);
	return run_suite(suite);
}
