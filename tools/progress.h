/* SPDX-License-Identifier: MIT */
/**
 * \file    progress.h
 * \brief   A progress bar on standard error, when that is a terminal.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stddef.h>

/** Shows how far `what` has come; redrawn a few times a second at most. Nothing without a terminal.
 */
void progress_show(const char *what, size_t done, size_t total);

/** Shows a line in place of a bar that is there, else nothing: whoever took the bar away writes text now. */
void progress_say(const char *what, const char *detail);

/** What is shown from now on is part `done` of `total` parts of the work, which take about the same time. Bars say
 *  then how many parts there are, and how long the rest will take. */
void progress_part(size_t done, size_t total);

/** How much of the part is done, 0 to 1. */
void progress_share(double share);

/** Takes the bar away, before anything else is printed. */
void progress_clear(void);

/** Seconds of a clock that only runs forward. */
double tool_seconds(void);

#endif
