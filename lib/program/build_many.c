/* SPDX-License-Identifier: MIT */
/** \file build_many.c \brief A pool of threads for the length of one call. */
#include "program/build_many.h"

#include "base/error.h"

#include <pthread.h>
#include <stdbool.h>

enum { MOST_HELPERS = 63 };

/* What the threads of one call share. */
struct work {
	clkv_context *context;
	struct clkv__program *const *list;
	size_t n;
	clkv__build_report report;
	void *opaque;
	pthread_mutex_t mutex; /* guards what follows */
	size_t next, done;
	bool stopped;
	size_t failed; /* the first program that doesn't build, or n */
	clkv_status status;
	clkv_error error;
};

/* The next program to build; false: there is no more. */
static bool take(struct work *w, size_t *i)
{
	pthread_mutex_lock(&w->mutex);
	bool more = !w->stopped && w->next < w->n;
	*i = more ? w->next++ : w->n;
	pthread_mutex_unlock(&w->mutex);
	return more;
}

static void settle(struct work *w, size_t i, clkv_status status, const clkv_error *error)
{
	pthread_mutex_lock(&w->mutex);
	if (status != CLKV_OK && i < w->failed) {
		w->failed = i;
		w->status = status;
		w->error = *error;
	}
	if (status != CLKV_OK)
		w->stopped = true;
	else if (w->report && !w->report(w->opaque, ++w->done, clkv__program_file(w->list[i])))
		w->stopped = true;
	pthread_mutex_unlock(&w->mutex);
}

static void *run(void *opaque)
{
	struct work *w = opaque;
	size_t i;
	while (take(w, &i)) {
		clkv_error error;
		clkv__error_clear(&error);
		clkv_status status = clkv__program_build(w->context, w->list[i], &error);
		settle(w, i, status, &error);
	}
	return NULL;
}

clkv_status clkv__build_many(clkv_context *context, struct clkv__program *const *list, size_t n,
                             clkv__build_report report, void *opaque, clkv_error *error)
{
	struct work w = {
		.context = context, .list = list, .n = n, .report = report, .opaque = opaque, .failed = n};
	pthread_t helpers[MOST_HELPERS];
	size_t n_helpers = 0, wanted = n < context->build_threads ? n : context->build_threads;
	pthread_mutex_init(&w.mutex, NULL);
	while (n_helpers + 1 < wanted && n_helpers < MOST_HELPERS &&
	       pthread_create(&helpers[n_helpers], NULL, run, &w) == 0)
		n_helpers++;
	run(&w);
	for (size_t i = 0; i < n_helpers; i++)
		pthread_join(helpers[i], NULL);
	pthread_mutex_destroy(&w.mutex);
	if (w.status != CLKV_OK && error && error->status == CLKV_OK)
		*error = w.error;
	return w.status;
}
