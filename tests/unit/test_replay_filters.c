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

#define _rules_ _cleanup_(ps_rules_clear) struct ps_rules

static struct ps_rules parsed(const char *text)
{
	struct ps_rules rules = {0};

	assert_int_equal(ps_filters_parse(text, strlen(text), &rules, NULL), 0);
	return rules;
}

static void forms(void **state)
{
	_rules_ list = {0}, object = {0}, empty = {0};

	(void)state;
	list = parsed("[{\"src_ip\":\"10.0.0.1\",\"enabled\":true},{\"rule_type\":\"tcp\",\"dst_port\":22}]");
	assert_int_equal(list.n, 2);
	assert_true(list.rule[0].enabled);
	assert_false(list.rule[1].enabled);
	assert_int_equal(ps_ports_ranges(&list.rule[1].dst_port)->lo, 22);
	object = parsed("{\"version\":1,\"rules\":[{\"id\":7,\"comment\":\"x\"}]}");
	assert_int_equal(object.n, 1);
	assert_int_equal(object.rule[0].id, 7);
	empty = parsed("[]");
	assert_int_equal(empty.n, 0);
}

static void ids(void **state)
{
	_rules_ rules = {0};

	(void)state;
	rules = parsed("[{},{\"id\":0},{},{\"id\":3},{},{\"id\":null}]");
	assert_int_equal(rules.n, 6);
	assert_int_equal(rules.rule[0].id, 1);
	assert_int_equal(rules.rule[1].id, 0);
	assert_int_equal(rules.rule[2].id, 2);
	assert_int_equal(rules.rule[3].id, 3);
	assert_int_equal(rules.rule[4].id, 4);
	assert_int_equal(rules.rule[5].id, 5);
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
		{"[{\"id\":9999999}]", "rules[0].id"},
		{"[{\"id\":\"1\"}]", "rules[0].id"},
		{"[{\"id\":1},{\"id\":1}]", "rules[1].id"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_rules rules = {.n = 99};
		struct ps_error err = {0};

		assert_int_equal(ps_filters_parse(rows[i].text, strlen(rows[i].text), &rules, &err), -EINVAL);
		assert_string_equal(err.field, rows[i].field);
		assert_true(err.message[0]);
		assert_null(rules.rule);
		assert_int_equal(rules.n, 99);
	}
}

static void no_file(void **state)
{
	_rules_ rules = {0};
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_filters_load("/nonexistent/rules.json", &rules, &err), -ENOENT);
	assert_string_equal(err.field, "filters");
	assert_int_equal(ps_filters_load("/", &rules, &err), -EISDIR);
	assert_int_equal(ps_filters_load("/dev/null", &rules, &err), -EINVAL);
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
