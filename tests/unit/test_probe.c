/* Whether somebody listens on a socket that answers nobody. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/probe.h"
#include "tempdir.h"

static int listener(const char *path, int backlog)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void there_and_gone(void **state)
{
	const char *path = tempdir_path("", "there.sock");
	int fd = listener(path, 8);
	int64_t pid = 0;

	(void)state;
	assert_int_equal(ps_probe(tempdir_path("ipc://", "there.sock"), &pid), 0);
	assert_int_equal(pid, getpid());
	(void)close(fd); /* as a killed program leaves it: the file stays */
	pid = 7;
	assert_int_equal(ps_probe(tempdir_path("ipc://", "there.sock"), &pid), -ECONNREFUSED);
	assert_int_equal(pid, 7);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ps_probe(tempdir_path("ipc://", "there.sock"), &pid), -ENOENT);
}

static void stuck(void **state)
{
	_cleanup_close_ int fd = listener(tempdir_path("", "stuck.sock"), 0);
	int64_t pid = 0;
	int r = 0;

	/* Each knock leaves a closed connection in the queue, until a listener that accepts nothing has no room. */
	(void)state;
	for (int i = 0; i < 4 && r == 0; i++)
		r = ps_probe(tempdir_path("ipc://", "stuck.sock"), &pid);
	assert_int_equal(r, -EAGAIN);
	assert_true(fd >= 0);
}

static void not_ipc(void **state)
{
	int64_t pid = 0;

	(void)state;
	assert_int_equal(ps_probe("tcp://127.0.0.1:1", &pid), -EINVAL);
	assert_int_equal(ps_probe("ipc://", &pid), -EINVAL);
	assert_int_equal(ps_probe("", &pid), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_gone),
		cmocka_unit_test(stuck),
		cmocka_unit_test(not_ipc),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
