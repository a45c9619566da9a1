/* SPDX-License-Identifier: MIT */
/** \file build_many.c \brief A pool of threads for the length of one call. */
#include "program/build_many.h"

#include "base/error.h"
#include "device/context.h"

#include <pthread.h>
#include <stdbool.h>

/* What the threads of one call share. */
struct work {
	clkv_context *context;
	struct clkv__program *const *list;
	size_t n;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t changed;
	size_t next, done, running; /* programs; threads */
	const char *file;           /* of the last that is done */
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
	if (status == CLKV_OK) {
		w->done++;
		w->file = clkv__program_file(w->list[i]);
	} else {
		w->stopped = true;
	}
	if (status != CLKV_OK && i < w->failed) {
		w->failed = i;
		w->status = status;
		w->error = *error;
	}
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->mutex);
}

static void build_one(struct work *w, size_t i)
{
	clkv_error error;
	clkv__error_clear(&error);
	clkv_status status = clkv__program_build(w->context, w->list[i], &error);
	settle(w, i, status, &error);
}

static void *run(void *opaque)
{
	struct work *w = opaque;
	size_t i;
	while (take(w, &i))
		build_one(w, i);
	pthread_mutex_lock(&w->mutex);
	w->running--;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->mutex);
	return NULL;
}

/* Stops the work if report says so. */
static void tell(struct work *w, clkv__build_report report, void *opaque, size_t done,
                 const char *file)
{
	if (!report || report(opaque, done, file))
		return;
	pthread_mutex_lock(&w->mutex);
	w->stopped = true;
	pthread_mutex_unlock(&w->mutex);
}

/* Tells of each program that other threads have built, until they are through. */
static void watch(struct work *w, clkv__build_report report, void *opaque)
{
	size_t told = 0;
	pthread_mutex_lock(&w->mutex);
	while (w->running > 0 || told < w->done) {
		if (told == w->done) {
			pthread_cond_wait(&w->changed, &w->mutex);
			continue;
		}
		const char *file = w->file;
		pthread_mutex_unlock(&w->mutex);
		tell(w, report, opaque, ++told, file);
		pthread_mutex_lock(&w->mutex);
	}
	pthread_mutex_unlock(&w->mutex);
}

static void build_alone(struct work *w, clkv__build_report report, void *opaque)
{
	size_t i;
	while (take(w, &i)) {
		build_one(w, i);
		if (w->status == CLKV_OK)
			tell(w, report, opaque, w->done, w->file);
	}
}

clkv_status clkv__build_many(clkv_context *context, struct clkv__program *const *list, size_t n,
                             clkv__build_report report, void *opaque, clkv_error *error)
{
	struct work w = {.context = context, .list = list, .n = n, .failed = n};
	pthread_t threads[CLKV__MOST_BUILD_THREADS];
	size_t n_threads = 0, wanted = n < context->build_threads ? n : context->build_threads;
	pthread_mutex_init(&w.mutex, NULL);
	pthread_cond_init(&w.changed, NULL);
	w.running = wanted; /* before any of them can end */
	while (wanted > 1 && n_threads < wanted &&
	       pthread_create(&threads[n_threads], NULL, run, &w) == 0)
		n_threads++;
	pthread_mutex_lock(&w.mutex);
	w.running -= wanted - n_threads;
	pthread_mutex_unlock(&w.mutex);
	if (n_threads > 0)
		watch(&w, report, opaque);
	else
		build_alone(&w, report, opaque);
	for (size_t i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	pthread_cond_destroy(&w.changed);
	pthread_mutex_destroy(&w.mutex);
	if (w.status != CLKV_OK && error && error->status == CLKV_OK)
		*error = w.error;
	return w.status;
}
