/* SPDX-License-Identifier: MIT */
/** \file log.c \brief The library's only voice. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void clkv__log_to(const struct clkv__log *log, clkv_log_level level, const char *subsystem,
                  const char *format, ...)
{
	char text[4096];
	if (!log->fn || level > log->level)
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (log->mutex)
		pthread_mutex_lock(log->mutex);
	log->fn(log->opaque, level, subsystem, text);
	if (log->mutex)
		pthread_mutex_unlock(log->mutex);
}
