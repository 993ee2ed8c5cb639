#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "collector/lock.h"
#include "tempdir.h"

static void one_at_a_time(void **state)
{
	struct ps_lock_held *first = NULL, *second = NULL;
	struct ps_error err = {0};
	char run[128], pins[128], pid[32];

	(void)state;
	(void)snprintf(run, sizeof(run), "%s/deep/run", tempdir);
	(void)snprintf(pins, sizeof(pins), "%s/pins", tempdir);
	assert_int_equal(mkdir(pins, 0700), 0);
	assert_int_equal(ps_lock_take(run, pins, &first, &err), 0);

	assert_int_equal(ps_lock_take(run, pins, &second, &err), -EWOULDBLOCK);
	assert_string_equal(err.code, "already_running");
	(void)snprintf(pid, sizeof(pid), "process %d ", (int)getpid());
	assert_non_null(strstr(err.message, pid));
	/* Another run directory, the same pins; another pin root, the same sockets. */
	assert_int_equal(ps_lock_take(tempdir_path("", "run2"), pins, &second, &err), -EWOULDBLOCK);
	assert_non_null(strstr(err.message, pins));
	assert_int_equal(ps_lock_take(run, tempdir_path("", "none"), &second, &err), -EWOULDBLOCK);
	assert_null(second);

	ps_lock_release(&first);
	assert_null(first);
	assert_int_equal(ps_lock_take(run, pins, &second, &err), 0);
	ps_lock_release(&second);
	ps_lock_release(&second);
}

static void no_pins_no_lock(void **state)
{
	struct ps_lock_held *lock = NULL;

	(void)state;
	assert_int_equal(ps_lock_take(tempdir_path("", "r"), tempdir_path("", "nowhere"), &lock, NULL), 0);
	ps_lock_release(&lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(no_pins_no_lock),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
