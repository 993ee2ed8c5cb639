/*
 * Rules from JSON, for tests. What rule_of and merged hand out is freed by `forget`, the teardown of each test.
 */
#ifndef PS_TEST_RULE_TEXT_H
#define PS_TEST_RULE_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/rule.h"

#define _value_ _cleanup_(ps_value_free) struct ps_value *

static inline struct ps_value *parse(const char *json)
{
	struct ps_error err = {0};
	struct ps_value *v = NULL;

	if (ps_json_parse(json, strlen(json), &v, &err))
		fail_msg("%s: %s", json, err.message);
	return v;
}

#define NOW 1700000000000000000ull

/* Rules that helpers hand out: freed when the test ends. */
static struct ps_rules kept;

static inline struct ps_rule keep(struct ps_rule rule)
{
	if (!(kept.n & (kept.n + 1))) {
		kept.rule = realloc(kept.rule, (2 * kept.n + 2) * sizeof(rule));
		assert_non_null(kept.rule);
	}
	kept.rule[kept.n++] = rule;
	return rule;
}

static inline int forget(void **state)
{
	(void)state;
	ps_rules_clear(&kept);
	return 0;
}

static inline struct ps_rule merged(const struct ps_rule *base, const char *json)
{
	_value_ body = parse(json);
	struct ps_error err = {0};
	struct ps_rule rule;

	if (ps_rule_merge(base, body, NOW, &rule, NULL, &err))
		fail_msg("%s: %s: %s", json, err.field, err.message);
	assert_string_equal(err.message, "");
	return keep(rule);
}

static inline struct ps_rule rule_of(const char *json)
{
	struct ps_rule base;

	ps_rule_defaults(&base);
	return merged(&base, json);
}

#define TEST(function) cmocka_unit_test_teardown(function, forget)

#endif
