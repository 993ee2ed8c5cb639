/* Rule sets from a file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "replay/filters.h"

static struct ps_rule *parsed(const char *text, size_t *ret_n)
{
	struct ps_rule *rules = NULL;

	assert_int_equal(ps_filters_parse(text, strlen(text), &rules, ret_n, NULL), 0);
	return rules;
}

static void forms(void **state)
{
	_cleanup_free_ struct ps_rule *list = NULL, *object = NULL, *empty = NULL;
	size_t n;

	(void)state;
	list = parsed("[{\"src_ip\":\"10.0.0.1\",\"enabled\":true},{\"rule_type\":\"tcp\",\"dst_port\":22}]", &n);
	assert_int_equal(n, 2);
	assert_true(list[0].enabled);
	assert_false(list[1].enabled);
	assert_int_equal(list[1].dst_port, 22);
	object = parsed("{\"version\":1,\"rules\":[{\"id\":7,\"comment\":\"x\"}]}", &n);
	assert_int_equal(n, 1);
	assert_int_equal(object[0].id, 7);
	empty = parsed("[]", &n);
	assert_int_equal(n, 0);
}

static void ids(void **state)
{
	_cleanup_free_ struct ps_rule *rules = NULL;
	size_t n;

	(void)state;
	rules = parsed("[{},{\"id\":0},{},{\"id\":3},{},{\"id\":null}]", &n);
	assert_int_equal(n, 6);
	assert_int_equal(rules[0].id, 1);
	assert_int_equal(rules[1].id, 0);
	assert_int_equal(rules[2].id, 2);
	assert_int_equal(rules[3].id, 3);
	assert_int_equal(rules[4].id, 4);
	assert_int_equal(rules[5].id, 5);
}

static void refusals(void **state)
{
	static const struct {
		const char *text;
		const char *field;
	} rows[] = {
		{"", ""},
		{"[", ""},
		{"7", "filters"},
		{"{}", "filters"},
		{"{\"rules\":{}}", "filters"},
		{"[7]", "rules[0]"},
		{"[{},{\"src_ip\":\"1.2.3\"}]", "rules[1].src_ip"},
		{"[{\"no_such\":1}]", "rules[0].no_such"},
		{"[{\"id\":-1}]", "rules[0].id"},
		{"[{\"id\":4096}]", "rules[0].id"},
		{"[{\"id\":\"1\"}]", "rules[0].id"},
		{"[{\"id\":1},{\"id\":1}]", "rules[1].id"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_rule *rules = NULL;
		struct ps_error err = {0};
		size_t n = 99;

		assert_int_equal(ps_filters_parse(rows[i].text, strlen(rows[i].text), &rules, &n, &err), -EINVAL);
		assert_string_equal(err.field, rows[i].field);
		assert_true(err.message[0]);
		assert_null(rules);
		assert_int_equal(n, 99);
	}
}

static void no_file(void **state)
{
	struct ps_rule *rules = NULL;
	struct ps_error err = {0};
	size_t n;

	(void)state;
	assert_int_equal(ps_filters_load("/nonexistent/rules.json", &rules, &n, &err), -ENOENT);
	assert_string_equal(err.field, "filters");
	assert_int_equal(ps_filters_load("/", &rules, &n, &err), -EISDIR);
	assert_int_equal(ps_filters_load("/dev/null", &rules, &n, &err), -EINVAL);
	assert_string_equal(err.field, "filters");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(ids),
		cmocka_unit_test(refusals),
		cmocka_unit_test(no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
