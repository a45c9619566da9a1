/* SPDX-License-Identifier: MIT */
/** \file log.h \brief The log callback of a context. */
#ifndef CLKV__LOG_H
#define CLKV__LOG_H

#include "base/error.h"

#include <pthread.h>

struct clkv__log {
	clkv_log_fn fn;
	void *opaque;
	clkv_log_level level;
	pthread_mutex_t *mutex; /**< held while fn runs; NULL: none */
};

/** Formats and passes on what is at or below the log's level. */
void clkv__log_to(const struct clkv__log *log, clkv_log_level level, const char *subsystem,
                  const char *format, ...) CLKV__PRINTF(4, 5);

#endif
