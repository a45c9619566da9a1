/* SPDX-License-Identifier: MIT */
/**
 * \file    check_share_redis.c
 * \brief   A real server on the loopback address: chunks, clients that are killed, a server that is, and servers that lie.
 *
 * No device: chunks are bytes that say what they must be. The server's program is redis-server, or CLKV_REDIS_SERVER.
 */
#include "share/backend.h"
#include "share/chain.h"
#include "share/chunk.h"
#include "support/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PASSWORD "p@ss/word"
#define PASSWORD_URL "p%40ss%2Fword"

static pid_t server;
static int port;
static char folder[64];

static void sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

/* A socket that listens on a free port of the loopback address. */
static int listen_somewhere(int *on)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof a;
	int s = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(getsockname(s, (struct sockaddr *)&a, &n), 0);
	ck_assert_int_eq(listen(s, 16), 0);
	*on = ntohs(a.sin_port);
	return s;
}

static const char *program(void)
{
	const char *given = getenv("CLKV_REDIS_SERVER");
	return given ? given : "redis-server";
}

static void start_server(void)
{
	char number[16];
	snprintf(number, sizeof number, "%d", port);
	server = fork();
	if (server == 0) {
		freopen("/dev/null", "w", stdout);
		execlp(program(), program(), "--port", number, "--bind", "127.0.0.1", "--save", "",
		       "--appendonly", "no", "--dir", folder, "--requirepass", PASSWORD, (char *)NULL);
		_exit(127);
	}
}

static void stop_server(void)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	server = 0;
}

/* Another server than the tests': "redis://..." or "rediss://...", whose database is theirs. */
static const char *given_url(void)
{
	return getenv("CLKV_SHARE_STORE");
}

static clkv_status open_store(int at, const char *password, unsigned timeout, void **self)
{
	char rest[128];
	const char *url = given_url();
	clkv_share_options o = CLKV_INIT(clkv_share_options);
	o.max_chunk_bytes = 1 << 20;
	o.timeout_ms = timeout;
	o.retry_ms = 50;
	if (url && at == port) {
		const struct share_backend *b = url[5] == 's' ? &share_rediss : &share_redis;
		return b->open(strchr(url, ':') + 1, &o, self, NULL);
	}
	snprintf(rest, sizeof rest, "//%s%s@127.0.0.1:%d/1", ":", password, at);
	return share_redis.open(rest, &o, self, NULL);
}

/* A sealed chunk whose bytes follow from a number. */
static void make_chunk(uint32_t number, struct share_key *key, struct share_blob *blob)
{
	struct share_chunk chunk = {.kind = SHARE_CHUNK, .from = number, .to = number + 1};
	unsigned char bytes[64];
	blob->size = 0;
	memset(key, 0, sizeof *key);
	memcpy(key->bytes, &number, sizeof number);
	chunk.key = *key;
	memset(bytes, 0, sizeof bytes);
	ck_assert_uint_eq(share_blob_write(blob, bytes, sizeof bytes), sizeof bytes);
	ck_assert_uint_eq(share_blob_write(blob, bytes, SHARE_CHUNK_HEAD - sizeof bytes),
	                  SHARE_CHUNK_HEAD - sizeof bytes);
	memset(bytes, (int)(number * 37 % 251), sizeof bytes);
	for (uint32_t i = 0; i < 64 + number % 64; i++)
		ck_assert_uint_eq(share_blob_write(blob, bytes, sizeof bytes), sizeof bytes);
	share_chunk_seal(&chunk, blob);
}

/* What came for keys, against what must. */
struct expected {
	const struct share_key *keys;
	uint32_t first;
	size_t n;   /* came */
	bool wrong; /* one of them was another's, or damaged */
};

static bool take(void *opaque, size_t i, const unsigned char *data, size_t size)
{
	struct expected *e = opaque;
	struct share_chunk chunk;
	uint32_t number = e->first + (uint32_t)i;
	if (share_chunk_open(data, size, &e->keys[i], &chunk) != CLKV_SHARE_WHOLE ||
	    chunk.from != number || chunk.file.size != 64 * (64 + number % 64) ||
	    chunk.file.data[chunk.file.size - 1] != (unsigned char)(number * 37 % 251))
		e->wrong = true;
	e->n++;
	return !e->wrong;
}

