/* SPDX-License-Identifier: MIT */
/**
 * \file    redis.c
 * \brief   A store on a server that speaks Redis' protocol (Redis, Valkey, ...), through hiredis: key "clkv:KEY", value the chunk.
 *
 * The server is no more believed than its chunks: answers of another type, too large or too late end the connection, and it isn't
 * asked again for a while. A connection that went stale between two calls is made anew once.
 */
#include "share/backend.h"
#include "share/redis_tls.h"

#include <hiredis.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORD = 256, KEY_ROOM = 80 };
/* Requests on their way at once: of chunks, whose answers are large, and of words. */
enum { WORDS_AHEAD = 64 };
/* Pages of a list of keys, at most: a server may never come to its end. */
enum { MOST_PAGES = 1 << 20 };
/* Of a list, which SCAN fills with some hundreds: lists of a hostile server lie in each other as deep as it sends them. */
enum { MOST_ELEMENTS = 1 << 14 };
/* Bytes of an answer besides a chunk. */
enum { SLACK = 1 << 16 };

static const char prefix[] = "clkv:";

struct redis {
	char host[WORD], user[WORD], password[WORD];
	int port, database;
	unsigned timeout_ms, retry_ms;
	size_t most;              /* bytes of an answer */
	struct share_tls *tls;    /* NULL: none */
	redisContext *connection; /* NULL: none */
	bool answered;            /* by this connection, in this call */
	double down_until;
	char why[128]; /* it is down */
};

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---------------------------------------------------------------- the url ---- */

/* Takes text up to n characters with %XX decoded; false if it has no room or holds what it mustn't. */
static bool take_word(const char *text, size_t n, char *word, size_t room)
{
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (c == '%') {
			char hex[3] = {0};
			char *end;
			if (i + 2 >= n)
				return false;
			memcpy(hex, text + i + 1, 2);
			c = (char)strtol(hex, &end, 16);
			if (end != hex + 2 || c == '\0')
				return false;
			i += 2;
		}
		if (at + 1 >= room)
			return false;
		word[at++] = c;
	}
	word[at] = '\0';
	return true;
}

/* A number from least to most that is all of a text. */
static bool take_number(const char *text, size_t n, long least, long most, int *out)
{
	char word[16], *end;
	if (n == 0 || n >= sizeof word || text[0] < '0' || text[0] > '9')
		return false;
	memcpy(word, text, n);
	word[n] = '\0';
	long value = strtol(word, &end, 10);
	*out = (int)value;
	return *end == '\0' && value >= least && value <= most;
}

/* HOST, HOST:PORT, [HOST] or [HOST]:PORT. Returns the wrong part's name, or NULL. */
static const char *take_address(struct redis *r, const char *text, size_t n)
{
	const char *host = text, *end = text + n, *colon = memchr(text, ':', n);
	if (n > 0 && text[0] == '[') {
		const char *close = memchr(text, ']', n);
		if (!close || (close + 1 < end && close[1] != ':'))
			return "host";
		host = text + 1;
		colon = close + 1 < end ? close + 1 : NULL;
		n = (size_t)(close - host);
	} else {
		n = (size_t)((colon ? colon : end) - host);
	}
	r->port = 6379;
	if (n == 0 || !take_word(host, n, r->host, sizeof r->host))
		return "host";
	if (colon && !take_number(colon + 1, (size_t)(end - colon - 1), 1, 65535, &r->port))
		return "port";
	return NULL;
}

static const char *take_url(struct redis *r, const char *rest)
{
	if (strncmp(rest, "//", 2) != 0)
		return "//";
	const char *begin = rest + 2, *slash = strchr(begin, '/');
	const char *end = slash ? slash : begin + strlen(begin), *at = NULL;
	for (const char *c = begin; c < end; c++)
		if (*c == '@')
			at = c;
	if (slash && slash[1] && !take_number(slash + 1, strlen(slash + 1), 0, 1 << 20, &r->database))
		return "database";
	if (at) {
		const char *colon = memchr(begin, ':', (size_t)(at - begin));
		if (!colon || !take_word(begin, (size_t)(colon - begin), r->user, sizeof r->user) ||
		    !take_word(colon + 1, (size_t)(at - colon - 1), r->password, sizeof r->password))
			return "USER:PASSWORD";
		begin = at + 1;
	}
	return take_address(r, begin, (size_t)(end - begin));
}

