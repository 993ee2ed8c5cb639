/* Entity tags of generations. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/etag.h"

static void there_and_back(void **state)
{
	static const uint64_t numbers[] = {0, 7, 4294967295u, 999999999999999999u};
	char text[PS_ETAG_TEXT];
	uint64_t back;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(numbers); i++) {
		back = 1;
		assert_int_equal(ps_etag_match(ps_etag_format(numbers[i], text), &back), 0);
		assert_int_equal(back, numbers[i]);
	}
	assert_int_equal(ps_etag_match(" \"5\" ", &back), 0);
	assert_int_equal(back, 5);
	assert_int_equal(ps_etag_match("*", &back), 1);
}

static void what_we_never_gave(void **state)
{
	static const char *const bad[] = {"", "5", "\"5", "\"\"", "\"x\"", "\"5\",\"6\"", "W/\"5\"", "*x", "\"-1\"",
		"\"99999999999999999999999\"", "\"5\" x"};
	uint64_t back = 3;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++)
		assert_int_equal(ps_etag_match(bad[i], &back), -EINVAL);
	assert_int_equal(back, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(what_we_never_gave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
