#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/base/cleanup.h"
#include "common/bus/service.h"
#include "tempdir.h"

#define MS 1000000ull

/* Binds what systemd would name in NOTIFY_SOCKET: a path, or with '@' a name without a file. */
static int manager(const char *name)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(sa.sun_path, name, strlen(name));
	if (name[0] == '@')
		sa.sun_path[0] = '\0';
	assert_true(fd >= 0);
	assert_int_equal(
		bind(fd, (struct sockaddr *)&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
		0);
	return fd;
}

/* The next word; "" = none waits. */
static const char *heard(int fd)
{
	static char text[64];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static int stop(void *arg)
{
	ps_loop_stop(arg);
	return 0;
}

static void run_for(uint64_t ns)
{
	_cleanup_(ps_loop_free) struct ps_loop *loop = NULL;

	assert_int_equal(ps_loop_new(&loop), 0);
	assert_int_equal(ps_loop_add_timer(loop, ns, stop, loop, NULL), 0);
	assert_int_equal(ps_service_run(loop), 0);
}

static void says_ready_alive_and_stopping(void **state)
{
	const char *names[] = {tempdir_path("", "notify"), tempdir_path("@", "notify")};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_close_ int fd = manager(names[i]);
		const char *word;
		char pid[16];
		int alive;

		(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
		assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
		assert_int_equal(setenv("WATCHDOG_USEC", "40000", 1), 0);
		assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
		run_for(90 * MS);
		assert_string_equal(heard(fd), "READY=1");
		for (word = heard(fd), alive = 0; strcmp(word, "WATCHDOG=1") == 0; word = heard(fd))
			alive++;
		assert_in_range(alive, 2, 5);
		assert_string_equal(word, "STOPPING=1");
	}
}

static void another_process_is_watched(void **state)
{
	const char *name = tempdir_path("", "other");
	_cleanup_close_ int fd = manager(name);

	(void)state;
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "1000", 1), 0);
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
	run_for(20 * MS);
	assert_string_equal(heard(fd), "READY=1");
	assert_string_equal(heard(fd), "STOPPING=1");
	assert_string_equal(heard(fd), "");
}

static void nobody_listens(void **state)
{
	static const char *const names[] = {"/nonexistent/notify", "vsock:2:9", "@", ""};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(names); i++) {
		assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
		run_for(1 * MS);
	}
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	run_for(1 * MS);
}

/* A part that answers every request with `kernel`, until it is killed. */
static pid_t part(const char *endpoint, const char *kernel)
{
	struct ps_value *body = ps_value_map();
	struct ps_responder *resp = NULL;
	struct ps_bus *bus = NULL;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0) {
		ps_value_free(&body);
		return pid;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ps_bus_new(&bus) < 0 || ps_responder_new(bus, endpoint, &resp, NULL) < 0)
		_exit(1);
	(void)ps_value_set(body, "kernel", ps_value_string(kernel));
	for (;;) {
		_cleanup_(ps_request_free) struct ps_request req = {0};

		if (ps_responder_next(resp, &req) > 0 && strcmp(req.op, "status") == 0)
			(void)ps_responder_reply(resp, &req, 200, body, NULL, 0, NULL);
		(void)usleep(2000);
	}
}

static int ask_part(const char *endpoint, const char *kernel, struct ps_error *err)
{
	pid_t pid = part(endpoint, kernel);
	int r = ps_service_ask(endpoint, "kernel", 10000, err);

	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return r;
}

static void asks_a_part(void **state)
{
	const char *endpoint = tempdir_path("ipc://", "part.sock");
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_service_ask(endpoint, "kernel", 50, &err), -ETIMEDOUT);
	assert_int_equal(ps_service_health(-ETIMEDOUT, &err), 1);
	assert_int_equal(ask_part(endpoint, "ok", &err), 0);
	assert_int_equal(ps_service_health(0, &err), 0);
	err = (struct ps_error){0};
	assert_int_equal(ask_part(endpoint, "no maps", &err), -EIO);
	assert_string_equal(err.message, "no maps");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_ready_alive_and_stopping),
		cmocka_unit_test(another_process_is_watched),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(asks_a_part),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