/* NAME=FILE&NAME=FILE. Returns the wrong part's name, or NULL. */
static const char *take_files(struct share_tls_files *files, const char *text)
{
	const struct {
		const char *name;
		char *file;
	} known[] = {{"ca=", files->ca}, {"cert=", files->cert}, {"key=", files->key}};
	while (*text) {
		size_t n = strcspn(text, "&"), i = 0;
		while (i < 3 && strncmp(text, known[i].name, strlen(known[i].name)) != 0)
			i++;
		size_t name = i < 3 ? strlen(known[i].name) : 0;
		if (i == 3 || !take_word(text + name, n - name, known[i].file, SHARE_TLS_FILE))
			return "ca=, cert= or key=";
		text += n + (text[n] == '&');
	}
	return NULL;
}

/* files: NULL without TLS. */
static clkv_status read_url(struct redis *r, const char *rest, struct share_tls_files *files,
                            clkv_error *error)
{
	const char *at = strrchr(rest, '@'), *query = strchr(at ? at : rest, '?');
	char *url = strdup(rest);
	if (!url)
		return share_fail_memory(error, strlen(rest) + 1);
	if (files && query)
		url[query - rest] = '\0';
	const char *wrong = take_url(r, url);
	free(url);
	if (!wrong && files && query)
		wrong = take_files(files, query + 1);
	return !wrong
	           ? CLKV_OK
	           : share_fail(error, CLKV_ERROR_INVALID_ARGUMENT,
	                        "the url's %s can't be read; allowed: "
	                        "redis%s://[USER:PASSWORD@]HOST[:PORT][/DATABASE]%s",
	                        wrong, files ? "s" : "", files ? "?ca=FILE[&cert=FILE&key=FILE]" : "");
}

static void redis_close(void *self);

static clkv_status open_url(const char *rest, struct share_tls_files *files,
                            const clkv_share_options *options, void **self, clkv_error *error)
{
	struct redis *r = calloc(1, sizeof *r);
	if (!r)
		return share_fail_memory(error, sizeof *r);
	clkv_status status = read_url(r, rest, files, error);
	if (status == CLKV_OK && files)
		status = share_tls_open(r->host, files, &r->tls, error);
	if (status != CLKV_OK) {
		redis_close(r);
		return status;
	}
	r->timeout_ms = options->timeout_ms;
	r->retry_ms = options->retry_ms;
	r->most = options->max_chunk_bytes + SLACK;
	*self = r;
	return CLKV_OK;
}

static clkv_status redis_open(const char *rest, const clkv_share_options *options, void **self,
                              clkv_error *error)
{
	return open_url(rest, NULL, options, self, error);
}

static clkv_status rediss_open(const char *rest, const clkv_share_options *options, void **self,
                               clkv_error *error)
{
	struct share_tls_files files = {.ca = ""};
	return open_url(rest, &files, options, self, error);
}

static void disconnect(struct redis *r)
{
	if (r->connection)
		redisFree(r->connection);
	r->connection = NULL;
}

static void redis_close(void *self)
{
	struct redis *r = self;
	disconnect(r);
	share_tls_close(r->tls);
	memset(r->password, 0, sizeof r->password);
	free(r);
}

/* ---------------------------------------------------------------- the wire ---- */

/* Writing to a connection that the server has closed raises a signal, which is no business of the process. */
struct pipe_guard {
	sigset_t before, pipe;
	bool pending;
};

static void guard_begin(struct pipe_guard *g)
{
	sigset_t pending;
	sigemptyset(&g->pipe);
	sigaddset(&g->pipe, SIGPIPE);
	g->pending = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &g->pipe, &g->before);
}