static clkv_status put_number(void *self, uint32_t number, clkv_error *error)
{
	struct share_key key;
	struct share_blob blob = {0};
	make_chunk(number, &key, &blob);
	clkv_status status = share_redis.put(self, &key, &blob, error);
	share_blob_free(&blob);
	return status;
}

/* Chunks number first .. first + n - 1, at most 32; how many came, all right. */
static size_t get_numbers(void *self, uint32_t first, size_t n, clkv_status *status,
                          clkv_error *error)
{
	struct share_key keys[32];
	struct expected e = {.keys = keys, .first = first};
	struct share_blob blob = {0};
	for (size_t i = 0; i < n; i++)
		make_chunk(first + (uint32_t)i, &keys[i], &blob);
	share_blob_free(&blob);
	*status = share_redis.get(self, keys, n, take, &e, error);
	ck_assert(!e.wrong);
	return e.n;
}

/* Until the server answers. */
static void *reach_server(void)
{
	void *self = NULL;
	ck_assert_int_eq(open_store(port, PASSWORD_URL, 2000, &self), CLKV_OK);
	for (int i = 0; i < 200; i++) {
		bool found;
		const struct share_key none = {{0xff}};
		if (share_redis.has(self, &none, 1, &found, NULL) == CLKV_OK)
			return self;
		sleep_ms(60);
	}
	ck_abort_msg("%s doesn't answer on port %d", program(), port);
	return NULL;
}

