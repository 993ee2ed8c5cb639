/* The picture that is sent to a terminal; a terminal itself: tests/e2e/test_top.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/screen.h"
#include "common/base/cleanup.h"

static void clears_what_was_there(void **state)
{
	static const struct {
		const char *text;
		unsigned lines;
		const char *expected;
	} rows[] = {
		{"", 3, "\x1b[H\x1b[J"},
		{"a\nb\n", 3, "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"},
		/* The last line of the screen ends without a line feed, which would scroll. */
		{"a\nb\nc\nd", 2, "\x1b[Ha\x1b[K\nb\x1b[K\x1b[J"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

		ps_screen_compose(rows[i].text, rows[i].lines, &out);
		assert_string_equal(ps_buf_str(&out), rows[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clears_what_was_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