static void guard_end(const struct pipe_guard *g)
{
	static const struct timespec none = {0, 0};
	while (!g->pending && sigtimedwait(&g->pipe, NULL, &none) == SIGPIPE)
		;
	pthread_sigmask(SIG_SETMASK, &g->before, NULL);
}

/* The connection is of no use any more. */
static clkv_status fail_wire(struct redis *r, const char *what, clkv_error *error)
{
	clkv_status status = share_fail(error, CLKV_ERROR_IO, "%s:%d %s", r->host, r->port, what);
	snprintf(r->why, sizeof r->why, "%s", what);
	disconnect(r);
	r->down_until = seconds() + r->retry_ms * 1e-3;
	return status;
}

static clkv_status flush(struct redis *r, clkv_error *error)
{
	double until = seconds() + r->timeout_ms * 1e-3;
	int done = 0, code = REDIS_OK;
	while (!done && code == REDIS_OK) {
		size_t left = sdslen(r->connection->obuf);
		code = redisBufferWrite(r->connection, &done);
		if (sdslen(r->connection->obuf) < left)
			until = seconds() + r->timeout_ms * 1e-3;
		else if (!done && seconds() > until)
			break;
	}
	if (code != REDIS_OK || !done)
		return fail_wire(
			r, code != REDIS_OK ? r->connection->errstr : "doesn't take what it's sent", error);
	return CLKV_OK;
}

/* The next answer, in time and no larger than it may be; any type. */
static clkv_status receive(struct redis *r, redisReply **out, clkv_error *error)
{
	redisContext *c = r->connection;
	void *reply = NULL;
	double until = seconds() + r->timeout_ms * 1e-3;
	for (;;) {
		if (redisReaderGetReply(c->reader, &reply) != REDIS_OK)
			return fail_wire(r, "doesn't speak the protocol", error);
		if (reply)
			break;
		size_t waiting = c->reader->len - c->reader->pos;
		if (waiting > r->most)
			return fail_wire(r, "sends more than max_chunk_bytes", error);
		if (seconds() > until)
			return fail_wire(r, "doesn't answer in time", error);
		if (redisBufferRead(c) != REDIS_OK)
			return fail_wire(r, c->errstr[0] ? c->errstr : "has gone", error);
		/* a large answer may take long, as long as it comes */
		if (c->reader->len - c->reader->pos > waiting + SLACK / 8)
			until = seconds() + r->timeout_ms * 1e-3;
	}
	r->answered = true;
	*out = reply;
	return CLKV_OK;
}

/* An answer of a type; an error of the server's is told, and the connection stays. */
static clkv_status expect(struct redis *r, int type, redisReply **out, clkv_error *error)
{
	redisReply *reply;
	SHARE_TRY(receive(r, &reply, error));
	if (reply->type == REDIS_REPLY_ERROR) {
		clkv_status status =
			share_fail(error, CLKV_ERROR_IO, "%s:%d answers: %s", r->host, r->port, reply->str);
		freeReplyObject(reply);
		return status;
	}
	if (reply->type != type && !(type == REDIS_REPLY_STRING && reply->type == REDIS_REPLY_NIL)) {
		freeReplyObject(reply);
		return fail_wire(r, "gives an answer of another kind than was asked for", error);
	}
	*out = reply;
	return CLKV_OK;
}

static clkv_status request(struct redis *r, int n, const char **words, const size_t *sizes,
                           clkv_error *error)
{
	if (redisAppendCommandArgv(r->connection, n, words, sizes) != REDIS_OK)
		return fail_wire(r, "can't be sent that much", error);
	return CLKV_OK;
}

/* Words without zero bytes in them. */
static clkv_status request_words(struct redis *r, int n, const char **words, clkv_error *error)
{
	size_t sizes[8];
	for (int i = 0; i < n; i++)
		sizes[i] = strlen(words[i]);
	return request(r, n, words, sizes, error);
}

