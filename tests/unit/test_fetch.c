/* The HTTP client against bytes on a socket: addresses, statuses, headers, paging, what goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/api.h"
#include "common/base/cleanup.h"

static void addresses(void **state)
{
	static const struct {
		const char *address, *base;
	} good[] = {
		{":8080", "http://127.0.0.1:8080"},
		{"8080", "http://127.0.0.1:8080"},
		{"*:81", "http://127.0.0.1:81"},
		{"0.0.0.0:81", "http://127.0.0.1:81"},
		{"[::]:81", "http://[::1]:81"},
		{"[2001:db8::1]:81", "http://[2001:db8::1]:81"},
		{"[2001:db8::1]", "http://[2001:db8::1]:8080"},
		{"192.0.2.1", "http://192.0.2.1:8080"},
		{"localhost:9", "http://localhost:9"},
		{"http://example.org:8080/", "http://example.org:8080"},
		{"https://example.org", "https://example.org"},
	};
	static const char *const bad[] = {
		"", ":", ":http", ":0", ":65536", ":123456", "host:", "a b:80", "host/path", "user@host:80"};
	char base[PS_FETCH_BASE_SIZE];

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(good); i++) {
		assert_int_equal(ps_fetch_address(good[i].address, base), 0);
		assert_string_equal(base, good[i].base);
	}
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++)
		if (ps_fetch_address(bad[i], base) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
}

/* Answers one connection after the other: each request is kept, each answer is the next of a list. */
struct server {
	int fd;
	pthread_t thread;
	const char *const *answers;
	size_t n;
	char seen[8][2048];
};

static void *serve(void *arg)
{
	struct server *s = arg;

	for (size_t i = 0; i < s->n; i++) {
		_cleanup_close_ int fd = accept(s->fd, NULL, NULL);
		size_t len = 0;
		ssize_t n;

		while (fd >= 0 && len < sizeof(s->seen[i]) - 1 &&
			(n = read(fd, s->seen[i] + len, sizeof(s->seen[i]) - 1 - len)) > 0) {
			len += (size_t)n;
			s->seen[i][len] = '\0';
			if (strstr(s->seen[i], "\r\n\r\n"))
				break;
		}
		(void)!write(fd, s->answers[i], strlen(s->answers[i]));
	}
	return NULL;
}

static struct ps_fetch *start(struct server *s, const char *const *answers, size_t n)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	struct ps_fetch *fetch = NULL;
	char text[32];

	memset(s, 0, sizeof(*s));
	s->answers = answers;
	s->n = n;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&addr, &len), 0);
	(void)snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(addr.sin_port));
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	assert_int_equal(ps_fetch_new(text, &fetch, NULL), 0);
	return fetch;
}

static void stop(struct server *s)
{
	(void)pthread_join(s->thread, NULL);
	ps_closep(&s->fd);
}

#define OK(headers, body) "HTTP/1.1 200 OK\r\nConnection: close\r\n" headers "\r\n" body

static void pages_are_joined(void **state)
{
	static const char *const answers[] = {
		OK("X-Total-Count: 2500\r\nLink: </api/connections?limit=1000&cursor=a%3Db>; rel=\"next\"\r\n",
			" [1, 2]\n"),
		OK("X-Total-Count: 2501\r\nLink: </x?limit=1>; rel=\"first\", </api/connections?cursor=c&limit=1000>; "
		   "rel=\"next\"\r\n",
			"[]"),
		OK("X-Total-Count: 2502\r\n", "[3]"),
	};
	_cleanup_(ps_fetch_free) struct ps_fetch *fetch = NULL;
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	struct ps_error err = {0};
	struct server s;
	uint64_t total = 0;

	(void)state;
	fetch = start(&s, answers, 3);
	assert_int_equal(ps_api_list(fetch, "/api/connections?proto=tcp", 2100, &text, &total, &err), 0);
	stop(&s);
	assert_string_equal(ps_buf_str(&text), "[1, 2,3]");
	assert_int_equal(total, 2502);
	assert_non_null(strstr(s.seen[0], "GET /api/connections?proto=tcp&limit=1000 HTTP/1.1\r\n"));
	assert_non_null(strstr(s.seen[1], "GET /api/connections?proto=tcp&limit=1000&cursor=a%3Db HTTP/1.1\r\n"));
	assert_non_null(strstr(s.seen[2], "GET /api/connections?proto=tcp&limit=100&cursor=c HTTP/1.1\r\n"));
}