static void setup(void)
{
	if (given_url()) {
		port = -1;
		return;
	}
	int s = listen_somewhere(&port);
	close(s);
	snprintf(folder, sizeof folder, "/tmp/clkv-redis-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	start_server();
}

static void teardown(void)
{
	stop_server();
	if (!given_url())
		rmdir(folder);
}

/* ---------------------------------------------------------------- a server as it should be ---- */

static bool add_bytes(void *opaque, const struct share_key *key, uint64_t bytes, double age)
{
	uint64_t *sum = opaque;
	ck_assert_uint_eq(key->bytes[31], 0);
	ck_assert_double_ge(age, 0);
	*sum += bytes;
	return true;
}

START_TEST(test_chunks_come_back)
{
	void *self = reach_server();
	clkv_error error = {.position = -1};
	clkv_status status;
	struct share_key keys[101];
	struct share_blob blob = {0};
	bool found[101];
	uint64_t sum = 0, bytes = 0, left;
	size_t removed;
	for (uint32_t i = 0; i < 101; i++) {
		make_chunk(i, &keys[i], &blob);
		bytes += i < 100 ? blob.size : 0;
	}
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(put_number(self, i, &error), CLKV_OK);
	ck_assert_int_eq(share_redis.has(self, keys, 101, found, &error), CLKV_OK);
	for (size_t i = 0; i < 101; i++)
		ck_assert_int_eq(found[i], i < 100);
	ck_assert_uint_eq(get_numbers(self, 10, 32, &status, &error), 32);
	ck_assert_int_eq(status, CLKV_OK);
	/* up to the first that isn't there; answers to what was asked ahead don't get into the next call */
	ck_assert_int_eq(share_redis.drop(self, &keys[20], &error), CLKV_OK);
	ck_assert_uint_eq(get_numbers(self, 18, 10, &status, &error), 2);
	ck_assert_int_eq(status, CLKV_OK);
	ck_assert_uint_eq(get_numbers(self, 50, 5, &status, &error), 5);
	ck_assert_int_eq(put_number(self, 20, &error), CLKV_OK);
	ck_assert_int_eq(share_redis.each(self, add_bytes, &sum, &error), CLKV_OK);
	ck_assert_uint_eq(sum, bytes);
	ck_assert_int_eq(share_trim(&share_redis, self, bytes / 2, &removed, &left, &error), CLKV_OK);
	ck_assert_uint_le(left, bytes / 2);
	sum = 0;
	ck_assert_int_eq(share_redis.each(self, add_bytes, &sum, &error), CLKV_OK);
	ck_assert_uint_eq(sum, left);
	share_blob_free(&blob);
	share_redis.close(self);
}
END_TEST

START_TEST(test_who_is_not_let_in)
{
	void *self = reach_server();
	clkv_error error = {.position = -1};
	share_redis.close(self);
	ck_assert_int_eq(open_store(port, "wrong", 1000, &self), CLKV_OK);
	ck_assert_int_eq(put_number(self, 1, &error), CLKV_ERROR_IO);
	ck_assert_ptr_nonnull(strstr(error.text, "WRONGPASS"));
	ck_assert_ptr_null(strstr(error.text, "wrong\""));
	share_redis.close(self);
}
END_TEST

/* A restarted server has lost everything, and no call but those while it was away notices more. */
START_TEST(test_restart)
{
	void *self = reach_server();
	clkv_error error = {.position = -1};
	clkv_status status;
	ck_assert_int_eq(put_number(self, 7, &error), CLKV_OK);
	stop_server();
	ck_assert_uint_eq(get_numbers(self, 7, 1, &status, &error), 0);
	ck_assert_int_eq(status, CLKV_ERROR_IO);
	ck_assert_uint_gt(strlen(error.text), 10);
	start_server();
	void *other = reach_server();
	share_redis.close(other);
	sleep_ms(60); /* it isn't asked again for 50 */
	ck_assert_uint_eq(get_numbers(self, 7, 1, &status, NULL), 0);
	ck_assert_int_eq(status, CLKV_OK);
	ck_assert_int_eq(put_number(self, 7, NULL), CLKV_OK);
	/* a server that came back between two calls costs none of them anything */
	stop_server();
	start_server();
	share_redis.close(reach_server());
	ck_assert_int_eq(put_number(self, 7, NULL), CLKV_OK);
	ck_assert_uint_eq(get_numbers(self, 7, 1, &status, NULL), 1);
	share_redis.close(self);
}
END_TEST

/* ---------------------------------------------------------------- many clients ---- */

static long setting(const char *name, long usual)
{
	const char *text = getenv(name);
	return text ? atol(text) : usual;
}

static uint32_t draw(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* What the clients count together. */
struct tally {
	uint64_t done, asked, hit, failed;
};

/* Puts and gets until it has done so many; failures are the server's restarts. Ends with 1 if a chunk was wrong. */
static void client(uint32_t seed, long operations, int report)
{
	void *self = NULL;
	struct tally t = {0};
	alarm(240);
	if (open_store(port, PASSWORD_URL, 5000, &self) != CLKV_OK)
		_exit(2);
	for (long i = 0; i < operations; i++) {
		uint32_t number = draw(&seed) % 200;
		clkv_status status;
		if (draw(&seed) % 2) {
			status = put_number(self, number, NULL);
		} else {
			size_t n = 1 + draw(&seed) % 8;
			t.asked++;
			t.hit += get_numbers(self, number, n, &status, NULL) > 0;
		}
		t.done++;
		t.failed += status != CLKV_OK;
		if (status != CLKV_OK)
			sleep_ms(20);
	}
	share_redis.close(self);
	_exit(write(report, &t, sizeof t) == sizeof t ? 0 : 3);
}

static pid_t start_client(uint32_t seed, long operations, int report)
{
	pid_t pid = fork();
	if (pid == 0)
		client(seed, operations, report);
	return pid;
}

/* Clients put and get the same keys, some are killed in the middle and replaced, the server is restarted: nothing wrong is
 * ever read, and what was put is found. */
START_TEST(test_many_clients)
{
	enum { MOST = 256 };
	long n = setting("CLKV_SHARE_CLIENTS", 8), all = setting("CLKV_SHARE_OPERATIONS", 4000);
	pid_t pids[MOST];
	struct tally sum = {0}, t;
	int report[2], status;
	uint32_t seed = 1;
	n = n < 1 ? 1 : n > MOST ? MOST : n;
	ck_assert_int_eq(pipe(report), 0);
	share_redis.close(reach_server());
	for (long i = 0; i < n; i++)
		pids[i] = start_client(seed++ * 7919, all / n, report[1]);
	for (long i = 0; i < n / 4 + 1; i++) {
		sleep_ms(30);
		long who = i * 3 % n;
		kill(pids[who], SIGKILL);
		waitpid(pids[who], NULL, 0);
		pids[who] = start_client(seed++ * 7919, all / n, report[1]);
	}
	stop_server();
	sleep_ms(100);
	start_server();
	for (long i = 0; i < n; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "client %ld: status %x", i,
		              (unsigned)status);
		if (read(report[0], &t, sizeof t) == sizeof t) {
			sum.done += t.done;
			sum.asked += t.asked;
			sum.hit += t.hit;
			sum.failed += t.failed;
		}
	}
	printf("%ld clients, %llu operations: %llu of %llu gets found something, %llu calls met no "
	       "server\n",
	       n, (unsigned long long)sum.done, (unsigned long long)sum.hit,
	       (unsigned long long)sum.asked, (unsigned long long)sum.failed);
	ck_assert_uint_ge(sum.done, (uint64_t)(all / n * n));
	/* 200 keys fill in all/400 of the puts twice over: most gets find theirs, whatever the restart loses */
	ck_assert_uint_ge(sum.hit * 2, sum.asked);
	void *self = reach_server();
	clkv_status got;
	for (uint32_t i = 0; i < 200; i += 8)
		(void)get_numbers(self, i, 8, &got, NULL);
	ck_assert_int_eq(got, CLKV_OK);
	share_redis.close(self);
	close(report[0]);
	close(report[1]);
}
END_TEST

/* ---------------------------------------------------------------- servers that lie ---- */

/* What one answers to whatever it's sent; NULL ends. "" hangs up at once. */
static const struct lie {
	const char *what, *answer;
	bool repeats; /* without end */
} lies[] = {
	{"nothing", NULL, false},
	{"hangs up", "", false},
	{"no protocol", "HTTP/1.1 400 Bad Request\r\n\r\n", false},
	{"another kind", "+OK\r\n:1\r\n:1\r\n+OK\r\n*0\r\n", true},
	{"an error", "-LOADING I'm busy\x1b[31m\r\n", true},
	{"a length without end", "$99999999999999\r\nabc", false},
	{"more than announced", "$3\r\nabcdefgh", true},
	{"endless", "$536870912\r\n", false},
	{"an endless list", "*1000000\r\n", true},
	{"deep lists", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", false},
};
enum { LIES = sizeof lies / sizeof lies[0] };

static void lie(int on, const struct lie *l)
{
	static char filler[4096];
	alarm(60);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		char sink[4096];
		int c = accept(on, NULL, NULL);
		if (c < 0)
			_exit(0);
		if (l->answer && !l->answer[0]) {
			close(c);
			continue;
		}
		while (read(c, sink, sizeof sink) > 0) {
			if (!l->answer)
				continue;
			do
				if (write(c, l->answer, strlen(l->answer)) < 0)
					break;
			while (l->repeats && strcmp(l->what, "an endless list") == 0);
			while (strcmp(l->what, "endless") == 0 && write(c, filler, sizeof filler) > 0)
				;
		}
		close(c);
	}
}

/* Each call ends soon, with an error that names the server and no control characters, and nothing is found. */
START_TEST(test_lies)
{
	int at, on = listen_somewhere(&at);
	const struct lie *l = &lies[_i];
	void *self = NULL;
	clkv_error error = {.position = -1};
	clkv_status status;
	bool found = false;
	const struct share_key key = {{1}};
	pid_t pid = fork();
	if (pid == 0)
		lie(on, l);
	close(on);
	time_t begin = time(NULL);
	ck_assert_int_eq(open_store(at, "secret", 300, &self), CLKV_OK);
	ck_assert_uint_eq(get_numbers(self, 0, 8, &status, &error), 0);
	ck_assert_msg(status == CLKV_ERROR_IO, "%s: status %d", l->what, (int)status);
	ck_assert_msg(strstr(error.text, "127.0.0.1") != NULL, "%s", error.text);
	for (const char *c = error.text; *c; c++)
		ck_assert_msg((unsigned char)*c >= ' ', "a control character in: %s", error.text);
	sleep_ms(60);
	ck_assert_int_ne(share_redis.has(self, &key, 1, &found, NULL), CLKV_OK);
	sleep_ms(60);
	ck_assert_int_ne(put_number(self, 3, NULL), CLKV_OK);
	ck_assert_double_le(difftime(time(NULL), begin), 20);
	share_redis.close(self);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

/* Nobody is there; then it isn't asked again for a while. */
START_TEST(test_no_server)
{
	int at, on = listen_somewhere(&at);
	void *self = NULL;
	clkv_error error = {.position = -1};
	close(on);
	ck_assert_int_eq(open_store(at, "secret", 300, &self), CLKV_OK);
	ck_assert_int_eq(put_number(self, 3, &error), CLKV_ERROR_IO);
	ck_assert_ptr_nonnull(strstr(error.text, "refused"));
	error = (clkv_error){.position = -1};
	ck_assert_int_eq(put_number(self, 3, &error), CLKV_ERROR_IO);
	ck_assert_ptr_nonnull(strstr(error.text, "moment ago"));
	share_redis.close(self);
}
END_TEST

START_TEST(test_urls)
{
	static const struct {
		const char *rest;
		bool good;
	} urls[] = {
		{"//host", true},
		{"//host:1", true},
		{"//[::1]:7000/3", true},
		{"//[::1]", true},
		{"//user:word%2f@host", true},
		{"//:@host", true},
		{"//a:b@c@host", true},
		{"host", false},
		{"//", false},
		{"//host:", false},
		{"//host:0", false},
		{"//host:65536", false},
		{"//host:1x", false},
		{"//host/x", false},
		{"//user@host", false},
		{"//:%4@host", false},
		{"//:%00@host", false},
		{"//[::1", false},
		{"//[::1]7", false},
	};
	clkv_share_options o = CLKV_INIT(clkv_share_options);
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		void *self = NULL;
		clkv_error error = {.position = -1};
		clkv_status status = share_redis.open(urls[i].rest, &o, &self, &error);
		ck_assert_msg((status == CLKV_OK) == urls[i].good, "%s: %s", urls[i].rest, error.text);
		ck_assert_int_eq(status, urls[i].good ? CLKV_OK : CLKV_ERROR_INVALID_ARGUMENT);
		if (self)
			share_redis.close(self);
	}
}
END_TEST

/* Of urls of TLS; where it isn't built in, those that can be read are refused for that. */
START_TEST(test_tls_urls)
{
	static const struct {
		const char *rest, *says;
	} urls[] = {
		{"//host?ca=/no/such/file", "/no/such/file"},
		{"//u:p%3F@host/1?ca=/nosuch", "/nosuch"},
		{"//host?ca=%2Fnosuch", "/nosuch"},
		{"//host", "ca="},
		{"//host?ca=/nosuch&cert=/c", "key="},
		{"//host?cafile=/x", "can't be read"},
		{"//host?ca=%4", "can't be read"},
		{"//host:0?ca=/x", "can't be read"},
	};
	clkv_share_options o = CLKV_INIT(clkv_share_options);
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		void *self = NULL;
		clkv_error error = {.position = -1};
		clkv_status status = share_rediss.open(urls[i].rest, &o, &self, &error);
#ifndef HAVE_HIREDIS_SSL
		if (strcmp(urls[i].says, "can't be read") != 0) {
			ck_assert_int_eq(status, CLKV_ERROR_UNSUPPORTED);
			ck_assert_ptr_nonnull(strstr(error.text, "without hiredis_ssl"));
			continue;
		}
#endif
		ck_assert_int_eq(status, CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_msg(strstr(error.text, urls[i].says) != NULL, "%s: %s", urls[i].rest, error.text);
	}
}
END_TEST

int main(void)
{
	char command[256];
	Suite *s = suite_create("share redis");
	TCase *t = tcase_create("lies");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_lies, 0, LIES);
	tcase_add_test(t, test_no_server);
	tcase_add_test(t, test_urls);
	tcase_add_test(t, test_tls_urls);
	suite_add_tcase(s, t);
	snprintf(command, sizeof command, "command -v '%s' >/dev/null", program());
	if (system(command) == 0) {
		t = tcase_create("server");
		tcase_set_timeout(t, 300);
		tcase_add_checked_fixture(t, setup, teardown);
		tcase_add_test(t, test_chunks_come_back);
		if (!given_url()) {
			tcase_add_test(t, test_who_is_not_let_in);
			tcase_add_test(t, test_restart);
			tcase_add_test(t, test_many_clients);
		}
		suite_add_tcase(s, t);
	} else {
		printf("SKIPPED: what needs %s, which isn't here\n", program());
	}
	return run_suite(s);
}
