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

double tool_seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
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