static void problems_become_errors(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/problem+json\r\n\r\n"
		"{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"detail\":\"must be below "
		"256\",\"code\":\"bad_value\","
		"\"field\":\"icmp_type\"}",
		"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n<html>",
		OK("", "{\"no\": \"list\"}"),
	};
	_cleanup_(ps_fetch_free) struct ps_fetch *fetch = NULL;
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	struct ps_error err = {0};
	struct server s;
	uint64_t total;

	(void)state;
	fetch = start(&s, answers, 3);
	assert_int_equal(ps_api_call(fetch, "POST", "/api/filters", "{\"a\":1}", NULL, &err), -EPROTO);
	assert_int_equal(err.status, 400);
	assert_string_equal(err.field, "icmp_type");
	assert_string_equal(err.message, "must be below 256");
	assert_string_equal(err.code, "bad_value");
	assert_int_equal(ps_api_call(fetch, "GET", "/", NULL, NULL, &err), -EPROTO);
	assert_int_equal(err.status, 502);
	assert_int_equal(ps_api_list(fetch, "/api/connections", 10, &text, &total, &err), -EPROTO);
	stop(&s);
	assert_non_null(strstr(s.seen[0], "POST /api/filters HTTP/1.1\r\n"));
	assert_non_null(strstr(s.seen[0], "Content-Type: application/json\r\n"));
}

static void the_token_is_sent(void **state)
{
	static const char *const answers[] = {OK("", "{}")};
	_cleanup_(ps_fetch_free) struct ps_fetch *fetch = NULL;
	struct ps_error err = {0};
	struct server s;

	(void)state;
	fetch = start(&s, answers, 1);
	assert_int_equal(ps_fetch_token(fetch, "two words"), -EINVAL);
	assert_int_equal(ps_fetch_token(fetch, "a\r\nX-Evil: 1"), -EINVAL);
	assert_int_equal(ps_fetch_token(fetch, ""), -EINVAL);
	assert_int_equal(ps_fetch_token(fetch, "0123456789abcdef"), 0);
	assert_int_equal(ps_api_call(fetch, "GET", "/", NULL, NULL, &err), 0);
	stop(&s);
	assert_non_null(strstr(s.seen[0], "Authorization: Bearer 0123456789abcdef\r\n"));
	assert_null(strstr(s.seen[0], "X-Evil"));
}

static void nobody_there(void **state)
{
	static const char *const none[1];
	_cleanup_(ps_fetch_free) struct ps_fetch *fetch = NULL;
	struct ps_error err = {0};
	struct server s;

	(void)state;
	fetch = start(&s, none, 0);
	stop(&s);
	assert_int_equal(ps_api_call(fetch, "GET", "/", NULL, NULL, &err), -ECONNREFUSED);
	assert_string_equal(err.code, "unreachable");
	assert_non_null(strstr(err.message, "packetscope up"));
}

static void silence_and_cancel(void **state)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *fetch = NULL;
	static atomic_int cancel;
	struct ps_error err = {0};
	struct server s;

	(void)state;
	fetch = start(&s, NULL, 0); /* listens, never accepts */
	ps_fetch_limit(fetch, 200, NULL);
	assert_int_equal(ps_api_call(fetch, "GET", "/", NULL, NULL, &err), -ETIMEDOUT);
	assert_string_equal(err.code, "no_answer");
	cancel = 1;
	ps_fetch_limit(fetch, 10000, &cancel);
	assert_int_equal(ps_api_call(fetch, "GET", "/", NULL, NULL, &err), -ECANCELED);
	stop(&s);
}

static void escapes(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	ps_fetch_escape(&out, "a b&c=/\xc3\xa4~");
	assert_string_equal(ps_buf_str(&out), "a%20b%26c%3D%2F%C3%A4~");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(pages_are_joined),
		cmocka_unit_test(problems_become_errors),
		cmocka_unit_test(the_token_is_sent),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(silence_and_cancel),
		cmocka_unit_test(escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
