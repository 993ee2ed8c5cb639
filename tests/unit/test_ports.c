/* Sets of ports: text, normal form, and what is in what. Refusals of text are in test_rule.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/ports.h"

#define _ports_ _cleanup_(ps_ports_clear) struct ps_ports

static struct ps_ports ports(const char *text)
{
	struct ps_error err = {0};
	struct ps_ports p;

	if (ps_ports_parse(text, strlen(text), "dst_port", &p, &err))
		fail_msg("%s: %s", text, err.message);
	return p;
}

static void text_and_back(void **state)
{
	static const char *const rows[][2] = {
		{"", "0"},
		{"0", "0"},
		{"any", "0"},
		{" any ", "0"},
		{"22", "22"},
		{"00022", "22"},
		{"1-65535", "1-65535"},
		{"65535", "65535"},
		{"80,22", "22,80"},
		{"1-10,5-20", "1-20"},
		{"1-10,11-20", "1-20"},
		{"1-10,12", "1-10,12"},
		{"65535,65534", "65534-65535"},
		{"1-65535,7", "1-65535"},
		{"3,2,1,9,8", "1-3,8-9"},
		{"1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31", "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		_ports_ p = ports(rows[i][0]);
		_ports_ copy = {0};
		_ports_ again = {0};
		char text[PS_PORTS_TEXT];

		assert_string_equal(ps_ports_format(&p, text), rows[i][1]);
		again = ports(text);
		assert_true(ps_ports_equal(&p, &again));
		assert_int_equal(ps_ports_copy(&p, &copy), 0);
		assert_true(ps_ports_equal(&p, &copy));
	}
}

static void limits(void **state)
{
	struct ps_port_range r[40];
	struct ps_ports p = {.n = 1};
	struct ps_error err;
	char text[4096] = "";

	(void)state;
	for (uint16_t i = 0; i < 40; i++)
		r[i] = (struct ps_port_range){(uint16_t)(1 + 2 * i), (uint16_t)(1 + 2 * i)};
	assert_int_equal(ps_ports_set(r, PS_RULE_PORTS_MAX + 1, &p), -E2BIG);
	assert_int_equal(p.n, 1);
	assert_int_equal(ps_ports_set(r, 0, &p), 0);
	assert_int_equal(p.n, 0);
	assert_int_equal(ps_ports_set(&(struct ps_port_range){0, 5}, 1, &p), -EINVAL);
	assert_int_equal(ps_ports_set(&(struct ps_port_range){6, 5}, 1, &p), -EINVAL);
	/* more parts than ranges are fine, up to a point */
	for (int i = 0; i < 300; i++)
		strcat(text, i ? ",7" : "7");
	assert_int_equal(ps_ports_parse(text, 2 * 256 - 1, "dst_port", &p, &err), 0);
	assert_int_equal(p.n, 1);
	assert_int_equal(ps_ports_parse(text, strlen(text), "dst_port", &p, &err), -EINVAL);
	assert_non_null(strstr(err.message, "256 parts"));
	assert_string_equal(err.field, "dst_port");
}

/* Random sets against a table of all ports. */
static void membership(void **state)
{
	static bool a_has[65536], b_has[65536];
	size_t contained = 0;

	(void)state;
	srandom(9);
	for (int round = 0; round < 300; round++) {
		struct ps_port_range r[12];
		size_t n = 1 + (size_t)random() % 12, m = 1 + (size_t)random() % 2;
		_ports_ a = {0};
		_ports_ b = {0};
		bool all = true;

		memset(a_has, 0, sizeof(a_has));
		memset(b_has, 0, sizeof(b_has));
		for (size_t i = 0; i < n; i++) {
			r[i].lo = (uint16_t)(1 + random() % 60000);
			r[i].hi = (uint16_t)(r[i].lo + random() % 5000);
			memset(a_has + r[i].lo, 1, (size_t)(r[i].hi - r[i].lo) + 1);
		}
		assert_int_equal(ps_ports_set(r, n, &a), 0);
		for (size_t i = 0; i < m; i++) {
			r[i].lo = (uint16_t)(1 + random() % 60000);
			r[i].hi = (uint16_t)(r[i].lo + random() % 200);
			memset(b_has + r[i].lo, 1, (size_t)(r[i].hi - r[i].lo) + 1);
		}
		assert_int_equal(ps_ports_set(r, m, &b), 0);
		for (unsigned p = 0; p < 65536; p++) {
			assert_int_equal(ps_ports_have(&a, (uint16_t)p), a_has[p]);
			all = all && (!b_has[p] || a_has[p]);
		}
		assert_int_equal(ps_ports_contain(&a, &b), all);
		contained += all;
	}
	assert_in_range(contained, 20, 280);
}

static void any(void **state)
{
	struct ps_ports none = {0}, some = ps_ports_one(22), nothing = ps_ports_one(0);

	(void)state;
	assert_true(ps_ports_have(&none, 0) && ps_ports_have(&none, 22));
	assert_true(ps_ports_contain(&none, &some) && ps_ports_contain(&none, &none));
	assert_false(ps_ports_contain(&some, &none));
	assert_true(ps_ports_equal(&none, &nothing));
	assert_false(ps_ports_have(&some, 0));
	assert_int_equal(sizeof(struct ps_ports), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_back),
		cmocka_unit_test(limits),
		cmocka_unit_test(membership),
		cmocka_unit_test(any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
