/* SPDX-License-Identifier: MIT */
/** \file redis_tls.h \brief TLS of connections to servers, as hiredis has it. */
#ifndef SHARE_REDIS_TLS_H
#define SHARE_REDIS_TLS_H

#include "config.h"
#include "share/fail.h"

#include <hiredis.h>
#include <stdbool.h>

enum { SHARE_TLS_FILE = 1024 };

/** What a url says of TLS: names of files, "" where it says none. */
struct share_tls_files {
	char ca[SHARE_TLS_FILE];                        /**< certificates that are trusted */
	char cert[SHARE_TLS_FILE], key[SHARE_TLS_FILE]; /**< the client's own, both or neither */
};

struct share_tls;

/** Reads the files. host: the server's name as the url has it; its certificate must be of that name where hiredis checks it.
 *  Errors: INVALID_ARGUMENT (a file can't be read or is none), UNSUPPORTED (built without hiredis_ssl), NO_HOST_MEMORY. */
clkv_status share_tls_open(const char *host, const struct share_tls_files *files,
                           struct share_tls **out, clkv_error *error);
void share_tls_close(struct share_tls *tls);

/** Shakes hands; false: the connection has an error. */
bool share_tls_begin(struct share_tls *tls, redisContext *connection);

#endif
