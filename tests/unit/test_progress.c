/* The progress bar's line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "replay/progress.h"

static void lines(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;

	(void)state;
	ps_progress_line(&b, 79, 0.5, 1000, 0.5);
	assert_int_equal(b.len, 79);
	assert_non_null(strstr(ps_buf_str(&b), "#  "));
	assert_non_null(strstr(ps_buf_str(&b), " 50 % 1,000 packets, 2,000/s"));
	ps_buf_reset(&b);
	ps_progress_line(&b, 79, 0.5, 1000, 10);
	assert_non_null(strstr(ps_buf_str(&b), "100/s, 10.0 s left"));
	ps_buf_reset(&b);
	/* of a pipe nobody knows the end */
	ps_progress_line(&b, 79, -1, 1000, 10);
	assert_string_equal(ps_buf_str(&b), "1,000 packets, 100/s");
	ps_buf_reset(&b);
	ps_progress_line(&b, 79, 1, 0, 0);
	assert_non_null(strstr(ps_buf_str(&b), "100 % 0 packets, 0/s"));
}

static void never_wider_than_the_terminal(void **state)
{
	(void)state;
	for (unsigned columns = 1; columns <= 100; columns++) {
		for (double done = -1; done <= 1; done += 0.25) {
			_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;

			ps_progress_line(&b, columns, done, UINT64_MAX, 1e6);
			assert_in_range(b.len, 1, columns);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(never_wider_than_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