static clkv_status command(struct redis *r, int n, const char **words, int type, redisReply **out,
                           clkv_error *error)
{
	SHARE_TRY(request_words(r, n, words, error));
	SHARE_TRY(flush(r, error));
	return expect(r, type, out, error);
}

static clkv_status command_ok(struct redis *r, int n, const char **words, clkv_error *error)
{
	redisReply *reply;
	SHARE_TRY(command(r, n, words, REDIS_REPLY_STATUS, &reply, error));
	freeReplyObject(reply);
	return CLKV_OK;
}

static clkv_status introduce(struct redis *r, clkv_error *error)
{
	char number[16];
	const char *with_user[] = {"AUTH", r->user, r->password};
	const char *without[] = {"AUTH", r->password};
	const char *select[] = {"SELECT", number};
	if (r->user[0])
		SHARE_TRY(command_ok(r, 3, with_user, error));
	else if (r->password[0])
		SHARE_TRY(command_ok(r, 2, without, error));
	snprintf(number, sizeof number, "%d", r->database);
	return r->database > 0 ? command_ok(r, 2, select, error) : CLKV_OK;
}

static clkv_status reach(struct redis *r, clkv_error *error)
{
	struct timeval wait = {(time_t)(r->timeout_ms / 1000),
	                       (suseconds_t)(r->timeout_ms % 1000) * 1000};
	if (r->connection)
		return CLKV_OK;
	if (seconds() < r->down_until)
		return share_fail(error, CLKV_ERROR_IO, "%s:%d isn't asked, as it %s a moment ago", r->host,
		                  r->port, r->why);
	r->connection = redisConnectWithTimeout(r->host, r->port, wait);
	if (!r->connection)
		return share_fail_memory(error, sizeof *r->connection);
	if (r->connection->err)
		return fail_wire(r, r->connection->errstr, error);
	redisSetTimeout(r->connection, wait);
#if HIREDIS_MAJOR >= 1 /* older ones nest seven lists at most */
	r->connection->reader->maxelements = MOST_ELEMENTS;
#endif
	if (r->tls && !share_tls_begin(r->tls, r->connection))
		return fail_wire(r, r->connection->errstr, error);
	clkv_status status = introduce(r, error);
	if (status != CLKV_OK)
		disconnect(r); /* who isn't let in asks anew each time: that is told */
	return status;
}

typedef clkv_status (*operation)(struct redis *r, void *arguments, clkv_error *error);

/* Runs an operation; once more if a connection of an earlier call is gone before it answered anything. */
static clkv_status try(struct redis *r, operation of, void *arguments, clkv_error *error)
{
	clkv_error why = {.position = -1};
	bool old = r->connection != NULL;
	r->answered = false;
	SHARE_TRY(reach(r, error));
	clkv_status status = of(r, arguments, &why);
	if (status == CLKV_ERROR_IO && old && !r->answered && !r->connection) {
		r->down_until = 0;
		why = (clkv_error){.position = -1};
		status = reach(r, &why);
		if (status == CLKV_OK)
			status = of(r, arguments, &why);
	}
	return status == CLKV_OK ? status : share_fail(error, status, "%s", why.text);
}

static clkv_status run(struct redis *r, operation of, void *arguments, clkv_error *error)
{
	struct pipe_guard guard;
	guard_begin(&guard);
	clkv_status status = try(r, of, arguments, error);
	guard_end(&guard);
	return status;
}

/* ---------------------------------------------------------------- chunks ---- */

static void key_name(const struct share_key *key, char name[KEY_ROOM])
{
	char text[2 * SHARE_KEY_BYTES + 1];
	share_key_print(key, text);
	snprintf(name, KEY_ROOM, "%s%s", prefix, text);
}

static clkv_status request_key(struct redis *r, const char *verb, const struct share_key *key,
                               clkv_error *error)
{
	char name[KEY_ROOM];
	const char *words[] = {verb, name};
	key_name(key, name);
	return request_words(r, 2, words, error);
}

