/* SPDX-License-Identifier: MIT */
/**
 * \file    progress.c
 * \brief   A progress bar.
 */
#include "progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 30

static bool is_drawn;

/* The parts of progress_part(); n_parts 0: none are known. */
static struct {
	size_t done, n_parts;
	double share, began_at;
} parts;

double tool_seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_part(size_t done, size_t total)
{
	if (done == 0)
		parts.began_at = tool_seconds();
	parts.done = done;
	parts.n_parts = total;
	parts.share = 0.0;
}

void progress_share(double share)
{
	parts.share = share;
}

/* The part and the time left, if there are several parts; the time once a hundredth is done. */
static void show_parts(double now)
{
	if (parts.n_parts < 2)
		return;
	double done = ((double)parts.done + parts.share) / (double)parts.n_parts;
	double left = (now - parts.began_at) * (1.0 - done) / done;
	(void)fprintf(stderr, ", part %zu of %zu", parts.done + 1, parts.n_parts);
	if (done >= 0.01)
		(void)fprintf(stderr, left < 99.5 ? ", %.0f s left" : ", %.0f min left",
		              left < 99.5 ? left : left / 60.0);
}

void progress_show(const char *what, size_t done, size_t total)
{
	static double drawn_at;
	char bar[BAR_WIDTH + 1];
	double now = tool_seconds();
	if (isatty(STDERR_FILENO) == 0 || (is_drawn && done < total && now - drawn_at < 0.2))
		return;
	size_t filled = total > 0 ? done * BAR_WIDTH / total : 0;
	for (size_t i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	(void)fprintf(stderr, "\r\033[K%-28.28s [%s] %zu/%zu", what, bar, done, total);
	show_parts(now);
	(void)fflush(stderr);
	is_drawn = true;
	drawn_at = now;
}

void progress_say(const char *what, const char *detail)
{
	if (!is_drawn)
		return;
	(void)fprintf(stderr, "\r\033[K%.28s %.40s", what, detail);
	(void)fflush(stderr);
}

void progress_clear(void)
{
	if (is_drawn)
		(void)fputs("\r\033[K", stderr);
	is_drawn = false;
}
