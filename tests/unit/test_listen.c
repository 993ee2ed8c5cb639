/* --api and the socket made from it. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>
#include <sys/wait.h>
#include <sys/socket.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/listen.h"

static void parses(void **state)
{
	static const struct {
		const char *text;
		const char *addr; /* "" = every */
		uint16_t port;
		bool loopback;
		const char *url;
	} cases[] = {
		{"127.0.0.1:8080", "127.0.0.1", 8080, true, "http://127.0.0.1:8080/"},
		{":8080", "", 8080, false, "http://127.0.0.1:8080/"},
		{"*:80", "", 80, false, "http://127.0.0.1:80/"},
		{"0.0.0.0:8080", "0.0.0.0", 8080, false, "http://127.0.0.1:8080/"},
		{"[::]:8080", "", 8080, false, "http://127.0.0.1:8080/"},
		{"[::1]:8080", "::1", 8080, true, "http://[::1]:8080/"},
		{"localhost:8080", "127.0.0.1", 8080, true, "http://127.0.0.1:8080/"},
		{"8080", "127.0.0.1", 8080, true, "http://127.0.0.1:8080/"},
		{"127.1.2.3:0", "127.1.2.3", 0, true, "http://127.1.2.3:0/"},
		{"192.0.2.1:65535", "192.0.2.1", 65535, false, "http://192.0.2.1:65535/"},
		{"[2001:db8::1]:1", "2001:db8::1", 1, false, "http://[2001:db8::1]:1/"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		struct ps_listen l;
		char text[PS_ADDR_TEXT], url[PS_LISTEN_URL];

		assert_int_equal(ps_listen_parse(cases[i].text, &l, NULL), 0);
		assert_string_equal(ps_addr_format(&l.addr, text), cases[i].addr);
		assert_int_equal(l.port, cases[i].port);
		assert_int_equal(ps_listen_is_loopback(&l), cases[i].loopback);
		assert_string_equal(ps_listen_url(&l, l.port, false, url), cases[i].url);
	}
}

static void refuses(void **state)
{
	static const char *const bad[] = {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
		"127.0.0.1:99999999999999999999", "127.0.0.1:-1", "127.0.0.1:8080x", ":80 ", "::1:8080",
		"[127.0.0.1]:80", "[::1]", "[]:80", "host.example:80", "http://127.0.0.1:80", "127.0.0.256:80",
		"localhost"};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
		struct ps_listen l = {.port = 7};
		struct ps_error err = {0};

		assert_int_equal(ps_listen_parse(bad[i], &l, &err), -EINVAL);
		assert_string_equal(err.field, "api");
		assert_int_equal(l.port, 7);
	}
}

static void opens_and_tells_what_is_wrong(void **state)
{
	_cleanup_close_ int fd = -1, second = -1;
	struct ps_listen l;
	struct ps_error err = {0};
	uint16_t port = 0, other = 0;

	(void)state;
	assert_int_equal(ps_listen_parse("127.0.0.1:0", &l, NULL), 0);
	assert_int_equal(ps_listen_open(&l, &fd, &port, NULL), 0);
	assert_true(port > 0);
	l.port = port;
	assert_int_equal(ps_listen_open(&l, &second, &other, &err), -EADDRINUSE);
	assert_string_equal(err.code, "address_in_use");
	assert_int_equal(second, -1);
	assert_int_equal(ps_listen_parse("192.0.2.77:0", &l, NULL), 0);
	assert_int_equal(ps_listen_open(&l, &second, &other, &err), -EADDRNOTAVAIL);
	assert_string_equal(err.field, "api");
}

static void every_address(void **state)
{
	_cleanup_close_ int fd = -1;
	struct ps_listen l;
	uint16_t port = 0;

	(void)state;
	assert_int_equal(ps_listen_parse(":0", &l, NULL), 0);
	assert_int_equal(ps_listen_open(&l, &fd, &port, NULL), 0);
	assert_true(fd >= 0 && port > 0);
}

/* A server of one answer. */
static pid_t answer(int fd, const char *text)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char question[128];
	int client;

	(void)poll(&p, 1, 5000);
	client = accept(fd, NULL, NULL);
	if (client < 0 || recv(client, question, sizeof(question), 0) <= 0)
		_exit(1);
	_exit(send(client, text, strlen(text), 0) < 0);
}

static void asks_whether_it_answers(void **state)
{
	_cleanup_close_ int fd = -1;
	struct ps_listen l;
	struct ps_error err = {0};
	uint16_t port = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(ps_listen_parse("127.0.0.1:0", &l, NULL), 0);
	assert_int_equal(ps_listen_open(&l, &fd, &port, NULL), 0);
	l.port = port;
	pid = answer(fd, "HTTP/1.1 503 Service Unavailable\r\n\r\n");
	assert_int_equal(ps_listen_ask(&l, false, 5000, &err), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	pid = answer(fd, "SSH-2.0-dropbear\r\n");
	assert_int_equal(ps_listen_ask(&l, false, 5000, &err), -EPROTO);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* Accepted by the kernel, and then nothing. */
	assert_true(ps_listen_ask(&l, false, 50, &err) < 0);
	ps_closep(&fd);
	assert_int_equal(ps_listen_ask(&l, false, 50, &err), -ECONNREFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses),
		cmocka_unit_test(refuses),
		cmocka_unit_test(opens_and_tells_what_is_wrong),
		cmocka_unit_test(every_address),
		cmocka_unit_test(asks_whether_it_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