/* What has and get are asked. */
struct asking {
	const struct share_key *keys;
	size_t n;
	bool *found;
	share_take_fn take;
	void *opaque;
};

static clkv_status has_some(struct redis *r, const struct asking *a, size_t from, size_t to,
                            clkv_error *error)
{
	for (size_t i = from; i < to; i++)
		SHARE_TRY(request_key(r, "EXISTS", &a->keys[i], error));
	SHARE_TRY(flush(r, error));
	for (size_t i = from; i < to; i++) {
		redisReply *reply;
		SHARE_TRY(expect(r, REDIS_REPLY_INTEGER, &reply, error));
		a->found[i] = reply->integer > 0;
		freeReplyObject(reply);
	}
	return CLKV_OK;
}

static clkv_status has_all(struct redis *r, void *arguments, clkv_error *error)
{
	const struct asking *a = arguments;
	for (size_t i = 0; i < a->n; i += WORDS_AHEAD)
		SHARE_TRY(has_some(r, a, i, i + WORDS_AHEAD < a->n ? i + WORDS_AHEAD : a->n, error));
	return CLKV_OK;
}

static clkv_status redis_has(void *self, const struct share_key *keys, size_t n, bool *found,
                             clkv_error *error)
{
	struct asking a = {.keys = keys, .n = n, .found = found};
	return n > 0 ? run(self, has_all, &a, error) : CLKV_OK;
}

/* Answers that nobody wants any more, so that the next call gets its own. */
static void drain(struct redis *r, size_t n)
{
	for (; n > 0 && r->connection; n--) {
		redisReply *reply;
		if (receive(r, &reply, NULL) == CLKV_OK)
			freeReplyObject(reply);
	}
}

/* All keys are asked for before the first answer is read. */
static clkv_status get_all(struct redis *r, void *arguments, clkv_error *error)
{
	const struct asking *a = arguments;
	clkv_status status = CLKV_OK;
	size_t sent = 0, i = 0;
	for (; sent < a->n && status == CLKV_OK; sent++)
		status = request_key(r, "GET", &a->keys[sent], error);
	if (status == CLKV_OK)
		status = flush(r, error);
	for (bool on = true; i < a->n && on && status == CLKV_OK; i++) {
		redisReply *reply = NULL;
		status = expect(r, REDIS_REPLY_STRING, &reply, error);
		if (status == CLKV_OK)
			on = reply->type == REDIS_REPLY_STRING &&
			     a->take(a->opaque, i, (const unsigned char *)reply->str, reply->len);
		freeReplyObject(reply);
	}
	drain(r, sent - i);
	return status;
}

static clkv_status redis_get(void *self, const struct share_key *keys, size_t n, share_take_fn take,
                             void *opaque, clkv_error *error)
{
	struct asking a = {.keys = keys, .n = n, .take = take, .opaque = opaque};
	return n > 0 ? run(self, get_all, &a, error) : CLKV_OK;
}

struct sending {
	const struct share_key *key;
	const struct share_blob *blob;
};

static clkv_status set_one(struct redis *r, void *arguments, clkv_error *error)
{
	const struct sending *s = arguments;
	char name[KEY_ROOM];
	redisReply *reply;
	key_name(s->key, name);
	const char *words[] = {"SET", name, (const char *)s->blob->data};
	const size_t sizes[] = {3, strlen(name), s->blob->size};
	SHARE_TRY(request(r, 3, words, sizes, error));
	SHARE_TRY(flush(r, error));
	SHARE_TRY(expect(r, REDIS_REPLY_STATUS, &reply, error));
	freeReplyObject(reply);
	return CLKV_OK;
}

static clkv_status redis_put(void *self, const struct share_key *key, const struct share_blob *blob,
                             clkv_error *error)
{
	struct sending s = {key, blob};
	return run(self, set_one, &s, error);
}

