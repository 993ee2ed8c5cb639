#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/base/error.h"

static void fills_and_returns(void **state)
{
	(void)state;
	struct ps_error e;
	memset(&e, 0xff, sizeof(e));
	assert_int_equal(ps_error_set(&e, -EINVAL, 400, "bad_value", "src_ip", "%s is %d", "it", 7), -EINVAL);
	assert_int_equal(e.status, 400);
	assert_string_equal(e.code, "bad_value");
	assert_string_equal(e.field, "src_ip");
	assert_string_equal(e.message, "it is 7");
	ps_error_clear(&e);
	assert_int_equal(e.status, 0);
	assert_string_equal(e.message, "");
	assert_int_equal(ps_error_set(NULL, -ENOENT, 404, "not_found", "", "x"), -ENOENT);
}

static void may_quote_itself(void **state)
{
	(void)state;
	struct ps_error e = {.code = "inner", .field = "f", .message = "disk full"};
	(void)ps_error_set(&e, -EIO, 500, e.code, e.field, "Cannot write rules: %s", e.message);
	assert_string_equal(e.code, "inner");
	assert_string_equal(e.field, "f");
	assert_string_equal(e.message, "Cannot write rules: disk full");
}

static void what_is_too_long_is_cut_between_characters(void **state)
{
	(void)state;
	struct ps_error e;
	char text[1024] = "";
	for (size_t lead = 0; lead < 3; lead++) {
		memset(text, 'x', lead);
		text[lead] = '\0';
		while (strlen(text) < 600)
			strcat(text, "€"); /* three bytes */
		(void)ps_error_set(&e, -EINVAL, 400, "c", text, "%s", text);
		size_t n = strlen(e.message);
		assert_true(n < sizeof(e.message) && n >= sizeof(e.message) - 3);
		assert_int_equal((n - lead) % 3, 0);
		assert_int_equal((strlen(e.field) - lead) % 3, 0);
		assert_memory_equal(e.message, text, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_and_returns),
		cmocka_unit_test(may_quote_itself),
		cmocka_unit_test(what_is_too_long_is_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
