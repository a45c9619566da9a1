/* SPDX-License-Identifier: MIT */
/** \file redis_tls.c \brief Certificates for hiredis_ssl; where that is missing, TLS is refused. */
#include "share/redis_tls.h"

#ifdef HAVE_HIREDIS_SSL

#include <hiredis_ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct share_tls {
	redisSSLContext *of;
};

static void start(void)
{
	(void)redisInitOpenSSL();
}

/* The name that a server is told is asked for, which numbers aren't. */
static const char *name_of(const char *host)
{
	return strchr(host, ':') || strspn(host, "0123456789.") == strlen(host) ? NULL : host;
}

static redisSSLContext *make(const char *host, const struct share_tls_files *files,
                             redisSSLContextError *code)
{
	const char *cert = files->cert[0] ? files->cert : NULL;
	const char *key = files->key[0] ? files->key : NULL;
#ifdef HAVE_REDISSSLOPTIONS_VERIFY_NAME
	redisSSLOptions o = {.cacert_filename = files->ca,
	                     .cert_filename = cert,
	                     .private_key_filename = key,
	                     .server_name = name_of(host),
	                     .verify_mode = REDIS_SSL_VERIFY_PEER,
	                     .verify_name = host};
	return redisCreateSSLContextWithOptions(&o, code);
#else
	return redisCreateSSLContext(files->ca, NULL, cert, key, name_of(host), code);
#endif
}

clkv_status share_tls_open(const char *host, const struct share_tls_files *files,
                           struct share_tls **out, clkv_error *error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	redisSSLContextError code = REDIS_SSL_CTX_NONE;
	if (!files->ca[0] || !files->cert[0] != !files->key[0])
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT, "a rediss:// url needs %s",
		                  files->ca[0] ? "both cert=FILE and key=FILE, or neither"
		                               : "?ca=FILE, the certificates that are trusted");
	pthread_once(&once, start);
	redisSSLContext *of = make(host, files, &code);
	if (!of)
		return share_fail(error, CLKV_ERROR_INVALID_ARGUMENT, "TLS: %s (ca=%s, cert=%s, key=%s)",
		                  redisSSLContextGetError(code), files->ca, files->cert, files->key);
	struct share_tls *tls = calloc(1, sizeof *tls);
	if (!tls) {
		redisFreeSSLContext(of);
		return share_fail_memory(error, sizeof *tls);
	}
	tls->of = of;
	*out = tls;
	return CLKV_OK;
}

void share_tls_close(struct share_tls *tls)
{
	if (tls)
		redisFreeSSLContext(tls->of);
	free(tls);
}

bool share_tls_begin(struct share_tls *tls, redisContext *connection)
{
	return redisInitiateSSLWithContext(connection, tls->of) == REDIS_OK;
}

#else

clkv_status share_tls_open(const char *host, const struct share_tls_files *files,
                           struct share_tls **out, clkv_error *error)
{
	(void)files, (void)out;
	return share_fail(error, CLKV_ERROR_UNSUPPORTED,
	                  "rediss://%s: this library was built without hiredis_ssl; allowed: redis:// "
	                  "to a tunnel of TLS (stunnel)",
	                  host);
}

void share_tls_close(struct share_tls *tls)
{
	(void)tls;
}

bool share_tls_begin(struct share_tls *tls, redisContext *connection)
{
	(void)tls, (void)connection;
	return false;
}

#endif