static clkv_status delete_one(struct redis *r, void *arguments, clkv_error *error)
{
	redisReply *reply;
	SHARE_TRY(request_key(r, "DEL", arguments, error));
	SHARE_TRY(flush(r, error));
	SHARE_TRY(expect(r, REDIS_REPLY_INTEGER, &reply, error));
	freeReplyObject(reply);
	return CLKV_OK;
}

static clkv_status redis_drop(void *self, const struct share_key *key, clkv_error *error)
{
	struct share_key copy = *key;
	return run(self, delete_one, &copy, error);
}

/* ---------------------------------------------------------------- lists ---- */

struct walking {
	share_each_fn fn;
	void *opaque;
};

/* Size and age of one key; a server that evicts by use, not by age, tells no age: 0. */
static clkv_status show_one(struct redis *r, const char *name, const struct walking *w, bool *on,
                            clkv_error *error)
{
	const char *size[] = {"STRLEN", name}, *idle[] = {"OBJECT", "IDLETIME", name};
	struct share_key key;
	redisReply *bytes, *age;
	if (strncmp(name, prefix, sizeof prefix - 1) != 0 ||
	    !share_key_read(name + sizeof prefix - 1, &key))
		return CLKV_OK;
	SHARE_TRY(request_words(r, 3, idle, error));
	SHARE_TRY(request_words(r, 2, size, error));
	SHARE_TRY(flush(r, error));
	SHARE_TRY(receive(r, &age, error));
	double seconds_idle = age->type == REDIS_REPLY_INTEGER ? (double)age->integer : 0.0;
	freeReplyObject(age);
	SHARE_TRY(expect(r, REDIS_REPLY_INTEGER, &bytes, error));
	if (bytes->integer > 0)
		*on = w->fn(w->opaque, &key, (uint64_t)bytes->integer, seconds_idle);
	freeReplyObject(bytes);
	return CLKV_OK;
}

/* A page of keys, and where the next one begins. */
static clkv_status show_page(struct redis *r, const redisReply *page, char cursor[32],
                             const struct walking *w, bool *on, clkv_error *error)
{
	if (page->elements != 2 || page->element[0]->type != REDIS_REPLY_STRING ||
	    page->element[1]->type != REDIS_REPLY_ARRAY)
		return fail_wire(r, "gives a list of another form than was asked for", error);
	snprintf(cursor, 32, "%s", page->element[0]->str);
	const redisReply *names = page->element[1];
	for (size_t i = 0; i < names->elements && *on; i++)
		if (names->element[i]->type == REDIS_REPLY_STRING)
			SHARE_TRY(show_one(r, names->element[i]->str, w, on, error));
	return CLKV_OK;
}

static clkv_status walk(struct redis *r, void *arguments, clkv_error *error)
{
	char cursor[32] = "0";
	const char *words[] = {"SCAN", cursor, "MATCH", "clkv:*", "COUNT", "500"};
	bool on = true;
	for (size_t pages = 0; on && pages < MOST_PAGES; pages++) {
		redisReply *page;
		SHARE_TRY(command(r, 6, words, REDIS_REPLY_ARRAY, &page, error));
		clkv_status status = show_page(r, page, cursor, arguments, &on, error);
		freeReplyObject(page);
		SHARE_TRY(status);
		if (strcmp(cursor, "0") == 0)
			break;
	}
	return CLKV_OK;
}

static clkv_status redis_each(void *self, share_each_fn fn, void *opaque, clkv_error *error)
{
	struct walking w = {fn, opaque};
	return run(self, walk, &w, error);
}

/* Schemes differ in how a connection is opened. */
#define BACKEND(name, opens)                                                                       \
	{                                                                                              \
		.scheme = name, .open = opens, .close = redis_close, .has = redis_has, .get = redis_get,   \
		.put = redis_put, .drop = redis_drop, .each = redis_each                                   \
	}

const struct share_backend share_redis = BACKEND("redis", redis_open);
const struct share_backend share_rediss = BACKEND("rediss", rediss_open);
