/* Query parameters by their tables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/param.h"

static int read_params(
	const struct ps_param *table, const char *query, struct ps_value **ret_args, struct ps_error *err)
{
	_cleanup_(ps_query_free) struct ps_query q = {0};

	assert_int_equal(ps_query_parse(query, &q, NULL), 0);
	return ps_params_read(table, &q, ret_args, err);
}

static void reads(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *args = NULL;

	(void)state;
	assert_int_equal(read_params(ps_params_connections,
				 "limit=10000&cursor=abc&sort=orig_bytes&order=asc&proto=tcp&state=established&ip=10.0."
				 "0.1&port=0&q=&ended=true",
				 &args, NULL),
		0);
	assert_int_equal(ps_value_get_int(args, "limit", -1), 10000);
	assert_int_equal(ps_value_get_int(args, "port", -1), 0);
	assert_string_equal(ps_value_get_string(args, "sort", ""), "orig_bytes");
	assert_true(ps_value_get_bool(args, "ended", false));
	assert_null(ps_value_get(args, "q")); /* empty: not asked for */
}

static void refuses_and_names(void **state)
{
	static const struct {
		const char *query;
		const char *field;
	} cases[] = {
		{"limit=0", "limit"},
		{"limit=10001", "limit"},
		{"limit=-1", "limit"},
		{"limit=1e3", "limit"},
		{"limit=99999999999999999999999999", "limit"},
		{"offset=2000001", "offset"},
		{"port=65536", "port"},
		{"port=ssh", "port"},
		{"ended=maybe", "ended"},
		{"protocol=tcp", "protocol"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		struct ps_value *args = NULL;
		struct ps_error err = {0};

		assert_int_equal(read_params(ps_params_connections, cases[i].query, &args, &err), -EINVAL);
		assert_int_equal(err.status, 400);
		assert_string_equal(err.field, cases[i].field);
		assert_null(args);
	}
}

static void lists_differ(void **state)
{
	struct ps_value *args = NULL;
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(read_params(ps_params_icmp, "sort=bytes", &args, &err), -EINVAL);
	assert_string_equal(err.field, "sort");
}

static void words_are_checked(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *args = NULL;
	static const char *const bad[] = {
		"mode=shadows", "mode=enforce,shadow", "mode=ENFORCE", "mode=,", "comment=%ff"};

	(void)state;
	assert_int_equal(read_params(ps_params_import, "mode=shadow&ttl=60&enabled=0&comment=%C3%A9", &args, NULL), 0);
	assert_string_equal(ps_value_get_string(args, "mode", ""), "shadow");
	assert_int_equal(ps_value_get_int(args, "ttl", 0), 60);
	assert_false(ps_value_get_bool(args, "enabled", true));
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
		struct ps_value *none = NULL;
		struct ps_error err = {0};

		assert_int_equal(read_params(ps_params_import, bad[i], &none, &err), -EINVAL);
		assert_true(err.field[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(refuses_and_names),
		cmocka_unit_test(lists_differ),
		cmocka_unit_test(words_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
