/* SPDX-License-Identifier: MIT */
/** \file real.c \brief Rows of a real model. */
#include "real.h"

#include "../ref/ref_attend.h"
#include "fixture.h"
#include "random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *const real_texts[REAL_TEXTS] = {"essay", "gpl3"};
struct real real;

static int by_row(const void *a, const void *b)
{
	const struct real_row *x = a, *y = b;
	return (x->row > y->row) - (x->row < y->row);
}

void real_open(int text)
{
	const size_t streams = (size_t)REAL_LAYERS * REAL_STREAMS, heads = REAL_LAYERS * REAL_HEADS;
	data_read(real_texts[text], "k", &real.k);
	data_read(real_texts[text], "v", &real.v);
	data_read(real_texts[text], "q", &real.q);
	data_read(real_texts[text], "out", &real.out);
	data_read(real_texts[text], "lse", &real.lse);
	ck_assert_uint_eq(real.k.n, streams * REAL_TOKENS * REAL_DIM);
	ck_assert_uint_eq(real.v.n, real.k.n);
	ck_assert_uint_eq(real.q.n, heads * REAL_QUERIES * REAL_DIM);
	ck_assert_uint_eq(real.out.n, heads * REAL_ASKED * REAL_DIM);
	ck_assert_uint_eq(real.lse.n, heads * REAL_ASKED);
	for (size_t i = 0; i < (size_t)REAL_SEEDS * REAL_TOKENS; i++) {
		enum real_seed seed = (enum real_seed)(i / REAL_TOKENS);
		size_t token = i % REAL_TOKENS;
		size_t position = seed == REAL_MORE ? REAL_TOKENS + token : token;
		real.rows[i] = (struct real_row){random_mix(seed, position), token, seed};
	}
	qsort(real.rows, (size_t)REAL_SEEDS * REAL_TOKENS, sizeof *real.rows, by_row);
}

void real_close(void)
{
	free(real.k.values);
	free(real.v.values);
	free(real.q.values);
	free(real.out.values);
	free(real.lse.values);
}

const struct real_row *real_find(uint64_t row)
{
	static size_t last; /* rows are asked for value by value */
	struct real_row key = {.row = row};
	if (real.rows[last].row != row) {
		const struct real_row *found =
			bsearch(&key, real.rows, (size_t)REAL_SEEDS * REAL_TOKENS, sizeof *real.rows, by_row);
		ck_assert_ptr_nonnull(found);
		last = (size_t)(found - real.rows);
	}
	return &real.rows[last];
}

double real_value(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	const struct real_row *r = real_find(row);
	size_t l = (size_t)layer;
	if (side == FEED_Q) {
		size_t query = r->seed == REAL_MORE ? r->token % REAL_QUERIES
		                                    : r->token - (REAL_TOKENS - REAL_QUERIES);
		return real.q.values[((l * REAL_HEADS + head) * REAL_QUERIES + query) * REAL_DIM + d];
	}
	const struct npy *file = side == FEED_K ? &real.k : &real.v;
	return file->values[((l * REAL_STREAMS + head) * REAL_TOKENS + r->token) * REAL_DIM + d];
}

clkv_geometry real_geometry(void)
{
	return feed_geometry(REAL_LAYERS, REAL_HEADS, REAL_STREAMS, REAL_DIM, REAL_DIM);
}

double real_error(struct feed *feed, struct stream *stream, enum real_seed seed)
{
	struct feed_result result;
	clkv_error error;
	double sum = 0.0;
	feed_ok(clkv_seq_truncate(stream->seq, REAL_TOKENS - REAL_ASKED, &error), &error, "truncate");
	stream->n = REAL_TOKENS - REAL_ASKED;
	feed_one(feed, stream, REAL_ASKED, CLKV_DECODE, seed, &result);
	for (size_t layer = 0; layer < REAL_LAYERS; layer++)
		for (size_t i = 0; i < REAL_ASKED; i++)
			for (size_t h = 0; h < REAL_HEADS; h++)
				sum += ref_relative_error(
					result.out + ((layer * REAL_ASKED + i) * REAL_HEADS + h) * REAL_DIM,
					real.out.values + ((layer * REAL_HEADS + h) * REAL_ASKED + i) * REAL_DIM,
					REAL_DIM);
	feed_result_close(&result);
	return sum / (REAL_LAYERS * REAL_ASKED * REAL_HEADS);
}

void real_expect(const char *recipe, int text, double error, double expected, double limit)
{
	ck_assert_msg(fabs(error - expected) <= limit * expected,
	              "%s on %s: error %.5f instead of %.5f", recipe, real_texts[text], error,
	              expected);
}

int real_run(Suite *suite)
{
	if (data_directory())
		return fixture_run_shared(suite);
	srunner_free(srunner_create(suite));
	fprintf(stderr, "SKIPPED: no real data; CLKV_TEST_DATA names its directory\n");
	return 77;
}
