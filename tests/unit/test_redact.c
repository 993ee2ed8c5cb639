/* Answers without the key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ai-worker/redact.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

#define KEY "sk-planted-0123456789"

static void wherever_it_stands(void **state)
{
	static const char text[] =
		"{\"a\": \"Bearer " KEY "!\", \"list\": [1, true, null, [\"" KEY KEY "\"]], \"" KEY "\": {\"x\": "
		"\"\\u0073k-planted-0123456789\"}}";
	_cleanup_(ps_value_free) struct ps_value *v = NULL, *safe = NULL;
	_cleanup_(ps_secret_free) struct ps_secret key = {0};
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	assert_int_equal(ps_json_parse(text, strlen(text), &v, NULL), 0);
	assert_int_equal(ps_secret_set(&key, KEY, strlen(KEY)), 0);
	safe = ps_redact_value(&key, v);
	ps_json_write(&out, safe);
	assert_string_equal(ps_buf_str(&out),
		"{\"a\":\"Bearer [key]!\",\"list\":[1,true,null,[\"[key][key]\"]],\"[key]\":{\"x\":\"[key]\"}}");
}

static void nothing_to_hide(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL, *same = NULL;
	struct ps_secret none = {0};

	(void)state;
	assert_int_equal(ps_json_parse("{\"a\": [1.5, \"b\"]}", 17, &v, NULL), 0);
	same = ps_redact_value(&none, v);
	assert_true(ps_value_equal(v, same));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wherever_it_stands),
		cmocka_unit_test(nothing_to_hide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
