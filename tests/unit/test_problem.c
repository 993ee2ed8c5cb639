/* RFC 9457 problems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "gateway/problem.h"

static struct ps_value *parsed(struct ps_buf *b)
{
	struct ps_value *v = NULL;

	assert_int_equal(ps_json_parse((const char *)b->data, b->len, &v, NULL), 0);
	return v;
}

static void whole(void **state)
{
	_cleanup_(ps_http_response_free) struct ps_http_response resp = {0};
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	struct ps_error err = {0};

	(void)state;
	ps_buf_adds(&resp.body, "[{\"half\":");
	(void)ps_error_set(
		&err, 0, 400, "bad_value", "icmp_type", "icmp_type must be 0 to 255, not \"%s\"", "a\"b\xff");
	ps_problem_respond(&resp, &err, NULL);
	assert_int_equal(resp.status, 400);
	assert_string_equal(ps_http_response_get(&resp, "Content-Type"), "application/problem+json");
	assert_int_equal(resp.body.data[resp.body.len - 1], '\n');
	v = parsed(&resp.body);
	assert_string_equal(ps_value_get_string(v, "type", ""), "about:blank");
	assert_string_equal(ps_value_get_string(v, "title", ""), "Bad Request");
	assert_int_equal(ps_value_get_int(v, "status", 0), 400);
	assert_string_equal(ps_value_get_string(v, "code", ""), "bad_value");
	assert_string_equal(ps_value_get_string(v, "field", ""), "icmp_type");
	assert_non_null(strstr(ps_value_get_string(v, "detail", ""), "a\"b"));
}

static void without_field(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	struct ps_error err = {.status = 404, .code = "not_found"};

	(void)state;
	ps_problem_write(&b, &err, NULL);
	v = parsed(&b);
	assert_null(ps_value_get(v, "field"));
	assert_null(ps_value_get(v, "detail"));
	assert_string_equal(ps_value_get_string(v, "title", ""), "Not Found");
}

static void a_status_that_is_no_error(void **state)
{
	static const int wrong[] = {0, -1, 200, 399, 600, 70000};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(wrong); i++) {
		_cleanup_(ps_http_response_free) struct ps_http_response resp = {0};
		struct ps_error err = {.status = wrong[i]};

		ps_problem_respond(&resp, &err, NULL);
		assert_int_equal(resp.status, 500);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(without_field),
		cmocka_unit_test(a_status_that_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
